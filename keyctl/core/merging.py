"""Bringing two inventories together: which records are one, what that makes of them, and what to tell."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from keyctl.core import names, services
from keyctl.core.inventory import Inventory, KnownKey, Service
from keyctl.core.merged_pairings import merged_pairing
from keyctl.core.merged_records import Dropped, Fact, end_of, ended, heading, merged_key, merged_service
from keyctl.core.pairings import Pairing
from keyctl.core.services import OFF_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any, TypeAlias

    from keyctl.core.merged_records import Conflict

    _Record: TypeAlias = KnownKey | Service | Pairing


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What another computer's inventory says."""

    keys: tuple[KnownKey, ...] = ()
    services: tuple[Service, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    #: Key id -> the fields that were kept back, which say nothing here.
    left_out: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A record that is new or different now."""

    #: ``key``, ``service`` or ``pairing``.
    kind: str
    id: str
    #: Of a pairing the names of both keys: ``PRIMARY/BACKUP``.
    name: str
    account: str | None
    #: The fields that are different, in alphabetical order; empty for a new record.
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Merge:
    """The result: what to write, and what to tell."""

    #: What is to be written, because it is new or because a word in it, or its time, is.
    keys: tuple[KnownKey, ...] = ()
    services: tuple[Service, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    added: tuple[Change, ...] = ()
    changed: tuple[Change, ...] = ()
    #: How many of the offered records say nothing new.
    unchanged: int = 0
    conflicts: tuple[Conflict, ...] = ()


def merge(inventory: Inventory, offered: Offered, *, now: str, seed_pins: Mapping[str, bytes] | None = None) -> Merge:
    """What *inventory* becomes with what *offered* says.

    Args:
        inventory: Of this computer; it is whole.
        offered: Of another; no id is in it twice.
        now: The time from which a key has another name, where the one it came with is taken.
        seed_pins: Pairing id -> SHA-256 of the seed that is trusted here.
    """
    conflicts: list[Conflict] = []
    merged_keys = _merged_keys(inventory, offered, now, conflicts)
    key_names = {key.id: key.name for key in (*inventory.keys, *merged_keys)}
    pairs: list[tuple[_Record | None, _Record]] = []
    pairs += [(inventory.key_with_id(key.id), key) for key in merged_keys]
    for mine, theirs in _paired(inventory.services, offered.services):
        service = theirs if mine is None else merged_service(mine, theirs, conflicts)
        pairs.append((mine, service))
    for pairing in sorted(offered.pairings, key=attrgetter("id")):
        own, notes = inventory.pairing_with_id(pairing.id), Dropped(common=True)
        merged = pairing if own is None else merged_pairing(own, pairing, (seed_pins or {}).get(pairing.id), notes)
        conflicts += notes.conflicts(_heading(merged, key_names))
        pairs.append((own, merged))
    added, changed, put = [], [], []
    for before, after in pairs:
        if before != after:
            put.append(after)
        if before is None:
            added.append(Change(**_heading(after, key_names), id=after.id))
        elif different := _different_fields(before, after):
            changed.append(Change(**_heading(after, key_names), id=after.id, fields=different))
    return Merge(
        keys=tuple(record for record in put if isinstance(record, KnownKey)),
        services=tuple(record for record in put if isinstance(record, Service)),
        pairings=tuple(record for record in put if isinstance(record, Pairing)),
        added=tuple(added),
        changed=tuple(changed),
        unchanged=len(pairs) - len(added) - len(changed),
        conflicts=tuple(_about_key(conflict, key_names) for conflict in conflicts),
    )


def _heading(record: _Record, key_names: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(record, Pairing):
        return heading(record)
    primary, backup = (key_names.get(key_id, key_id) for key_id in (record.primary_id, record.backup_id))
    return {"kind": "pairing", "name": f"{primary}/{backup}", "account": None}


def _merged_keys(inventory: Inventory, offered: Offered, now: str, conflicts: list[Conflict]) -> list[KnownKey]:
    """All keys that *offered* knows, as they become, each with a name of its own."""
    merged = []
    taken = {key.name for key in inventory.keys}
    notes: dict[str, Dropped] = {}
    for theirs in sorted(offered.keys, key=attrgetter("id")):
        mine = inventory.key_with_id(theirs.id)
        notes[theirs.id] = Dropped(common=True)
        if mine is None:
            merged.append(ended(theirs, end_of(theirs)))
        else:
            merged.append(merged_key(mine, theirs, offered.left_out.get(theirs.id, ()), notes[theirs.id]))
            taken.discard(mine.name)
    # A key whose name stays keeps it; only then come those that bring a name along.
    local = {key.id: key.name for key in inventory.keys}
    taken |= {key.name for key in merged if local.get(key.id) == key.name}
    result = []
    for key in merged:
        named = key
        if local.get(key.id) != key.name:
            named = _with_free_name(key, taken, now)
            taken.add(named.name)
        if named is not key:
            was = Fact(key.name, key.changed.get("name", key.added_at), said=True)
            notes[key.id].dropped.append(("name", Fact(named.name, now, said=True), was))
        conflicts += notes[key.id].conflicts(heading(named))
        result.append(named)
    return result


def _with_free_name(key: KnownKey, taken: Collection[str], now: str) -> KnownKey:
    """*key*, or where its name is taken the key as ``NAME 2``, or the next number that is free."""
    name, number = key.name, 1
    while name in taken:
        number += 1
        name = f"{key.name[: names.MAX_LENGTH - 20]} {number}"
    return key if name == key.name else replace(key, name=name, changed={**key.changed, "name": now})


def _paired(own: Iterable[Service], offered: Collection[Service]) -> list[tuple[Service | None, Service]]:
    """Every offered service with the one of this computer that it is: by id, else by name and account."""
    by_id = {service.id: service for service in own}
    offered_ids = {service.id for service in offered}
    left: dict[tuple[str, str | None], list[Service]] = {}
    for service in sorted(by_id.values(), key=attrgetter("id")):
        if service.id not in offered_ids:
            left.setdefault(services.identity(service.name, service.account), []).append(service)
    pairs: list[tuple[Service | None, Service]] = []
    for theirs in sorted(offered, key=attrgetter("id")):
        same = left.get(services.identity(theirs.name, theirs.account))
        mine = by_id.get(theirs.id) or (same.pop(0) if same else None)
        pairs.append((mine, theirs))
    return pairs


def _different_fields(before: _Record, after: _Record) -> tuple[str, ...]:
    """The fields that people see; times alone are none."""
    return tuple(
        sorted(
            one.name
            for one in fields(after)
            if one.name != "changed" and getattr(before, one.name) != getattr(after, one.name)
        )
    )


def _about_key(conflict: Conflict, key_names: Mapping[str, str]) -> Conflict:
    """*conflict* as people read it: with the names of keys instead of their ids."""
    if conflict.field in {"primary_id", "backup_id"}:
        kept, dropped = (key_names.get(key_id, key_id) for key_id in (conflict.kept, conflict.dropped))
        return replace(conflict, kept=kept, dropped=dropped)
    if not conflict.field.startswith(OFF_PREFIX):
        return conflict
    key_id = conflict.field.removeprefix(OFF_PREFIX)
    return replace(conflict, field="on", key=key_names.get(key_id, key_id))
