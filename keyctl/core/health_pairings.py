"""The rules of the health check about one pairing that is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import coverage
from keyctl.core.health_facts import Finding, days_ago, digest_of
from keyctl.core.names import quoted
from keyctl.core.pairings import Method, PairingState
from keyctl.core.results import CheckResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keyctl.core.health_facts import Facts, PairingFacts

OK, WARN, FAIL, SKIP = CheckResult.OK, CheckResult.WARN, CheckResult.FAIL, CheckResult.SKIP


def of_pairing(facts: Facts, pairing: PairingFacts) -> Iterator[Finding]:
    """What all rules say of one pairing."""
    for rule in RULES:
        if (finding := rule(facts, pairing)) is not None:
            yield finding


def pairing_seed(_facts: Facts, pairing: PairingFacts) -> Finding | None:
    """Whether the seed is the one that this computer trusts."""
    if pairing.pairing.seed_hash is None:
        return None
    if pairing.seed_trusted is None:
        return _finding("pairing_seed", SKIP, pairing, "was never used on this computer, so its seed is not compared")
    if pairing.seed_trusted:
        return _finding("pairing_seed", OK, pairing, "has the seed that this computer trusts")
    hint = (
        f"if you paired the keys again elsewhere, `keyctl pair verify {quoted(pairing.label)}` asks you to confirm it; "
        "if not, somebody changed the inventory: restore it from a backup"
    )
    return _finding("pairing_seed", FAIL, pairing, "does not have the seed that this computer trusts", hint)


def pairing_record(facts: Facts, pairing: PairingFacts) -> Finding | None:
    """Whether the record on the keys is the inventory's."""
    stored_on = pairing.pairing.stored_on
    if not stored_on:
        return None
    wrong = [label for label, same in pairing.records.items() if not same]
    if wrong:
        message = f"has another record on {' and '.join(wrong)} than in the inventory"
        hint = "compare the fingerprints with `keyctl pair show`; `keyctl pair restore` reads the record of a key"
        return _finding("pairing_record", FAIL, pairing, message, hint)
    if pairing.records:
        where = " and ".join(pairing.records)
        return _finding("pairing_record", OK, pairing, f"has the same record on {where} as in the inventory")
    # Storing it was seeing it.
    moments = (pairing.record_seen_at, *(record.at for record in stored_on))
    ages = [days for days in map(facts.age_days, moments) if days is not None]
    age = min(ages, default=None)
    message = f"has a record on {' and '.join(facts.label_of(one.key_id) for one in stored_on)} that was last seen"
    if age is None or age >= facts.limits.record_days:
        hint = "plug one of the keys in and check again; where that does not see it, `keyctl pair restore` does"
        return _finding("pairing_record", WARN, pairing, f"{message} {days_ago(age)}", hint)
    return _finding("pairing_record", SKIP, pairing, f"{message} {days_ago(age)}")


def derived_keys(_facts: Facts, pairing: PairingFacts) -> Finding | None:
    """Whether every recorded derived key follows from the seed."""
    if not pairing.pairing.derived:
        return None
    if pairing.seed_problem is not None:
        message = f"has derived keys that could not be computed again: {pairing.seed_problem}"
        return _finding("derived_keys", FAIL, pairing, message, "restore the inventory from a backup, or update keyctl")
    if pairing.not_recomputed:
        names = ", ".join(pairing.not_recomputed)
        hint = "the backup key cannot sign for it; do not use it, and restore the inventory from a backup"
        message = f"has keys that do not follow from its seed: {names}"
        token = digest_of("\n".join(pairing.not_recomputed))
        return _finding("derived_keys", FAIL, pairing, message, hint, token=token)
    return _finding("derived_keys", OK, pairing, "has derived keys that all follow from its seed")


def pairing_drill(facts: Facts, pairing: PairingFacts) -> Finding:
    """Whether the backup key showed lately that it can take over."""
    record = pairing.pairing
    hint = f"`keyctl pair verify {quoted(pairing.label)}`; it needs the backup key only"
    if pairing.drill_failure is not None:
        return _finding("pairing_drill", FAIL, pairing, f"failed its drill: {pairing.drill_failure}", hint)
    if record.state is PairingState.BROKEN:
        return _finding(
            "pairing_drill",
            FAIL,
            pairing,
            f"is broken since {record.broken_at}: the backup key cannot take over",
            f"`keyctl pair verify {quoted(pairing.label)}` tries again; else pair the keys anew",
        )
    age = facts.age_days(record.verified_at)
    message = f"had its last drill {days_ago(age)}" if age is not None else "never had a drill"
    if pairing.drill_omission is not None:
        message += f"; drill not held: {pairing.drill_omission}"
    if age is None or age >= facts.limits.pairing_drill_days:
        return _finding("pairing_drill", WARN, pairing, message, hint)
    if pairing.drill_omission is not None:
        return _finding("pairing_drill", SKIP, pairing, message)
    return _finding("pairing_drill", OK, pairing, message)


def pairing_method(_facts: Facts, pairing: PairingFacts) -> Finding:
    """Says so where the method is the weakest."""
    if pairing.pairing.method is Method.SOFTWARE:
        message = "is of the method software: this computer sees the seed whenever the backup key is used"
        hint = "pair again by a stronger method when you get keys that can"
        return _finding("pairing_method", OK, pairing, message, hint)
    return _finding("pairing_method", OK, pairing, f"is of the method {pairing.pairing.method}")


def pairing_gaps(facts: Facts, pairing: PairingFacts) -> Finding | None:
    """Whether keys that are kept in step by hand are in step."""
    record = pairing.pairing
    if record.method is not Method.REGISTRATION:
        return None
    opened = coverage.openings_of_pair(facts.inventory, record)
    missing = [one.row for one in opened if record.backup_id not in one.by and one.row.max_keys != 1]
    if not missing:
        return _finding("pairing_gaps", OK, pairing, "is in step: the backup key opens what the primary key opens")
    accounts = "an account" if len(missing) == 1 else f"{len(missing)} accounts"
    hint = f"register it there, first at {missing[0].service}: `keyctl pair show {quoted(pairing.label)}` lists them"
    message = f"has {accounts} that the backup key does not open"
    return _finding("pairing_gaps", WARN, pairing, message, hint, severity=len(missing))


def _finding(
    check_id: str,
    result: CheckResult,
    pairing: PairingFacts,
    message: str,
    hint: str | None = None,
    *,
    severity: int = 0,
    token: str | None = None,
) -> Finding:
    return Finding(
        id=check_id,
        result=result,
        message=f"{pairing.label} {message}",
        hint=hint,
        pairing=pairing.label,
        pairing_id=pairing.pairing.id,
        severity=severity,
        token=token,
    )


RULES: tuple[Callable[[Facts, PairingFacts], Finding | None], ...] = (
    pairing_seed,
    pairing_record,
    derived_keys,
    pairing_drill,
    pairing_method,
    pairing_gaps,
)
