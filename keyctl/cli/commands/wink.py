"""``keyctl wink``."""

from __future__ import annotations

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.core.text import visible


@click.command(name="wink", cls=Command, short_help="Make a key blink, to see which one it is.")
@click.pass_context
def COMMAND(context: click.Context) -> Outcome:  # noqa: N802  # as in the catalogue
    """Make a key blink, to see which one it is.

    For keys on USB; not all of them can. Needs no PIN and no touch and changes nothing.
    """
    from keyctl.cli import app
    from keyctl.operations import winking

    change = winking.wink(app.circumstances(context))
    return Outcome(data=change, text=lambda: visible(f"{change.key.label} blinks"))
