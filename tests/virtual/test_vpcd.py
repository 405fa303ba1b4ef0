"""Holding a card in a reader, against the driver's side of the wire."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from fido2.ctap import CtapDevice

from keyctl.errors import KeyctlError, StoreError, UnreachableError
from keyctl.virtual.card import FIDO_AID, FidoCard
from keyctl.virtual.vpcd import ATR, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SELECT = bytes.fromhex("00A4040008") + FIDO_AID
TOUCH_ME = bytes.fromhex("801000000101")


class WaitingKey(CtapDevice):
    """A key that waits until it is cancelled, or fails as it was told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    capabilities = 0

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        assert (cmd, data, on_keepalive is None) == (0x10, b"\1", False)
        if self.failure is not None:
            raise self.failure
        self.waiting.set()
        assert event.wait(5)
        self.cancelled.set()
        return b"\x2d"

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


class Served:
    """A card that is being served to the driver's end, which the test plays."""

    def __init__(self, key: CtapDevice) -> None:
        self.stop = threading.Event()
        self.present = True
        self.connected = threading.Event()
        self.error: KeyctlError | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, args=(FidoCard(key),), daemon=True)
        self._thread.start()
        self._listener.settimeout(5)
        self.driver = self._listener.accept()[0]
        self.driver.settimeout(5)

    def _serve(self, card: FidoCard) -> None:
        try:
            serve(
                card,
                port=self._listener.getsockname()[1],
                stop=self.stop,
                on_connected=self.connected.set,
                is_present=lambda: self.present,
                take_within_s=0.5,
            )
        except KeyctlError as error:
            self.error = error

    def send(self, data: bytes) -> None:
        self.driver.sendall(len(data).to_bytes(2, "big") + data)

    def receive(self) -> bytes:
        length = int.from_bytes(self.driver.recv(2, socket.MSG_WAITALL), "big")
        return self.driver.recv(length, socket.MSG_WAITALL)

    def ended(self) -> bool:
        """Whether the card has left; the driver sees the connection close."""
        self._thread.join(5)
        with contextlib.suppress(ConnectionResetError):
            assert self.driver.recv(1) == b""
        return not self._thread.is_alive()

    def close(self) -> None:
        self.stop.set()
        self._thread.join(5)
        self.driver.close()
        self._listener.close()


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def start(key: CtapDevice | None = None) -> Served:
            holder = Served(key or WaitingKey())
            stack.callback(holder.close)
            return holder

        yield start


def test_orders_and_commands(served):
    card = served()
    card.send(b"\4")
    assert card.receive() == ATR
    assert card.connected.wait(5)
    card.send(b"\1")
    card.send(SELECT)
    assert card.receive() == b"U2F_V2\x90\x00"
    card.send(b"\2")
    card.send(TOUCH_ME)
    assert card.receive().hex() == "6985"
    card.send(b"\0")
    card.send(SELECT)
    assert card.receive().hex() == "6f00"


def test_frame_in_pieces_is_put_together(served):
    card = served()
    card.send(b"\1")
    frame = len(SELECT).to_bytes(2, "big") + SELECT
    for byte in frame:
        card.driver.sendall(bytes([byte]))
    assert card.receive() == b"U2F_V2\x90\x00"


def test_unknown_order_is_answered_as_a_command_that_makes_no_sense(served):
    """The driver waits for an answer to what a client sent."""
    card = served()
    card.send(b"\1")
    card.send(b"\7")
    assert card.receive().hex() == "6700"


@pytest.mark.parametrize("last", [b"", b"\0", b"\0\5\0", b"\0\0"])
def test_hanging_up_ends_it_at_any_point(served, last):
    card = served()
    card.send(b"\1")
    card.driver.sendall(last)
    card.driver.shutdown(socket.SHUT_WR)
    assert card.ended()
    assert card.error is None


def test_stop_ends_it(served):
    card = served()
    card.send(b"\1")
    card.stop.set()
    assert card.ended()


def test_stop_ends_a_wait_for_a_touch(served):
    key = WaitingKey()
    card = served(key)
    card.send(b"\1")
    card.send(SELECT)
    card.receive()
    card.send(TOUCH_ME)
    assert key.waiting.wait(5)
    card.stop.set()
    assert card.ended()
    assert key.cancelled.wait(5)


def test_pulled_key_leaves_the_reader(served):
    card = served()
    card.send(b"\1")
    card.present = False
    assert card.ended()
    assert card.error is None


def test_key_pulled_during_a_command_leaves_the_reader(served):
    card = served(WaitingKey(OSError("pulled")))
    card.send(b"\1")
    card.send(SELECT)
    card.receive()
    card.send(TOUCH_ME)
    assert card.ended()
    assert card.error is None


def test_spoilt_key_is_told_to_the_caller(served):
    spoilt = StoreError("store_unreadable", "key file is not JSON")
    card = served(WaitingKey(spoilt))
    card.send(b"\1")
    card.send(SELECT)
    card.receive()
    card.send(TOUCH_ME)
    assert card.ended()
    assert card.error is spoilt


def test_reader_that_takes_no_card_is_an_error(served):
    """A reader with a card in it leaves the second one waiting."""
    card = served()
    assert card.ended()
    assert card.error is not None
    assert card.error.code == "attach_failed"
    assert "taken no card" in card.error.message
    assert not card.connected.is_set()


def test_no_reader_is_an_error_that_says_what_to_install():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError) as caught:
        serve(
            FidoCard(WaitingKey()),
            port=port,
            stop=threading.Event(),
            on_connected=lambda: None,
            is_present=lambda: True,
        )
    assert caught.value.code == "attach_failed"
    assert caught.value.hint is not None
    assert "vsmartcard-vpcd" in caught.value.hint
