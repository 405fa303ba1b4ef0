"""A person with a plan, and a virtual key for the operations to work on."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap1 import Ctap1
from fido2.ctap2 import ClientPin, Config, Ctap2
from fido2.hid import CAPABILITY

from keyctl.core import fingerprints, public_keys
from keyctl.core.names import composed
from keyctl.device import registration
from keyctl.errors import DeclinedError
from keyctl.model import Waits
from keyctl.operations import naming, opening
from keyctl.operations.asking import Circumstances, PinRequest
from keyctl.store import inventory
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from tests.operations.pairs import Pairs
from tests.records import put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from keyctl.core.inventory import Inventory, KnownKey, Service
    from keyctl.core.pairings import Pairing
    from keyctl.model import Key

PIN = "123456"


@dataclass
class Person:
    """Answers as planned and remembers what was asked and told."""

    pins: list[str] = field(default_factory=list)
    passphrases: list[str | None] = field(default_factory=list)
    agrees: bool = True
    attended: bool = True
    can_choose: bool = True
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    #: What a ``--confirm`` was compared with in a dry run, and whether a yes would not do.
    given: list[tuple[str, bool]] = field(default_factory=list)
    requests: list[PinRequest] = field(default_factory=list)
    #: As many as a scan announced; None: it never did.
    keys_wanting_pins: int | None = None
    #: The fingerprint that this person reads elsewhere; None: whether it is the same is what *agrees* says.
    reads: str | None = None
    #: The fingerprint that is given as an option; None: none is.
    confirms: str | None = None
    #: The fingerprints that were asked for.
    compared: list[str] = field(default_factory=list)
    #: Called with whatever is told, like somebody who does what the program says.
    acts: Callable[[str], None] = lambda _text: None

    def pin(self, request: PinRequest) -> str:
        self.requests.append(request)
        return self.pins.pop(0)

    def passphrase(self, file: str) -> str | None:
        self.asked.append(file)
        return self.passphrases.pop(0)

    def check_confirmable(self, typed: str | None = None, warning: str = "") -> None:  # noqa: ARG002  # shown to others only
        self.asked.append("confirmable" if typed is None else f"confirmable by {typed}")

    def check_pins_for(self, keys: int) -> None:
        self.keys_wanting_pins = keys

    def confirm(self, question: str, text: str | None = None) -> None:  # noqa: ARG002  # the protocol's
        self.asked.append(question)
        if not self.agrees:
            raise DeclinedError("declined", "nothing was changed")

    def confirm_by_typing(self, warning: str, text: str) -> None:
        self.confirm(f"{warning} {text}")

    def check_given(self, text: str, *, typed: bool) -> None:
        self.given.append((text, typed))

    def can_compare(self, fingerprint: str) -> bool:
        return self.confirms is None or fingerprints.matches(fingerprint, self.confirms)

    def fingerprint(self, question: str, fingerprint: str) -> None:
        self.compared.append(fingerprint)
        self.asked.append(question)
        assert not any(group in question for group in fingerprints.groups(fingerprint))
        reads = self.reads or self.confirms
        if not (self.agrees if reads is None else fingerprints.matches(fingerprint, reads)):
            raise DeclinedError("declined", "nothing was changed")

    def tell(self, text: str) -> None:
        self.told.append(text)
        self.acts(text)


@dataclass
class Desk:
    """A home with virtual keys, and how to work there."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "virtual"

    def new(self, name: str, profile: str = "full") -> str:
        keys.new(self.folder, name, profile)
        return f"virtual:{name}"

    def sign_up(self, name: str, rp_id: str, user: str = "kim") -> bytes:
        site = registration.Site(rp_id=rp_id, user_name=user, display_name=user.title())
        return registration.register(self.folder, name, site, PIN)

    def register(self, name: str, rp_id: str, protection: int = 1) -> tuple[bytes, bytes]:
        """Make a credential on a virtual key that it does not list, as ssh-keygen does; its id and public key."""
        with VirtualDevice(self.folder, name) as device:
            if not device.capabilities & CAPABILITY.CBOR:
                made = Ctap1(device).register(bytes(32), sha256(rp_id.encode()).digest())
                return made.key_handle, public_keys.es256(made.public_key)
            ctap = Ctap2(device)
            mac, version = None, None
            if ctap.info.options.get("clientPin"):
                client = ClientPin(ctap)
                token = client.get_pin_token(PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp_id)
                mac, version = client.protocol.authenticate(token, bytes(32)), client.protocol.VERSION
            made = ctap.make_credential(
                bytes(32),
                {"id": rp_id},
                {"id": bytes(32), "name": "kim"},
                [{"type": "public-key", "alg": -7}],
                extensions={"credProtect": protection} if protection > 1 else None,
                pin_uv_param=mac,
                pin_uv_protocol=version,
            )
        data = made.auth_data.credential_data
        assert data is not None
        return data.credential_id, cbor.encode(dict(data.public_key))

    def set_pin(self, name: str) -> None:
        """Give a virtual key the PIN."""
        with VirtualDevice(self.folder, name) as device:
            ClientPin(Ctap2(device)).set_pin(PIN)

    def always_uv(self, name: str) -> None:
        """Have a virtual key with a PIN want it for everything."""
        with self._configuring(name) as config:
            config.toggle_always_uv()

    def force_pin_change(self, name: str) -> None:
        """Have a virtual key with a PIN want another one."""
        with self._configuring(name) as config:
            config.set_min_pin_length(force_change_pin=True)

    @contextlib.contextmanager
    def _configuring(self, name: str) -> Iterator[Config]:
        with VirtualDevice(self.folder, name) as device:
            client = ClientPin(Ctap2(device))
            token = client.get_pin_token(PIN, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
            yield Config(Ctap2(device), client.protocol, token)

    def set(self, name: str, *settings: str) -> None:
        keys.configure(self.folder, name, settings)

    def tries(self, name: str) -> int:
        """How many wrong PINs a virtual key still takes."""
        with VirtualDevice(self.folder, name) as device:
            return ClientPin(Ctap2(device)).get_pin_retries()[0]

    def reset(self, name: str) -> None:
        """Erase a virtual key behind keyctl's back."""
        keys.unplug(self.folder, name)
        keys.plug(self.folder, name)
        with VirtualDevice(self.folder, name) as device:
            Ctap2(device).reset()

    def swap(self, one: str, other: str) -> None:
        """Have two virtual keys change places, so that each answers under the selector of the other."""
        for name in (one, other):
            keys.unplug(self.folder, name)
        for suffix in (".json", ".settings.json"):
            first, second = self.folder / f"{one}{suffix}", self.folder / f"{other}{suffix}"
            content = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(content)
        for name in (one, other):
            keys.plug(self.folder, name)

    def know(self, name: str, virtual: str | None = None, profile: str = "full", *, pin: bool = False) -> KnownKey:
        """A new virtual key that has been given *name*; its own name is *virtual*, or the same."""
        selector = self.new(virtual or name, profile)
        if pin:
            self.set_pin(virtual or name)
        self.add(name, selector)
        return self.record(name)

    def add(self, name: str, selector: str, **facts: Any) -> Key:
        """Give the key at *selector* a name."""
        options = {"replacing": False, "dry_run": False, **facts}
        circumstances = self.circumstances(Person(pins=[PIN]), selector)
        return naming.add(circumstances, name, options.pop("notes", naming.Notes()), **options).key

    @property
    def inventory(self) -> Inventory:
        return inventory.read(self.home)

    def record(self, name: str) -> KnownKey:
        """What is noted of a key."""
        found = self.inventory.key_named(composed(name))
        assert found is not None
        return found

    def put(self, *records: KnownKey | Pairing | Service) -> None:
        """Write records as they are."""
        put(self.home, *records)

    def files(self) -> dict[str, bytes]:
        """What the files of the inventory hold."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for folder in ("keys", "services")
            for path in (self.home / folder).glob("*")
        }

    def seen(self, selector: str) -> Key:
        """The key at *selector*, as it is recognised when a command opens it."""
        with opening.opened(self.circumstances(Person(), selector)) as session:
            return session.key

    def age(self, name: str, seconds: float = 3600) -> None:
        """As if the key had been plugged in that long ago."""
        path = self.folder / f"{name}.settings.json"
        settings = json.loads(path.read_text())
        settings["powered_at"] -= seconds
        path.write_text(json.dumps(settings))

    def circumstances(self, person: Person, wanted: str | None = None, *, turn_s: float = 5.0) -> Circumstances:
        return Circumstances(
            home=self.home,
            state=self.home / "state",
            wanted=wanted,
            waits=Waits(touch_s=5.0, plug_s=0.0, lock_s=0.0),
            turn_s=turn_s,
            asker=person,
        )


@pytest.fixture
def desk(home: Path) -> Desk:
    return Desk(home)


@pytest.fixture
def person() -> type[Person]:
    """The class, because the tests' modules cannot import this one."""
    return Person


@pytest.fixture
def pairs(desk: Desk, person: type[Person]) -> Pairs:
    return Pairs(desk, person)
