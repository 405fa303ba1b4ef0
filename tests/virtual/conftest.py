"""Virtual keys in a folder of their own, and time that passes when told to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from fido2.ctap1 import Ctap1
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2

from keyctl.virtual import keys
from keyctl.virtual.clock import Clock
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.profiles import PROFILES

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

PIN = "1234-äöü"
PERMISSION = ClientPin.PERMISSION
CLIENT_DATA_HASH = bytes(range(32))


class TurnedClock(Clock):
    """Runs only while somebody waits, and when it is turned."""

    def __init__(self) -> None:
        self.turned_s = 0.0

    def wall(self) -> float:
        return time.time() + self.turned_s

    def monotonic(self) -> float:
        return self.turned_s

    def pause(self, event: Event, duration_s: float) -> None:
        if not event.is_set():
            self.turned_s += duration_s


class Bench:
    """One virtual key, with python-fido2's clients on it."""

    PIN = PIN
    CLIENT_DATA_HASH = CLIENT_DATA_HASH

    def __init__(self, folder: Path, name: str = "blue", profile: str = "full") -> None:
        self.folder = folder
        self.name = name
        keys.new(folder, name, profile)
        self.clock = TurnedClock()
        self.open()

    def open(self) -> None:
        self.device = VirtualDevice(self.folder, self.name, clock=self.clock)
        if PROFILES[keys.get(self.folder, self.name).profile].ctap2:
            self.ctap = Ctap2(self.device)

    @property
    def u2f(self) -> Ctap1:
        return Ctap1(self.device)

    def replug(self) -> None:
        keys.unplug(self.folder, self.name)
        keys.plug(self.folder, self.name)
        self.open()

    def set(self, *settings: str) -> None:
        keys.configure(self.folder, self.name, settings)

    @property
    def pin(self) -> ClientPin:
        return ClientPin(self.ctap)

    def set_pin(self, pin: str = PIN) -> None:
        self.pin.set_pin(pin)

    def token(self, permissions: int = PERMISSION.CREDENTIAL_MGMT, rp_id: str | None = None) -> bytes:
        return self.pin.get_pin_token(PIN, PERMISSION(permissions), rp_id)

    def management(self, rp_id: str | None = None) -> CredentialManagement:
        ctap = Ctap2(self.device)  # the options change with the PIN
        client_pin = ClientPin(ctap)
        return CredentialManagement(
            ctap, client_pin.protocol, client_pin.get_pin_token(PIN, PERMISSION.CREDENTIAL_MGMT, rp_id)
        )

    def make(self, rp_id: str = "example.com", user_id: bytes = b"u1", *, rk: bool = True, **more):
        """A credential made with the PIN, if there is one."""
        user = {"id": user_id, "name": "alice", "displayName": "Alice", **more.pop("user", {})}
        rp = {"id": rp_id, "name": "Example", **more.pop("rp", {})}
        algorithm = more.pop("alg", -7)
        if Ctap2(self.device).info.options["clientPin"] and "pin_uv_param" not in more:
            token = self.token(PERMISSION.MAKE_CREDENTIAL, rp_id)
            more["pin_uv_param"] = self.pin.protocol.authenticate(token, CLIENT_DATA_HASH)
            more["pin_uv_protocol"] = self.pin.protocol.VERSION
        return self.ctap.make_credential(
            CLIENT_DATA_HASH,
            {key: value for key, value in rp.items() if value is not None},
            {key: value for key, value in user.items() if value is not None},
            [{"type": "public-key", "alg": algorithm}],
            options={"rk": True} if rk else None,
            **more,
        )

    def get(self, rp_id: str = "example.com", ids: list[bytes] | None = None, *, pin: bool = False, **more):
        """An assertion, with the PIN if asked for."""
        if pin:
            token = self.token(PERMISSION.GET_ASSERTION, rp_id)
            more["pin_uv_param"] = self.pin.protocol.authenticate(token, CLIENT_DATA_HASH)
            more["pin_uv_protocol"] = self.pin.protocol.VERSION
        allow_list = None if ids is None else [{"type": "public-key", "id": id_} for id_ in ids]
        return self.ctap.get_assertion(rp_id, CLIENT_DATA_HASH, allow_list, **more)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "virtual"


@pytest.fixture
def bench(folder):
    return Bench(folder)


@pytest.fixture
def make_bench(folder):
    """A function that makes benches of other profiles and names."""

    def make(profile: str = "full", name: str = "other") -> Bench:
        return Bench(folder, name, profile)

    return make
