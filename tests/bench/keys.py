"""Virtual keys to measure with: homes with one key each, so that no key costs the time of another."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import children

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "blue"
PIN = "correct-horse"
_FILL = Path(__file__).with_name("filling.py")
_NOTE = Path(__file__).with_name("noting.py")
_NFC = Path(__file__).parents[1] / "nfc"
#: The key counts its commands down from here to the fault that it is to have then.
_ODOMETER = 1_000_000


@dataclass(frozen=True, kw_only=True)
class BenchKey:
    """A virtual key with a PIN, mostly alone in its home."""

    name: str = NAME
    home: Path
    pin_file: Path
    sites: int
    passkeys: int
    #: The reader of the test's own smart card service that it is in; None: reached as virtual key.
    reader: str | None = None
    socket: str | None = None

    @property
    def selector(self) -> str:
        """What ``--key`` takes."""
        return f"nfc:{self.reader}" if self.reader else f"virtual:{self.name}"

    @property
    def where(self) -> str:
        """How it is reached, as a word for a table."""
        return "card reader" if self.reader else "virtual"

    def program(self, *arguments: str) -> children.Program:
        """Keyctl with *arguments*, in this home."""
        added = {"KEYCTL_HOME": str(self.home)}
        if self.socket:
            added["PCSCLITE_CSOCK_NAME"] = self.socket
        return children.Program(words=(*children.keyctl(), *arguments), environment=children.clean_environment(**added))

    def with_pin(self, *arguments: str) -> children.Program:
        """The same about this key, with its PIN in a file of one line: a second entry would find none."""
        return self.program(*arguments, "--key", self.selector, "--pin-file", str(self.pin_file))

    def count_commands(self) -> None:
        """Have the key count what it is sent from now on."""
        children.done(self.program("virtual", "set", self.name, "fault=none", f"fault={_ODOMETER}:busy"))

    @property
    def commands_seen(self) -> int:
        """How many commands the key has got since it counts."""
        settings = json.loads((self.home / "virtual" / f"{self.name}.settings.json").read_text())
        (left,) = settings["faults"]
        return _ODOMETER - int(left.split(":")[0])


def make(folder: Path, *, sites: int, passkeys: int) -> BenchKey:
    """A new key in a home under *folder*, with so many passkeys spread over so many sites."""
    return _made(folder, folder / f"home-{passkeys}", NAME, sites, passkeys)


def make_known(folder: Path, names: Sequence[str], *, sites: int, passkeys: int) -> tuple[BenchKey, ...]:
    """Several such keys in one home, all of which keyctl knows, by their names."""
    made = tuple(_made(folder, folder / f"home-of-{len(names)}", name, sites, passkeys) for name in names)
    for key in made:
        children.done(key.program("add", key.name, "--key", key.selector))
    return made


def note(home: Path, *, keys: int, passkeys: int, services: int, per_account: int) -> None:
    """Note keys that are not here in the inventory of *home*, what is on them, and services."""
    words = (sys.executable, str(_NOTE), str(home), *map(str, (keys, passkeys, services, per_account)))
    children.done(children.Program(words=words, environment=children.clean_environment()))


def _made(folder: Path, home: Path, name: str, sites: int, passkeys: int) -> BenchKey:
    pin_file = folder / "pin"
    if not pin_file.exists():
        pin_file.touch(0o600)
        pin_file.write_text(f"{PIN}\n")
    key = BenchKey(name=name, home=home, pin_file=pin_file, sites=sites, passkeys=passkeys)
    children.done(key.program("virtual", "new", name))
    children.done(key.with_pin("pin", "set"))
    if passkeys:
        # In a process of its own: what fills keys is large, and children never seem smaller than who starts them.
        words = (sys.executable, str(_FILL), str(home), name, PIN, str(sites), str(passkeys))
        children.done(children.Program(words=words, environment=children.clean_environment()))
    return key


def copied(key: BenchKey, folder: Path) -> BenchKey:
    """A second key with the same content, in a home under *folder*."""
    home = folder / key.home.name
    shutil.copytree(key.home, home)
    return replace(key, home=home)


class NoReaderError(Exception):
    """There can be no card reader here; the text says what is missing."""


@contextlib.contextmanager
def in_readers(measured: Sequence[BenchKey]) -> Iterator[tuple[BenchKey, ...]]:
    """The same keys in the readers of a smart card service of our own.

    Raises:
        NoReaderError: Something that this takes is not installed.
    """
    sys.path.append(str(_NFC))
    import daemon

    with contextlib.ExitStack() as stack:
        try:
            slots = stack.enter_context(daemon.running())
        except daemon.MissingPartError as error:
            raise NoReaderError(f"{error} is not installed") from error
        for key, slot in zip(measured, slots, strict=False):
            stack.enter_context(_attached(key, slot.port))
            slot.wait(card=True)
        socket = str(daemon.FOLDER / "pcscd.comm")
        yield tuple(replace(key, reader=slot.reader, socket=socket) for key, slot in zip(measured, slots, strict=False))


@contextlib.contextmanager
def _attached(key: BenchKey, port: int) -> Iterator[None]:
    program = key.program("virtual", "attach", key.name, "--nfc", "--port", str(port))
    process = subprocess.Popen(
        program.words,
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
