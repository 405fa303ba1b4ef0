"""CTAP over USB HID (CTAP 2.2, section 11.2): messages cut into reports, on a channel of our own.

python-fido2's own class waits for ever when the key is silent or busy, breaks on short reports, takes answers meant for
other programs for errors, and loads cryptography, which listing keys does not need.
"""

from __future__ import annotations

import os
import struct
import threading
from typing import TYPE_CHECKING, Protocol

from fido2.ctap import STATUS, CtapDevice, CtapError

from keyctl.device import errors
from keyctl.device.commands import Hid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keyctl.errors import UnreachableError

_BROADCAST = 0xFFFFFFFF
_START = 0x80
_START_HEADER = struct.Struct(">IBH")
_NEXT_HEADER = struct.Struct(">IB")
_NONCE_BYTES = 8
#: Channel, protocol version, device version (three bytes), capabilities.
_INIT_ANSWER = struct.Struct(">IBBBBB")
_INIT_ANSWER_BYTES = _NONCE_BYTES + _INIT_ANSWER.size


class Reports(Protocol):
    """Where HID reports are written and read: an open hidraw node, or python-fido2's connection elsewhere."""

    def write_packet(self, packet: bytes, /) -> None:
        """Send one report."""

    def read_packet(self) -> bytes:
        """Wait for the next report."""

    def close(self) -> None:
        """Stop."""


class HidDevice(CtapDevice):
    """A key on USB.

    Args:
        reports: The open connection; closed together with this.
        report_size: Bytes of one report to the key.
        label: The word people know the key by.

    Raises:
        CtapError: The key refuses to open a channel.
        UnreachableError: It answers nonsense.
        OSError: It is silent or gone.
    """

    def __init__(self, reports: Reports, report_size: int, label: str) -> None:
        """See the class."""
        self._reports = reports
        self._report_size = report_size
        #: What errors call the key; it changes when the key is recognised.
        self.label = label
        self._channel = _BROADCAST
        nonce = os.urandom(_NONCE_BYTES)
        answer = self._exchange(Hid.INIT, nonce, threading.Event(), None, nonce)
        if len(answer) < _INIT_ANSWER_BYTES:
            raise self._nonsense()
        channel, _, *version, capabilities = _INIT_ANSWER.unpack_from(answer, _NONCE_BYTES)
        self._channel = channel
        self._capabilities: int = capabilities
        #: As the key tells it when the channel is opened: major, minor, build.
        self.device_version: tuple[int, ...] = tuple(version)

    @property
    def capabilities(self) -> int:
        """Capability flags (section 11.2.9.1.3)."""
        return self._capabilities

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """None: :mod:`keyctl.device.discover` finds keys."""
        return iter(())

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: threading.Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send one command and return the answer.

        Raises:
            CtapError: The key answered with an error frame.
            UnreachableError: It answered nonsense.
            OSError: It is silent or gone.
        """
        return self._exchange(cmd, data, event or threading.Event(), on_keepalive, b"")

    def close(self) -> None:
        """Close the connection."""
        self._reports.close()

    def _exchange(
        self,
        cmd: int,
        data: bytes,
        cancel: threading.Event,
        on_keepalive: Callable[[STATUS], None] | None,
        nonce: bytes,
    ) -> bytes:
        self._send(cmd, data)
        cancelled = False
        while True:
            if cancel.is_set() and not cancelled:
                cancelled = True
                self._send(Hid.CANCEL, b"")
            answered, length, content = self._first_frame()
            if answered == Hid.KEEPALIVE:
                status = self._status(content)
                if on_keepalive is not None:
                    on_keepalive(status)
            elif answered == Hid.ERROR and content:
                raise CtapError(content[0])
            elif answered != cmd:
                raise self._nonsense()
            else:
                answer = self._rest(length, content)
                # Every program hears the answers on the broadcast channel; ours repeats our nonce.
                if answer.startswith(nonce):
                    return answer

    def _send(self, cmd: int, data: bytes) -> None:
        header = _START_HEADER.pack(self._channel, _START | cmd, len(data))
        sequence = 0
        rest = data
        while True:
            space = self._report_size - len(header)
            self._reports.write_packet((header + rest[:space]).ljust(self._report_size, b"\0"))
            rest = rest[space:]
            if not rest:
                return
            header = _NEXT_HEADER.pack(self._channel, sequence)
            sequence = sequence + 1 & 0x7F

    def _first_frame(self) -> tuple[int, int, bytes]:
        """Command, announced length and first bytes of the next message on our channel."""
        packet = self._packet()
        if len(packet) < _START_HEADER.size:
            raise self._nonsense()
        _, cmd, length = _START_HEADER.unpack_from(packet)
        if not cmd & _START:
            raise self._nonsense()
        return cmd & ~_START, length, packet[_START_HEADER.size :][:length]

    def _rest(self, length: int, content: bytes) -> bytes:
        sequence = 0
        while len(content) < length:
            packet = self._packet()
            if packet[4] != sequence:
                raise self._nonsense()
            content += packet[_NEXT_HEADER.size :]
            sequence = sequence + 1 & 0x7F
        return content[:length]

    def _packet(self) -> bytes:
        """The next report on our channel; those of other programs are none of our business."""
        while True:
            packet = self._reports.read_packet()
            if len(packet) <= _NEXT_HEADER.size:
                raise self._nonsense()
            if packet[:4] == self._channel.to_bytes(4, "big"):
                return packet

    def _status(self, content: bytes) -> STATUS:
        try:
            return STATUS(content[0])
        except (IndexError, ValueError):
            raise self._nonsense() from None

    def _nonsense(self) -> UnreachableError:
        return errors.nonsense(self.label, "reports that are not CTAP")
