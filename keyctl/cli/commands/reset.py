"""``keyctl reset``."""

from __future__ import annotations

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.core.text import visible


@click.command(name="reset", cls=Command, short_help="Erase a key: all passkeys, registrations and the PIN.")
@click.option("--confirm", metavar="TEXT", help="The name of the key, else its selector, instead of typing it.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def COMMAND(context: click.Context, *, confirm: str | None, dry_run: bool) -> Outcome:  # noqa: N802  # as in the catalogue
    """Erase a key: all passkeys, registrations and the PIN.

    What only this key opens is lost. Most keys accept it for a few seconds after they were plugged in, and want a
    touch; keyctl asks for both.
    """
    from keyctl.cli import app
    from keyctl.operations import resetting

    change = resetting.reset(app.circumstances(context, confirm=confirm), dry_run=dry_run)
    what = "was erased" if change.changed else "would be erased; nothing was changed"
    return Outcome(data=change, text=lambda: visible(f"{change.key.label} {what}"))
