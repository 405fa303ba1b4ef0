"""From the inventory's records to accounts: which passkeys, registrations and services are one and the same account.

An account is an owner, a site and a user there. All of it is independent of the order of the records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import holdings, sites
from keyctl.core.names import composed
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from keyctl.core.holdings import Fact, Holding, Label
    from keyctl.core.inventory import Inventory, KnownKey, Service


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account, and all that is known of it."""

    owner: str | None
    #: As most records have it, ``site`` and 16 hex digits of its hash where no record tells it.
    rp_id: str
    #: What people call it, as hostile as its source; None: no record tells.
    name: str | None
    holdings: tuple[Holding, ...]
    #: By id.
    services: tuple[Service, ...]
    #: Whether a record tells which account of the site this is.
    told: bool
    #: Whether the site's whole RP id is known.
    exact: bool
    #: Tells it from all others, whatever they look like.
    mark: str


class _Place(NamedTuple):
    """An owner at a site."""

    owner: str | None
    #: The canonical RP id, or the hash of one that nothing tells.
    site: str | bytes


def accounts(inventory: Inventory) -> list[Account]:
    """All accounts that *inventory* tells of, in no order."""
    places = _with_keys(inventory)
    _add_services(places, inventory)
    return [
        _account(place, facts)
        for place, records in places.items()
        if place.site != OWN_RP_ID
        for facts in _told_apart(records)
    ]


def _with_keys(inventory: Inventory) -> dict[_Place, list[Fact]]:
    """What the keys hold and what is declared on them."""
    places: dict[_Place, list[Fact]] = {}
    find_site = holdings.SiteFinder(inventory)
    for key in inventory.keys:
        owner = owner_of(key)
        for passkey in key.passkeys:
            site = find_site(passkey.rp_id, passkey.rp_id_hash)
            fact = holdings.of_passkey(key, passkey, find_site)
            places.setdefault(_Place(owner, site), []).append(fact)
        for registration in key.registrations:
            place = _Place(owner, sites.canonical(registration.rp_id))
            places.setdefault(place, []).append(holdings.of_registration(key, registration))
    keys = {key.id: key for key in inventory.keys}
    for record in holdings.derived_keys(inventory):
        if record.target_kind != "sign" and (holder := keys.get(record.key_id)) is not None:
            place = _Place(owner_of(holder), sites.canonical(record.rp_id))
            places.setdefault(place, []).append(holdings.of_derived(holder, record))
    for service in inventory.services:
        for declaration in service.on:
            if (holder := keys.get(declaration.key_id)) is not None:
                place = _Place(owner_of(holder), sites.canonical(service.rp_id))
                places.setdefault(place, []).append(holdings.of_declaration(holder, service, declaration))
    return places


def may_share_owner(one: KnownKey, other: KnownKey) -> bool:
    """Whether two keys are of one person, as far as it is said whose they are."""
    return (owner_of(one) or owner_of(other)) == (owner_of(other) or owner_of(one))


def owner_of(key: KnownKey) -> str | None:
    """Whose key it is, in the one form in which owners are compared."""
    return composed(key.owner) if key.owner else None


def _add_services(places: dict[_Place, list[Fact]], inventory: Inventory) -> None:
    """Put each service with the owners of the keys it is on, or with those whose account it is."""
    owners = {key.id: owner_of(key) for key in inventory.keys}
    # Where the others belong is decided by what has a key, never by each other.
    find_owners = _OwnerFinder(places)
    placed: list[tuple[Service, Iterable[str | None]]] = []
    for service in inventory.services:
        declared = {owners[declaration.key_id] for declaration in service.on if declaration.key_id in owners}
        placed.append((service, declared or find_owners(service)))
    for service, whose in placed:
        for owner in whose:
            place = _Place(owner, sites.canonical(service.rp_id))
            places.setdefault(place, []).append(holdings.of_service(service))


class _OwnerFinder:
    """Whose account a service is that is declared on no key: nobody's (None) unless that is plain."""

    def __init__(self, places: Mapping[_Place, Sequence[Fact]]) -> None:
        self._marks: dict[str | bytes, dict[str | None, set[str]]] = {}
        for place, facts in places.items():
            marks = {mark for fact in facts for mark in fact.marks}
            self._marks.setdefault(place.site, {})[place.owner] = marks

    def __call__(self, service: Service) -> Sequence[str | None]:
        """The owners; one of them, or those who share the account."""
        there = self._marks.get(sites.canonical(service.rp_id), {})
        candidates = list(there)
        if service.account:
            mark = holdings.name_mark(service.account)
            sharing = [owner for owner, marks in there.items() if mark in marks]
            if sharing:
                # An account that several owners' keys open is each one's, and so is the other way into it.
                return sharing
            candidates = [owner for owner, marks in there.items() if not marks]
        return candidates if len(candidates) == 1 else [None]


def _told_apart(facts: Sequence[Fact]) -> Iterator[list[Fact]]:
    """The accounts of one owner at one site: two records that share a mark are one account, and so on from there."""
    groups: dict[str, list[Fact]] = {}
    nameless = []
    for fact in facts:
        if not fact.marks:
            nameless.append(fact)
            continue
        touching = {id(group): group for mark in fact.marks if (group := groups.get(mark)) is not None}
        # The smaller ones move, so that a long chain of records costs no square.
        target, *others = sorted(touching.values(), key=len, reverse=True) or [[]]
        target.append(fact)
        groups.update(dict.fromkeys(fact.marks, target))
        for other in others:
            target.extend(other)
            groups.update(dict.fromkeys((mark for moved in other for mark in moved.marks), target))
    told = list({id(group): group for group in groups.values()}.values())
    if len(told) == 1:
        told[0].extend(nameless)
    elif nameless:
        told.append(nameless)
    yield from told


def _account(place: _Place, facts: Sequence[Fact]) -> Account:
    holdings = tuple(fact.holding for fact in facts if fact.holding is not None)
    services = {fact.service.id: fact.service for fact in facts if fact.service is not None}
    marks = [mark for fact in facts for mark in fact.marks]
    exact = isinstance(place.site, str)
    site = place.site if isinstance(place.site, str) else place.site.hex()
    return Account(
        owner=place.owner,
        rp_id=_most_used(fact.rp_id for fact in facts if fact.rp_id) or f"site {site[:16]}",
        name=_name([fact.label for fact in facts if fact.label is not None]),
        holdings=holdings,
        services=tuple(services[service_id] for service_id in sorted(services)),
        told=bool(marks),
        exact=exact,
        mark=f"{site} {min(marks, default='')}",
    )


def _name(labels: Sequence[tuple[Label, str]]) -> str | None:
    best = min((kind for kind, _ in labels), default=None)
    return _most_used(text for kind, text in labels if kind is best)


def _most_used(texts: Iterable[str]) -> str | None:
    """The text that comes most often, the first of the alphabet among equals."""
    found = list(texts)
    distinct = set(found)
    if len(distinct) < 2:
        return distinct.pop() if distinct else None
    counts = Counter(found)
    return min(counts, key=lambda text: (-counts[text], text))
