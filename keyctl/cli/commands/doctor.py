"""``keyctl doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.core.diagnosis_facts import Diagnosis

#: What is in one line with its like, and how that line begins.
_SUMMARIES = {"ok": "fine", "skip": "skipped"}


@click.command(name="doctor", cls=Command, short_help="Find out why a key is not seen or cannot be reached.")
@click.pass_context
def COMMAND(context: click.Context) -> Outcome:  # noqa: N802  # as in the catalogue
    """Find out why a key is not seen or cannot be reached.

    Looks at the system, its permissions and services, other programs and this installation. Changes nothing, asks
    nothing, and needs no PIN and no touch. The exit status is 10 when it found something.
    """
    from keyctl.cli import app
    from keyctl.operations import doctor

    found = doctor.examine(app.circumstances(context))
    return Outcome(data=found, text=lambda: _text(found), found=found.result != "ok")


def _text(found: Diagnosis) -> str:
    """A paragraph for each finding, worst first, and a line for all that is fine."""
    from keyctl.cli import check_text

    summaries: dict[str, list[str]] = {result: [] for result in _SUMMARIES}
    told = []
    for check in found.checks:
        if check.result in {"fail", "warn"} or (check.result == "ok" and check.hint):
            told.append((check.result, check.message, check.hint))
        else:
            summaries[check.result].append(visible(check.message))
    lines = check_text.paragraphs(told)
    lines += [f"{_SUMMARIES[result]}: {'; '.join(those)}" for result, those in summaries.items() if those]
    return "\n".join(lines)
