"""``keyctl forget``."""

from __future__ import annotations

import click

from keyctl.cli.completions import known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text
from keyctl.core.text import visible


@click.command(name="forget", cls=Command, short_help="Remove a key from the inventory; the key itself stays as it is.")
@click.argument(
    "name", metavar="NAME", callback=unicode_text, shell_complete=known_names, help="The name of a known key."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--confirm",
    metavar="TEXT",
    help="The key's name, typed once more: wanted where nothing else opens an account or has a derived key.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, name: str, yes: bool, confirm: str | None, dry_run: bool
) -> Outcome:
    """Remove a key from the inventory, with all that was noted of it; nothing on the key itself changes.

    Its pairings are forgotten too; what they left on the keys stays there, so `keyctl pair remove` is better first.
    Accounts and derived keys that nothing else opens are listed first. A key that was lost is better kept:
    `keyctl coverage --without NAME` tells what it opened.
    """
    from keyctl.cli import app
    from keyctl.operations import forgetting, naming

    circumstances = app.circumstances(context, yes=yes, confirm=confirm)
    naming.require_no_key_option(circumstances)
    result = forgetting.forget(circumstances, name, dry_run=dry_run)
    label = result.key.label
    said = f"{label} would be forgotten; nothing was changed" if dry_run else f"{label} is forgotten"
    left = [f"{one.what} on {one.key}, credential {(one.credential_id or b'').hex()}" for one in result.remains]
    notes = [f"still there, and known to keyctl no more: {one}" for one in left] if not dry_run else []
    return Outcome(data=result, text=lambda: visible(said), notes=notes)
