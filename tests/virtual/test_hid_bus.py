"""A key on a bus that is a socket here; the real ones are in tests/hid."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from fido2.ctap import CtapDevice

from keyctl.device import hidraw
from keyctl.errors import KeyctlError, StoreError
from keyctl.virtual.hid_bus import REPORT_DESCRIPTOR, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 5.0
OPEN = bytes.fromhex("ffffffff860008 0102030405060708").ljust(64, b"\0")
PING = bytes.fromhex("00000001810001 55").ljust(64, b"\0")
GET_INFO = bytes.fromhex("00000001900001 04").ljust(64, b"\0")
ANSWER = bytes.fromhex("00000001900001 00").ljust(64, b"\0")


class Key(CtapDevice):
    """A key that answers as it was told."""

    capabilities = 4

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.powered_up = 0

    def power_cycle(self) -> None:
        self.powered_up += 1

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        assert (cmd, data, event.is_set(), on_keepalive is None) == (0x10, b"\4", False, False)
        if self.failure is not None:
            raise self.failure
        return b"\0"

    @classmethod
    def list_devices(cls):
        return iter(())


class SocketPort:
    """A port whose reports are packets."""

    def __init__(self, end: socket.socket, interval_s: float) -> None:
        self.report_interval_s = interval_s
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def receive(self) -> bytes | None:
        report = self._end.recv(100)
        if not report:
            raise OSError("the host is gone")
        return None if report == b"something else" else report

    def send(self, report: bytes) -> None:
        self._end.send(report)


class Plugged:
    """A key that is being served, and the host, which the test plays."""

    def __init__(self, key: Key, interval_s: float) -> None:
        self.stop = threading.Event()
        self.present = True
        self.error: KeyctlError | None = None
        self.host, self._end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.host.settimeout(PATIENCE_S)
        self._end.setblocking(False)
        self._thread = threading.Thread(target=self._serve, args=(key, interval_s), daemon=True)
        self._thread.start()

    def _serve(self, key: Key, interval_s: float) -> None:
        try:
            run(
                SocketPort(self._end, interval_s),
                key,
                stop=self.stop,
                is_present=lambda: self.present,
                version=(1, 2, 3),
                on_wink=None,
            )
        except KeyctlError as error:
            self.error = error

    def ask(self, report: bytes) -> bytes:
        self.host.send(report)
        return self.host.recv(100)

    def ended(self) -> bool:
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    def close(self) -> None:
        self.stop.set()
        assert self.ended()
        self.host.close()
        self._end.close()


@pytest.fixture
def plug() -> Iterator[Callable[..., Plugged]]:
    with contextlib.ExitStack() as stack:

        def make(key: Key | None = None, interval_s: float = 0.0) -> Plugged:
            plugged = Plugged(key or Key(), interval_s)
            stack.callback(plugged.close)
            return plugged

        yield make


def test_descriptor_is_that_of_a_security_key():
    assert hidraw.report_sizes(REPORT_DESCRIPTOR) == (64, 64)


@pytest.mark.parametrize("interval_s", [0.0, 0.001])
def test_reports_go_both_ways(plug, interval_s):
    plugged = plug(interval_s=interval_s)
    assert plugged.ask(OPEN)[15:19] == bytes.fromhex("00000001")
    plugged.host.send(b"something else")
    assert plugged.ask(PING) == PING
    long_ping = bytes.fromhex("00000001810064") + bytes(57), bytes.fromhex("0000000100") + bytes(59)
    for report in long_ping:
        plugged.host.send(report)
    assert (plugged.host.recv(100), plugged.host.recv(100)) == long_ping
    assert plugged.ask(GET_INFO) == ANSWER


def test_bus_powers_the_key_up(plug):
    key = Key()
    plug(key).ask(OPEN)
    assert key.powered_up == 1


def test_stop_ends_it(plug):
    plugged = plug()
    plugged.stop.set()
    assert plugged.ended()
    assert plugged.error is None


def test_pulled_key_leaves_the_bus(plug):
    plugged = plug()
    plugged.present = False
    assert plugged.ended()
    assert plugged.error is None


@pytest.mark.parametrize("failure", [OSError("pulled"), StoreError("store_unreadable", "no JSON")])
def test_key_that_fails_leaves_the_bus(plug, failure):
    plugged = plug(Key(failure))
    plugged.ask(OPEN)
    plugged.host.send(GET_INFO)
    assert plugged.ended()
    assert plugged.error is (failure if isinstance(failure, KeyctlError) else None)


def test_bus_that_goes_away_is_an_error(plug):
    plugged = plug()
    plugged.host.close()
    assert plugged.ended()
    assert plugged.error is not None
    assert plugged.error.code == "attach_failed"
