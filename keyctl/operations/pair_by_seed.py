"""Pairing two keys by a seed: the backup key makes and proves it, the primary key keeps its public half.

First come the PINs, then the touches, and last the inventory: a pairing is in it only when it is complete. What is made
on a key is noted first, and deleted again should the rest fail.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.core import fingerprints, times
from keyctl.core.pairings import Method, Pairing, with_copy
from keyctl.errors import KeyctlError
from keyctl.operations import key_copies, pair_leftovers, pair_recording, seed_making, unlocking
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.core.key_record import KeyRecord
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_copies import Copy
    from keyctl.operations.pair_desk import Desk
    from keyctl.operations.seed_making import NewSeed


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A pairing that was made by a seed."""

    pairing: Pairing
    #: With the pairing in it.
    inventory: Inventory
    #: What could not be found out or stored.
    remarks: tuple[str, ...]


@dataclass
class _Making:
    """A pairing that is being made by a seed; mutable, as what is done so far decides what an error means."""

    desk: Desk
    method: Method
    pairing_id: str = field(default_factory=store.new_id)
    created_at: str = field(default_factory=times.now)
    pin: str | None = field(default=None, repr=False)
    before: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def circumstances(self) -> Circumstances:
        return self.desk.circumstances

    def note(self) -> None:
        """Write down what is about to be made where."""
        begun.write(self.circumstances.state, self._unfinished())

    def undoing(self, session: Session, key_id: str) -> contextlib.AbstractContextManager[None]:
        """Around what is made on that key, as :func:`keyctl.operations.pair_leftovers.undone`."""
        before = self.before[key_id]
        return pair_leftovers.undone(session, self.circumstances, self.pairing_id, before, lambda: self.undone(key_id))

    def undone(self, key_id: str) -> None:
        """Nothing is left on that key."""
        pair_leftovers.ended(self.circumstances, self._unfinished(), key_id)
        self.before.pop(key_id, None)

    def _unfinished(self) -> begun.Unfinished:
        keys = self.desk.keys
        return begun.Unfinished(
            pairing_id=self.pairing_id,
            primary_id=keys.primary.id,
            backup_id=keys.backup.id,
            started_at=self.created_at,
            before=dict(self.before),
        )


def make(desk: Desk, method: Method, *, store_on_key: bool) -> Seeded:
    """Pair the two keys on the desk, which were found to be able to, and write it down.

    Args:
        desk: The two keys; the backup key is open.
        method: One that has a seed from which this computer derives keys.
        store_on_key: Whether both keys get a copy of the record.

    Raises:
        KeyctlError: As :func:`keyctl.operations.pair_creating.create`; the message says what is left on which key.
    """
    making = _Making(desk, method)
    both = desk.both
    with contextlib.ExitStack() as careful:
        backup = desk.backup
        assert backup is not None
        if store_on_key:
            for session in (backup, desk.primary):
                if session is not None:
                    key_copies.require_room(session)
        _unlock(backup, making, backup=True)
        pair_leftovers.offer(backup, making.circumstances)
        if desk.primary is not None:
            _unlock(desk.primary, making, backup=False)
            pair_leftovers.offer(desk.primary, making.circumstances)
            # Before any touch, as it would be in vain with a wrong one.
            desk.primary.verify_pin()
        new, backup = _seed_made(making, backup, careful)
        pairing = _pairing(making, new)
        inventory = store.read(making.circumstances.home)
        record = key_copies.record_of(inventory, pairing)
        making.circumstances.asker.tell(f"the fingerprint of its seed is {fingerprints.of_seed(new.points)}")
        if store_on_key:
            if new.large_blob_key is None:
                making.remarks.append(
                    f"{backup.key.label} has no large blobs, so it does not carry the pairing: keep a copy of "
                    "`keyctl inventory export`, or a lost computer takes the list of derived keys with it"
                )
            else:
                state = making.circumstances.state
                making.copies.append(key_copies.store_on_backup(backup, state, record, new.large_blob_key))
        key_copies.require_untouched(backup, making.before[desk.keys.backup.id])
        if both:
            return _finished(making, pairing, record, careful, store_on_key=store_on_key)
        # It leaves now, so that what goes wrong from here on leaves its seed there.
        careful.close()
        desk.close_backup()
    try:
        with contextlib.ExitStack() as careful:
            return _finished(making, pairing, record, careful, store_on_key=store_on_key)
    except KeyctlError as error:
        if store.has_pairing(making.circumstances.home, pairing.id):
            raise
        raise _left(making, error) from error


def _unlock(session: Session, making: _Making, *, backup: bool) -> None:
    unlocking.require_current_pin_usable(session)
    if backup and making.method is Method.SOFTWARE:
        from keyctl.operations import software_seeds

        # Even where it has it already: another process needs it too.
        making.pin = software_seeds.ask_pin(session, making.circumstances)
    elif not session.has_pin:
        # Else it had to say who it is.
        unlocking.unlock(session, making.circumstances)


def _seed_made(making: _Making, backup: Session, careful: contextlib.ExitStack) -> tuple[NewSeed, Session]:
    """The seed, and the backup key as it is open now; *careful* undoes it where the rest fails."""
    key_id = making.desk.keys.backup.id
    making.before[key_id] = pair_leftovers.own_on(backup)
    making.note()
    if making.method is Method.ARKG:
        careful.enter_context(making.undoing(backup, key_id))
        new = seed_making.make_arkg(backup, making.circumstances)
        making.remarks += seed_making.remarks(new, backup.key.label)
        return new, backup
    assert making.pin is not None
    key = backup.key
    making.desk.close_backup()
    try:
        new = seed_making.make_software(key, making.pin, making.circumstances)
    except KeyctlError as error:
        # The process cleans up by itself, and says where it could not.
        if error.hint != CLEAN_UP:
            making.undone(key_id)
        raise
    try:
        backup = making.desk.reopened_backup()
    except KeyctlError as error:
        raise _left(making, error) from error
    backup.use_pin(making.pin)
    careful.enter_context(making.undoing(backup, key_id))
    return new, backup


def _left(making: _Making, error: KeyctlError) -> KeyctlError:
    """*error*, with the seed that is left on a backup key which is gone."""
    return error.continued(f"the seed on {making.desk.keys.backup.name} is left from it", CLEAN_UP)


def _pairing(making: _Making, new: NewSeed) -> Pairing:
    keys = making.desk.keys
    return Pairing(
        id=making.pairing_id,
        primary_id=keys.primary.id,
        backup_id=keys.backup.id,
        method=making.method,
        seed=new.seed,
        created_at=making.created_at,
        paired_by=local_state.computer_id(making.circumstances.state),
    )


def _finished(
    making: _Making, pairing: Pairing, record: KeyRecord, careful: contextlib.ExitStack, *, store_on_key: bool
) -> Seeded:
    """The primary key's part, and the inventory."""
    desk = making.desk
    if store_on_key:
        had_turn = desk.primary is not None
        primary = desk.turn_of_primary()
        if not had_turn:
            desk.check_able(primary, making.method)
            key_copies.require_room(primary)
            _unlock(primary, making, backup=False)
        key_id = desk.keys.primary.id
        before = making.before[key_id] = pair_leftovers.own_on(primary)
        making.note()
        careful.enter_context(making.undoing(primary, key_id))
        copy = key_copies.store_on_primary(primary, making.circumstances.state, record, before)
        if copy.blob_key is None:
            making.remarks.append(
                f"{primary.key.label} has no large blobs: it carries the seed only, and derived keys need the inventory"
                " or the backup key"
            )
        making.copies.append(copy)
    for copy in making.copies:
        pairing = with_copy(pairing, copy.stored)
    inventory = pair_recording.record(making.circumstances, pairing)
    return Seeded(pairing=pairing, inventory=inventory, remarks=tuple(making.remarks))
