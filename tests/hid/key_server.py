"""Plays virtual keys on the buses of the guest, where it runs; told by lines of JSON what becomes of them.

Usage: key_server.py FOLDER, then one list a line: a verb, a key's name, and more words; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from keyctl.device import hidraw
from keyctl.virtual import gadget, keys, uhid
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hid_bus import UsbIdentity

PATIENCE_S = 20.0


class Seat:
    """One key and the bus that it is put on whenever it is plugged in."""

    def __init__(self, folder: Path, name: str, profile: str, bus: str, identity: dict[str, Any]) -> None:
        self._folder = folder
        self._name = name
        self._bus = bus
        self._identity = UsbIdentity(manufacturer="Nobody", **identity)
        self._thread: threading.Thread | None = None
        self.winks = 0
        keys.new(folder, name, profile)

    def plug(self) -> str:
        """Plug it in; returns its node."""
        keys.plug(self._folder, self._name)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            # The kernel makes the node when it has got to know the device.
            for node in hidraw.nodes():
                if node.serial == self._identity.serial and node.path.exists():
                    return str(node.path)
            time.sleep(0.02)
        raise TimeoutError(self._name)

    def unplug(self) -> None:
        """Pull it, and wait until it has left the bus."""
        keys.unplug(self._folder, self._name)
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def remove(self) -> None:
        """Pull and destroy it."""
        self.unplug()
        keys.remove(self._folder, self._name)

    def set(self, *settings: str) -> None:
        """Change what a person sets on it."""
        keys.configure(self._folder, self._name, settings)

    def _serve(self) -> None:
        with keys.hold(self._folder, self._name, "usb"), VirtualDevice(self._folder, self._name) as device:
            serve = gadget.serve if self._bus == "gadget" else uhid.serve
            serve(
                device,
                self._identity,
                stop=threading.Event(),
                on_connected=lambda: None,
                is_present=lambda: keys.get(self._folder, self._name).plugged,
                version=(1, 2, 3),
                on_wink=self._wink,
            )

    def _wink(self) -> None:
        self.winks += 1


def main() -> None:
    """Serve until standard input ends."""
    folder = Path(sys.argv[1])
    seats: dict[str, Seat] = {}
    for line in sys.stdin:
        verb, name, *words = json.loads(line)
        answer: object = None
        match verb:
            case "new":
                seats[name] = Seat(folder, name, *words)
            case "plug":
                answer = seats[name].plug()
            case "unplug":
                seats[name].unplug()
            case "set":
                seats[name].set(*words)
            case "remove":
                seats.pop(name).remove()
            case "winks":
                answer = seats[name].winks
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
