"""Bringing a pairing back from a key that carries it: on a new computer, or after the inventory was lost.

Whoever had the key and its PIN could have planted a record there. So from the backup key it ends with a drill, which is
the proof; from the primary key a person compares the fingerprint, and the pairing is not verified until the next drill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import derivations, fingerprints, times
from keyctl.core.names import composed
from keyctl.core.pairings import Method, Pairing, StoredRecord, with_copy
from keyctl.core.text import visible
from keyctl.errors import Details, KeyctlError, NotFoundError, UnreachableError, UnsupportedError
from keyctl.model import Role
from keyctl.operations import (
    backup_signing,
    key_copies,
    naming,
    noting,
    opening,
    pair_verifying,
    pair_views,
    seed_trust,
    unlocking,
)
from keyctl.store import blob_keys
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory
    from keyctl.core.key_record import KeyRecord
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
        copies = sorted(key_copies.find_all(session, problems), key=lambda copy: (_is_backup(copy), copy.record.method))
        if not copies:
            raise problems[0] if problems else _nothing_there(session)
        for problem in problems:
            # It does not keep the others from being restored.
            circumstances.asker.tell(f"left out: {problem.message}")
        if which is not None:
            copies = _chosen(session, copies, which)
        if dry_run:
            return Restoration(key=session.key, pairings=(), changed=False, enrolled=False)
        enrolled = session.key.id is None
        if enrolled:
            _enrol(session, circumstances, copies[0])
        restored = [_Restoring(session, circumstances, copy, pin).run() for copy in copies]
        restored_ids = {pairing_id for pairing_id, _ in restored}
        inventory = store.read(circumstances.home)
        return Restoration(
            key=session.key,
            pairings=tuple(
                pair_views.view(inventory, pairing) for pairing in inventory.pairings if pairing.id in restored_ids
            ),
            changed=enrolled or any(changed for _, changed in restored),
            enrolled=enrolled,
        )


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
    found = [copy for copy in copies if wanted in {copy.record.backup_name, _name(copy.record), copy.record.pairing_id}]
    if not found:
        label = session.key.label
        names = tuple(_name(copy.record) for copy in copies)
        raise NotFoundError(
            "record_not_found",
            f"{label} carries no pairing {which}",
            f"it carries {', '.join(names)}",
            key=label,
            details=Details(candidates=names),
        )
    return found


def _name(record: KeyRecord) -> str:
    """PRIMARY/BACKUP, as the keys were called."""
    return f"{record.primary_name}/{record.backup_name}"


def _is_backup(copy: FoundCopy) -> bool:
    """Whether the record lies on the backup key: with the seed's own credential."""
    return copy.listed.passkey.credential_id == copy.record.seed.credential_id


def _enrol(session: Session, circumstances: Circumstances, copy: FoundCopy) -> None:
    """Give an unknown key the name and number that its record says."""
    record = copy.record
    name, key_id = (
        (record.backup_name, record.backup_id) if _is_backup(copy) else (record.primary_name, record.primary_id)
    )
    circumstances.asker.tell(f"{session.key.label} is not known here; by its record it is {name}, so it gets that name")
    role = Role.BACKUP if _is_backup(copy) else Role.PRIMARY
    naming.enrol(session, circumstances, name, naming.Notes(role=role), key_id=key_id)


class _Restoring:
    """One record of the open key."""

    def __init__(self, session: Session, circumstances: Circumstances, copy: FoundCopy, pin: str) -> None:
        self._session = session
        self._circumstances = circumstances
        self._copy = copy
        self._pin = pin
        self._label = session.key.label
        self._points = derivations.public_seed(copy.record.seed)
        self._fingerprint = fingerprints.of_seed(self._points)

    @property
    def _record(self) -> KeyRecord:
        return self._copy.record

    def run(self) -> tuple[str, bool]:
        """The pairing's id, and whether the inventory is another than before."""
        inventory = store.read(self._circumstances.home)
        known = inventory.pairing_with_id(self._record.pairing_id)
        if known is not None and known.seed is not None and not key_copies.same_seed(known.seed, self._record.seed):
            raise self._planted("is of another seed than the inventory's")
        if self._seed_pin not in {None, self._seed_hash}:
            raise self._planted("is of another seed than the one trusted on this computer")
        tell = self._circumstances.asker.tell
        tell(f"{self._label} carries the pairing {_name(self._record)}, whose seed is {self._fingerprint}")
        verified = False
        if _is_backup(self._copy):
            self._drill()
            verified = True
        else:
            self._require_pinned_record()
        if self._seed_pin is None and (not verified or self._is_in_place_of_another()):
            self._compare()
        return self._record.pairing_id, self._write(verified=verified)

    def _drill(self) -> None:
        """Have the backup key sign by the seed that its record names."""
        self._circumstances.asker.tell(f"{self._label} proves with a touch that it holds this seed")
        signer = backup_signing.signer_of(
            self._session, self._circumstances, self._record.method, self._record.seed, self._pin
        )
        try:
            pair_verifying.fresh_signature(signer, self._points)
        except KeyctlError as error:
            if error.code not in {"passkey_not_found", "signature_wrong"}:
                raise
            raise self._planted("names a seed that the key does not hold") from error

    def _require_pinned_record(self) -> None:
        """Compare the record with its hash, which the key stores where it can; that takes a touch."""
        own = self._session.own_credentials
        if not own.pins_records:
            return
        self._circumstances.asker.tell(f"{self._label} tells with a touch which record was stored there")
        stored = own.read(self._copy.listed.passkey.credential_id)
        if stored.cred_blob != self._copy.digest:
            raise self._planted("is not the one that was stored with it")

    @property
    def _seed_hash(self) -> bytes:
        return sha256(self._record.seed.public_seed).digest()

    @property
    def _seed_pin(self) -> bytes | None:
        """What this computer trusts as the seed of the pairing; None: nothing yet."""
        return local_state.read_seed_pin(self._circumstances.state, self._record.pairing_id)

    def _is_in_place_of_another(self) -> bool:
        """Whether this computer trusts another pairing of keys with these names or numbers."""
        inventory = store.read(self._circumstances.home)
        return seed_trust.in_place_of_another(self._circumstances, inventory, self._pairing())

    def _compare(self) -> None:
        """A record carries no evidence, so all groups are asked for."""
        if _is_backup(self._copy):
            why = "is of another pairing than the one that this computer trusts for these two keys."
        else:
            why = "proves nothing: whoever had that key and its PIN may have put it there."
        self._circumstances.asker.fingerprint(
            f"The record on {visible(self._label)} {why}\n"
            f"Read the fingerprint of the pairing {visible(_name(self._record))} off paper or another computer",
            self._fingerprint,
        )

    def _planted(self, why: str) -> UnreachableError:
        return UnreachableError(
            "record_changed",
            f"the pairing's record on {self._label} {why}: somebody changed it",
            "nothing was changed here; use the other key of the pairing, or pair the two keys anew",
            key=self._label,
        )

    def _write(self, *, verified: bool) -> bool:
        key_id = self._session.key.id
        assert key_id is not None
        state = self._circumstances.state
        local_state.write_seed_pin(state, self._record.pairing_id, self._seed_hash)
        now = times.now()
        passkey = self._copy.listed.passkey
        copy = StoredRecord(key_id=key_id, credential_id=passkey.credential_id, user_id=passkey.user_id or b"", at=now)
        with store.changing(self._circumstances.home, self._circumstances.waits.lock_s) as changes:
            before = changes.inventory.pairing_with_id(self._record.pairing_id)
            pairing = before or self._pairing()
            pairing = self._relinked(pairing, changes.inventory, key_id)
            if all(one.credential_id != copy.credential_id for one in pairing.stored_on):
                pairing = with_copy(pairing, copy)
            if verified:
                pairing = replace(pairing, verified_at=now, verified_by=local_state.computer_id(state))
            changes.put_pairing(pairing)
            inventory = changes.inventory
        seed_trust.remember(self._circumstances, inventory, pairing)
        if self._copy.listed.large_blob_key is not None:
            blob_keys.write(state, pairing.id, key_id, self._copy.listed.large_blob_key)
        return pairing != before

    def _relinked(self, pairing: Pairing, inventory: Inventory, key_id: str) -> Pairing:
        """*pairing* with the open key in its place, under whatever number it is known here."""
        backup = _is_backup(self._copy)
        former = pairing.backup_id if backup else pairing.primary_id
        if former != key_id and inventory.key_with_id(former) is not None:
            raise self._planted("is of another key")
        return replace(pairing, backup_id=key_id) if backup else replace(pairing, primary_id=key_id)

    def _pairing(self) -> Pairing:
        record = self._record
        return Pairing(
            id=record.pairing_id,
            primary_id=record.primary_id,
            backup_id=record.backup_id,
            method=Method(record.method),
            seed=record.seed,
            created_at=record.created_at,
            paired_by=record.paired_by,
        )
