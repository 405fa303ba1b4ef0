"""Reading the plugged-in known keys, all at the same time, and noting what they open."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.names import quoted
from keyctl.device import choose, discover
from keyctl.errors import (
    DeclinedError,
    KeyChoiceError,
    KeyctlError,
    NotFoundError,
    PinError,
    StoreError,
    TouchError,
    UnreachableError,
    UsageError,
)
from keyctl.model import Recognition, Transport
from keyctl.operations import at_once, key_reading, noting, opening, probing, recognising, unattended, unlocking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.inventory import Origin
    from keyctl.device.discover import Found
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_reading import ScannedKey
    from keyctl.operations.local_credentials import LocalCredential, LocalFindings
    from keyctl.operations.readings import Reading
    from keyctl.operations.recognising import Known
    from keyctl.operations.unattended import Permit


@dataclass(frozen=True, kw_only=True)
class LocalEntry:
    """A credential that a file of this computer uses, and which key holds it."""

    origin: Origin
    file: str
    rp_id: str | None
    account: str | None
    credential_id: bytes | None
    #: ``readable``, ``locked`` (by a passphrase) or ``resident`` (only the key has it).
    state: str
    #: The name of the key that answered; None: none of those that are connected.
    key: str | None


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What came of a scan."""

    keys: tuple[ScannedKey, ...]
    #: Connected keys that have no name here.
    unknown_keys: tuple[Key, ...]
    #: None: this computer's files were not looked at.
    local: tuple[LocalEntry, ...] | None
    #: What there is to say beside, for people.
    remarks: tuple[str, ...]


def scan(
    circumstances: Circumstances, *, findings: LocalFindings | None, dry_run: bool
) -> tuple[Scan, tuple[KeyctlError, ...]]:
    """Read every connected known key, and note what it opens.

    Args:
        circumstances: What the command line says; ``--key`` leaves one key.
        findings: The credentials that files of this computer use, or None.
        dry_run: Note nothing.

    Returns:
        What was read, and what went wrong. Of a key that failed nothing is noted; one that only lacks its PIN is asked
        for its registrations all the same.

    Raises:
        KeyChoiceError: No key is connected, and there are no *findings* to tell of.
        UsageError: Several PINs are needed, and they come from a place that does not say whose they are.
        DeclinedError: The person wants no more of it.
        StoreError: The inventory cannot be read or written.
    """
    known = recognising.known(circumstances)
    known.inventory.require_whole()
    if known.inventory.keys and not dry_run:
        noting.require_writable(circumstances)
    local = findings.credentials if findings is not None else ()
    errors: list[KeyctlError] = []
    with contextlib.ExitStack() as stack:
        try:
            sessions = _sessions(circumstances, known, stack, errors)
        except KeyChoiceError as error:
            if findings is None:
                raise
            sessions = []
            errors.append(error)
        permits = _permits(sessions, circumstances, known)
        ready = _made_ready(sessions, circumstances, known, local, errors, permits=permits)
        told = _read_each(ready, permits, known, local, errors)
        scanned = []
        for one in told:
            try:
                scanned.append(key_reading.noted(circumstances, known, one, dry_run=dry_run))
            except (StoreError, NotFoundError) as error:
                errors.append(error)
        strangers = tuple(session.key for session in sessions if session.key.id is None)
        present = {session.key.id for session in sessions}
        remarks = [recognising.remark(session.key, known.inventory, present) for session in sessions]
    if not ready and not errors:
        errors.append(_nothing_known(strangers))
    probed = [(session.key.name, reading.probed) for session, reading in told if reading.probed is not None]
    holders = {entry.credential_id: name for name, found in probed for entry in found.answered}
    report = Scan(
        keys=tuple(scanned),
        unknown_keys=strangers,
        local=tuple(_local(entry, holders) for entry in local) if findings is not None else None,
        remarks=(*filter(None, remarks), *(findings.remarks if findings is not None else ())),
    )
    return report, (*errors, *(findings.problems if findings is not None else ()))


def _nothing_known(strangers: Sequence[Key]) -> KeyChoiceError:
    key = f" -k {quoted(strangers[0].selector or '')}" if strangers else ""
    return KeyChoiceError(
        "no_key",
        "no connected key is known, so nothing was read",
        f"give it a name first: `keyctl add NAME{key}`",
    )


def _sessions(
    circumstances: Circumstances, known: Known, stack: contextlib.ExitStack, errors: list[KeyctlError]
) -> list[Session]:
    """Every key, open and recognised; closed by *stack*."""
    if circumstances.wanted is not None:
        return [stack.enter_context(opening.opened(circumstances, remarking=False))]
    discovery = discover.discover(circumstances.home)
    if not discovery.found:
        raise choose.no_key(discovery)
    errors += [problem for problem in discovery.problems if problem.code == "access_denied"]

    def open_all(candidates: Sequence[Found]) -> list[Session]:
        sessions = []
        for opened in at_once.each(candidates, lambda found: _opened(found, circumstances, known)):
            if isinstance(opened, KeyctlError):
                errors.append(opened)
            elif opened is not None:
                sessions.append(stack.enter_context(opening.attended_to(opened, circumstances)))
        return sessions

    virtual = [found for found in discovery.found if found.transport is Transport.VIRTUAL]
    sessions = open_all([found for found in discovery.found if found not in virtual])
    # As everywhere: virtual keys are meant only where there are no others; one on USB is as good as a physical one.
    physical = [session for session in sessions if session.key.transport is Transport.USB or not session.key.virtual]
    if physical or any(found.transport is Transport.USB for found in discovery.found):
        return physical
    return sessions + open_all(virtual)


def _opened(found: Found, circumstances: Circumstances, known: Known) -> Session | KeyctlError | None:
    """The key, open and recognised, or why not; None: there is no key."""
    try:
        return opening.recognised(found, circumstances, known)
    except KeyctlError as error:
        return error.about(found.selector) if error.code != "no_card" else None


def _permits(sessions: Sequence[Session], circumstances: Circumstances, known: Known) -> dict[Session, Permit]:
    """The keys that can be read without a PIN; none where PINs are given, with which more of a key can be read."""
    permits: dict[Session, Permit] = {}
    if circumstances.pins_given:
        return permits
    for session in sessions:
        record = known.inventory.key_with_id(session.key.id or "")
        # A key that fails now will do so again when it is read, and is told of then.
        with contextlib.suppress(UnreachableError):
            if record is not None and (permit := unattended.permit(session, circumstances, record)) is not None:
                permits[session] = permit
    return permits


def _made_ready(
    sessions: Sequence[Session],
    circumstances: Circumstances,
    known: Known,
    local: Sequence[LocalCredential],
    errors: list[KeyctlError],
    *,
    permits: Mapping[Session, Permit],
) -> list[Session]:
    """Ask for the PINs and the touches that are needed, one after the other.

    Returns:
        The keys that can be read, each once.
    """
    ours = [session for session in sessions if session.key.recognition in recognising.NAMED | {Recognition.LOCKED}]
    wanting = [session for session in ours if _wants_pin(session) and session not in permits]
    circumstances.asker.check_pins_for(len({session.key.id or session.key.selector for session in wanting}))
    ready: dict[str, Session] = {}
    for session in ours:
        if session.key.id in ready:
            # It is here in two ways.
            continue
        try:
            if session.key.recognition is Recognition.CLAIMED:
                _prove(session, circumstances, known, local)
            if session.key.recognition is Recognition.CHANGED:
                unlocking.require_trust(session, circumstances)
            if session in wanting:
                unlocking.require_current_pin_usable(session)
                unlocking.unlock(session, circumstances)
        except (DeclinedError, UsageError):
            raise
        except (PinError, TouchError) as error:
            # It can be asked for what it tells without.
            errors.append(error.about(session.key.label))
        except KeyctlError as error:
            errors.append(error.about(session.key.label))
            continue
        if session.key.id is not None:
            ready.setdefault(session.key.id, session)
    return list(ready.values())


def _wants_pin(session: Session) -> bool:
    """Whether the key does not tell its passkeys, or which key it is, without its PIN."""
    return session.info.pin_set and (session.info.listing or session.key.recognition is Recognition.LOCKED)


def _prove(session: Session, circumstances: Circumstances, known: Known, local: Sequence[LocalCredential]) -> None:
    """Have a U2F key prove itself by a touch, where somebody is there and there is something to ask it then."""
    record = known.inventory.key_with_id(session.key.id or "")
    if record is not None and circumstances.waits.touch_s > 0 and probing.has_questions(record, local):
        recognising.prove_by_touch(session, known)


def _read_each(
    sessions: Sequence[Session],
    permits: Mapping[Session, Permit],
    known: Known,
    local: Sequence[LocalCredential],
    errors: list[KeyctlError],
) -> list[tuple[Session, Reading]]:
    """Read all keys at the same time; one that fails leaves the others."""

    def read_one(session: Session) -> Reading | KeyctlError:
        record = known.inventory.key_with_id(session.key.id or "")
        try:
            if record is None:
                return key_reading.otherwise(session.key)
            return key_reading.read(session, record, local, permits.get(session))
        except KeyctlError as error:
            return error.about(session.key.label)

    told: list[tuple[Session, Reading]] = []
    for session, result in zip(sessions, at_once.each(sessions, read_one), strict=True):
        if isinstance(result, KeyctlError):
            errors.append(result)
            continue
        told.append((session, result))
        if result.refused is not None:
            errors.append(result.refused.about(session.key.label))
    return told


def _local(entry: LocalCredential, holders: Mapping[bytes, str | None]) -> LocalEntry:
    return LocalEntry(
        origin=entry.origin,
        file=entry.file,
        rp_id=entry.rp_ids[0] if entry.rp_ids else None,
        account=entry.account,
        credential_id=entry.credential_id,
        state=entry.state,
        key=holders.get(entry.credential_id) if entry.credential_id is not None else None,
    )
