"""Which service is meant, and what its records become: pure functions over the inventory's services."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import names
from keyctl.core.inventory import Declaration, Recovery
from keyctl.core.text import is_unicode
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from keyctl.core.inventory import Inventory, KnownKey, Service

MAX_NAME_CHARACTERS = names.MAX_LENGTH
#: In :attr:`Service.changed`, followed by a key's id: when a person said that the service does not know that key.
OFF_PREFIX = "on:"


def folded(text: str) -> str:
    """What two texts share that differ in case or composition only (Unicode, section 3.13, D145).

    What is longer than any name is its own; see :func:`keyctl.core.names.composed`.
    """
    if text.isascii():
        return text.lower()
    if len(text) > MAX_NAME_CHARACTERS:
        return text
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def identity(name: str, account: str | None) -> tuple[str, str | None]:
    """What makes two services one: the name and the account."""
    return folded(name), None if account is None else folded(account)


def check_name(text: str, what: str) -> str:
    """Return *text* if it can be the name of a service or of an account (*what*).

    Raises:
        UsageError: It cannot (``name_invalid``).
    """
    if not text.strip():
        reason = "is empty"
    elif len(text) > MAX_NAME_CHARACTERS:
        reason = f"has more than {MAX_NAME_CHARACTERS} characters"
    elif not is_unicode(text):
        reason = "is not valid Unicode"
    else:
        return text
    raise UsageError("name_invalid", f"the {what} {reason}", "give another one")


def account_of(text: str | None) -> str | None:
    """The account that *text* says; the empty one says that there is none.

    Raises:
        UsageError: It cannot be the name of an account (``name_invalid``).
    """
    return check_name(text, "account") if text else None


def check_recovery(methods: Collection[Recovery]) -> None:
    """Refuse methods that contradict each other.

    Raises:
        UsageError: ``none`` is among others.
    """
    others = [method.value for method in methods if method is not Recovery.NONE]
    if others and Recovery.NONE in methods:
        raise UsageError(
            "usage",
            f"recovery cannot be both none and {others[0]}",
            "none says that there is no other way into the account",
        )


def with_recovery(
    methods: Collection[Recovery], added: Collection[Recovery] = (), removed: Collection[Recovery] = ()
) -> tuple[Recovery, ...]:
    """*methods* with *added*, before which the contrary gives way, and without *removed*; in their usual order."""
    kept = set(methods)
    if Recovery.NONE in added:
        kept.clear()
    elif added:
        kept.discard(Recovery.NONE)
    wanted = (kept | set(added)) - set(removed)
    return tuple(method for method in Recovery if method in wanted)


def with_keys(service: Service, added: Collection[str] = (), removed: Collection[str] = (), *, now: str) -> Service:
    """*service* with the keys of the ids *added* declared as of *now*, and those of *removed* no longer."""
    dates = {declaration.key_id: declaration.declared_at for declaration in service.on}
    gone = {key_id for key_id in removed if dates.pop(key_id, None) is not None}
    dates |= dict.fromkeys(added, now)
    kept = {field: date for field, date in service.changed.items() if field.removeprefix(OFF_PREFIX) not in added}
    # Noted with its date, so that merging with an older copy of the record does not bring it back.
    changed = kept | {f"{OFF_PREFIX}{key_id}": now for key_id in gone}
    return replace(service, on=_declarations(dates), changed=changed)


def _declarations(dates: Mapping[str, str]) -> tuple[Declaration, ...]:
    return tuple(Declaration(key_id=key_id, declared_at=date) for key_id, date in sorted(dates.items()))


def accounts(records: Iterable[Service]) -> dict[tuple[str, str | None], tuple[Service, ...]]:
    """All accounts by :func:`identity`, in order, each with its records.

    More than one record means that two computers noted the same account before their folders were synced.
    """
    found: dict[tuple[str, str | None], list[Service]] = {}
    for service in records:
        found.setdefault(identity(service.name, service.account), []).append(service)
    return {
        key: tuple(sorted(found[key], key=lambda service: (service.added_at, service.id)))
        for key in sorted(found, key=lambda key: (key[0], key[1] or ""))
    }


def joined(records: Sequence[Service]) -> Service:
    """What all *records* of one account say together; it has the id of the first.

    Of RP ids the one that was given last, of a key's declarations the latest, unless it was taken back later.
    """
    first, *others = records
    if not others:
        return first
    newest = max(records, key=lambda service: (service.changed.get("rp_id", service.added_at), service.id))
    dates: dict[str, str] = {}
    for declaration in (declaration for service in records for declaration in service.on):
        dates[declaration.key_id] = max(declaration.declared_at, dates.get(declaration.key_id, ""))
    changed: dict[str, str] = {}
    for field, date in (item for service in records for item in service.changed.items()):
        changed[field] = max(date, changed.get(field, ""))
    methods = {method for service in records for method in service.recovery}
    return replace(
        first,
        rp_id=newest.rp_id,
        on=_declarations({key: date for key, date in dates.items() if date > changed.get(f"{OFF_PREFIX}{key}", "")}),
        recovery=with_recovery(methods, methods - {Recovery.NONE}),
        changed=changed,
    )


def dated(before: Service, after: Service, now: str) -> Service:
    """*after*, with *now* as the date of each field that *before* has otherwise."""
    fields = ("name", "rp_id", "account", "recovery")
    different = {field: now for field in fields if getattr(before, field) != getattr(after, field)}
    return replace(after, changed={**after.changed, **different})


def key_named(inventory: Inventory, name: str) -> KnownKey | None:
    """The known key of this name, in whatever composition it was typed."""
    return inventory.key_named(names.composed(name))


def describe(service: Service) -> str:
    """A service in a sentence, not yet made harmless."""
    return names.account_label(service.name, service.account)
