"""Click's usage errors in our form: lower case, no full stop, where to look, and never a PIN that was typed there."""

from __future__ import annotations

import click

from keyctl.cli.catalogue import ASKING_FOR_PIN, NOT_KEYUTILS, OTHER_WORDS
from keyctl.errors import UsageError

#: How Click's sentences about a word too many and a word too few begin.
_EXTRA, _MISSING = "Got unexpected extra argument", "Missing command"
#: And how they tell of one that is a keyring of the other keyctl: ``@u``, ``@s``.
_OTHERS_KEYRING = "(@"
_NEVER_PROPOSED = "reset"


def from_click(error: click.ClickException, program: str) -> UsageError:
    """What Click says of a command line that is wrong.

    Args:
        error: As Click raised it.
        program: The program's name.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    message, hint = error.format_message(), f"see `{program} --help`"
    if context is not None:
        message = _message(error, context)
        hint = _hint(error, context, f"see `{context.command_path} --help`")
    message = " ".join(message.split()).replace(". Choose from:", "; choose from")
    return UsageError("usage", message[:1].lower() + message[1:].rstrip("."), hint)


def _message(error: click.ClickException, context: click.Context) -> str:
    """Click's sentence; where it repeats words of which one may be a PIN, another one."""
    if _is_extra(error):
        names = " ".join(argument.make_metavar(context) for argument in _arguments(context))
        return f"{context.command_path} takes no argument{f' but {names}' if names else ''}"
    # No command is called by a number, but many a PIN is one.
    if isinstance(error, click.exceptions.NoSuchCommand) and (_asks_for_pin(context) or error.command_name.isdigit()):
        return f"{context.command_path} has no such command"
    if _is_number(error):
        return f"{context.command_path} has no such option"
    if isinstance(error, click.exceptions.NoSuchCommand | click.NoSuchOption):
        return error.message
    return error.format_message()


def _hint(error: click.ClickException, context: click.Context, see: str) -> str:
    unknown = error.command_name if isinstance(error, click.exceptions.NoSuchCommand) else None
    if context.parent is None and unknown in OTHER_WORDS:
        return OTHER_WORDS[unknown]
    if (guesses := _guesses(error)) and not _is_number(error):
        return f"did you mean {' or '.join(guesses)}? {see}"
    hints = []
    if _is_extra(error) and _OTHERS_KEYRING in error.message:
        hints.append(NOT_KEYUTILS)
    if _is_extra(error) and not _arguments(context):
        hints.append("a key is chosen with -k KEY")
    if unknown is not None or error.message.startswith(_MISSING):
        hints += _commands(context)
    if _asks_for_pin(context) and (unknown is not None or _is_extra(error) or _is_number(error)):
        hints.append("a PIN is never an argument: type it at the prompt, or give --pin-stdin or --pin-file FILE")
    return "; ".join([*hints, see])


def _guesses(error: click.ClickException) -> list[str]:
    """What is spelt like a word that there is not; nobody is led to what erases a key by such a likeness."""
    if not isinstance(error, click.exceptions.NoSuchCommand | click.NoSuchOption):
        return []
    return [f"`{name}`" for name in sorted(error.possibilities or ()) if name != _NEVER_PROPOSED]


def _commands(context: click.Context) -> list[str]:
    """The commands of a group, in a sentence; not those of the program, which are many."""
    if not isinstance(context.command, click.Group) or context.parent is None:
        return []
    return [f"its commands are {', '.join(context.command.list_commands(context))}"]


def _is_extra(error: click.ClickException) -> bool:
    return error.message.startswith(_EXTRA)


def _is_number(error: click.ClickException) -> bool:
    """Whether it is about an option with a digit in it, which none has and many a PIN."""
    return isinstance(error, click.NoSuchOption) and any(map(str.isdigit, error.option_name))


def _arguments(context: click.Context) -> list[click.Argument]:
    return [param for param in context.command.params if isinstance(param, click.Argument)]


def _asks_for_pin(context: click.Context) -> bool:
    """Whether the command, or some of its group, asks for a PIN, so that somebody may type it there."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return context.info_name in ASKING_FOR_PIN
