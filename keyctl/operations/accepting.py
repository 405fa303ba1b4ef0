"""Accepting findings that cannot be mended, for a while; and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.health_results import Acceptance
from keyctl.core.health_table import rule_of
from keyctl.core.names import composed
from keyctl.core.results import FOUND
from keyctl.errors import Details, NotFoundError, UsageError
from keyctl.operations import checking, pair_choice
from keyctl.store import health_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.health_facts import Finding
    from keyctl.core.inventory import Inventory
    from keyctl.core.results import CheckResult
    from keyctl.operations.asking import Circumstances

#: Where no day is given.
DEFAULT_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which finding is meant; None: whichever."""

    #: Of the rule.
    id: str
    #: The name of a key.
    key: str | None = None
    #: An account, its RP id, or both as ``RP/ACCOUNT``.
    account: str | None = None


@dataclass(frozen=True, kw_only=True)
class AcceptedFinding:
    """An accepted finding, as it is shown. Its texts are hostile."""

    id: str
    #: Its name; None: it is not about a key.
    key: str | None
    #: PRIMARY/BACKUP.
    pairing: str | None
    rp_id: str | None
    account: str | None
    #: How bad it was then.
    result: CheckResult
    accepted_at: str
    until: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class AcceptedFindings:
    """All findings that are accepted now."""

    accepted: tuple[AcceptedFinding, ...]
    changed: bool


def every(circumstances: Circumstances) -> AcceptedFindings:
    """All accepted findings whose time has not passed.

    Raises:
        StoreError: The list or the inventory cannot be read or understood.
    """
    now = times.now()
    inventory = store.read_whole(circumstances.home)
    current = [one for one in health_files.read_acceptances(circumstances.home) if one.until > now]
    return AcceptedFindings(accepted=_shown(current, inventory), changed=False)


def accept(circumstances: Circumstances, choice: Choice, *, until: str | None, reason: str | None) -> AcceptedFindings:
    """Accept one finding until a day.

    Everything is looked at first, without a PIN and a touch: what is not found cannot be accepted.

    Args:
        circumstances: What the command line says.
        choice: Which finding.
        until: The day, ``2027-01-31``; None: in a year.
        reason: Why, for people.

    Raises:
        NotFoundError: Nothing like that is found (``finding_not_found``), or several things are
            (``finding_ambiguous``).
        UsageError: It cannot be accepted, or the day is none or has passed.
        StoreError: The inventory or the list cannot be read or written.
    """
    require_rule(choice.id)
    moment = _moment(until)
    checked = checking.check(circumstances)
    found = [one for one in checked.found if one.result in FOUND and _fits(one, choice)]
    if not found:
        raise _nothing(checked.found, choice)
    finding = _only(found)
    acceptance = Acceptance(
        id=finding.id,
        key_id=finding.key_id,
        pairing_id=finding.pairing_id,
        rp_id=finding.rp_id,
        account=finding.account,
        result=finding.result,
        severity=finding.severity,
        token=finding.token,
        accepted_at=times.now(),
        until=moment,
        reason=reason or None,
    )
    after = health_files.change_acceptances(circumstances.home, (), (acceptance,), now=times.now())
    return AcceptedFindings(accepted=_shown(after, checked.facts.inventory), changed=True)


def remove(circumstances: Circumstances, choice: Choice) -> AcceptedFindings:
    """Let accepted findings count again: all that fit.

    Raises:
        NotFoundError: None fits (``finding_not_found``).
        StoreError: The inventory or the list cannot be read or written.
    """
    inventory = store.read_whole(circumstances.home)
    present = health_files.read_acceptances(circumstances.home)
    names = {key.id: key.name for key in inventory.keys}
    gone = [
        one
        for one in present
        if one.id == choice.id
        and (choice.key is None or names.get(one.key_id or "") == composed(choice.key))
        and _is_account(choice.account, one.rp_id, one.account)
    ]
    if not gone:
        raise NotFoundError(
            "finding_not_found",
            f"no finding {choice.id} of that kind is accepted",
            "`keyctl health accept --list` shows those that are",
        )
    after = health_files.change_acceptances(circumstances.home, gone, (), now=times.now())
    return AcceptedFindings(accepted=_shown(after, inventory), changed=True)


def require_rule(check_id: str) -> None:
    """Refuse what is no finding, or none that can be accepted, before anything is looked at.

    Raises:
        NotFoundError: There is no such rule (``finding_not_found``).
        UsageError: Its findings cannot be accepted.
    """
    try:
        rule = rule_of(check_id)
    except KeyError as error:
        raise NotFoundError(
            "finding_not_found",
            f"there is no finding {check_id}",
            "`keyctl health` shows the findings, each with its id in brackets",
        ) from error
    if not rule.acceptable:
        raise UsageError(
            "usage",
            f"{check_id} cannot be accepted: a key that takes no PIN any more is as good as lost",
            "`keyctl pin verify` with the right PIN sets the tries back",
        )


def _fits(finding: Finding, choice: Choice) -> bool:
    if finding.id != choice.id or (choice.key is not None and finding.key != composed(choice.key)):
        return False
    return _is_account(choice.account, finding.rp_id, finding.account)


def _is_account(wanted: str | None, rp_id: str | None, account: str | None) -> bool:
    if wanted is None:
        return True
    told = {rp_id, account, f"{rp_id}/{account}"} - {None}
    return composed(wanted) in {composed(str(text)) for text in told}


def _only(found: Sequence[Finding]) -> Finding:
    """The one finding; a key without a name cannot be told again tomorrow.

    Raises:
        NotFoundError: There are several (``finding_ambiguous``).
        UsageError: It is about a key without a name.
    """
    if len(found) > 1:
        told = tuple(_title(one) for one in found)
        by = "--account ACCOUNT" if found[0].rp_id is not None else "-k KEY"
        raise NotFoundError(
            "finding_ambiguous",
            f"{len(found)} findings {found[0].id} fit: {', '.join(told)}",
            f"say which one is meant with {by}",
            details=Details(candidates=told),
        )
    [finding] = found
    if finding.key is not None and finding.key_id is None:
        raise UsageError(
            "usage",
            f"{finding.id} of {finding.key} cannot be accepted: it has no name",
            "give it one with `keyctl add NAME`, or unplug it",
        )
    return finding


def _title(finding: Finding) -> str:
    return finding.key or finding.pairing or "/".join(filter(None, (finding.rp_id, finding.account))) or finding.id


def _nothing(found: Sequence[Finding], choice: Choice) -> NotFoundError:
    others = sorted({_title(one) for one in found if one.id == choice.id and one.result in FOUND})
    seen = [one for one in found if one.id == choice.id]
    if others:
        hint = f"it is found of {', '.join(others)}"
    elif any(one.result not in FOUND for one in seen):
        hint = "it is not found now; a key that is not connected is not looked at, so plug it in"
    else:
        hint = "`keyctl health` shows the findings, each with its id in brackets"
    return NotFoundError("finding_not_found", f"nothing like that is found: {choice.id}", hint)


def _moment(day: str | None) -> str:
    """The end of the time, RFC 3339.

    Raises:
        UsageError: It is no day, or has passed.
    """
    now = datetime.now(UTC)
    if day is None:
        return (now + timedelta(days=DEFAULT_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{day}T00:00:00Z"
    try:
        times.parse(text)
    except ValueError as error:
        raise UsageError("usage", f"{day} is no day", "write it like 2027-01-31") from error
    if text <= times.now():
        raise UsageError("usage", f"{day} has passed", "give a day to come, or --remove")
    return text


def _shown(acceptances: Sequence[Acceptance], inventory: Inventory) -> tuple[AcceptedFinding, ...]:
    return tuple(
        AcceptedFinding(
            id=one.id,
            key=None if one.key_id is None else pair_choice.name_of(inventory, one.key_id) or one.key_id,
            pairing=_pairing_label(inventory, one.pairing_id),
            rp_id=one.rp_id,
            account=one.account,
            result=one.result,
            accepted_at=one.accepted_at,
            until=one.until,
            reason=one.reason,
        )
        for one in acceptances
    )


def _pairing_label(inventory: Inventory, pairing_id: str | None) -> str | None:
    if pairing_id is None:
        return None
    pairing = inventory.pairing_with_id(pairing_id)
    return pairing_id if pairing is None else pair_choice.label(inventory, pairing)
