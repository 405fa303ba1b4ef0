"""Coverage for people: a matrix of accounts and keys where it fits, else a list, and in words what is at risk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from keyctl.cli import tables
from keyctl.core.account_rows import Status
from keyctl.core.coverage import AT_RISK
from keyctl.core.holdings import Evidence, How
from keyctl.core.names import account_label, quoted
from keyctl.core.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keyctl.core.account_rows import AccountRow, Cell
    from keyctl.core.coverage import Coverage
    from keyctl.operations.covering import Survey

#: More keys make a matrix too wide to be looked at, whatever the terminal.
_MOST_COLUMNS = 6
#: Cells between two columns.
_GAP = 2
#: Names of keys are folded at the first of these widths at which all fits.
_NAME_WIDTHS = (16, 12, 10, 8)
#: Less makes a column of single words.
_LEAST_ACCOUNT_WIDTH = 16
_WAYS_WIDTH = 10
#: So many accounts are named in a sentence.
_MOST_NAMED = 5

_STATUS_WORDS = {
    Status.UNCOVERED: "no key",
    Status.SINGLE_KEY: "one key",
    Status.WEAK_RECOVERY: "weak",
    Status.NO_BACKUP_POSSIBLE: "no backup",
    Status.COVERED: "covered",
}
#: What does not say it by itself.
_LEGEND = {
    "yes": "the key answered to the credential that a file of this computer names",
    "said": "only a person's word; the key was not asked",
    "derived": "a derived key that was handed over, as a person said",
    "no login": "a derived key that is for no login, is not handed over, or that the backup key cannot use any more",
    "reset": "was there until the key was reset",
    "lost": "is on a key that is lost",
    "virtual": "on a key for trying out, which does not count",
    "weak": "one key at most, and beside it only what others can take over",
    "no backup": "the site takes one key only",
}


def overview(found: Survey) -> str:
    """All accounts, then what is at risk, then the words that are not plain."""
    rows = found.coverage.services
    if not rows:
        return ""
    sheet = _Sheet(found)
    return "\n".join([sheet.as_matrix() or sheet.as_list(), "", *_verdict(found.coverage), *sheet.legend()])


def without(found: Coverage) -> str:
    """What is lost without a key, and what remains."""
    lost, remains = found.lost or (), found.remains or ()
    several = _several_owners((*lost, *remains))
    name = visible(found.without or "")
    if lost:
        lines = [
            f"without {name}, {len(lost)} of {_accounts(len(lost) + len(remains))} would open with no key:",
            tables.table(("ACCOUNT", "ELSE"), [(_label(row, owner=several), _ways(row)) for row in lost]),
        ]
    else:
        lines = [f"without {name} no account would be lost"]
    if remains:
        table = [(_STATUS_WORDS[row.status], _label(row, owner=several), _opened_by(row)) for row in remains]
        lines += [
            "",
            f"{_accounts(len(remains))} would remain:",
            tables.table(("STATUS", "ACCOUNT", "OPENS WITH"), table),
        ]
    return "\n".join(lines)


def missing(found: Coverage) -> str:
    """What a key lacks, with the link where to register it."""
    rows = found.missing or ()
    name = visible(found.missing_on or "")
    if not rows:
        return f"no other key opens anything that {name} does not"
    lines = [f"{name} does not open {_accounts(len(rows))} that other keys open:"]
    for row in rows:
        lines += ["", visible(_label(row)), visible(f"  opens with: {', '.join(row.opened_by)}")]
        if row.max_keys is not None and len(row.opened_by) >= row.max_keys:
            lines.append(f"  full: the site takes {counted(row.max_keys, 'key')} only")
        if row.url is not None and row.url_kind is not None:
            lines.append(visible(f"  {row.url_kind.value}: {row.url}"))
    return "\n".join(lines)


def notes(found: Survey, owner: str | None) -> list[str]:
    """What to do so that more is known."""
    rows = found.coverage.services
    said = []
    if not found.coverage.keys and not rows:
        said.append(
            f"no key and no account of {owner or 'no owner'} is known"
            if owner is not None
            else "nothing is known yet: give a key its name with `keyctl add NAME`, then read it with `keyctl scan`"
        )
    if found.unread:
        them = "it" if len(found.unread) == 1 else "them"
        said.append(
            f"nothing is known of {_listed(found.unread)} yet: plug {them} in and run `keyctl scan`; what a key cannot "
            f"list, note with `keyctl service add NAME --on {quoted(found.unread[0])}`"
        )
    if found.coverage.keys and not rows and not found.unread:
        said.append(
            "no account is noted: the keys hold no passkeys, and no key tells where it is a second factor: note it "
            f"with `keyctl service add NAME --on {quoted(found.coverage.keys[0])}`"
        )
    if found.ownerless:
        # Two keys of one person are backups of each other only where both say whose they are.
        them = "it for another person's key" if len(found.ownerless) == 1 else "them for another person's keys"
        said.append(
            f"no owner is noted of {_listed(found.ownerless)}, so keyctl takes {them}: "
            f"`keyctl edit {quoted(found.ownerless[0])} --owner OWNER`"
        )
    sites = Counter((row.owner, row.rp_id) for row in rows)
    # Which account it is matters to people only where the site has another one.
    unclear = [row for row in rows if row.hint is not None and (row.account or sites[row.owner, row.rp_id] > 1)]
    hints = sorted({row.hint for row in unclear if row.hint is not None})
    said += [f"{_listed([_label(row) for row in unclear if row.hint == hint])} - {hint}" for hint in hints]
    if old := [_label(row) for row in rows if row.wants_confirming]:
        said.append(f"noted more than a year ago, look whether it still holds: {_listed(old)}")
    return said


class _Sheet:
    """The rows as tables."""

    def __init__(self, found: Survey) -> None:
        self._rows = found.coverage.services
        self._keys = found.coverage.keys
        self._lost = {*found.lost, found.coverage.without}
        several = _several_owners(self._rows)
        self._labels = [_label(row, owner=several) for row in self._rows]
        self._ways = [_ways(row) for row in self._rows]

    def as_matrix(self) -> str | None:
        """A column for each key, or None where that does not fit."""
        if not 0 < len(self._keys) <= _MOST_COLUMNS:
            return None
        words = [[self._word(row, name) for name in self._keys] for row in self._rows]
        status = [_STATUS_WORDS[row.status] for row in self._rows]
        with_ways = any(self._ways)
        headers = ["ACCOUNT", *self._keys, *(["ELSE"] if with_ways else []), "STATUS"]
        widths = self._widths(words, status, with_ways=with_ways)
        if widths is None:
            return None
        rows = [
            (label, *cells, *([ways] if with_ways else []), state)
            for label, cells, ways, state in zip(self._labels, words, self._ways, status, strict=True)
        ]
        return tables.fixed(headers, rows, widths)

    def as_list(self) -> str:
        """A line for each account."""
        rows = [
            (_STATUS_WORDS[row.status], label, self._all_ways(row))
            for row, label in zip(self._rows, self._labels, strict=True)
        ]
        return tables.table(("STATUS", "ACCOUNT", "OPENS WITH"), rows)

    def legend(self) -> list[str]:
        """A line for each word used that is not plain."""
        used = {self._word(row, name) for row in self._rows for name in self._keys}
        used.update(_STATUS_WORDS[row.status] for row in self._rows)
        return [f"{word}: {meaning}" for word, meaning in _LEGEND.items() if word in used]

    def _widths(
        self, words: Sequence[Sequence[str | None]], status: Sequence[str], *, with_ways: bool
    ) -> list[int] | None:
        """The width of each column, or None where they do not fit."""
        account = _widest(["ACCOUNT", *self._labels])
        ways = [min(_widest(["ELSE", *self._ways]), _WAYS_WIDTH)] if with_ways else []
        in_columns = [_widest(column) for column in zip(*words, strict=True)]
        names = [tables.width_of(name) for name in self._keys]
        available = tables.width()
        if available is None:
            ways = [_widest(["ELSE", *self._ways])] if with_ways else []
            return [account, *map(max, names, in_columns), *ways, _widest(["STATUS", *status])]
        for limit in _NAME_WIDTHS:
            keys = [max(min(name, limit), words_of) for name, words_of in zip(names, in_columns, strict=True)]
            others = [*keys, *ways, _widest(["STATUS", *status])]
            left = available - sum(others) - _GAP * len(others)
            if left >= min(account, _LEAST_ACCOUNT_WIDTH):
                return [min(account, left), *others]
        return None

    def _word(self, row: AccountRow, name: str) -> str | None:
        """What a key has for an account, in one short word."""
        cell = row.keys[name]
        if cell.counts:
            return _counting_word(cell)
        if cell.evidence is Evidence.RESET:
            return "reset"
        if cell.how is How.NONE:
            return None
        if name in self._lost:
            return "lost"
        return "no login" if cell.how is How.DERIVED else "virtual"

    def _all_ways(self, row: AccountRow) -> str | None:
        keys = [f"{name} ({word})" for name in row.keys if (word := self._word(row, name)) is not None]
        ways = _ways(row)
        return ", ".join([*keys, *([f"else {ways}"] if ways else [])]) or None


def _counting_word(cell: Cell) -> str:
    if cell.how is How.DERIVED:
        return "derived"
    if cell.evidence is Evidence.DECLARED:
        return "said"
    return "passkey" if cell.how is How.PASSKEY else "yes"


def _verdict(found: Coverage) -> list[str]:
    """What is at risk, the worst first, or that nothing is."""
    rows, summary = found.services, found.summary
    several = _several_owners(rows)
    risks = [_risk(row, owner=several) for row in rows if row.status in AT_RISK]
    if risks:
        verb = "is" if len(risks) == 1 else "are"
        lines = [f"{len(risks)} of {_accounts(len(rows))} {verb} at risk: {_listed(risks, '; ')}"]
    else:
        lines = ["the one account is not at risk" if len(rows) == 1 else f"none of {_accounts(len(rows))} is at risk"]
    if summary.no_backup_possible:
        single = [_label(row, owner=several) for row in rows if row.status is Status.NO_BACKUP_POSSIBLE]
        lines.append(f"no second key is possible, and there is no good other way: {_listed(single)}")
    if summary.declared_only:
        verb, them = ("is", "it") if summary.declared_only == 1 else ("are", "them")
        lines.append(f"{_accounts(summary.declared_only)} {verb} covered only if what was said of {them} holds")
    return [visible(line) for line in lines]


def _risk(row: AccountRow, *, owner: bool) -> str:
    label = _label(row, owner=owner)
    keys = ", ".join(row.opened_by)
    if row.status is Status.SINGLE_KEY:
        return f"{label} opens with {keys} only"
    if row.status is Status.WEAK_RECOVERY:
        return (
            f"{label} opens with {keys} and else only by {_ways(row)}"
            if keys
            else f"{label} opens only by {_ways(row)}"
        )
    return f"no key opens {label}"


def _label(row: AccountRow, *, owner: bool = False) -> str:
    label = account_label(row.service, row.account)
    return f"{label} of {row.owner or 'no owner'}" if owner else label


def _several_owners(rows: Iterable[AccountRow]) -> bool:
    return len({row.owner for row in rows}) > 1


def _opened_by(row: AccountRow) -> str | None:
    ways = _ways(row)
    return ", ".join([*row.opened_by, *([f"else {ways}"] if ways else [])])


def _ways(row: AccountRow) -> str | None:
    """The ways in without a key."""
    return ", ".join(method.value.replace("_", " ") for method in row.recovery) or None


def _widest(texts: Iterable[str | None]) -> int:
    return max((tables.width_of(text or "-") for text in texts), default=1)


def _listed(texts: Sequence[str], between: str = ", ") -> str:
    more = len(texts) - _MOST_NAMED
    return between.join(texts[:_MOST_NAMED]) + (f"{between}and {more} more" if more > 0 else "")


def _accounts(count: int) -> str:
    return counted(count, "account")
