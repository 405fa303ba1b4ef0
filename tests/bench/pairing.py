"""What a pairing costs: commands and touches of each key, and how long a derived key takes beside OpenSSL alone."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import children
import keys
from children import Program, clean_environment
from times import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

_DERIVING = Path(__file__).with_name("deriving.py")
PRIMARY, BACKUP = "blue", "green"
MAX_TOUCHES = {PRIMARY: 1, BACKUP: 3}
#: Times two multiplications of the base point and one key agreement.
MAX_DERIVING_RATIO = 2.0
DERIVED_KEYS = 1000
#: A line of ``--verbose`` about a command for which a key wants a touch.
_TOUCHED = re.compile(r"^keyctl: (makeCredential|getAssertion): ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PairingCount:
    """What one command sent to one of the two keys."""

    title: str
    key: str
    commands: int
    #: Commands that wait for a touch, on both keys.
    touches: int
    #: On both keys; None: there is no target.
    max_touches: int | None

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.max_touches is None or self.touches <= self.max_touches


@dataclass(frozen=True, kw_only=True)
class Deriving:
    """How long one derived public key takes, the least of many."""

    derived_s: float
    #: Two multiplications of the base point and one key agreement.
    openssl_s: float

    @property
    def ratio(self) -> float:
        """Times OpenSSL alone."""
        return self.derived_s / self.openssl_s

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio <= MAX_DERIVING_RATIO


def count_all(folder: Path) -> Iterator[PairingCount]:
    """Pairing two keys, a drill, and deriving, as both keys counted."""
    primary, backup = make(folder / "pairing")
    both = MAX_TOUCHES[PRIMARY] + MAX_TOUCHES[BACKUP]
    by_command = ("--pin-command", f"cat {primary.pin_file}")
    yield from _counted(primary, backup, ("pair", "create", PRIMARY, BACKUP, *by_command), both)
    yield from _counted(primary, backup, ("pair", "verify", *by_command), None)
    yield from _counted(primary, backup, ("pair", "derive", "--for", "ssh:server.example.com"), None)


def make(folder: Path) -> tuple[keys.BenchKey, keys.BenchKey]:
    """Two keys that can be paired, and that keyctl knows."""
    folder.mkdir()
    primary = keys.make(folder, sites=1, passkeys=1)
    backup = keys.BenchKey(name=BACKUP, home=primary.home, pin_file=primary.pin_file, sites=0, passkeys=0)
    children.done(backup.program("virtual", "new", BACKUP, "--profile", "arkg"))
    children.done(backup.with_pin("pin", "set"))
    for key in (primary, backup):
        children.done(key.program("add", key.name, "--key", key.selector))
    return primary, backup


def derive_cases(folder: Path) -> list[Case]:
    """What 1,000 derived keys in one run cost, in units of a start."""
    primary, _ = make(folder / "deriving")
    children.done(primary.program("pair", "create", PRIMARY, BACKUP, "--pin-command", f"cat {primary.pin_file}"))
    targets = folder / "targets"
    targets.write_text("".join(f"sign:release {number}\n" for number in range(DERIVED_KEYS)))
    words = ("pair", "derive", "--for-file", str(targets), "--from-record", "--dry-run", "--json")
    return [
        Case(title="--version", program=primary.program("--version")),
        Case(title=f"pair derive, {DERIVED_KEYS} keys", program=primary.program(*words)),
    ]


def deriving() -> Deriving:
    """The time of one derived key and of its OpenSSL operations, taken in one process, one after the other."""
    program = Program(words=(sys.executable, str(_DERIVING)), environment=clean_environment())
    told = json.loads(children.done(program).stdout)
    return Deriving(derived_s=told["derived_s"], openssl_s=told["openssl_s"])


def _counted(
    primary: keys.BenchKey, backup: keys.BenchKey, words: tuple[str, ...], max_touches: int | None
) -> Iterator[PairingCount]:
    for key in (primary, backup):
        key.count_commands()
    before = {key.name: key.commands_seen for key in (primary, backup)}
    done = children.done(primary.program(*words, "--verbose"))
    touches = len(_TOUCHED.findall(done.stderr))
    for key in (primary, backup):
        yield PairingCount(
            title=" ".join(words[:2]),
            key=key.name,
            commands=key.commands_seen - before[key.name],
            touches=touches,
            max_touches=max_touches,
        )
