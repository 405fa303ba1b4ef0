"""Card readers, from the machine's smart card service (PC/SC): which have a card in them. Nothing is opened."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from keyctl.core import advice
from keyctl.device import hidraw
from keyctl.device.deadline import bounded
from keyctl.errors import UnreachableError
from keyctl.model import Transport

#: A service that accepts a connection and says nothing costs this much.
_SERVICE_S = 5.0
_MAX_READERS = 64
_SMART_CARD_CLASS = "0b"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader with a card in it."""

    #: As the service calls it. Hostile text: it comes from the reader.
    name: str
    transport: Transport


def readers(service_s: float = _SERVICE_S) -> tuple[Reader, ...]:
    """The readers with a card in them, by name.

    Args:
        service_s: How many seconds the service may take.

    Raises:
        UnreachableError: The service does not run (``pcsc_stopped``), or pyscard is not installed (``pcsc_missing``).
    """
    # Looked for before it is imported, which would cost 15 ms to find nothing.
    if not _is_installed():
        raise UnreachableError(
            "pcsc_missing",
            "support for card readers is not installed",
            advice.INSTALL_SUPPORT,
        )
    try:
        return bounded(_readers, service_s)
    except ImportError as error:
        raise UnreachableError(
            "pcsc_missing",
            "support for card readers cannot be loaded",
            advice.REINSTALL_SUPPORT,
        ) from error
    except TimeoutError as error:
        raise stopped("does not answer") from error


def is_missed(sys_root: Path = Path("/sys")) -> bool:
    """Whether somebody without a running service would miss it.

    On Linux: a USB card reader (device class 0x0B) that is no security key itself, or a service was named.
    Everybody else would be told with every command that something is missing which they never needed.
    """
    if sys.platform != "linux" or os.environ.get("PCSCLITE_CSOCK_NAME"):
        return True
    devices = [interface.parent for interface in smart_card_interfaces(sys_root)]
    if not devices:
        return False
    keys = [Path(node.device_path) for node in hidraw.nodes(sys_root)]
    return any(all(device not in key.parents for key in keys) for device in devices)


def smart_card_interfaces(sys_root: Path) -> list[Path]:
    """The smart card parts (interface class 0x0B) of what is on the USB bus, as real folders of sysfs, by name."""
    found = []
    for entry in sorted((sys_root / "bus" / "usb" / "devices").glob("*/bInterfaceClass")):
        # Unplugged while we looked: then it is no reader any more.
        with contextlib.suppress(OSError):
            if entry.read_text("ascii", errors="replace").strip() == _SMART_CARD_CLASS:
                found.append(entry.parent.resolve(strict=True))
    return found


def transport_of(atr: bytes) -> Transport:
    """Contactless or with contacts, by the card's first bytes: readers make up ``3B 8n 80 01`` for contactless ones.

    PC/SC specification, part 3, section 3.1.3.2.3.
    """
    contactless = len(atr) > 3 and atr[0] == 0x3B and atr[1] & 0xF0 == 0x80 and atr[2:4] == b"\x80\x01"
    return Transport.NFC if contactless else Transport.CONTACT


def stopped(what: str = "is not running") -> UnreachableError:
    """The error for a service that is of no use."""
    hint = advice.start_service(sys.platform)
    return UnreachableError("pcsc_stopped", f"the smart card service {what}", hint)


def check_service() -> None:
    """Find out whether the service runs.

    Raises:
        UnreachableError: It does not (``pcsc_stopped``).
    """
    from smartcard import scard

    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        raise stopped()
    scard.SCardReleaseContext(context)


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("smartcard") is not None
    except ImportError:
        return False


def _readers() -> tuple[Reader, ...]:
    from smartcard import scard

    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        raise stopped()
    try:
        result, names = scard.SCardListReaders(context, [])
        if result == scard.SCARD_E_NO_READERS_AVAILABLE or (result == scard.SCARD_S_SUCCESS and not names):
            return ()
        if result != scard.SCARD_S_SUCCESS:
            raise stopped()
        wanted = [(name, scard.SCARD_STATE_UNAWARE) for name in sorted(names)[:_MAX_READERS]]
        result, states = scard.SCardGetStatusChange(context, 0, wanted)
        if result not in {scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT}:
            # A reader was pulled this moment.
            return ()
        return tuple(
            Reader(name=name, transport=transport_of(bytes(atr)))
            for name, state, atr in states
            if state & scard.SCARD_STATE_PRESENT
        )
    finally:
        scard.SCardReleaseContext(context)
