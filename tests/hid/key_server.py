"""Plays virtual keys on the buses of the guest, where it runs; told by lines of JSON what becomes of them.

Usage: key_server.py FOLDER, then one list a line: a verb, a key's name, and more words; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from keyctl.device import hidraw
from keyctl.device.registration import Site, register
from keyctl.virtual import gadget, keys, uhid
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hid_bus import UsbIdentity

PATIENCE_S = 60.0


class CountingDevice(VirtualDevice):
    """Adds to *traffic* what it is asked and what it answers."""

    def __init__(self, folder: Path, name: str, traffic: list[int]) -> None:
        super().__init__(folder, name)
        self._traffic = traffic

    def call(self, cmd: int, data: bytes = b"", *others: Any) -> bytes:
        """As of any key."""
        self._traffic[0] += 1
        self._traffic[1] += len(data)
        answer = super().call(cmd, data, *others)
        self._traffic[2] += len(answer)
        return answer


class Seat:
    """One key and the bus that it is put on whenever it is plugged in."""

    def __init__(self, folder: Path, name: str, profile: str, bus: str, identity: dict[str, Any]) -> None:
        self._folder = folder
        self._name = name
        self._bus = bus
        self._identity = UsbIdentity(manufacturer="Nobody", **identity)
        self._thread: threading.Thread | None = None
        self.winks = 0
        #: Commands, bytes in, bytes out.
        self.traffic = [0, 0, 0]
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

    def pull(self) -> None:
        """Pull it; it leaves the bus soon."""
        keys.unplug(self._folder, self._name)

    def await_end(self) -> None:
        """Wait until it has left the bus."""
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def remove(self) -> None:
        """Destroy it, when it has been pulled."""
        self.await_end()
        keys.remove(self._folder, self._name)

    def set(self, *settings: str) -> None:
        """Change what a person sets on it."""
        keys.configure(self._folder, self._name, settings)

    def fill(self, pin: str, sites: int, passkeys: int) -> None:
        """Put passkeys on it, spread over the sites: one is made as a browser does it, the others are like it."""
        register(self._folder, self._name, Site(rp_id="site0.example", user_name="user", display_name="User"), pin)
        files = keys.open_files(self._folder, self._name)
        state = files.state()
        (one,) = state.credentials
        state.replace_credentials(
            tuple(
                replace(
                    one,
                    id=bytes([number]) * len(one.id),
                    user_id=bytes([number]),
                    rp_id=f"site{number % sites}.example",
                )
                for number in range(passkeys)
            )
        )
        files.write_state(state, durable=True)

    def _serve(self) -> None:
        self.traffic = [0, 0, 0]
        with (
            keys.hold(self._folder, self._name, "usb"),
            CountingDevice(self._folder, self._name, self.traffic) as device,
        ):
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
                seats[name].pull()
                seats[name].await_end()
            case "set":
                seats[name].set(*words)
            case "clear":
                # The name of none; each takes its time to leave the bus.
                for seat in seats.values():
                    seat.pull()
                for seat in seats.values():
                    seat.remove()
                seats.clear()
            case "winks":
                answer = seats[name].winks
            case "fill":
                seats[name].fill(*words)
            case "traffic":
                answer = seats[name].traffic
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
