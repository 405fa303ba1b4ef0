"""One record on an open key, on its way back into the inventory: what speaks against it, what proves it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import derivations, fingerprints, times
from keyctl.core.pairings import Method, Pairing, StoredRecord, with_copy
from keyctl.core.text import visible
from keyctl.errors import KeyctlError, UnreachableError
from keyctl.operations import backup_signing, key_copies, pair_choice, pair_verifying, seed_trust
from keyctl.store import blob_keys
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.core.key_record import KeyRecord
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_copies import FoundCopy


def name_of(record: KeyRecord) -> str:
    """PRIMARY/BACKUP, as the keys were called."""
    return f"{record.primary_name}/{record.backup_name}"


def is_on_backup(copy: FoundCopy) -> bool:
    """Whether a record lies on the backup key: with the seed's own credential."""
    return copy.listed.passkey.credential_id == copy.record.seed.credential_id


class RecordRestoring:
    """A record that is to be restored; nothing is changed before :meth:`write`.

    Args:
        session: The key, unlocked.
        circumstances: What the command line says.
        copy: The record on it.
        pin: Of the key.
    """

    def __init__(self, session: Session, circumstances: Circumstances, copy: FoundCopy, pin: str) -> None:
        """See the class."""
        self.copy = copy
        self._session = session
        self._circumstances = circumstances
        self._pin = pin
        self._points = derivations.public_seed(copy.record.seed)
        self.fingerprint = fingerprints.of_seed(self._points)
        self._on_backup = is_on_backup(copy)
        self._unchanged = "nothing was changed here"

    def require_consistent(self) -> None:
        """Compare the record with what is known and trusted here; needs no touch.

        Raises:
            UnreachableError: It contradicts that (``record_changed``).
        """
        known = self._inventory().pairing_with_id(self._record.pairing_id)
        if known is not None and known.seed is not None and not key_copies.same_seed(known.seed, self._record.seed):
            raise self._planted("is of another seed than the inventory's")
        if self._seed_pin not in {None, self._seed_hash}:
            raise self._planted("is of another seed than the one trusted on this computer")
        # The drill shows that the backup key signs by what goes with its own record.
        if not self._on_backup and not seed_trust.details_are_trusted(self._circumstances, self._pairing()):
            raise self._planted("says other things of its seed than are trusted on this computer")
        if self._session.key.id is not None:
            self._require_key()

    @property
    def wants_comparison(self) -> bool:
        """Whether a person has to compare the fingerprint: neither this computer nor a drill proves the seed."""
        return self._seed_pin is None and (not self._on_backup or self._is_in_place_of_another())

    def check(self) -> None:
        """Have the key prove what it can, and a person the rest; a software drill comes later, it wants a known key.

        Raises:
            UnreachableError: The record is not the one that was stored, or the key does not hold the seed
                (``record_changed``).
            DeclinedError: The fingerprint is another one.
            TouchError: Nobody touched the key in time.
        """
        label = self._session.key.label
        # Not the fingerprint where it is to be read elsewhere.
        seed = "" if self.wants_comparison else f", whose seed is {self.fingerprint}"
        self._circumstances.asker.tell(f"{label} carries the pairing {name_of(self._record)}{seed}")
        if not self._on_backup:
            self._require_pinned_record()
        elif self._record.method is not Method.SOFTWARE:
            self._drill()
        if self.wants_comparison:
            self.compare()

    def check_named(self, *, just_now: bool) -> None:
        """The rest, which only a key with a name can be asked.

        Args:
            just_now: Whether the key got its name by this.

        Raises:
            UnreachableError: As :meth:`check`, or the record is another key's (``record_changed``).
        """
        if just_now:
            self._unchanged = "the key got its name, and nothing else was changed here"
        self._require_key()
        if self._on_backup and self._record.method is Method.SOFTWARE:
            self._drill()

    def compare(self) -> None:
        """Have a person compare the fingerprint; a record carries no evidence, so all groups are asked for.

        Raises:
            DeclinedError: It is another one.
        """
        if self._on_backup:
            why = "is of another pairing than the one that this computer trusts for these two keys."
        else:
            why = "proves nothing: whoever had that key and its PIN may have put it there."
        self._circumstances.asker.fingerprint(
            f"The record on {visible(self._session.key.label)} {why}\n"
            f"Read the fingerprint of the pairing {visible(name_of(self._record))} off paper or another computer",
            self.fingerprint,
        )

    def write(self) -> bool:
        """Trust it, and put it into the inventory; whether that is another than before.

        Raises:
            StoreError: It cannot be written.
        """
        key_id = self._session.key.id
        assert key_id is not None
        state = self._circumstances.state
        local_state.write_seed_pin(state, self._record.pairing_id, self._seed_hash)
        now = times.now()
        listed = self.copy.listed
        passkey = listed.passkey
        copy = StoredRecord(key_id=key_id, credential_id=passkey.credential_id, user_id=passkey.user_id or b"", at=now)
        with store.changing(self._circumstances.home, self._circumstances.waits.lock_s) as changes:
            before = changes.inventory.pairing_with_id(self._record.pairing_id)
            pairing = self._linked(before or self._pairing(), key_id)
            if all(one.credential_id != copy.credential_id for one in pairing.stored_on):
                pairing = with_copy(pairing, copy)
            if self._on_backup:
                # By the drill.
                pairing = replace(pairing, verified_at=now, verified_by=local_state.computer_id(state))
            changes.put_pairing(pairing)
            inventory = changes.inventory
        seed_trust.remember(self._circumstances, inventory, pairing)
        if listed.large_blob_key is not None:
            blob_keys.write(state, pairing.id, key_id, listed.large_blob_key)
        return pairing != before

    @property
    def _record(self) -> KeyRecord:
        return self.copy.record

    def _inventory(self) -> Inventory:
        return store.read(self._circumstances.home)

    def _drill(self) -> None:
        """Have the backup key sign by the seed that its record names."""
        self._circumstances.asker.tell(f"{self._session.key.label} proves with a touch that it holds this seed")
        signer = backup_signing.signer_of(
            self._session, self._circumstances, self._record.method, self._record.seed, self._pin
        )
        try:
            pair_verifying.fresh_signature(signer, self._points)
        except KeyctlError as error:
            if error.code not in {"passkey_not_found", "signature_wrong", "pairing_changed"}:
                raise
            raise self._planted("names a seed that the key does not hold") from error

    def _require_pinned_record(self) -> None:
        """Compare the record with its hash, which the key stores where it can; that takes a touch."""
        own = self._session.own_credentials
        if not own.pins_records:
            return
        self._circumstances.asker.tell(f"{self._session.key.label} tells with a touch which record was stored there")
        stored = own.read(self.copy.listed.passkey.credential_id)
        if stored.cred_blob != self.copy.digest:
            raise self._planted("is not the one that was stored with it")

    def _require_key(self) -> None:
        """Refuse a record of another key that is known here."""
        inventory = self._inventory()
        pairing = inventory.pairing_with_id(self._record.pairing_id) or self._pairing()
        former = pairing.backup_id if self._on_backup else pairing.primary_id
        if former != self._session.key.id and inventory.key_with_id(former) is not None:
            raise self._planted("is of another key")

    @property
    def _seed_hash(self) -> bytes:
        return sha256(self._record.seed.public_seed).digest()

    @property
    def _seed_pin(self) -> bytes | None:
        """What this computer trusts as the seed of the pairing; None: nothing yet."""
        return local_state.read_seed_pin(self._circumstances.state, self._record.pairing_id)

    def _is_in_place_of_another(self) -> bool:
        """Whether this computer trusts another pairing of keys with these names or numbers."""
        inventory = self._inventory()
        pairing = self._pairing()
        # A key without a name gets that of the record.
        primary = pair_choice.name_of(inventory, pairing.primary_id) or self._record.primary_name
        backup = pair_choice.name_of(inventory, pairing.backup_id) or self._record.backup_name
        own = self._session.key.name
        names = (primary, own or backup) if self._on_backup else (own or primary, backup)
        return seed_trust.in_place_of_another(self._circumstances, inventory, pairing, names)

    def _planted(self, why: str) -> UnreachableError:
        label = self._session.key.label
        return UnreachableError(
            "record_changed",
            f"the pairing's record on {label} {why}: somebody changed it",
            f"{self._unchanged}; use the other key of the pairing, or pair the two keys anew",
            key=label,
        )

    def _linked(self, pairing: Pairing, key_id: str) -> Pairing:
        """*pairing* with the open key in its place, under whatever number it is known here."""
        return replace(pairing, backup_id=key_id) if self._on_backup else replace(pairing, primary_id=key_id)

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
