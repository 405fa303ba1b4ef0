"""Whether keys, pairings and accounts are well: all rules applied to what is known, as a pure function.

A finding that cannot be mended can be accepted until a day; then it is shown last and does not count, until it gets
worse or says something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import health_keys, health_whole
from keyctl.core.health_facts import FOUND, RANK
from keyctl.core.health_table import RULES, Rule, rule_of
from keyctl.core.results import CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keyctl.core.health_facts import Facts, Finding

__all__ = ["RULES", "Acceptance", "Health", "HealthCheck", "Rule", "diagnose", "findings"]


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """What one rule said, as it is shown. Its texts are hostile."""

    #: Of the rule; stable.
    id: str
    #: Its name, or its selector where it has none; None: it is not about a key.
    key: str | None
    #: PRIMARY/BACKUP.
    pairing: str | None
    rp_id: str | None
    account: str | None
    result: CheckResult
    message: str
    hint: str | None
    #: When a check on this computer first found it; None: it is no finding.
    since: str | None
    #: Until when it does not count; None: it counts.
    accepted_until: str | None
    #: Why it was accepted.
    reason: str | None

    @property
    def counts(self) -> bool:
        """Whether it is a finding that nobody accepted."""
        return self.result in FOUND and self.accepted_until is None


@dataclass(frozen=True, kw_only=True)
class Health:
    """All checks: findings that count first, the worst of them first, and accepted ones last."""

    #: The worst of those that count; OK where there is none.
    result: CheckResult
    checks: tuple[HealthCheck, ...]


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A person's word that a finding is known and does not count for a while."""

    id: str
    #: Its id; None: it is not about a key.
    key_id: str | None
    pairing_id: str | None
    rp_id: str | None
    account: str | None
    #: How bad it was then.
    result: CheckResult
    severity: int
    #: What it said then, where the rule tells that apart.
    token: str | None
    accepted_at: str
    #: From then on it counts again.
    until: str
    reason: str | None

    @property
    def subject(self) -> tuple[str, str | None, str | None, str | None, str | None]:
        """As :attr:`keyctl.core.health_facts.Finding.subject`."""
        return (self.id, self.key_id, self.pairing_id, self.rp_id, self.account)

    def covers(self, finding: Finding, now: str) -> bool:
        """Whether it is about *finding*, which got no worse and says the same, and its time has not passed."""
        same = self.subject == finding.subject and self.token == finding.token
        no_worse = (RANK[finding.result], finding.severity) <= (RANK[self.result], self.severity)
        return same and no_worse and now < self.until and rule_of(finding.id).acceptable


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
        result=finding.result,
        message=finding.message,
        hint=finding.hint,
        since=since,
        accepted_until=acceptance.until if acceptance is not None else None,
        reason=acceptance.reason if acceptance is not None else None,
    )
