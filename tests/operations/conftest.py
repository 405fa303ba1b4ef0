"""A person with a plan, and a virtual key for the operations to work on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from keyctl.device import registration
from keyctl.errors import DeclinedError
from keyctl.model import Waits
from keyctl.operations.asking import Circumstances, PinRequest
from keyctl.virtual import keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    requests: list[PinRequest] = field(default_factory=list)
    #: Called with whatever is told, like somebody who does what the program says.
    acts: Callable[[str], None] = lambda _text: None

    def pin(self, request: PinRequest) -> str:
        self.requests.append(request)
        return self.pins.pop(0)

    def passphrase(self, file: str) -> str | None:
        self.asked.append(file)
        return self.passphrases.pop(0)

    def check_confirmable(self) -> None:
        self.asked.append("confirmable")

    def confirm(self, question: str) -> None:
        self.asked.append(question)
        if not self.agrees:
            raise DeclinedError("declined", "nothing was changed")

    def confirm_by_typing(self, warning: str, text: str) -> None:
        self.confirm(f"{warning} {text}")

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
