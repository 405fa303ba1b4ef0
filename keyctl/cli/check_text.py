"""One check of many, for people: what it found, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How a check begins that is told in lines of its own.
WORDS: Mapping[str, str] = {CheckResult.FAIL: "problem", CheckResult.WARN: "warning", CheckResult.OK: "note"}


def paragraph(result: str, message: str, hint: str | None, told: set[str]) -> list[str]:
    """The check, and below it the hint, unless that was *told* already for another one.

    Args:
        result: How it ended.
        message: What it found; hostile.
        hint: What to do; the lines are its own, what is hostile in it was made visible when it was written.
        told: The hints so far; this one is added.
    """
    hint = hint or ""
    if hint in told:
        hint = "(what to do: as above)"
    elif hint:
        told.add(hint)
    return [f"{WORDS[result]}: {visible(message)}", *(f"  {visible(line)}" for line in hint.split("\n") if line)]
