"""Deadlines, touches, cancelling and retries around one device, with keys that do what a key should not."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import STATUS, CtapError

from keyctl.device.guard import GuardedDevice
from keyctl.errors import TouchError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

CBOR = 0x10
GET_INFO = b"\x04"
RESET = b"\x07"
GET_TOKEN = b"\x06" + cbor.encode({1: 2, 2: 9})


class Key:
    """A key that runs a function for each command."""

    capabilities = 4

    def __init__(self, behave: Callable[[threading.Event, Callable[[STATUS], None]], bytes]) -> None:
        self._behave = behave
        self.calls = 0
        self.closed = threading.Event()

    def call(
        self,
        _cmd: int,
        _data: bytes,
        event: threading.Event,
        on_keepalive: Callable[[STATUS], None],
    ) -> bytes:
        self.calls += 1
        return self._behave(event, on_keepalive)

    def close(self) -> None:
        self.closed.set()


def guarded(key: Any, **settings: Any) -> GuardedDevice:
    usual = {"touch_s": 0.0, "lock_s": 0.0, "on_touch": lambda *_: None, "answer_s": 0.2}
    return GuardedDevice(key, "blue", **(usual | settings))


def test_an_answer_is_passed_on_and_counted() -> None:
    guard = guarded(Key(lambda *_: b"\0\xa0"))
    assert guard.call(CBOR, GET_INFO) == b"\0\xa0"
    assert guard.call(CBOR, RESET + b"12") == b"\0\xa0"
    assert (guard.commands_sent, guard.bytes_sent, guard.bytes_received) == (2, 4, 4)
    assert guard.capabilities == 4


def test_a_silent_key_is_given_up_and_not_spoken_to_again() -> None:
    release = threading.Event()
    key = Key(lambda *_: bytes([release.wait(5)]))
    guard = guarded(key, answer_s=0.05)
    for _ in range(2):
        with pytest.raises(UnreachableError) as caught:
            guard.call(CBOR, GET_INFO)
        assert caught.value.code == "key_silent"
        assert caught.value.key == "blue"
    assert key.calls == 1
    guard.close()
    assert not key.closed.is_set()
    release.set()
    assert key.closed.wait(5)


def test_a_key_that_only_says_that_it_works_is_given_up_as_well() -> None:
    stop = threading.Event()

    def busy(_: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        while not stop.wait(0.005):
            tell(STATUS.PROCESSING)
        return b"\0"

    guard = guarded(Key(busy), answer_s=0.05)
    with pytest.raises(UnreachableError, match="did not answer"):
        guard.call(CBOR, RESET)
    stop.set()


def test_without_waiting_a_touch_is_cancelled_at_once_and_nobody_is_told() -> None:
    touches: list[Any] = []

    def wait(cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        assert cancel.wait(5)
        return b"\x2d"

    guard = guarded(Key(wait), on_touch=lambda *touch: touches.append(touch))
    assert guard.call(CBOR, RESET) == b"\x2d"
    assert touches == []


def test_a_touch_is_asked_for_once_and_waited_for() -> None:
    touches: list[Any] = []

    def wait(_: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        for status in (STATUS.PROCESSING, STATUS.UPNEEDED, STATUS.UPNEEDED, STATUS.PROCESSING, STATUS.UPNEEDED):
            tell(status)
        return b"\0"

    guard = guarded(Key(wait), touch_s=5.0, on_touch=lambda *touch: touches.append(touch))
    assert guard.call(CBOR, RESET) == b"\0"
    assert touches == [("blue", 5.0)]


def test_who_brings_an_event_asks_for_the_touch_himself_and_takes_it_back() -> None:
    cancel = threading.Event()

    def wait(event: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        cancel.set()
        assert event.wait(5)
        return b"\x2d"

    assert guarded(Key(wait), touch_s=20.0, on_touch=pytest.fail).call(CBOR, RESET, cancel) == b"\x2d"


def test_a_command_that_is_taken_back_is_not_waited_for_any_longer() -> None:
    cancel, release = threading.Event(), threading.Event()

    def deaf(*_: Any) -> bytes:
        cancel.set()
        release.wait(10)
        return b"\0"

    guard = guarded(Key(deaf), answer_s=20.0)
    started = time.monotonic()
    with pytest.raises(TouchError):
        guard.call(CBOR, RESET, cancel)
    assert time.monotonic() - started < 4
    release.set()


def test_a_touch_that_does_not_come_is_cancelled_in_time() -> None:
    def wait(cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        assert cancel.wait(5)
        return b"\x2d"

    guard = guarded(Key(wait), touch_s=0.05)
    started = time.monotonic()
    assert guard.call(CBOR, RESET) == b"\x2d"
    assert time.monotonic() - started < 2


def test_a_key_that_did_it_although_it_was_cancelled_has_done_it() -> None:
    def late(cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        assert cancel.wait(5)
        return b"\0"

    assert guarded(Key(late)).call(CBOR, RESET) == b"\0"


def test_going_to_and_fro_between_touch_and_work_gains_no_time() -> None:
    def to_and_fro(cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        while not cancel.wait(0.002):
            tell(STATUS.UPNEEDED)
            tell(STATUS.PROCESSING)
        return b"\x2d"

    guard = guarded(Key(to_and_fro), touch_s=0.05, answer_s=0.05)
    started = time.monotonic()
    with pytest.raises((UnreachableError, TouchError)):
        CtapErrorOr(guard.call(CBOR, RESET))
    assert time.monotonic() - started < 2


def CtapErrorOr(answer: bytes) -> None:  # noqa: N802  # reads as what it stands for
    """Cancelled in time counts as well."""
    if answer == b"\x2d":
        raise TouchError("no_touch", "cancelled")


def test_a_key_that_ignores_cancel_costs_a_moment_and_the_handle() -> None:
    release = threading.Event()

    def deaf(_: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        tell(STATUS.UPNEEDED)
        release.wait(10)
        return b"\0"

    guard = guarded(Key(deaf))
    with pytest.raises(TouchError) as caught:
        guard.call(CBOR, RESET)
    assert caught.value.code == "no_touch"
    with pytest.raises(UnreachableError, match="did not answer"):
        guard.call(CBOR, GET_INFO)
    release.set()


def busy_times(times: int) -> Key:
    def answer(*_: Any) -> bytes:
        if key.calls <= times:
            raise CtapError(CtapError.ERR.CHANNEL_BUSY)
        return b"\0"

    key = Key(answer)
    return key


def test_what_only_reads_is_sent_again_while_the_key_is_busy() -> None:
    key = busy_times(2)
    assert guarded(key, lock_s=5.0).call(CBOR, GET_INFO) == b"\0"
    assert key.calls == 3


def test_a_key_that_stays_busy_is_reported() -> None:
    key = busy_times(10**6)
    with pytest.raises(UnreachableError) as caught:
        guarded(key, lock_s=0.1).call(CBOR, GET_INFO)
    assert caught.value.code == "key_busy"
    assert caught.value.details.ctap_status == 0x06


@pytest.mark.parametrize(
    "message",
    [
        GET_TOKEN,
        RESET,
        b"\x01\xa0",
        b"\x0a" + cbor.encode({1: 6}),
        b"\x0a" + cbor.encode({1: 7}),
        b"\x06" + cbor.encode({1: 1, 2: 3}),
        b"\x06" + cbor.encode({1: 1, 2: 4}),
        b"\x06" + cbor.encode({1: 1, 2: 5}),
    ],
)
def test_what_costs_a_try_or_changes_the_key_is_never_sent_twice(message: bytes) -> None:
    key = busy_times(1)
    with pytest.raises(UnreachableError, match="in use by another program"):
        guarded(key, lock_s=5.0).call(CBOR, message)
    assert key.calls == 1


def test_a_pulled_key_is_reported_as_removed() -> None:
    def pulled(*_: Any) -> bytes:
        raise OSError(19, "No such device")

    with pytest.raises(UnreachableError) as caught:
        guarded(Key(pulled)).call(CBOR, GET_INFO)
    assert caught.value.code == "key_removed"


def test_other_failures_of_the_key_are_passed_on() -> None:
    def fail(*_: Any) -> bytes:
        raise CtapError(CtapError.ERR.INVALID_COMMAND)

    with pytest.raises(CtapError):
        guarded(Key(fail)).call(CBOR, GET_INFO)


def test_the_trace_has_a_line_per_command_and_nothing_of_its_content() -> None:
    lines: list[str] = []
    secret = b"\x06" + cbor.encode({1: 2, 2: 9, 6: b"SECRETSECRET"})
    answers = iter([b"\0SECRET", b"\x31"])
    guard = guarded(Key(lambda *_: next(answers)), trace=lines.append)
    guard.call(CBOR, secret)
    guard.call(CBOR, GET_INFO)
    name = "clientPin getPinUvAuthTokenUsingPinWithPermissions"
    assert lines[0].startswith(f"{name}: {len(secret)} bytes -> ok, 7 bytes, ")
    assert lines[1].startswith("getInfo: 1 bytes -> 0x31 - PIN_INVALID, 1 bytes, ")
    assert "SECRET" not in "".join(lines)
    assert b"SECRET".hex() not in "".join(lines)


def test_the_trace_tells_of_failures_too() -> None:
    lines: list[str] = []
    key = busy_times(1)
    guarded(key, trace=lines.append, lock_s=5.0).call(CBOR, GET_INFO)
    assert [line.split(" -> ")[1].split(",")[0] for line in lines] == ["0x06 - CHANNEL_BUSY", "ok"]


def interrupt_when(waiting: threading.Event) -> threading.Thread:
    """Press Ctrl-C as soon as the key is at work."""

    def press() -> None:
        assert waiting.wait(5)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_ctrl_c_cancels_the_command_and_the_key_can_be_used_on() -> None:
    waiting, cancelled = threading.Event(), threading.Event()

    def wait(cancel: threading.Event, tell: Callable[[STATUS], None]) -> bytes:
        if cancelled.is_set():
            return b"\0"
        tell(STATUS.UPNEEDED)
        waiting.set()
        assert cancel.wait(5)
        cancelled.set()
        return b"\x2d"

    guard = guarded(Key(wait), touch_s=30.0)
    thread = interrupt_when(waiting)
    with pytest.raises(KeyboardInterrupt):
        guard.call(CBOR, RESET)
    thread.join()
    assert cancelled.is_set()
    assert guard.call(CBOR, GET_INFO) == b"\0"


def test_ctrl_c_works_on_a_key_that_hears_nothing() -> None:
    waiting, release = threading.Event(), threading.Event()

    def deaf(*_: Any) -> bytes:
        waiting.set()
        release.wait(10)
        return b"\0"

    guard = guarded(Key(deaf), answer_s=30.0)
    thread = interrupt_when(waiting)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        guard.call(CBOR, GET_INFO)
    assert time.monotonic() - started < 4
    thread.join()
    release.set()


def test_closing_a_pulled_key_is_no_error() -> None:
    class Pulled(Key):
        def close(self) -> None:
            raise OSError(19, "No such device")

    guarded(Pulled(lambda *_: b"\0")).close()


def test_the_device_behind_learns_the_new_name_where_it_names_the_key_itself() -> None:
    class Named(Key):
        label = "usb:x"

    key = Named(lambda *_: b"\0")
    guard = guarded(key)
    guard.label = "blue"
    assert (guard.label, key.label) == ("blue", "blue")
    nameless = Key(lambda *_: b"\0")
    guarded(nameless).label = "blue"
    assert not hasattr(nameless, "label")


def test_asking_for_a_touch_again_and_again_ends_with_the_touch() -> None:
    touches: list[Any] = []
    answers = iter([b"no", b"no", b"yes"])
    guard = guarded(Key(lambda *_: next(answers)), touch_s=20.0, on_touch=lambda *touch: touches.append(touch))
    assert guard.call_until_touched(0x03, b"\0\1\0\0", lambda answer: answer == b"no") == b"yes"
    assert touches == [("blue", 20.0)]


def test_asking_for_a_touch_again_and_again_can_be_interrupted() -> None:
    def told(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    guard = guarded(Key(lambda *_: b"no"), touch_s=20.0, on_touch=told)
    with pytest.raises(KeyboardInterrupt):
        guard.call_until_touched(0x03, b"\0\1\0\0", lambda _: True)
