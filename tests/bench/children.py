"""Running programs as children, and what each one cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A child that takes longer is killed: it hangs.
LIMIT_S = 60.0
#: Unit of ru_maxrss.
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
#: How names begin of what could make a child of ours behave in another way than that of the next person. Without the
#: last one, each run would compile anew what was edited since somebody was allowed to keep the result.
_FOREIGN = (
    "KEYCTL_",
    "_KEYCTL_",
    "_FIDO_KEYCTL_",
    "COMP_",
    "PYTHONDEVMODE",
    "PYTHONWARNINGS",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONDONTWRITEBYTECODE",
)

Arguments = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command line and what it finds in its environment."""

    words: Arguments
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a program."""

    #: As the shell sees it; negative: the signal that killed it.
    exit_status: int
    wall_s: float
    #: User and system time together.
    cpu_s: float
    #: Never less than what the process that started it needed itself.
    peak_bytes: int
    stdout: str
    stderr: str


def clean_environment(**added: str) -> dict[str, str]:
    """The environment of this process without what concerns keyctl, and with *added*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"COLUMNS": "80", "LC_ALL": "C.UTF-8"} | added


def keyctl() -> Arguments:
    """The command that starts keyctl: the script of this interpreter's environment, else the module."""
    script = beside("keyctl")
    return (script,) if script else (sys.executable, "-m", "keyctl")


def beside(name: str) -> str | None:
    """The program *name* of this interpreter's environment."""
    path = Path(sys.executable).parent / name
    return str(path) if os.access(path, os.X_OK) else None


def run(program: Program, *, keep: bool = True) -> Run:
    """Run *program* to its end, with nothing on its stdin and no terminal.

    Args:
        program: What to run.
        keep: Whether to keep what it says, which makes this process larger, and so all later ones.
    """
    # Files, not pipes: nobody has to read them meanwhile.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        started = time.perf_counter()
        child = subprocess.Popen(
            program.words,
            env=program.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        watchdog = threading.Timer(LIMIT_S, child.kill)
        watchdog.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
            wall_s = time.perf_counter() - started
        finally:
            watchdog.cancel()
        # Popen did not see the end itself.
        child.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        return Run(
            exit_status=child.returncode,
            wall_s=wall_s,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * _RSS_BYTES,
            stdout=stdout.read().decode(errors="replace") if keep else "",
            stderr=stderr.read().decode(errors="replace") if keep else "",
        )


class FailedError(Exception):
    """A program without which nothing can be measured failed; the text says which and how."""


def done(program: Program) -> Run:
    """Run *program*, which has to end well.

    Raises:
        FailedError: It does not.
    """
    result = run(program)
    if result.exit_status:
        raise FailedError(f"{' '.join(program.words)}: exit status {result.exit_status}\n{result.stderr}")
    return result


def interleaved(programs: Sequence[Program], rounds: int) -> list[list[Run]]:
    """All runs of each program, taken in turn, so that a busy minute of the machine hits all alike.

    What they said is not kept.
    """
    runs: list[list[Run]] = [[] for _ in programs]
    for _ in range(rounds):
        for program, own in zip(programs, runs, strict=True):
            own.append(run(program, keep=False))
    return runs
