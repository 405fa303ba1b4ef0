"""Noting what no key can tell: which services know a key, and how else their accounts are opened."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import services, times
from keyctl.core.inventory import Recovery, Service
from keyctl.core.services import folded
from keyctl.core.text import visible
from keyctl.errors import NotFoundError, UsageError
from keyctl.operations import service_choice
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from keyctl.core.inventory import Inventory
    from keyctl.errors import StoreError
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class DeclaredKey:
    """A person's word that a service knows a key."""

    #: None: a key that is not in the inventory.
    key: str | None
    key_id: str
    declared_at: str


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    """One account of a service, with what the catalogue of sites says of it."""

    name: str
    rp_id: str
    account: str | None
    #: Names of keys.
    on: tuple[str, ...]
    recovery: tuple[Recovery, ...]
    settings_url: str | None
    documentation_url: str | None
    #: How many keys the site takes; None: not known.
    max_keys: int | None
    #: None: it is not written yet.
    id: str | None
    added_at: str
    declared: tuple[DeclaredKey, ...]


@dataclass(frozen=True, kw_only=True)
class ServiceChange:
    """One account as it is now; in a dry run, as it would be."""

    service: ServiceView
    #: False in a dry run.
    changed: bool
    #: Whether it was another before, also in a dry run.
    would_change: bool


@dataclass(frozen=True, kw_only=True)
class ServiceList:
    """All accounts by name, and one error for each file that could not be read."""

    services: tuple[ServiceView, ...]
    errors: tuple[StoreError, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a command line says of an account; what is None or empty is left as it is."""

    name: str | None = None
    #: The empty text: no account.
    account: str | None = None
    rp_id: str | None = None
    #: Names of keys.
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()
    recovery: tuple[Recovery, ...] = ()
    no_recovery: tuple[Recovery, ...] = ()


def list_all(circumstances: Circumstances) -> ServiceList:
    """All accounts that can be read."""
    inventory = store.read(circumstances.home)
    return ServiceList(
        services=tuple(
            view(services.joined(records), inventory) for records in services.accounts(inventory.services).values()
        ),
        errors=inventory.problems,
    )


def add(circumstances: Circumstances, name: str, facts: Facts, *, dry_run: bool) -> ServiceChange:
    """Note an account of the service *name*.

    Raises:
        NotFoundError: It is noted already (``service_exists``), or a key is not known.
        UsageError: The name, the account or the RP id can be none, or the RP id is needed.
    """
    services.check_name(name, "name of the service")
    services.check_recovery(facts.recovery)
    account = services.account_of(facts.account)
    rp_id = service_choice.rp_id_of_name(name) if facts.rp_id is None else service_choice.checked_rp_id(facts.rp_id)

    def made(inventory: Inventory) -> Service:
        _require_free(inventory, name, account)
        now = times.now()
        service = Service(
            id=store.new_id(),
            name=name,
            rp_id=rp_id,
            account=account,
            recovery=services.with_recovery(facts.recovery),
            added_at=now,
        )
        return services.with_keys(service, service_choice.key_ids(inventory, facts.on), now=now)

    if dry_run:
        inventory = store.read_whole(circumstances.home)
        return ServiceChange(
            service=replace(view(made(inventory), inventory), id=None), changed=False, would_change=True
        )
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        service = made(changes.inventory)
        changes.put_service(service)
        return ServiceChange(service=view(service, changes.inventory), changed=True, would_change=True)


def edit(circumstances: Circumstances, name: str, facts: Facts, *, account: str | None, dry_run: bool) -> ServiceChange:
    """Change what is noted of one account of the service *name*.

    Saying again that a key is known there confirms it as of now.

    Args:
        circumstances: Where the inventory is.
        name: The service.
        facts: What to change; keys and recovery methods are added to what there is.
        account: Which account, where the service has several; the empty text: the one without a name.
        dry_run: Change nothing.

    Raises:
        NotFoundError: There is no such account (``service_not_found``), several fit (``service_ambiguous``), the new
            name is taken (``service_exists``), or a key is not known.
        UsageError: The facts contradict each other, or cannot be.
    """
    services.check_recovery(facts.recovery)
    _refuse_both(facts.on, facts.not_on, "--on", "--not-on")
    _refuse_both(facts.recovery, facts.no_recovery, "--recovery", "--no-recovery")
    if dry_run:
        inventory = store.read_whole(circumstances.home)
        before = services.joined(service_choice.chosen(inventory, name, account))
        after = _edited(inventory, before, facts)
        return ServiceChange(
            service=view(after, inventory), changed=False, would_change=bool(facts.on) or after != before
        )
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        records = service_choice.chosen(changes.inventory, name, account)
        before = services.joined(records)
        after = _edited(changes.inventory, before, facts)
        # Confirming a key is a change, even of something noted within this second.
        changed = bool(facts.on) or after != before
        if changed:
            changes.put_service(after)
            for record in records[1:]:
                changes.remove_service(record.id)
        return ServiceChange(service=view(after, changes.inventory), changed=changed, would_change=changed)


def remove(circumstances: Circumstances, name: str, *, account: str | None, dry_run: bool) -> ServiceChange:
    """Forget one account of the service *name*, after a question; the site and the keys do not notice.

    Raises:
        NotFoundError: There is no such account, or several fit.
        DeclinedError: The answer was no.
    """
    if not dry_run:
        circumstances.asker.check_confirmable()
    inventory = store.read_whole(circumstances.home)
    service = services.joined(service_choice.chosen(inventory, name, account))
    gone = view(service, inventory)
    if dry_run:
        return ServiceChange(service=gone, changed=False, would_change=True)
    circumstances.asker.confirm(
        f"Remove {visible(services.describe(service))} at {visible(service.rp_id)} from the inventory, with what is "
        "noted of its keys and recovery?"
    )
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        # Read again: the question may have taken a while.
        for record in service_choice.chosen(changes.inventory, service.name, service.account or ""):
            changes.remove_service(record.id)
    return ServiceChange(service=gone, changed=True, would_change=True)


def key_names(home: Path) -> tuple[str, ...]:
    """The names of all known keys, for completion."""
    return tuple(key.name for key in store.read(home).keys)


def owners(home: Path) -> tuple[str, ...]:
    """The owners of known keys, each once, for completion."""
    return tuple(dict.fromkeys(key.owner for key in store.read(home).keys if key.owner))


def service_names(home: Path) -> tuple[str, ...]:
    """The names of all services, each once, for completion."""
    return tuple(dict.fromkeys(service.name for service in store.read(home).services))


def view(service: Service, inventory: Inventory) -> ServiceView:
    """*service* as commands show it."""
    from keyctl.core import sites

    site = sites.find(service.rp_id)
    names = {key.id: key.name for key in inventory.keys}
    declared = [
        DeclaredKey(key=names.get(declaration.key_id), key_id=declaration.key_id, declared_at=declaration.declared_at)
        for declaration in service.on
    ]
    return ServiceView(
        name=service.name,
        rp_id=service.rp_id,
        account=service.account,
        on=tuple(sorted((item.key for item in declared if item.key is not None), key=_by_name)),
        recovery=service.recovery,
        settings_url=site.settings_url if site else None,
        documentation_url=site.documentation_url if site else None,
        max_keys=site.max_keys if site else None,
        id=service.id,
        added_at=service.added_at,
        declared=tuple(sorted(declared, key=lambda item: (_by_name(item.key or ""), item.key_id))),
    )


def _edited(inventory: Inventory, before: Service, facts: Facts) -> Service:
    now = times.now()
    name = before.name if facts.name is None else services.check_name(facts.name, "name of the service")
    account = before.account if facts.account is None else services.account_of(facts.account)
    if services.identity(name, account) != services.identity(before.name, before.account):
        _require_free(inventory, name, account)
    after = replace(
        before,
        name=name,
        account=account,
        rp_id=before.rp_id if facts.rp_id is None else service_choice.checked_rp_id(facts.rp_id),
        recovery=services.with_recovery(before.recovery, facts.recovery, facts.no_recovery),
    )
    added, removed = (service_choice.key_ids(inventory, names) for names in (facts.on, facts.not_on))
    after = services.with_keys(after, added, removed, now=now)
    return services.dated(before, after, now)


def _require_free(inventory: Inventory, name: str, account: str | None) -> None:
    records = services.accounts(inventory.services).get(services.identity(name, account))
    if records:
        service = records[0]
        which = f" --account {shlex.quote(service.account or '')}"
        raise NotFoundError(
            "service_exists",
            f"{services.describe(service)} is noted already",
            f"change it with `keyctl service edit {shlex.quote(service.name)}{which}`, or give another --account",
        )


def _refuse_both(wanted: Sequence[str], unwanted: Sequence[str], option: str, opposite: str) -> None:
    both = [text for text in wanted if text in unwanted]
    if both:
        raise UsageError("usage", f"{both[0]} is both in {option} and in {opposite}", "give it once")


def _by_name(name: str) -> tuple[str, str]:
    return folded(name), name
