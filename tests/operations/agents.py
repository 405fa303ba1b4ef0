"""An agent that runs for as long as somebody talks to it, and those who do."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from keyctl.core import contexts, p256
from keyctl.core import ssh_agent_messages as messages
from keyctl.core.ssh_wire import Reader, string, uint32
from keyctl.operations import ssh_agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.operations.asking import Circumstances

#: Seconds; only what hangs takes so long.
PATIENCE_S = 60.0


class Client:
    """A program that is connected to the agent."""

    def __init__(self, path: Path | str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, message: bytes) -> None:
        self.socket.sendall(messages.framed(message))

    def receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(4), "big"))

    def ask(self, message: bytes) -> bytes:
        self.send(message)
        return self.receive()

    def keys(self) -> dict[str, bytes]:
        """The public keys by their comments, in the order in which they are listed."""
        answer = Reader(self.ask(b"\x0b"))
        assert answer.octet() == 12
        listed = [(answer.string(), answer.text()) for _ in range(answer.uint32())]
        answer.finish()
        return {comment: blob for blob, comment in listed}

    def sign(self, blob: bytes, data: bytes) -> bytes:
        return self.ask(signing(blob, data))

    @property
    def hung_up(self) -> bool:
        """Whether the agent closes the connection, sooner or later."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            part = self.socket.recv(count - len(content))
            assert part, "the agent hung up"
            content += part
        return content


def signing(blob: bytes, data: bytes) -> bytes:
    return b"\x0d" + string(blob) + string(data) + uint32(0)


def verifies(answer: bytes, blob: bytes, digest: bytes) -> bool:
    """Whether *answer* is a signature by the key in *blob*."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    fields = Reader(answer)
    if fields.octet() != 14:
        return False
    signature = Reader(fields.string())
    assert signature.text() == "ecdsa-sha2-nistp256"
    numbers = Reader(signature.string())
    return p256.verifies(blob[-65:], digest, encode_dss_signature(numbers.mpint(), numbers.mpint()))


@dataclass
class Agents:
    """Runs agents; the command that each runs waits until the client is done."""

    folder: Path

    def run(
        self,
        circumstances: Circumstances,
        client: Callable[[Path], Any],
        *,
        which: str | None = None,
        targets: tuple[str, ...] = (),
        authorized: bytes | None = None,
        **manners: Any,
    ) -> Any:
        """What *client* returns, called in another thread with the path of the socket of an agent that runs."""
        fifo = self.folder / "done"
        os.mkfifo(fifo)
        results: list[Any] = []
        errors: list[BaseException] = []

        def talk(path: Path) -> None:
            try:
                results.append(client(path))
            except BaseException as error:  # noqa: BLE001  # raised again where the test is
                errors.append(error)
            fifo.open("wb").close()

        def start(listening: ssh_agent.Listening) -> None:
            threading.Thread(target=talk, args=(Path(listening.socket),), daemon=True).start()

        try:
            status = ssh_agent.run(
                circumstances,
                which,
                [contexts.parse(target) for target in targets],
                None if authorized is None else (authorized, "authorized_keys"),
                manners=ssh_agent.Manners(**manners),
                command=["cat", str(fifo)],
                announce=start,
            )
        finally:
            fifo.unlink()
        if errors:
            raise errors[0]
        assert status == 0
        return results[0]
