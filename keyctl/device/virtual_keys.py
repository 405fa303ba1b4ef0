"""Virtual keys, for the commands that make, set and attach them; everybody else finds them like any other key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.errors import KeyctlError
from keyctl.store.paths import virtual_keys_folder
from keyctl.virtual.keys import (
    VirtualKey,
    check_new,
    check_settings,
    configure,
    entries,
    get,
    hold,
    new,
    plug,
    remove,
    unplug,
)
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.quirks import QUIRKS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "PROFILES",
    "QUIRKS",
    "VirtualKey",
    "attach_nfc",
    "check_new",
    "check_settings",
    "configure",
    "entries",
    "get",
    "new",
    "plug",
    "remove",
    "unplug",
]


def attach_nfc(home: Path, name: str, port: int | None, stop: threading.Event, on_attached: Callable[[], None]) -> None:
    """Put a virtual key on a virtual card reader of this machine, until *stop* is set or the key is unplugged.

    Args:
        home: The home folder.
        name: The virtual key.
        port: TCP port of the reader's driver; None: that of the first reader.
        stop: Ends it, from any thread.
        on_attached: Called when the reader has taken the card.

    Raises:
        NotFoundError: There is no such key.
        StoreError: It is attached already, or its files cannot be used.
        UnreachableError: There is no such reader, or the key is unplugged (``attach_failed``).
    """
    from keyctl.virtual.card import FidoCard
    from keyctl.virtual.device import VirtualDevice
    from keyctl.virtual.vpcd import DEFAULT_PORT, serve

    folder = virtual_keys_folder(home)

    def is_present() -> bool:
        try:
            return get(folder, name).plugged
        except KeyctlError:
            return False

    with hold(folder, name, "nfc"):
        device = VirtualDevice(folder, name)
        serve(
            FidoCard(device),
            port=DEFAULT_PORT if port is None else port,
            stop=stop,
            on_connected=on_attached,
            is_present=is_present,
        )
