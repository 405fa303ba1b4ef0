"""The rules of the health check about accounts, owners and the inventory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import coverage, times
from keyctl.core.account_rows import Status
from keyctl.core.accounts import owner_of
from keyctl.core.health_advisories import same_flaw
from keyctl.core.health_facts import Finding, days_ago, digest_of
from keyctl.core.key_models import model_of
from keyctl.core.names import account_label
from keyctl.core.results import CheckResult
from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keyctl.core.account_rows import AccountRow
    from keyctl.core.health_facts import Facts
    from keyctl.core.inventory import Inventory, KnownKey

OK, WARN, FAIL, SKIP = CheckResult.OK, CheckResult.WARN, CheckResult.FAIL, CheckResult.SKIP
_ENOUGH_KEYS = 2
#: Of what is at risk: how bad it is, and in which words.
_RISKS = {
    Status.WEAK_RECOVERY: (0, "is opened by one key at most, and beside it only by what others can take over"),
    Status.SINGLE_KEY: (1, "is opened by one key, and by nothing else"),
    Status.UNCOVERED: (2, "is opened by no key"),
}


def of_whole(facts: Facts) -> Iterator[Finding]:
    """What all rules say of the whole; nothing beside ``nothing_known`` where no key is known."""
    if not facts.inventory.keys:
        hint = "plug a key in and run `keyctl add NAME`; `keyctl demo` shows how it goes"
        yield Finding(id="nothing_known", result=WARN, message="no key is known, so nothing can be checked", hint=hint)
        return
    owners = _owners(facts.inventory)
    yield from accounts_at_risk(facts, several_owners=len(owners) > 1)
    yield two_keys(owners)
    yield models(owners)
    yield same_flaw(facts, owners)
    yield export(facts)
    yield future(facts)
    yield clock(facts)


def accounts_at_risk(facts: Facts, *, several_owners: bool) -> Iterator[Finding]:
    """One finding for each account at risk."""
    found = coverage.coverage(facts.inventory, now=facts.now)
    risky = [row for row in found.services if row.status in _RISKS]
    if not risky:
        yield Finding(id="account_at_risk", result=OK, message=f"{_count(len(found.services))}, none of them at risk")
    for row in risky:
        severity, words = _RISKS[row.status]
        whose = f" of {row.owner}" if several_owners and row.owner is not None else ""
        yield Finding(
            id="account_at_risk",
            result=FAIL if row.status is Status.UNCOVERED else WARN,
            message=f"{account_label(row.service, row.account)}{whose} {words}",
            hint=_account_hint(row),
            rp_id=row.rp_id,
            account=row.account,
            owner=row.owner or "",
            severity=severity,
        )


def two_keys(owners: Sequence[tuple[str | None, list[KnownKey]]]) -> Finding:
    """Whether every owner has two keys."""
    short = [(owner, keys) for owner, keys in owners if len(keys) < _ENOUGH_KEYS]
    if not short:
        return Finding(id="two_keys", result=OK, message="every owner has two keys or more")
    words = [f"{_whose(owner, owners)} {'one key only' if keys else 'no key that works'}" for owner, keys in short]
    return Finding(
        id="two_keys",
        result=WARN,
        message="; ".join(words),
        hint="when one key is lost, nothing is left: get a second one, then `keyctl add NAME`",
        token=digest_of("\n".join(words)),
    )


def models(owners: Sequence[tuple[str | None, list[KnownKey]]]) -> Finding:
    """Whether the keys of every owner are of different models."""
    alike = []
    unknown = False
    for owner, keys in owners:
        kinds = {model_of(key) for key in keys}
        if len(keys) >= _ENOUGH_KEYS and len(kinds) == 1:
            if kinds == {None}:
                unknown = True
            else:
                whose = f" of {owner}" if owner is not None else "" if len(owners) == 1 else " without an owner"
                alike.append(f"all keys{whose} are of one model: {keys[0].model or 'one that is not in the list'}")
    if alike:
        hint = "a flaw of that model concerns all of them: let the next key be of another maker or model"
        return Finding(id="models", result=WARN, message="; ".join(alike), hint=hint, token=digest_of("\n".join(alike)))
    if unknown:
        return Finding(id="models", result=SKIP, message="of which model the keys are is not known")
    return Finding(id="models", result=OK, message="nobody has several keys of one model only")


def export(facts: Facts) -> Finding:
    """Whether the inventory was exported since it changed."""
    hint = "`keyctl inventory export FILE`, and keep it elsewhere; accept this where the folder is backed up or synced"
    if facts.export is None:
        message = "the inventory was never exported on this computer, so it goes with it"
        return Finding(id="export", result=WARN, message=message, hint=hint)
    age = days_ago(facts.age_days(facts.export.exported_at))
    if facts.export.changed:
        message = f"the inventory changed since it was last exported, {age}"
        return Finding(id="export", result=WARN, message=message, hint=hint)
    return Finding(id="export", result=OK, message=f"the inventory is as it was last exported, {age}")


def future(facts: Facts) -> Finding:
    """Whether files of the inventory are from the future."""
    latest = times.shifted(facts.now, times.CLOCK_TOLERANCE)
    ahead = sorted({name for name, moment in moments(facts.inventory) if moment > latest})
    if not ahead:
        return Finding(id="future", result=OK, message="no file of the inventory is from the future")
    message = (
        f"what is noted of {', '.join(ahead[:5])}{' and others' if len(ahead) > 5 else ''} has a time that has not come"
    )
    hint = "set the clock of this computer, or of the one that wrote it; until then such times count as never"
    return Finding(id="future", result=WARN, message=message, hint=hint, severity=len(ahead))


def clock(facts: Facts) -> Finding:
    """Whether the clock of this computer was set back."""
    if is_set_back(facts.noted_at, facts.now):
        message = f"the clock of this computer was set back: keyctl ran at {facts.noted_at}, and now it is {facts.now}"
        return Finding(
            id="clock", result=WARN, message=message, hint="set the clock; ages cannot be trusted until then"
        )
    return Finding(id="clock", result=OK, message="the clock of this computer was not set back")


def is_set_back(noted_at: str | None, now: str) -> bool:
    """Whether something was noted at a time that, by the clock of *now*, has not come; None: nothing was noted."""
    return noted_at is not None and times.parse(noted_at) - times.parse(now) > times.CLOCK_TOLERANCE


def _owners(inventory: Inventory) -> list[tuple[str | None, list[KnownKey]]]:
    """Every owner, and the keys that count for them; the nameless one first."""
    physical = any(not key.virtual for key in inventory.keys)
    found: dict[str | None, list[KnownKey]] = {}
    for key in inventory.keys:
        if key.virtual and physical:
            continue
        keys = found.setdefault(owner_of(key), [])
        if key.state is KeyState.ACTIVE:
            keys.append(key)
    return sorted(found.items(), key=lambda entry: entry[0] or "")


def _whose(owner: str | None, owners: Sequence[object]) -> str:
    if owner is not None:
        return f"{owner} has"
    return "there is" if len(owners) == 1 else "without an owner there is"


def _count(accounts: int) -> str:
    return "1 account is known" if accounts == 1 else f"{accounts} accounts are known"


def _account_hint(row: AccountRow) -> str:
    if row.hint is not None:
        return row.hint
    if row.url is not None:
        return f"register another key: {row.url}; or note another way in with `keyctl service add`"
    return "register another key there, or note another way in with `keyctl service add`"


def moments(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """All times that say when something was seen or done, each with the name of what it is noted of."""
    for key in inventory.keys:
        moments = [key.added_at, key.recognition.enrolled_at, key.passkeys_read_at or "", *key.changed.values()]
        moments += [registration.seen_at for registration in key.registrations]
        yield key.name, max(moments)
    for service in inventory.services:
        said = [declaration.declared_at for declaration in service.on]
        yield service.name, max([service.added_at, *service.changed.values(), *said])
    for pairing in inventory.pairings:
        moments = [pairing.created_at, pairing.verified_at or "", pairing.broken_at or "", pairing.retired_at or ""]
        backup = inventory.key_with_id(pairing.backup_id)
        name = backup.name if backup is not None else pairing.id
        yield f"the pairing of {name}", max([*moments, *pairing.changed.values()])
