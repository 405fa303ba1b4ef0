"""What every way onto a USB bus shares: who the key says it is, its report descriptor, and the loop that serves it."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from keyctl.core.text import reason_of
from keyctl.errors import UnreachableError

if TYPE_CHECKING:
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
_MAX_WAITING_REPORTS = 2 * 129


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

    #: How long a report takes at least.
    report_interval_s: float

    def fileno(self) -> int:
        """What to poll for reading and writing."""

    def receive(self) -> bytes | None:
        """One report from the host, or None when it was something else, which is taken care of.

        Raises:
            BlockingIOError: There is nothing more to read now.
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
        is_present: Whether the key is still plugged in, asked five times a second from another thread; raises nothing.
        version: Firmware version: major, minor, build.
        on_wink: Makes the key blink; None: it cannot.

    Raises:
        UnreachableError: The bus went away (``attach_failed``).
        KeyctlError: The key's own store is in the way.
    """
    # Not above: who only wants to know what a UsbIdentity is needs none of python-fido2.
    from keyctl.virtual.card import PoweredDevice
    from keyctl.virtual.hid_responder import HidResponder

    alarm, ring = socket.socketpair()
    alarm.setblocking(False)
    ring.setblocking(False)

    def wake() -> None:
        # It rings already, or a command that would not be cancelled ends when nobody listens any more.
        with contextlib.suppress(OSError):
            ring.send(b"!")

    ended = threading.Event()

    def watch() -> None:
        # Not in the loop: looking takes so long that uhid would lose reports.
        while not ended.wait(_WATCH_S):
            if stop.is_set() or not is_present():
                ended.set()
                wake()

    line = _Line(port)
    responder = HidResponder(device, line.queue.append, wake=wake, version=version, on_wink=on_wink)
    watcher = threading.Thread(target=watch, name="hid", daemon=True)
    watcher.start()
    poll = select.poll()
    poll.register(alarm, select.POLLIN)
    try:
        if isinstance(device, PoweredDevice):
            device.power_cycle()
        while not ended.is_set():
            poll.register(port, line.events())
            waits_s = [wait_s for wait_s in (responder.due_in_s(), line.due_in_s()) if wait_s is not None]
            ready = dict(poll.poll(1000 * min(waits_s) if waits_s else None))
            if alarm.fileno() in ready:
                alarm.recv(_ALARM_BYTES)
            for report in line.exchange(ready.get(port.fileno(), 0)):
                responder.receive(report)
            responder.tick()
    except OSError:
        # The key was pulled, and leaves the bus.
        return
    finally:
        ended.set()
        watcher.join()
        responder.close()
        alarm.close()
        ring.close()


class _Line:
    """Reports on their way through a port, at the pace that the bus has.

    Args:
        port: Where.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self.queue: deque[bytes] = deque(maxlen=_MAX_WAITING_REPORTS)
        self._send_at = 0.0

    def due_in_s(self) -> float | None:
        """In how many seconds the next report may be sent; None: there is none."""
        return max(0.0, self._send_at - time.monotonic()) if self.queue else None

    def events(self) -> int:
        """What to poll for now."""
        return select.POLLIN | (select.POLLOUT if self.due_in_s() == 0 else 0)

    def exchange(self, events: int) -> list[bytes]:
        """Send one report if there is room, and read all that have come.

        Raises:
            UnreachableError: The bus went away (``attach_failed``).
        """
        reports: list[bytes] = []
        try:
            if events & select.POLLOUT:
                self._send_at = time.monotonic() + self._port.report_interval_s
                self._port.send(self.queue.popleft())
            # Errors are read, too.
            while events & ~select.POLLOUT and len(reports) < _MAX_WAITING_REPORTS:
                report = self._port.receive()
                if report is not None:
                    reports.append(report)
        except BlockingIOError:
            return reports
        except OSError as error:
            raise UnreachableError(
                "attach_failed", f"the virtual key fell off the bus: {reason_of(error)}", "attach it again"
            ) from error
        return reports
