"""Bringing a pairing back from a key that carries it: on a new computer, or after the inventory was lost.

Whoever had the key and its PIN could have planted a record there. So from the backup key it ends with a drill, which is
the proof; from the primary key a person compares the fingerprint, and the pairing is not verified until the next drill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.names import composed
from keyctl.errors import Details, KeyctlError, NotFoundError, UnsupportedError
from keyctl.model import Role
from keyctl.operations import key_copies, naming, noting, opening, pair_views, unlocking
from keyctl.operations.record_restoring import RecordRestoring, is_on_backup, name_of
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_copies import FoundCopy
    from keyctl.operations.pair_views import PairingView


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What came of reading a key's records."""

    key: Key
    #: All pairings that the key carries, as they are in the inventory now; empty in a dry run.
    pairings: tuple[PairingView, ...]
    changed: bool
    #: Whether the key got its name by this, as its record says.
    enrolled: bool


def restore(circumstances: Circumstances, which: str | None = None, *, dry_run: bool) -> Restoration:
    """Read the records on the connected key, and put what they say into the inventory.

    A key that is not known here gets the name that its record says, with a touch.

    Args:
        circumstances: What the command line says; its key is the device.
        which: The one to restore, of several that the key carries: the backup key's name or PRIMARY/BACKUP, as the
            record has them, or the pairing's id; None: all.
        dry_run: Read and compare, change nothing.

    Raises:
        NotFoundError: The key carries no pairing (``record_not_found``).
        StoreError: A record was written by a newer keyctl, or contradicts what is trusted here.
        UnreachableError: A record is not the one that was stored there (``record_changed``), or the backup key does not
            hold the seed that its record names.
        DeclinedError: The fingerprint was not the one asked for.
        UsageError: There is nobody to compare it (``confirm_required``).
        PinError: The PIN is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
    """
    store.read_whole(circumstances.home)
    if not dry_run:
        noting.require_writable(circumstances)
    with opening.opened(circumstances) as session:
        _require_listing(session)
        unlocking.require_current_pin_usable(session)
        # A process of its own may need it later.
        pin = unlocking.unlock(session, circumstances)
        # Drills last: the process of its own that one may need takes the connection's place.
        problems: list[KeyctlError] = []
        copies = sorted(
            key_copies.find_all(session, problems), key=lambda copy: (is_on_backup(copy), copy.record.method)
        )
        if not copies:
            raise problems[0] if problems else _nothing_there(session)
        for problem in problems:
            # It does not keep the others from being restored.
            circumstances.asker.tell(f"left out: {problem.message}")
        if which is not None:
            copies = _chosen(session, copies, which)
        if dry_run:
            for copy in copies:
                circumstances.asker.tell(f"{session.key.label} carries the pairing {name_of(copy.record)}")
            return Restoration(key=session.key, pairings=(), changed=False, enrolled=False)
        return _restored(
            session, circumstances, [RecordRestoring(session, circumstances, copy, pin) for copy in copies]
        )


def _restored(session: Session, circumstances: Circumstances, records: Sequence[RecordRestoring]) -> Restoration:
    """All of *records*, or none: first comes whatever may speak against one."""
    for record in records:
        record.require_consistent()
    records = _comparable(circumstances, records)
    if session.key.id is None:
        # Before a touch or a person's work is in vain.
        naming.require_free(session, store.read(circumstances.home), _former_name(records[0].copy))
    for record in records:
        record.check()
    enrolled = session.key.id is None
    if enrolled:
        _enrol(session, circumstances, records[0].copy)
    for record in records:
        record.check_named(just_now=enrolled)
    changed = [record.write() for record in records]
    restored_ids = {record.copy.record.pairing_id for record in records}
    inventory = store.read(circumstances.home)
    return Restoration(
        key=session.key,
        pairings=tuple(
            pair_views.view(inventory, pairing) for pairing in inventory.pairings if pairing.id in restored_ids
        ),
        changed=enrolled or any(changed),
        enrolled=enrolled,
    )


def _comparable(circumstances: Circumstances, records: Sequence[RecordRestoring]) -> Sequence[RecordRestoring]:
    """Those whose fingerprint needs no comparing, or can be compared; an option may be that of one of several.

    Raises:
        UsageError: There is nobody to compare one (``confirm_required``).
        DeclinedError: The option is the fingerprint of none of them.
    """
    can_compare = circumstances.asker.can_compare
    left_out = [record for record in records if record.wants_comparison and not can_compare(record.fingerprint)]
    taken = [record for record in records if record not in left_out]
    if left_out and not any(can_compare(record.fingerprint) for record in taken):
        left_out[0].compare()
    for record in left_out:
        name = name_of(record.copy.record)
        circumstances.asker.tell(f"left out: the pairing {name}, whose fingerprint is not the one that was given")
    return taken


def _require_listing(session: Session) -> None:
    if session.is_u2f or not session.info.listing:
        label = session.key.label
        raise UnsupportedError(
            "unsupported",
            f"{label} cannot tell which pairings it carries",
            "use the other key of the pairing, or `keyctl inventory import` with a copy",
            key=label,
        )


def _nothing_there(session: Session) -> NotFoundError:
    label = session.key.label
    if key_copies.carries_seed_alone(session):
        return NotFoundError(
            "record_not_found",
            f"{label} carries the seed of its backup key but not the pairing: it has no large blobs",
            "run the command with the backup key, or `keyctl inventory import` with a copy",
            key=label,
        )
    return NotFoundError(
        "record_not_found",
        f"{label} carries no pairing",
        "run the command with the other key, or pair the two: `keyctl pair create PRIMARY BACKUP`",
        key=label,
    )


def _chosen(session: Session, copies: Sequence[FoundCopy], which: str) -> list[FoundCopy]:
    """Those of *copies* that are meant."""
    wanted = composed(which)
    found = [
        copy for copy in copies if wanted in {copy.record.backup_name, name_of(copy.record), copy.record.pairing_id}
    ]
    if not found:
        label = session.key.label
        names = tuple(name_of(copy.record) for copy in copies)
        raise NotFoundError(
            "record_not_found",
            f"{label} carries no pairing {which}",
            f"it carries {', '.join(names)}",
            key=label,
            details=Details(candidates=names),
        )
    return found


def _former_name(copy: FoundCopy) -> str:
    """What the key was called that carries *copy*."""
    return copy.record.backup_name if is_on_backup(copy) else copy.record.primary_name


def _enrol(session: Session, circumstances: Circumstances, copy: FoundCopy) -> None:
    """Give an unknown key the name and number that its record says."""
    name = _former_name(copy)
    key_id = copy.record.backup_id if is_on_backup(copy) else copy.record.primary_id
    circumstances.asker.tell(f"{session.key.label} is not known here; by its record it is {name}, so it gets that name")
    role = Role.BACKUP if is_on_backup(copy) else Role.PRIMARY
    naming.enrol(session, circumstances, name, naming.Notes(role=role), key_id=key_id)
