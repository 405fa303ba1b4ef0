"""Accepting findings that cannot be mended, for a while; and taking that back."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.health_results import Acceptance
from keyctl.core.health_table import rule_of
from keyctl.core.names import composed, quoted
from keyctl.core.results import FOUND
from keyctl.errors import Details, KeyctlError, NotFoundError, UsageError
from keyctl.operations import check_facts, checking, pair_choice
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
    #: As ``--key`` takes it: a key, or of a pairing one of its keys or PRIMARY/BACKUP.
    key: str | None = None
    #: An account, its RP id, or both as ``RP/ACCOUNT``.
    account: str | None = None
    #: Whose account; the empty text: nobody's in particular.
    owner: str | None = None


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
    #: Whose account it is; None: nobody's in particular, or it is not about one.
    owner: str | None
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


def accept(
    circumstances: Circumstances, choice: Choice, *, until: str | None, reason: str | None, dry_run: bool
) -> AcceptedFindings:
    """Accept one finding until a day.

    Everything is looked at first, without a PIN and a touch: what is not found cannot be accepted.

    Args:
        circumstances: What the command line says.
        choice: Which finding.
        until: The day, ``2027-01-31``; None: in a year.
        reason: Why, for people.
        dry_run: Change nothing; what would be accepted is returned.

    Raises:
        NotFoundError: Nothing like that is found (``finding_not_found``), or several things are
            (``finding_ambiguous``).
        UsageError: It cannot be accepted, or the day is none or has passed.
        StoreError: The inventory or the list cannot be read or written.
    """
    require_rule(choice.id)
    moment = _moment(until)
    checked = checking.check(circumstances, noting=False)
    subjects = _subjects(circumstances, checked.facts.inventory, choice.key)
    found = [one for one in checked.found if one.result in FOUND and _fits(one, choice, subjects)]
    if not found:
        raise _nothing(checked.found, choice)
    finding = _only(found)
    acceptance = Acceptance(
        id=finding.id,
        key_id=finding.key_id,
        pairing_id=finding.pairing_id,
        rp_id=finding.rp_id,
        account=finding.account,
        owner=finding.owner,
        result=finding.result,
        severity=finding.severity,
        token=finding.token,
        accepted_at=times.now(),
        until=moment,
        reason=reason or None,
    )
    after = _changed(circumstances, (), (acceptance,), dry_run=dry_run)
    if not dry_run:
        checking.note(circumstances, checked, after)
    return AcceptedFindings(accepted=_shown(after, checked.facts.inventory), changed=not dry_run)


def remove(circumstances: Circumstances, choice: Choice, *, dry_run: bool) -> AcceptedFindings:
    """Let accepted findings count again: all that fit.

    Args:
        circumstances: What the command line says.
        choice: Which findings.
        dry_run: Change nothing; what would still be accepted is returned.

    Raises:
        NotFoundError: None fits (``finding_not_found``).
        StoreError: The inventory or the list cannot be read or written.
    """
    inventory = store.read_whole(circumstances.home)
    present = health_files.read_acceptances(circumstances.home)
    subjects = _subjects(circumstances, inventory, choice.key)
    gone = [one for one in present if _fits(one, choice, subjects)]
    if not gone:
        raise NotFoundError(
            "finding_not_found",
            f"no finding {choice.id} of that kind is accepted",
            "`keyctl health accept --list` shows those that are",
        )
    after = _changed(circumstances, gone, (), dry_run=dry_run)
    if not dry_run:
        with contextlib.suppress(KeyctlError):
            # For the first screen; where nothing can be checked now, the next check says it.
            checking.check(circumstances)
    return AcceptedFindings(accepted=_shown(after, inventory), changed=not dry_run)


def _changed(
    circumstances: Circumstances, drop: Sequence[Acceptance], add: Sequence[Acceptance], *, dry_run: bool
) -> tuple[Acceptance, ...]:
    """All that are accepted afterwards, or would be."""
    if dry_run:
        return health_files.changed(health_files.read_acceptances(circumstances.home), drop, add, now=times.now())
    return health_files.change_acceptances(circumstances.home, drop, add, now=times.now())


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


def _subjects(circumstances: Circumstances, inventory: Inventory, text: str | None) -> frozenset[str] | None:
    """The ids of the keys and pairings that ``--key`` means; None: of all."""
    if text is None:
        return None
    wanted = composed(text)
    known = check_facts.known_key(circumstances, inventory, text)
    pairings = [one for one in inventory.pairings if wanted in {one.id, pair_choice.label(inventory, one)}]
    if known is not None:
        pairings += inventory.pairings_of(known.id)
    # The text itself is of a key without a name, to say that it has none.
    return frozenset({known.id if known is not None else text, *(one.id for one in pairings)})


def _fits(about: Finding | Acceptance, choice: Choice, subjects: frozenset[str] | None) -> bool:
    """Whether a finding, or one that was accepted, is meant."""
    return (
        about.id == choice.id
        and (subjects is None or not subjects.isdisjoint(about.subject[1:3]))
        and _is_account(choice.account, about.rp_id, about.account)
        and (choice.owner is None or composed(choice.owner) == about.owner)
    )


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
        raise NotFoundError(
            "finding_ambiguous",
            f"{len(found)} findings {found[0].id} fit: {', '.join(told)}",
            f"say which one is meant with {_means(found)}",
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


def _means(found: Sequence[Finding]) -> str:
    """How several findings are told apart, in words of the command line."""
    first = found[0]
    if first.rp_id is not None:
        same = len({(one.rp_id, one.account) for one in found}) == 1
        return "--owner OWNER" if same else "--account ACCOUNT"
    if first.pairing is not None:
        return f"-k PRIMARY/BACKUP, like `-k {quoted(first.pairing)}`"
    return "-k KEY"


def _title(finding: Finding) -> str:
    account = "/".join(filter(None, (finding.rp_id, finding.account)))
    if account and finding.owner:
        account += f" of {finding.owner}"
    return finding.key or finding.pairing or account or finding.id


def _nothing(found: Sequence[Finding], choice: Choice) -> NotFoundError:
    seen = [one for one in found if one.id == choice.id]
    others = sorted({_title(one) for one in seen if one.result in FOUND})
    if others == [choice.id]:
        hint = "it is about all keys together, so leave -k, --account and --owner out"
    elif others:
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
            owner=one.owner or None,
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
