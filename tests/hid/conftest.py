"""Virtual keys on the USB buses of a real kernel, in a guest that is booted once for all tests that ask for it.

All of those are in one file: the tests are handed to workers by file, and one guest is enough for two processors.
"""

from __future__ import annotations

import compileall
import json
import os
import pkgutil
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import keyctl

# The tests' own modules; pytest's way of importing leaves the path alone.
sys.path.insert(0, str(Path(__file__).parent))

from guest import EMULATOR, Guest
from guest_parts import PartsMissingError, parts

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator

    from guest import Finished, Job

#: Number of a user without any rights.
NOBODY = 65534
PROJECT = Path(keyctl.__file__).parents[1]
VENDOR_ID = 0x1209


@dataclass(frozen=True)
class Told:
    """What one run of keyctl came to."""

    status: int
    document: dict[str, Any]

    @property
    def data(self) -> Any:
        return self.document["data"]

    @property
    def code(self) -> str:
        """The code of its only error."""
        (error,) = self.document["errors"]
        return error["code"]


class Running:
    """A run of keyctl that is not over yet."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def told(self, seconds: float = 30) -> Told:
        done = self.job.wait(seconds)
        assert done.stdout, done.stderr
        return Told(done.status, json.loads(done.stdout))


class Computer:
    """The guest, with a user at it who has keyctl."""

    #: Where the project is, in the guest as well.
    project = PROJECT

    def __init__(self, guest: Guest) -> None:
        self.guest = guest

    def start_keyctl(self, *arguments: str, pin: str = "", user: int | None = None) -> Running:
        """Start keyctl, with nothing but virtual keys on buses in reach."""
        home = {"KEYCTL_HOME": f"/run/home-of-{user or 0}"}
        argv = ("keyctl", *arguments, "--json", *(["--pin-stdin"] if pin else []))
        return Running(self.guest.call("keyctl.cli.main:run", *argv, stdin=pin, env=home, user=user))

    def keyctl(self, *arguments: str, pin: str = "", user: int | None = None) -> Told:
        return self.start_keyctl(*arguments, pin=pin, user=user).told()

    def run(self, *argv: str, stdin: str = "", status: int = 0) -> str:
        """Run another program; returns what it said."""
        done = self.guest.run(*argv, stdin=stdin)
        assert done.status == status, (argv, done)
        return done.stdout

    def probe(self, function: str, *arguments: str, user: int | None = None) -> Any:
        """Run a function of the module probes; returns what it printed."""
        done: Finished = self.guest.call(f"probes:{function}", function, *arguments, user=user).wait()
        assert done.status == 0, done.stderr
        return json.loads(done.stdout)


class Shelf:
    """Virtual keys, and a process that plays them on the buses.

    Args:
        guest: Where.
        folder: For the keys' files, in the guest.
    """

    def __init__(self, guest: Guest, folder: str) -> None:
        self._job = guest.call("key_server:main", "key_server", folder, stdin=None)
        self._names: list[str] = []

    def ask(self, *words: object) -> Any:
        return json.loads(self._job.ask(json.dumps(words)))

    def plug(
        self,
        name: str,
        bus: str = "gadget",
        *,
        profile: str = "full",
        product_id: int = 1,
        product: str = "Key",
    ) -> Plugged:
        """Make a key and plug it in."""
        identity = {
            "vendor_id": VENDOR_ID,
            "product_id": product_id,
            "product": product,
            "serial": f"serial-of-{name}",
        }
        self.ask("new", name, profile, bus, identity)
        self._names.append(name)
        return Plugged(self, name, self.ask("plug", name))

    def clear(self) -> None:
        """Pull and destroy all keys."""
        for name in self._names:
            self.ask("remove", name)
        self._names.clear()

    def freeze(self) -> contextlib.AbstractContextManager[None]:
        """Keys that answer nothing at all meanwhile."""
        return self._job.stopped()

    def kill(self) -> None:
        """End the process without giving it time for anything."""
        self._job.stop()
        self._names.clear()


@dataclass
class Plugged:
    """A virtual key that is plugged in."""

    shelf: Shelf
    name: str
    node: str

    @property
    def selector(self) -> str:
        return f"usb:{self.node}"

    def set(self, *settings: str) -> None:
        self.shelf.ask("set", self.name, *settings)

    def pull(self) -> None:
        self.shelf.ask("unplug", self.name)

    def winks(self) -> int:
        return self.shelf.ask("winks", self.name)


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    for program in (EMULATOR, "fido2-token", "fido2-cred"):
        if shutil.which(program) is None:
            missing(program)
    try:
        kernel = parts()
    except PartsMissingError as error:
        missing(str(error))
    compileall.compile_dir(keyctl.__path__[0], quiet=1)
    with Guest(kernel) as guest:
        open_the_way_for_others(guest)
        modules = [module.name for module in pkgutil.walk_packages(keyctl.__path__, "keyctl.")]
        guest.load([PROJECT, Path(__file__).parent], [*modules, "key_server", "probes"])
        yield Computer(guest)


@pytest.fixture(scope="session")
def shelves(computer: Computer) -> Callable[[], Shelf]:
    """A function that makes more shelves."""
    count = 0

    def make() -> Shelf:
        nonlocal count
        count += 1
        return Shelf(computer.guest, f"/run/keys-{count}")

    return make


@pytest.fixture(scope="session")
def session_shelf(shelves: Callable[[], Shelf]) -> Shelf:
    return shelves()


@pytest.fixture
def shelf(session_shelf: Shelf) -> Iterator[Shelf]:
    """An empty one; what is plugged in from it is pulled after the test."""
    yield session_shelf
    session_shelf.clear()


def open_the_way_for_others(guest: Guest) -> None:
    """Let other users reach interpreter and project, which may lie in root's home folder."""
    folders = {*Path(sys.executable).parents, *Path(sys.executable).resolve().parents, *PROJECT.parents, PROJECT}
    assert guest.run("chmod", "o+x", *map(str, folders)).status == 0


def missing(what: str) -> None:
    """Skip, except where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"the guest needs {what}")
    pytest.skip(f"the guest needs {what}")
