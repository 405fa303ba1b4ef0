"""A security key as a contactless card: command and answer APDUs (ISO 7816-4) around CTAP (CTAP 2.2, section 11.3).

The card says ``9100`` while the key still works or waits for a touch, so the key's own work runs in a thread.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fido2.ctap import STATUS, CtapDevice, CtapError

from keyctl.errors import KeyctlError
from keyctl.virtual.apdu import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The application that a client selects (CTAP 2.2, section 11.3.3).
FIDO_AID = bytes.fromhex("A0000006472F0001")
#: A longer command is refused, in one piece or chained: more than any key's maxMsgSize.
MAX_COMMAND_BYTES = 8192

# Commands and a capability of CTAPHID (CTAP 2.2, section 11.2.9), which CtapDevice uses on every transport.
_MSG = 0x03
_CBOR = 0x10
_NMSG = 0x08
#: Statuses that only USB frames have (CTAP 2.2, section 11.2.9.1.6): no key answers a CTAP command with them.
_USB_STATUSES = frozenset({0x04, 0x05, 0x06, 0x0A, 0x0B})

_ISO = 0x00
_CTAP = 0x80
_GET_RESPONSE = 0xC0
_P1_BY_NAME = 0x04
_P1_CLIENT_POLLS = 0x80
_P1_POLL = 0x00
_P1_CANCEL = 0x11
_P1_END = 0x01

_SW_DONE = 0x9000
_SW_WORKING = 0x9100
_SW_MORE = 0x6100
_SW_CTAP_STATUS = 0x6400
_SW_WRONG_LENGTH = 0x6700
_SW_NOT_NOW = 0x6985
_SW_NO_APPLICATION = 0x6A82
_SW_WRONG_P1_P2 = 0x6A86
_SW_UNKNOWN_INS = 0x6D00
_SW_UNKNOWN_CLA = 0x6E00
_SW_BROKEN = 0x6F00

#: Most commands end within this time; the rest is announced with 9100, so no client needs to poll in a hurry.
_PATIENCE_S = 0.1
_CANCEL_S = 0.5

#: Data and status word.
_Answer = tuple[bytes, int]


@runtime_checkable
class PoweredDevice(Protocol):
    """A device that forgets something (tokens, wrong PINs in a row) when it loses power."""

    def power_cycle(self) -> None:
        """Lose power and get it back."""


class FidoCard:
    """The card around one key; it has no power at first.

    Only :meth:`power_down` may be called from any thread.

    Args:
        device: The key; the card never closes it.
        sw64: Imitate cards that answer CTAP errors with status word 64xx and no data.
    """

    def __init__(self, device: CtapDevice, *, sw64: bool = False) -> None:
        """See the class."""
        self._device = device
        self._sw64 = sw64
        self._powered = threading.Event()
        self._call: _Call | None = None
        self._handlers: Mapping[tuple[int, int], Callable[[Command], _Answer]] = {
            (_ISO, 0xA4): self._select,
            (_ISO, 0x01): self._u2f,
            (_ISO, 0x02): self._u2f,
            (_ISO, 0x03): self._u2f,
            (_CTAP, 0x10): self._ctap,
            (_CTAP, 0x11): self._ctap_status,
            (_CTAP, 0x12): self._control,
        }
        self._selected = False
        #: What is left of the last answer, and the status word it ends with.
        self._rest: _Answer = b"", _SW_DONE
        #: The links of an unfinished chain, as one.
        self._chain: Command | None = None

    def power_up(self) -> None:
        """Start afresh: nothing is selected, and the key forgets what it forgets without power.

        Raises:
            OSError: The key was pulled.
            KeyctlError: The key's own store is in the way.
        """
        self._end_call()
        # What would not be cancelled is lost with the power all the same.
        self._call = None
        self._selected = False
        self._rest = b"", _SW_DONE
        self._chain = None
        if isinstance(self._device, PoweredDevice):
            self._device.power_cycle()
        self._powered.set()

    def power_down(self) -> None:
        """Cut the power: a command that waits for a touch ends."""
        self._powered.clear()
        call = self._call
        if call is not None:
            call.cancel.set()

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to one command: data, then the status word in two bytes.

        Args:
            apdu: Anything at all; what is no command is answered with a status word that says so.

        Raises:
            OSError: The key was pulled: no card can answer any more.
            KeyctlError: The key's own store is in the way.
        """
        data, status = self._answer(apdu) if self._powered.is_set() else (b"", _SW_BROKEN)
        return data + status.to_bytes(2, "big")

    def _answer(self, apdu: bytes) -> _Answer:
        command = Command.parse(apdu)
        earlier, self._chain = self._chain, None
        if command is None:
            return b"", _SW_WRONG_LENGTH
        if command.cla not in (_ISO, _CTAP):
            return b"", _SW_UNKNOWN_CLA
        if command.ins == _GET_RESPONSE:
            return self._next_part(command)
        self._rest = b"", _SW_DONE
        handler = self._handlers.get((command.cla, command.ins))
        # Unselected U2F gets no 6985, which says "touch me" there.
        if handler is None or (handler == self._u2f and not self._selected):
            return b"", _SW_UNKNOWN_INS
        if handler != self._select and not self._selected:
            return b"", _SW_NOT_NOW
        if earlier is not None and command.continues(earlier):
            command = replace(command, data=earlier.data + command.data)
        if len(command.data) > MAX_COMMAND_BYTES:
            return b"", _SW_WRONG_LENGTH
        if command.chained:
            self._chain = command
            return b"", _SW_DONE
        self._rest = handler(command)
        return self._cut(command.room)

    def _next_part(self, command: Command) -> _Answer:
        """GET RESPONSE (ISO 7816-4, section 11.7.1)."""
        if command.chained or command.data:
            return b"", _SW_WRONG_LENGTH
        if command.p1 or command.p2:
            return b"", _SW_WRONG_P1_P2
        if not self._rest[0]:
            return b"", _SW_NOT_NOW
        return self._cut(command.room)

    def _cut(self, room: int) -> _Answer:
        """The next *room* bytes of the answer, with a status word that says how many are left."""
        data, status = self._rest
        self._rest = data[room:], status
        left = len(data) - room
        if left > 0:
            # 6100 stands for 256 bytes or more.
            return data[:room], _SW_MORE | (left if left < 256 else 0)
        return data, status

    def _select(self, command: Command) -> _Answer:
        self._end_call()
        if (command.p1, command.p2) != (_P1_BY_NAME, 0):
            return b"", _SW_WRONG_P1_P2
        self._selected = command.data == FIDO_AID
        if not self._selected:
            return b"", _SW_NO_APPLICATION
        return (b"FIDO_2_0" if self._device.capabilities & _NMSG else b"U2F_V2"), _SW_DONE

    def _control(self, command: Command) -> _Answer:
        """NFCCTAP_CONTROL (CTAP 2.2, section 11.3.4): the client has finished."""
        if (command.p1, command.p2) != (_P1_END, 0):
            return b"", _SW_WRONG_P1_P2
        if command.data:
            return b"", _SW_WRONG_LENGTH
        self._end_call()
        self._selected = False
        return b"", _SW_DONE

    def _ctap(self, command: Command) -> _Answer:
        """NFCCTAP_MSG (CTAP 2.2, section 11.3.7.1)."""
        if command.p1 not in (0, _P1_CLIENT_POLLS) or command.p2:
            return b"", _SW_WRONG_P1_P2
        if not command.data:
            return b"", _SW_WRONG_LENGTH
        call = self._begin(_CBOR, command.data)
        if call is None:
            return b"", _SW_BROKEN
        if command.p1 == _P1_CLIENT_POLLS:
            call.done.wait(_PATIENCE_S)
        else:
            self._wait(call)
        return self._ctap_answer(call)

    def _ctap_status(self, command: Command) -> _Answer:
        """NFCCTAP_GETRESPONSE (CTAP 2.2, section 11.3.7.2): how far is it, or stop it."""
        if command.p1 not in (_P1_POLL, _P1_CANCEL) or command.p2:
            return b"", _SW_WRONG_P1_P2
        if command.data:
            return b"", _SW_WRONG_LENGTH
        call = self._call
        if call is None:
            return b"", _SW_NOT_NOW
        if command.p1 == _P1_CANCEL:
            call.cancel.set()
            call.done.wait(_CANCEL_S)
        else:
            call.done.wait(_PATIENCE_S)
        return self._ctap_answer(call)

    def _ctap_answer(self, call: _Call) -> _Answer:
        if not self._powered.is_set():
            return b"", _SW_BROKEN
        if not call.done.is_set():
            return bytes([call.status]), _SW_WORKING
        self._call = None
        try:
            answer = call.result()
        except CtapError as error:
            if error.code in _USB_STATUSES or not 0 < error.code < 256:
                return b"", _SW_BROKEN
            answer = bytes([error.code])
        if not answer:
            return b"", _SW_BROKEN
        if self._sw64 and answer[0]:
            return b"", _SW_CTAP_STATUS | answer[0]
        return answer, _SW_DONE

    def _u2f(self, command: Command) -> _Answer:
        """A command of CTAP1 (CTAP 2.2, section 11.3.5); the key gets its extended form, as over USB."""
        call = self._begin(_MSG, command.extended_form())
        if call is None or not self._wait(call):
            return b"", _SW_BROKEN
        self._call = None
        try:
            answer = call.result()
        except CtapError as error:
            return b"", _SW_UNKNOWN_INS if error.code == CtapError.ERR.INVALID_COMMAND else _SW_BROKEN
        if len(answer) < 2:
            return b"", _SW_BROKEN
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def _begin(self, kind: int, request: bytes) -> _Call | None:
        """Hand a command to the key; None when it is stuck in the one before."""
        if not self._end_call():
            return None
        self._call = _Call(self._device, kind, request)
        return self._call

    def _end_call(self) -> bool:
        """Break off what the key is at; whether it is free."""
        if self._call is None:
            return True
        self._call.cancel.set()
        if not self._call.done.wait(_CANCEL_S):
            return False
        self._call = None
        return True

    def _wait(self, call: _Call) -> bool:
        """Whether the key finished before the power was cut."""
        while not call.done.wait(_PATIENCE_S):
            if not self._powered.is_set():
                call.cancel.set()
                return False
        return True


class _Call:
    """One command that the key works at, in a thread that keeps no program alive."""

    def __init__(self, device: CtapDevice, kind: int, request: bytes) -> None:
        self.cancel = threading.Event()
        self.done = threading.Event()
        #: What the key last said it is at.
        self.status: int = STATUS.PROCESSING
        self._answer = b""
        self._failure: CtapError | OSError | KeyctlError | None = None
        threading.Thread(target=self._work, args=(device, kind, request), name="card", daemon=True).start()

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

    def _work(self, device: CtapDevice, kind: int, request: bytes) -> None:
        try:
            self._answer = device.call(kind, request, self.cancel, self._keep_alive)
        except (CtapError, OSError, KeyctlError) as error:
            self._failure = error
        finally:
            self.done.set()

    def _keep_alive(self, status: STATUS) -> None:
        self.status = status
