"""The key's side of USB framing (CTAP 2.2, section 11.2), report by report."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device.ctaphid import HidDevice
from keyctl.errors import StoreError
from keyctl.virtual.clock import Clock
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hid_responder import HidResponder

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 5.0
BROADCAST = 0xFFFFFFFF
NONCE = bytes(range(8))
PING, MSG, LOCK, INIT, WINK, CBOR, CANCEL = 0x01, 0x03, 0x04, 0x06, 0x08, 0x10, 0x11
KEEPALIVE, ERROR = 0x3B, 0x3F
ERR = CtapError.ERR
GET_INFO = b"\4"


class HandClock(Clock):
    """Runs when it is turned."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class ToldKey(CtapDevice):
    """A key that does what the test says."""

    capabilities = 0x0C

    def __init__(self, work: Callable[..., bytes] = lambda *_: b"\0") -> None:
        self.work = work
        self.calls: list[tuple[int, bytes]] = []

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        self.calls.append((cmd, data))
        return self.work(event, on_keepalive)

    @classmethod
    def list_devices(cls):
        return iter(())


class WaitingKey(ToldKey):
    """A key that waits until it is cancelled, or let go."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.go = threading.Event()
        self.heeds_cancel = True
        self.cancelled = threading.Event()
        self.at_work = threading.Event()
        self.tell: Callable[[STATUS], None] = lambda _: None

    def _wait(self, event, on_keepalive):
        self.tell = on_keepalive
        self.at_work.set()
        while not self.go.wait(0.01):
            if event.is_set() and self.heeds_cancel:
                self.cancelled.set()
                return bytes([ERR.KEEPALIVE_CANCEL])
        return b"\0done"


class Wire:
    """A responder, and the host at the other end of the cable."""

    def __init__(self, key: CtapDevice, **more) -> None:
        self.clock = HandClock()
        self.reports: list[bytes] = []
        self.rang = threading.Event()
        self.responder = HidResponder(key, self.reports.append, wake=self.rang.set, clock=self.clock, **more)

    def open(self) -> int:
        self.say(BROADCAST, INIT, NONCE)
        ((_, _, answer),) = self.heard()
        return int.from_bytes(answer[8:12], "big")

    def say(self, channel: int, command: int, content: bytes = b"") -> None:
        for report in frames(channel, command, content):
            self.responder.receive(report)

    def heard(self) -> list[tuple[int, int, bytes]]:
        """Channel, command and content of each message that came since."""
        reports, self.reports[:] = self.reports[:], []
        messages = []
        while reports:
            first = reports.pop(0)
            channel, command, length = first[:4], first[4] & 0x7F, int.from_bytes(first[5:7], "big")
            content = first[7:]
            sequence = 0
            while len(content) < length:
                report = reports.pop(0)
                assert report[:5] == channel + bytes([sequence])
                content += report[5:]
                sequence += 1
            assert not any(content[length:])
            messages.append((int.from_bytes(channel, "big"), command, content[:length]))
        return messages

    def answer(self) -> list[tuple[int, int, bytes]]:
        """As heard, when the key has something to tell."""
        assert self.rang.wait(PATIENCE_S)
        self.rang.clear()
        self.responder.tick()
        return self.heard()

    def turn(self, seconds: float) -> None:
        self.clock.now += seconds
        self.responder.tick()


class Cable:
    """python-fido2's way to read and write reports, straight to a responder; keyctl's own is the same."""

    def __init__(self, key: CtapDevice) -> None:
        self._reports: list[bytes] = []
        self._rang = threading.Event()
        self._responder = HidResponder(key, self._reports.append, wake=self._rang.set, version=(5, 4, 3))

    def write_packet(self, packet: bytes) -> None:
        self._responder.receive(packet)

    def read_packet(self) -> bytes:
        while not self._reports:
            self._rang.wait(self._responder.due_in_s())
            self._rang.clear()
            self._responder.tick()
        return self._reports.pop(0)

    def close(self) -> None:
        self._responder.close()


def frames(channel: int, command: int, content: bytes, length: int | None = None) -> list[bytes]:
    announced = len(content) if length is None else length
    start = channel.to_bytes(4, "big") + bytes([0x80 | command]) + announced.to_bytes(2, "big")
    made = [(start + content[:57]).ljust(64, b"\0")]
    for sequence, at in enumerate(range(57, len(content), 59)):
        made.append((channel.to_bytes(4, "big") + bytes([sequence]) + content[at : at + 59]).ljust(64, b"\0"))
    return made


def error(channel: int, status: int) -> list[tuple[int, int, bytes]]:
    return [(channel, ERROR, bytes([status]))]


@pytest.fixture
def wire() -> Wire:
    return Wire(ToldKey())


@pytest.fixture
def waiting():
    """A key in the middle of a command, and the wire and channel that it came by."""
    key = WaitingKey()
    wire = Wire(key)
    channel = wire.open()
    wire.say(channel, CBOR, GET_INFO)
    assert key.at_work.wait(PATIENCE_S)
    yield wire, key, channel
    key.go.set()


def test_opening_a_channel_tells_version_and_capabilities():
    wire = Wire(ToldKey(), version=(5, 4, 3), on_wink=lambda: None)
    wire.say(BROADCAST, INIT, NONCE)
    assert wire.heard() == [(BROADCAST, INIT, NONCE + bytes.fromhex("00000001 02 050403 0d"))]


def test_each_program_gets_a_channel_of_its_own(wire):
    assert wire.open() != wire.open()


def test_capabilities_are_those_of_the_key(wire):
    wire.say(BROADCAST, INIT, NONCE)
    assert wire.heard()[0][2][-1] == 0x0C


@pytest.mark.parametrize("nonce", [b"", bytes(7), bytes(9)])
def test_nonce_of_another_length_is_refused(wire, nonce):
    wire.say(BROADCAST, INIT, nonce)
    assert wire.heard() == error(BROADCAST, ERR.INVALID_LENGTH)


@pytest.mark.parametrize("channel", [0, 2, 0x12345678, BROADCAST])
def test_channel_that_nobody_opened_is_refused(wire, channel):
    wire.open()
    wire.say(channel, PING, b"x")
    assert wire.heard() == error(channel, ERR.INVALID_CHANNEL)


def test_start_over_on_a_channel_that_nobody_opened_is_refused(wire):
    wire.say(7, INIT, NONCE)
    assert wire.heard() == error(7, ERR.INVALID_CHANNEL)


@pytest.mark.parametrize("length", [0, 1, 57, 58, 116, 117, 1024, 7608, 7609])
def test_ping_comes_back(wire, length):
    channel = wire.open()
    content = bytes(number % 251 for number in range(length))
    wire.say(channel, PING, content)
    assert wire.heard() == [(channel, PING, content)]


def test_message_longer_than_frames_can_carry_is_refused(wire):
    channel = wire.open()
    wire.responder.receive(frames(channel, PING, b"", length=7610)[0])
    assert wire.heard() == error(channel, ERR.INVALID_LENGTH)


@pytest.mark.parametrize("command", [0x00, 0x02, LOCK, WINK, KEEPALIVE, ERROR, 0x40, 0x42, 0x7F])
def test_unknown_command_is_refused(wire, command):
    channel = wire.open()
    wire.say(channel, command, bytes(100))
    assert wire.heard() == error(channel, ERR.INVALID_COMMAND)


def test_wink_blinks():
    winks: list[None] = []
    wire = Wire(ToldKey(), on_wink=lambda: winks.append(None))
    channel = wire.open()
    wire.say(channel, WINK)
    assert wire.heard() == [(channel, WINK, b"")]
    wire.say(channel, WINK, b"x")
    assert wire.heard() == error(channel, ERR.INVALID_LENGTH)
    assert len(winks) == 1


@pytest.mark.parametrize("command", [MSG, CBOR])
def test_command_goes_to_the_key_and_its_answer_to_the_program(command):
    key = ToldKey(lambda *_: b"\0" + bytes(100))
    wire = Wire(key)
    channel = wire.open()
    wire.say(channel, command, GET_INFO + bytes(80))
    assert wire.answer() == [(channel, command, b"\0" + bytes(100))]
    assert key.calls == [(command, GET_INFO + bytes(80))]


@pytest.mark.parametrize("command", [MSG, CBOR])
def test_command_without_content_is_refused(wire, command):
    channel = wire.open()
    wire.say(channel, command)
    assert wire.heard() == error(channel, ERR.INVALID_LENGTH)


@pytest.mark.parametrize("status", [ERR.INVALID_COMMAND, ERR.CHANNEL_BUSY, ERR.LOCK_REQUIRED, ERR.OTHER])
@pytest.mark.parametrize("command", [MSG, CBOR])
def test_refusal_of_the_frame_kind_becomes_an_error_frame(command, status):
    wire = Wire(ToldKey(lambda *_: raising(CtapError(status))))
    channel = wire.open()
    wire.say(channel, command, GET_INFO)
    assert wire.answer() == error(channel, status)


def test_refusal_of_the_ctap2_kind_becomes_an_answer():
    wire = Wire(ToldKey(lambda *_: raising(CtapError(ERR.PIN_INVALID))))
    channel = wire.open()
    wire.say(channel, CBOR, GET_INFO)
    assert wire.answer() == [(channel, CBOR, bytes([ERR.PIN_INVALID]))]
    wire.say(channel, MSG, GET_INFO)
    assert wire.answer() == error(channel, ERR.OTHER)


@pytest.mark.parametrize("answer", [b"", bytes(7610)])
def test_answer_that_no_message_can_carry_becomes_an_error(answer):
    wire = Wire(ToldKey(lambda *_: answer))
    channel = wire.open()
    wire.say(channel, CBOR, GET_INFO)
    assert wire.answer() == error(channel, ERR.OTHER)


def test_frame_out_of_order_ends_the_message(wire):
    channel = wire.open()
    first, _, third = frames(channel, PING, bytes(150))
    wire.responder.receive(first)
    wire.responder.receive(third)
    assert wire.heard() == error(channel, ERR.INVALID_SEQ)
    wire.responder.receive(third)
    assert wire.heard() == []


def test_new_message_in_the_middle_of_one_ends_both(wire):
    channel = wire.open()
    first, second = frames(channel, PING, bytes(100))
    wire.responder.receive(first)
    wire.say(channel, PING, b"x")
    assert wire.heard() == error(channel, ERR.INVALID_SEQ)
    wire.responder.receive(second)
    assert wire.heard() == []
    wire.say(channel, PING, b"x")
    assert wire.heard() == [(channel, PING, b"x")]


def test_stray_continuation_is_ignored(wire):
    channel = wire.open()
    other = wire.open()
    first, second = frames(channel, PING, bytes(100))
    wire.responder.receive(second)
    assert wire.heard() == []
    wire.responder.receive(first)
    wire.responder.receive(frames(other, PING, bytes(100))[1])
    wire.responder.receive(second)
    assert wire.heard() == [(channel, PING, bytes(100))]


@pytest.mark.parametrize("length", [0, 1, 5, 63, 65, 1000])
def test_report_of_another_size_is_dropped(wire, length):
    channel = wire.open()
    wire.responder.receive(frames(channel, PING, b"x")[0].ljust(length, b"\0")[:length])
    assert wire.heard() == []


def test_unfinished_message_times_out(wire):
    channel = wire.open()
    first, second, third = frames(channel, PING, bytes(150))
    wire.responder.receive(first)
    wire.turn(0.4)
    wire.responder.receive(second)
    assert wire.responder.due_in_s() == pytest.approx(0.5)
    wire.turn(0.45)
    assert wire.heard() == []
    wire.turn(0.05)
    assert wire.heard() == error(channel, ERR.TIMEOUT)
    wire.responder.receive(third)
    assert wire.heard() == []
    assert wire.responder.due_in_s() is None


def test_unfinished_message_keeps_others_out_until_it_times_out(wire):
    channel, other = wire.open(), wire.open()
    wire.responder.receive(frames(channel, PING, bytes(100))[0])
    wire.say(other, PING, b"x")
    assert wire.heard() == error(other, ERR.CHANNEL_BUSY)
    wire.clock.now += 1
    wire.say(other, PING, b"x")
    assert wire.heard() == [*error(channel, ERR.TIMEOUT), (other, PING, b"x")]


def test_starting_over_drops_an_unfinished_message(wire):
    channel = wire.open()
    first, second = frames(channel, PING, bytes(100))
    wire.responder.receive(first)
    wire.say(channel, INIT, NONCE)
    assert [(heard[0], heard[1], heard[2][:12]) for heard in wire.heard()] == [
        (channel, INIT, NONCE + channel.to_bytes(4, "big"))
    ]
    wire.responder.receive(second)
    wire.turn(1)
    assert wire.heard() == []


def test_key_at_work_is_busy_for_everybody(waiting):
    wire, key, channel = waiting
    other = wire.open()
    for program in (other, channel):
        wire.say(program, PING, b"x")
        assert wire.heard() == error(program, ERR.CHANNEL_BUSY)
    key.go.set()
    assert wire.answer() == [(channel, CBOR, b"\0done")]
    wire.say(other, PING, b"x")
    assert wire.heard() == [(other, PING, b"x")]


def test_key_at_work_says_so_every_tenth_of_a_second(waiting):
    wire, key, channel = waiting
    wire.turn(0.09)
    assert wire.heard() == []
    for _ in range(3):
        wire.turn(wire.responder.due_in_s())
        assert wire.heard() == [(channel, KEEPALIVE, bytes([STATUS.PROCESSING]))]
        assert wire.responder.due_in_s() == pytest.approx(0.1)
    key.tell(STATUS.UPNEEDED)
    assert wire.answer() == [(channel, KEEPALIVE, bytes([STATUS.UPNEEDED]))]
    wire.turn(0.1)
    assert wire.heard() == [(channel, KEEPALIVE, bytes([STATUS.UPNEEDED]))]
    key.tell(STATUS.PROCESSING)
    assert wire.answer() == [(channel, KEEPALIVE, bytes([STATUS.PROCESSING]))]


def test_cancel_is_answered_by_the_command_it_cancels(waiting):
    wire, _, channel = waiting
    wire.say(channel, CANCEL)
    assert wire.answer() == [(channel, CBOR, bytes([ERR.KEEPALIVE_CANCEL]))]


def test_nobody_cancels_the_command_of_another(waiting):
    wire, key, channel = waiting
    wire.say(wire.open(), CANCEL)
    wire.say(BROADCAST, CANCEL)
    assert wire.heard() == []
    key.go.set()
    assert wire.answer() == [(channel, CBOR, b"\0done")]


def test_cancel_without_a_command_is_ignored(wire):
    wire.say(wire.open(), CANCEL)
    wire.say(99, CANCEL)
    assert wire.heard() == []


def test_starting_over_breaks_off_the_command(waiting):
    wire, key, channel = waiting
    wire.say(channel, INIT, NONCE)
    assert key.cancelled.is_set()
    assert [message[1] for message in wire.heard()] == [INIT]
    wire.say(channel, PING, b"x")
    assert wire.heard() == [(channel, PING, b"x")]


def test_key_that_does_not_stop_stays_busy_until_it_does(waiting):
    wire, key, channel = waiting
    key.heeds_cancel = False
    wire.say(channel, INIT, NONCE)
    assert [message[1] for message in wire.heard()] == [INIT]
    wire.turn(1)
    wire.say(channel, PING, b"x")
    assert wire.heard() == error(channel, ERR.CHANNEL_BUSY)
    assert wire.responder.due_in_s() is None
    key.go.set()
    assert wire.answer() == []
    wire.say(channel, PING, b"x")
    assert wire.heard() == [(channel, PING, b"x")]


def test_closing_breaks_off_the_command(waiting):
    wire, key, _ = waiting
    wire.responder.close()
    assert key.cancelled.is_set()


@pytest.mark.parametrize("failure", [OSError("pulled"), StoreError("store_unreadable", "no JSON")])
def test_failure_that_is_no_answer_ends_the_responder(failure):
    wire = Wire(ToldKey(lambda *_: raising(failure)))
    wire.say(wire.open(), CBOR, GET_INFO)
    assert wire.rang.wait(PATIENCE_S)
    with pytest.raises(type(failure)):
        wire.responder.tick()


@pytest.mark.parametrize("client", ["python-fido2", "keyctl"])
def test_clients_drive_the_virtual_key_through_frames(folder, make_bench, client):
    name = make_bench().name
    cable = Cable(VirtualDevice(folder, name))
    if client == "keyctl":
        device = HidDevice(cable, 64, "usb:test")
    else:
        device = CtapHidDevice(HidDescriptor("test", 0, 0, 64, 64, None, None), cable)
    assert device.device_version == (5, 4, 3)
    ctap = Ctap2(device)
    ClientPin(ctap).set_pin("correct-horse")
    assert Ctap2(device).info.options["clientPin"]
    with pytest.raises(CtapError) as caught:
        device.call(PING + 1, b"x")
    assert caught.value.code == ERR.INVALID_COMMAND


def known_channels() -> st.SearchStrategy[bytes]:
    return st.sampled_from([1, 2, 3, BROADCAST, 0]).map(lambda channel: channel.to_bytes(4, "big"))


def reports() -> st.SearchStrategy[bytes]:
    """Reports that get past the first checks more often than random ones."""
    commands = st.sampled_from([PING, MSG, INIT, WINK, CBOR, CANCEL, ERROR, 0x45]).map(lambda command: 0x80 | command)
    kinds = st.one_of(commands, st.integers(0, 3), st.integers(0, 255)).map(lambda kind: bytes([kind]))
    lengths = st.one_of(st.integers(0, 130), st.integers(0, 0xFFFF)).map(lambda length: length.to_bytes(2, "big"))
    built = st.tuples(known_channels(), kinds, lengths, st.binary(max_size=57))
    return st.one_of(built.map(lambda parts: b"".join(parts).ljust(64, b"\0")), st.binary(max_size=70))


@given(st.lists(st.one_of(reports(), st.floats(0, 0.6)), max_size=30))
def test_no_reports_at_all_upset_the_key(steps):
    """Whatever the host sends and whenever: each report back is whole, and the next program is served."""
    wire = Wire(ToldKey(), on_wink=lambda: None)
    for step in steps:
        if isinstance(step, float):
            wire.turn(step)
        else:
            wire.responder.receive(step)
    wire.turn(1)
    assert all(len(report) == 64 for report in wire.reports)
    wire.heard()
    wire.responder.close()
    wire.responder.tick()
    wire.heard()
    channel = wire.open()
    wire.say(channel, PING, b"still there")
    assert wire.heard() == [(channel, PING, b"still there")]


def raising(failure: BaseException) -> bytes:
    raise failure
