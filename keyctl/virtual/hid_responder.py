"""The key's side of CTAP over USB HID (CTAP 2.2, section 11.2): reports in, reports out, around any ``CtapDevice``.

It knows no bus and no file. Everything happens in :meth:`HidResponder.receive` and :meth:`HidResponder.tick`, which one
thread calls; only the key's own work has a thread of its own, because keep-alives are due meanwhile.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from fido2.ctap import STATUS, CtapDevice, CtapError

from keyctl.errors import KeyctlError
from keyctl.virtual.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_BYTES = 64
#: A start frame and 128 frames that continue it (section 11.2.4).
MAX_MESSAGE_BYTES = 7609
#: How long a message may take from one frame to the next (section 11.2.5.2 leaves it to the key).
MESSAGE_TIMEOUT_S = 0.5
#: Section 11.2.9.2.1.
KEEPALIVE_S = 0.1

_BROADCAST = 0xFFFFFFFF
_LAST_CHANNEL = 0xFFFFFFFE
_PROTOCOL_VERSION = 2
_NONCE_BYTES = 8
_CAPABILITY_WINK = 0x01

_START = 0x80
_START_HEADER = struct.Struct(">IBH")
_NEXT_HEADER = struct.Struct(">IB")
_INIT_ANSWER = struct.Struct(">IBBBBB")

_ERR = CtapError.ERR
#: The statuses that have frames of their own (section 11.2.9.1.6); all others are answers to CBOR commands.
_FRAME_STATUSES = frozenset(
    {
        _ERR.INVALID_COMMAND,
        _ERR.INVALID_PARAMETER,
        _ERR.INVALID_LENGTH,
        _ERR.INVALID_SEQ,
        _ERR.TIMEOUT,
        _ERR.CHANNEL_BUSY,
        _ERR.LOCK_REQUIRED,
        _ERR.INVALID_CHANNEL,
        _ERR.OTHER,
    }
)
#: How long a cancelled command may take to end before the channel's owner is answered all the same.
_CANCEL_S = 0.5


class _Command(IntEnum):
    """Commands (section 11.2.9)."""

    PING = 0x01
    MSG = 0x03
    INIT = 0x06
    WINK = 0x08
    CBOR = 0x10
    CANCEL = 0x11
    KEEPALIVE = 0x3B
    ERROR = 0x3F


@dataclass
class _Message:
    """A message of which frames are missing, or none."""

    channel: int
    command: int
    length: int
    content: bytes
    #: On the responder's clock.
    deadline: float
    next_sequence: int = 0


class HidResponder:
    """A key's firmware between the USB endpoints and CTAP: channels, messages, keep-alives, one command at a time.

    Args:
        device: The key; never closed here.
        send: Takes each report to the host, of :data:`REPORT_BYTES` bytes. Called by receive and tick only.
        wake: Called from another thread when :meth:`tick` has something to do now.
        version: Firmware version as clients are told it when they open a channel: major, minor, build.
        on_wink: Makes the key blink, or whatever it has for that; None: it cannot.
        clock: Measures waits and time limits.
    """

    def __init__(
        self,
        device: CtapDevice,
        send: Callable[[bytes], None],
        *,
        wake: Callable[[], None],
        version: tuple[int, int, int] = (0, 0, 0),
        on_wink: Callable[[], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """See the class."""
        self._device = device
        self._send = send
        self._wake = wake
        self._version = version
        self._on_wink = on_wink
        self._clock = clock or Clock()
        #: Channels are numbered from 1, so this is also how many have been given out.
        self._newest_channel = 0
        self._message: _Message | None = None
        self._call: _Call | None = None

    def receive(self, report: bytes) -> None:
        """Take one report from the host, which may be anything at all.

        Args:
            report: Without report number. One of another length than :data:`REPORT_BYTES` is dropped, as by a USB
                endpoint.

        Raises:
            OSError: The key was pulled.
            KeyctlError: The key's own store is in the way.
        """
        self.tick()
        if len(report) != REPORT_BYTES:
            return
        if report[4] & _START:
            channel, command, length = _START_HEADER.unpack_from(report)
            self._start(channel, command & ~_START, length, report[_START_HEADER.size :])
        else:
            channel, sequence = _NEXT_HEADER.unpack_from(report)
            self._continue(channel, sequence, report[_NEXT_HEADER.size :])

    def tick(self) -> None:
        """Send what is due: the key's answer, a keep-alive, or the news that a message was never finished.

        Raises:
            OSError: The key was pulled; there is nothing to respond with any more.
            KeyctlError: The key's own store is in the way.
        """
        now = self._clock.monotonic()
        if self._message is not None and now >= self._message.deadline:
            self._fail(self._message.channel, _ERR.TIMEOUT)
            self._message = None
        call = self._call
        if call is None:
            return
        if call.done.is_set():
            self._call = None
            self._answer(call)
        elif call.channel is not None and (call.status != call.told or now >= call.keepalive_at):
            call.told = call.status
            call.keepalive_at = now + KEEPALIVE_S
            self._say(call.channel, _Command.KEEPALIVE, bytes([call.told]))

    def due_in_s(self) -> float | None:
        """In how many seconds :meth:`tick` is to be called again, if nothing comes before; None: never."""
        moments = [self._message.deadline] if self._message else []
        if self._call is not None and self._call.channel is not None:
            moments.append(self._call.keepalive_at)
        return max(0.0, min(moments) - self._clock.monotonic()) if moments else None

    def close(self) -> None:
        """Break off the command that the key is at; nobody gets its answer."""
        if self._call is not None:
            self._break_off(self._call)

    def _start(self, channel: int, command: int, length: int, content: bytes) -> None:
        """A frame that begins a message."""
        if command == _Command.CANCEL:
            # Is never answered, not even with an error (section 11.2.9.1.5).
            if self._call is not None and self._call.channel == channel:
                self._call.cancel.set()
        elif not self._is_open(channel) and (command, channel) != (_Command.INIT, _BROADCAST):
            self._fail(channel, _ERR.INVALID_CHANNEL)
        elif command == _Command.INIT:
            self._init(channel, length, content)
        elif self._message is not None and self._message.channel == channel:
            self._message = None
            self._fail(channel, _ERR.INVALID_SEQ)
        elif self._message is not None or self._call is not None:
            self._fail(channel, _ERR.CHANNEL_BUSY)
        elif command not in {_Command.PING, _Command.MSG, _Command.CBOR} and not self._winks(command):
            self._fail(channel, _ERR.INVALID_COMMAND)
        elif length > MAX_MESSAGE_BYTES:
            self._fail(channel, _ERR.INVALID_LENGTH)
        else:
            self._gather(_Message(channel, command, length, b"", 0), content)

    def _continue(self, channel: int, sequence: int, content: bytes) -> None:
        """A frame that continues a message; those that belong to none are ignored (section 11.2.5.4)."""
        message = self._message
        if message is None or message.channel != channel:
            return
        self._message = None
        if sequence != message.next_sequence:
            self._fail(channel, _ERR.INVALID_SEQ)
            return
        message.next_sequence += 1
        self._gather(message, content)

    def _gather(self, message: _Message, content: bytes) -> None:
        message.content += content[: message.length - len(message.content)]
        if len(message.content) == message.length:
            self._obey(message)
        else:
            message.deadline = self._clock.monotonic() + MESSAGE_TIMEOUT_S
            self._message = message

    def _init(self, channel: int, length: int, content: bytes) -> None:
        """Open a channel, or start afresh on one (section 11.2.9.1.3); works while others keep the key busy."""
        if length != _NONCE_BYTES:
            self._fail(channel, _ERR.INVALID_LENGTH)
            return
        opened = channel
        if channel == _BROADCAST:
            self._newest_channel = self._newest_channel % _LAST_CHANNEL + 1
            opened = self._newest_channel
        elif self._message is not None and self._message.channel == channel:
            self._message = None
        elif self._call is not None and self._call.channel == channel:
            self._break_off(self._call)
        capabilities = self._device.capabilities | (_CAPABILITY_WINK if self._on_wink else 0)
        answer = _INIT_ANSWER.pack(opened, _PROTOCOL_VERSION, *self._version, capabilities)
        self._say(channel, _Command.INIT, content[:_NONCE_BYTES] + answer)

    def _obey(self, message: _Message) -> None:
        """Do what a whole message says."""
        if message.command == _Command.PING:
            self._say(message.channel, _Command.PING, message.content)
        elif self._winks(message.command):
            self._wink(message)
        elif not message.content:
            self._fail(message.channel, _ERR.INVALID_LENGTH)
        else:
            self._call = _Call(self._device, message, self._wake, keepalive_at=self._clock.monotonic() + KEEPALIVE_S)

    def _winks(self, command: int) -> bool:
        return command == _Command.WINK and self._on_wink is not None

    def _wink(self, message: _Message) -> None:
        if message.content:
            self._fail(message.channel, _ERR.INVALID_LENGTH)
            return
        assert self._on_wink is not None
        self._on_wink()
        self._say(message.channel, _Command.WINK, b"")

    def _answer(self, call: _Call) -> None:
        """Send what the key answered, unless nobody waits for it any more."""
        try:
            answer = call.result()
        except CtapError as error:
            if error.code in _FRAME_STATUSES or call.command != _Command.CBOR:
                status = error.code if error.code in _FRAME_STATUSES else _ERR.OTHER
                self._fail(call.channel, status)
                return
            answer = bytes([error.code])
        if call.channel is None:
            return
        if 0 < len(answer) <= MAX_MESSAGE_BYTES:
            self._say(call.channel, call.command, answer)
        else:
            self._fail(call.channel, _ERR.OTHER)

    def _break_off(self, call: _Call) -> None:
        """Cancel a command whose answer nobody wants; the key stays busy for as long as it does not notice."""
        call.channel = None
        call.cancel.set()
        call.done.wait(_CANCEL_S)

    def _is_open(self, channel: int) -> bool:
        return 1 <= channel <= self._newest_channel

    def _fail(self, channel: int | None, status: int) -> None:
        if channel is not None:
            self._say(channel, _Command.ERROR, bytes([status]))

    def _say(self, channel: int, command: int, content: bytes) -> None:
        """Send one message, cut into frames (section 11.2.4)."""
        header = _START_HEADER.pack(channel, _START | command, len(content))
        sequence = 0
        while True:
            space = REPORT_BYTES - len(header)
            self._send((header + content[:space]).ljust(REPORT_BYTES, b"\0"))
            content = content[space:]
            if not content:
                return
            header = _NEXT_HEADER.pack(channel, sequence)
            sequence += 1


class _Call:
    """One command that the key works at, in a thread that keeps no program alive."""

    def __init__(self, device: CtapDevice, message: _Message, wake: Callable[[], None], keepalive_at: float) -> None:
        #: Who waits for the answer; None: nobody any more.
        self.channel: int | None = message.channel
        self.command = message.command
        self.cancel = threading.Event()
        self.done = threading.Event()
        #: What the key last said it is at, and what the client was last told.
        self.status: int = STATUS.PROCESSING
        self.told: int = STATUS.PROCESSING
        #: On the responder's clock.
        self.keepalive_at = keepalive_at
        self._wake = wake
        self._answer = b""
        self._failure: CtapError | OSError | KeyctlError | None = None
        threading.Thread(target=self._work, args=(device, message.content), name="hid key", daemon=True).start()

    def result(self) -> bytes:
        """The key's answer; empty when its code failed, which Python reported then.

        Raises:
            CtapError: The key refused the command.
            OSError: The key was pulled.
            KeyctlError: The key's own store is in the way.
        """
        if self._failure is not None:
            raise self._failure
        return self._answer

    def _work(self, device: CtapDevice, content: bytes) -> None:
        try:
            self._answer = device.call(self.command, content, self.cancel, self._keep_alive)
        except (CtapError, OSError, KeyctlError) as error:
            self._failure = error
        finally:
            self.done.set()
            self._wake()

    def _keep_alive(self, status: STATUS) -> None:
        self.status = status
        self._wake()
