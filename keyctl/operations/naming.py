"""Giving keys names, changing what is noted of them, and forgetting them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core import names, services, times
from keyctl.core.inventory import KnownKey, RecognitionCredential
from keyctl.core.text import counted_are, visible
from keyctl.errors import NotFoundError, UsageError
from keyctl.model import OWN_RP_ID, KeyState, Recognition, Role
from keyctl.operations import noting, opening, recognising, service_choice, stranding, unattended, unlocking
from keyctl.operations.pins import KeyChange
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.inventory import Inventory
    from keyctl.device.enrolling import Enrolment
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.store.inventory import Changes


_NO_ROLE = "none"


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a person says of a key; None leaves a fact as it is, an empty text takes it away.

    Args:
        role: A value of :class:`Role`, or ``none``, which takes it away.
        owner: Whose it is.
        location: Where it lies.
        note: Anything else.
    """

    role: str | None = None
    owner: str | None = None
    location: str | None = None
    note: str | None = None

    def given(self) -> dict[str, Any]:
        """The facts that were given."""
        said: dict[str, str | None] = {"owner": self.owner, "location": self.location, "note": self.note}
        given: dict[str, Any] = {name: value or None for name, value in said.items() if value is not None}
        if self.role is not None:
            given["role"] = Role(self.role) if self.role != _NO_ROLE else None
        return given


@dataclass(frozen=True, kw_only=True)
class Addition(KeyChange):
    """What came of adding a key."""

    #: Whether a credential was made on the key, so that it is known from now on.
    enrolled: bool


def find(inventory: Inventory, name: str) -> KnownKey:
    """The known key *name*.

    Raises:
        NotFoundError: There is none (``name_not_found``).
    """
    known = inventory.key_named(names.composed(name))
    if known is None:
        raise service_choice.unknown_key(inventory, f"no key {name} is known")
    return known


def add(circumstances: Circumstances, name: str, notes: Notes, *, replacing: bool, dry_run: bool) -> Addition:
    """Enrol the connected key under *name*: from now on it is known again wherever it turns up.

    Args:
        circumstances: What the command line says; its key is the device.
        name: The new name, or, with *replacing*, that of a key which was reset or replaced by this one.
        notes: What is to be noted of it.
        replacing: Whether the name is known and changes hands.
        dry_run: Check everything that costs nothing, change nothing.

    Raises:
        UsageError: Nothing can have this name, or a key in use would lose it and nobody can confirm that.
        DeclinedError: The answer to that was no.
        NotFoundError: The name is taken, or with *replacing* not known, or this key has another; or it is that of a
            lost key about which something is left to do.
        PinError: The key wants its PIN, and it is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
    """
    name = names.checked(name)
    inventory = store.read_whole(circumstances.home)
    named = find(inventory, name) if replacing else inventory.key_named(name)
    # Of one that was reset nothing is left that somebody could miss.
    displaced = named if named is not None and named.state is not KeyState.RESET else None
    if not dry_run:
        # Whatever is in the way of writing shows before anybody touches anything.
        noting.require_writable(circumstances)
    with opening.opened(circumstances, remarking=False) as session:
        has_name = _has_name(session.key, named, name, replacing=replacing)
        if has_name and (remark := recognising.remark(session.key, inventory)):
            circumstances.asker.tell(remark)
        locked = session.key.recognition is Recognition.LOCKED
        if displaced is not None and not locked and session.key.id != displaced.id:
            _require_loss_dealt_with(circumstances, inventory, displaced)
            _confirm_replacing(circumstances, inventory, displaced, dry_run=dry_run)
        if dry_run:
            return Addition(key=session.key, changed=False, enrolled=False)
        if has_name:
            return _noted_so(session, circumstances, name, notes)
        if session.enrolment_wants_pin or (locked and session.info.pin_set):
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
            # A key that says nothing without its PIN has only now said which one it is.
            if locked and _has_name(session.key, named, name, replacing=replacing):
                return _noted_so(session, circumstances, name, notes)
            if locked and displaced is not None and session.key.id != displaced.id:
                _require_loss_dealt_with(circumstances, inventory, displaced)
                _confirm_replacing(circumstances, inventory, displaced, dry_run=False)
        record = _enrolled(session, circumstances, name, notes, named)
        session.identify(recognising.named(session.key, record, Recognition.PROVED))
        return Addition(key=session.key, changed=True, enrolled=True)


def enrol(session: Session, circumstances: Circumstances, name: str, notes: Notes, *, key_id: str) -> KnownKey:
    """Enrol an open key that has no name yet under *name*, with a touch, as the record of a pairing says.

    Args:
        session: The key; it bears the name from then on.
        circumstances: What the command line says.
        name: A name that no other key has.
        notes: What is to be noted of it.
        key_id: The number that it had in the inventory of before, kept where no other key has it.

    Raises:
        NotFoundError: Another key has the name.
        TouchError: Nobody touched it in time.
    """
    inventory = store.read(circumstances.home)
    name = require_free(session, inventory, name)
    kept_id = key_id if inventory.key_with_id(key_id) is None else None
    record = _enrolled(session, circumstances, name, notes, None, key_id=kept_id)
    session.identify(recognising.named(session.key, record, Recognition.PROVED))
    return record


def require_free(session: Session, inventory: Inventory, name: str) -> str:
    """*name*, in its one form, for an open key that was called so and is not known here.

    Raises:
        NotFoundError: Another key has the name (``name_exists``).
    """
    name = names.checked(name)
    if inventory.key_named(name) is not None:
        raise NotFoundError(
            "name_exists",
            f"the connected key was called {name}, and another key is called so here",
            f"give it a name of its own first: `keyctl add NAME -k {names.quoted(session.key.selector or '')}`",
            key=name,
        )
    return name


def _require_loss_dealt_with(circumstances: Circumstances, inventory: Inventory, known: KnownKey) -> None:
    """Refuse the name of a lost key as long as its accounts still know it: what to do about them would be forgotten.

    Raises:
        NotFoundError: Something is left to do.
    """
    if known.state is not KeyState.LOST:
        return
    # Loaded only where a key is lost.
    from keyctl.operations import unfinished_losses

    left = unfinished_losses.open_steps(circumstances, inventory, known)
    if left.steps:
        raise NotFoundError(
            "name_exists",
            f"{known.name} is lost, and {counted_are(len(left.steps), 'step')} left to do, "
            "which would be forgotten with it",
            "give the new key a name of its own, `keyctl add NEW`, and finish "
            f"`keyctl lost {names.quoted(known.name)}`; where this is the lost key, back and reset, first "
            f"`keyctl found {names.quoted(known.name)}`",
            key=known.name,
        )


def _confirm_replacing(circumstances: Circumstances, inventory: Inventory, known: KnownKey, *, dry_run: bool) -> None:
    """A yes, or the name typed back, before another key takes the place of one that was not reset."""
    name = visible(known.name)
    stranded = stranding.lines(inventory, known.id)
    state = "lost" if known.state is KeyState.LOST else "in use"
    about = f"{name} is {state}; nothing that is noted of it counts any more once the connected key has its name."
    if dry_run:
        stranding.rehearse(circumstances.asker, stranded, about, known.name)
    else:
        stranding.confirm(circumstances.asker, stranded, about, known.name, "\nReplace it?")


def _has_name(key: Key, named: KnownKey | None, name: str, *, replacing: bool) -> bool:
    """Whether the connected *key* is *named* already, and needs no enrolment; of a locked one nobody knows yet.

    Raises:
        NotFoundError: It has another name, or another key has this one.
    """
    if named is not None and key.id == named.id:
        # Where its enrolment is in doubt, it may be enrolled again under its own name.
        return not (replacing and key.recognition in {Recognition.COUNTER_BACK, Recognition.CHANGED})
    if key.name is not None:
        raise NotFoundError(
            "key_known",
            f"the connected key is known already: it is {key.name}",
            f"to have it take the place of {name}, forget its own name first: `keyctl forget {names.quoted(key.name)}`"
            if replacing
            else f"plug in the other one, or choose it with -k: {name} is another known key"
            if named is not None
            else f"rename it with `keyctl edit {names.quoted(key.name)} --name {names.quoted(name)}`",
            key=key.name,
        )
    if named is not None and not replacing and key.recognition is not Recognition.LOCKED:
        raise NotFoundError(
            "name_exists",
            f"another key is called {name} already",
            "choose another name; if that key was reset, or this one takes its place, add --replace",
            key=name,
        )
    return False


def _noted_so(session: Session, circumstances: Circumstances, name: str, notes: Notes) -> Addition:
    """The key has its name already; what is said of it beside is noted all the same."""
    if not notes.given():
        return Addition(key=session.key, changed=False, enrolled=False)
    edited = edit(circumstances, name, notes, new_name=None, dry_run=False)
    said = {fact: getattr(edited.key, fact) for fact in notes.given()}
    session.identify(replace(session.key, **said))
    return Addition(key=session.key, changed=edited.changed, enrolled=False)


def _enrolled(
    session: Session,
    circumstances: Circumstances,
    name: str,
    notes: Notes,
    named: KnownKey | None,
    *,
    key_id: str | None = None,
) -> KnownKey:
    """Enrol the key, with a touch, and write down what is known of it."""
    enrolment = _enrolment(session, circumstances, named)
    now = times.now()
    recognition = RecognitionCredential(
        credential_id=enrolment.credential_id,
        public_key=enrolment.public_key,
        user_id=enrolment.user_id,
        u2f=enrolment.u2f,
        enrolled_at=now,
    )
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        former = changes.inventory.key_with_id(named.id) if named is not None else None
        _require_still_free(changes.inventory, name, former)
        record = _record(session.key, name, recognition, former, now)
        record = replace(record, id=key_id or record.id, **notes.given())
        if former is not None:
            record = replace(record, changed={**record.changed, **dict.fromkeys(notes.given(), now)})
        gives_way = former is not None and former.id != session.key.id
        if gives_way:
            # What was said of the key before is not so of this one. Should it end here, too little cover is claimed
            # rather than too much.
            take_back_declarations(changes, record.id)
            noting.pairings_end(changes, record.id, now)
        # This first: where it cannot be written, the inventory is still as it was.
        local_state.write_pin(circumstances.state, record.id, recognition.public_key)
        local_state.write_name_pin(circumstances.state, record.name, record.id)
        changes.put_key(record)
    if gives_way:
        # It was the token of another key, and its loss.
        unattended.forgotten(circumstances, record.id)
        from keyctl.store import loss_records

        loss_records.forget(circumstances.home, record.id)
    _remember(session, circumstances, record, enrolment)
    return record


def _enrolment(session: Session, circumstances: Circumstances, named: KnownKey | None) -> Enrolment:
    """The credential that is made on the key, unless it holds that of another known key than *named*."""
    known = store.read(circumstances.home).keys
    # One that is enrolled anew holds its own old credential.
    others = {key.recognition.credential_id: key for key in known if named is None or key.id != named.id}
    try:
        return session.enrol(tuple(others))
    except NotFoundError as error:
        raise _known_unproved(session, others, error) from error


def _require_still_free(inventory: Inventory, name: str, former: KnownKey | None) -> None:
    taken = inventory.key_named(name)
    if taken is not None and taken != former:
        raise NotFoundError(
            "name_exists",
            f"another key was called {name} in the meantime",
            "choose another name; nothing was noted, and the key was given nothing that counts",
            key=name,
        )


def _remember(session: Session, circumstances: Circumstances, record: KnownKey, enrolment: Enrolment) -> None:
    """Keep in mind where the key was seen; that a PIN of the key before was wrong says nothing of this one."""
    failed_at = None
    if session.key.id == record.id:
        failed_at = local_state.read_memory(circumstances.state, record.id).pin_failed_at
    memory = local_state.KeyMemory(
        last_seen=record.recognition.enrolled_at,
        selector=session.key.selector,
        counter=enrolment.counter,
        pin_failed_at=failed_at,
    )
    local_state.write_memory(circumstances.state, record.id, memory)


def _known_unproved(session: Session, others: Mapping[bytes, KnownKey], error: NotFoundError) -> NotFoundError:
    """The key holds a credential that is on file, but did not prove to be the key that this belongs to."""
    held = session.answering(OWN_RP_ID, tuple(others), verified=session.has_pin) if not session.is_u2f else None
    if held is None:
        return error
    name = others[held.credential_id].name
    return NotFoundError(
        "key_known",
        f"the connected key holds the credential of {name}, but its signature is not that of {name}",
        f"the inventory's record of {name} was changed or is damaged: restore it from a backup, or enrol the key again "
        f"with `keyctl add {names.quoted(name)} --replace`",
        key=name,
    )


def _record(key: Key, name: str, recognition: RecognitionCredential, former: KnownKey | None, now: str) -> KnownKey:
    """What is known of *key* from now on; *former* is the key that had the name before, or itself."""
    facts: dict[str, Any] = {
        "virtual": key.virtual,
        "aaguid": key.aaguid,
        "model": key.model or key.product,
        "serial": key.serial,
        "firmware": key.firmware,
        "recognition": recognition,
    }
    if former is None:
        return KnownKey(id=store.new_id(), name=name, added_at=now, **facts)
    if key.id == former.id:
        return replace(former, **facts)
    # What was on the key of this name before is not on this one.
    ended = former.changed.get("state", now) if former.state is KeyState.RESET else now
    return replace(
        former,
        **facts,
        state=KeyState.ACTIVE,
        passkeys=tuple(replace(passkey, reset_at=passkey.reset_at or ended) for passkey in former.passkeys),
        passkeys_read_at=None,
        passkeys_remaining=None,
        registrations=tuple(replace(entry, reset_at=entry.reset_at or ended) for entry in former.registrations),
        changed={**former.changed, "state": now, "passkeys": now},
    )


def edit(circumstances: Circumstances, name: str, notes: Notes, *, new_name: str | None, dry_run: bool) -> KeyChange:
    """Change what is noted of a known key; it need not be connected.

    Raises:
        NotFoundError: No such key is known, or the new name is taken.
    """
    given = notes.given()
    if new_name is not None:
        given["name"] = names.checked(new_name)
    if dry_run:
        inventory = store.read_whole(circumstances.home)
        known, _ = _edited(inventory, name, given)
        return KeyChange(key=recognising.absent(known, circumstances.state), changed=False)
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        known, edited = _edited(changes.inventory, name, given)
        if known.name != edited.name and local_state.read_name_pin(circumstances.state, known.name) == known.id:
            # The name that it gives up is free for another key.
            local_state.forget_name(circumstances.state, known.name)
            local_state.write_name_pin(circumstances.state, edited.name, known.id)
        changes.put_key(edited)
    return KeyChange(key=recognising.absent(edited, circumstances.state), changed=edited != known)


def _edited(inventory: Inventory, name: str, given: Mapping[str, Any]) -> tuple[KnownKey, KnownKey]:
    """The key *name* as it is, and with the facts that were *given*."""
    known = find(inventory, name)
    taken = inventory.key_named(given.get("name", known.name))
    if taken is not None and taken.id != known.id:
        raise NotFoundError(
            "name_exists", f"another key is called {taken.name} already", "choose another name", key=taken.name
        )
    different = {fact: value for fact, value in given.items() if getattr(known, fact) != value}
    changed = {**known.changed, **dict.fromkeys(different, times.now())}
    return known, replace(known, **different, changed=changed)


def require_no_key_option(circumstances: Circumstances) -> None:
    """Refuse ``--key`` where the key is an argument.

    Raises:
        UsageError: It was given.
    """
    if circumstances.wanted is not None:
        raise UsageError("usage", "this command takes no --key", "the key is named by its argument")


def take_back_declarations(changes: Changes, key_id: str) -> None:
    """No service is said to know the key any more."""
    for service in changes.inventory.services:
        if any(declaration.key_id == key_id for declaration in service.on):
            changes.put_service(services.with_keys(service, removed=[key_id], now=times.now()))
