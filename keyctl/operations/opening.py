"""Getting hold of the key that a command is about, and finding out on that very connection which one it is."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import composed, quoted
from keyctl.device import choose, connecting, errors, session
from keyctl.device.discover import discover, is_selector
from keyctl.errors import Details, KeyChoiceError, KeyctlError, NotFoundError, PinError, StoreError
from keyctl.model import Access, Recognition, Transport
from keyctl.operations import recognising
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keyctl.core.inventory import KnownKey
    from keyctl.device.discover import Found
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.recognising import Known

_POLL_S = 0.2
#: Where a key that is there in several ways is taken.
_PREFERENCE = (Transport.USB, Transport.NFC, Transport.CONTACT, Transport.VIRTUAL)

#: Why a device cannot be asked that is not the key looked for: keyctl works with the one on it, or it has just gone.
_NOT_THE_ONE = frozenset({"reader_busy", "key_removed"})


@contextlib.contextmanager
def opened(circumstances: Circumstances, *, by_touch: bool = True, remarking: bool = True) -> Iterator[session.Session]:
    """A session with the one key that fits, recognised; closed at the end.

    Several USB keys, none of them named, and a person: the one that is touched.

    Args:
        circumstances: What the command line says.
        by_touch: Whether a touch may choose; else several keys are an error even where somebody is there.
        remarking: Whether to tell what is odd about how the key was recognised.

    Raises:
        KeyChoiceError: No key fits, or several do.
        TouchError: None of several keys was touched in time.
        UnreachableError: It cannot be opened or does not answer.
    """
    known = recognising.known(circumstances)
    for problem in known.inventory.problems:
        circumstances.asker.tell(f"left out: {problem.message}")
    with attended_to(_chosen(circumstances, known, by_touch=by_touch), circumstances) as key:
        if remarking and (remark := recognising.remark(key.key, known.inventory)):
            circumstances.asker.tell(remark)
        yield key


def patient(circumstances: Circumstances, name: str) -> Circumstances:
    """For the key called *name*, or the one at ``--key``, which a person may have to plug in first."""
    plug_s = max(circumstances.waits.plug_s, circumstances.turn_s)
    waits = replace(circumstances.waits, plug_s=plug_s)
    return replace(circumstances, wanted=circumstances.wanted or name, waits=waits)


def present(circumstances: Circumstances, name: str) -> Circumstances:
    """For the key called *name* where it is connected now: it is not waited for."""
    return replace(circumstances, wanted=name, waits=replace(circumstances.waits, plug_s=0.0))


@contextlib.contextmanager
def connected(found: Found, circumstances: Circumstances) -> Iterator[session.Session]:
    """A session with exactly the device *found*, recognised; closed at the end."""
    key = recognised(found, circumstances, recognising.known(circumstances))
    with attended_to(key, circumstances):
        yield key


def recognised(found: Found, circumstances: Circumstances, known: Known) -> session.Session:
    """A session with exactly the device *found*, which the caller closes.

    Raises:
        UnreachableError: It cannot be opened or does not answer.
    """
    key = _connect(found, circumstances)
    try:
        recognising.recognise(key, known)
    except BaseException:
        key.close()
        raise
    return key


@contextlib.contextmanager
def attended_to(key: session.Session, circumstances: Circumstances) -> Iterator[session.Session]:
    """Around the work with the open *key*: at the end it is closed, and what became of its PIN is kept in mind."""
    with key:
        try:
            yield key
        except (PinError, NotFoundError) as error:
            # What checks a PIN or looks through a list does not know whose it is.
            error.about(key.key.label)
            raise
        finally:
            _note_pin_verdict(key, circumstances)


def _note_pin_verdict(key: session.Session, circumstances: Circumstances) -> None:
    """Keep in mind that a PIN given without a person was wrong, until a right one comes."""
    if key.key.id is None or key.pin_verdict is None:
        return
    memory = local_state.read_memory(circumstances.state, key.key.id)
    failed_at = memory.pin_failed_at
    if key.pin_verdict:
        failed_at = None
    elif not circumstances.asker.attended:
        failed_at = times.now()
    if failed_at == memory.pin_failed_at:
        return
    try:
        local_state.write_memory(circumstances.state, key.key.id, replace(memory, pin_failed_at=failed_at))
    except StoreError as error:
        # Not raised: what became of the command itself counts for more.
        circumstances.asker.tell(f"it could not be noted how the PIN of {key.key.label} was: {error.message}")


def _chosen(circumstances: Circumstances, known: Known, *, by_touch: bool) -> session.Session:
    wanted = circumstances.wanted
    named = known.inventory.key_named(composed(wanted)) if wanted is not None else None
    if named is not None:
        return _with_name(named, circumstances, known)

    def waiting(seconds: float) -> None:
        circumstances.asker.tell(f"waiting for {wanted or 'a security key'} to be plugged in ({seconds:g} s)")

    try:
        candidates = choose.wait_for_keys(circumstances.home, wanted, circumstances.waits.plug_s, waiting)
    except KeyChoiceError as error:
        if wanted is None or is_selector(wanted):
            raise
        raise _nobody(wanted, known, error) from error
    if len(candidates) == 1:
        return recognised(candidates[0], circumstances, known)
    if by_touch and _can_be_touched(candidates, circumstances):
        key = _touched(candidates, circumstances)
        try:
            recognising.recognise(key, known)
        except BaseException:
            key.close()
            raise
        return key
    return _only_by_name(candidates, circumstances, known)


def _nobody(wanted: str, known: Known, error: KeyChoiceError) -> KeyChoiceError:
    """*wanted* is neither a name nor the serial number of what is connected."""
    names = ", ".join(key.name for key in known.inventory.keys)
    return KeyChoiceError(
        "no_key",
        f"no key is called {wanted}, and none that is connected has this serial number",
        f"known are {names}; {error.hint}" if names else error.hint,
    )


def _with_name(wanted: KnownKey, circumstances: Circumstances, known: Known) -> session.Session:
    """The connected key that proves to be *wanted*, wherever it turns up."""
    deadline = time.monotonic() + circumstances.waits.plug_s
    search = _Search(wanted, circumstances, known)
    waiting = False
    while (key := search.look()) is None:
        if time.monotonic() >= deadline:
            raise search.failure()
        if not waiting:
            waiting = True
            seconds = circumstances.waits.plug_s
            circumstances.asker.tell(f"waiting for {wanted.name} to be plugged in ({seconds:g} s)")
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))
    return key


class _Search:
    """Looking for one known key among all that are connected, perhaps several times."""

    def __init__(self, wanted: KnownKey, circumstances: Circumstances, known: Known) -> None:
        self._wanted = wanted
        self._circumstances = circumstances
        self._known = known
        self._last = local_state.read_memory(circumstances.state, wanted.id).selector
        #: Those that answered as another key, and what there is to say of that: nobody is asked twice.
        self._others: dict[Found, str | None] = {}
        #: What was in the way when it was last looked for.
        self._obstacles: list[str] = []
        #: Why it cannot be told whether a key is the one: the only one that is connected, or where it was last seen.
        self._unclear: KeyctlError | None = None

    def look(self) -> session.Session | None:
        """The key, open, which the caller closes; None: it is not there."""
        discovery = discover(self._circumstances.home)
        self._others = {found: told for found, told in self._others.items() if found in discovery.found}
        self._obstacles = [problem.message for problem in discovery.problems]
        self._unclear = None
        for found in sorted(discovery.found, key=lambda found: (_rank(found), found.selector != self._last)):
            if found in self._others:
                continue
            try:
                key = self._opened(found)
            except KeyctlError as error:
                self._obstacles.append(error.message)
                likely = found.selector == self._last or len(discovery.found) == 1
                if likely and error.code not in _NOT_THE_ONE:
                    self._unclear = error
                continue
            if key is not None:
                return key
        return None

    def failure(self) -> KeyctlError:
        """It is not there, or something keeps it from telling which key it is."""
        if self._unclear is not None:
            return self._unclear.continued(f"it may be {self._wanted.name}")
        others = [*filter(None, self._others.values())]
        # What may be in the way of readers is no reason where nothing else was found.
        hints = others or ["plug it in; `keyctl list` shows what is connected"]
        name = self._wanted.name
        return KeyChoiceError("no_key", f"{name} is not connected", "; ".join([*hints, *self._obstacles]), key=name)

    def _opened(self, found: Found) -> session.Session | None:
        """The key at *found*, open, which the caller closes; None: it is another one.

        Raises:
            UnreachableError: It cannot be opened or does not answer.
        """
        if found.access is Access.DENIED:
            raise errors.denied(found.selector)
        try:
            key = recognised(found, self._circumstances, self._known)
        except KeyctlError as error:
            if error.code == "no_card":
                # A reader with another card is no obstacle.
                return None
            raise
        if key.key.id == self._wanted.id:
            return key
        key.close()
        may_be = key.key.id is None and key.key.aaguid == self._wanted.aaguid
        if may_be and key.key.aaguid is not None and key.key.recognition is Recognition.UNKNOWN:
            raise errors.says_not_which(found.selector)
        self._others[found] = recognising.remark(key.key, self._known.inventory) if may_be else None
        return None


def _rank(found: Found) -> int:
    return _PREFERENCE.index(found.transport)


def _only_by_name(candidates: Sequence[Found], circumstances: Circumstances, known: Known) -> session.Session:
    """The one key behind several ways to it.

    Raises:
        KeyChoiceError: They are several keys; those with a name are told by it.
    """
    if not known.inventory.keys:
        raise choose.several(candidates)
    sessions: list[session.Session] = []
    with contextlib.ExitStack() as stack:
        for found in sorted(candidates, key=_rank):
            # One that cannot be opened is another key, for all that can be said.
            with contextlib.suppress(KeyctlError):
                sessions.append(stack.enter_context(recognised(found, circumstances, known)))
        first = sessions[0] if len(sessions) == len(candidates) else None
        if first is None or first.key.id is None or any(key.key.id != first.key.id for key in sessions):
            raise _several(candidates, sessions)
        selector = first.key.selector
    # Opened anew, and so recognised anew: the others had to be closed.
    return recognised(next(found for found in candidates if found.selector == selector), circumstances, known)


def _several(candidates: Sequence[Found], sessions: Sequence[session.Session]) -> KeyChoiceError:
    names = {key.key.selector: key.key.name for key in sessions if key.key.id is not None}
    told = [
        f"{names[found.selector]} ({found.selector})" if found.selector in names else found.selector
        for found in candidates
    ]
    choice = next(filter(None, names.values()), candidates[0].selector)
    return KeyChoiceError(
        "several_keys",
        f"more than one security key fits: {', '.join(told)}",
        f"choose one with -k, like `-k {quoted(choice)}`",
        details=Details(candidates=tuple(found.selector for found in candidates)),
    )


def _connect(found: Found, circumstances: Circumstances) -> session.Session:
    def touch(label: str, seconds: float) -> None:
        circumstances.asker.tell(f"touch {label} now ({seconds:g} s)")

    return connecting.connect(found, circumstances.home, circumstances.waits, touch, circumstances.trace)


def _can_be_touched(candidates: Sequence[Found], circumstances: Circumstances) -> bool:
    """Whether a touch can choose; cards and virtual keys would answer at once and be taken without one."""
    somebody = circumstances.asker.can_choose and circumstances.waits.touch_s > 0
    unnamed = circumstances.wanted is None
    return somebody and unnamed and all(found.transport is Transport.USB for found in candidates)


def _touched(candidates: Sequence[Found], circumstances: Circumstances) -> session.Session:
    from keyctl.device import touch

    tell = circumstances.asker.tell
    wait_s = circumstances.waits.touch_s

    def ask() -> None:
        tell(f"more than one key is connected: touch the one you mean ({wait_s:g} s)")

    def leave_out(error: KeyctlError) -> None:
        tell(f"left out: {error.message}")

    return touch.choose_by_touch(
        candidates, lambda found: _connect(found, circumstances), wait_s, ask=ask, leave_out=leave_out
    )
