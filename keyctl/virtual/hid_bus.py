"""What every way onto a USB bus shares: who the key says it is, its report descriptor, and the loop that serves it."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from keyctl.errors import UnreachableError
from keyctl.virtual.card import PoweredDevice
from keyctl.virtual.hid_responder import MAX_MESSAGE_BYTES, HidResponder

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from fido2.ctap import CtapDevice

#: Usage page 0xF1D0, usage 1, and one report of 64 bytes either way (CTAP 2.2, section 11.2.8.2).
REPORT_DESCRIPTOR = bytes.fromhex(
    "06D0F1 0901 A101"  # usage page FIDO, usage CTAPHID, application collection
    "0920 1500 26FF00 7508 9540 8102"  # usage data in, 0 to 255, 8 bits, 64 times, input
    "0921 1500 26FF00 7508 9540 9102"  # usage data out, the same, output
    "C0"
)

_WATCH_S = 0.2
_ALARM_BYTES = 4096
#: Two of the longest messages; a host that reads none of them loses the oldest reports.
_MAX_WAITING_REPORTS = 2 * MAX_MESSAGE_BYTES // 59


@dataclass(frozen=True, kw_only=True)
class UsbIdentity:
    """What the key tells the host of itself. Whatever is no UTF-8 may be in surrogate escapes."""

    vendor_id: int
    product_id: int
    manufacturer: str
    product: str
    serial: str


class Port(Protocol):
    """The device's end of an open USB connection; non-blocking."""

    def fileno(self) -> int:
        """What to poll for reading and writing."""

    def receive(self) -> bytes | None:
        """One report from the host, or None when it was something else, which is taken care of.

        Raises:
            OSError: The bus is gone.
        """

    def send(self, report: bytes) -> None:
        """Give one report to the host; called when there is room for it.

        Raises:
            OSError: The bus is gone.
        """


def run(
    port: Port,
    device: CtapDevice,
    *,
    stop: threading.Event,
    is_present: Callable[[], bool],
    version: tuple[int, int, int],
    on_wink: Callable[[], None] | None,
) -> None:
    """Be *device* on *port*, which is where it gets its power from, until *stop* is set or it is pulled.

    Args:
        port: The open connection; not closed here.
        device: The key; nobody else uses it meanwhile.
        stop: Ends it within a quarter of a second, from any thread.
        is_present: Whether the key is still plugged in, asked five times a second; raises nothing.
        version: Firmware version: major, minor, build.
        on_wink: Makes the key blink; None: it cannot.

    Raises:
        UnreachableError: The bus went away (``attach_failed``).
        KeyctlError: The key's own store is in the way.
    """
    to_host: deque[bytes] = deque(maxlen=_MAX_WAITING_REPORTS)
    alarm, ring = socket.socketpair()
    alarm.setblocking(False)
    ring.setblocking(False)

    def wake() -> None:
        # It rings already, or a command that would not be cancelled ends when nobody listens any more.
        with contextlib.suppress(OSError):
            ring.send(b"!")

    responder = HidResponder(device, to_host.append, wake=wake, version=version, on_wink=on_wink)
    poll = select.poll()
    poll.register(alarm, select.POLLIN)
    look_at = time.monotonic()
    try:
        if isinstance(device, PoweredDevice):
            device.power_cycle()
        while not stop.is_set():
            if time.monotonic() >= look_at:
                if not is_present():
                    return
                look_at = time.monotonic() + _WATCH_S
            poll.register(port, select.POLLIN | (select.POLLOUT if to_host else 0))
            due_s = responder.due_in_s()
            ready = dict(poll.poll(1000 * (_WATCH_S if due_s is None else min(due_s, _WATCH_S))))
            if alarm.fileno() in ready:
                alarm.recv(_ALARM_BYTES)
            report = _exchange(port, ready.get(port.fileno(), 0), to_host)
            if report is not None:
                responder.receive(report)
            responder.tick()
    except OSError:
        # The key was pulled, and leaves the bus.
        return
    finally:
        responder.close()
        alarm.close()
        ring.close()


def _exchange(port: Port, events: int, to_host: deque[bytes]) -> bytes | None:
    """Read and write what can be; returns the report that came, if one did.

    Raises:
        UnreachableError: The bus went away (``attach_failed``).
    """
    try:
        if events & select.POLLOUT and to_host:
            port.send(to_host.popleft())
        # Errors too: reading says which.
        return port.receive() if events & ~select.POLLOUT else None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreachableError(
            "attach_failed", f"the virtual key fell off the bus: {reason}", "attach it again"
        ) from error
