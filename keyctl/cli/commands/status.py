"""``keyctl status``, and ``keyctl`` alone."""

from __future__ import annotations

import click

from keyctl.cli.frame import Command, Outcome


@click.command(name="status", cls=Command, short_help="Show keys, pairings, accounts and what to do next.")
@click.pass_context
def COMMAND(context: click.Context) -> Outcome:  # noqa: N802  # the name by which the catalogue finds it
    """Show the first screen: keys, pairings, accounts at risk, what the last check found, and what to do next.

    The same as `keyctl` alone. Asks for no PIN and no touch.
    """
    return first_screen(context)


def first_screen(context: click.Context) -> Outcome:
    """What ``keyctl`` alone shows."""
    from keyctl.cli import app
    from keyctl.operations import overview

    found, errors = overview.overview(app.circumstances(context))

    def text() -> str:
        from keyctl.cli import overview_text

        return overview_text.screen(found)

    return Outcome(data=found, text=text, errors=errors, errors_count=False)
