"""``keyctl recover promote``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import pairing_argument

if TYPE_CHECKING:
    from keyctl.operations.promoting import Promotion


@click.command(
    name="promote", cls=Command, short_help="Put the backup key in the place of the lost primary key, for good."
)
@pairing_argument
@click.option(
    "--replaced",
    metavar="TARGET",
    multiple=True,
    help="Note that the derived key of TARGET was replaced there, after the promotion; needs no key.",
)
@click.option("--confirm", metavar="TEXT", help="The name of the lost key, instead of typing it.")
@click.option("--dry-run", is_flag=True, help="Check everything and show what there is to do, change nothing.")
@click.pass_context
def PROMOTE(  # noqa: N802  # as every command is named
    context: click.Context, *, pairing: str | None, replaced: tuple[str, ...], confirm: str | None, dry_run: bool
) -> Outcome:
    """Put the connected backup key in the place of its primary key, which is lost.

    The primary key is marked as lost, the backup key becomes the primary key, and the pairing is retired. Then tells
    what is to be replaced, where the lost key is to be removed, and which key could be the next backup key. Once more,
    it only tells what is left.
    """
    from keyctl.cli import app, promotion_text
    from keyctl.operations import promoting

    circumstances = app.circumstances(context, confirm=confirm)
    if replaced:
        done = promoting.mark_replaced(circumstances, pairing, replaced, dry_run=dry_run)
    else:
        done = promoting.promote(circumstances, pairing, dry_run=dry_run)
    return Outcome(data=done, text=lambda: promotion_text.text(done, did=_did(done, replaced, dry_run=dry_run)))


def _did(done: Promotion, replaced: tuple[str, ...], *, dry_run: bool) -> str:
    """What happened, in one line."""
    lost = done.lost or "a key that is not known here"
    if dry_run:
        return "nothing was changed"
    if replaced:
        return "noted" if done.changed else "nothing to do: that was noted before"
    if done.changed:
        return f"{done.primary} is the primary key now, in the place of {lost}"
    return f"nothing to do: {done.primary} took the place of {lost} on {done.pairing.retired_at}"
