"""What a health check has to go by: the inventory, this computer's state, and the keys that are connected."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import inventory_digest
from keyctl.core.health_facts import Export, Facts, KeyFacts, PairingFacts, Unreachable
from keyctl.core.names import composed
from keyctl.device.discover import READER_PROBLEMS, discover
from keyctl.errors import KeyChoiceError, StoreError
from keyctl.model import Access, KeyState, Recognition, Transport
from keyctl.operations import pair_choice
from keyctl.store import check_results, health_files
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.health_limits import Limits
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.errors import KeyctlError
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.check_reading import ReadKey


@dataclass(frozen=True, kw_only=True)
class Drills:
    """Which drills failed or could not be held, and why."""

    #: By the id of a key or a pairing.
    failed: Mapping[str, str] = field(default_factory=dict)
    omitted: Mapping[str, KeyctlError] = field(default_factory=dict)
    #: Of the keys that were named: why their drills could not be held.
    errors: tuple[KeyctlError, ...] = ()

    def omission(self, subject_id: str) -> str | None:
        """Why the drill of a key or a pairing could not be held, in words; None: it was, or was not wanted."""
        error = self.omitted.get(subject_id)
        return None if error is None else error.message


def gather(circumstances: Circumstances, names: Sequence[str], limits: Limits, drills: Drills, *, now: str) -> Facts:
    """Everything that the rules go by.

    Args:
        circumstances: What the command line says.
        names: The keys to look at; none: all, and the whole.
        limits: From ``health.toml``.
        drills: What came of the drills of just now.
        now: The time.

    Raises:
        KeyChoiceError: A key that was named is not connected.
        UnreachableError: A key that was named cannot be opened or does not answer.
        StoreError: The inventory is not whole.
    """
    inventory = store.read_whole(circumstances.home)
    # Before keys are read, which notes when they were.
    noted_at = latest_note(circumstances, inventory)
    read, unreachable = _named(circumstances, inventory, names) if names else _connected(circumstances, inventory)
    if read:
        # Some may have been read by their token, and what they open is noted.
        inventory = store.read_whole(circumstances.home)
    return Facts(
        now=now,
        limits=limits,
        inventory=inventory,
        keys=_keys(circumstances, inventory, names, read, drills),
        pairings=_pairings(circumstances, inventory, names, read, drills),
        unreachable=unreachable,
        export=_export(circumstances, inventory),
        noted_at=noted_at,
        whole=not names,
    )


def subjects(inventory: Inventory) -> tuple[KnownKey, ...]:
    """The keys to look at: those for trying out only where there are no others."""
    physical = any(not key.virtual for key in inventory.keys)
    return tuple(key for key in inventory.keys if not (key.virtual and physical))


def known_key(circumstances: Circumstances, inventory: Inventory, text: str) -> KnownKey | None:
    """The key that ``--key`` means by *text*, by its name, or where it is connected by how it is selected there.

    It is not asked for anything but which one it is. None: there is no such key, or it has no name.
    """
    known = inventory.key_named(composed(text))
    if known is not None:
        return known
    # Loaded only where it is no name.
    from keyctl.operations import listing

    try:
        keys = listing.list_keys(replace(circumstances, wanted=text), listing.Filter(connected=True)).keys
    except KeyChoiceError:
        return None
    ids = {key.id for key in keys if key.id is not None}
    return inventory.key_with_id(ids.pop()) if len(ids) == 1 else None


def _named(
    circumstances: Circumstances, inventory: Inventory, names: Sequence[str]
) -> tuple[tuple[ReadKey, ...], tuple[Unreachable, ...]]:
    from keyctl.operations import check_reading
    from keyctl.operations.recognising import Known

    known = Known(inventory=inventory, state=circumstances.state)
    return tuple(check_reading.read_named(circumstances, known, name) for name in dict.fromkeys(names)), ()


def _connected(
    circumstances: Circumstances, inventory: Inventory
) -> tuple[tuple[ReadKey, ...], tuple[Unreachable, ...]]:
    if not inventory.keys:
        return (), ()
    discovery = discover(circumstances.home)
    trying_out = any(key.virtual for key in subjects(inventory))
    found = [one for one in discovery.found if one.transport is not Transport.VIRTUAL or trying_out]
    denied = [one for one in found if one.access is Access.DENIED]
    problems = [
        Unreachable(
            selector=problem.key or problem.details.file or "a key",
            code=problem.code,
            message=problem.message,
            hint=problem.hint,
        )
        for problem in discovery.problems
        if problem.code not in READER_PROBLEMS
    ]
    reachable = [one for one in found if one not in denied]
    if not reachable and not denied:
        return (), tuple(problems)
    # Loaded only where there is a key: most checks run while all keys lie in their drawers.
    from keyctl.device import errors
    from keyctl.operations import check_reading
    from keyctl.operations.recognising import Known

    problems += [check_reading.as_unreachable(one.selector, errors.denied(one.selector)) for one in denied]
    known = Known(inventory=inventory, state=circumstances.state)
    read, unreachable = check_reading.read_found(circumstances, known, reachable)
    return read, (*problems, *unreachable)


def _keys(
    circumstances: Circumstances,
    inventory: Inventory,
    names: Sequence[str],
    read: Sequence[ReadKey],
    drills: Drills,
) -> tuple[KeyFacts, ...]:
    by_id = {one.key_id: one for one in read if one.key_id is not None}
    wanted = [key for key in subjects(inventory) if not names]
    wanted += [key for key in inventory.keys if names and key.id in by_id]
    known = [
        KeyFacts(
            label=key.name,
            known=key,
            reading=by_id[key.id].reading if key.id in by_id else None,
            **_absence(key, read),
            drilled_at=health_files.read_drill(circumstances.home, key.id),
            drill_failure=drills.failed.get(key.id),
            drill_omission=drills.omission(key.id),
            highest_counter=local_state.read_memory(circumstances.state, key.id).counter,
            **_loss(circumstances, inventory, key),
        )
        for key in wanted
    ]
    strangers = [KeyFacts(label=one.label, known=None, reading=one.reading) for one in read if one.key_id is None]
    return (*known, *strangers)


def _absence(key: KnownKey, read: Sequence[ReadKey]) -> dict[str, Any]:
    """Why a key was not seen, where it may be one that says without its PIN not which one it is."""
    locked = [
        one.label
        for one in read
        if one.reading.recognition is Recognition.LOCKED
        and key.aaguid is not None
        and one.reading.identity.aaguid == key.aaguid
    ]
    return {"absence": f"may be {' or '.join(locked)}, which wants its PIN before it says so"} if locked else {}


def _loss(circumstances: Circumstances, inventory: Inventory, key: KnownKey) -> dict[str, Any]:
    """What is left to do about a lost key, and why what was ticked off cannot be read."""
    if key.state is not KeyState.LOST:
        return {}
    # Loaded only where a key is lost.
    from keyctl.operations import unfinished_losses

    steps, problem = unfinished_losses.open_steps(circumstances, inventory, key)
    return {"open_steps": steps, "ticks_problem": problem.message if problem is not None else None}


def _pairings(
    circumstances: Circumstances,
    inventory: Inventory,
    names: Sequence[str],
    read: Sequence[ReadKey],
    drills: Drills,
) -> tuple[PairingFacts, ...]:
    named = {one.key_id for one in read}
    pairings = [
        pairing
        for pairing in inventory.pairings
        if pairing.retired_at is None and (not names or named & {pairing.primary_id, pairing.backup_id})
    ]
    return tuple(_pairing(circumstances, inventory, pairing, read, drills) for pairing in pairings)


def _pairing(
    circumstances: Circumstances, inventory: Inventory, pairing: Pairing, read: Sequence[ReadKey], drills: Drills
) -> PairingFacts:
    seed_hash, seed_problem = pairing.seed_hash, None
    not_recomputed: tuple[str, ...] = ()
    if pairing.seed is not None:
        try:
            seed_hash, not_recomputed = _recomputed(pairing)
        except StoreError as error:
            seed_problem = error.message
    return PairingFacts(
        pairing=pairing,
        label=_label(inventory, pairing),
        seed_trusted=_is_trusted(circumstances, inventory, pairing, seed_hash),
        records={one.label: one.records[pairing.id] for one in read if pairing.id in one.records},
        record_seen_at=check_results.read_record_seen(circumstances.state, pairing.id),
        not_recomputed=not_recomputed,
        seed_problem=seed_problem,
        drill_failure=drills.failed.get(pairing.id),
        drill_omission=drills.omission(pairing.id),
    )


def _recomputed(pairing: Pairing) -> tuple[bytes, tuple[str, ...]]:
    """The hash of the seed as it is pinned, and the targets whose key does not follow from it.

    Raises:
        StoreError: The seed makes no sense, or was written by a newer keyctl.
    """
    from keyctl.core import derivations, seed_cose

    assert pairing.seed is not None
    points = derivations.public_seed(pairing.seed)
    wrong = tuple(key.target for key in pairing.derived if not derivations.recomputes(pairing.seed, key))
    return sha256(seed_cose.encode_seed(points)).digest(), wrong


def _is_trusted(
    circumstances: Circumstances, inventory: Inventory, pairing: Pairing, seed_hash: bytes | None
) -> bool | None:
    # Loaded only where two keys are paired.
    from keyctl.operations import seed_trust

    try:
        return seed_trust.is_trusted(circumstances, inventory, pairing, seed_hash)
    except StoreError:
        # A damaged pin vouches for nothing.
        return False


def _label(inventory: Inventory, pairing: Pairing) -> str:
    """PRIMARY/BACKUP; two pairings of the same two keys are told apart by their ids only."""
    label = pair_choice.label(inventory, pairing)
    same = [one for one in inventory.pairings if pair_choice.label(inventory, one) == label]
    return label if len(same) == 1 else pairing.id


def _export(circumstances: Circumstances, inventory: Inventory) -> Export | None:
    exported = check_results.read_export(circumstances.state)
    if exported is None:
        return None
    at, digest = exported
    return Export(exported_at=at, changed=digest != inventory_digest.digest(inventory))


def latest_note(circumstances: Circumstances, inventory: Inventory) -> str | None:
    """The latest time that this computer's own state tells of; None: of none."""
    moments = [local_state.read_memory(circumstances.state, key.id).last_seen for key in inventory.keys]
    moments.append(check_results.read_last_time(circumstances.state))
    return max((moment for moment in moments if moment is not None), default=None)
