"""Which keys are connected, found out without opening one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core.text import reason_of
from keyctl.errors import KeyctlError, StoreError, UnreachableError
from keyctl.model import Access, Transport
from keyctl.store.files import unreadable
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

YUBICO_VENDOR_ID = 0x1050
#: Codes of what is in the way of card readers, and of nobody who has keys on USB only.
READER_PROBLEMS = frozenset({"pcsc_stopped", "pcsc_missing"})
_SCHEMES = {
    Transport.USB: "usb:",
    Transport.NFC: "nfc:",
    Transport.CONTACT: "nfc:",
    Transport.VIRTUAL: "virtual:",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """One way to a key; whether it is one shows when it is opened."""

    transport: Transport
    #: Device node, reader or virtual key.
    path: str
    #: What the device calls itself. Hostile text.
    product: str | None = None
    #: What the device says its serial number is. Hostile text.
    serial: str | None = None
    vendor_id: int | None = None
    product_id: int | None = None
    #: DENIED when the operating system says so unasked, else None.
    access: Access | None = None
    #: What the system says sits behind *path* now; numbers are given out again after a key was pulled.
    device_path: str | None = None

    @property
    def selector(self) -> str:
        """The text that ``--key`` takes for it."""
        return _SCHEMES[self.transport] + self.path


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """What was found, and what was in the way."""

    #: USB by number, then readers and virtual keys by name.
    found: tuple[Found, ...]
    #: Never fatal: the other keys are there all the same.
    problems: tuple[KeyctlError, ...]


def is_selector(text: str) -> bool:
    """Whether *text* says by its beginning how the key is reached."""
    return text.startswith(tuple(_SCHEMES.values()))


def discover(home: Path, only: str | None = None) -> Discovery:
    """Every way to a key, without opening any.

    Virtual keys that are unplugged or attached to a bus are left out.

    Args:
        home: The home folder, for the virtual keys.
        only: A selector or its beginning: nothing is looked for on other transports. Other texts change nothing.
    """
    problems: list[KeyctlError] = []
    found: list[Found] = []
    searches: dict[str, Callable[[], Iterable[Found]]] = {
        "usb:": lambda: linux_usb_keys(problems) if sys.platform == "linux" else _other_usb_keys(problems),
        "nfc:": lambda: _card_readers(only, problems),
        "virtual:": lambda: _virtual_keys(home, problems),
    }
    for scheme, search in searches.items():
        if only is None or not is_selector(only) or only.startswith(scheme):
            found.extend(search())
    return Discovery(found=tuple(found), problems=tuple(problems))


def linux_usb_keys(
    problems: list[KeyctlError], sys_root: Path = Path("/sys"), dev_root: Path = Path("/dev")
) -> list[Found]:
    """The security keys among Linux's hidraw nodes, by number; what is in the way is added to *problems*."""
    from keyctl.device import hidraw

    found: list[Found] = []
    for node in hidraw.nodes(sys_root, dev_root):
        if not node.path.exists():
            problems.append(
                UnreachableError(
                    "access_denied",
                    f"a security key is plugged in, but {node.path} is missing here",
                    "in a container, hand the device in",
                    key=f"usb:{node.path}",
                )
            )
            continue
        effective = os.access in os.supports_effective_ids
        ours = os.access(node.path, os.R_OK | os.W_OK, effective_ids=effective)
        found.append(
            Found(
                transport=Transport.USB,
                path=str(node.path),
                product=node.name,
                serial=node.serial,
                vendor_id=node.vendor_id,
                product_id=node.product_id,
                access=None if ours else Access.DENIED,
                device_path=node.device_path,
            )
        )
    return found


def _other_usb_keys(problems: list[KeyctlError]) -> list[Found]:
    from fido2 import hid

    try:
        descriptors = hid.list_descriptors()
    except OSError as error:
        problems.append(UnreachableError("key_error", f"cannot look for USB keys: {error}".lower()))
        return []
    found = [
        Found(
            transport=Transport.USB,
            path=os.fsdecode(descriptor.path),
            product=descriptor.product_name,
            serial=descriptor.serial_number,
            vendor_id=descriptor.vid,
            product_id=descriptor.pid,
        )
        for descriptor in descriptors
    ]
    return sorted(found, key=lambda key: key.path)


def _card_readers(only: str | None, problems: list[KeyctlError]) -> list[Found]:
    from keyctl.device import readers

    try:
        with_card = readers.readers()
    except UnreachableError as error:
        if only is not None or readers.is_missed():
            problems.append(error)
        return []
    return [Found(transport=reader.transport, path=reader.name) for reader in with_card]


def _virtual_keys(home: Path, problems: list[KeyctlError]) -> list[Found]:
    folder = virtual_keys_folder(home)
    try:
        folder.stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(unreadable(folder, reason_of(error)))
        return []
    from keyctl.virtual import keys

    found: list[Found] = []
    try:
        entries = keys.entries(folder)
    except StoreError as error:
        problems.append(error)
        return []
    for entry in entries:
        if isinstance(entry, StoreError):
            problems.append(entry)
        elif entry.plugged and entry.attached is None:
            found.append(Found(transport=Transport.VIRTUAL, path=entry.name, product="keyctl virtual key"))
    return found
