"""A device between a program and a key that sees every command, for tests about what is never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fido2.ctap import CtapDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from fido2.ctap import STATUS

CTAPHID_CBOR = 0x10
#: AuthenticatorConfig since CTAP 2.1: the draft's exportSeed would switch alwaysUv.
CONFIG = 0x0D
#: The draft's command in the vendor range, where a real key may have something else.
RECOVERY = 0x4B


class WatchedDevice(CtapDevice):
    """Passes all on and remembers the command bytes.

    Args:
        device: Where to.
        seen: Gets the first byte of every CTAP2 command.
        sent: Gets the whole of it.
    """

    def __init__(self, device: CtapDevice, seen: list[int], sent: list[bytes] | None = None) -> None:
        self._device = device
        self._seen = seen
        self._sent = [] if sent is None else sent

    @property
    def capabilities(self) -> int:
        return self._device.capabilities

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        if cmd == CTAPHID_CBOR:
            self._seen.append(data[0])
            self._sent.append(data)
        return self._device.call(cmd, data, event, on_keepalive)

    def close(self) -> None:
        self._device.close()

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())
