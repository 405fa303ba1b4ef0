"""``keyctl demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.errors import Exit, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIN = "demo-4711"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command line, really run, and what it printed."""

    about: str
    command: str
    exit_status: int
    output: str


@click.command(name="demo", cls=Command, short_help="Play the main jobs on virtual keys, without hardware.")
def COMMAND() -> Outcome:  # noqa: N802  # as in the catalogue
    """Play the main jobs on virtual keys, without hardware.

    Every line is really run, in a folder of its own that is deleted at the end. Asks nothing and touches no key of
    yours.
    """
    import tempfile

    try:
        with tempfile.TemporaryDirectory(prefix="keyctl-demo-") as folder:
            steps = list(_play(Path(folder)))
    except OSError as error:
        raise _no_room() from error
    return Outcome(data={"steps": steps}, text=lambda: "\n".join(_text(step) for step in steps))


def _play(folder: Path) -> Iterator[Step]:
    from keyctl.operations import demonstration

    pin_file = folder / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(f"{_PIN}\n")
    wrong_file = folder / "wrong-pin"
    wrong_file.touch(mode=0o600)
    wrong_file.write_text("not the PIN\n")
    home = folder / "home"

    def step(about: str, command: str, expected: int = 0) -> Step:
        done = _run(about, command, folder, home)
        if done.exit_status == Exit.INTERRUPTED:
            raise KeyboardInterrupt
        if done.exit_status == Exit.STORE:
            raise _no_room()
        if done.exit_status != expected:
            # A demonstration that goes on after a failure would show things that are not so.
            raise RuntimeError(f"`{command}` ended with {done.exit_status}: {done.output}")
        return done

    yield step("two keys: blue for the key ring, green for the safe", "keyctl virtual new blue")
    yield step("", "keyctl virtual new green")
    yield step("both get a PIN", "keyctl pin set --key virtual:blue --pin-file pin")
    yield step("", "keyctl pin set --key virtual:green --pin-file pin")
    yield step("and a name, by which they are known again", "keyctl add blue --role primary --key virtual:blue")
    yield step("", "keyctl add green --role backup --location 'the safe' --key virtual:green")
    yield step("what is connected?", "keyctl list")
    yield step("what is it, and what can it do?", "keyctl info --key blue")
    ids = demonstration.sign_up(home, "blue", _PIN, demonstration.PRIMARY_SITES)
    demonstration.sign_up(home, "green", _PIN, demonstration.BACKUP_SITES)
    yield step(
        "(a browser has signed up at three sites with blue, at two with green) what do they open?",
        "keyctl scan --key blue --pin-file pin",
    )
    yield step("", "keyctl scan --key green --pin-file pin")
    yield step(
        "a second factor is on no list that a key could print, so it is noted by hand",
        "keyctl service add PayPal --account kim --on blue --recovery sms",
    )
    yield step("which account does only one key open?", "keyctl coverage")
    yield step("and what is to be done about it?", "keyctl coverage --missing green")
    yield step(
        "a wrong PIN costs one try, and says so",
        "keyctl passkeys list --key blue --pin-file wrong-pin",
        expected=Exit.PIN,
    )
    bank, code = ids[1][:16], ids[2][:16]
    yield step(
        "after that none is spent without a person, unless told so; names can be changed",
        f"keyctl passkeys rename {bank} --user-name kim.lee@bank.example --key blue --pin-file pin --try-pin-again",
    )
    yield step(
        "what only this key opens is not deleted by a mere --yes",
        f"keyctl passkeys delete {code} --yes --key blue --pin-file pin",
        expected=Exit.USAGE,
    )
    yield step("scripts read JSON", "keyctl coverage --json")
    yield step("green is plugged in anew and erased", "keyctl virtual unplug green")
    yield step("", "keyctl virtual plug green")
    yield step("", "keyctl reset --key green --confirm green")
    yield step("blue is taken out; what is known is known without any key", "keyctl virtual unplug blue")
    yield step("", "keyctl coverage --check", expected=Exit.FOUND)


def _no_room() -> StoreError:
    return StoreError(
        "store_unwritable",
        "the demonstration cannot write its files to the folder for temporary files",
        "make room there, or name another folder with TMPDIR",
    )


def _run(about: str, command: str, folder: Path, home: Path) -> Step:
    """Run one command line in this process, as if typed in *folder*."""
    import contextlib
    import io
    import shlex

    from keyctl.cli.main import main

    words = shlex.split(command)[1:]
    if "--pin-file" in words:
        at = words.index("--pin-file") + 1
        words[at] = str(folder / words[at])
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main([*words, "--home", str(home)])
    return Step(about=about, command=command, exit_status=status, output=output.getvalue().rstrip("\n"))


def _text(step: Step) -> str:
    from keyctl.core.text import visible

    heading = f"\n# {step.about}\n" if step.about else ""
    status = f"\n[exit {step.exit_status}]" if step.exit_status else ""
    output = "\n".join(visible(line) for line in step.output.split("\n"))
    return f"{heading}$ {step.command}\n{output}{status}"
