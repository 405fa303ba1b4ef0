"""Small programs for the guest that print one JSON document; their arguments are in ``sys.argv``."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from fido2.ctap import CtapError
from fido2.hid import open_device

from keyctl.device import hidraw
from keyctl.errors import KeyctlError
from keyctl.virtual import gadget, uhid
from keyctl.virtual.hid_bus import UsbIdentity

REPORT_BYTES = 64
KEEPALIVE = 0x80 | 0x3B


def nodes() -> None:
    """What discovery reads about each key without opening any."""
    json.dump(_nodes(), sys.stdout)


def await_nodes() -> None:
    """As nodes, as soon as there are as many keys as wanted."""
    _, count = sys.argv
    while len(found := _nodes()) != int(count):
        time.sleep(0.02)
    json.dump(found, sys.stdout)


def _nodes() -> dict[str, dict[str, object]]:
    return {
        str(node.path): {
            "vendor_id": node.vendor_id,
            "product_id": node.product_id,
            "name": node.name,
            "serial": node.serial,
            "sizes": [node.report_size_in, node.report_size_out],
        }
        for node in hidraw.nodes()
    }


def await_keepalive() -> None:
    """Listen on the node until the key tells any program the status: 1 it works, 2 it waits for a touch."""
    _, path, status = sys.argv
    with open(path, "rb", buffering=0) as node:  # noqa: PTH123  # a device
        while True:
            report = node.read(REPORT_BYTES)
            if report[4] == KEEPALIVE and report[7] == int(status):
                break
    json.dump(None, sys.stdout)


def framing() -> None:
    """What python-fido2's own CTAPHID code gets out of the node: message lengths echoed, errors, capabilities."""
    _, path = sys.argv
    device = open_device(path)
    errors = []
    for command, data in ((0x04, b"\5"), (0x08, b"x"), (0x10, b""), (0x41, b""), (0x03, b"\0\3\0\0")):
        try:
            device.call(command, data)
        except CtapError as error:
            errors.append(error.code.name)
    device.wink()
    echoed = [
        len(data) for data in (b"", os.urandom(57), os.urandom(58), os.urandom(7609)) if device.ping(data) == data
    ]
    told = {
        "echoed": echoed,
        "errors": errors,
        "capabilities": int(device.capabilities),
        "version": device.device_version,
    }
    json.dump(told, sys.stdout)


def attach() -> None:
    """What comes of an attempt to make a USB key: the code and hint of the error."""
    _, bus = sys.argv
    identity = UsbIdentity(vendor_id=0x1209, product_id=1, manufacturer="Nobody", product="Key", serial="1")
    serve = {"uhid": uhid.serve, "gadget": gadget.serve}[bus]
    stop = threading.Event()
    try:
        # Nothing is asked of the device when it is stopped as soon as it is there.
        serve(None, identity, stop=stop, on_connected=stop.set, is_present=lambda: True)
    except KeyctlError as error:
        json.dump({"code": error.code, "message": error.message, "hint": error.hint}, sys.stdout)
    else:
        json.dump(None, sys.stdout)
