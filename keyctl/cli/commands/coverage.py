"""``keyctl coverage``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import known_names, owners
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import settings_of, unicode_text

if TYPE_CHECKING:
    from keyctl.operations.covering import Survey


@click.command(
    name="coverage", cls=Command, short_help="Show which key opens which account, and what only one key opens."
)
@click.option(
    "--without",
    metavar="NAME",
    callback=unicode_text,
    shell_complete=known_names,
    help="What would be lost without this key, and what would remain.",
)
@click.option(
    "--missing",
    metavar="NAME",
    callback=unicode_text,
    shell_complete=known_names,
    help="What other keys open and this one does not, and where to register it.",
)
@click.option(
    "--owner",
    metavar="OWNER",
    callback=unicode_text,
    shell_complete=owners,
    help="Only keys and accounts of this owner; '' for none.",
)
@click.option("--check", is_flag=True, help="End with 10 when an account is at risk, or nothing is known.")
@click.option("--strict", is_flag=True, help="With --check: also when an account is covered only by what was said.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, without: str | None, missing: str | None, owner: str | None, check: bool, strict: bool
) -> Outcome:
    """Show which key opens which account, and what only one key opens, from what keyctl has noted; no key is needed.

    An account is covered when two keys open it, or one key and a recovery other than sms or email.
    """
    from keyctl.cli import app
    from keyctl.operations import covering

    settings = settings_of(context)
    if settings.key is not None:
        raise click.UsageError("No key is needed here; --without or --missing says which one is meant.", context)
    if without is not None and missing is not None:
        raise click.UsageError("Give --without or --missing, not both.", context)
    if strict and not check:
        raise click.UsageError("--strict goes with --check.", context)
    found = covering.survey(app.circumstances(context), without=without, missing=missing, owner=owner)
    return Outcome(
        data=found.coverage,
        text=lambda: _text(found),
        # Nobody reads them beside JSON, and large inventories are asked for as JSON.
        notes=() if settings.json else _notes(found, owner),
        found=check and _is_finding(found, strict=strict),
    )


def _text(found: Survey) -> str:
    from keyctl.cli import coverage_text

    if found.coverage.without is not None:
        return coverage_text.without(found.coverage)
    if found.coverage.missing_on is not None:
        return coverage_text.missing(found.coverage)
    return coverage_text.overview(found)


def _notes(found: Survey, owner: str | None) -> list[str]:
    from keyctl.cli import coverage_text

    return coverage_text.notes(found, owner)


def _is_finding(found: Survey, *, strict: bool) -> bool:
    summary = found.coverage.summary
    return found.nothing_known or summary.at_risk > 0 or (strict and summary.declared_only > 0)
