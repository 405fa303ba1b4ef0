"""Which known key is this? A name is earned on the connection in use, by a signature that verifies."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.errors import KeyctlError, PinError, StoreError
from keyctl.model import OWN_RP_ID, Key, KeyState, Recognition
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances

#: It is this one: what wants a proof may go on.
PROVEN = frozenset({Recognition.PROVED, Recognition.COUNTER_BACK, Recognition.CHANGED})
#: It bears a name.
NAMED = PROVEN | {Recognition.CLAIMED}
#: Failures of the question that say nothing about which key it is: some firmware does not take it well.
_NO_ANSWER = frozenset({"unsupported", "key_error", "key_nonsense", "no_touch", "touch_refused"})
#: So many are told by name.
_MAX_NAMES = 5


@dataclass(frozen=True, kw_only=True)
class Known:
    """What there is to compare a connected key with."""

    inventory: Inventory
    #: This computer's own state.
    state: Path

    def likeliest_first(self, connected: Key, *, u2f: bool) -> list[KnownKey]:
        """The keys that *connected* may be, in the order in which one question is mostly enough.

        First those of its model, as a key keeps its AAGUID save over some firmware updates; among these those that were
        last seen in its place, the latest first: all keys of a person may go into the same port.
        """
        memories = {key.id: local_state.read_memory(self.state, key.id) for key in self.inventory.keys}
        keys = [key for key in self.inventory.keys if key.recognition.u2f is u2f]
        keys.sort(key=lambda key: memories[key.id].last_seen or "", reverse=True)
        return sorted(
            keys, key=lambda key: (key.aaguid != connected.aaguid, memories[key.id].selector != connected.selector)
        )


def known(circumstances: Circumstances) -> Known:
    """All known keys that can be read; what cannot is in the inventory's problems."""
    return Known(inventory=store.read(circumstances.home), state=circumstances.state)


def recognise(session: Session, known: Known, *, verified: bool = False) -> None:
    """Find out which known key *session* is; from then on it bears that name in all messages.

    Args:
        session: The key.
        known: What is known.
        verified: Whether to use the PIN that the session remembers, for keys that answer nothing without it.

    Raises:
        PinError: The PIN is wrong or blocked (only with *verified*).
        UnreachableError: The key is gone or silent.
        StoreError: The public keys first seen here cannot be read.
    """
    if not known.inventory.keys:
        return
    try:
        found = _claimant(session, known) if session.is_u2f else _prover(session, known, verified=verified)
    except PinError:
        if verified:
            raise
        locked = any(key.aaguid == session.key.aaguid for key in known.inventory.keys if not key.recognition.u2f)
        session.identify(replace(session.key, recognition=Recognition.LOCKED if locked else Recognition.UNKNOWN))
        return
    except KeyctlError as error:
        if error.code not in _NO_ANSWER:
            raise
        session.identify(replace(session.key, recognition=Recognition.UNKNOWN))
        return
    if found is None:
        alike = _of_its_model(session.key, known.inventory)
        session.identify(replace(session.key, recognition=Recognition.PERHAPS_RESET if alike else Recognition.UNKNOWN))
    else:
        _note(session, known.state, *found)


def prove_by_touch(session: Session, known: Known) -> None:
    """Have a U2F key that claims to be a known one prove it, with a touch.

    Raises:
        TouchError: Nobody touched it in time.
        UnreachableError: Its signature does not verify (``key_nonsense``), or it is gone or silent.
    """
    from keyctl.core import public_keys
    from keyctl.device import errors

    found = known.inventory.key_with_id(session.key.id or "")
    assert found is not None
    assertion = session.touched(OWN_RP_ID, found.recognition.credential_id)
    if not public_keys.verifies(found.recognition.public_key, assertion.signed, assertion.signature):
        raise errors.nonsense(session.key.label, f"with a signature that is not that of {found.name}")
    _note(session, known.state, found, assertion.counter)


def named(key: Key, found: KnownKey, recognition: Recognition) -> Key:
    """The connected *key* with all that the inventory says of it."""
    return replace(
        key,
        id=found.id,
        name=found.name,
        role=found.role,
        owner=found.owner,
        location=found.location,
        note=found.note,
        state=found.state,
        model=key.model or found.model,
        serial=key.serial or found.serial,
        last_seen=times.now(),
        recognition=recognition,
    )


def absent(found: KnownKey, state: Path) -> Key:
    """A known key that is not connected, as ``list`` shows it."""
    return Key(
        id=found.id,
        name=found.name,
        role=found.role,
        owner=found.owner,
        location=found.location,
        note=found.note,
        state=found.state,
        connected=False,
        selector=None,
        transport=None,
        path=None,
        model=found.model,
        aaguid=found.aaguid,
        serial=found.serial,
        firmware=found.firmware,
        virtual=found.virtual,
        last_seen=local_state.read_memory(state, found.id).last_seen,
    )


def remark(key: Key, inventory: Inventory, present: Collection[str | None] = ()) -> str | None:
    """What a person should know of how *key* was recognised, in words; None: nothing.

    Args:
        key: The connected key.
        inventory: What is known.
        present: The ids of known keys that are connected too, so that this cannot be one of them.
    """
    label = key.label
    alike = [known for known in _of_its_model(key, inventory) if known.id not in present]
    match key.recognition:
        case Recognition.COUNTER_BACK:
            return (
                f"the signature counter of {label} went back: somebody may have a copy of it; "
                f"remove it from your accounts, or if you know why, enrol it again: `{_command(key.name)} --replace`"
            )
        case Recognition.CHANGED:
            return (
                f"the inventory's public key of {label} is not the one first seen on this computer; "
                "it gets no PIN before you confirm that at a terminal"
            )
        case Recognition.CLAIMED:
            return f"{label} says that it is this key; a U2F key proves it with a touch only"
        case Recognition.LOCKED:
            return (
                f"{label} wants its PIN before it says which key it is; it may be {_either(alike)}; "
                f"name it by its path: -k {quoted(key.selector or '')}"
            )
        case Recognition.PERHAPS_RESET if alike:
            return _perhaps_reset(label, alike)
        case _:
            return None


def _of_its_model(key: Key, inventory: Inventory) -> list[KnownKey]:
    return [known for known in inventory.keys if known.aaguid is not None and known.aaguid == key.aaguid]


def _perhaps_reset(label: str, alike: Sequence[KnownKey]) -> str:
    names = _either(alike)
    if all(key.state is KeyState.RESET for key in alike):
        one = alike[0].name if len(alike) == 1 else None
        return f"{label} is of the model of {names}, which was reset; `{_command(one)} --replace` names it again"
    return (
        f"{label} is of the model of {names} and has no name: a new key (`{_command(None)}`), "
        f"or that one after a reset (`{_command(None)} --replace`)"
    )


def _either(keys: Sequence[KnownKey]) -> str:
    """One of *keys*, in a sentence."""
    names = [key.name for key in keys]
    if len(names) > _MAX_NAMES:
        names[_MAX_NAMES:] = ["others"]
    return " or ".join(names) or "any of the known keys"


def _command(name: str | None) -> str:
    return f"keyctl add {quoted(name) if name is not None else 'NAME'}"


def _claimant(session: Session, known: Known) -> tuple[KnownKey, int | None] | None:
    """The known U2F key that *session* claims to be; nothing is proved without a touch."""
    candidates = {key.recognition.credential_id: key for key in known.likeliest_first(session.key, u2f=True)}
    claimed = session.claimed(OWN_RP_ID, tuple(candidates)) if candidates else None
    return (candidates[claimed], None) if claimed is not None else None


def _prover(session: Session, known: Known, *, verified: bool) -> tuple[KnownKey, int | None] | None:
    """The known key that *session* proves to be, and its signature counter."""
    from keyctl.core import public_keys

    candidates: dict[bytes, list[KnownKey]] = {}
    for key in known.likeliest_first(session.key, u2f=False):
        # Whoever edits the inventory can give one key the credential of another.
        candidates.setdefault(key.recognition.credential_id, []).append(key)
    while candidates:
        assertion = session.answering(OWN_RP_ID, tuple(candidates), verified=verified)
        if assertion is None:
            return None
        for key in candidates.pop(assertion.credential_id):
            if public_keys.verifies(key.recognition.public_key, assertion.signed, assertion.signature):
                return key, assertion.counter
    return None


def _note(session: Session, state: Path, found: KnownKey, counter: int | None) -> None:
    """The key of *session* is *found*; without a counter it only says so."""
    recognition = Recognition.CLAIMED if counter is None else _how_surely(found, counter, state)
    session.identify(named(session.key, found, recognition))
    _remember(state, session.key, counter)


def _how_surely(found: KnownKey, counter: int, state: Path) -> Recognition:
    pinned = local_state.read_pin(state, found.id)
    name_pin = local_state.read_name_pin(state, found.name)
    if pinned is None and name_pin not in {None, found.id}:
        # A record that somebody put in the place of the one with this name.
        return Recognition.CHANGED
    if pinned not in {None, found.recognition.public_key}:
        return Recognition.CHANGED
    with contextlib.suppress(StoreError):
        # A home on a read-only disk can still be read.
        if pinned is None:
            local_state.write_pin(state, found.id, found.recognition.public_key)
        if name_pin != found.id:
            local_state.write_name_pin(state, found.name, found.id)
    last = local_state.read_memory(state, found.id).counter
    return Recognition.COUNTER_BACK if last is not None and counter < last else Recognition.PROVED


def _remember(state: Path, key: Key, counter: int | None) -> None:
    assert key.id is not None
    memory = local_state.read_memory(state, key.id)
    # After a step back the higher one stays, so that it is said every time.
    highest = max((number for number in (counter, memory.counter) if number is not None), default=None)
    with contextlib.suppress(StoreError):
        # As above: what is only convenient must not keep a read from working.
        local_state.write_memory(
            state, key.id, replace(memory, last_seen=key.last_seen, selector=key.selector, counter=highest)
        )
