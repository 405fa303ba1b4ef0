"""What one record becomes that two computers have: of everything that both say, the newest word counts.

Facts of a person have the time at which they were last changed; what a key said, when it was read. Where the times are
equal the content decides, so that both computers come to the same end, whichever takes over from the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from keyctl.core import services
from keyctl.core.inventory import Declaration, KnownKey, Service
from keyctl.core.services import OFF_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from keyctl.core.inventory import Registration, SeenPasskey

#: What a person says of a key.
_SAID_OF_KEY = ("name", "role", "owner", "location", "note", "state")
#: What belongs to the device that was enrolled: another one may take over the name.
_OF_DEVICE = ("virtual", "aaguid", "model", "serial", "firmware")
#: In alphabetical order, so that in doubt the word is taken back: too little cover is claimed rather than too much.
_DECLARED, _TAKEN_BACK = "declared", "not declared"
_SAID_OF_SERVICE = ("name", "rp_id", "account", "recovery")


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Two words on one thing, of which one was dropped."""

    #: ``key``, ``service`` or ``pairing``.
    kind: str
    #: What the record is called in the end; of a pairing the names of both keys, ``PRIMARY/BACKUP``.
    name: str
    account: str | None
    field: str
    #: With the field ``on``: the name of the key, or its id where no key has it.
    key: str | None = None
    kept: Any
    dropped: Any
    kept_at: str
    dropped_at: str


class Fact(NamedTuple):
    """What a record says of one thing, and since when."""

    value: Any
    at: str
    #: Whether somebody changed it since the record was made.
    said: bool

    def rank(self) -> tuple[str, bool, str]:
        """What decides between two: the time, then to say something at all, then the content itself."""
        return self.at, self.value is not None, repr(self.value)


class Dropped:
    """Collects the conflicts of one pair of records."""

    def __init__(self, *, common: bool) -> None:
        #: Whether both records began as one, so that what nobody changed since is what both had.
        self._common = common
        self.dropped: list[tuple[str, Fact, Fact]] = []

    def chosen(self, name: str, mine: Fact | None, theirs: Fact | None) -> Fact:
        """The fact that counts."""
        if mine is None or theirs is None:
            only = mine or theirs
            assert only is not None
            return only
        kept, dropped = sorted((mine, theirs), key=Fact.rank, reverse=True)
        if _differ(name, kept.value, dropped.value):
            equals = not self._common or kept.at == dropped.at
            if dropped.said or (equals and dropped.value not in {None, ()}):
                self.dropped.append((name, kept, dropped))
        return kept

    def conflicts(self, about: Mapping[str, Any]) -> list[Conflict]:
        """The conflicts, now that the record's heading is known."""
        return [
            Conflict(**about, field=name, kept=kept.value, dropped=lost.value, kept_at=kept.at, dropped_at=lost.at)
            for name, kept, lost in self.dropped
        ]


def merged_key(mine: KnownKey, theirs: KnownKey, left_out: Collection[str], notes: Dropped) -> KnownKey:
    """What one key becomes, of which *theirs* says nothing in the fields *left_out*; its name may be another's, too."""
    end = max(end_of(mine), end_of(theirs))
    mine, theirs = ended(mine, end), ended(theirs, end)
    own, other = _facts_of_key(mine), _facts_of_key(theirs)
    for name in left_out:
        other.pop(name, None)
    facts = {name: notes.chosen(name, own[name], other.get(name)) for name in own}
    enrolled = max((mine, theirs), key=lambda key: (key.recognition.enrolled_at, repr((key.recognition, _device(key)))))
    if mine.recognition != theirs.recognition:
        dropped = theirs if enrolled is mine else mine
        kept_fact, lost_fact = (
            Fact(key.recognition.public_key, key.recognition.enrolled_at, said=True) for key in (enrolled, dropped)
        )
        notes.dropped.append(("recognition", kept_fact, lost_fact))
    listed = max((mine, theirs), key=lambda key: (_read_at(key), repr(_list_of(key))))
    added_at = min(mine.added_at, theirs.added_at)
    return replace(
        mine,
        **{name: fact.value for name, fact in facts.items()},
        **_device(enrolled),
        added_at=added_at,
        recognition=enrolled.recognition,
        **_list_of(listed),
        registrations=_merged_registrations(mine.registrations + theirs.registrations),
        changed=_merged_times(mine.changed, theirs.changed, left_out, facts, added_at),
    )


def _facts_of_key(key: KnownKey) -> dict[str, Fact]:
    return {
        name: Fact(getattr(key, name), key.changed.get(name, key.added_at), name in key.changed)
        for name in _SAID_OF_KEY
    }


def _device(key: KnownKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in _OF_DEVICE}


def _list_of(key: KnownKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ("passkeys", "passkeys_read_at", "passkeys_remaining")}


def _read_at(key: KnownKey) -> str:
    """When the list of its passkeys was last true, as far as is known."""
    ended = [passkey.reset_at or "" for passkey in key.passkeys]
    return max(key.changed.get("passkeys", ""), key.passkeys_read_at or "", *ended)


def end_of(key: KnownKey) -> str:
    """When the key was last reset or replaced, as far as its passkeys and registrations tell; empty: never."""
    entries: tuple[SeenPasskey | Registration, ...] = (*key.passkeys, *key.registrations)
    return max((entry.reset_at for entry in entries if entry.reset_at), default="")


def ended(key: KnownKey, end: str) -> KnownKey:
    """*key* with everything ended that was seen before *end* only: the other computer may not know of the reset."""

    def old(entry: SeenPasskey | Registration) -> bool:
        return entry.reset_at is None and entry.seen_at < end

    if not any(map(old, key.passkeys)) and not any(map(old, key.registrations)):
        return key
    return replace(
        key,
        passkeys=tuple(replace(entry, reset_at=end) if old(entry) else entry for entry in key.passkeys),
        registrations=tuple(replace(entry, reset_at=end) if old(entry) else entry for entry in key.registrations),
    )


def _merged_registrations(entries: Iterable[Registration]) -> tuple[Registration, ...]:
    """Each credential once, as it was last seen or ended."""
    newest: dict[bytes, Registration] = {}
    for entry in sorted(entries, key=lambda entry: (max(entry.seen_at, entry.reset_at or ""), repr(entry))):
        newest[entry.credential_id] = entry
    return tuple(sorted(newest.values(), key=attrgetter("credential_id")))


def merged_service(mine: Service, theirs: Service, conflicts: list[Conflict]) -> Service:
    """What one service becomes, under the id of *mine*; what was dropped is added to *conflicts*."""
    notes = Dropped(common=mine.id == theirs.id)
    own, other = _facts_of_service(mine), _facts_of_service(theirs)
    facts = {name: notes.chosen(name, own.get(name), other.get(name)) for name in sorted(own | other)}
    said = {name: facts[name] for name in _SAID_OF_SERVICE}
    added_at = min(mine.added_at, theirs.added_at)
    merged = replace(
        mine,
        **{name: fact.value for name, fact in said.items()},
        on=tuple(
            Declaration(key_id=name.removeprefix(OFF_PREFIX), declared_at=fact.at)
            for name, fact in facts.items()
            if name.startswith(OFF_PREFIX) and fact.value == _DECLARED
        ),
        added_at=added_at,
        changed=_merged_times(mine.changed, theirs.changed, (), said, added_at),
    )
    conflicts += notes.conflicts(heading(merged))
    return merged


def _facts_of_service(service: Service) -> dict[str, Fact]:
    """Its fields, and per key whether the service is said to know it."""
    said = {
        name: Fact(getattr(service, name), service.changed.get(name, service.added_at), name in service.changed)
        for name in _SAID_OF_SERVICE
    }
    off = {
        name: Fact(_TAKEN_BACK, at, said=True) for name, at in service.changed.items() if name.startswith(OFF_PREFIX)
    }
    on = {f"{OFF_PREFIX}{one.key_id}": Fact(_DECLARED, one.declared_at, said=True) for one in service.on}
    return said | off | on


def _merged_times(
    mine: Mapping[str, str],
    theirs: Mapping[str, str],
    left_out: Collection[str],
    facts: Mapping[str, Fact],
    added_at: str,
) -> dict[str, str]:
    """The newest time of every field, as far as it is not that of the record itself."""
    times = dict(mine)
    for name, at in theirs.items():
        if name not in left_out:
            times[name] = max(at, times.get(name, ""))
    return times | {name: fact.at for name, fact in facts.items() if name in times or fact.at != added_at}


def _differ(name: str, one: Any, other: Any) -> bool:
    if name in {"name", "account"} and isinstance(one, str) and isinstance(other, str):
        return one != other and services.folded(one) != services.folded(other)
    return bool(one != other)


def heading(record: KnownKey | Service) -> dict[str, Any]:
    """The fields by which people know a record."""
    if isinstance(record, Service):
        return {"kind": "service", "name": record.name, "account": record.account}
    return {"kind": "key", "name": record.name, "account": None}
