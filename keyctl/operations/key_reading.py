"""Reading one known key, and noting what it opens."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.errors import NotFoundError, PinError, StoreError
from keyctl.operations import probing, readings, recognising, unattended
from keyctl.operations.readings import Entry, Reading
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keyctl.core.inventory import KnownKey, Registration
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.local_credentials import LocalCredential
    from keyctl.operations.recognising import Known
    from keyctl.operations.unattended import Permit


@dataclass(frozen=True, kw_only=True)
class ScannedKey:
    """What one key opens, and what is new."""

    key: Key
    #: How many passkeys it listed, or holds still; None: they were not read.
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


def read_and_note(session: Session, circumstances: Circumstances, known: Known) -> ScannedKey:
    """Read a known key that is open, has proved itself and is unlocked where that is needed, and note what it opens.

    Args:
        session: The key.
        circumstances: What the command line says.
        known: What is known.

    Raises:
        PinError: The PIN is wrong or blocked.
        UnreachableError: The key is gone, silent, or answers nonsense.
        StoreError: The inventory cannot be written.
        NotFoundError: The key was forgotten in the meantime.
    """
    record = known.inventory.key_with_id(session.key.id or "")
    if record is None:
        raise otherwise(session.key)
    reading = read(session, record, (), None)
    if reading.refused is not None:
        raise reading.refused
    return noted(circumstances, known, (session, reading), dry_run=False)


def read(session: Session, record: KnownKey, local: Sequence[LocalCredential], permit: Permit | None) -> Reading:
    """What a key says: its passkeys, by *permit* or by the PIN that it was given, and which credentials it answers for.

    Raises:
        UnreachableError: The key is gone, silent, or answers nonsense, or takes the token no more.
    """
    listing = None
    refused = None
    if permit is not None:
        if not permit.unchanged:
            listing = session.persistent_token.list_passkeys(permit.token)
    elif session.has_pin and session.info.listing:
        try:
            listing = session.list_passkeys()
        except PinError as error:
            refused = error
    proven = session.key.recognition in recognising.PROVEN
    probed = probing.probe(session, record, local) if proven else None
    return Reading(listing=listing, probed=probed, refused=refused, permit=permit)


def noted(circumstances: Circumstances, known: Known, told: tuple[Session, Reading], *, dry_run: bool) -> ScannedKey:
    """Write down what a key said, and tell what is new.

    Args:
        circumstances: What the command line says.
        known: What was known when the key was read.
        told: The key, and what it said.
        dry_run: Write nothing.

    Raises:
        StoreError: The inventory cannot be read or written.
        NotFoundError: The key was forgotten in the meantime, or another has its place.
    """
    session, reading = told
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
                raise otherwise(key)
            after = readings.updated(before, key, reading, now)
            if not dry_run:
                changes.put_key(after)
    except (StoreError, NotFoundError) as error:
        error.about(key.label)
        raise
    listing = reading.listing
    if reading.permit is not None and listing is not None and listing.complete and not dry_run:
        unattended.was_read(session, circumstances, reading.permit, after)
    return ScannedKey(
        key=key,
        passkeys=_count(reading, after),
        complete=reading.unchanged or (listing is not None and listing.complete),
        registrations=sum(entry.reset_at is None for entry in after.registrations),
        added=tuple(readings.only_in(after, before)),
        removed=tuple(readings.only_in(before, after)),
        unknown=tuple(readings.of_registration(entry) for entry in _silent(before, reading)),
        note=_why_not(session, reading),
    )


def _count(reading: Reading, record: KnownKey) -> int | None:
    """How many passkeys the key listed, or would have; None: they were not read."""
    if reading.unchanged:
        return sum(passkey.reset_at is None for passkey in record.passkeys)
    return len(readings.of_sites(reading.listing)) if reading.listing is not None else None


def otherwise(key: Key) -> NotFoundError:
    """The failure that another process has changed what is known of the key."""
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
    if reading.listing is not None or reading.unchanged:
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
