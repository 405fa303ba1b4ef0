"""``keyctl pin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Group, Outcome
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.operations.pins import KeyChange

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything that needs no PIN, change nothing.")


@click.group(name="pin", cls=Group, short_help="Set, change or try the PIN of a key.")
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """Set, change or try the PIN of a key.

    PINs are asked for at the terminal; scripts give them with --pin-stdin, --pin-file or --pin-command, and name the
    key with --key. A wrong PIN costs one try, and keyctl never tries one twice.
    """


@COMMAND.command(name="set", short_help="Give a key its first PIN.")
@_DRY_RUN
@click.pass_context
def set_first(context: click.Context, *, dry_run: bool) -> Outcome:
    """Give a key its first PIN.

    A PIN is 4 to 63 characters of any kind; some keys want more than 4.
    """
    from keyctl.operations import pins

    return _outcome(context, lambda session, facts: pins.set_first(session, facts, dry_run=dry_run), "has a PIN now")


@COMMAND.command(name="change", short_help="Replace the PIN of a key.")
@_DRY_RUN
@click.pass_context
def change(context: click.Context, *, dry_run: bool) -> Outcome:
    """Replace the PIN of a key; asks for the current one, then for the new one."""
    from keyctl.operations import pins

    return _outcome(context, lambda session, facts: pins.change(session, facts, dry_run=dry_run), "has a new PIN")


@COMMAND.command(name="verify", short_help="Try the PIN of a key.")
@click.pass_context
def verify(context: click.Context) -> Outcome:
    """Try the PIN of a key: a right one gives back all tries, a wrong one costs one."""
    from keyctl.operations import pins

    return _outcome(context, pins.verify, "took the PIN")


def _outcome(context: click.Context, operation: Callable[..., KeyChange], done: str) -> Outcome:
    from keyctl.cli import app
    from keyctl.operations import opening

    circumstances = app.circumstances(context)
    with opening.opened(circumstances) as session:
        result = operation(session, circumstances)
    dry_run = context.params.get("dry_run", False)
    said = "nothing was changed: this was a dry run" if dry_run else f"{result.key.label} {done}"
    return Outcome(data=result, text=lambda: visible(said))
