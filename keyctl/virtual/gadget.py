"""A key as a whole USB device: Linux's HID gadget on the virtual host controller dummy_hcd, plugged into this computer.

The device is described by a folder tree in configfs (``Documentation/usb/gadget_configfs.rst`` of the kernel); the
reports go through the node ``/dev/hidgN``. Programs see what a user's key shows: vendor, product, serial, and a node
that goes away when the cable is pulled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core.text import reason_of
from keyctl.errors import UnreachableError
from keyctl.virtual.hid_bus import REPORT_DESCRIPTOR, UsbIdentity, run
from keyctl.virtual.hid_responder import REPORT_BYTES

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from fido2.ctap import CtapDevice

GADGETS = Path("/sys/kernel/config/usb_gadget")
CONTROLLERS = Path("/sys/class/udc")

#: Other controllers are cables to other computers, which a key for trying things out must not show up on.
_CONTROLLER = re.compile(r"dummy_udc\.([0-9]+)")
_OURS = re.compile(r"keyctl-([0-9]+)-[0-9a-f]+")
_LANGUAGE = "strings/0x409"
_FUNCTION = "functions/hid.usb0"
_CONFIGURATION = "configs/c.1"
_LINK = f"{_CONFIGURATION}/hid.usb0"
#: In the order in which they are made; taken down the other way round.
_FOLDERS = (_LANGUAGE, _FUNCTION, _CONFIGURATION, f"{_CONFIGURATION}/{_LANGUAGE}")
_HINT = "as root: `modprobe -a libcomposite usb_f_hid` and `modprobe dummy_hcd num=4`, then mount configfs"


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
    """Be a USB device of this computer until *stop* is set or the key is pulled. Needs root and dummy_hcd.

    Args:
        device: The key; nobody else uses it meanwhile.
        identity: What the device says of itself; each text at most 126 characters.
        stop: Ends it within a quarter of a second, from any thread.
        on_connected: Called once, when the device is plugged in; the kernel then needs a moment to make its node.
        is_present: Whether the key is still plugged in, asked five times a second from another thread; raises nothing.
        version: Firmware version as programs are told it when they open the key; zeros: it does not tell.
        on_wink: Makes the key blink; None: it cannot.

    Raises:
        UnreachableError: Drivers are not there, every virtual port is taken, or this user may not use them
            (``attach_failed``).
        KeyctlError: The key's own store is in the way.
    """
    with contextlib.ExitStack() as stack:
        try:
            port = stack.enter_context(_plugged_in(identity))
        except OSError as error:
            raise _refused(error) from error
        on_connected()
        run(port, device, stop=stop, is_present=is_present, version=version, on_wink=on_wink)


def _refused(error: OSError) -> UnreachableError:
    place = f" ({error.filename})" if error.filename else ""
    return UnreachableError("attach_failed", f"cannot make a USB device: {reason_of(error)}{place}", _HINT)


@contextlib.contextmanager
def _plugged_in(identity: UsbIdentity) -> Iterator[_GadgetPort]:
    """The device, plugged in meanwhile; whatever was made of it is gone afterwards.

    Raises:
        OSError: It cannot be made.
        UnreachableError: There is no free port (``attach_failed``).
    """
    _clear_away_the_dead()
    folder = GADGETS / f"keyctl-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        _describe(folder, identity)
        _bind(folder)
        port = _GadgetPort(folder)
        try:
            yield port
        finally:
            # First the cable, so that no program waits for a key that nobody plays any more.
            _unbind(folder)
            port.close()
    finally:
        _take_down(folder)


def _describe(folder: Path, identity: UsbIdentity) -> None:
    folder.mkdir()
    for name in _FOLDERS:
        (folder / name).mkdir()
    contents: dict[str, bytes] = {
        "idVendor": b"%#06x" % identity.vendor_id,
        "idProduct": b"%#06x" % identity.product_id,
        "bcdUSB": b"0x0200",
        "bcdDevice": b"0x0100",
        f"{_LANGUAGE}/manufacturer": _text(identity.manufacturer),
        f"{_LANGUAGE}/product": _text(identity.product),
        f"{_LANGUAGE}/serialnumber": _text(identity.serial),
        f"{_FUNCTION}/protocol": b"0",
        f"{_FUNCTION}/subclass": b"0",
        f"{_FUNCTION}/report_length": b"%d" % REPORT_BYTES,
        f"{_FUNCTION}/report_desc": REPORT_DESCRIPTOR,
        f"{_CONFIGURATION}/MaxPower": b"100",
        f"{_CONFIGURATION}/{_LANGUAGE}/configuration": b"FIDO",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / _LINK).symlink_to(folder / _FUNCTION)


def _bind(folder: Path) -> None:
    """Plug the device into the first free virtual port.

    Raises:
        OSError: The device makes no sense to the kernel.
        UnreachableError: There is no free port (``attach_failed``).
    """
    names = [entry.name for entry in CONTROLLERS.iterdir()] if CONTROLLERS.is_dir() else []
    numbered = sorted((int(match[1]), name) for name in names if (match := _CONTROLLER.fullmatch(name)))
    for _, name in numbered:
        try:
            (folder / "UDC").write_text(name, encoding="ascii")
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return
    message = "every virtual USB port has a device in it" if numbered else "this computer has no virtual USB port"
    raise UnreachableError("attach_failed", message, _HINT)


def _unbind(folder: Path) -> None:
    # Not plugged in, or not there at all.
    with contextlib.suppress(OSError):
        (folder / "UDC").write_text("\n", encoding="ascii")


def _take_down(folder: Path) -> None:
    """Remove whatever there is of the device, plugged in or not."""
    _unbind(folder)
    # What was never made cannot be removed.
    with contextlib.suppress(OSError):
        (folder / _LINK).unlink()
    for name in reversed(_FOLDERS):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _clear_away_the_dead() -> None:
    """Remove the devices of processes that were killed: they occupy their ports, and programs wait for them."""
    for folder in GADGETS.iterdir():
        match = _OURS.fullmatch(folder.name)
        if match is not None and not Path("/proc", match[1]).exists():
            _take_down(folder)


class _GadgetPort:
    """The device's own end of the cable.

    Args:
        folder: The device in configfs, plugged in.

    Raises:
        OSError: The node cannot be opened.
    """

    # The bus has its own pace.
    report_interval_s = 0.0

    def __init__(self, folder: Path) -> None:
        # MAJOR:MINOR; the driver names its nodes by the second one.
        _, _, number = (folder / _FUNCTION / "dev").read_text(encoding="ascii").strip().partition(":")
        self._descriptor = os.open(f"/dev/hidg{number}", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        return self._descriptor

    def receive(self) -> bytes | None:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        return os.read(self._descriptor, REPORT_BYTES)

    def send(self, report: bytes) -> None:
        """As :class:`keyctl.virtual.hid_bus.Port` has it."""
        os.write(self._descriptor, report)

    def close(self) -> None:
        """Close the node."""
        os.close(self._descriptor)


def _text(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
