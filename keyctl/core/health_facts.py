"""What a health check knows of keys, pairings and this computer, and the form of what it says.

What could not be seen, as most keys lie in a drawer, is None: then a rule says that it skipped it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.health_limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.advisories import Identity
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.loss_steps import Step
    from keyctl.core.pairings import Pairing
    from keyctl.core.results import CheckResult
    from keyctl.model import Recognition

#: Why most keys are not read, in words that follow the label.
NOT_CONNECTED = "is not connected"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one rule says of one key, pairing or account, or of the inventory."""

    #: Of the rule.
    id: str
    result: CheckResult
    #: One line, lower case; hostile text may be in it.
    message: str
    #: What to do.
    hint: str | None = None
    #: The key's name or selector, and its id where it is known.
    key: str | None = None
    key_id: str | None = None
    #: PRIMARY/BACKUP, and the pairing's id.
    pairing: str | None = None
    pairing_id: str | None = None
    rp_id: str | None = None
    account: str | None = None
    #: Whose account it is, the empty text: nobody's in particular; None: it is not about an account.
    owner: str | None = None
    #: How bad, among findings of one rule with the same result.
    severity: int = 0
    #: What tells this from another finding of the same rule and subject, an advisory's wording for instance.
    token: str | None = None

    @property
    def subject(self) -> tuple[str | None, ...]:
        """What stays the same as long as it is the same finding, whatever keys are called, and whose account it is."""
        return (self.id, self.key_id or self.key, self.pairing_id or self.pairing, self.rp_id, self.account)

    @property
    def mark(self) -> str:
        """A digest of the subject and the owner, 16 hex digits."""
        return digest_of(repr((*self.subject, self.owner) if self.owner else self.subject))


def digest_of(text: str) -> str:
    """What tells one text from another, 16 hex digits; whoever edits the inventory may put into it what is no text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class KeyReading:
    """What a connected key said just now, without a PIN and without a touch."""

    recognition: Recognition | None
    #: What a person should know of how it was recognised, in words; None: nothing.
    remark: str | None = None
    pin_supported: bool
    pin_set: bool
    #: None: it has no PIN.
    tries_left: int | None = None
    power_cycle_needed: bool = False
    change_required: bool = False
    #: Unicode code points.
    min_pin_length: int = 4
    #: Whether it can list its passkeys.
    listing: bool = False
    #: How many more passkeys fit; None: it does not say.
    remaining: int | None = None
    #: None: it knows no such attestation.
    enterprise_attestation: bool | None = None
    identity: Identity


@dataclass(frozen=True, kw_only=True)
class KeyFacts:
    """One key."""

    #: Its name, or the selector of one without a name.
    label: str
    #: None: it has no name here.
    known: KnownKey | None
    #: None: it is not connected, or cannot be reached.
    reading: KeyReading | None
    #: Why there is no reading, in words that follow the label.
    absence: str = NOT_CONNECTED
    #: When it last proved itself with a touch; None: never since it was added.
    drilled_at: str | None = None
    #: Why the drill of just now failed; None: there was none, or it succeeded.
    drill_failure: str | None = None
    #: Why the drill of just now could not be held; None: there was none, or it was.
    drill_omission: str | None = None
    #: The highest signature counter that this computer has seen of it; None: none yet.
    highest_counter: int | None = None
    #: What is left to do about a key that is marked as lost, the most urgent first.
    open_steps: tuple[Step, ...] = ()
    #: Why it cannot be read which of its steps were ticked off; None: it was.
    ticks_problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class PairingFacts:
    """One pairing that is in force."""

    pairing: Pairing
    #: PRIMARY/BACKUP.
    label: str
    #: Whether its seed is the one trusted on this computer; None: none is yet.
    seed_trusted: bool | None = None
    #: Key label -> whether the record on it is the inventory's; only of keys where that could be seen.
    records: Mapping[str, bool] = field(default_factory=dict)
    #: When a record was last seen to be the right one, by this computer.
    record_seen_at: str | None = None
    #: Targets whose recorded key does not follow from the seed.
    not_recomputed: tuple[str, ...] = ()
    #: Why nothing could be recomputed; None: it could.
    seed_problem: str | None = None
    #: Why the drill of just now failed, or could not be held.
    drill_failure: str | None = None
    drill_omission: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unreachable:
    """A device that is plugged in and cannot be spoken to. Its texts are hostile."""

    selector: str
    #: Of :data:`keyctl.errors.CODES`.
    code: str
    message: str
    hint: str | None


@dataclass(frozen=True, kw_only=True)
class Export:
    """The last export of the inventory that this computer knows of."""

    exported_at: str
    #: Whether the inventory says something else by now.
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of it."""

    #: RFC 3339.
    now: str
    limits: Limits = field(default_factory=Limits)
    inventory: Inventory
    keys: tuple[KeyFacts, ...] = ()
    pairings: tuple[PairingFacts, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    #: None: it was never exported here.
    export: Export | None = None
    #: The latest time at which this computer noted anything; None: it never did.
    noted_at: str | None = None
    #: False: only some keys were named, so nothing is said of the others and of the whole.
    whole: bool = True

    def label_of(self, key_id: str) -> str:
        """The name of a key, or its id."""
        known = self.inventory.key_with_id(key_id)
        return known.name if known is not None else key_id

    def age_days(self, moment: str | None) -> int | None:
        """Whole days since *moment*; None: never, or at a time that has not come, which nobody can believe."""
        if moment is None:
            return None
        age = times.parse(self.now) - times.parse(moment)
        return None if age < -times.CLOCK_TOLERANCE else max(age.days, 0)


def days_ago(days: int | None) -> str:
    """An age in words that follow "last done"."""
    if not days:
        return "never" if days is None else "today"
    return "1 day ago" if days == 1 else f"{days} days ago"
