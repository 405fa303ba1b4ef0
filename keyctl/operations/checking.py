"""The health check: looks at everything, or at the keys that were named. It asks and touches nothing but in a drill."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import health, times
from keyctl.core.results import FOUND, CheckResult
from keyctl.errors import StoreError, UsageError
from keyctl.operations import check_facts
from keyctl.operations.check_facts import Drills
from keyctl.store import check_results, health_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.health_facts import Facts, Finding
    from keyctl.core.health_results import Acceptance, Health
    from keyctl.errors import KeyctlError
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A check, with what it rests on."""

    health: Health
    #: What all rules said, as accepting it needs it.
    found: tuple[Finding, ...]
    facts: Facts
    #: Why drills of keys that were named could not be held.
    errors: tuple[KeyctlError, ...]


def check(
    circumstances: Circumstances, names: Sequence[str] = (), *, drill: bool = False, noting: bool = True
) -> Checked:
    """Look at keys, pairings and accounts.

    Args:
        circumstances: What the command line says; its ``wanted`` is not looked at.
        names: The keys to look at, as ``--key`` takes them; none: all, and the whole. The result of a whole check is
            noted for the first screen.
        drill: Whether to hold a drill of every key first.
        noting: Whether to note the result.

    Raises:
        UsageError: ``health.toml`` is broken (``limits_invalid``), or a drill is wanted and nobody is there.
        KeyChoiceError: A key that was named is not connected.
        UnreachableError: A key that was named cannot be opened or does not answer.
        StoreError: The inventory or the list of accepted findings cannot be read or understood.
        DeclinedError: The person wants no drill.
    """
    try:
        limits = health_files.read_limits(circumstances.home)
    except UsageError:
        # Where not even the inventory can be read, that is what is wrong.
        store.read_whole(circumstances.home)
        raise
    acceptances = health_files.read_acceptances(circumstances.home)
    drills = _drills(circumstances, names, wanted=drill)
    now = times.now()
    facts = check_facts.gather(circumstances, names, limits, drills, now=now)
    found = tuple(health.findings(facts))
    since = check_results.read_since(circumstances.state)
    result = health.diagnose(found, acceptances, now=now, since=since)
    if noting:
        _note(circumstances, result, found, facts, since)
    return Checked(health=result, found=found, facts=facts, errors=drills.errors)


def note(circumstances: Circumstances, checked: Checked, acceptances: Sequence[Acceptance]) -> None:
    """Note the result of a check that was not noted, as it is with what is accepted by now."""
    since = check_results.read_since(circumstances.state)
    result = health.diagnose(checked.found, acceptances, now=checked.facts.now, since=since)
    _note(circumstances, result, checked.found, checked.facts, since)


def _note(
    circumstances: Circumstances, result: Health, found: Sequence[Finding], facts: Facts, since: Mapping[str, str]
) -> None:
    with contextlib.suppress(StoreError):
        # A state folder on a read-only disk must not keep the check from saying what it saw.
        _note_records(circumstances, facts)
        if facts.whole:
            began = _began(found, since, facts.now)
            check_results.write_last(circumstances.state, result, found, began, now=facts.now)


def _began(found: Sequence[Finding], since: Mapping[str, str], now: str) -> dict[str, str]:
    """When each finding began, by its mark; what is not seen today may still be so tomorrow."""
    began = {one.mark: since.get(one.mark, now) for one in found if one.result in FOUND}
    unseen = [one.mark for one in found if one.result is CheckResult.SKIP] if since else []
    return {**began, **{mark: since[mark] for mark in unseen if mark in since}}


def _drills(circumstances: Circumstances, names: Sequence[str], *, wanted: bool) -> Drills:
    if not wanted:
        return Drills()
    from keyctl.operations import drilling

    return drilling.hold(circumstances, names)


def _note_records(circumstances: Circumstances, facts: Facts) -> None:
    """Note which records were seen on keys."""
    for one in facts.pairings:
        if one.records and all(one.records.values()):
            check_results.write_record_seen(circumstances.state, one.pairing.id, facts.now)
