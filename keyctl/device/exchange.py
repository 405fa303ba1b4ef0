"""One CTAP2 command and its answer: encoded, sent, and decoded without believing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core.decoding import decode_map
from keyctl.device import commands, errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from fido2.ctap import CtapDevice

#: What every key takes, until getInfo says more (CTAP 2.2, section 6.4, maxMsgSize).
MIN_MESSAGE_BYTES = 1024
#: The most that fits CTAPHID's frames (CTAP 2.2, section 11.2.4), whatever a key says it takes.
MAX_MESSAGE_BYTES = 7609


class Exchange:
    """Commands to one key.

    Args:
        device: The key.
        label: The word people know it by.
    """

    def __init__(self, device: CtapDevice, label: str) -> None:
        """See the class."""
        self.device = device
        #: What messages call the key; it changes when the key is recognised.
        self.label = label
        #: Longer messages are refused without sending them; bytes.
        self.max_message_bytes = MIN_MESSAGE_BYTES

    def send(
        self, command: int, parameters: Mapping[int, Any] | None = None, *, cancel: Event | None = None
    ) -> Mapping[Any, Any]:
        """As :meth:`send_for_bytes`, with the answer decoded: a map, empty when the key sent none."""
        answer = self.send_for_bytes(command, parameters, cancel=cancel)
        with errors.understanding(self.label):
            return decode_map(answer)

    def send_for_bytes(
        self, command: int, parameters: Mapping[int, Any] | None = None, *, cancel: Event | None = None
    ) -> bytes:
        """Send one command and return the answer as it came, without the status byte.

        Args:
            command: The command byte.
            parameters: What follows it.
            cancel: Of a caller who has asked for the touch himself; he sets it to take the command back.

        Raises:
            CtapError: The key reported a failure.
            TouchError: Nobody touched it in time.
            UnreachableError: It is silent, busy or gone, or answers nonsense.
        """
        message = bytes([command])
        if parameters is not None:
            message += cbor.encode(parameters)
        if len(message) > self.max_message_bytes:
            raise CtapError(CtapError.ERR.REQUEST_TOO_LARGE)
        with errors.understanding(self.label):
            answer = self.device.call(commands.Hid.CBOR, message, cancel)
            if answer[0] != CtapError.ERR.SUCCESS:
                raise CtapError(answer[0])
            return answer[1:]
