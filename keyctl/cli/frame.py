"""Our own Click command and group: every one takes the shared options, and its help names them apart."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from keyctl.cli.catalogue import CATALOGUE, KEYUTILS_VERBS
from keyctl.cli.options import SHARED_OPTIONS, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

    from keyctl.errors import KeyctlError

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
SHARED_TITLE = "Options of every command"
_MAX_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command has to say, once; text and JSON are two views of it."""

    #: A dataclass or a mapping: the ``data`` of the JSON document.
    data: Any
    #: Makes the text for stdout when text is wanted, so that tables cost nothing otherwise.
    text: Callable[[], str]
    #: For people, on stderr.
    notes: Sequence[str] = ()
    errors: Sequence[KeyctlError] = ()
    #: Whether ``errors`` decide the exit status; `list` ends with 0 all the same.
    errors_count: bool = True
    #: Whether a check ran and found something.
    found: bool = False
    #: Whether the text is printed with ``--quiet`` too, because somebody has to hear of it.
    insists: bool = False
    #: The exit status by the convention of another program, in the place of our own; None: our own.
    foreign_status: int | None = None


class Shown(Exception):  # noqa: N818  # no error: it ends the parsing early, as click.exceptions.Exit does
    """Help or the version was asked for, so nothing else happens."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def help_outcome(context: click.Context) -> Outcome:
    """The help of the command of *context*."""
    content = context.get_help()
    return Outcome(data={"content": content}, text=lambda: content)


def _show_help(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        raise Shown(help_outcome(context))


class _Shared(click.Command):
    """What Command and Group have in common."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = CONTEXT_SETTINGS | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *SHARED_OPTIONS]

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Note how far the command line was recognised before anything in it can fail."""
        if parent is not None:
            settings = settings_of(parent)
            settings.command = f"{settings.command} {info_name}" if settings.command else info_name
        else:
            extra["terminal_width"] = _width()
        return super().make_context(info_name, args, parent, **extra)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Make ``--help`` an outcome like any other, so that it is JSON where JSON is wanted."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the command's own options, a group's commands, and last the options that are the same everywhere."""
        _write_options(
            ctx,
            formatter,
            "Options",
            [
                param
                for param in self.get_params(ctx)
                if isinstance(param, click.Option) and param not in SHARED_OPTIONS
            ],
        )
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        _write_options(ctx, formatter, SHARED_TITLE, SHARED_OPTIONS)


def _width() -> int:
    """The columns for help; Click would import shutil and with it five compression modules to find out."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        columns = 80
    return max(min(columns, _MAX_WIDTH) - 2, 40)


def _write_options(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Sequence[click.Parameter]
) -> None:
    records = [record for param in params if (record := param.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def not_this_program(what: str, context: click.Context) -> click.UsageError:
    """The explanation for somebody who means the other program of this name."""
    return click.UsageError(
        f"{what} of the keyctl of keyutils, which manages the Linux kernel's keyrings; "
        "this keyctl manages FIDO2 security keys",
        context,
    )


class Command(_Shared):
    """A command with the shared options."""


class Group(_Shared, click.Group):
    """A group whose commands and subgroups are of our classes too."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # A missing command is a usage error like others, not a page of help that ends with 2.
        super().__init__(*args, no_args_is_help=False, **kwargs)


class RootGroup(Group):
    """The program: it knows all commands by name and one line, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which people need them."""
        return list(CATALOGUE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in CATALOGUE:
            return None
        module = importlib.import_module(f"keyctl.cli.commands.{CATALOGUE[cmd_name].module}")
        command: click.Command = module.COMMAND
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Explain the verbs of the other program of this name."""
        if args and args[0] not in CATALOGUE and args[0] in KEYUTILS_VERBS:
            raise not_this_program(f"'{args[0]}' is a command", ctx)
        if args and args[0] not in CATALOGUE and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=CATALOGUE, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete from the catalogue, without importing the commands."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=entry.summary) for name, entry in CATALOGUE.items() if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the catalogue without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in CATALOGUE.items()])
