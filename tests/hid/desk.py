"""The guest with a user at it: runs of keyctl and of other programs, and virtual keys to plug in."""

from __future__ import annotations

import compileall
import contextlib
import itertools
import json
import pkgutil
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guest import EMULATOR, Guest
from guest_parts import PartsMissingError, parts

import keyctl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guest import Finished, Job

CLIENTS = ("fido2-token", "fido2-cred", "fido2-assert", "ssh-keygen", "pamu2fcfg")

#: Number of a user without any rights.
NOBODY = 65534
#: Runs of keyctl in the guest, each of which takes a second at least.
MAX_RUNS = 80
PROJECT = Path(keyctl.__file__).parents[1]
VENDOR_ID = 0x1209
#: What keys tell in their keep-alives.
WORKING = "1"
WAITING_FOR_TOUCH = "2"


@dataclass(frozen=True)
class Told:
    """What one run of keyctl came to."""

    status: int
    document: dict[str, Any]
    #: What people were told.
    said: str

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

    def told(self) -> Told:
        done = self.job.wait()
        assert done.stdout, done.stderr
        return Told(done.status, json.loads(done.stdout), done.stderr)


class Computer:
    """The guest, with a user at it who has keyctl."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        #: The user's home folder, not there yet.
        self.home = "/run/home"
        self._runs = itertools.count(1)
        self._paths = itertools.count(1)

    def start_keyctl(
        self,
        *arguments: str,
        pin: str = "",
        user: int | None = None,
        terminal: bool = False,
    ) -> Running:
        """Start keyctl, with nothing but virtual keys in reach; the interpreter has loaded it already.

        Args:
            arguments: What is typed after its name.
            pin: What it reads as PIN; empty: it gets none.
            user: Number of the user; None: root.
            terminal: Whether it has one. Ctrl-C there is SIGINT here.
        """
        function = "probes:at_terminal" if terminal else "keyctl.cli.main:run"
        words = (*arguments, "--json", *(["--pin-stdin"] if pin else []))
        env = self._environment()
        return Running(self.guest.call(function, "keyctl", *words, stdin=pin, env=env, user=user))

    def start_keyctl_anew(self, *arguments: str, pin: str = "") -> Running:
        """Start keyctl as a user does it, in an interpreter of its own, which takes seconds."""
        words = (*arguments, "--json", *(["--pin-stdin"] if pin else []))
        argv = (sys.executable, "-m", "keyctl", *words)
        return Running(self.guest.start(*argv, stdin=pin, env=self._environment(), cwd=str(PROJECT)))

    def _environment(self) -> dict[str, str]:
        assert next(self._runs) <= MAX_RUNS, "too many runs of keyctl in the guest"
        return {"HOME": self.home, "KEYCTL_HOME": f"{self.home}/keyctl"}

    def keyctl(self, *arguments: str, pin: str = "", user: int | None = None) -> Told:
        return self.start_keyctl(*arguments, pin=pin, user=user).told()

    def run(self, *argv: str, status: int = 0, **how: Any) -> str:
        """Run another program; returns what it said."""
        done = self.guest.run(*argv, **how)
        assert done.status == status, (argv, done)
        return done.stdout

    def move_out(self) -> None:
        """Begin anew with nothing of keyctl's own, and nothing of the user's."""
        self.home = self.new_path()

    def new_path(self) -> str:
        """Where in the guest nothing is yet."""
        return f"/run/work-{next(self._paths)}"

    def probe(self, function: str, *arguments: str, user: int | None = None) -> Any:
        """Run a function of the module probes; returns what it printed."""
        done: Finished = self.guest.call(f"probes:{function}", function, *arguments, user=user).wait()
        assert done.status == 0, done.stderr
        return json.loads(done.stdout)

    def start_probe(self, function: str) -> Prompted:
        """Start a function of the module probes that waits for lines."""
        return Prompted(self.guest.call(f"probes:{function}", function, stdin=None))


class Prompted:
    """A function of the module probes that prints one thing for every line that it gets."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def ask(self) -> Any:
        return json.loads(self._job.ask(""))


class Shelf:
    """Virtual keys, and a process that plays them on the buses.

    Args:
        guest: Where.
        folder: For the keys' files, in the guest.
    """

    def __init__(self, guest: Guest, folder: str) -> None:
        self._job = guest.call("key_server:main", "key_server", folder, stdin=None)

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
        return Plugged(self, name, self.ask("plug", name))

    def clear(self) -> None:
        """Pull and destroy all keys."""
        self.ask("clear", None)

    def freeze(self) -> contextlib.AbstractContextManager[None]:
        """Keys that answer nothing at all meanwhile."""
        return self._job.stopped()

    def kill(self) -> None:
        """End the process without giving it time for anything."""
        self._job.stop()


@dataclass(frozen=True)
class Traffic:
    """What a key is asked, and answers: messages of CTAP or U2F, bytes without framing."""

    commands: int
    bytes_in: int
    bytes_out: int

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(
            self.commands - before.commands, self.bytes_in - before.bytes_in, self.bytes_out - before.bytes_out
        )


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

    def replug(self) -> None:
        """Pull it and plug it in again, where it may get another node."""
        self.pull()
        self.node = self.shelf.ask("plug", self.name)

    def winks(self) -> int:
        return self.shelf.ask("winks", self.name)

    def fill(self, pin: str, sites: int, passkeys: int) -> None:
        """Put so many passkeys on it, spread over so many sites; it has a PIN."""
        self.shelf.ask("fill", self.name, pin, sites, passkeys)

    def traffic(self) -> Traffic:
        """What it has seen since it was plugged in."""
        return Traffic(*self.shelf.ask("traffic", self.name))


@contextlib.contextmanager
def booted() -> Iterator[Computer]:
    """The guest as long as the ``with`` block.

    Raises:
        PartsMissingError: Something that it takes is not here.
    """
    for program in (EMULATOR, *CLIENTS):
        if shutil.which(program) is None:
            raise PartsMissingError(f"{program} is not installed")
    kernel = parts()
    compileall.compile_dir(keyctl.__path__[0], quiet=1)
    with Guest(kernel) as guest:
        _open_the_way_for_others(guest)
        modules = [module.name for module in pkgutil.walk_packages(keyctl.__path__, "keyctl.")]
        guest.load([PROJECT, Path(__file__).parent], [*modules, "key_server", "probes"])
        yield Computer(guest)


def _open_the_way_for_others(guest: Guest) -> None:
    """Let other users reach interpreter and project, which may lie in root's home folder."""
    folders = {*Path(sys.executable).parents, *Path(sys.executable).resolve().parents, *PROJECT.parents, PROJECT}
    assert guest.run("chmod", "o+x", *map(str, folders)).status == 0
