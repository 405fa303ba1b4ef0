"""Which known key is this? A name is earned on the connection in use, by a signature that verifies."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.errors import KeyctlError, NotFoundError, PinError, StoreError
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
#: As :data:`PROVEN`, without those for which the inventory has another public key than the one first seen here.
UNDISPUTED = PROVEN - {Recognition.CHANGED}
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

    def likeliest_first(self, connected: Key, *, u2f: bool) -> list[tuple[KnownKey, int | None]]:
        """The keys that *connected* may be, in the order in which one question is mostly enough.

        Each with its last signature counter of before the question: another process may ask at the same time, and what
        it notes in the meantime is no counter that went back.

        First those of its model, as a key keeps its AAGUID save over some firmware updates; among these those that were
        last seen in its place, the latest first: all keys of a person may go into the same port.
        """
        memories = {key.id: local_state.read_memory(self.state, key.id) for key in self.inventory.keys}
        keys = [key for key in self.inventory.keys if key.recognition.u2f is u2f]
        keys.sort(key=lambda key: memories[key.id].last_seen or "", reverse=True)
        keys.sort(key=lambda key: (key.aaguid != connected.aaguid, memories[key.id].selector != connected.selector))
        return [(key, memories[key.id].counter) for key in keys]


@dataclass(frozen=True)
class _Answer:
    """What a key said of itself."""

    key: KnownKey
    #: None: it only claims to be this one.
    counter: int | None
    #: The one that was remembered when it was asked.
    counter_before: int | None


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
        _note(session, known.state, found)


def prove_by_touch(session: Session, known: Known) -> None:
    """Have a key prove with a touch that it is the known one that it claims to be; with the PIN that it remembers.

    Raises:
        PinError: It wants its PIN, or has refused it.
        TouchError: Nobody touched it in time.
        UnreachableError: Its signature does not verify (``key_nonsense``), or it is gone or silent.
    """
    from keyctl.core import public_keys
    from keyctl.device import errors

    found = known.inventory.key_with_id(session.key.id or "")
    assert found is not None
    before = local_state.read_memory(known.state, found.id).counter
    try:
        assertion = session.touched(OWN_RP_ID, found.recognition.credential_id, verified=session.has_pin)
    except NotFoundError as error:
        raise errors.nonsense(session.key.label, f"that it is not {found.name} after all") from error
    if not public_keys.verifies(found.recognition.public_key, assertion.signed, assertion.signature):
        raise errors.nonsense(session.key.label, f"with a signature that is not that of {found.name}")
    _note(session, known.state, _Answer(found, assertion.counter, before))


def prove_again(session: Session, known: Known) -> KnownKey | None:
    """Have a key that proved which one it is do so once more, against what is known by now.

    Returns:
        What is known of it; None: another, or nothing any more.

    Raises:
        PinError: It has refused the PIN.
        TouchError: It knows U2F only, and nobody touched it in time.
        UnreachableError: It is gone or silent, or its signature does not verify.
    """
    before = session.key.id
    if known.inventory.key_with_id(before or "") is None:
        return None
    if session.is_u2f:
        prove_by_touch(session, known)
    else:
        recognise(session, known, verified=session.has_pin)
    proved = session.key.id == before and session.key.recognition in PROVEN
    return known.inventory.key_with_id(before or "") if proved else None


def named(key: Key, found: KnownKey, recognition: Recognition) -> Key:
    """The connected *key* with all that the inventory says of it."""
    return replace(
        key,
        **_noted(found),
        model=key.model or found.model,
        serial=key.serial or found.serial,
        last_seen=times.now(),
        recognition=recognition,
    )


def absent(found: KnownKey, state: Path) -> Key:
    """A known key that is not connected, as ``list`` shows it."""
    return Key(
        **_noted(found),
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


def _noted(found: KnownKey) -> dict[str, Any]:
    """What people said of a key, and what became of it."""
    return {fact: getattr(found, fact) for fact in ("id", "name", "role", "owner", "location", "note", "state")}


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
            return f"{key.selector} says that it is {label}; a U2F key proves that with a touch only"
        case Recognition.LOCKED:
            return (
                f"{label} wants its PIN before it says which key it is; it may be {_either(alike)}; "
                f"name it by its path: -k {quoted(key.selector or '')}"
            )
        case Recognition.PERHAPS_RESET if alike:
            return _perhaps_reset(label, alike, f"-k {quoted(key.selector or '')}")
        case _:
            return None


def _of_its_model(key: Key, inventory: Inventory) -> list[KnownKey]:
    return [known for known in inventory.keys if known.aaguid is not None and known.aaguid == key.aaguid]


def _perhaps_reset(label: str, alike: Sequence[KnownKey], which: str) -> str:
    names = _either(alike)
    if all(key.state is KeyState.RESET for key in alike):
        one = alike[0].name if len(alike) == 1 else None
        return (
            f"{label} is of the model of {names}, which was reset; if it is that key, "
            f"`{_command(one)} --replace {which}` names it again"
        )
    return (
        f"{label} is of the model of {names} and has no name: a new key (`{_command(None)} {which}`), "
        f"or that one after a reset (`{_command(None)} --replace {which}`)"
    )


def _either(keys: Sequence[KnownKey]) -> str:
    """One of *keys*, in a sentence."""
    names = [key.name for key in keys]
    if len(names) > _MAX_NAMES:
        names[_MAX_NAMES:] = ["others"]
    return " or ".join(names) or "any of the known keys"


def _command(name: str | None) -> str:
    return f"keyctl add {quoted(name) if name is not None else 'NAME'}"


def _claimant(session: Session, known: Known) -> _Answer | None:
    """The known U2F key that *session* claims to be; nothing is proved without a touch."""
    candidates = {key.recognition.credential_id: key for key, _ in known.likeliest_first(session.key, u2f=True)}
    claimed = session.claimed(OWN_RP_ID, tuple(candidates)) if candidates else None
    return _Answer(candidates[claimed], None, None) if claimed is not None else None


def _prover(session: Session, known: Known, *, verified: bool) -> _Answer | None:
    """The known key that *session* proves to be, and its signature counter."""
    from keyctl.core import public_keys

    candidates: dict[bytes, list[tuple[KnownKey, int | None]]] = {}
    for key, before in known.likeliest_first(session.key, u2f=False):
        # Whoever edits the inventory can give one key the credential of another.
        candidates.setdefault(key.recognition.credential_id, []).append((key, before))
    while candidates:
        assertion = session.answering(OWN_RP_ID, tuple(candidates), verified=verified)
        if assertion is None:
            return None
        for key, before in candidates.pop(assertion.credential_id):
            if public_keys.verifies(key.recognition.public_key, assertion.signed, assertion.signature):
                return _Answer(key, assertion.counter, before)
    return None


def _note(session: Session, state: Path, answer: _Answer) -> None:
    """The key of *session* is that of the *answer*; without a counter it only says so."""
    found = answer.key
    recognition = Recognition.CLAIMED if answer.counter is None else _how_surely(answer, answer.counter, state)
    session.identify(named(session.key, found, recognition))
    _remember(state, session.key, answer.counter)


def _how_surely(answer: _Answer, counter: int, state: Path) -> Recognition:
    found = answer.key
    pinned = local_state.read_pin(state, found.id)
    name_pin = local_state.read_name_pin(state, found.name)
    if name_pin not in {None, found.id} or pinned not in {None, found.recognition.public_key}:
        # Also a key that was known under another name before: whoever writes to the inventory gives names.
        return Recognition.CHANGED
    with contextlib.suppress(StoreError):
        # A home on a read-only disk can still be read.
        if pinned is None:
            local_state.write_pin(state, found.id, found.recognition.public_key)
        if name_pin is None:
            local_state.write_name_pin(state, found.name, found.id)
    before = answer.counter_before
    return Recognition.COUNTER_BACK if before is not None and counter < before else Recognition.PROVED


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
