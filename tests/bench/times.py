"""How long commands take, in units of what Python and Click alone take on this machine at this minute."""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import children
import keys
from children import Program, clean_environment
from counts import MAX_PEAK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from keys import BenchKey

MAX_START_RATIO = 1.4
MAX_KEY_RATIO = 3.0
#: An answer that there is no key.
MAX_ALONE_S = 0.3
#: Times ``--version``.
MAX_COVERAGE_RATIO = 4.0
#: What is noted of keys for that.
NOTED_KEYS, NOTED_PASSKEYS, NOTED_SERVICES = 20, 1800, 200
#: Times ``--version``, with so many keys that are not here and so many passkeys, two for an account.
MAX_HEALTH_RATIO = 3.0
CHECKED_KEYS, CHECKED_PASSKEYS = 10, 1000
#: Times the reading of one key.
MAX_SCAN_RATIO = 1.2
#: Milliseconds that such a key takes for each command, and what is on it.
SLOW_MS, SLOW_SITES, SLOW_PASSKEYS = 20, 15, 25


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program to measure, and what is expected of it."""

    title: str
    #: None: it is not there.
    program: Program | None
    exit_status: int = 0
    #: Times the unit.
    max_ratio: float | None = None
    max_s: float | None = None
    max_bytes: int | None = field(default=MAX_PEAK_BYTES)
    #: What is missing, where there is no program.
    absent: str = "not installed"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The least that a case took in any round."""

    case: Case
    #: The title of the unit.
    unit: str
    wall_s: float
    cpu_s: float
    #: Of wall time, to the unit's; and of processor time.
    ratio: float
    cpu_ratio: float
    #: The most of any round.
    peak_bytes: int
    #: Why it counts for nothing, or None.
    failure: str | None

    @property
    def met(self) -> bool | None:
        """Whether the targets are met; None: it has none."""
        case = self.case
        if self.failure:
            return False
        limits = [(case.max_ratio, self.ratio), (case.max_s, self.wall_s), (case.max_bytes, self.peak_bytes)]
        set_limits = [(limit, value) for limit, value in limits if limit is not None]
        return all(value <= limit for limit, value in set_limits) if set_limits else None


def unit() -> Case:
    """What all times are measured in."""
    return Case(
        title='python -c "import click"',
        program=Program(words=(sys.executable, "-c", "import click"), environment=clean_environment()),
        max_bytes=None,
    )


def start_cases(folder: Path) -> list[Case]:
    """Starting, without a key; and what else there is for keys."""

    def own(*arguments: str, **added: str) -> Program:
        return _at(folder / "home-empty", *arguments, **added)

    completion = own(_KEYCTL_COMPLETE="bash_complete", COMP_WORDS="keyctl\np", COMP_CWORD="1")
    return [
        Case(title="--help", program=own("--help"), max_ratio=MAX_START_RATIO),
        Case(title="--version", program=own("--version"), max_ratio=MAX_START_RATIO),
        Case(title="passkeys delete --help", program=own("passkeys", "delete", "--help"), max_ratio=MAX_START_RATIO),
        Case(title="completion", program=completion, max_ratio=MAX_START_RATIO),
        Case(title="list, no key", program=own("list"), max_s=MAX_ALONE_S),
        Case(title="info, no key", program=own("info"), exit_status=3, max_s=MAX_ALONE_S),
        _rival("ykman", "--version"),
        _rival("fido2-token", "-L"),
    ]


def key_cases(measured_keys: Sequence[BenchKey]) -> list[Case]:
    """Commands about virtual keys, which compute what a key computes."""
    key = measured_keys[0]
    return [
        Case(title="list --json", program=key.program("list", "--json"), max_ratio=MAX_KEY_RATIO),
        Case(title="list", program=key.program("list")),
        Case(title="info --json", program=key.program("info", "--json"), max_ratio=MAX_KEY_RATIO),
        Case(
            title="info --json -k",
            program=key.program("info", "--json", "-k", key.selector),
            max_ratio=MAX_KEY_RATIO,
        ),
        *(_listing(key) for key in measured_keys),
    ]


def coverage_cases(folder: Path) -> list[Case]:
    """What a large inventory costs, in units of a start without one."""

    def noted(per_account: int) -> Program:
        home = folder / f"home-noted-{per_account}"
        keys.note(home, keys=NOTED_KEYS, passkeys=NOTED_PASSKEYS, services=NOTED_SERVICES, per_account=per_account)
        return _at(home, "coverage", "--json")

    title = f"coverage --json, {NOTED_PASSKEYS} passkeys on {NOTED_KEYS} keys"
    return [
        Case(title="--version", program=_at(folder / "home-empty", "--version")),
        Case(title=f"{title}, two for an account", program=noted(2), max_ratio=MAX_COVERAGE_RATIO),
        Case(title=f"{title}, one for an account", program=noted(1)),
    ]


def health_cases(folder: Path) -> list[Case]:
    """What a check costs while all keys lie in their drawers, in units of a start without an inventory."""
    home = folder / "home-checked"
    keys.note(home, keys=CHECKED_KEYS, passkeys=CHECKED_PASSKEYS, services=0, per_account=2)
    return [
        Case(title="--version", program=_at(folder / "home-empty", "--version")),
        Case(
            title=f"health --json --quiet, {CHECKED_KEYS} keys, {CHECKED_PASSKEYS // 2} accounts",
            program=_at(home, "health", "--json", "--quiet"),
            exit_status=10,
            max_ratio=MAX_HEALTH_RATIO,
        ),
    ]


def scan_cases(folder: Path) -> list[Case]:
    """What reading two slow keys costs, in units of reading one of them; they are alike."""
    made = keys.make_known(folder, ("blue", "red"), sites=SLOW_SITES, passkeys=SLOW_PASSKEYS)
    for key in made:
        children.done(key.program("virtual", "set", key.name, f"delay-ms={SLOW_MS}"))
    one, other = made

    def scan(*arguments: str) -> Program:
        return one.program("scan", "--json", "--pin-command", f"echo {keys.PIN}", *arguments)

    title = f"scan --json, {SLOW_PASSKEYS} passkeys, {SLOW_MS} ms a command"
    return [
        Case(title=f"{title}, one key", program=scan("-k", one.selector)),
        Case(title=f"{title}, the other", program=scan("-k", other.selector)),
        Case(title=f"{title}, both", program=scan(), max_ratio=MAX_SCAN_RATIO),
    ]


@contextlib.contextmanager
def reader_cases(measured_keys: Sequence[BenchKey], folder: Path) -> Iterator[list[Case]]:
    """Commands about copies, under *folder*, of the first and the last key on card readers, or why there are none."""
    # Copies, since a key in a reader is there only.
    copies = [keys.copied(key, folder) for key in (measured_keys[0], measured_keys[-1])]
    with contextlib.ExitStack() as stack:
        try:
            on_readers = stack.enter_context(keys.in_readers(copies))
        except keys.NoReaderError as error:
            yield [Case(title="card reader", program=None, absent=str(error))]
            return
        small = on_readers[0]
        yield [
            Case(title="info --json -k, card reader", program=small.program("info", "--json", "-k", small.selector)),
            *(_listing(key) for key in on_readers),
        ]


def measured(cases: Sequence[Case], rounds: int) -> list[Timing | Case]:
    """The timings of *cases*, the first of which is the unit; a case without a program stays one."""
    present = [case for case in cases if case.program]
    # The first round fills the caches of the machine and is thrown away.
    programs = [case.program for case in present if case.program]
    runs = [own[1:] for own in children.interleaved(programs, rounds + 1)]
    unit_wall_s = min(run.wall_s for run in runs[0])
    unit_cpu_s = min(run.cpu_s for run in runs[0])
    timings = {}
    for case, own in zip(present, runs, strict=True):
        bad = next((run for run in own if run.exit_status != case.exit_status), None)
        wall_s = min(run.wall_s for run in own)
        cpu_s = min(run.cpu_s for run in own)
        timings[case.title] = Timing(
            case=case,
            unit=present[0].title,
            wall_s=wall_s,
            cpu_s=cpu_s,
            ratio=wall_s / unit_wall_s,
            cpu_ratio=cpu_s / unit_cpu_s,
            peak_bytes=max(run.peak_bytes for run in own),
            failure=bad and f"exit status {bad.exit_status}, not {case.exit_status}",
        )
    return [timings.get(case.title, case) for case in cases]


def _at(home: Path, *arguments: str, **added: str) -> Program:
    """Keyctl with *arguments* in a home."""
    environment = clean_environment(KEYCTL_HOME=str(home), **added)
    return Program(words=(*children.keyctl(), *arguments), environment=environment)


def _listing(key: BenchKey) -> Case:
    where = ", card reader" if key.reader else ""
    return Case(
        title=f"passkeys list --json, {key.passkeys}{where}", program=key.with_pin("passkeys", "list", "--json")
    )


def _rival(name: str, *arguments: str) -> Case:
    path = children.beside(name) or shutil.which(name)
    program = Program(words=(path, *arguments), environment=clean_environment()) if path else None
    return Case(title=f"{name} {' '.join(arguments)}", program=program, max_bytes=None)
