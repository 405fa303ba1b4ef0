"""A card on a reader of the machine's own smart card service, through vsmartcard's reader driver *vpcd*.

vpcd is a driver of pcscd (vsmartcard, ``virtualsmartcard/src/vpcd``). It listens on a TCP port for each of its readers;
whoever connects is the card in it. Either side sends frames: a length of two bytes, big-endian, and the data. A frame
of one byte from the driver is an order to the card, any other a command APDU.
"""

from __future__ import annotations

import functools
import operator
import socket
import sys
import threading
from typing import TYPE_CHECKING

from keyctl.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.virtual.card import FidoCard

#: Where Debian's vpcd listens for its first reader; the second one has the next port.
DEFAULT_PORT = 0x8C7B

_POWER_OFF = b"\x00"
_POWER_ON = b"\x01"
_RESET = b"\x02"
_SEND_ATR = b"\x04"

_WATCH_S = 0.2
_CONNECT_S = 5.0


def _contactless_atr(historical: bytes) -> bytes:
    """What a reader tells of a contactless card (PC/SC part 3, section 3.1.3.2.3): *historical* and a check byte."""
    atr = bytes([0x80 | len(historical), 0x80, 0x01]) + historical
    return b"\x3b" + atr + bytes([functools.reduce(operator.xor, atr)])


#: Historical bytes in compact TLV (ISO 7816-4, section 12.1.1): what the card can do (selection by name, chaining,
#: extended length), then the issuer's word.
ATR = _contactless_atr(b"\x80" + b"\x73\x80\x21\xc0" + b"\x56keyctl")


def serve(
    card: FidoCard,
    *,
    host: str = "127.0.0.1",
    port: int,
    stop: threading.Event,
    on_connected: Callable[[], None],
    is_present: Callable[[], bool],
    take_within_s: float = 5.0,
) -> None:
    """Hold *card* in a reader until *stop* is set, the key is pulled, or the service goes away.

    Args:
        card: The card; nobody else uses it meanwhile.
        host: Where the service runs.
        port: The reader's port.
        stop: Ends it within a second, from any thread.
        on_connected: Called once, when the reader has taken the card.
        is_present: Whether the key is still plugged in, asked five times a second from another thread; raises nothing.
        take_within_s: How long the reader may leave the card unnoticed; pcscd looks every 0.4 s.

    Raises:
        UnreachableError: There is no such reader, or it holds another card (``attach_failed``).
        KeyctlError: The key's own store is in the way.
    """
    connection = _connect(host, port)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            if stop.is_set() or not is_present():
                # In this order: a card that is away does not answer the command that its power-down ends.
                _hang_up(connection)
                card.power_down()
                return

    watcher = threading.Thread(target=watch, name="vpcd", daemon=True)
    with connection:
        watcher.start()
        try:
            order = _first_frame(connection, take_within_s)
            if order:
                on_connected()
            while order:
                answer = _obey(card, order)
                if answer:
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)
                order = _receive_frame(connection)
        except OSError:
            # The service ended, or the key was pulled: the card leaves the reader when the connection closes.
            return
        finally:
            ended.set()
            watcher.join()
            card.power_down()


def _connect(host: str, port: int) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout=_CONNECT_S)
    except OSError as error:
        raise UnreachableError(
            "attach_failed",
            f"no virtual card reader listens on {host} port {port}",
            "install vsmartcard-vpcd and start pcscd (`systemctl start pcscd`), or give the reader's port with --port",
        ) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(None)
    return connection


def _first_frame(connection: socket.socket, within_s: float) -> bytes:
    """The driver's first order: a reader with a card in it leaves the next connection waiting."""
    connection.settimeout(within_s)
    try:
        order = _receive_frame(connection)
    except TimeoutError as error:
        host, port = connection.getpeername()[:2]
        raise UnreachableError(
            "attach_failed",
            f"the card reader on {host} port {port} has taken no card in {within_s:g} s",
            "perhaps another virtual key is in it: take that one off, or give another reader's port with --port",
        ) from error
    connection.settimeout(None)
    return order


def _obey(card: FidoCard, order: bytes) -> bytes:
    """What the driver expects back, which for power is nothing."""
    if order in (_POWER_ON, _RESET):
        card.power_up()
        return b""
    if order == _POWER_OFF:
        card.power_down()
        return b""
    if order == _SEND_ATR:
        return ATR
    return card.transmit(order)


def _receive_frame(connection: socket.socket) -> bytes:
    """The next frame; empty when the driver hung up."""
    return _receive(connection, int.from_bytes(_receive(connection, 2), "big"))


def _receive(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            return b""
        received += part
        if sys.platform == "linux":
            # The driver sends length and data apart, and the second part waits for our acknowledgement: without this,
            # which lasts until the next part only, each command takes 44 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return received


def _hang_up(connection: socket.socket) -> None:
    """End a recv in another thread, which closing would not."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The driver was faster.
        return
