"""What the last whole check on this computer found, as far as it still says something about what is known today."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.results import CheckResult
from keyctl.device.discover import is_selector
from keyctl.model import KeyState
from keyctl.operations import pair_choice
from keyctl.store import check_results

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from keyctl.core.health_results import HealthCheck
    from keyctl.core.inventory import Inventory
    from keyctl.store.check_results import CheckCounts, LastCheck

#: What is said of a key that is not in use, and of no other.
_RULE_OF_STATE: Mapping[KeyState, str] = {KeyState.LOST: "lost_key", KeyState.RESET: "key_reset"}
_NOTHING_KNOWN = "nothing_known"


@dataclass(frozen=True, kw_only=True)
class LastResult:
    """How the last whole check on this computer ended."""

    at: str
    result: CheckResult
    counts: CheckCounts


def read(state: Path, inventory: Inventory, *, now: str) -> tuple[LastResult | None, tuple[HealthCheck, ...]]:
    """The last check and its findings, the worst first, without those that went with a key or a pairing.

    None: there was none, or one that says nothing: of another time than this clock's, or of when no key was known.
    """
    last = check_results.read_last(state)
    if last is None or times.parse(last.at) - times.parse(now) > times.CLOCK_TOLERANCE:
        return None, ()
    if inventory.keys and any(check.id == _NOTHING_KNOWN for check in last.findings):
        return None, ()
    findings = tuple(check for check in last.findings if _is_current(check, inventory))
    counts = _without(last, findings)
    return LastResult(at=last.at, result=_worst(counts), counts=counts), findings


def _is_current(check: HealthCheck, inventory: Inventory) -> bool:
    """Whether what *check* is about is still known, and in the state in which it was found."""
    if check.pairing is not None:
        return any(
            check.pairing in {pairing.id, pair_choice.label(inventory, pairing)}
            for pairing in inventory.pairings
            if pairing.retired_at is None
        )
    if check.key is None or is_selector(check.key):
        return True
    known = inventory.key_named(check.key)
    if known is None:
        return False
    rule = _RULE_OF_STATE.get(known.state)
    return check.id == rule if rule is not None else check.id not in _RULE_OF_STATE.values()


def _without(last: LastCheck, current: tuple[HealthCheck, ...]) -> CheckCounts:
    """The counts without the findings that went."""
    gone = [check.result for check in last.findings if check not in current]
    warn, fail = (gone.count(result) for result in (CheckResult.WARN, CheckResult.FAIL))
    return replace(last.counts, warn=max(last.counts.warn - warn, 0), fail=max(last.counts.fail - fail, 0))


def _worst(counts: CheckCounts) -> CheckResult:
    if counts.fail:
        return CheckResult.FAIL
    return CheckResult.WARN if counts.warn else CheckResult.OK
