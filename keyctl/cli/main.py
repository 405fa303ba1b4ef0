"""The entry point: runs one command, prints its outcome once, and turns every failure into its exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from keyctl import __version__
from keyctl.cli import terminal, usage
from keyctl.cli.frame import Outcome, RootGroup, Shown
from keyctl.cli.options import Settings, settings_of
from keyctl.errors import Exit, KeyctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = "keyctl"
_HOW_FAR = "what was done until then may stay done; give the command again for the rest"
#: Objects between two looks for garbage in circles, of which a run leaves next to none; Python looks every 700.
_GC_THRESHOLD = 100_000


def _version(_context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        raise Shown(Outcome(data={"version": __version__}, text=lambda: f"{_PROGRAM} {__version__}"))


@click.command(
    cls=RootGroup,
    name=_PROGRAM,
    invoke_without_command=True,
    epilog="Exit statuses, JSON and error codes: man fido-keyctl-json. This is not the keyctl of keyutils; "
    "the names keyctl and fido-keyctl start the same program.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.pass_context
def program(context: click.Context) -> Outcome | None:
    """Manage FIDO2 security keys of any vendor: PINs, passkeys and backups, over USB and NFC."""
    if context.invoked_subcommand is not None:
        return None
    from keyctl.cli.commands import status

    settings_of(context).command = "status"
    return status.first_screen(context)


def run() -> None:
    """Run the program with the arguments of this process."""
    gc.set_threshold(_GC_THRESHOLD)
    _keep_standard_descriptors()
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit status; stdout and stderr have been written.
    """
    settings = Settings(json="--json" in _before_separator(arguments))
    try:
        status = _complete() if _completion_variable() else _run(list(arguments), settings)
        _flush()
    except BrokenPipeError:
        if sys.stdout is not None:
            terminal.abandon(sys.stdout)
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        # Exit 1 is a bug and nothing else; its traceback, which Python prints, is what a report needs.
        if settings.json:
            bug = KeyctlError("bug", f"keyctl failed: {type(error).__name__}", "please report this with the traceback")
            _print_document(settings, Exit.BUG, None, [bug])
            _flush()
        raise
    return status


def _run(arguments: list[str], settings: Settings) -> int:
    try:
        outcome = _outcome(arguments, settings)
    except Shown as shown:
        outcome = shown.outcome
    except click.ClickException as error:
        return _failed(usage.from_click(error, _PROGRAM), settings)
    except KeyctlError as error:
        return _failed(error, settings)
    except (KeyboardInterrupt, click.Abort):
        return _failed(KeyctlError("interrupted", "interrupted", _HOW_FAR), settings)
    except SystemExit as end:
        if end.code != Exit.TERMINATED:
            raise
        return _failed(KeyctlError("terminated", "told to end", _HOW_FAR), settings)
    return _show(outcome, settings)


def _outcome(arguments: list[str], settings: Settings) -> Outcome:
    """Click's own ``main`` is not used: it turns a broken pipe into 1 and the end of input into an abort."""
    with program.make_context(_PROGRAM, arguments, obj=settings) as context:
        outcome = program.invoke(context)
    if not isinstance(outcome, Outcome):
        raise TypeError(f"{settings.command} has no outcome")
    return outcome


def _show(outcome: Outcome, settings: Settings) -> int:
    status = Exit.FOUND if outcome.found else Exit.DONE
    if outcome.errors and outcome.errors_count:
        status = outcome.errors[0].exit_status
    if settings.json:
        _print_document(settings, status, outcome.data, outcome.errors)
    elif outcome.insists or not settings.quiet:
        if text := outcome.text():
            _print(text)
        for note in outcome.notes if not settings.quiet else ():
            terminal.say(note)
    for error in outcome.errors:
        _say_error(error)
    return status if outcome.foreign_status is None else outcome.foreign_status


def _failed(error: KeyctlError, settings: Settings) -> int:
    if settings.json:
        _print_document(settings, error.exit_status, None, [error])
    _say_error(error)
    return error.exit_status


def _say_error(error: KeyctlError) -> None:
    terminal.say(f"{_PROGRAM}: error: {error.message}")
    if error.hint:
        terminal.say(f"{_PROGRAM}: hint: {error.hint}")


def _print_document(settings: Settings, status: int, data: object, errors: Sequence[KeyctlError]) -> None:
    from keyctl.cli.document import document

    _print(document(settings.command, status, data, errors))


def _print(text: str) -> None:
    if sys.stdout is None:
        raise BrokenPipeError
    with terminal.written():
        try:
            sys.stdout.write(f"{text}\n")
        except UnicodeEncodeError:
            # A terminal or a pipe that is not UTF-8: show what it can show.
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(f"{text}\n".encode(encoding, "backslashreplace").decode(encoding))


def _flush() -> None:
    """Find out now whether the output arrived, while there is still an exit status to tell it."""
    if sys.stdout is not None:
        with terminal.written():
            sys.stdout.flush()


def _keep_standard_descriptors() -> None:
    """Fill closed descriptors 0 to 2, or the next file that is opened, a key even, would take their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _terminated(_signal: int, _frame: object) -> None:
    """End by way of all ``finally`` blocks: they cancel the key's wait and restore the terminal's echo."""
    raise SystemExit(Exit.TERMINATED)


def _before_separator(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _completion_variable() -> str | None:
    """The variable by which a shell's completion script asks, one for each name of the program."""
    names = ("_KEYCTL_COMPLETE", "_FIDO_KEYCTL_COMPLETE")
    return next((name for name in names if os.environ.get(name)), None)


def _complete() -> int:
    from click.shell_completion import add_completion_class, shell_complete

    from keyctl.cli.bash_completion import WholeWords

    add_completion_class(WholeWords)
    variable = _completion_variable() or ""
    name = variable.removeprefix("_").removesuffix("_COMPLETE").lower().replace("_", "-")
    try:
        # Only a script that is not ours asks for something that there is not.
        with terminal.written():
            return Exit.USAGE if shell_complete(program, {}, name, variable, os.environ[variable]) else Exit.DONE
    except click.ClickException:
        # What is wrong in a line that is still being typed is told when it is run; until then nothing fits.
        return Exit.DONE
