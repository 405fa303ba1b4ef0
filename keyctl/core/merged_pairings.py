"""What one pairing becomes that two computers have.

What makes it this pairing is never mixed: its two keys, its method and its seed. Where these contradict each other,
somebody meddled, and one version is taken as a whole. Everything else only grows, or has a time of its own.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from keyctl.core.merged_records import Fact
from keyctl.core.pairings import GONE_PREFIX, Seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keyctl.core.merged_records import Dropped
    from keyctl.core.pairings import DerivedKey, Pairing, StoredRecord

#: What makes it this pairing.
_IDENTITY = ("primary_id", "backup_id", "method", "seed", "recovery_seed")
#: What was seen to happen, whose value is when; with what goes along.
_SEEN: Mapping[str, tuple[str, ...]] = {"verified_at": ("verified_by",), "broken_at": (), "retired_at": ()}


def merged_pairing(mine: Pairing, theirs: Pairing, pin: bytes | None, notes: Dropped) -> Pairing:
    """What one pairing becomes; what was contradictory, and dropped, is added to *notes*.

    Args:
        mine: As this computer has it.
        theirs: As another one has it, under the same id.
        pin: SHA-256 of the seed that is trusted here, which stays, whoever says otherwise; None: none is. Else the
            older pairing stays.
        notes: Where to tell.
    """
    if _identity(mine) != _identity(theirs):
        return _one_of(mine, theirs, pin, notes)
    older = min(mine, theirs, key=lambda pairing: (pairing.created_at, pairing.paired_by))
    return replace(
        older,
        seed=max((mine.seed, theirs.seed), key=_proved),
        stored_on=_merged_copies(mine, theirs),
        **_last_seen(mine, theirs),
        derived=_merged_derived(mine.derived, theirs.derived, notes),
        changed={
            name: max(mine.changed.get(name, ""), theirs.changed.get(name, ""))
            for name in {**mine.changed, **theirs.changed}
        },
    )


def _identity(pairing: Pairing) -> dict[str, Any]:
    """What makes it this pairing; what proves its seed is no part of it."""
    identity = {name: getattr(pairing, name) for name in _IDENTITY}
    if pairing.seed is not None:
        identity["seed"] = replace(pairing.seed, attestation="", evidence=None)
    return identity


def _one_of(mine: Pairing, theirs: Pairing, pin: bytes | None, notes: Dropped) -> Pairing:
    kept, dropped = sorted((mine, theirs), key=lambda pairing: (pairing.created_at, repr(_identity(pairing))))
    if pin is not None and dropped.seed_hash == pin != kept.seed_hash:
        kept, dropped = dropped, kept
    lost = _identity(dropped)
    for name, value in _identity(kept).items():
        if value != lost[name]:
            notes.dropped.append((name, _fact(value, kept.created_at), _fact(lost[name], dropped.created_at)))
    return kept


def _fact(value: Any, at: str) -> Fact:
    """*value* to be told: a seed as a hash of all of it, so that any two that differ look different."""
    if isinstance(value, Seed):
        value = repr(value).encode()
    return Fact(sha256(value).digest() if isinstance(value, bytes) else value, at, said=True)


def _proved(seed: Seed | None) -> tuple[bool, str]:
    """More, the more is known for the seed; of two that are the same otherwise."""
    return seed is not None and seed.evidence is not None, repr(seed)


def _last_seen(mine: Pairing, theirs: Pairing) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    for name, along in _SEEN.items():
        together = attrgetter(name, *along) if along else attrgetter(name)

        def rank(pairing: Pairing, name: str = name, together: attrgetter[Any] = together) -> tuple[str, bool, str]:
            at = getattr(pairing, name)
            return max(at or "", pairing.changed.get(name, "")), at is not None, repr(together(pairing))

        last = max(mine, theirs, key=rank)
        newest |= {one: getattr(last, one) for one in (name, *along)}
    return newest


def _merged_copies(mine: Pairing, theirs: Pairing) -> tuple[StoredRecord, ...]:
    """The copy on each key as it was last written, unless it is gone since."""
    own, other = _copies(mine), _copies(theirs)
    kept = (max(own.get(key_id, _NOTHING), other.get(key_id, _NOTHING), key=_copy_rank) for key_id in own | other)
    return tuple(sorted((record for _, record in kept if record is not None), key=attrgetter("key_id")))


_NOTHING: tuple[str, StoredRecord | None] = ("", None)


def _copies(pairing: Pairing) -> dict[str, tuple[str, StoredRecord | None]]:
    """Key id -> since when there is a copy, and it; or when it was gone, and None."""
    gone = {name.removeprefix(GONE_PREFIX): at for name, at in pairing.changed.items() if name.startswith(GONE_PREFIX)}
    facts: dict[str, tuple[str, StoredRecord | None]] = {key_id: (at, None) for key_id, at in gone.items()}
    for record in pairing.stored_on:
        # By a clock that went wrong, it may seem written before another one was gone.
        facts[record.key_id] = max(record.at, gone.get(record.key_id, "")), record
    return facts


def _copy_rank(fact: tuple[str, StoredRecord | None]) -> tuple[str, bool, str]:
    # In doubt it is gone: it is better to look for a copy than to rely on one.
    at, record = fact
    return at, record is None and at != "", repr(record)


def _merged_derived(own: Iterable[DerivedKey], offered: Iterable[DerivedKey], notes: Dropped) -> tuple[DerivedKey, ...]:
    merged = {key.target: key for key in own}
    for key in offered:
        known = merged.get(key.target)
        merged[key.target] = key if known is None else _merged_key(known, key, notes)
    return tuple(merged[target] for target in sorted(merged))


def _merged_key(mine: DerivedKey, theirs: DerivedKey, notes: Dropped) -> DerivedKey:
    """One derived key; it follows from the seed, so that there can be no two for a target."""
    content = attrgetter("public_key", "key_handle")
    older, newer = sorted((mine, theirs), key=lambda key: (key.created_at, repr(key)))
    if content(older) != content(newer):
        kept, dropped = (Fact(key.public_key, key.created_at, said=True) for key in (older, newer))
        notes.dropped.append((f"derived:{older.target}", kept, dropped))
        return older
    return replace(
        older,
        endorsement=max(mine.endorsement, theirs.endorsement, key=lambda one: (one is not None, repr(one))),
        handed_over_at=_later(mine.handed_over_at, theirs.handed_over_at),
        replaced_at=_later(mine.replaced_at, theirs.replaced_at),
    )


def _later(one: str | None, other: str | None) -> str | None:
    return max(one or "", other or "") or None
