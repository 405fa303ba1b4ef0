"""``keyctl found``."""

from __future__ import annotations

import click

from keyctl.cli.completions import known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text


@click.command(name="found", cls=Command, short_help="Take back that a key is lost.")
@click.argument(
    "name", metavar="NAME", callback=unicode_text, shell_complete=known_names, help="The name of the key that is back."
)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, name: str, dry_run: bool
) -> Outcome:
    """Take back that a key is lost, and tell what was done about it in the meantime.

    Sites from which it was removed do not know it any more, and a pairing that was retired stays so. A key that
    somebody else may have had in hand is better reset than used again.
    """
    from keyctl.cli import app, loss_text
    from keyctl.operations import losing, naming

    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    result, errors = losing.find_again(circumstances, name, dry_run=dry_run)
    return Outcome(data=result, text=lambda: loss_text.found(result, dry_run=dry_run), errors=errors)
