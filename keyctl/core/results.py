"""How a check ended: one scale for all that looks for trouble."""

from __future__ import annotations

from enum import StrEnum


class CheckResult(StrEnum):
    """How one check, or all of them, ended; worst last."""

    SKIP = "skip"
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


#: By how much the worst comes first.
RANK = {result: rank for rank, result in enumerate(CheckResult)}
#: What counts as a finding.
FOUND = frozenset({CheckResult.WARN, CheckResult.FAIL})
