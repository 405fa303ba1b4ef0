"""Small programs for the guest that print one JSON document; their arguments are in ``sys.argv``."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import threading
import time
from pathlib import Path

from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapError
from fido2.ctap1 import Ctap1
from fido2.hid import open_device
from fido2.webauthn import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
)

from keyctl.cli import main
from keyctl.device import choose, connecting, hidraw
from keyctl.device.discover import discover
from keyctl.errors import KeyctlError
from keyctl.model import Waits
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


def at_terminal() -> None:
    """Run keyctl with a terminal for its standard input and error, which are copied to standard error here."""
    output = os.dup(1)
    process, terminal = pty.fork()
    if process == 0:
        os.dup2(output, 1)
        main.run()
    signal.signal(signal.SIGINT, lambda *_: os.write(terminal, b"\x03"))
    while True:
        try:
            said = os.read(terminal, 4096)
        except OSError:
            # All who had it open have ended.
            break
        os.write(2, said)
    _, status = os.waitpid(process, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def find_and_open() -> None:
    """Find the only key, print where, and open it when a line comes; prints the error's code and exit status."""
    found = choose.choose(discover(Path("/nonexistent")), None)
    sys.stdin.readline()
    print(json.dumps(found.selector), flush=True)  # noqa: T201  # read at once
    sys.stdin.readline()
    told: tuple[str, int] | None = None
    try:
        connecting.connect(found, Path("/nonexistent"), Waits(touch_s=0, plug_s=0, lock_s=0), lambda *_: None).close()
    except KeyctlError as error:
        told = error.code, int(error.exit_status)
    print(json.dumps(told), flush=True)  # noqa: T201  # as above


def framing() -> None:
    """What python-fido2's own CTAPHID code gets out of the node: message lengths echoed, errors, capabilities."""
    _, path = sys.argv
    device = open_device(path)
    errors = []
    for command, data in ((0x04, b"\5"), (0x08, b"x"), (0x10, b""), (0x41, b"")):
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
        "u2f": Ctap1(device).get_version(),
    }
    json.dump(told, sys.stdout)


class _Window(UserInteraction):
    """Where the user of a browser types the PIN."""

    def __init__(self, pin: str) -> None:
        self._pin = pin

    def request_pin(self, *_: object) -> str:
        return self._pin


def sign_up() -> None:
    """Make passkeys as a browser does: on which node, the PIN, the user, and the sites."""
    _, path, pin, user, *sites = sys.argv
    device = open_device(path)
    kind = PublicKeyCredentialType.PUBLIC_KEY
    for site in sites:
        options = PublicKeyCredentialCreationOptions(
            rp=PublicKeyCredentialRpEntity(id=site, name=site),
            user=PublicKeyCredentialUserEntity(id=user.encode(), name=user, display_name=user.title()),
            challenge=b"challenge",
            pub_key_cred_params=[PublicKeyCredentialParameters(type=kind, alg=-7)],
            authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.REQUIRED),
        )
        client = Fido2Client(device, DefaultClientDataCollector(f"https://{site}"), _Window(pin))
        client.make_credential(options)
    json.dump(None, sys.stdout)


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
