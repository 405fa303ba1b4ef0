"""What a health check found, for people and for Nagios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli import check_text
from keyctl.core import times
from keyctl.core.health_facts import NOT_CONNECTED
from keyctl.core.results import CheckResult
from keyctl.core.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.health_results import Health, HealthCheck
    from keyctl.operations.accepting import AcceptedFinding

#: What Nagios calls a state, and its exit status (Nagios plugin development guidelines).
_NAGIOS = {CheckResult.OK: ("OK", 0), CheckResult.WARN: ("WARNING", 1), CheckResult.FAIL: ("CRITICAL", 2)}
_UNKNOWN = ("UNKNOWN", 3)
#: So many findings are told in Nagios' one line.
_NAGIOS_FINDINGS = 3


def report(health: Health, *, quiet: bool = False) -> str:
    """A paragraph for each finding, worst first, accepted ones last, and what else there is to say in a few lines.

    Args:
        health: What was found.
        quiet: Only findings that count.
    """
    told = [check for check in health.checks if check.counts]
    if not quiet:
        told += [check for check in health.checks if check.result is CheckResult.OK and check.hint]
    lines = check_text.paragraphs((check.result, f"{check.message} [{check.id}]", check.hint) for check in told)
    if quiet:
        return "\n".join(lines)
    for check in health.checks:
        if check.accepted_until is None:
            continue
        reason = f": {visible(check.reason)}" if check.reason else ""
        lines.append(f"accepted until {times.day(check.accepted_until)}: {visible(check.message)} [{check.id}]{reason}")
    return "\n".join([*lines, *_summary(health)])


def _summary(health: Health) -> list[str]:
    """How many checks found nothing, and which keys could not be looked at."""
    lines = []
    away = sorted({check.key for check in health.checks if _is_away(check)} - {None}, key=str)
    if away:
        lines.append(f"not connected, so only looked at by what is noted: {visible(', '.join(map(str, away)))}")
    skipped = [
        check.message
        for check in health.checks
        if check.result is CheckResult.SKIP and not (check.key in away and check.message.endswith(NOT_CONNECTED))
    ]
    # All rules about a key that could not be seen say the same.
    lines += [f"not checked: {visible(message)}" for message in dict.fromkeys(skipped)]
    fine = sum(check.result is CheckResult.OK for check in health.checks)
    if fine:
        lines.append(f"fine: {counted(fine, 'check')}")
    return lines


def _is_away(check: HealthCheck) -> bool:
    return check.id == "recognition" and check.result is CheckResult.SKIP and check.message.endswith(NOT_CONNECTED)


def accepted(entries: Sequence[AcceptedFinding]) -> str:
    """A line for each accepted finding."""
    if not entries:
        return "no finding is accepted"
    from keyctl.cli import tables

    rows = [
        (
            entry.id,
            entry.key or entry.pairing or _account(entry),
            times.day(entry.until),
            entry.reason,
        )
        for entry in entries
    ]
    return tables.table(("FINDING", "ABOUT", "UNTIL", "REASON"), rows)


def _account(entry: AcceptedFinding) -> str | None:
    owner = f"({entry.owner})" if entry.owner else None
    return " ".join(filter(None, (entry.rp_id, entry.account, owner))) or None


def nagios(health: Health) -> tuple[str, int]:
    """One line with performance data, and the exit status that goes with it."""
    state, status = _NAGIOS[health.result]
    counting = [check for check in health.checks if check.counts]
    told = "; ".join(_plain(check.message) for check in counting[:_NAGIOS_FINDINGS])
    more = len(counting) - _NAGIOS_FINDINGS
    words = told or "nothing was found"
    if more > 0:
        words += f"; and {more} more"
    return f"KEYCTL {state} - {words} | {_performance(health)}", status


def nagios_failure(message: str) -> tuple[str, int]:
    """The same where the check could not be made."""
    state, status = _UNKNOWN
    return f"KEYCTL {state} - {_plain(message)}", status


def _performance(health: Health) -> str:
    counting = [check.result for check in health.checks if check.accepted_until is None]
    numbers = {result.value: counting.count(result) for result in CheckResult}
    numbers["accepted"] = len(health.checks) - len(counting)
    numbers["accounts_at_risk"] = sum(check.id == "account_at_risk" and check.counts for check in health.checks)
    return " ".join(f"{name}={count}" for name, count in numbers.items())


def _plain(text: str) -> str:
    """Without what ends the text or begins the performance data."""
    return visible(text).replace("|", "/")
