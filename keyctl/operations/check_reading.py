"""What connected keys say to a health check: all read at the same time, without a PIN, a touch or a question."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from keyctl.core.health_facts import KeyReading, Unreachable
from keyctl.errors import KeyctlError, NotFoundError, StoreError
from keyctl.model import KeyState, Waits
from keyctl.operations import at_once, information, key_copies, key_reading, opening, recognising, unattended
from keyctl.operations.probing import Probed
from keyctl.operations.readings import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.device.discover import Found
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.recognising import Known


@dataclass(frozen=True, kw_only=True)
class ReadKey:
    """One connected key, and what it said."""

    #: None: it answered to no name.
    key_id: str | None
    label: str
    reading: KeyReading
    #: Pairing id -> whether the record on this key is the inventory's; only those that could be compared.
    records: Mapping[str, bool] = field(default_factory=dict)


def read_found(
    circumstances: Circumstances, known: Known, found: Sequence[Found]
) -> tuple[tuple[ReadKey, ...], tuple[Unreachable, ...]]:
    """Read every key among *found*, each once, and tell which could not be reached."""
    silent = replace(circumstances, waits=Waits(touch_s=0.0, plug_s=0.0, lock_s=circumstances.waits.lock_s))
    results = at_once.each(found, lambda one: _read_one(silent, known, one))
    read: list[ReadKey] = []
    unreachable: list[Unreachable] = []
    for own, result in zip(found, results, strict=True):
        if isinstance(result, KeyctlError):
            # A reader with another card is no key.
            if result.code != "no_card":
                unreachable.append(as_unreachable(own.selector, result))
        elif result.key_id is None or all(other.key_id != result.key_id for other in read):
            read.append(result)
    present = {one.key_id for one in read}
    return tuple(_without_remark(one, known.inventory, present) for one in read), tuple(unreachable)


def read_named(circumstances: Circumstances, known: Known, name: str) -> ReadKey:
    """Read the one key that was named.

    Raises:
        KeyChoiceError: It is not connected.
        UnreachableError: It cannot be opened or does not answer.
    """
    waits = replace(circumstances.waits, touch_s=0.0)
    wanted = replace(circumstances, wanted=name, waits=waits)
    with opening.opened(wanted, by_touch=False, remarking=False) as session:
        read = read_session(session, circumstances, known)
    if read.key_id is not None or read.reading.remark is None:
        return read
    # Loaded only where it matters which keys are connected beside it.
    from keyctl.operations import listing

    others = listing.list_keys(replace(wanted, wanted=None), listing.Filter(connected=True)).keys
    return _without_remark(read, known.inventory, {key.id for key in others})


def read_session(session: Session, circumstances: Circumstances, known: Known) -> ReadKey:
    """What an open and recognised key says, with one short command, and one more for each record on it.

    One that can be read without its PIN, see :mod:`keyctl.operations.unattended`, is read, and what it opens is noted.

    Raises:
        UnreachableError: It is gone or silent.
    """
    _read_by_token(session, circumstances, known)
    key, info = session.key, session.info
    retries = session.pin_retries() if info.pin_set else None
    reading = KeyReading(
        recognition=key.recognition,
        remark=recognising.remark(key, known.inventory),
        pin_supported=info.pin_supported,
        pin_set=info.pin_set,
        tries_left=retries.left if retries is not None else None,
        power_cycle_needed=retries is not None and retries.power_cycle_needed,
        change_required=info.force_pin_change,
        min_pin_length=info.min_pin_length,
        listing=info.listing,
        remaining=info.remaining_passkeys,
        enterprise_attestation=info.options.get("ep"),
        identity=information.identity(session),
    )
    return ReadKey(
        key_id=key.id, label=key.label, reading=reading, records=_records(session, circumstances, known.inventory)
    )


def as_unreachable(selector: str, error: KeyctlError) -> Unreachable:
    """What was in the way of a key."""
    return Unreachable(selector=selector, code=error.code, message=error.message, hint=error.hint)


def _read_by_token(session: Session, circumstances: Circumstances, known: Known) -> None:
    """Read its passkeys where a token permits it; where they are the same as before, nothing more is sent."""
    record = known.inventory.key_with_id(session.key.id or "")
    if record is None or record.state is not KeyState.ACTIVE:
        return
    permit = unattended.permit(session, circumstances, record)
    if permit is None:
        return
    if permit.unchanged:
        # Its registrations are for a scan: each would cost a command.
        reading = Reading(listing=None, probed=Probed(answered=(), silent=()), permit=permit)
    else:
        reading = key_reading.read(session, record, (), permit)
    with contextlib.suppress(StoreError, NotFoundError):
        # What cannot be noted is read again the next time.
        key_reading.noted(circumstances, known, (session, reading), dry_run=False)


def _read_one(circumstances: Circumstances, known: Known, found: Found) -> ReadKey | KeyctlError:
    try:
        with opening.recognised(found, circumstances, known) as session:
            return read_session(session, circumstances, known)
    except KeyctlError as error:
        return error


def _without_remark(read: ReadKey, inventory: Inventory, present: set[str | None]) -> ReadKey:
    """*read* without the remark that it may be a known key, where those of its model are all there."""
    aaguid = read.reading.identity.aaguid
    absent = [
        key for key in inventory.keys if key.aaguid is not None and key.aaguid == aaguid and key.id not in present
    ]
    if read.key_id is not None or absent:
        return read
    return replace(read, reading=replace(read.reading, remark=None))


def _records(session: Session, circumstances: Circumstances, inventory: Inventory) -> dict[str, bool]:
    """How the records on a proved key compare."""
    if session.key.id is None or session.key.recognition not in recognising.PROVEN:
        return {}
    found = {}
    find = session.blobs.finder()
    for pairing in inventory.pairings_of(session.key.id):
        if pairing.retired_at is None:
            same = _same_record(session, circumstances, pairing, find)
            if same is not None:
                found[pairing.id] = same
    return found


def _same_record(
    session: Session, circumstances: Circumstances, pairing: Pairing, find: Callable[[bytes], bytes | None]
) -> bool | None:
    try:
        return key_copies.matches(session, circumstances, pairing, find)
    except StoreError:
        # A newer keyctl wrote it: that says nothing.
        return None
