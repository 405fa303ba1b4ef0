"""Choosing among several keys by touching one: virtual keys for what is usual, scripted ones for what real keys do."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import STATUS, CtapError

from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.device.touch import choose_by_touch
from keyctl.errors import KeyChoiceError, KeyctlError, TouchError, UnreachableError
from keyctl.model import Transport, Waits
from keyctl.virtual.identity import VIRTUAL_AAGUIDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Behaviour = Callable[[bytes, threading.Event, Callable[[STATUS], None]], bytes]

MSG, CBOR = 0x03, 0x10
WAITS = Waits(touch_s=20, plug_s=0, lock_s=0)
OK, CANCELLED = b"\0", b"\x2d"


class Scripted:
    """A key that answers getInfo with *versions*, and everything else as *behave* does."""

    def __init__(
        self, behave: Behaviour, *, versions: Iterable[str] = ("FIDO_2_1",), capabilities: int = 4, **info: Any
    ) -> None:
        self.capabilities = capabilities
        self._behave = behave
        self._info = {1: list(versions), 3: info.get("aaguid", bytes(16))}
        if info.get("pin", True):
            self._info |= {4: {"clientPin": True}, 6: [1]}
        self.requests: list[tuple[int, bytes]] = []
        self.closed = threading.Event()

    def call(self, cmd: int, data: bytes, event: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        if (cmd, data) == (CBOR, b"\x04"):
            return OK + cbor.encode(self._info)
        self.requests.append((cmd, data))
        return self._behave(data, event, tell)

    def close(self) -> None:
        self.closed.set()


def blinking(_data: bytes, cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
    """Nobody touches it."""
    tell(STATUS.UPNEEDED)
    assert cancel.wait(10)
    return CANCELLED


def answering(*answers: bytes) -> Behaviour:
    """One answer after the other."""
    left = iter(answers)

    def answer(_data: bytes, _cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        return next(left)

    return answer


class Choice:
    """Keys under names, and what became of choosing one of them."""

    def __init__(
        self,
        *,
        wait_s: float = 20.0,
        ask: Callable[[], None] = lambda: None,
        on_left_out: Callable[[], None] = lambda: None,
        **keys: Any,
    ) -> None:
        self._keys = keys
        self._on_left_out = on_left_out
        self._wait_s = wait_s
        self._do = ask
        self.asked = 0
        self.left_out: list[KeyctlError] = []
        self.opened: list[Session] = []

    def found(self, name: str) -> Found:
        key = self._keys[name]
        return Found(transport=Transport.USB, path=name) if isinstance(key, Scripted | KeyctlError) else key.found()

    def connect(self, found: Found) -> Session:
        key = self._keys[found.path]
        if isinstance(key, KeyctlError):
            raise key
        if isinstance(key, Scripted):
            guard = GuardedDevice(key, found.selector, touch_s=20, lock_s=0, on_touch=pytest.fail)  # type: ignore[arg-type]  # as good as one
            session = Session(found, guard)
        else:
            session = key.open(WAITS)
        self.opened.append(session)
        return session

    def ask(self) -> None:
        self.asked += 1
        self._do()

    def leave_out(self, error: KeyctlError) -> None:
        self.left_out.append(error)
        self._on_left_out()

    def make(self) -> str:
        """The path of the key that is chosen; it can be used, and no other is asked any more."""
        chosen = self.choose()
        assert all(is_idle(session) for session in self.opened)
        chosen.close()
        return chosen.key.path or ""

    def choose(self) -> Session:
        candidates = [self.found(name) for name in self._keys]
        return choose_by_touch(candidates, self.connect, self._wait_s, ask=self.ask, leave_out=self.leave_out)

    def fail(self) -> KeyctlError:
        with pytest.raises(KeyctlError) as caught:
            self.choose()
        return caught.value


def left_out(key: Scripted) -> KeyctlError:
    """Why *key* is left out, after which another one is touched."""
    gone = threading.Event()

    def touched(_data: bytes, _cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        assert gone.wait(10)
        return OK

    choice = Choice(on_left_out=gone.set, key=key, other=Scripted(touched))
    assert choice.make() == "other"
    [error] = choice.left_out
    return error


def is_idle(session: Session) -> bool:
    """Whether the key is in no command: virtual keys are locked while they are."""
    device = session._device._device
    if isinstance(device, Scripted):
        return True
    with device._one_at_a_time():
        return True


@pytest.mark.parametrize(
    ("profile", "command"),
    [("full", "authenticatorSelection"), ("fido2.0", "makeCredential"), ("fido2.1-pre", "makeCredential")],
)
def test_the_touched_key_is_taken_on_the_connection_of_the_touch(make_bench: Any, profile: str, command: str) -> None:
    blue, red = make_bench(profile, "blue", pin="123456"), make_bench(profile, "red")
    blue.set("touch=after:0.3")
    red.set("touch=never")
    state = (blue.folder / "blue.json").read_bytes()
    choice = Choice(red=red, blue=blue)
    chosen = choice.choose()
    with chosen:
        assert chosen.key.path == "blue"
        assert chosen.pin_retries().left == 8
    assert blue.sent() == ["getInfo", command, "clientPin getPINRetries"]
    assert (choice.asked, choice.left_out) == (1, [])
    # The other was told to stop, did, and nothing was asked in between.
    assert red.sent() == ["getInfo", command]
    assert "KEEPALIVE_CANCEL" in red.trace[-1]
    assert blue.touches == red.touches == []
    assert (blue.folder / "blue.json").read_bytes() == state


def test_a_key_without_a_pin_is_chosen_as_well(make_bench: Any) -> None:
    blue, red = make_bench("fido2.0", "blue"), make_bench("full", "red")
    blue.set("touch=after:0.1")
    red.set("touch=never")
    assert Choice(red=red, blue=blue).make() == "blue"


def test_the_first_of_many_is_taken(make_bench: Any) -> None:
    keys = {name: make_bench(name=name) for name in ("blue", "red", "green")}
    for name, bench in keys.items():
        bench.set("touch=after:0.1" if name == "green" else "touch=after:20")
    assert Choice(**keys).make() == "green"


def test_nobody_touches_one_in_time(make_bench: Any) -> None:
    keys = {name: make_bench(name=name) for name in ("blue", "red")}
    for bench in keys.values():
        bench.set("touch=never")
    choice = Choice(wait_s=0.2, **keys)
    error = choice.fail()
    assert isinstance(error, TouchError)
    assert error.code == "no_touch"
    assert error.details.candidates == ("virtual:blue", "virtual:red")
    assert "virtual:blue, virtual:red" in error.message
    assert "-k 'virtual:blue'" in (error.hint or "")
    assert all("KEEPALIVE_CANCEL" in bench.trace[-1] for bench in keys.values())
    assert all(is_idle(session) for session in choice.opened)


def test_a_key_that_is_pulled_meanwhile_is_left_out(make_bench: Any) -> None:
    blue, red = make_bench(name="blue"), make_bench(name="red")
    blue.set("touch=after:0.3")
    red.set("touch=never", "fault=2:pulled")
    choice = Choice(blue=blue, red=red)
    assert choice.choose().key.path == "blue"
    assert [error.code for error in choice.left_out] == ["key_removed"]


def test_a_refused_touch_leaves_the_key_out(make_bench: Any) -> None:
    blue, red = make_bench(name="blue"), make_bench(name="red")
    blue.set("touch=after:0.3")
    red.set("touch=refused")
    choice = Choice(blue=blue, red=red)
    assert choice.make() == "blue"
    assert [error.code for error in choice.left_out] == ["touch_refused"]


DENIED = UnreachableError("access_denied", "you may not open usb:red", key="usb:red")


def test_the_key_that_remains_is_not_taken_without_a_touch(make_bench: Any) -> None:
    blue = make_bench()
    blue.set("touch=never")
    choice = Choice(wait_s=0.1, blue=blue, red=DENIED)
    error = choice.fail()
    assert (error.code, error.details.candidates) == ("no_touch", ("virtual:blue", "usb:red"))
    assert choice.left_out == [DENIED]
    assert choice.asked == 1


def test_where_no_key_can_be_opened_nobody_is_asked() -> None:
    busy = UnreachableError("key_busy", "usb:blue is in use by another program")
    choice = Choice(blue=busy, red=DENIED)
    assert choice.fail() is busy
    assert busy.details.candidates == ("usb:blue", "usb:red")
    assert (choice.asked, choice.left_out) == (0, [])


def test_the_failure_of_the_last_key_is_the_failure() -> None:
    keys = {name: Scripted(answering(b"\x7f")) for name in ("blue", "red")}
    choice = Choice(**keys)
    assert choice.fail().code == "key_error"
    assert len(choice.left_out) == 1
    assert all(key.closed.is_set() for key in keys.values())


def test_a_key_without_a_touch_would_always_win(make_bench: Any) -> None:
    blue, red = make_bench(name="blue"), make_bench(name="red")
    blue.set("quirk=no-touch")
    choice = Choice(blue=blue, red=red)
    error = choice.fail()
    assert isinstance(error, KeyChoiceError)
    assert (error.code, error.details.candidates) == ("several_keys", ("virtual:blue", "virtual:red"))
    assert choice.asked == 0


def test_a_virtual_key_on_usb_does_not_compete_with_a_real_one() -> None:
    virtual = Scripted(answering(OK), aaguid=next(iter(VIRTUAL_AAGUIDS)))
    assert Choice(virtual=virtual, real=Scripted(blinking)).fail().code == "several_keys"
    assert virtual.requests == []
    assert Choice(virtual=virtual).make() == "virtual"


def test_ctrl_c_stops_all_keys() -> None:
    waiting, stopped = threading.Barrier(3), []

    def blink(data: bytes, cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        waiting.wait(5)
        answer = blinking(data, cancel, tell)
        stopped.append(True)
        return answer

    def press() -> None:
        waiting.wait(5)
        signal.raise_signal(signal.SIGINT)

    keys = {name: Scripted(blink) for name in ("blue", "red")}
    thread = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt):
        Choice(ask=thread.start, **keys).choose()
    thread.join()
    assert stopped == [True, True]
    assert all(key.closed.is_set() for key in keys.values())


def test_a_key_that_does_not_stop_costs_a_moment_and_is_closed_when_it_comes_back() -> None:
    release = threading.Event()

    def deaf(_data: bytes, _cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        while not release.wait(0.01):
            tell(STATUS.UPNEEDED)
        return OK

    red = Scripted(deaf)
    started = time.monotonic()
    assert Choice(blue=Scripted(answering(OK)), red=red).choose().key.path == "blue"
    assert time.monotonic() - started < 3
    assert not red.closed.is_set()
    release.set()
    assert red.closed.wait(5)


def commands(key: Scripted) -> list[int]:
    return [data[0] for _, data in key.requests]


@pytest.mark.parametrize(
    ("versions", "command"),
    [
        (["FIDO_2_1"], 0x0B),
        (["U2F_V2", "FIDO_2_0", "FIDO_2_2"], 0x0B),
        (["FIDO_3_0"], 0x0B),
        (["FIDO_2_0"], 0x01),
        (["FIDO_2_0", "FIDO_2_1_PRE"], 0x01),
        (["FIDO_9999_1", "FIDO_2_", "fido_2_1"], 0x01),
    ],
)
def test_the_version_decides_how_a_key_is_asked(versions: list[str], command: int) -> None:
    key = Scripted(answering(b"\x31" if command == 0x01 else OK), versions=versions)
    assert Choice(key=key, other=Scripted(blinking)).make() == "key"
    assert commands(key) == [command]


def test_a_key_that_does_not_know_the_selection_it_should_know_is_asked_the_old_way() -> None:
    key = Scripted(answering(b"\x01", b"\x35"))
    assert Choice(key=key, other=Scripted(blinking)).make() == "key"
    assert commands(key) == [0x0B, 0x01]


@pytest.mark.parametrize("status", [0x2F, 0x3A, 0x2D])
def test_a_key_that_gives_up_before_the_person_does_is_asked_again(status: int) -> None:
    for versions, touched in ((["FIDO_2_1"], OK), (["FIDO_2_0"], b"\x35")):
        key = Scripted(answering(bytes([status]), touched), versions=versions)
        assert Choice(key=key, other=Scripted(blinking)).make() == "key"
        assert len(key.requests) == 2


@pytest.mark.parametrize("status", [0x00, 0x31, 0x33, 0x35])
def test_old_keys_say_by_an_error_that_they_were_touched(status: int) -> None:
    answer = bytes([status]) + (cbor.encode({1: "none"}) if status == 0 else b"")
    key = Scripted(answering(answer), versions=["FIDO_2_0"])
    assert Choice(key=key, other=Scripted(blinking)).make() == "key"


def test_old_keys_say_denied_when_their_time_is_over() -> None:
    key = Scripted(answering(b"\x27", b"\x31"), versions=["FIDO_2_0"])
    assert Choice(key=key, other=Scripted(blinking)).make() == "key"


@pytest.mark.parametrize("status", [0x14, 0x02, 0x36, 0x34])
def test_an_error_without_a_touch_chooses_no_key(status: int) -> None:
    """One model answers "missing parameter" at once."""
    assert left_out(Scripted(answering(bytes([status])), versions=["FIDO_2_0"])).details.ctap_status == status


def test_old_keys_are_asked_for_nothing_that_stays() -> None:
    with_pin = Scripted(answering(b"\x31"), versions=["FIDO_2_0"])
    without_pin = Scripted(answering(OK), versions=["FIDO_2_0"], pin=False)
    for key in (with_pin, without_pin):
        assert Choice(key=key, other=Scripted(blinking)).make() == "key"
    [(_, message)], [(_, plain)] = with_pin.requests, without_pin.requests
    sent, sent_plain = cbor.decode(message[1:]), cbor.decode(plain[1:])
    assert (sent[8], sent[9]) == (b"", 1)
    # No list of options, so nothing that takes a slot, and a name that no site has.
    assert set(sent_plain) == {1, 2, 3, 4}
    assert sent[2]["id"].endswith(".invalid")


def test_u2f_keys_are_polled_until_they_are_touched() -> None:
    key = Scripted(u2f("6985", "6985", "05" * 70 + "9000"), capabilities=0)
    assert Choice(key=key, other=Scripted(blinking)).make() == "key"
    assert [cmd for cmd, _ in key.requests] == [MSG] * 3
    messages = [data for _, data in key.requests]
    assert {(data[:7].hex(), len(data), data[-2:]) for data in messages} == {("00010000000040", 73, b"\0\0")}
    assert len({data[39:71] for data in messages}) == 3


@pytest.mark.parametrize("answer", ["6a80", "6e00", "90", ""])
def test_a_u2f_key_that_refuses_is_left_out(answer: str) -> None:
    error = left_out(Scripted(u2f(answer), capabilities=0))
    assert (error.code, error.key) == ("key_error", "usb:key")


def u2f(*answers: str) -> Behaviour:
    left = iter(answers)
    return lambda *_: bytes.fromhex(next(left))


def test_a_key_that_is_busy_is_left_out() -> None:
    def busy(*_: Any) -> bytes:
        raise CtapError(CtapError.ERR.CHANNEL_BUSY)

    assert left_out(Scripted(busy)).code == "key_busy"


def test_an_answer_that_makes_no_sense_chooses_no_key() -> None:
    assert left_out(Scripted(answering(b""))).code == "key_nonsense"
