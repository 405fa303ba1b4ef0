"""A key on USB as Linux's user-space HID driver has it: ``/dev/uhid`` makes a real hidraw node, without any USB device.

The driver sends and takes ``struct uhid_event`` of ``linux/uhid.h``: a number that says which, and its own fields.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from typing import TYPE_CHECKING, NoReturn

from keyctl.core.text import reason_of
from keyctl.errors import UnreachableError
from keyctl.virtual.hid_bus import REPORT_DESCRIPTOR, UsbIdentity, run
from keyctl.virtual.hid_responder import REPORT_BYTES

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from fido2.ctap import CtapDevice

DEVICE = "/dev/uhid"

_DESTROY = 1
_START = 2
_OUTPUT = 6
_GET_REPORT = 9
_GET_REPORT_REPLY = 10
_CREATE2 = 11
_INPUT2 = 12
_SET_REPORT = 13
_SET_REPORT_REPLY = 14

#: Number; name, place and serial; size of the descriptor, bus, vendor, product, version, country; the descriptor.
_CREATE2_EVENT = struct.Struct("<I128s64s64sHHIIII4096s")
_EVENT_BYTES = _CREATE2_EVENT.size
_NUMBER = struct.Struct("<I")
_INPUT2_HEADER = struct.Struct("<IH")
_GET_REPORT_ANSWER = struct.Struct("<IIHH")
_SET_REPORT_ANSWER = struct.Struct("<IIH")
#: Of an output event: where the data is, and where its size.
_OUTPUT_DATA = 4
_OUTPUT_SIZE = struct.Struct("<H")
_OUTPUT_SIZE_AT = _OUTPUT_DATA + 4096
_BUS_USB = 3
_DEVICE_VERSION = 0x0100


def serve(
    device: CtapDevice,
    identity: UsbIdentity,
    *,
    stop: threading.Event,
    on_connected: Callable[[], None],
    is_present: Callable[[], bool],
    version: tuple[int, int, int] = (0, 0, 0),
    on_wink: Callable[[], None] | None = None,
) -> None:
    """Be a security key on this computer until *stop* is set or the key is pulled. Needs root and the module uhid.

    Args:
        device: The key; nobody else uses it meanwhile.
        identity: What programs see; a name of over 127 bytes or a serial of over 63 is cut. HID tells the product only.
        stop: Ends it within a quarter of a second, from any thread.
        on_connected: Called once, when the kernel makes the hidraw node.
        is_present: Whether the key is still plugged in, asked five times a second from another thread; raises nothing.
        version: Firmware version as programs are told it when they open the key; zeros: it does not tell.
        on_wink: Makes the key blink; None: it cannot.

    Raises:
        UnreachableError: The driver is not there, or this user may not use it (``attach_failed``).
        KeyctlError: The key's own store is in the way.
    """
    try:
        port = _UhidPort(identity, on_connected)
    except OSError as error:
        _refuse(error)
    try:
        with _hurrying():
            run(port, device, stop=stop, is_present=is_present, version=version, on_wink=on_wink)
    finally:
        port.close()


@contextlib.contextmanager
def _hurrying() -> Iterator[None]:
    """Let this thread go before all ordinary programs.

    The driver keeps 32 reports for us and drops the rest, and the longest message has 129: each must be read at once. A
    USB device lets the program wait instead.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    # Not everybody who may use the driver may do that.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _refuse(error: OSError) -> NoReturn:
    if error.errno in {errno.EACCES, errno.EPERM}:
        hint = "run it as root: whoever may make input devices could type for others"
    else:
        hint = "load the driver with `modprobe uhid`; kernels of containers and small virtual machines may lack it"
    raise UnreachableError("attach_failed", f"cannot make a USB key with {DEVICE}: {reason_of(error)}", hint) from error


class _UhidPort:
    """One device of the driver.

    Args:
        identity: What programs see.
        on_connected: Called when the kernel starts the device.

    Raises:
        OSError: It cannot be made.
    """

    # As a USB key at full speed: hidraw keeps 64 reports for a program and drops the rest.
    report_interval_s = 0.001

    def __init__(self, identity: UsbIdentity, on_connected: Callable[[], None]) -> None:
        self._on_connected = on_connected
        self._descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        event = _CREATE2_EVENT.pack(
            _CREATE2,
            _text(identity.product, 128),
            _text(f"keyctl-{os.getpid()}", 64),
            _text(identity.serial, 64),
            len(REPORT_DESCRIPTOR),
            _BUS_USB,
            identity.vendor_id,
            identity.product_id,
            _DEVICE_VERSION,
            0,
            REPORT_DESCRIPTOR,
        )
        try:
            os.write(self._descriptor, event)
        except OSError:
            os.close(self._descriptor)
            raise

    def fileno(self) -> int:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        return self._descriptor

    def receive(self) -> bytes | None:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        event = os.read(self._descriptor, _EVENT_BYTES)
        (kind,) = _NUMBER.unpack_from(event)
        if kind == _OUTPUT:
            (size,) = _OUTPUT_SIZE.unpack_from(event, _OUTPUT_SIZE_AT)
            # The report's number, 0, comes first.
            return event[_OUTPUT_DATA : _OUTPUT_DATA + size][1:]
        if kind == _START:
            self._on_connected()
        elif kind in {_GET_REPORT, _SET_REPORT}:
            # Keys have no feature reports; the program that asks for one waits until it is told.
            (request,) = _NUMBER.unpack_from(event, _NUMBER.size)
            if kind == _GET_REPORT:
                answer = _GET_REPORT_ANSWER.pack(_GET_REPORT_REPLY, request, errno.EIO, 0)
            else:
                answer = _SET_REPORT_ANSWER.pack(_SET_REPORT_REPLY, request, errno.EIO)
            os.write(self._descriptor, answer)
        return None

    def send(self, report: bytes) -> None:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        os.write(self._descriptor, _INPUT2_HEADER.pack(_INPUT2, REPORT_BYTES) + report)

    def close(self) -> None:
        """Unplug it."""
        try:
            os.write(self._descriptor, _NUMBER.pack(_DESTROY))
        finally:
            os.close(self._descriptor)


def _text(text: str, room: int) -> bytes:
    """*text* as a C string that fits into *room* bytes."""
    return text.encode("utf-8", errors="surrogateescape")[: room - 1]
