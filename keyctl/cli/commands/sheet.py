"""``keyctl sheet``."""

from __future__ import annotations

import sys

import click

from keyctl.cli.completions import known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text
from keyctl.core.names import quoted


@click.command(name="sheet", cls=Command, short_help="Print one page to keep with a key.")
@click.argument(
    "name", metavar="NAME", callback=unicode_text, shell_complete=known_names, help="The name of a known key."
)
@click.option("--markdown", is_flag=True, help="Print Markdown instead of HTML.")
@click.option("--with-accounts", is_flag=True, help="List the accounts that the key opens.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, name: str, markdown: bool, with_accounts: bool
) -> Outcome:
    """Print one page to keep with a key: which it is, and what to do on the day when its primary key is lost.

    It is an HTML file for a browser to print, on A4 or Letter; nothing in it runs, and nothing is loaded. There is no
    secret on it, and no account unless you ask for them.
    """
    from keyctl.cli import app
    from keyctl.operations import naming, sheets

    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    result = sheets.sheet(circumstances, name, markdown=markdown, with_accounts=with_accounts)
    notes = []
    if not markdown and sys.stdout is not None and sys.stdout.isatty():
        command = f"keyctl sheet {quoted(result.name)} > sheet.html"
        notes.append(f"this is a page for a browser to print: `{command}`")
    return Outcome(data=result, text=lambda: result.content, notes=notes)
