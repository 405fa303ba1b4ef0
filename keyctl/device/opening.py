"""Opening the one device that was found, within a time limit."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING

from fido2.ctap import CtapDevice, CtapError

from keyctl.device import errors
from keyctl.device.deadline import bounded
from keyctl.device.guard import ANSWER_S
from keyctl.errors import KeyctlError, UnreachableError
from keyctl.model import Transport
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.device.discover import Found

_BUSY_POLL_S = 0.1


def open_device(found: Found, home: Path, lock_s: float) -> CtapDevice:
    """The device behind *found*, open.

    Args:
        found: Which one.
        home: The home folder, for virtual keys.
        lock_s: How long to try again while another program keeps it busy; opening changes nothing on a key.

    Raises:
        UnreachableError: It cannot be opened, is gone, silent, busy or no security key.
        NotFoundError: There is no such virtual key.
        StoreError: The files of the virtual key cannot be used.
    """
    label = found.selector
    busy_until = time.monotonic() + lock_s
    while True:
        try:
            with errors.understanding(label), errors.reported(label):
                return bounded(lambda: _open(found, home), ANSWER_S)
        except OSError as error:
            raise errors.error_from_os(error, label) from error
        except UnreachableError as error:
            if error.code != "key_busy" or time.monotonic() >= busy_until:
                raise
        time.sleep(_BUSY_POLL_S)


def _open(found: Found, home: Path) -> CtapDevice:
    match found.transport:
        case Transport.VIRTUAL:
            from keyctl.virtual.device import VirtualDevice

            return VirtualDevice(virtual_keys_folder(home), found.path)
        case Transport.USB:
            return _open_usb(found)
        case Transport.NFC | Transport.CONTACT:
            from keyctl.device.card import CardDevice

            return CardDevice(found.path, found.selector)


def _open_usb(found: Found) -> CtapDevice:
    from keyctl.device.ctaphid import HidDevice

    if sys.platform == "linux":
        from keyctl.device.hidraw import HidrawConnection

        reports = HidrawConnection(found.path, found.device_path)
        report_size = reports.report_size
    else:
        from fido2 import hid

        # Listed again, because the library's paths are bytes on some systems and text on others.
        descriptor = next((entry for entry in hid.list_descriptors() if os.fsdecode(entry.path) == found.path), None)
        if descriptor is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        reports = hid.open_connection(descriptor)
        report_size = descriptor.report_size_out
    try:
        return HidDevice(reports, report_size, found.selector)
    except (CtapError, OSError, KeyctlError):
        reports.close()
        raise
