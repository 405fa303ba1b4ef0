"""After a loss: the backup key becomes the primary key, and what is left to do is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import contexts, promotions, times
from keyctl.core.pairings import DERIVING
from keyctl.core.text import visible
from keyctl.errors import Details, NotFoundError, UsageError
from keyctl.model import Recognition
from keyctl.operations import keeping_in_step, noting, pair_choice, pair_views, recognising, seed_trust
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.core.promotions import NextBackup, OtherPairing, Replacement, Revocation
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.pair_views import PairingView
    from keyctl.store.inventory import Changes


@dataclass(frozen=True, kw_only=True)
class OldKey:
    """A derived key of a promoted pairing."""

    target: str
    #: As ``ssh-keygen -l`` shows it.
    fingerprint: str
    #: When it was said to be installed at its target; None: it may be nowhere.
    handed_over_at: str | None
    #: When it was said to be replaced there; None: it is still to be done.
    replaced_at: str | None
    #: What is to take its place.
    replacement: Replacement


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A backup key in the place of the lost primary key, and what is left to do."""

    pairing: PairingView
    #: The name of the new primary key, the former backup key.
    primary: str
    #: The name of the lost key; None: it is not known here.
    lost: str | None
    #: Whether anything was changed now.
    changed: bool
    #: Whether the new primary key can still sign for the derived keys, as far as is known.
    signs: bool
    #: Every key that was derived in the pairing, those to be replaced first.
    derived: tuple[OldKey, ...]
    #: Every account from which the lost key is to be removed, those that nothing else opens first.
    revoke: tuple[Revocation, ...]
    #: What else the two keys are paired with.
    other_pairings: tuple[OtherPairing, ...]
    next_backup: NextBackup


def promote(circumstances: Circumstances, text: str | None, *, dry_run: bool) -> Promotion:
    """Put the connected backup key of a pairing in the place of its primary key, which is lost.

    The primary key is marked as lost, the backup key gets its role, and the pairing is retired: it derives no more
    keys, and the backup key goes on to sign for those that there are. What was done before is only told again.

    Args:
        circumstances: What the command line says.
        text: Which pairing, see :func:`keyctl.operations.pair_choice.find`.
        dry_run: Check everything, change nothing.

    Raises:
        NotFoundError: There is no such pairing, or several fit; or its backup key is not known here.
        KeyChoiceError: The backup key is not connected.
        StoreError: The seed is not the one trusted here, or the inventory cannot be written.
        DeclinedError: The name of the lost key was not typed back.
        TouchError: The backup key only knows U2F, and nobody touched it in time.
        UnreachableError: It is gone or silent, or does not prove itself.
    """
    inventory = store.read_whole(circumstances.home)
    pairing = pair_choice.find(inventory, text)
    pair_choice.require_name(inventory, pairing.backup_id)
    if pairing.retired_at is not None:
        return _told(inventory, pairing, changed=False)
    lost = _lost_name(inventory, pairing)
    warning = _warning(inventory, pairing)
    if not dry_run:
        circumstances.asker.check_confirmable(lost, warning)
        noting.require_writable(circumstances)
    if pairing.method in DERIVING:
        # Who takes over is told by the seed: one that somebody put there is that of their own key.
        seed_trust.require(circumstances, inventory, pairing)
    with keeping_in_step.opened_backup(circumstances, inventory, pairing) as session:
        if dry_run:
            return _told(inventory, pairing, changed=False)
        circumstances.asker.confirm_by_typing(warning, lost)
        if session.key.recognition is Recognition.CLAIMED:
            recognising.prove_by_touch(session, recognising.known(circumstances))
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            retired = _promoted(changes, pairing)
            return _told(changes.inventory, retired, changed=True)


def mark_replaced(
    circumstances: Circumstances, text: str | None, targets: Sequence[str], *, dry_run: bool
) -> Promotion:
    """Note that derived keys of a promoted pairing were replaced at their targets; no key is needed.

    Args:
        circumstances: What the command line says.
        text: Which pairing, see :func:`keyctl.operations.pair_choice.find`; those in force are left out.
        targets: What they were derived for.
        dry_run: Check everything, change nothing.

    Raises:
        NotFoundError: There is no such pairing, several fit, or it has no key for a target (``derived_not_found``).
        UsageError: A target is none, or the backup key was not promoted yet.
        StoreError: The inventory cannot be read or written.
    """
    wanted = {contexts.parse(target).text for target in targets}
    inventory = store.read_whole(circumstances.home)
    pairing = _retired(inventory, text, wanted)
    if dry_run:
        return _told(inventory, pairing, changed=False)
    now = times.now()
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        known = changes.inventory.pairing_with_id(pairing.id)
        if known is None:
            raise _removed_meanwhile()
        derived = tuple(
            replace(key, replaced_at=now) if key.target in wanted and not key.is_replaced else key
            for key in known.derived
        )
        after = replace(known, derived=derived)
        changes.put_pairing(after)
        return _told(changes.inventory, after, changed=after != known)


def _retired(inventory: Inventory, text: str | None, targets: set[str]) -> Pairing:
    """The retired pairing that is meant, with a key for each of *targets*."""
    retired = tuple(pairing for pairing in inventory.pairings if pairing.retired_at is not None)
    if text is None:
        # The targets tell them apart.
        retired = tuple(one for one in retired if targets <= {key.target for key in one.derived}) or retired
    if not retired:
        in_force = pair_choice.find(inventory, text)
        raise UsageError(
            "usage",
            f"{pair_choice.label(inventory, in_force)} is in force: its backup key was not promoted",
            "run `keyctl recover promote` first, with the backup key connected",
        )
    pairing = pair_choice.find(replace(inventory, pairings=retired), text)
    known = tuple(key.target for key in pairing.derived)
    for target in sorted(targets.difference(known)):
        raise NotFoundError(
            "derived_not_found",
            f"{pair_choice.label(inventory, pairing)} has no key for {target}",
            f"it has keys for {', '.join(known)}" if known else "no key was derived in it",
            details=Details(candidates=known),
        )
    return pairing


def _promoted(changes: Changes, pairing: Pairing) -> Pairing:
    """Write down that the backup key took over; the pairing last, as it is what tells that all was done."""
    now = times.now()
    known = changes.inventory.pairing_with_id(pairing.id)
    primary = changes.inventory.key_with_id(pairing.primary_id)
    backup = changes.inventory.key_with_id(pairing.backup_id)
    if known is None or backup is None:
        raise _removed_meanwhile()
    if primary is not None:
        changes.put_key(promotions.as_lost(primary, now=now))
    changes.put_key(promotions.as_primary(backup, now=now))
    retired = replace(known, retired_at=known.retired_at or now)
    changes.put_pairing(retired)
    return retired


def _removed_meanwhile() -> NotFoundError:
    return NotFoundError("pairing_not_found", "the pairing was removed in the meantime", "nothing was changed")


def _lost_name(inventory: Inventory, pairing: Pairing) -> str:
    """What is typed back: the name of the lost key, or, where it is not known here, that of the backup key."""
    name = pair_choice.name_of(inventory, pairing.primary_id)
    return name if name is not None else pair_choice.require_name(inventory, pairing.backup_id)


def _warning(inventory: Inventory, pairing: Pairing) -> str:
    backup = visible(pair_choice.require_name(inventory, pairing.backup_id))
    name = pair_choice.name_of(inventory, pairing.primary_id)
    lost = f"{visible(name)}, which counts as lost" if name is not None else "one that is not known here"
    label = visible(pair_choice.label(inventory, pairing))
    signs = "" if pairing.has_lost_seed else f"; {backup} still signs for those that were"
    return (
        f"{backup} becomes the primary key in the place of {lost}.\n"
        f"The pairing {label} is retired: no key is derived in it any more{signs}."
    )


def _told(inventory: Inventory, pairing: Pairing, *, changed: bool) -> Promotion:
    view = pair_views.view(inventory, pairing)
    fingerprints = {key.target: key.fingerprint for key in view.derived}
    derived = [
        OldKey(
            target=key.target,
            fingerprint=fingerprints[key.target],
            handed_over_at=key.handed_over_at,
            replaced_at=key.replaced_at if key.is_replaced else None,
            replacement=promotions.replacement_of(key),
        )
        for key in pairing.derived
    ]
    derived.sort(key=lambda key: (key.replaced_at is not None, key.handed_over_at is None, key.target))
    return Promotion(
        pairing=view,
        primary=pair_choice.require_name(inventory, pairing.backup_id),
        lost=pair_choice.name_of(inventory, pairing.primary_id),
        changed=changed,
        signs=pairing.seed is not None and not pairing.has_lost_seed,
        derived=tuple(derived),
        revoke=promotions.revocations(inventory, pairing),
        other_pairings=promotions.other_pairings(inventory, pairing),
        next_backup=promotions.next_backup(inventory, pairing),
    )
