"""The copies of a pairing's record on the keys themselves: stored, compared, found and removed.

On the backup key the seed's own credential carries it, on the primary key one that is made for it. Either way it is a
large blob, in the array that all sites share; a primary key without large blobs carries the two points of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from keyctl.core import key_record, times
from keyctl.core.pairings import Pairing, StoredRecord
from keyctl.errors import StoreError, UnreachableError, UnsupportedError
from keyctl.operations import leftovers_on_key, pair_choice, pair_leftovers, record_reading
from keyctl.store import blob_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from keyctl.core.inventory import Inventory
    from keyctl.core.key_record import KeyRecord
    from keyctl.core.pairings import Seed
    from keyctl.device.own_credentials import Listed
    from keyctl.device.session import Session
    from keyctl.errors import KeyctlError
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A record on a key."""

    stored: StoredRecord
    #: 32 bytes; None: the key has no large blobs, and carries the seed alone.
    blob_key: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class FoundCopy:
    """A credential of keyctl's own on a key, and the record that belongs to it."""

    listed: Listed
    record: KeyRecord
    #: SHA-256 of the record as it is on the key.
    digest: bytes


def record_of(inventory: Inventory, pairing: Pairing) -> KeyRecord:
    """The record of a pairing that has a seed, as keys carry it."""
    assert pairing.seed is not None
    return key_record.KeyRecord(
        pairing_id=pairing.id,
        method=pairing.method,
        primary_id=pairing.primary_id,
        backup_id=pairing.backup_id,
        primary_name=pair_choice.name_of(inventory, pairing.primary_id) or pairing.primary_id,
        backup_name=pair_choice.name_of(inventory, pairing.backup_id) or pairing.backup_id,
        created_at=pairing.created_at,
        paired_by=pairing.paired_by,
        seed=replace(pairing.seed, evidence=None),
    )


def require_room(session: Session) -> None:
    """Refuse before any touch where a key cannot take a record: its array is full, or must not be written over.

    Raises:
        UnsupportedError: There is no room in the array, or for one more credential (``key_full``).
        UnreachableError: The array is damaged (``key_nonsense``), or the key is gone or silent.
    """
    if session.info.remaining_passkeys == 0:
        label = session.key.label
        raise UnsupportedError(
            "key_full",
            f"{label} has no room for one more passkey, as which it keeps the pairing",
            "delete one that you do not need, or give --no-store-on-key",
            key=label,
        )
    if session.blobs.supported:
        session.blobs.require_room(key_record.TYPICAL_BYTES)


def store_on_primary(session: Session, state: Path, record: KeyRecord, before: Collection[bytes]) -> Copy:
    """Make a credential on the unlocked primary key that keeps *record*, with one touch.

    Args:
        session: The primary key, with its PIN.
        state: Where this computer keeps the key to the record.
        record: The record.
        before: Keyctl's own credentials on it, which have to be there afterwards too.

    The caller undoes what was made where this fails (:func:`keyctl.operations.pair_leftovers.undone`).

    Raises:
        KeyctlError: It failed, and something may have been made.
    """
    from keyctl.device import own_ceremonies

    content = key_record.encode(record)
    own = session.own_credentials
    # Nothing is excluded: a key may be the primary of several pairings, and their users are all different.
    if not session.blobs.supported:
        carrier = key_record.carrier(record.seed.public_seed)
        user = own_ceremonies.User(id=carrier.user_id, name=carrier.user_name)
        made = own.make((), record_hash=key_record.digest(content), user=user)
    else:
        made = own.make((), record_hash=key_record.digest(content))
        if made.large_blob_key is None:
            label = session.key.label
            raise UnsupportedError(
                "unsupported",
                f"{label} has large blobs, but gave no key to one",
                "pair with --no-store-on-key",
                key=label,
            )
        # First, so that whatever comes in between, what was written can be found again.
        blob_keys.write(state, record.pairing_id, session.key.id or "", made.large_blob_key)
        session.blobs.write(made.large_blob_key, content)
    require_untouched(session, before)
    stored = StoredRecord(
        key_id=session.key.id or "", credential_id=made.credential_id, user_id=made.user_id, at=times.now()
    )
    return Copy(stored=stored, blob_key=made.large_blob_key if session.blobs.supported else None)


def store_on_backup(session: Session, state: Path, record: KeyRecord, blob_key: bytes) -> Copy:
    """Write *record* beside the seed on the unlocked backup key, as :func:`store_on_primary`; no touch.

    Raises:
        KeyctlError: It failed; the message says what is on the key.
    """
    blob_keys.write(state, record.pairing_id, session.key.id or "", blob_key)
    session.blobs.write(blob_key, key_record.encode(record))
    stored = StoredRecord(
        key_id=session.key.id or "",
        credential_id=record.seed.credential_id,
        user_id=record.seed.user_id,
        at=times.now(),
    )
    return Copy(stored=stored, blob_key=blob_key)


def missing_on_backup(session: Session, state: Path, pairing: Pairing, record: KeyRecord) -> Copy | None:
    """Write the record beside the seed on the unlocked backup key, where only the other key carries it.

    As after an import, which the backup key did not see. A key that leaves the key to its blob out of the list wants a
    touch.

    Returns:
        None: nothing was missing, or the key has no place for it.

    Raises:
        KeyctlError: It failed; the message says what is on the key.
    """
    holders = {one.key_id for one in pairing.stored_on}
    if not holders or session.key.id in holders or not (session.info.listing and session.blobs.supported):
        return None
    listed = _listed(session, record.seed.credential_id)
    blob_key = None if listed is None else record_reading.with_blob_key(session, listed).large_blob_key
    return None if blob_key is None else store_on_backup(session, state, record, blob_key)


def require_untouched(session: Session, before: Collection[bytes]) -> None:
    """Make sure that keyctl's own credentials of before are still there: a key may put one in another's place.

    Raises:
        UnreachableError: One is gone (``key_nonsense``).
    """
    gone = set(before) - set(pair_leftovers.own_on(session))
    if gone and session.info.listing:
        label = session.key.label
        raise UnreachableError(
            "key_nonsense",
            f"{label} has lost {len(gone)} of the pairings that it kept before",
            "run `keyctl pair verify` for each pairing of it, and do not rely on this key",
            key=label,
        )


def matches(
    session: Session,
    circumstances: Circumstances,
    pairing: Pairing,
    find: Callable[[bytes], bytes | None] | None = None,
) -> bool | None:
    """Whether the copy on a proved key is that of the inventory; needs neither PIN nor touch.

    Args:
        session: The key.
        circumstances: What the command line says.
        pairing: As the inventory has it.
        find: Of the key's large blobs, where several pairings are compared; None: the array is read for this one.

    Returns:
        None: it cannot be compared here, as this computer did not store it or the key carries none.
    """
    if pairing.seed is None or session.key.id is None or not session.blobs.supported:
        return None
    if all(record.key_id != session.key.id for record in pairing.stored_on):
        return None
    blob_key = blob_keys.read(circumstances.state, pairing.id, session.key.id)
    if blob_key is None:
        return None
    content = (find or session.blobs.find)(blob_key)
    if content is None:
        return False
    try:
        record = key_record.decode(content)
    except ValueError:
        return False
    return record.pairing_id == pairing.id and same_seed(record.seed, pairing.seed)


def same_seed(one: Seed, other: Seed) -> bool:
    """Whether two records are of one seed, whatever proves it."""
    return replace(one, evidence=None, attestation="") == replace(other, evidence=None, attestation="")


def find_all(session: Session, problems: list[KeyctlError]) -> tuple[FoundCopy, ...]:
    """The records on an unlocked key; what else keyctl has there is left out.

    Args:
        session: The key.
        problems: Gets what is wrong with a record that cannot be used: a newer keyctl wrote it (``store_newer``), or
            it is damaged (``record_changed``).

    Raises:
        UnsupportedError: It cannot list its passkeys.
        UnreachableError: The key is gone or silent.
    """
    found = []
    find = session.blobs.finder()
    for one in session.own_credentials.list():
        listed = record_reading.with_blob_key(session, one)
        blob_key = listed.large_blob_key
        content = find(blob_key) if blob_key is not None and session.blobs.supported else None
        if content is not None:
            try:
                record = _decoded(content, session.key.label)
            except (StoreError, UnreachableError) as problem:
                problems.append(problem)
                continue
            found.append(FoundCopy(listed=listed, record=record, digest=key_record.digest(content)))
    return tuple(found)


def carries_seed_alone(session: Session) -> bool:
    """Whether an unlocked key carries the seed of a pairing and no record."""
    return any(
        key_record.carried_seed(listed.passkey.user_id, listed.passkey.user_name) is not None
        for listed in session.own_credentials.list()
    )


def _decoded(content: bytes, label: str) -> KeyRecord:
    try:
        return key_record.decode(content)
    except key_record.NewerRecordError as error:
        raise StoreError(
            "store_newer",
            f"the pairing on {label} was stored by a newer keyctl",
            "use that version here too; nothing was changed",
            key=label,
        ) from error
    except ValueError as error:
        raise UnreachableError(
            "record_changed",
            f"the pairing on {label} cannot be understood: somebody changed it, or it is damaged",
            "restore the inventory from a backup, or use the other key of the pairing",
            key=label,
        ) from error


def own_copy(session: Session, pairing_id: str, credential_id: bytes) -> Listed | None:
    """One of keyctl's own credentials on an unlocked key, to be deleted; it is not that of another pairing.

    Only the record that goes with it tells that; without one, nothing is known. A key that leaves the key to its blob
    out of the list wants a touch.

    Returns:
        None: the key does not have it.

    Raises:
        UnreachableError: It is another pairing's (``record_changed``), or the key is gone or silent.
        TouchError: Nobody touched it in time.
    """
    listed = _listed(session, credential_id)
    if listed is None:
        return None
    listed = record_reading.with_blob_key(session, listed)
    record = record_reading.record_under(session, listed.large_blob_key)
    if record is not None and record.pairing_id != pairing_id:
        label = session.key.label
        raise UnreachableError(
            "record_changed",
            f"{label} says that what is to be deleted belongs to the pairing {record.primary_name}/"
            f"{record.backup_name}: somebody changed the inventory",
            f"nothing was deleted; without {label} plugged in, only the inventory is changed",
            key=label,
        )
    return listed


def remove(session: Session, copies: Collection[Listed]) -> None:
    """Delete copies of a pairing from an unlocked key, each after its blob.

    Raises:
        KeyctlError: They could not be deleted; the message says what is left.
    """
    leftovers_on_key.delete(session, copies, "the pairing")


def _listed(session: Session, credential_id: bytes) -> Listed | None:
    """One of keyctl's own credentials on an unlocked key; None: it has none with this id."""
    return next((one for one in session.own_credentials.list() if one.passkey.credential_id == credential_id), None)
