"""USB framing on recorded and on malformed reports (CTAP 2.2, section 11.2)."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fido2.ctap import STATUS, CtapError
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device.ctaphid import HidDevice
from keyctl.errors import UnreachableError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire_hid.json").read_text())
CBOR = 0x10
CHANNEL = bytes.fromhex("00000007")
OTHER = bytes.fromhex("00000008")


class Reports:
    """The far end of the cable: answers INIT properly, then plays back what it was given."""

    def __init__(self, played: list[bytes] | None = None, channel: bytes = CHANNEL, size: int = 64) -> None:
        self.sent: list[bytes] = []
        self.played = played or []
        self.channel = channel
        self.size = size
        self.before_init: list[bytes] = []
        self.closed = False

    def write_packet(self, packet: bytes) -> None:
        assert len(packet) == self.size
        self.sent.append(packet)
        if packet[:5] == b"\xff\xff\xff\xff\x86":
            answer = packet[7:15] + self.channel + bytes.fromhex("0205040305")
            self.played = [*self.before_init, frame(b"\xff\xff\xff\xff", 0x06, answer), *self.played]

    def read_packet(self) -> bytes:
        if not self.played:
            raise TimeoutError
        return self.played.pop(0)

    def close(self) -> None:
        self.closed = True


def frame(channel: bytes, command: int, content: bytes, size: int = 64) -> bytes:
    return (channel + bytes([0x80 | command]) + len(content).to_bytes(2, "big") + content).ljust(size, b"\0")


def frames(channel: bytes, command: int, content: bytes, size: int = 64) -> list[bytes]:
    """A message of any length, cut by the rules."""
    header = channel + bytes([0x80 | command]) + len(content).to_bytes(2, "big")
    made = [(header + content[: size - 7]).ljust(size, b"\0")]
    rest = content[size - 7 :]
    sequence = 0
    while rest:
        made.append((channel + bytes([sequence]) + rest[: size - 5]).ljust(size, b"\0"))
        rest = rest[size - 5 :]
        sequence += 1
    return made


def device(*played: bytes) -> tuple[HidDevice, Reports]:
    reports = Reports(list(played))
    return HidDevice(reports, 64, "usb:test"), reports


def refused(*played: bytes) -> None:
    key, _ = device(*played)
    with pytest.raises(UnreachableError) as caught:
        key.call(CBOR, b"\x04")
    assert caught.value.code == "key_nonsense"
    assert caught.value.key == "usb:test"


class Recorded:
    """Plays reports of a real key, with the nonce that was recorded instead of ours."""

    def __init__(self, reports: list[str], nonce: str) -> None:
        self._reports = [bytes.fromhex(report) for report in reports]
        self._nonce = bytes.fromhex(nonce)

    def write_packet(self, packet: bytes) -> None:
        self._reports = [report.replace(self._nonce, packet[7:15]) for report in self._reports]

    def read_packet(self) -> bytes:
        return self._reports.pop(0)

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("vector", VECTORS["init"], ids=lambda vector: vector["key"])
def test_recorded_channels_are_understood(vector: dict[str, Any]) -> None:
    key = HidDevice(Recorded(vector["reports"], vector["nonce"]), 64, "usb:test")
    assert list(key.device_version) == vector["version"]
    assert bool(key.capabilities & 0x04) == vector["cbor"]


@pytest.mark.parametrize("vector", VECTORS["exchanges"], ids=lambda vector: vector["what"])
def test_recorded_answers_are_understood(vector: dict[str, Any]) -> None:
    reports = Reports([bytes.fromhex(report) for report in vector["reports"]], bytes.fromhex(vector["channel"]))
    key = HidDevice(reports, 64, "usb:test")
    if "error" in vector:
        with pytest.raises(CtapError) as caught:
            key.call(CBOR, b"\x04")
        assert caught.value.code == vector["error"]
    else:
        assert key.call(CBOR, b"\x06").hex() == vector["answer"]


def test_every_vector_has_a_source() -> None:
    assert all(vector["source"].startswith("https://") for vector in VECTORS["init"] + VECTORS["exchanges"])


def test_the_channel_is_used_that_the_key_gave() -> None:
    key, reports = device(frame(CHANNEL, CBOR, b"\0"))
    assert key.call(CBOR, b"\x04") == b"\0"
    assert reports.sent[-1] == frame(CHANNEL, CBOR, b"\x04")


@given(st.binary(min_size=0, max_size=7609), st.sampled_from([32, 64, 128]))
def test_messages_of_any_length_arrive_whole(content: bytes, size: int) -> None:
    reports = Reports(frames(CHANNEL, CBOR, content, size), size=size)
    reports.before_init = []
    key = HidDevice(reports, size, "usb:test")
    assert key.call(CBOR, content) == content
    assert reports.sent[1:] == frames(CHANNEL, CBOR, content, size)


def test_reports_on_other_channels_are_dropped_even_between_our_own() -> None:
    ours = frames(CHANNEL, CBOR, bytes(range(100)))
    key, _ = device(frame(OTHER, CBOR, b"no"), ours[0], frame(OTHER, 0x3F, b"\x06"), ours[1])
    assert key.call(CBOR, b"\x04") == bytes(range(100))


def test_the_channel_of_another_program_is_not_taken_for_ours() -> None:
    reports = Reports()
    theirs = b"notnonce" + OTHER + bytes.fromhex("0205040305")
    reports.before_init = [frame(b"\xff\xff\xff\xff", 0x06, theirs)]
    reports.played = [frame(CHANNEL, CBOR, b"\0")]
    assert HidDevice(reports, 64, "usb:test").call(CBOR, b"\x04") == b"\0"
    assert reports.sent[-1][:4] == CHANNEL


def test_an_error_frame_is_the_keys_own_error() -> None:
    key, _ = device(frame(CHANNEL, 0x3F, b"\x06"))
    with pytest.raises(CtapError) as caught:
        key.call(CBOR, b"\x04")
    assert caught.value.code == CtapError.ERR.CHANNEL_BUSY


def test_keepalives_are_told_and_not_taken_for_the_answer() -> None:
    key, _ = device(frame(CHANNEL, 0x3B, b"\x01"), frame(CHANNEL, 0x3B, b"\x02"), frame(CHANNEL, CBOR, b"\0"))
    told: list[STATUS] = []
    assert key.call(CBOR, b"\x01", on_keepalive=told.append) == b"\0"
    assert told == [STATUS.PROCESSING, STATUS.UPNEEDED]


def test_cancel_is_sent_once_on_our_channel() -> None:
    keepalive = frame(CHANNEL, 0x3B, b"\x02")
    key, reports = device(keepalive, keepalive, frame(CHANNEL, CBOR, b"\x2d"))
    cancel = threading.Event()
    assert key.call(CBOR, b"\x01", cancel, lambda _status: cancel.set()) == b"\x2d"
    assert reports.sent.count(frame(CHANNEL, 0x11, b"")) == 1


@pytest.mark.parametrize("size", range(7))
def test_a_short_report_is_nonsense(size: int) -> None:
    refused(frame(CHANNEL, CBOR, b"\0")[:size])


def test_an_answer_to_another_command_is_nonsense() -> None:
    refused(frame(CHANNEL, 0x03, b"\0"))


def test_a_continuation_without_a_beginning_is_nonsense() -> None:
    refused(CHANNEL + bytes(60))


def test_reports_out_of_order_are_nonsense() -> None:
    first, second, third = frames(CHANNEL, CBOR, bytes(150))
    refused(first, third, second)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x03", b"\xff"])
def test_an_unknown_keepalive_is_nonsense(content: bytes) -> None:
    refused(frame(CHANNEL, 0x3B, content))


def test_an_error_frame_without_an_error_is_nonsense() -> None:
    refused(frame(CHANNEL, 0x3F, b""))


def test_a_short_answer_to_init_is_nonsense() -> None:
    class Short(Reports):
        def write_packet(self, packet: bytes) -> None:
            self.played = [frame(b"\xff\xff\xff\xff", 0x06, packet[7:15] + b"\0\0")]

    with pytest.raises(UnreachableError, match="not CTAP"):
        HidDevice(Short(), 64, "usb:test")


@given(st.lists(st.binary(max_size=64), max_size=6))
def test_any_reports_give_an_answer_or_an_error(played: list[bytes]) -> None:
    key, _ = device(*(CHANNEL + report for report in played))
    try:
        assert isinstance(key.call(CBOR, b"\x04"), bytes)
    except (CtapError, UnreachableError, TimeoutError):
        return
