"""Which keys are connected, found out without opening one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.errors import KeyctlError, StoreError, UnreachableError
from keyctl.model import Access, Transport
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    searches = {"usb:": _usb, "nfc:": lambda: _readers(problems, only), "virtual:": lambda: _virtual(home, problems)}
    for scheme, search in searches.items():
        if only is None or not is_selector(only) or only.startswith(scheme):
            try:
                found.extend(search())
            except KeyctlError as error:
                problems.append(error)
    return Discovery(found=tuple(found), problems=tuple(problems))


def _usb() -> Iterator[Found]:
    return _hidraw_nodes() if sys.platform == "linux" else _hid_descriptors()


def _hidraw_nodes() -> Iterator[Found]:
    from keyctl.device import hidraw

    return usb_keys_from_nodes(hidraw.nodes())
