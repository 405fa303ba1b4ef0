"""What a key said of itself when it was read, and what its record becomes by that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core.services import folded
from keyctl.model import KeyState, Purpose
from keyctl.operations import noting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from keyctl.core.inventory import KnownKey, Registration, SeenPasskey
    from keyctl.errors import PinError
    from keyctl.model import Key, Listing, Passkey
    from keyctl.operations.probing import Probed
    from keyctl.operations.unattended import Permit


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one key said."""

    #: None: it was not read.
    listing: Listing | None
    #: None: it did not prove which key it is, so that it was not asked.
    probed: Probed | None
    #: Why its passkeys could not be read.
    refused: PinError | None = None
    #: What its passkeys were read by, in place of the PIN.
    permit: Permit | None = None

    @property
    def unchanged(self) -> bool:
        """Whether its passkeys were not read because it says that they are those on record."""
        return self.permit is not None and self.permit.unchanged


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that a key opens, as a line of a report. Its texts are hostile."""

    #: ``passkey`` or ``registration``.
    kind: str
    rp_id: str | None
    account: str | None
    credential_id: bytes


def updated(known: KnownKey, key: Key, reading: Reading, now: str) -> KnownKey:
    """The record of a key after it was read; what was not read stays as it was."""
    if reading.probed is None:
        return known
    changed = dict(known.changed)
    # It answered as itself, so it was not reset after all; a lost one stays lost until a person says otherwise.
    state = KeyState.ACTIVE if known.state is KeyState.RESET else known.state
    if state is not known.state:
        changed["state"] = now
    registrations = {entry.credential_id: entry for entry in (*known.registrations, *reading.probed.answered)}
    record = replace(
        known,
        state=state,
        serial=key.serial or known.serial,
        firmware=key.firmware or known.firmware,
        model=key.model or known.model,
        registrations=tuple(registrations.values()),
        changed=changed,
    )
    if reading.unchanged:
        return _seen_again(record, now)
    return record if reading.listing is None else _with_list(record, reading.listing, now)


def _seen_again(known: KnownKey, now: str) -> KnownKey:
    """The record of a key that holds what it says: as if all had been listed once more."""
    passkeys = (
        passkey if passkey.reset_at is not None else replace(passkey, seen_at=now) for passkey in known.passkeys
    )
    return replace(known, passkeys=tuple(passkeys), passkeys_read_at=now)


def _with_list(known: KnownKey, listing: Listing, now: str) -> KnownKey:
    seen = {passkey.credential_id: noting.seen(passkey, now) for passkey in of_sites(listing)}
    kept = {
        passkey.credential_id: passkey
        for passkey in known.passkeys
        # An incomplete list says nothing of those that are not on it; those of before a reset stay as a reminder, until
        # their account is on the key again.
        if not listing.complete or (passkey.reset_at is not None and not _replaced(passkey, seen.values()))
    }
    return replace(
        known,
        passkeys=tuple({**kept, **seen}.values()),
        passkeys_read_at=now if listing.complete else known.passkeys_read_at,
        passkeys_remaining=listing.count.remaining,
        changed={**known.changed, "passkeys": now},
    )


def of_sites(listing: Listing) -> list[Passkey]:
    """The passkeys of a list, without keyctl's own."""
    return [passkey for passkey in listing.passkeys if passkey.purpose is Purpose.PASSKEY]


def _replaced(former: SeenPasskey, seen: Iterable[SeenPasskey]) -> bool:
    """Whether the account of a passkey that a reset ended has one on the key again."""
    name = folded(former.user_name or "")
    return any(
        passkey.rp_id_hash == former.rp_id_hash
        and (passkey.user_id == former.user_id or (name and folded(passkey.user_name or "") == name))
        for passkey in seen
    )


def only_in(one: KnownKey, other: KnownKey) -> Iterator[Entry]:
    """What is on the key by the record *one*, and not by *other*."""
    passkeys = {passkey.credential_id for passkey in other.passkeys if passkey.reset_at is None}
    registrations = {entry.credential_id for entry in other.registrations if entry.reset_at is None}
    for passkey in one.passkeys:
        if passkey.reset_at is None and passkey.credential_id not in passkeys:
            account = passkey.user_name or passkey.display_name
            yield Entry(kind="passkey", rp_id=passkey.rp_id, account=account, credential_id=passkey.credential_id)
    for entry in one.registrations:
        if entry.reset_at is None and entry.credential_id not in registrations:
            yield of_registration(entry)


def of_registration(entry: Registration) -> Entry:
    """A registration, as a line of a report."""
    account = entry.account or entry.label
    return Entry(kind="registration", rp_id=entry.rp_id, account=account, credential_id=entry.credential_id)
