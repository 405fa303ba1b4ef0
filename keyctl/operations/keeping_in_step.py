"""Keeping two keys in step that are paired by registering both of them at each site: what is missing, and the drill.

Nothing of it is written down: it follows from what the keys open, so that it ticks itself off with every scan.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import coverage
from keyctl.core.names import quoted
from keyctl.errors import KeyChoiceError, UnreachableError
from keyctl.model import Recognition
from keyctl.operations import key_reading, noting, opening, pair_choice, recognising, unlocking
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.core.sites import UrlKind
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class MissingAccount:
    """An account that only one of two paired keys opens. Every text in it is hostile."""

    #: What a person calls it, else the catalogue, else the RP id.
    service: str
    rp_id: str
    account: str | None
    #: The name of the key that opens it.
    opened_by: str
    #: The name of the other one.
    missing_on: str
    #: Where to register that, or what the site writes about it.
    url: str | None
    url_kind: UrlKind | None
    #: Whether the site takes one key only, so that nothing can be done.
    no_backup_possible: bool


@dataclass(frozen=True, kw_only=True)
class Check:
    """What came of having a backup key prove itself and reading it."""

    #: The backup key, touched and proved.
    key: Key
    #: What it does not open, and the primary key does; empty: it can take over, as far as that is possible.
    gaps: tuple[MissingAccount, ...]


def missing(inventory: Inventory, pairing: Pairing) -> tuple[MissingAccount, ...]:
    """Every account that only one of both keys opens: first those where the backup key is to be registered.

    A key that is marked as lost opens what it opens. Where one of both keys is not known here, nothing can be said, and
    the result is empty.
    """
    primary = inventory.key_with_id(pairing.primary_id)
    backup = inventory.key_with_id(pairing.backup_id)
    if primary is None or backup is None:
        return ()
    found = []
    for opened in coverage.openings_of_pair(inventory, pairing):
        if len(opened.by) == 1:
            row = opened.row
            by, on = (primary, backup) if primary.id in opened.by else (backup, primary)
            found.append(
                MissingAccount(
                    service=row.service,
                    rp_id=row.rp_id,
                    account=row.account,
                    opened_by=by.name,
                    missing_on=on.name,
                    url=row.url,
                    url_kind=row.url_kind,
                    no_backup_possible=row.max_keys == 1,
                )
            )
    return tuple(sorted(found, key=lambda one: (one.no_backup_possible, one.missing_on != backup.name)))


def gaps(inventory: Inventory, pairing: Pairing) -> tuple[MissingAccount, ...]:
    """What the primary key opens and the backup key does not, although the site takes two keys."""
    backup = pair_choice.name_of(inventory, pairing.backup_id)
    return tuple(
        account
        for account in missing(inventory, pairing)
        if account.missing_on == backup and not account.no_backup_possible
    )


def verify(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> Check:
    """Have the backup key prove itself with a touch, read it anew, and see whether it opens what the primary key does.

    Raises:
        NotFoundError: One of both keys is not known here (``name_not_found``).
        KeyChoiceError: The backup key is not connected.
        PinError: It has no PIN and tells its passkeys with one only, or the PIN is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
        UnreachableError: It is gone or silent, does not prove itself, or stopped in the middle of its list.
        StoreError: What it said cannot be written, or the inventory's public key of it is not the one trusted here.
    """
    pair_choice.require_name(inventory, pairing.primary_id)
    pair_choice.require_name(inventory, pairing.backup_id)
    noting.require_writable(circumstances)
    with opened_backup(circumstances, inventory, pairing) as session:
        # With what is known now: a person may have confirmed another public key in the meantime.
        known = recognising.known(circumstances)
        if session.info.listing and not session.has_pin:
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
        recognising.prove_by_touch(session, known)
        scanned = key_reading.read_and_note(session, circumstances, known)
        if scanned.passkeys is not None and not scanned.complete:
            raise UnreachableError(
                "key_error",
                f"{session.key.label} stopped while it listed its passkeys, so nobody knows whether one is missing",
                "plug it in again and run the command again",
                key=session.key.label,
            )
        inventory = store.read(circumstances.home)
        if (primary := _unread_primary(inventory, pairing)) is not None:
            circumstances.asker.tell(
                f"nobody knows what {primary} opens, so {session.key.label} was compared with nothing: "
                f"`keyctl scan -k {quoted(primary)}`"
            )
        return Check(key=session.key, gaps=gaps(inventory, pairing))


def _unread_primary(inventory: Inventory, pairing: Pairing) -> str | None:
    """The name of the primary key, where it was never read and nobody said what it opens."""
    primary = inventory.key_with_id(pairing.primary_id)
    if primary is None or primary.passkeys_read_at is not None:
        return None
    known = any(primary.id in opened.by for opened in coverage.openings_of_pair(inventory, pairing))
    return None if known else primary.name


@contextlib.contextmanager
def opened_backup(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> Iterator[Session]:
    """The backup key of *pairing*, open and recognised; one that only knows U2F has claimed to be it and no more.

    A person at a terminal is asked to plug it in where it is not there. One that says only with its PIN which key it is
    has to be named by its path.

    Raises:
        NotFoundError: It is not known here (``name_not_found``).
        KeyChoiceError: It is not connected, or the key that was named is another one.
        PinError: It wants its PIN before it says which key it is, and that is wrong, missing or may not be tried.
        StoreError: The inventory's public key of it is not the one trusted here, and nobody confirms it.
        DeclinedError: The person does not.
    """
    name = pair_choice.require_name(inventory, pairing.backup_id)
    wanted = opening.patient(circumstances, name)
    with opening.opened(wanted) as session:
        if session.key.recognition is Recognition.LOCKED:
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
        if session.key.id != pairing.backup_id:
            raise KeyChoiceError(
                "no_key",
                f"{session.key.label} is not {name}, the backup key of the pairing",
                f"plug in {name}, or name the place where it is",
                key=name,
            )
        if session.key.recognition is Recognition.CHANGED:
            unlocking.require_trust(session, wanted)
        yield session
