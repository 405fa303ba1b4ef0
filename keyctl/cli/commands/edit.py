"""``keyctl edit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyctl.cli.completions import known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTE_OPTIONS = (
    click.option("--role", type=click.Choice(["primary", "backup", "spare", "none"]), help="What you keep it for."),
    click.option("--owner", metavar="TEXT", callback=unicode_text, help="Whose key it is."),
    click.option("--location", metavar="TEXT", callback=unicode_text, help="Where it lies."),
    click.option("--note", metavar="TEXT", callback=unicode_text, help="Anything else."),
)


def note_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for what a person says of a key; an empty text takes a fact away."""
    for option in reversed(_NOTE_OPTIONS):
        command = option(command)
    return command


@click.command(name="edit", cls=Command, short_help="Change what is noted of a known key.")
@click.argument(
    "name", metavar="NAME", callback=unicode_text, shell_complete=known_names, help="The name of a known key."
)
@click.option("--name", "new_name", metavar="NAME", callback=unicode_text, help="Another name.")
@note_options
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context,
    *,
    name: str,
    new_name: str | None,
    role: str | None,
    owner: str | None,
    location: str | None,
    note: str | None,
    dry_run: bool,
) -> Outcome:
    """Change what is noted of a known key, its name too; the key need not be plugged in.

    An empty text takes a fact away: --location "".
    """
    from keyctl.cli import app
    from keyctl.operations import naming

    notes = naming.Notes(role=role, owner=owner, location=location, note=note)
    if new_name is None and not notes.given():
        raise click.UsageError("Give --name, --role, --owner, --location or --note.", context)
    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    result = naming.edit(circumstances, name, notes, new_name=new_name, dry_run=dry_run)
    if dry_run:
        said = "nothing was changed: this was a dry run"
    else:
        said = f"{result.key.label} is noted" if result.changed else f"nothing to do: {result.key.label} is noted so"
    return Outcome(data=result, text=lambda: visible(said))
