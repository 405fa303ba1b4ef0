"""One account as a row: what each key has for it, and how safe it is from the loss of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keyctl.core import sites
from keyctl.core.holdings import Evidence, How
from keyctl.core.inventory import Recovery
from keyctl.core.names import quoted
from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from keyctl.core.accounts import Account
    from keyctl.core.holdings import Holding
    from keyctl.core.inventory import Service
    from keyctl.core.sites import UrlKind

#: What others can take over: a phone number, a mailbox.
_WEAK = frozenset({Recovery.SMS, Recovery.EMAIL})
_NOT_STRONG = _WEAK | {Recovery.NONE}
_EVIDENCE_RANK = {Evidence.SEEN: 4, Evidence.PROBED: 3, Evidence.DECLARED: 2, None: 1, Evidence.RESET: 0}
_HOW_RANK = {How.PASSKEY: 3, How.REGISTRATION: 2, How.DERIVED: 1, How.NONE: 0}


class Status(StrEnum):
    """How safe an account is from the loss of one key; the worst first."""

    #: No key opens it.
    UNCOVERED = "uncovered"
    #: One key, and no other way.
    SINGLE_KEY = "single_key"
    #: One key at most, and beside it only what others can take over: sms, email.
    WEAK_RECOVERY = "weak_recovery"
    #: As the two before, but the site takes one key only.
    NO_BACKUP_POSSIBLE = "no_backup_possible"
    #: Two keys, or one and another way.
    COVERED = "covered"


_STATUS_RANK = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one key has for one account."""

    how: How
    evidence: Evidence | None
    #: When it was seen, probed or declared; of a reset, when that was or it was last seen.
    seen_at: str | None
    #: Whether the key counts as a way into the account.
    counts: bool


#: One for all, as most cells are.
NOTHING = Cell(how=How.NONE, evidence=None, seen_at=None, counts=False)


@dataclass(frozen=True, kw_only=True)
class AccountRow:
    """One account: which keys open it, and how safe it is. Every text in it is hostile."""

    #: What a person calls it, else the catalogue, else the RP id.
    service: str
    rp_id: str
    account: str | None
    owner: str | None
    status: Status
    #: By the names of the keys.
    keys: Mapping[str, Cell]
    recovery: tuple[Recovery, ...]
    #: The weakest evidence that the status rests on; None: nothing.
    evidence: Evidence | None
    #: Where to register a key, or what the site writes about it.
    url: str | None
    url_kind: UrlKind | None
    #: How many keys the site takes; None: not documented.
    max_keys: int | None
    #: Whether it rests on a person's word that is more than a year old.
    wants_confirming: bool
    #: What to tell keyctl, one line.
    hint: str | None

    @property
    def opened_by(self) -> tuple[str, ...]:
        """The names of the keys that count."""
        return tuple(name for name, cell in self.keys.items() if cell.counts)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What all rows have in common."""

    #: Key id -> name.
    columns: Mapping[str, str]
    #: A row with nothing in it.
    blank: Mapping[str, Cell]
    #: Whether a key is known that is a real one, so that those for trying out do not count.
    physical: bool
    #: A key that is left out.
    without: str | None
    #: Declarations from before this time want confirming.
    stale_before: str

    def works(self, holding: Holding) -> bool:
        """Whether it opens the account with the key at hand."""
        return holding.works and not (holding.key.virtual and self.physical)

    def counts(self, holding: Holding) -> bool:
        """Whether it is a way into the account."""
        key = holding.key
        return self.works(holding) and key.state is KeyState.ACTIVE and key.id != self.without

    def row(self, account: Account) -> AccountRow:
        """The row of *account*."""
        best: dict[str, Holding] = {}
        for holding in account.holdings:
            name = self.columns[holding.key.id]
            if name not in best or _strength(holding) > _strength(best[name]):
                best[name] = holding
        cells = {
            name: Cell(how=held.how, evidence=held.evidence, seen_at=held.seen_at, counts=self.counts(held))
            for name, held in best.items()
        }
        # The order of the columns is that of the blank row; other owners' keys have no part in it.
        keys = {**self.blank, **cells}
        counting = sorted((held for held in best.values() if self.counts(held)), key=_strength, reverse=True)
        recovery = recovery_of(account)
        site = sites.find(account.rp_id) if account.exact else None
        url, url_kind = (site.link if site else None) or (None, None)
        max_keys = site.max_keys if site else None
        status = _status(len(counting), recovery, max_keys)
        basis = _basis(counting, account.services, status)
        gone = [Evidence.RESET for cell in cells.values() if cell.evidence is Evidence.RESET]
        evidence = [told for told, _ in basis] or gone
        return AccountRow(
            service=_service_name(account) or (site.name if site else account.rp_id),
            rp_id=account.rp_id,
            account=account.name,
            owner=account.owner,
            status=status,
            keys=keys,
            recovery=recovery,
            evidence=min(evidence, key=_EVIDENCE_RANK.__getitem__, default=None),
            url=url,
            url_kind=url_kind,
            max_keys=max_keys,
            wants_confirming=any(told is Evidence.DECLARED and at < self.stale_before for told, at in basis),
            hint=self._hint(account),
        )

    def _hint(self, account: Account) -> str | None:
        if (waiting := self._not_handed_over(account)) is not None:
            return waiting
        # A key is derived for a host, whatever account it opens there.
        if not account.told and not any(map(_is_of_host, account.holdings)):
            known = "service edit NAME --new-account" if account.services else "service add NAME --rp RP --account"
            return f"no record tells which account of the site this is; say it: `keyctl {known} ACCOUNT`"
        if any(said.key_id not in self.columns for service in account.services for said in service.on):
            return "declared on a key that is not in the inventory; say on which: `keyctl service edit NAME --on KEY`"
        if not account.exact:
            return "no key tells the whole RP id of this site, so nothing else can be matched with it"
        return None

    def _not_handed_over(self, account: Account) -> str | None:
        """What to do about a key that was derived for a host, and opens nothing as nobody said that it is there."""
        if any(map(self.counts, account.holdings)):
            return None
        for held in account.holdings:
            if (made := held.derived) is not None and _is_of_host(held) and made.usable and not made.handed_over_at:
                backup, target = quoted(self.columns[held.key.id]), quoted(made.target)
                return (
                    f"install the key that was derived for {backup} there, then note it: "
                    f"`keyctl pair derive {backup} --handed-over {target}`"
                )
        return None


def _is_of_host(held: Holding) -> bool:
    return held.derived is not None and held.derived.target_kind == "ssh"


def recovery_of(account: Account) -> tuple[Recovery, ...]:
    """The ways into *account* without a key, of all its services, in their usual order."""
    told = {method for service in account.services for method in service.recovery}
    return tuple(method for method in Recovery if method in told) if told else ()


def is_strong(recovery: Iterable[Recovery]) -> bool:
    """Whether a way is among them that only the person has."""
    return any(method not in _NOT_STRONG for method in recovery)


def order_of(row: AccountRow, account: Account) -> tuple[object, ...]:
    """By what rows are sorted: the worst first, then the name; no two accounts are alike in it."""
    return (_STATUS_RANK[row.status], *name_order(row, account))


def name_order(row: AccountRow, account: Account) -> tuple[str, ...]:
    """By what rows are sorted by name; no two accounts are alike in it."""
    texts = (row.service, row.account or "", row.owner or "", row.rp_id)
    return (*(text.casefold() for text in texts), *texts, account.mark)


def _strength(holding: Holding) -> tuple[bool, int, int, str]:
    """What makes one holding the better evidence of two."""
    return (
        holding.works,
        _EVIDENCE_RANK[holding.evidence],
        _HOW_RANK[holding.how],
        holding.seen_at or "",
    )


def _status(keys: int, recovery: Sequence[Recovery], max_keys: int | None) -> Status:
    if keys > 1 or (keys == 1 and is_strong(recovery)):
        return Status.COVERED
    if not is_strong(recovery) and not _WEAK.isdisjoint(recovery):
        status = Status.WEAK_RECOVERY
    else:
        status = Status.SINGLE_KEY if keys else Status.UNCOVERED
    return Status.NO_BACKUP_POSSIBLE if max_keys == 1 and status is not Status.UNCOVERED else status


def _basis(
    counting: Sequence[Holding], services: Sequence[Service], status: Status
) -> list[tuple[Evidence | None, str]]:
    """What *status* rests on, each with when it was so: two keys, or one and a person's word for another way.

    Args:
        counting: The best of each key that counts, the strongest first.
        services: What a person said.
        status: What follows.
    """
    basis = [(held.evidence, held.seen_at or "") for held in counting[:2]]
    if status is Status.COVERED and len(basis) == 1:
        basis.append((Evidence.DECLARED, _said_at(service for service in services if is_strong(service.recovery))))
    elif status is not Status.UNCOVERED and not basis:
        basis.append((Evidence.DECLARED, _said_at(service for service in services if service.recovery)))
    return basis


def _said_at(services: Iterable[Service]) -> str:
    """When a person last said how else the account is opened."""
    return max(service.changed.get("recovery", service.added_at) for service in services)


def _service_name(account: Account) -> str | None:
    """What people call it; several records may call it differently."""
    return " / ".join(sorted({service.name for service in account.services})) or None
