"""What came of a health check, and what people accepted of it: as it is shown and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.health_table import rule_of
from keyctl.core.results import FOUND, RANK, CheckResult

if TYPE_CHECKING:
    from keyctl.core.health_facts import Finding


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
    #: Whose account it is; None: nobody's in particular, or it is not about an account.
    owner: str | None
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
    #: Whose account it is, the empty text: nobody's in particular; None: it is not about an account, or about those of
    #: all owners, as an older keyctl noted it.
    owner: str | None
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
    def subject(self) -> tuple[str | None, ...]:
        """As :attr:`keyctl.core.health_facts.Finding.subject`."""
        return (self.id, self.key_id, self.pairing_id, self.rp_id, self.account)

    def covers(self, finding: Finding, now: str) -> bool:
        """Whether it is about *finding*, which got no worse and says the same, and its time has not passed."""
        whose = self.owner is None or self.owner == finding.owner
        same = whose and self.subject == finding.subject and self.token == finding.token
        no_worse = (RANK[finding.result], finding.severity) <= (RANK[self.result], self.severity)
        return same and no_worse and now < self.until and rule_of(finding.id).acceptable
