"""Opening a key and asking it what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.device import errors
from keyctl.device.guard import GuardedDevice
from keyctl.device.identity import key_from
from keyctl.device.opening import open_device
from keyctl.device.session import Session
from keyctl.errors import KeyctlError
from keyctl.model import Access, Transport
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keyctl.device.discover import Found
    from keyctl.model import Key, Waits

_ACCESS = {"access_denied": Access.DENIED, "key_busy": Access.BUSY, "reader_busy": Access.BUSY}


def connect(
    found: Found,
    home: Path,
    waits: Waits,
    on_touch: Callable[[str, float], None],
    trace: Callable[[str], None] | None = None,
) -> Session:
    """Open one key and ask it what it is.

    Args:
        found: Which one.
        home: The home folder, for virtual keys.
        waits: How long to wait for touches and other programs.
        on_touch: Called with the key's label and seconds when it asks for a touch and waiting starts.
        trace: Gets one line per command, without any content.

    Raises:
        UnreachableError: It cannot be opened, is gone, silent, busy or no security key, or answers nonsense.
        NotFoundError: There is no such virtual key.
        StoreError: The files of the virtual key cannot be used.
    """
    device = open_device(found, home, waits.lock_s)
    guard = GuardedDevice(
        device, found.selector, touch_s=waits.touch_s, lock_s=waits.lock_s, on_touch=on_touch, trace=trace
    )
    try:
        # A virtual key on a bus has another transport, and is to this program a key like any other.
        in_process = virtual_keys_folder(home) if found.transport is Transport.VIRTUAL else None
        return Session(found, guard, getattr(device, "device_version", None), in_process)
    except BaseException:
        guard.close()
        raise


def probe(
    found: Found,
    home: Path,
    waits: Waits,
    trace: Callable[[str], None] | None = None,
    ask: Callable[[Session], None] = lambda _session: None,
) -> tuple[Key, KeyctlError | None]:
    """What a key is, for a list: opened, asked, closed.

    Args:
        found: Which one.
        home: The home folder, for virtual keys.
        waits: How long to wait for other programs.
        trace: Gets one line per command, without any content.
        ask: What else to ask it while it is open.

    Returns:
        The key, with what could be found out, and why that is not all, or None.
    """
    if found.access is Access.DENIED:
        return key_from(found, None, access=Access.DENIED), errors.denied(found.selector)
    try:
        with connect(found, home, waits, lambda _label, _seconds: None, trace) as session:
            ask(session)
            return session.key, None
    except KeyctlError as error:
        return key_from(found, None, access=_ACCESS.get(error.code)), error.about(found.selector)
