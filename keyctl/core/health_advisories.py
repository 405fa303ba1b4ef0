"""The rules of the health check about published flaws: of one key, and of keys that share one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import catalogue
from keyctl.core.advisories import AdvisoryLevel, AdvisoryResult, Identity, matches_for
from keyctl.core.health_facts import Finding, digest_of
from keyctl.core.health_table import ADVISORY_PREFIX
from keyctl.core.results import CheckResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from keyctl.core.advisories import Match
    from keyctl.core.health_facts import Facts, KeyFacts
    from keyctl.core.inventory import KnownKey


def identity_of(known: KnownKey) -> Identity:
    """What a known key is, by what is noted of it."""
    aaguid = known.aaguid
    generation = catalogue.metadata_firmware(bytes.fromhex(aaguid.replace("-", ""))) if aaguid else None
    return Identity(model=known.model, aaguid=aaguid, firmware=known.firmware, generation=generation)


def matches(key: KeyFacts) -> tuple[Match, ...]:
    """The advisories that concern a key, as far as it or the inventory tells what it is."""
    known = key.known
    if known is not None and known.virtual:
        return ()
    if key.reading is None:
        return matches_for(identity_of(known)) if known is not None else ()
    identity = key.reading.identity
    if known is not None:
        identity = replace(identity, model=identity.model or known.model, firmware=identity.firmware or known.firmware)
    return matches_for(identity)


def advisories(key: KeyFacts) -> Iterator[Finding]:
    """One finding for each advisory that certainly concerns the key."""
    for match in matches(key):
        advisory = match.advisory
        if advisory.result is AdvisoryResult.AFFECTED:
            grave = advisory.level is AdvisoryLevel.HIGH
            yield Finding(
                id=ADVISORY_PREFIX + advisory.id.lower().replace("-", "_"),
                result=CheckResult.FAIL if grave else CheckResult.WARN,
                message=f"{key.label} is affected by {advisory.id}: {advisory.effect}",
                hint=advisory.action if advisory.url is None else f"{advisory.action}; {advisory.url}",
                key=key.label,
                key_id=key.known.id if key.known is not None else None,
                severity=list(AdvisoryLevel).index(advisory.level),
                token=match.digest,
            )


def firmware(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether it is known which advisories concern the key."""
    if key.known is None and key.reading is None:
        return None
    doubtful = [match for match in matches(key) if match.advisory.result is AdvisoryResult.UNKNOWN]
    result, hint, token = CheckResult.OK, None, None
    message = f"{key.label}: for every advisory it is known whether it concerns this key"
    if doubtful:
        result, token = CheckResult.WARN, _together(doubtful)
        names = ", ".join(match.advisory.id for match in doubtful)
        message = f"{key.label} may be affected by {names}: its firmware is not known, or its model does not tell"
        first = "plug it in and check again" if key.reading is None else "it does not tell its firmware"
        hint = f"{first}; the vendor's own program shows it; until then take it for affected"
    return Finding(
        id="firmware",
        result=result,
        message=message,
        hint=hint,
        key=key.label,
        key_id=key.known.id if key.known is not None else None,
        token=token,
    )


def same_flaw(facts: Facts, owners: Iterable[tuple[str | None, list[KnownKey]]]) -> Finding:
    """Whether an owner's keys of one model and firmware share a flaw."""
    shown: list[str] = []
    shared: list[Match] = []
    by_id = {key.known.id: key for key in facts.keys if key.known is not None}
    for _, keys in owners:
        batches: dict[tuple[str | None, str | None], list[KnownKey]] = {}
        for key in keys:
            if key.model is not None and key.firmware is not None:
                batches.setdefault((key.model, key.firmware), []).append(key)
        for batch in batches.values():
            if len(batch) == 1 or batch[0].virtual:
                continue
            facts_of = by_id.get(batch[0].id)
            found = matches(facts_of) if facts_of is not None else matches_for(identity_of(batch[0]))
            sure = [match for match in found if match.advisory.result is AdvisoryResult.AFFECTED]
            if sure:
                names = " and ".join(key.name for key in batch)
                shown.append(f"{names} have the same flaw: {', '.join(match.advisory.id for match in sure)}")
                shared += sure
    if not shown:
        return Finding(id="same_flaw", result=CheckResult.OK, message="no two keys of one batch share a known flaw")
    return Finding(
        id="same_flaw",
        result=CheckResult.WARN,
        message="; ".join(shown),
        hint="replace one of them first, by one of another model",
        token=_together(shared) + digest_of("\n".join(shown)),
    )


def _together(found: Iterable[Match]) -> str:
    """One digest of several advisories' digests."""
    return digest_of(" ".join(sorted(match.digest for match in found)))
