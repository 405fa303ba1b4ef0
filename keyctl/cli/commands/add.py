"""``keyctl add``."""

from __future__ import annotations

import click

from keyctl.cli.commands.edit import note_options
from keyctl.cli.frame import Command, Outcome, not_this_program
from keyctl.cli.options import unicode_text
from keyctl.core.text import visible


class _OneName(Command):
    """Takes one argument; the other program of this name has an ``add`` that takes four."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Explain instead of complaining about the other three."""
        try:
            _, arguments, _ = self.make_parser(ctx).parse_args(list(args))
            theirs = bool(arguments)
        except click.NoSuchOption as error:
            theirs = error.option_name == "-x"
        if theirs and not ctx.resilient_parsing:
            raise not_this_program("'add' with -x, or with more than a name, is a command", ctx)
        return super().parse_args(ctx, args)


@click.command(name="add", cls=_OneName, short_help="Give the plugged-in key a name.")
@click.argument("name", metavar="NAME", callback=unicode_text, help="Any text, for instance blue-5c.")
@note_options
@click.option(
    "--replace", "replacing", is_flag=True, help="NAME is known, and this key takes it: a reset key, or a new one."
)
@click.option("--yes", is_flag=True, help="With --replace: do not ask where NAME is in use.")
@click.option(
    "--confirm",
    metavar="TEXT",
    help="With --replace: NAME once more, wanted where nothing else opens an account of it.",
)
@click.option("--dry-run", is_flag=True, help="Check everything that needs no touch, change nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context,
    *,
    name: str,
    role: str | None,
    owner: str | None,
    location: str | None,
    note: str | None,
    replacing: bool,
    yes: bool,
    confirm: str | None,
    dry_run: bool,
) -> Outcome:
    """Give the plugged-in key a name, by which it is known again wherever it turns up.

    Makes one credential that takes no room on the key; it wants a touch, and on some keys the PIN. With several keys
    plugged in, choose with -k or touch the one you mean.
    """
    from keyctl.cli import app
    from keyctl.operations import naming

    notes = naming.Notes(role=role, owner=owner, location=location, note=note)
    circumstances = app.circumstances(context, yes=yes, confirm=confirm)
    result = naming.add(circumstances, name, notes, replacing=replacing, dry_run=dry_run)
    if result.enrolled:
        said = f"{result.key.label} is known from now on; read what it opens with `keyctl scan`"
    elif result.changed:
        said = f"the connected key is {result.key.label} already; what you said of it is noted"
    elif dry_run:
        said = f"{result.key.label} could be added as {name}; nothing was changed"
    else:
        said = f"nothing to do: the connected key is {result.key.label} already"
    return Outcome(data=result, text=lambda: visible(said))
