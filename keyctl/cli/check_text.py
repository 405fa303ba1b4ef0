"""One check of many, for people: what it found, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: How a check begins that is told in lines of its own.
WORDS: Mapping[str, str] = {CheckResult.FAIL: "problem", CheckResult.WARN: "warning", CheckResult.OK: "note"}


def paragraphs(checks: Iterable[tuple[str, str, str | None]]) -> list[str]:
    """The lines of checks, and below each its hint, unless that is the one of the check right before.

    Args:
        checks: Of each how it ended, what it found, which is hostile, and what to do; the lines of that are its own,
            what is hostile in it was made visible when it was written.
    """
    lines = []
    before = None
    for result, message, hint in checks:
        told = "(what to do: as above)" if hint and hint == before else hint or ""
        lines += [f"{WORDS[result]}: {visible(message)}", *(f"  {visible(line)}" for line in told.split("\n") if line)]
        before = hint
    return lines
