"""Pairing two keys, by whatever method: everything that can be found out for nothing comes first."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.core.pairings import Method, Pairing
from keyctl.errors import UnsupportedError, UsageError
from keyctl.model import KeyState
from keyctl.operations import (
    noting,
    pair_by_seed,
    pair_desk,
    pair_leftovers,
    pair_recording,
    pair_unfinished,
    pair_views,
    unlocking,
)
from keyctl.operations.pair_desk import Desk, KeyPair
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store.unfinished import Unfinished

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.core.pair_methods import Choice
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.pair_views import PairingView


@dataclass(frozen=True, kw_only=True)
class Creation:
    """What came of pairing two keys."""

    #: None in a dry run.
    pairing: PairingView | None
    changed: bool
    method: Method
    #: Why no stronger method was taken; empty where one was asked for by name.
    reasons: tuple[str, ...]
    #: What could not be found out or stored.
    remarks: tuple[str, ...]


def create(
    circumstances: Circumstances,
    primary: str,
    backup: str,
    *,
    method: Method | None,
    store_on_key: bool,
    allow_unattested: bool = False,
    dry_run: bool = False,
) -> Creation:
    """Pair two known keys.

    Args:
        circumstances: What the command line says.
        primary: The name, or the path, of the key of every day.
        backup: The same of the key that is to take over.
        method: How; None: the strongest that both can do, except :attr:`Method.SOFTWARE`.
        store_on_key: Whether both keys get a copy of the record.
        allow_unattested: With :attr:`Method.WEBAUTHN_DRAFT`: whether the seed may lack an attestation.
        dry_run: Check everything that needs neither PIN nor touch, change nothing.

    Raises:
        NotFoundError: A key is not known, or the two are paired already (``pairing_exists``).
        UsageError: It is the same key twice, or one of them is marked as lost or reset.
        KeyChoiceError: A key that is needed is not connected, and nobody can plug it in.
        UnsupportedError: A key cannot do it, or failed a check (``evidence_refused``).
        PinError: A key has no PIN, or it is wrong, missing or may not be tried.
        TouchError: Nobody touched a key in time.
        UnreachableError: A key is gone or silent, or answers nonsense.
    """
    inventory = store.read_whole(circumstances.home)
    if not dry_run:
        noting.require_writable(circumstances)
    for line in pair_unfinished.told(circumstances):
        circumstances.asker.tell(line)
    with contextlib.ExitStack() as stack:
        keys = pair_desk.resolved(circumstances, inventory, primary, backup, stack)
        _check(inventory, keys)
        if method is Method.REGISTRATION:
            return _registered(circumstances, keys, (), dry_run=dry_run)
        desk = Desk(circumstances, keys, stack)
        choice = desk.choose(method)
        if choice.method is Method.REGISTRATION:
            stack.close()
            return _registered(circumstances, keys, choice.reasons, dry_run=dry_run)
        if dry_run:
            return Creation(pairing=None, changed=False, method=choice.method, reasons=choice.reasons, remarks=())
        circumstances.asker.check_pins_for(2)
        if choice.method is Method.WEBAUTHN_DRAFT:
            return _by_draft(desk, choice, allow_unattested=allow_unattested)
        made = pair_by_seed.make(desk, choice.method, store_on_key=store_on_key)
    return _made(made.inventory, made.pairing, choice.reasons, made.remarks)


def _check(inventory: Inventory, keys: KeyPair) -> None:
    """What the inventory alone says against it."""
    names = f"{keys.primary.name} and {keys.backup.name}"
    if keys.primary.id == keys.backup.id:
        raise UsageError(
            "usage", f"{keys.primary.name} cannot be its own backup key", "name two keys: `keyctl list` shows them"
        )
    if keys.primary.virtual is not keys.backup.virtual:
        raise UnsupportedError(
            "unsupported",
            f"{names} are a virtual and a physical key, which are never paired",
            "a virtual key is for trying out: its secrets lie in a file",
        )
    for key in (keys.primary, keys.backup):
        if key.state is not KeyState.ACTIVE:
            word = quoted(key.name)
            again = f"keyctl found {word}" if key.state is KeyState.LOST else f"keyctl add {word} --replace"
            raise UsageError(
                "usage",
                f"{key.name} is marked as {key.state}",
                f"name a key that is in use; if {key.name} is: `{again}`",
                key=key.name,
            )
    pair_recording.require_unpaired(inventory, keys.primary, keys.backup)


def _by_draft(desk: Desk, choice: Choice, *, allow_unattested: bool) -> Creation:
    """The recovery draft: the primary key itself keeps the seed, and makes keys from it when a site asks."""
    from keyctl.operations import pair_draft

    circumstances = desk.circumstances
    backup, primary = desk.backup, desk.primary
    assert backup is not None
    assert primary is not None
    for session in (backup, primary):
        pair_draft.require(session)
        unlocking.require_current_pin_usable(session)
        if not session.has_pin:
            unlocking.unlock(session, circumstances)
    primary.verify_pin()
    seed = pair_draft.export_seed(backup)
    pairing = Pairing(
        id=store.new_id(),
        primary_id=desk.keys.primary.id,
        backup_id=desk.keys.backup.id,
        method=Method.WEBAUTHN_DRAFT,
        recovery_seed=seed,
        created_at=times.now(),
        paired_by=local_state.computer_id(circumstances.state),
    )
    with _giving(primary, circumstances, pairing, seed):
        pair_draft.import_seed(primary, seed, allow_unattested=allow_unattested)
        inventory = pair_recording.record(circumstances, pairing)
    return _made(inventory, pairing, choice.reasons)


def _giving(
    primary: Session, circumstances: Circumstances, pairing: Pairing, seed: bytes
) -> contextlib.AbstractContextManager[None]:
    """Around giving the primary key the seed; should it fail, it is as it was."""
    from keyctl.operations import pair_draft

    if pair_draft.holds(primary, seed):
        # For another pairing, or since one that did not end, which is noted.
        return contextlib.nullcontext()
    unfinished = Unfinished(
        pairing_id=pairing.id,
        primary_id=pairing.primary_id,
        backup_id=pairing.backup_id,
        started_at=pairing.created_at,
        before={pairing.primary_id: pair_leftovers.own_on(primary)},
        recovery_seed=seed,
    )
    return pair_leftovers.giving_seed(primary, circumstances, unfinished)


def _registered(circumstances: Circumstances, keys: KeyPair, reasons: tuple[str, ...], *, dry_run: bool) -> Creation:
    """No seed: the two keys are kept in step by hand."""
    if dry_run:
        return Creation(pairing=None, changed=False, method=Method.REGISTRATION, reasons=reasons, remarks=())
    pairing = Pairing(
        id=store.new_id(),
        primary_id=keys.primary.id,
        backup_id=keys.backup.id,
        method=Method.REGISTRATION,
        created_at=times.now(),
        paired_by=local_state.computer_id(circumstances.state),
    )
    return _made(pair_recording.record(circumstances, pairing), pairing, reasons)


def _made(inventory: Inventory, pairing: Pairing, reasons: tuple[str, ...], remarks: tuple[str, ...] = ()) -> Creation:
    return Creation(
        pairing=pair_views.view(inventory, pairing),
        changed=True,
        method=pairing.method,
        reasons=reasons,
        remarks=remarks,
    )
