"""Reading the plugged-in known keys, all at the same time, and noting what they open."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import times
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
    UsageError,
)
from keyctl.model import Recognition, Transport
from keyctl.operations import at_once, noting, opening, probing, readings, recognising, unlocking
from keyctl.operations.readings import Entry, Reading
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from keyctl.core.inventory import KnownKey, Origin, Registration
    from keyctl.device.discover import Found
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.local_credentials import LocalCredential, LocalFindings
    from keyctl.operations.recognising import Known


@dataclass(frozen=True, kw_only=True)
class ScannedKey:
    """What one key opens, and what is new."""

    key: Key
    #: How many passkeys it listed; None: they were not read.
    passkeys: int | None
    #: False: the key stopped half-way, so that nothing is taken for removed.
    complete: bool
    #: How many registrations are known on it.
    registrations: int
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    #: Registrations that did not answer, which says nothing: they are kept.
    unknown: tuple[Entry, ...]
    #: Why passkeys were not read, where that is no failure; None otherwise.
    note: str | None


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
        ready = _made_ready(sessions, circumstances, known, local, errors)
        told = _read_each(ready, known, local, errors)
        scanned = [_noted(circumstances, known, *one, errors, dry_run=dry_run) for one in told]
        strangers = tuple(session.key for session in sessions if session.key.id is None)
        present = {session.key.id for session in sessions}
        remarks = [recognising.remark(session.key, known.inventory, present) for session in sessions]
    if not ready and not errors:
        errors.append(_nothing_known(strangers))
    probed = [(session.key.name, reading.probed) for session, reading in told if reading.probed is not None]
    holders = {entry.credential_id: name for name, found in probed for entry in found.answered}
    report = Scan(
        keys=tuple(key for key in scanned if key is not None),
        unknown_keys=strangers,
        local=tuple(_local(entry, holders) for entry in local) if findings is not None else None,
        remarks=(*filter(None, remarks), *(findings.remarks if findings is not None else ())),
    )
    return report, (*errors, *(findings.problems if findings is not None else ()))


def read_one(session: Session, circumstances: Circumstances, known: Known) -> ScannedKey:
    """Read a known key that is open, has proved itself and is unlocked where that is needed, and note what it opens.

    Raises:
        PinError: The PIN is wrong or blocked.
        UnreachableError: The key is gone, silent, or answers nonsense.
        StoreError: The inventory cannot be written.
        NotFoundError: The key was forgotten in the meantime.
    """
    record = known.inventory.key_with_id(session.key.id or "")
    if record is None:
        raise _otherwise(session.key)
    reading = _read(session, record, ())
    if reading.refused is not None:
        raise reading.refused
    errors: list[KeyctlError] = []
    scanned = _noted(circumstances, known, session, reading, errors, dry_run=False)
    if scanned is None:
        raise errors[0]
    return scanned


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


def _made_ready(
    sessions: Sequence[Session],
    circumstances: Circumstances,
    known: Known,
    local: Sequence[LocalCredential],
    errors: list[KeyctlError],
) -> list[Session]:
    """Ask for the PINs and the touches that are needed, one after the other.

    Returns:
        The keys that can be read, each once.
    """
    ours = [session for session in sessions if session.key.recognition in recognising.NAMED | {Recognition.LOCKED}]
    wanting = [session for session in ours if _wants_pin(session)]
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
    sessions: Sequence[Session], known: Known, local: Sequence[LocalCredential], errors: list[KeyctlError]
) -> list[tuple[Session, Reading]]:
    """Read all keys at the same time; one that fails leaves the others."""

    def read_one(session: Session) -> Reading | KeyctlError:
        record = known.inventory.key_with_id(session.key.id or "")
        try:
            return _read(session, record, local) if record is not None else _otherwise(session.key)
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


def _read(session: Session, record: KnownKey, local: Sequence[LocalCredential]) -> Reading:
    listing = None
    refused = None
    if session.has_pin and session.info.listing:
        try:
            listing = session.list_passkeys()
        except PinError as error:
            refused = error
    proven = session.key.recognition in recognising.PROVEN
    probed = probing.probe(session, record, local) if proven else None
    return Reading(listing=listing, probed=probed, refused=refused)


def _noted(
    circumstances: Circumstances,
    known: Known,
    session: Session,
    reading: Reading,
    errors: list[KeyctlError],
    *,
    dry_run: bool,
) -> ScannedKey | None:
    """Write down what a key said, and tell what is new; None where that cannot be done."""
    now = times.now()
    key = session.key
    try:
        with contextlib.ExitStack() as stack:
            if dry_run:
                inventory = store.read(circumstances.home)
            else:
                changes = stack.enter_context(store.changing(circumstances.home, circumstances.waits.lock_s))
                inventory = changes.inventory
            before = inventory.key_with_id(key.id or "")
            read = known.inventory.key_with_id(key.id or "")
            if before is None or read is None or before.recognition != read.recognition:
                # Forgotten, or another key has its place by now.
                raise _otherwise(key)
            after = readings.updated(before, key, reading, now)
            if not dry_run:
                changes.put_key(after)
    except (StoreError, NotFoundError) as error:
        errors.append(error.about(key.label))
        return None
    listing = reading.listing
    return ScannedKey(
        key=key,
        passkeys=len(readings.of_sites(listing)) if listing is not None else None,
        complete=listing is not None and listing.complete,
        registrations=sum(entry.reset_at is None for entry in after.registrations),
        added=tuple(readings.only_in(after, before)),
        removed=tuple(readings.only_in(before, after)),
        unknown=tuple(readings.of_registration(entry) for entry in _silent(before, reading)),
        note=_why_not(session, reading),
    )


def _otherwise(key: Key) -> NotFoundError:
    """Another process has changed what is known of the key."""
    return NotFoundError(
        "name_not_found", f"what is known of {key.label} changed while it was read", "run the command again"
    )


def _silent(known: KnownKey, reading: Reading) -> Iterable[Registration]:
    """The registrations on file that did not answer, or were not asked for."""
    if reading.probed is not None:
        return reading.probed.silent
    return (entry for entry in known.registrations if entry.reset_at is None)


def _why_not(session: Session, reading: Reading) -> str | None:
    """Why nothing was read, where that is no failure."""
    if reading.listing is not None:
        return None
    if session.is_u2f:
        proof = "" if reading.probed is not None else "; what else is on it, it tells after a touch only"
        return f"it only knows U2F, so it has no passkeys{proof}"
    if not session.info.listing:
        return "it cannot list its passkeys"
    if not session.info.pin_set:
        return (
            "it has no PIN, and without one a key does not tell its passkeys; "
            f"give it one with `keyctl pin set -k {quoted(session.key.label)}`"
        )
    return None


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
