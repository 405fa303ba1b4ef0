"""Pairing two keys: the backup key makes a seed and proves that it holds it, the primary key keeps its public half.

Everything that can be found out for nothing comes first, then the PINs, then the touches, and last the inventory: a
pairing is in it only when it is complete. What is made on a key is noted first, and deleted again should the rest fail.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.core import fingerprints, times
from keyctl.core.names import quoted
from keyctl.core.pairings import Method, Pairing, with_copy
from keyctl.errors import KeyctlError, NotFoundError, UnsupportedError, UsageError
from keyctl.model import KeyState
from keyctl.operations import (
    key_copies,
    noting,
    pair_choice,
    pair_desk,
    pair_leftovers,
    pair_views,
    seed_making,
    seed_trust,
    unlocking,
)
from keyctl.operations.pair_desk import Desk, KeyPair
from keyctl.store import blob_keys
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.key_record import KeyRecord
    from keyctl.core.pair_methods import Choice
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_copies import Copy
    from keyctl.operations.pair_views import PairingView
    from keyctl.operations.seed_making import NewSeed


@dataclass(frozen=True, kw_only=True)
class Creation:
    """What came of pairing two keys."""

    #: None in a dry run.
    pairing: PairingView | None
    changed: bool
    method: Method
    #: Why no stronger method was taken; empty where one was asked for by name.
    reasons: tuple[str, ...]
    #: What could not be found out or stored.
    remarks: tuple[str, ...]


def create(
    circumstances: Circumstances,
    primary: str,
    backup: str,
    *,
    method: Method | None,
    store_on_key: bool,
    allow_unattested: bool = False,
    dry_run: bool = False,
) -> Creation:
    """Pair two known keys.

    Args:
        circumstances: What the command line says.
        primary: The name, or the path, of the key of every day.
        backup: The same of the key that is to take over.
        method: How; None: the strongest that both can do, except :attr:`Method.SOFTWARE`.
        store_on_key: Whether both keys get a copy of the record.
        allow_unattested: With :attr:`Method.WEBAUTHN_DRAFT`: whether the seed may lack an attestation.
        dry_run: Check everything that needs neither PIN nor touch, change nothing.

    Raises:
        NotFoundError: A key is not known, or the two are paired already (``pairing_exists``).
        UsageError: It is the same key twice, or one of them is marked as lost or reset.
        KeyChoiceError: A key that is needed is not connected, and nobody can plug it in.
        UnsupportedError: A key cannot do it, or failed a check (``evidence_refused``).
        PinError: A key has no PIN, or it is wrong, missing or may not be tried.
        TouchError: Nobody touched a key in time.
        UnreachableError: A key is gone or silent, or answers nonsense.
    """
    inventory = store.read(circumstances.home)
    inventory.require_whole()
    if not dry_run:
        noting.require_writable(circumstances)
    for line in pair_leftovers.told(circumstances):
        circumstances.asker.tell(line)
    with contextlib.ExitStack() as stack:
        keys = pair_desk.resolved(circumstances, inventory, primary, backup, stack)
        _check(inventory, keys)
        if method is Method.REGISTRATION:
            return _registered(circumstances, keys, (), dry_run=dry_run)
        desk = Desk(circumstances, keys, stack)
        choice = desk.choose(method)
        if choice.method is Method.REGISTRATION:
            stack.close()
            return _registered(circumstances, keys, choice.reasons, dry_run=dry_run)
        if dry_run:
            return Creation(pairing=None, changed=False, method=choice.method, reasons=choice.reasons, remarks=())
        circumstances.asker.check_pins_for(2)
        if choice.method is Method.WEBAUTHN_DRAFT:
            return _by_draft(desk, choice, allow_unattested=allow_unattested)
        return _by_seed(desk, choice, store_on_key=store_on_key)


def _check(inventory: Inventory, keys: KeyPair) -> None:
    """What the inventory alone says against it."""
    names = f"{keys.primary.name} and {keys.backup.name}"
    if keys.primary.id == keys.backup.id:
        raise UsageError(
            "usage", f"{keys.primary.name} cannot be its own backup key", "name two keys: `keyctl list` shows them"
        )
    if keys.primary.virtual is not keys.backup.virtual:
        raise UnsupportedError(
            "unsupported",
            f"{names} are a virtual and a physical key, which are never paired",
            "a virtual key is for trying out: its secrets lie in a file",
        )
    for key in (keys.primary, keys.backup):
        if key.state is not KeyState.ACTIVE:
            word = quoted(key.name)
            again = f"keyctl found {word}" if key.state is KeyState.LOST else f"keyctl add {word} --replace"
            raise UsageError(
                "usage",
                f"{key.name} is marked as {key.state}",
                f"name a key that is in use; if {key.name} is: `{again}`",
                key=key.name,
            )
    _require_unpaired(inventory, keys.primary, keys.backup)


def _require_unpaired(inventory: Inventory, primary: KnownKey, backup: KnownKey) -> None:
    for pairing in inventory.pairings_of(backup.id):
        if pairing.primary_id == primary.id and pairing.retired_at is None:
            word = pair_choice.word(inventory, pairing)
            raise NotFoundError(
                "pairing_exists",
                f"{primary.name} and {backup.name} are paired already, by the method {pairing.method}",
                f"`keyctl pair verify {word}` tries it; to pair them anew, `keyctl pair remove {word}` first",
                key=backup.name,
            )


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


def _by_seed(desk: Desk, choice: Choice, *, store_on_key: bool) -> Creation:
    making = _Making(desk, choice.method)
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
                making.copies.append(key_copies.store_on_backup(backup, record, new.large_blob_key))
        key_copies.require_untouched(backup, making.before[desk.keys.backup.id])
        if both:
            return _finished(making, pairing, record, choice, careful, store_on_key=store_on_key)
        # It leaves now, so that what goes wrong from here on leaves its seed there.
        careful.close()
        desk.close_backup()
    try:
        with contextlib.ExitStack() as careful:
            return _finished(making, pairing, record, choice, careful, store_on_key=store_on_key)
    except KeyctlError as error:
        raise _left(making, error) from error


def _unlock(session: Session, making: _Making, *, backup: bool) -> None:
    unlocking.require_current_pin_usable(session)
    if session.has_pin and not (backup and making.method is Method.SOFTWARE):
        # It had to say who it is.
        return
    if backup and making.method is Method.SOFTWARE:
        from keyctl.operations import software_seeds

        software_seeds.require(session)
        making.pin = software_seeds.ask_pin(session, making.circumstances)
        session.use_pin(making.pin)
    else:
        unlocking.unlock(session, making.circumstances)


def _seed_made(making: _Making, backup: Session, careful: contextlib.ExitStack) -> tuple[NewSeed, Session]:
    """The seed, and the backup key as it is open now; *careful* undoes it where the rest fails."""
    key_id = making.desk.keys.backup.id
    before = making.before[key_id] = pair_leftovers.own_on(backup)
    making.note()
    if making.method is Method.ARKG:
        careful.enter_context(pair_leftovers.undone(backup, before, lambda: making.undone(key_id)))
        new = seed_making.make_arkg(backup, making.circumstances)
        if new.policy is not None and new.policy.reason is not None:
            making.remarks.append(
                f"whether {backup.key.label} would sign without PIN or touch could not be tried: {new.policy.reason}"
            )
        return new, backup
    assert making.pin is not None
    key = backup.key
    making.desk.close_backup()
    try:
        new = seed_making.make_software(key, making.pin, making.circumstances)
    except KeyctlError as error:
        # The process cleans up by itself, and says where it could not.
        if error.hint != pair_leftovers.CLEAN_UP:
            making.undone(key_id)
        raise
    try:
        backup = making.desk.reopened_backup()
    except KeyctlError as error:
        raise _left(making, error) from error
    backup.use_pin(making.pin)
    careful.enter_context(pair_leftovers.undone(backup, before, lambda: making.undone(key_id)))
    return new, backup


def _left(making: _Making, error: KeyctlError) -> KeyctlError:
    """*error*, with the seed that is left on a backup key which is gone."""
    return error.continued(f"the seed on {making.desk.keys.backup.name} is left from it", pair_leftovers.CLEAN_UP)


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
    making: _Making,
    pairing: Pairing,
    record: KeyRecord,
    choice: Choice,
    careful: contextlib.ExitStack,
    *,
    store_on_key: bool,
) -> Creation:
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
        careful.enter_context(pair_leftovers.undone(primary, before, lambda: making.undone(key_id)))
        copy = key_copies.store_on_primary(primary, record, before)
        if copy.blob_key is None:
            making.remarks.append(
                f"{primary.key.label} has no large blobs: it carries the seed only, and derived keys need the inventory"
                " or the backup key"
            )
        making.copies.append(copy)
    for copy in making.copies:
        pairing = with_copy(pairing, copy.stored)
    _note(making, pairing)
    inventory = store.read(making.circumstances.home)
    return Creation(
        pairing=pair_views.view(inventory, pairing),
        changed=True,
        method=choice.method,
        reasons=choice.reasons,
        remarks=tuple(making.remarks),
    )


def _note(making: _Making, pairing: Pairing) -> None:
    """Write the pairing down; only then it is one."""
    assert pairing.seed is not None
    state = making.circumstances.state
    seed_hash = pairing.seed_hash
    assert seed_hash is not None
    local_state.write_seed_pin(state, pairing.id, seed_hash)
    with _writing(making.circumstances, pairing) as changes:
        changes.put_pairing(pairing)
        inventory = changes.inventory
    seed_trust.remember(making.circumstances, inventory, pairing)
    for copy in making.copies:
        if copy.blob_key is not None:
            blob_keys.write(state, pairing.id, copy.stored.key_id, copy.blob_key)
    begun.remove(state, pairing.id)


@contextlib.contextmanager
def _writing(circumstances: Circumstances, pairing: Pairing) -> Iterator[store.Changes]:
    """The inventory for one more pairing, whose keys are still known and still not paired."""
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        primary, backup = map(changes.inventory.key_with_id, (pairing.primary_id, pairing.backup_id))
        if primary is None or backup is None:
            raise NotFoundError(
                "name_not_found",
                "one of the two keys was forgotten while they were paired",
                "add it again with `keyctl add NAME`, and pair the two again",
            )
        # Another process may have been faster.
        _require_unpaired(changes.inventory, primary, backup)
        yield changes


def _by_draft(desk: Desk, choice: Choice, *, allow_unattested: bool) -> Creation:
    """The recovery draft: the primary key itself keeps the seed, and makes keys from it when a site asks."""
    from keyctl.operations import pair_draft

    circumstances = desk.circumstances
    backup, primary = desk.backup, desk.primary
    assert backup is not None
    assert primary is not None
    for session in (backup, primary):
        pair_draft.require(session)
        unlocking.require_current_pin_usable(session)
        if not session.has_pin:
            unlocking.unlock(session, circumstances)
    primary.verify_pin()
    seed = pair_draft.export_seed(backup)
    pair_draft.import_seed(primary, seed, allow_unattested=allow_unattested)
    now = times.now()
    pairing = Pairing(
        id=store.new_id(),
        primary_id=desk.keys.primary.id,
        backup_id=desk.keys.backup.id,
        method=Method.WEBAUTHN_DRAFT,
        recovery_seed=seed,
        created_at=now,
        paired_by=local_state.computer_id(circumstances.state),
    )
    try:
        with _writing(circumstances, pairing) as changes:
            changes.put_pairing(pairing)
    except KeyctlError:
        pair_draft.remove_seed(primary, seed)
        raise
    return _made(circumstances, pairing, choice.reasons)


def _registered(circumstances: Circumstances, keys: KeyPair, reasons: tuple[str, ...], *, dry_run: bool) -> Creation:
    """No seed: the two keys are kept in step by hand."""
    if dry_run:
        return Creation(pairing=None, changed=False, method=Method.REGISTRATION, reasons=reasons, remarks=())
    pairing = Pairing(
        id=store.new_id(),
        primary_id=keys.primary.id,
        backup_id=keys.backup.id,
        method=Method.REGISTRATION,
        created_at=times.now(),
        paired_by=local_state.computer_id(circumstances.state),
    )
    with _writing(circumstances, pairing) as changes:
        changes.put_pairing(pairing)
    return _made(circumstances, pairing, reasons)


def _made(circumstances: Circumstances, pairing: Pairing, reasons: tuple[str, ...]) -> Creation:
    inventory = store.read(circumstances.home)
    return Creation(
        pairing=pair_views.view(inventory, pairing),
        changed=True,
        method=pairing.method,
        reasons=reasons,
        remarks=(),
    )
