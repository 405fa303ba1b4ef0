"""``keyctl recover ssh-agent``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyctl.cli.completions import files, pairing_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import settings_of, unicode_text, unicode_texts

if TYPE_CHECKING:
    from keyctl.cli.options import Settings
    from keyctl.operations.ssh_agent import Listening

_MAX_MINUTES = 12 * 60
_SECONDS_PER_MINUTE = 60
_COMMAND = "command"
#: Of the keys that are offered; more than this many no server lets anybody try, and they would fill the screen.
_SHOWN_KEYS = 8


class _WithCommand(Command):
    """A command that has another one after ``--``, whose words are its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the other command off before Click loses the ``--``."""
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        words = args[at + 1 :]
        if ctx.resilient_parsing:
            return rest
        if ctx.params.get(_COMMAND):
            raise click.UsageError("A command to run comes after --, like `-- ssh server.example.com`.", ctx)
        if at < len(args) and not words:
            raise click.UsageError("After -- comes a command to run.", ctx)
        ctx.params[_COMMAND] = tuple(words)
        return rest


def _minutes(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    """From 1 to :data:`_MAX_MINUTES`; unlike Click's IntRange, the help stays free of interval notation."""
    if value is not None and not 1 <= value <= _MAX_MINUTES:
        raise click.BadParameter(f"{value} is not from 1 to {_MAX_MINUTES}.")
    return value


@click.command(
    name="ssh-agent", cls=_WithCommand, short_help="Log in and sign over SSH with the backup key, as an agent."
)
@click.argument(
    "pairing",
    metavar="[PAIRING]",
    required=False,
    callback=unicode_text,
    shell_complete=pairing_names,
    help="The backup key's name, or PRIMARY/BACKUP; without it, the keys of all pairings are offered.",
)
@click.argument(
    _COMMAND,
    metavar="[-- COMMAND...]",
    nargs=-1,
    type=click.UNPROCESSED,
    help="A program to run, with its arguments, which finds the agent; its exit status is passed on.",
)
@click.option(
    "--for",
    "targets",
    metavar="TARGET",
    multiple=True,
    callback=unicode_texts,
    help="Offer the key for ssh:HOST or sign:LABEL first, recorded or not; may be given several times.",
)
@click.option(
    "--authorized-keys",
    metavar="FILE",
    shell_complete=files,
    help="Offer the derived keys in an authorized_keys file of a host too, recorded or not; - for stdin.",
)
@click.option(
    "--keep-pin",
    metavar="MINUTES",
    type=int,
    callback=_minutes,
    help="Keep the PIN in memory for so long, at most 720, instead of asking for it at each signature.",
)
@click.option("--allow-forwarded", is_flag=True, help="Let other computers ask, which ssh -A has brought here.")
@click.option(
    "--socket",
    metavar="PATH",
    shell_complete=files,
    help="Where the socket is to be; its folder must be yours alone to write in.",
)
@click.pass_context
def SSH_AGENT(  # noqa: N802  # as every command is named
    context: click.Context,
    *,
    pairing: str | None,
    command: tuple[str, ...],
    targets: tuple[str, ...],
    authorized_keys: str | None,
    keep_pin: int | None,
    allow_forwarded: bool,
    socket: str | None,
) -> Outcome:
    """Be an SSH agent that has the derived keys for ssh: and sign:, and signs with the connected backup key.

    Without a COMMAND it prints what a shell needs to find it, and runs until Ctrl-C. Each signature asks for the PIN
    and a touch, after it was shown who wants it and what for. Keys for ssh: sign logins and, as those for sign:, what
    ssh-keygen -Y and git sign.
    """
    from dataclasses import replace
    from pathlib import Path

    from keyctl.cli import app, input_files
    from keyctl.cli.foreground import InForeground
    from keyctl.core import contexts
    from keyctl.errors import Exit
    from keyctl.operations import agent_keys, ssh_agent

    settings = settings_of(context)
    if command and settings.json:
        raise click.UsageError("--json and a command exclude each other: stdout is the command's.", context)
    if command and settings.pin_stdin:
        raise click.UsageError("--pin-stdin and a command exclude each other: stdin is the command's.", context)
    if authorized_keys == "-" and settings.pin_stdin:
        raise click.UsageError("--authorized-keys - and --pin-stdin exclude each other.", context)
    circumstances = app.circumstances(context)
    wanted = [contexts.parse(text) for text in targets]
    authorized = input_files.content(authorized_keys, agent_keys.MAX_FILE_BYTES) if authorized_keys else None
    _end_with_the_terminal()
    try:
        status = ssh_agent.run(
            replace(circumstances, asker=InForeground(circumstances.asker)),
            pairing,
            wanted,
            authorized,
            manners=ssh_agent.Manners(
                allow_forwarded=allow_forwarded,
                keep_pin_s=None if keep_pin is None else keep_pin * _SECONDS_PER_MINUTE,
                place=None if socket is None else Path(socket),
            ),
            command=command,
            announce=lambda listening: _announce(listening, settings, alone=not command),
        )
    except KeyboardInterrupt:
        if not settings.json:
            raise
        # Its one document is printed already.
        raise SystemExit(Exit.INTERRUPTED) from None
    return Outcome(data={}, text=lambda: "", foreign_status=status)


def _announce(listening: Listening, settings: Settings, *, alone: bool) -> None:
    """Say where it is, before it waits; a command is told otherwise, and stdout is the command's."""
    import shlex

    from keyctl.cli import byte_streams, terminal
    from keyctl.cli.document import document

    if alone and settings.json:
        byte_streams.write(f"{document(settings.command, 0, listening, [])}\n".encode())
    elif alone:
        # Even where text is not wanted, this is what it is run for.
        byte_streams.write(f"SSH_AUTH_SOCK={shlex.quote(listening.socket)}; export SSH_AUTH_SOCK;\n".encode())
    if settings.quiet or settings.json:
        return
    for key in listening.keys[:_SHOWN_KEYS]:
        note = "" if key.recorded else " (not recorded here)"
        terminal.say(f"offers {key.target} of {key.pairing}, {key.fingerprint}{note}")
    if (more := len(listening.keys) - _SHOWN_KEYS) > 0:
        terminal.say(f"and {more} more; a server takes a few tries only: --for ssh:HOST puts the right one first")


def _end_with_the_terminal() -> None:
    """End as by SIGTERM when the terminal goes away, so that the socket goes too; unless that is to be ignored."""
    import signal

    hang_up: Any = getattr(signal, "SIGHUP", None)
    if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:
        signal.signal(hang_up, _hung_up)


def _hung_up(_signal: int, _frame: object) -> None:
    from keyctl.errors import Exit

    raise SystemExit(Exit.TERMINATED)
