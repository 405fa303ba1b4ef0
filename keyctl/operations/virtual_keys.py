"""Software keys for trying things out: making them, setting how they behave, putting them on a bus."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.device import virtual_keys
from keyctl.device.virtual_keys import Bus, UsbIdentity
from keyctl.errors import StoreError
from keyctl.store import paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.virtual_keys import VirtualKey
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class VirtualChange:
    """One virtual key as it is now, and whether it is another than before; None: not made, or not readable."""

    virtual: VirtualKey | None
    changed: bool


@dataclass(frozen=True, kw_only=True)
class VirtualList:
    """All virtual keys that could be read, by name, and what is wrong with the others."""

    virtual_keys: tuple[VirtualKey, ...]
    errors: tuple[StoreError, ...]


def list_virtual(circumstances: Circumstances) -> VirtualList:
    """All virtual keys, plugged in or not."""
    entries = virtual_keys.entries(paths.virtual_keys_folder(circumstances.home))
    return VirtualList(
        virtual_keys=tuple(entry for entry in entries if not isinstance(entry, StoreError)),
        errors=tuple(entry for entry in entries if isinstance(entry, StoreError)),
    )


def new(circumstances: Circumstances, name: str, profile: str, *, dry_run: bool) -> VirtualChange:
    """Make a virtual key; it is plugged in and touched at once.

    Raises:
        NotFoundError: There is one of this name (``virtual_exists``).
        UsageError: The name or the profile is none.
    """
    folder = paths.virtual_keys_folder(circumstances.home)
    if dry_run:
        virtual_keys.check_new(folder, name, profile)
        return VirtualChange(virtual=None, changed=False)
    return VirtualChange(virtual=virtual_keys.new(folder, name, profile), changed=True)


def remove(circumstances: Circumstances, name: str, *, dry_run: bool) -> VirtualChange:
    """Delete a virtual key and all that is on it, after a question.

    Raises:
        NotFoundError: There is none of this name.
        DeclinedError: The answer was no.
    """
    if not dry_run:
        circumstances.asker.check_confirmable()
    folder = paths.virtual_keys_folder(circumstances.home)
    try:
        key = virtual_keys.get(folder, name)
    except StoreError:
        # What cannot be read can be removed all the same.
        key = None
    if not dry_run:
        circumstances.asker.confirm(f"Delete the virtual key {name} and everything on it?")
        virtual_keys.remove(folder, name)
    return VirtualChange(virtual=key, changed=not dry_run)


def plug(circumstances: Circumstances, name: str, *, plugged: bool, dry_run: bool) -> VirtualChange:
    """Plug a virtual key in, or unplug it: that is a power cycle, as with a real one.

    Raises:
        NotFoundError: There is none of this name.
    """
    folder = paths.virtual_keys_folder(circumstances.home)
    before = virtual_keys.get(folder, name)
    if dry_run or before.plugged == plugged:
        return VirtualChange(virtual=before, changed=False)
    change = virtual_keys.plug if plugged else virtual_keys.unplug
    return VirtualChange(virtual=change(folder, name), changed=True)


def configure(circumstances: Circumstances, name: str, settings: Sequence[str], *, dry_run: bool) -> VirtualChange:
    """Set how a virtual key behaves; all settings or none.

    Raises:
        NotFoundError: There is none of this name.
        UsageError: A setting is not understood.
    """
    folder = paths.virtual_keys_folder(circumstances.home)
    before = virtual_keys.get(folder, name)
    if dry_run:
        virtual_keys.check_settings(folder, name, settings)
        return VirtualChange(virtual=before, changed=False)
    after = virtual_keys.configure(folder, name, settings)
    return VirtualChange(virtual=after, changed=after != before)


def attach(
    circumstances: Circumstances,
    name: str,
    bus_name: str,
    *,
    port: int | None,
    product: str,
    serial: str,
    vendor_id: int,
    product_id: int,
) -> VirtualChange:
    """Put a virtual key on a bus of this machine until the user interrupts or the key is unplugged.

    Args:
        circumstances: Where the key is.
        name: The virtual key.
        bus_name: ``nfc``, ``hid`` or ``usb``.
        port: The TCP port of vpcd, for ``nfc``; None: its usual one.
        product: What a HID or USB device says that it is.
        serial: Its serial number.
        vendor_id: Its vendor, 16 bits.
        product_id: Its kind, 16 bits.

    Raises:
        NotFoundError: There is none of this name.
        UnreachableError: The bus is not there (``attach_failed``).
    """
    bus = Bus(bus_name)
    identity = UsbIdentity(
        vendor_id=vendor_id, product_id=product_id, manufacturer="keyctl", product=product, serial=serial
    )
    where = {Bus.NFC: "the card reader", Bus.HID: "HID", Bus.USB: "USB"}[bus]

    def attached() -> None:
        circumstances.asker.tell(f"virtual key {name} is on {where}; Ctrl-C takes it off")

    def wink() -> None:
        circumstances.asker.tell(f"virtual key {name} blinks")

    # Ctrl-C is how this ends when all is well.
    with contextlib.suppress(KeyboardInterrupt):
        virtual_keys.attach(
            circumstances.home,
            name,
            bus,
            port=port,
            identity=identity,
            stop=threading.Event(),
            on_attached=attached,
            on_wink=wink,
        )
    return VirtualChange(virtual=virtual_keys.get(paths.virtual_keys_folder(circumstances.home), name), changed=False)


def profiles() -> dict[str, str]:
    """The kinds of keys that can be imitated: name -> one line."""
    return {name: profile.description for name, profile in virtual_keys.PROFILES.items()}


def quirks() -> dict[str, str]:
    """The misbehaviours of real firmware that can be imitated: name -> one line."""
    return dict(virtual_keys.QUIRKS)
