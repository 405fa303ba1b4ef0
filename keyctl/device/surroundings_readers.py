"""What stands between this process and keys on card readers: the readers, the smart card service, other programs."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core.diagnosis_facts import CardReader, Process, ReaderFacts, ReaderState, Service, UsbReader
from keyctl.device import hidraw
from keyctl.device.deadline import bounded
from keyctl.device.readers import smart_card_interfaces
from keyctl.device.surroundings_usb import PROC, RUN, holders, processes
from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A service that accepts a connection and says nothing costs this much.
_SERVICE_S = 5.0
_MAX_READERS = 64
#: Programs that are known to hold readers.
_SUSPECTS = {"scdaemon", "gpg-agent", "yubikey-agent", "ykman", "yubioath-desktop", "authenticator"}
#: Where services are, also for users whose PATH has no such folder.
_SERVICE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


class _ServiceError(Exception):
    """The service cannot be used, and how."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.service = service


def reader_facts(
    environment: Mapping[str, str],
    *,
    sys_root: Path = hidraw.SYS,
    dev_root: Path = hidraw.DEV,
    proc_root: Path = PROC,
    run_root: Path = RUN,
    service_s: float = _SERVICE_S,
) -> ReaderFacts:
    """All about card readers; a card that nobody else uses is asked whether it is a security key.

    Args:
        environment: The environment variables.
        sys_root: Where sysfs is mounted.
        dev_root: Where the device nodes are.
        proc_root: Where procfs is mounted.
        run_root: Where services have their sockets.
        service_s: How many seconds the service may take.
    """
    named = environment.get("PCSCLITE_CSOCK_NAME") or None
    on_linux = sys.platform == "linux"
    support = _support()
    service = _socket_state(named or str(run_root / "pcscd" / "pcscd.comm"), service_s) if on_linux else Service.RUNNING
    readers: tuple[CardReader, ...] | None = None
    if support is None and service is Service.RUNNING:
        try:
            listed = bounded(_readers, service_s)
            readers = tuple(_asked(reader) for reader in listed)
        except _ServiceError as error:
            service = error.service
        except TimeoutError:
            service = Service.SILENT
        except ImportError as error:
            support = str(error)
    elif support is not None and not on_linux:
        service = Service.ABSENT
    return ReaderFacts(
        support=support,
        service=service,
        installed=_is_installed(environment) if on_linux else None,
        named_socket=named,
        usb=usb_readers(sys_root, dev_root, proc_root) if on_linux else (),
        readers=readers,
        suspects=tuple(Process(pid=pid, name=name) for pid, name in processes(proc_root) if name in _SUSPECTS),
    )


def usb_readers(
    sys_root: Path = hidraw.SYS, dev_root: Path = hidraw.DEV, proc_root: Path = PROC
) -> tuple[UsbReader, ...]:
    """The card readers on the USB bus (interface class 0x0B), by name."""
    keys = [Path(node.device_path) for node in hidraw.nodes(sys_root, dev_root)]
    found: list[UsbReader] = []
    for interface in smart_card_interfaces(sys_root):
        # Unplugged while we looked: then it is no reader any more.
        with contextlib.suppress(OSError):
            node = _usb_node(interface.parent, dev_root)
            driver = interface / "driver"
            found.append(
                UsbReader(
                    product=_attribute(interface.parent / "product"),
                    in_key=any(interface.parent in key.parents for key in keys),
                    driver=driver.resolve().name if driver.exists() else None,
                    holders=holders([node], proc_root)[node] if node is not None else (),
                )
            )
    return tuple(found)


def _usb_node(device: Path, dev_root: Path) -> str | None:
    numbers = [_attribute(device / name) for name in ("busnum", "devnum")]
    if not all(number is not None and number.isdecimal() for number in numbers):
        return None
    bus, device_number = (int(number or 0) for number in numbers)
    return str(dev_root / "bus" / "usb" / f"{bus:03}" / f"{device_number:03}")


def _attribute(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _support() -> str | None:
    """What keeps pyscard from being used, or None."""
    try:
        return None if importlib.util.find_spec("smartcard") is not None else "missing"
    except (ImportError, ValueError) as error:
        return str(error)


def _socket_state(path: str, service_s: float) -> Service:
    """What answers at the socket of pcscd; where systemd listens there, this starts the service, as any client does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(service_s)
        try:
            client.connect(path)
        except TimeoutError:
            return Service.SILENT
        except OSError as error:
            return Service.DENIED if error.errno in {errno.EACCES, errno.EPERM} else Service.ABSENT
    return Service.RUNNING


def _is_installed(environment: Mapping[str, str]) -> bool:
    folders = [environment.get("PATH", ""), *_SERVICE_FOLDERS]
    return shutil.which("pcscd", path=os.pathsep.join(folders)) is not None


def _readers() -> tuple[tuple[str, ReaderState | None], ...]:
    """All readers by name, with their state; None: there is a card that can be asked.

    Raises:
        _ServiceError: The service is of no use.
        ImportError: pyscard cannot be loaded.
    """
    from smartcard import scard

    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if result != scard.SCARD_S_SUCCESS:
        # On Linux somebody took our connection just before: the library has no word for a service that hangs up.
        raise _ServiceError(Service.REFUSES if sys.platform == "linux" else Service.ABSENT)
    try:
        result, names = scard.SCardListReaders(context, [])
        if result != scard.SCARD_S_SUCCESS or not names:
            return ()
        wanted = [(name, scard.SCARD_STATE_UNAWARE) for name in sorted(names)[:_MAX_READERS]]
        result, states = scard.SCardGetStatusChange(context, 0, wanted)
        if result not in {scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT}:
            # A reader was pulled this moment.
            return ()
    finally:
        scard.SCardReleaseContext(context)
    kinds = (
        (scard.SCARD_STATE_EXCLUSIVE, ReaderState.EXCLUSIVE),
        (scard.SCARD_STATE_INUSE, ReaderState.IN_USE),
        (scard.SCARD_STATE_MUTE, ReaderState.SILENT),
        (scard.SCARD_STATE_PRESENT, None),
    )
    return tuple(
        (name, next((kind for flag, kind in kinds if state & flag), ReaderState.EMPTY)) for name, state, _ in states
    )


def _asked(reader: tuple[str, ReaderState | None]) -> CardReader:
    """The reader, after its card was asked: one that others use is not, for it would forget what it told them."""
    name, state = reader
    if state is None:
        state = _card_state(name)
    return CardReader(name=name, state=state)


def _card_state(name: str) -> ReaderState:
    from keyctl.device import opening
    from keyctl.device.discover import Found
    from keyctl.model import Transport

    try:
        # Of no use for what is not virtual.
        opening.open_device(Found(transport=Transport.NFC, path=name), Path(), lock_s=0.0).close()
    except KeyctlError as error:
        states = {
            "no_card": ReaderState.OTHER_CARD,
            "reader_busy": ReaderState.EXCLUSIVE,
            "key_removed": ReaderState.EMPTY,
        }
        return states.get(error.code, ReaderState.SILENT)
    return ReaderState.KEY
