"""keyctl beside libfido2's own program, on the same key behind the same hidraw node.

The kernel is that of the guest in tests/hid, whose processor is emulated: only what is beside one another compares.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from desk import Plugged

_HID = Path(__file__).parents[1] / "hid"
PIN = "correct-horse"
SITES, PASSKEYS = 10, 25
#: A start of the interpreter takes seconds there.
MAX_ROUNDS = 5


class NoGuestError(Exception):
    """There can be no guest here; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """What one program did with the key."""

    title: str
    #: As the key counted; bytes without framing.
    commands: int
    sent_bytes: int
    received_bytes: int
    #: The least of all rounds, by this computer's clock.
    wall_s: float


@dataclass(frozen=True, kw_only=True)
class Race:
    """The same done by both."""

    ours: Client
    theirs: Client

    @property
    def ratio(self) -> float:
        """Of the wall times."""
        return self.ours.wall_s / self.theirs.wall_s

    @property
    def met(self) -> bool:
        """Whether keyctl sends no more commands."""
        return self.ours.commands <= self.theirs.commands


def races(rounds: int) -> list[Race]:
    """Reading what the key is, and listing its passkeys.

    Raises:
        NoGuestError: Something that this takes is not here.
    """
    sys.path.append(str(_HID))
    from clients import Libfido2
    from desk import Shelf, booted
    from guest_parts import PartsMissingError

    with contextlib.ExitStack() as stack:
        try:
            computer = stack.enter_context(booted())
        except PartsMissingError as error:
            raise NoGuestError(str(error)) from error
        key = Shelf(computer.guest, "/run/keys").plug("blue")
        libfido2 = Libfido2(computer, key, PIN)
        libfido2.set_pin()
        key.fill(PIN, SITES, PASSKEYS)

        def info() -> None:
            computer.start_keyctl_anew("info", "-k", key.selector).told()

        def listing() -> None:
            computer.start_keyctl_anew("passkeys", "list", "-k", key.selector, pin=f"{PIN}\n").told()

        def their_listing() -> None:
            libfido2.passkeys(*libfido2.site_names())

        cases = {
            "info": info,
            "fido2-token -I": libfido2.told,
            f"passkeys list, {PASSKEYS} at {SITES} sites": listing,
            "fido2-token -L -r, and -L -k for each site": their_listing,
        }
        clients = [_client(key, title, run, min(rounds, MAX_ROUNDS)) for title, run in cases.items()]
    return [Race(ours=ours, theirs=theirs) for ours, theirs in zip(clients[::2], clients[1::2], strict=True)]


def _client(key: Plugged, title: str, run: Callable[[], object], rounds: int) -> Client:
    before = key.traffic()
    walls_s = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        walls_s.append(time.perf_counter() - started)
    told = key.traffic() - before
    return Client(
        title=title,
        # Each round asks the same.
        commands=told.commands // rounds,
        sent_bytes=told.bytes_in // rounds,
        received_bytes=told.bytes_out // rounds,
        wall_s=min(walls_s),
    )
