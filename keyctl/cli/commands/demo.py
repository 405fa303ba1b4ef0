"""``keyctl demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.errors import Exit, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIN = "demo-4711"
_NOTES = "notes.txt"


@dataclass(frozen=True, kw_only=True)
class DemoStep:
    """One command line, really run, and what it printed; or what a site and a browser said to each other."""

    about: str
    #: None: no command of keyctl is needed for it.
    command: str | None
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


def _play(folder: Path) -> Iterator[DemoStep]:
    player = _Player(folder)
    yield from _play_accounts(player)
    yield from _play_loss(_Player(folder, "second home"))
    yield from _play_draft(player)


class _Player:
    """Runs the command lines of the story.

    Args:
        folder: Where the files that they name are.
        home: The folder in it for keyctl's own.
    """

    def __init__(self, folder: Path, home: str = "home") -> None:
        self._folder = folder
        self.home = folder / home
        for name, content in (("pin", _PIN), ("wrong-pin", "not the PIN"), (_NOTES, "what kim wants to sign")):
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(f"{content}\n")

    def run(self, about: str, command: str, expected: int = 0) -> DemoStep:
        """One command line, which has to end with *expected*."""
        done = _run(about, command, self._folder, self.home)
        if done.exit_status == Exit.INTERRUPTED:
            raise KeyboardInterrupt
        if done.exit_status == Exit.STORE:
            raise _no_room()
        if done.exit_status != expected:
            # A demonstration that goes on after a failure would show things that are not so.
            raise RuntimeError(f"`{command}` ended with {done.exit_status}: {done.output}")
        return done

    def told(self, about: str, scene: Callable[[], list[str]]) -> DemoStep:
        """What is said where keyctl has no part in it."""
        try:
            lines = scene()
        except StoreError as error:
            raise _no_room() from error
        return DemoStep(about=about, command=None, exit_status=Exit.DONE, output="\n".join(lines))


def _play_accounts(player: _Player) -> Iterator[DemoStep]:
    """Two keys, what they open, and what only one of them opens."""
    from keyctl.operations import demonstration

    yield player.run("two keys: blue for the key ring, green for the safe", "keyctl virtual new blue")
    yield player.run("", "keyctl virtual new green")
    yield player.run("both get a PIN", "keyctl pin set --key virtual:blue --pin-file pin")
    yield player.run("", "keyctl pin set --key virtual:green --pin-file pin")
    yield player.run("and a name, by which they are known again", "keyctl add blue --role primary --key virtual:blue")
    yield player.run("", "keyctl add green --role backup --location 'the safe' --key virtual:green")
    yield player.run("what is connected?", "keyctl list")
    yield player.run("what is it, and what can it do?", "keyctl info --key blue")
    ids = demonstration.sign_up(player.home, "blue", _PIN, demonstration.PRIMARY_SITES)
    demonstration.sign_up(player.home, "green", _PIN, demonstration.BACKUP_SITES)
    yield player.run(
        "(a browser has signed up at three sites with blue, at two with green) what do they open?",
        "keyctl scan --key blue --pin-file pin",
    )
    yield player.run("", "keyctl scan --key green --pin-file pin")
    yield player.run(
        "a second factor is on no list that a key could print, so it is noted by hand",
        "keyctl service add PayPal --account kim --on blue --recovery sms",
    )
    yield player.run("which account does only one key open?", "keyctl coverage")
    yield player.run("and what is to be done about it?", "keyctl coverage --missing green")
    yield player.run(
        "a wrong PIN costs one try, and says so",
        "keyctl passkeys list --key blue --pin-file wrong-pin",
        expected=Exit.PIN,
    )
    bank, code = ids[1][:16], ids[2][:16]
    yield player.run(
        "after that none is spent without a person, unless told so; names can be changed",
        f"keyctl passkeys rename {bank} --user-name kim.lee@bank.example --key blue --pin-file pin --try-pin-again",
    )
    yield player.run(
        "what only this key opens is not deleted by a mere --yes",
        f"keyctl passkeys delete {code} --yes --key blue --pin-file pin",
        expected=Exit.USAGE,
    )
    yield player.run("scripts read JSON", "keyctl coverage --json")
    yield player.run("green is plugged in anew and erased", "keyctl virtual unplug green")
    yield player.run("", "keyctl virtual plug green")
    yield player.run("", "keyctl reset --key green --confirm green")
    yield player.run("blue is taken out; what is known is known without any key", "keyctl virtual unplug blue")
    yield player.run("", "keyctl coverage --check", expected=Exit.FOUND)


def _play_loss(player: _Player) -> Iterator[DemoStep]:
    """A backup key that can take over, and the day when it has to."""
    from keyctl.operations import demonstration

    yield player.run(
        "somebody else has copper for the key ring, and steel, which makes seeds, for the safe",
        "keyctl virtual new copper",
    )
    yield player.run("", "keyctl virtual new steel --profile arkg")
    for name in ("copper", "steel"):
        yield player.run("", f"keyctl pin set --key virtual:{name} --pin-file pin")
    yield player.run("", "keyctl add copper --role primary --key virtual:copper")
    yield player.run("", "keyctl add steel --role backup --location 'the safe' --key virtual:steel")
    demonstration.sign_up(player.home, "copper", _PIN, demonstration.PRIMARY_SITES)
    demonstration.sign_up(player.home, "steel", _PIN, demonstration.BACKUP_SITES)
    yield player.run("(a browser has signed up with both)", "keyctl scan --pin-command 'cat pin'")
    yield player.run(
        "pair them: steel makes a seed and proves that it holds it, copper keeps the public half",
        "keyctl pair create copper steel --pin-command 'cat pin'",
    )
    yield player.run("steel goes into the safe", "keyctl virtual unplug steel")
    yield player.run(
        "and still there is a new key for a server, for which only steel can sign",
        "keyctl pair derive --for ssh:server.example.com",
    )
    yield player.run("it is installed there", "keyctl pair derive --handed-over ssh:server.example.com")
    yield player.run("what is not well?", "keyctl health", expected=Exit.FOUND)
    yield player.run("copper is lost; what now?", "keyctl virtual unplug copper")
    yield player.run("", "keyctl lost copper")
    yield player.run("steel is fetched, and signs as the server knows it", "keyctl virtual plug steel")
    yield player.run("", f"keyctl recover sign --for ssh:server.example.com --sshsig file {_NOTES} --pin-file pin")
    yield player.run("it takes copper's place", "keyctl recover promote --confirm copper")
    yield player.run("the one next thing to do", "keyctl")


def _play_draft(player: _Player) -> Iterator[DemoStep]:
    """The five steps of the WebAuthn draft: pair, store, lose, recover, promote."""
    from keyctl.operations.demo_recovery import Story

    story = Story(player.home, _PIN)
    yield player.run(
        "a DRAFT of WebAuthn, which no browser, no site and no key on sale has: two more virtual keys play it",
        "keyctl virtual new gold --profile draft",
    )
    yield player.run("", "keyctl virtual new iron --profile draft")
    yield player.run("", "keyctl pin set --key virtual:gold --pin-file pin")
    yield player.run("", "keyctl pin set --key virtual:iron --pin-file pin")
    yield player.run("", "keyctl add gold --role primary --key virtual:gold")
    yield player.run("", "keyctl add iron --role backup --location 'the safe' --key virtual:iron")
    yield player.told("(a browser signs up with gold)", lambda: story.sign_up("gold"))
    yield player.run(
        "draft, step 1 of 5: pair; iron hands its seed to gold",
        "keyctl pair create gold iron --method webauthn_draft --pin-command 'cat pin'",
    )
    yield player.run("it proves that it could recover, and goes into the safe", "keyctl pair verify --pin-file pin")
    yield player.run("", "keyctl virtual unplug iron")
    yield player.told("draft, step 2 of 5: log in; the site sees the new seed", lambda: story.log_in("gold"))
    yield player.told("from then on it is one touch as before", lambda: story.log_in("gold"))
    yield player.run("draft, step 3 of 5: gold is lost; iron is fetched", "keyctl virtual unplug gold")
    yield player.run("", "keyctl virtual plug iron")
    yield player.told("(a curious site asks for more than its due)", lambda: story.linking("iron"))
    yield player.told("draft, steps 4 and 5 of 5: recover, and promote the backup", lambda: story.recover("iron"))
    yield player.told("iron logs in as gold did", lambda: story.log_in("iron"))
    yield player.run("somebody finds gold, and knows the PIN", "keyctl virtual plug gold")
    yield player.told("", lambda: story.thief("gold"))


def _no_room() -> StoreError:
    return StoreError(
        "store_unwritable",
        "the demonstration cannot write its files to the folder for temporary files",
        "make room there, or name another folder with TMPDIR",
    )


def _run(about: str, command: str, folder: Path, home: Path) -> DemoStep:
    """Run one command line in this process, as if typed in *folder*."""
    import contextlib
    import io
    import shlex

    from keyctl.cli.main import main

    words = shlex.split(command)[1:]
    if "--pin-file" in words:
        at = words.index("--pin-file") + 1
        words[at] = str(folder / words[at])
    if "--pin-command" in words:
        at = words.index("--pin-command") + 1
        program, file = words[at].split()
        words[at] = shlex.join([program, str(folder / file)])
    words = [str(folder / word) if word == _NOTES else word for word in words]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main([*words, "--home", str(home)])
    return DemoStep(about=about, command=command, exit_status=status, output=output.getvalue().rstrip("\n"))


def _text(step: DemoStep) -> str:
    from keyctl.core.text import visible

    heading = f"\n# {step.about}\n" if step.about else ""
    command = f"$ {step.command}\n" if step.command is not None else ""
    status = f"\n[exit {step.exit_status}]" if step.exit_status else ""
    output = "\n".join(visible(line) for line in step.output.split("\n"))
    return f"{heading}{command}{output}{status}"
