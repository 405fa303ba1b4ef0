"""Whether keys, pairings and accounts are well: all rules applied to what is known, as a pure function.

A finding that cannot be mended can be accepted until a day; then it is shown last and does not count, until it gets
worse or says something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import health_keys, health_whole
from keyctl.core.health_results import Health, HealthCheck
from keyctl.core.results import FOUND, RANK, CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keyctl.core.health_facts import Facts, Finding
    from keyctl.core.health_results import Acceptance


def findings(facts: Facts) -> Iterator[Finding]:
    """What all rules say, those that all is well among them, in no order that matters."""
    yield from health_keys.unreachable(facts)
    for key in facts.keys:
        yield from health_keys.of_key(facts, key)
    for pairing in facts.pairings:
        # Loaded only where keys are paired.
        from keyctl.core import health_pairings

        yield from health_pairings.of_pairing(facts, pairing)
    if facts.whole:
        yield from health_whole.of_whole(facts)


def diagnose(
    found: Sequence[Finding],
    acceptances: Sequence[Acceptance],
    *,
    now: str,
    since: Mapping[str, str],
) -> Health:
    """What was *found*, with what people accepted, in the order in which it is shown.

    Args:
        found: As :func:`findings` yields it.
        acceptances: All that there are.
        now: The time, RFC 3339.
        since: When earlier checks first found it, by :attr:`keyctl.core.health_facts.Finding.mark`.
    """
    by_subject: dict[tuple[str | None, ...], list[Acceptance]] = {}
    for acceptance in acceptances:
        by_subject.setdefault(acceptance.subject, []).append(acceptance)
    checks = []
    for finding in found:
        covering, began = None, None
        if finding.result in FOUND:
            covering = next((one for one in by_subject.get(finding.subject, ()) if one.covers(finding, now)), None)
            began = since.get(finding.mark, now)
        checks.append(_check(finding, covering, began))
    checks.sort(key=lambda check: (check.accepted_until is not None, -RANK[check.result]))
    worst = max((check.result for check in checks if check.counts), key=RANK.__getitem__, default=CheckResult.OK)
    return Health(result=worst, checks=tuple(checks))


def _check(finding: Finding, acceptance: Acceptance | None, since: str | None) -> HealthCheck:
    return HealthCheck(
        id=finding.id,
        key=finding.key,
        pairing=finding.pairing,
        rp_id=finding.rp_id,
        account=finding.account,
        owner=finding.owner or None,
        result=finding.result,
        message=finding.message,
        hint=finding.hint,
        since=since,
        accepted_until=acceptance.until if acceptance is not None else None,
        reason=acceptance.reason if acceptance is not None else None,
    )
