"""Which key opens which account, and which accounts are in danger: the rules, as a pure function of the inventory.

Nothing here depends on the order in which keys, passkeys, registrations or services come.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.account_rows import NOTHING, Sheet, Status, is_strong, order_of, recovery_of
from keyctl.core.accounts import accounts, owner_of
from keyctl.core.holdings import Evidence, derived_keys
from keyctl.core.names import composed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from keyctl.core.account_rows import AccountRow
    from keyctl.core.holdings import Holding
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing

#: After so many days a person's word wants confirming.
DECLARATION_DAYS = 365
AT_RISK = frozenset({Status.UNCOVERED, Status.SINGLE_KEY, Status.WEAK_RECOVERY})


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Numbers of accounts."""

    services: int
    covered: int
    #: Uncovered, with a single key, or with a weak recovery.
    at_risk: int
    no_backup_possible: int
    #: Covered, but not without a person's word.
    declared_only: int


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """All accounts, the worst first."""

    #: Names, in the order of the columns.
    keys: tuple[str, ...]
    services: tuple[AccountRow, ...]
    summary: Summary
    #: The key that is looked at as if it were lost; None: none is.
    without: str | None = None
    #: What that key opens and no other does.
    lost: tuple[AccountRow, ...] | None = None
    #: What a key still opens then.
    remains: tuple[AccountRow, ...] | None = None
    #: The key whose gaps are listed; None: none is.
    missing_on: str | None = None
    #: What other keys of its owner open and this one does not.
    missing: tuple[AccountRow, ...] | None = None


def coverage(
    inventory: Inventory,
    *,
    now: str,
    without: str | None = None,
    owner: str | None = None,
) -> Coverage:
    """All accounts that *inventory* tells of, and how safe each is.

    Args:
        inventory: What is known.
        now: The time, RFC 3339.
        without: The id of a key to leave out, as if it were lost.
        owner: Only accounts and keys of this owner; None: of all; the empty text: those without an owner.
    """
    whose = composed(owner) if owner is not None else None
    stale_before = times.shifted(now, -timedelta(days=DECLARATION_DAYS))
    sheet = _sheet(inventory, without=without, stale_before=stale_before, owner=whose)
    lines = [
        (sheet.row(account), account)
        for account in accounts(inventory)
        if whose is None or (account.owner or "") == whose
    ]
    lines.sort(key=lambda line: order_of(*line))
    rows = tuple(row for row, _ in lines)
    found = Coverage(keys=tuple(sheet.blank), services=rows, summary=_summary(rows))
    if without is None:
        return found
    before = replace(sheet, without=None)
    return replace(
        found,
        without=sheet.columns[without],
        lost=tuple(row for row, account in lines if not row.opened_by and any(map(before.counts, account.holdings))),
        remains=tuple(row for row in rows if row.opened_by),
    )


def missing(found: Coverage, inventory: Inventory, key_id: str) -> tuple[AccountRow, ...]:
    """The accounts that other keys of the same owner open and this one does not, the worst first."""
    [key] = [known for known in inventory.keys if known.id == key_id]
    name = column_names(inventory)[key_id]
    return tuple(
        row
        for row in found.services
        if row.owner == owner_of(key) and row.opened_by and not row.keys.get(name, NOTHING).counts
    )


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One account, and which of some keys open it."""

    row: AccountRow
    #: Ids of the keys, those marked as lost among them.
    by: frozenset[str]


def openings(inventory: Inventory, key_ids: Collection[str]) -> tuple[Opening, ...]:
    """The accounts that at least one of these keys opens, the worst first; a lost key is taken as if it were at hand.

    Whether keys for trying out count is decided by these keys alone.
    """
    physical = any(not key.virtual for key in inventory.keys if key.id in key_ids)
    sheet = replace(_sheet(inventory), physical=physical)
    found = []
    for account in accounts(inventory):
        by = frozenset(held.key.id for held in account.holdings if held.key.id in key_ids and sheet.works(held))
        if by:
            row = sheet.row(account)
            found.append((Opening(row=row, by=by), order_of(row, account)))
    return tuple(opening for opening, _ in sorted(found, key=lambda entry: entry[1]))


def openings_of_pair(inventory: Inventory, pairing: Pairing) -> tuple[Opening, ...]:
    """:func:`openings` of the two keys of *pairing*; of a key without an owner the other one tells whose it is."""
    keys = (inventory.key_with_id(pairing.primary_id), inventory.key_with_id(pairing.backup_id))
    owner = next((key.owner for key in keys if key is not None and key.owner), None)
    key_ids = {pairing.primary_id, pairing.backup_id}
    told = tuple(replace(key, owner=owner) if key.id in key_ids and not key.owner else key for key in inventory.keys)
    return openings(replace(inventory, keys=told), key_ids)


def stranded(
    inventory: Inventory,
    key_id: str | None = None,
    credential_ids: Collection[bytes] | None = None,
    *,
    pairing_ids: Collection[str] = (),
) -> tuple[AccountRow, ...]:
    """The accounts that nothing else opens: no other key that counts, and no recovery but sms or email.

    A key that is marked as lost is taken as if it were at hand. A person's word for the same key saves nothing: it may
    be about these very credentials.

    Args:
        inventory: What is known.
        key_id: The key; None: none.
        credential_ids: Some of what is on it; None: all that it has.
        pairing_ids: Pairings that go as well, and with them the derived keys of their backup keys.
    """
    going = _Going(inventory, key_id, credential_ids, pairing_ids)
    sheet = _sheet(inventory)
    rows = []
    for account in accounts(inventory):
        lost = any(sheet.works(held) and going.takes(held) for held in account.holdings)
        saved = going.leaves_any(account.holdings, sheet) or is_strong(recovery_of(account))
        if lost and not saved:
            rows.append((sheet.row(account), account))
    return tuple(row for row, _ in sorted(rows, key=lambda line: order_of(*line)))


def stranded_targets(
    inventory: Inventory, key_id: str | None = None, *, pairing_ids: Collection[str] = ()
) -> tuple[str, ...]:
    """As :func:`stranded`, for what was handed over and is no account of a host: the targets, in order.

    For signing there is never another key; at a site any other one will do that counts there.
    """
    going = _Going(inventory, key_id, None, pairing_ids)
    sheet = _sheet(inventory)
    saved = {
        held.derived
        for account in accounts(inventory)
        if going.leaves_any(account.holdings, sheet) or is_strong(recovery_of(account))
        for held in account.holdings
    }
    return tuple(
        sorted(
            {
                made.target
                for made in derived_keys(inventory)
                if made.usable and made.handed_over_at is not None and made.target_kind != "ssh"
                if (made.pairing_id in pairing_ids or made.key_id == key_id) and made not in saved
            }
        )
    )


class _Going:
    """What is about to be deleted, erased or forgotten."""

    def __init__(
        self,
        inventory: Inventory,
        key_id: str | None,
        credential_ids: Collection[bytes] | None,
        pairing_ids: Collection[str],
    ) -> None:
        self._key_id = key_id
        self._credential_ids = credential_ids
        self._pairing_ids = pairing_ids
        self._backup_ids = {pairing.backup_id for pairing in inventory.pairings if pairing.id in pairing_ids}

    def takes(self, held: Holding) -> bool:
        """Whether it goes."""
        if held.derived is not None and held.derived.pairing_id in self._pairing_ids:
            return True
        if held.key.id != self._key_id:
            return False
        return self._credential_ids is None or held.credential_id in self._credential_ids

    def leaves_any(self, held: Sequence[Holding], sheet: Sheet) -> bool:
        """Whether one of them stays that is a way in."""
        return any(not self.takes(one) and self._saves(one, sheet) for one in held)

    def _saves(self, held: Holding, sheet: Sheet) -> bool:
        only_said = held.credential_id is None and held.derived is None
        if only_said and held.key.id in {self._key_id, *self._backup_ids}:
            return False
        return sheet.works(held) if held.key.id == self._key_id else sheet.counts(held)


def column_names(inventory: Inventory) -> dict[str, str]:
    """Key id -> the name of its column, in the order of the columns.

    That is the key's name; where two keys have the same, as two computers may have named them, with its id.
    """
    keys = sorted(inventory.keys, key=lambda key: (key.name.casefold(), key.name, key.id))
    uses = Counter(key.name for key in keys)
    return {key.id: key.name if uses[key.name] == 1 else f"{key.name} ({key.id})" for key in keys}


def _sheet(
    inventory: Inventory, *, without: str | None = None, stale_before: str = "", owner: str | None = None
) -> Sheet:
    columns = column_names(inventory)
    owners = {key.id: owner_of(key) for key in inventory.keys}
    return Sheet(
        columns=columns,
        blank={name: NOTHING for key_id, name in columns.items() if owner is None or (owners[key_id] or "") == owner},
        physical=any(not key.virtual for key in inventory.keys),
        without=without,
        stale_before=stale_before,
    )


def _summary(rows: Sequence[AccountRow]) -> Summary:
    counts = Counter(row.status for row in rows)
    return Summary(
        services=len(rows),
        covered=counts[Status.COVERED],
        at_risk=sum(counts[status] for status in AT_RISK),
        no_backup_possible=counts[Status.NO_BACKUP_POSSIBLE],
        declared_only=sum(row.status is Status.COVERED and row.evidence is Evidence.DECLARED for row in rows),
    )
