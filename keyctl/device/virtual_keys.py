"""Virtual keys, for the commands that make, set and attach them; everybody else finds them like any other key."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from keyctl.errors import KeyctlError, UnreachableError
from keyctl.store.paths import virtual_keys_folder
from keyctl.virtual.hid_bus import UsbIdentity
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
    "Bus",
    "UsbIdentity",
    "VirtualKey",
    "attach",
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


class Bus(StrEnum):
    """Where a virtual key can be attached."""

    #: A contactless card behind vsmartcard's vpcd reader.
    NFC = "nfc"
    #: A HID device made by the kernel's uhid driver.
    HID = "hid"
    #: A USB device behind the kernel's dummy_hcd, with all that USB tells.
    USB = "usb"


def attach(
    home: Path,
    name: str,
    bus: Bus,
    *,
    port: int | None,
    identity: UsbIdentity,
    stop: threading.Event,
    on_attached: Callable[[], None],
    on_wink: Callable[[], None],
) -> None:
    """Put a virtual key on a bus of this machine, until *stop* is set or the key is unplugged.

    Args:
        home: The home folder.
        name: The virtual key.
        bus: Where.
        port: TCP port of the card reader's driver; None: that of the first reader.
        identity: What a HID or USB device says of itself.
        stop: Ends it, from any thread.
        on_attached: Called when the key is there.
        on_wink: Called when a program asks the key to blink (HID and USB).

    Raises:
        NotFoundError: There is no such key.
        StoreError: It is attached already, or its files cannot be used.
        UnreachableError: There is no such bus, or the key is unplugged (``attach_failed``).
    """
    from keyctl.virtual.device import VirtualDevice

    folder = virtual_keys_folder(home)

    def is_present() -> bool:
        try:
            return get(folder, name).plugged
        except KeyctlError:
            return False

    if not get(folder, name).plugged:
        raise UnreachableError(
            "attach_failed",
            f"virtual key {name} is unplugged",
            f"plug it in with `keyctl virtual plug {name}`",
            key=f"virtual:{name}",
        )
    with hold(folder, name, bus.value):
        device = VirtualDevice(folder, name)
        if bus is Bus.NFC:
            from keyctl.virtual import vpcd
            from keyctl.virtual.card import FidoCard

            number = vpcd.DEFAULT_PORT if port is None else port
            card = FidoCard(device)
            vpcd.serve(card, port=number, stop=stop, on_connected=on_attached, is_present=is_present)
            return
        from keyctl.virtual import gadget, uhid

        serve = uhid.serve if bus is Bus.HID else gadget.serve
        serve(device, identity, stop=stop, on_connected=on_attached, is_present=is_present, on_wink=on_wink)
