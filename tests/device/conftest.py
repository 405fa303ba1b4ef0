"""Keys for the device layer: virtual ones through the front door, scripted ones where a real key would misbehave."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapDevice
from fido2.ctap2 import ClientPin, Ctap2

from keyctl.device import connecting, discover, session, virtual_keys
from keyctl.model import OWN_RP_ID, Waits
from keyctl.store.paths import virtual_keys_folder
from keyctl.virtual.device import VirtualDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Event

PIN = "123456"
NO_WAITS = Waits(touch_s=0, plug_s=0, lock_s=0)


@dataclass
class Bench:
    """A virtual key and how the tests get at it."""

    home: Path
    name: str = "blue"
    touches: list[tuple[str, float]] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return virtual_keys_folder(self.home)

    def found(self) -> discover.Found:
        return next(key for key in discover.discover(self.home, "virtual:").found if key.path == self.name)

    def set(self, *settings: str) -> None:
        virtual_keys.configure(self.folder, self.name, settings)

    def replug(self) -> None:
        virtual_keys.unplug(self.folder, self.name)
        virtual_keys.plug(self.folder, self.name)

    def open(self, waits: Waits = NO_WAITS, pin: str | None = None) -> session.Session:
        """A session; with *pin*, that PIN is remembered."""
        opened = connecting.connect(
            self.found(), self.home, waits, lambda *touch: self.touches.append(touch), self.trace.append
        )
        if pin is not None:
            opened.use_pin(pin)
        return opened

    def kept(self) -> dict[str, Any]:
        """What the key remembers."""
        content: dict[str, Any] = json.loads((self.folder / f"{self.name}.json").read_text("utf-8"))
        return content

    def keep(self, **content: Any) -> None:
        """Have the key remember something else."""
        path = self.folder / f"{self.name}.json"
        path.write_text(json.dumps(self.kept() | content), "utf-8")

    def large_blobs(self) -> bytes:
        """The array on the key, checksum and all."""
        return bytes.fromhex(self.kept()["large_blobs"])

    def own_ids(self) -> list[bytes]:
        """The ids of keyctl's own discoverable credentials on the key."""
        return [bytes.fromhex(kept["id"]) for kept in self.kept()["credentials"] if kept["rp_id"] == OWN_RP_ID]

    def sent(self) -> list[str]:
        """The commands so far, by name."""
        return [line.partition(":")[0] for line in self.trace]

    def register(self, rp_id: str, user: str | None = "alice", **more: Any) -> bytes:
        """A passkey, made by python-fido2 directly on the key; returns the credential id."""
        with VirtualDevice(self.folder, self.name) as device:
            ctap = Ctap2(device, strict_cbor=False)
            pins = ClientPin(ctap)
            token = pins.get_pin_token(PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp_id)
            entity: dict[str, Any] = {"id": sha256(f"{rp_id}/{user}".encode()).digest()}
            if user is not None:
                entity |= {"name": user, "displayName": f"{user} of {rp_id}"}
            made = ctap.make_credential(
                bytes(32),
                {"id": rp_id, "name": rp_id},
                entity,
                [{"type": "public-key", "alg": -7}],
                options={"rk": True},
                pin_uv_param=pins.protocol.authenticate(token, bytes(32)),
                pin_uv_protocol=pins.protocol.VERSION,
                **more,
            )
            credential = made.auth_data.credential_data
            assert credential is not None
            return credential.credential_id


@pytest.fixture
def make_bench(home: Path) -> Callable[..., Bench]:
    """Makes virtual keys."""

    def make(profile: str = "full", name: str = "blue", pin: str | None = None) -> Bench:
        bench = Bench(home, name)
        virtual_keys.new(bench.folder, name, profile)
        if pin is not None:
            with bench.open() as opened:
                opened.set_pin(pin)
            bench.trace.clear()
        return bench

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A full virtual key with a PIN."""
    return make_bench(pin=PIN)


class ScriptedDevice(CtapDevice):
    """A key whose answers are functions of the request: what no decent firmware would say."""

    def __init__(self, answer: Callable[[bytes], bytes], capabilities: int = 0x04) -> None:
        self._answer = answer
        self._capabilities = capabilities
        self.requests: list[bytes] = []
        self.closed = False

    @property
    def capabilities(self) -> int:
        return self._capabilities

    def call(
        self,
        cmd: int,  # noqa: ARG002  # the interface
        data: bytes = b"",
        event: Event | None = None,  # noqa: ARG002  # as above
        on_keepalive: Callable[[Any], None] | None = None,  # noqa: ARG002  # as above
    ) -> bytes:
        self.requests.append(data)
        return self._answer(data)

    def close(self) -> None:
        self.closed = True

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


@pytest.fixture
def scripted() -> type[ScriptedDevice]:
    """The class of scripted keys."""
    return ScriptedDevice


@pytest.fixture
def minimal_info() -> bytes:
    """The least that getInfo may say, with a status byte."""
    return b"\0" + cbor.encode({1: ["FIDO_2_0"], 3: bytes(16)})
