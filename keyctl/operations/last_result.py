"""What the last whole check on this computer found, as far as it still says something about what is known today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.account_rows import Status
from keyctl.core.coverage import AT_RISK
from keyctl.core.results import CheckResult
from keyctl.model import KeyState
from keyctl.operations import pair_choice
from keyctl.store import check_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from keyctl.core.coverage import Coverage
    from keyctl.core.health_results import HealthCheck
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.model import Key
    from keyctl.store.check_results import CheckCounts, LastCheck

#: What is said of a key that is not in use, and of no other.
_RULE_OF_STATE: Mapping[KeyState, str] = {KeyState.LOST: "lost_key", KeyState.RESET: "key_reset"}
_NOTHING_KNOWN = "nothing_known"
#: Instead of a hint that goes by what a key was called then.
_LOOK_AGAIN = "`keyctl health` says what to do about it"


@dataclass(frozen=True, kw_only=True)
class LastResult:
    """How the last whole check on this computer ended."""

    at: str
    result: CheckResult
    counts: CheckCounts


@dataclass(frozen=True, kw_only=True)
class Today:
    """What is known by now."""

    inventory: Inventory
    #: All keys, connected or known.
    keys: Sequence[Key]
    coverage: Coverage
    now: str


def read(state: Path, today: Today) -> tuple[LastResult | None, tuple[HealthCheck, ...]]:
    """The last check and its findings, the worst first, without those that went with a key, a pairing or an account.

    Keys and pairings are called what they are called today.

    None: there was none, or one that says nothing: of another time than this clock's, or of when no key was known.
    """
    last = check_results.read_last(state)
    if last is None or times.parse(last.at) - times.parse(today.now) > times.CLOCK_TOLERANCE:
        return None, ()
    if today.inventory.keys and any(check.id == _NOTHING_KNOWN for check in last.findings):
        return None, ()
    current = [_as_of_today(check, last, today) for check in last.findings]
    gone = [check.result for check, found in zip(last.findings, current, strict=True) if found is None]
    counts = _without(last, gone)
    findings = tuple(found for found in current if found is not None)
    return LastResult(at=last.at, result=_worst(counts), counts=counts), findings


def _as_of_today(check: HealthCheck, last: LastCheck, today: Today) -> HealthCheck | None:
    """*check* with the names of today; None: what it is about is not known any more, or in another state."""
    if check.pairing is not None:
        pairing = _pairing(check.pairing, last, today.inventory)
        return _called(check, pairing=_label(check.pairing, pairing, today.inventory)) if pairing is not None else None
    if check.key is not None:
        return _of_key(check, check.key, last, today)
    return check if check.id != "account_at_risk" or _is_at_risk(check, today.coverage) else None


def _of_key(check: HealthCheck, name: str, last: LastCheck, today: Today) -> HealthCheck | None:
    key_id = last.key_ids.get(name)
    known = today.inventory.key_named(name) if key_id is None else today.inventory.key_with_id(key_id)
    if known is not None:
        return _called(check, key=known.name) if _fits_state(check, known) else None
    if key_id is not None:
        return None
    # A device without a name, which may have got one, or answers by now.
    named = {key.selector for key in today.keys if key.connected and key.id is not None}
    return None if name in named else check


def _fits_state(check: HealthCheck, known: KnownKey) -> bool:
    """Whether *known* is in the state in which *check* was found."""
    rule = _RULE_OF_STATE.get(known.state)
    return check.id == rule if rule is not None else check.id not in _RULE_OF_STATE.values()


def _pairing(name: str, last: LastCheck, inventory: Inventory) -> Pairing | None:
    """The pairing that was called *name*, where it is still in force."""
    pairing_id = last.pairing_ids.get(name)
    for pairing in inventory.pairings:
        names = {pairing.id, pair_choice.label(inventory, pairing)} if pairing_id is None else {pairing.id}
        if pairing.retired_at is None and (pairing_id or name) in names:
            return pairing
    return None


def _label(name: str, pairing: Pairing, inventory: Inventory) -> str:
    # One of several of the same two keys is called by its id.
    return name if name == pairing.id else pair_choice.label(inventory, pairing)


def _called(check: HealthCheck, *, key: str | None = None, pairing: str | None = None) -> HealthCheck:
    """*check* with another name of its key or pairing."""
    before, after = check.key or check.pairing or "", key or pairing or ""
    if before == after:
        return check
    rest = check.message.removeprefix(before)
    message = check.message if rest == check.message else after + rest
    hint = _LOOK_AGAIN if check.hint is not None else None
    return replace(check, key=key, pairing=pairing, message=message, hint=hint)


def _is_at_risk(check: HealthCheck, coverage: Coverage) -> bool:
    """Whether the account is still at risk, and no less."""
    enough = AT_RISK if check.result is CheckResult.WARN else {Status.UNCOVERED}
    return any(
        (row.rp_id, row.account) == (check.rp_id, check.account)
        # An older keyctl noted no owner.
        and check.owner in {None, row.owner}
        and row.status in enough
        for row in coverage.services
    )


def _without(last: LastCheck, gone: Sequence[CheckResult]) -> CheckCounts:
    """The counts without the findings that went."""
    warn, fail = (gone.count(result) for result in (CheckResult.WARN, CheckResult.FAIL))
    return replace(last.counts, warn=max(last.counts.warn - warn, 0), fail=max(last.counts.fail - fail, 0))


def _worst(counts: CheckCounts) -> CheckResult:
    if counts.fail:
        return CheckResult.FAIL
    return CheckResult.WARN if counts.warn else CheckResult.OK
