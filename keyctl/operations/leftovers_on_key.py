"""What pairings that did not end have left on one unlocked key: found, shown, and deleted."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.errors import NotFoundError, UnreachableError
from keyctl.operations import record_reading

if TYPE_CHECKING:
    from collections.abc import Collection

    from keyctl.core.inventory import Inventory
    from keyctl.device.own_credentials import Listed
    from keyctl.device.session import Session
    from keyctl.store.unfinished import Unfinished

#: Of a credential's id: enough to tell it from others.
_SHOWN_DIGITS = 16
LEFT = "what was left of a pairing"


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left on a key; false where nothing is."""

    #: Keyctl's own credentials, each with the key to its large blob.
    own: tuple[Listed, ...]
    #: Of the WebAuthn draft extension, as the backup key exported them.
    seeds: tuple[bytes, ...]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.own or self.seeds)

    def __str__(self) -> str:
        """For people."""
        shown = [id_of(listed).hex()[:_SHOWN_DIGITS] for listed in self.own]
        return ", ".join([*shown, *("the seed of its backup key" for _ in self.seeds)])


def id_of(listed: Listed) -> bytes:
    """The id of one of keyctl's own credentials."""
    return listed.passkey.credential_id


def listed_on(session: Session) -> tuple[Listed, ...]:
    """Keyctl's own credentials on an unlocked key; empty where it cannot list them."""
    return session.own_credentials.list() if session.info.listing else ()


def of_pairings(inventory: Inventory, key_id: str) -> set[bytes]:
    """The credentials on a key that belong to pairings which are in the inventory."""
    found = {record.credential_id for one in inventory.pairings for record in one.stored_on if record.key_id == key_id}
    found |= {one.seed.credential_id for one in inventory.pairings if one.seed is not None and one.backup_id == key_id}
    return found


def find(session: Session, inventory: Inventory, journal: Collection[Unfinished]) -> Left:
    """What unfinished pairings have left on an unlocked key.

    Not what was there before they were begun, and not what belongs to a pairing, here or by its record.

    Raises:
        KeyctlError: The key does not tell it; some want a touch for that.
    """
    key_id = session.key.id or ""
    begun_here = [unfinished for unfinished in journal if key_id in unfinished.before]
    pairing_ids = {unfinished.pairing_id for unfinished in begun_here}
    kept = of_pairings(inventory, key_id)
    new = [
        record_reading.with_blob_key(session, listed)
        for listed in listed_on(session)
        if id_of(listed) not in kept
        and any(id_of(listed) not in unfinished.before[key_id] for unfinished in begun_here)
    ]
    return Left(
        own=tuple(listed for listed in new if _pairing_of(session, listed) in {None, *pairing_ids}),
        seeds=_seeds(session, inventory, begun_here),
    )


def delete_left(session: Session, inventory: Inventory, left: Left) -> None:
    """Delete that from the key, but for what belongs to a pairing by now.

    Raises:
        KeyctlError: It could not be deleted.
    """
    kept = of_pairings(inventory, session.key.id or "")
    delete(session, [listed for listed in left.own if id_of(listed) not in kept], LEFT)
    for seed in left.seeds:
        from keyctl.operations import pair_draft

        pair_draft.remove_unused(session, inventory, seed)


def delete(session: Session, own: Collection[Listed], what: str) -> None:
    """Delete some of keyctl's own credentials from an unlocked key, each after its large blob; see that they are gone.

    Args:
        session: The key.
        own: With the keys to their large blobs.
        what: What goes with them, as messages call it.

    Raises:
        UnreachableError: The key says that it did, and still has one (``key_nonsense``), or it is gone or silent.
    """
    if not own:
        return
    for listed in own:
        if listed.large_blob_key is not None and session.blobs.supported:
            session.blobs.remove(listed.large_blob_key)
        # Whether it is gone is seen below, whatever the key says now.
        with contextlib.suppress(NotFoundError):
            session.delete_passkey(id_of(listed))
    if {id_of(listed) for listed in own}.intersection(map(id_of, listed_on(session))):
        label = session.key.label
        raise UnreachableError(
            "key_nonsense",
            f"{label} says that it deleted {what}, but still has it",
            "unplug it and try again",
            key=label,
        )


def _pairing_of(session: Session, listed: Listed) -> str | None:
    """The id of the pairing whose record goes with a credential; None: that is not known."""
    record = record_reading.record_under(session, listed.large_blob_key)
    return None if record is None else record.pairing_id


def _seeds(session: Session, inventory: Inventory, begun_here: Collection[Unfinished]) -> tuple[bytes, ...]:
    """Those of the WebAuthn draft extension that the key was given, and no pairing goes by."""
    noted = dict.fromkeys(one.recovery_seed for one in begun_here if one.recovery_seed is not None)
    if not noted or not session.recovery_seeds.supported:
        return ()
    from keyctl.operations import pair_draft

    key_id = session.key.id or ""
    return tuple(
        seed for seed in noted if not pair_draft.users(inventory, key_id, seed) and pair_draft.holds(session, seed)
    )
