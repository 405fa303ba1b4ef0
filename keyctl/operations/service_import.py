"""Taking services over from a file: what is there already stays, what is new is added, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import service_files, services, times
from keyctl.core.inventory import Recovery, Service
from keyctl.errors import UsageError
from keyctl.operations.service_choice import rp_id_of_name, unknown_key
from keyctl.operations.services import view
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keyctl.core.inventory import Inventory
    from keyctl.core.service_files import Entry
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.services import ServiceView


@dataclass(frozen=True, kw_only=True)
class ServiceImport:
    """What an import did; in a dry run, what it would do."""

    added: tuple[ServiceView, ...]
    changed: tuple[ServiceView, ...]
    #: Accounts in the file that are noted like that already.
    unchanged: int
    #: Columns of a CSV file that mean nothing here.
    ignored_columns: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class _Plan:
    added: tuple[Service, ...]
    changed: tuple[Service, ...]
    #: Ids of records that two computers made of one account, and that another has taken in.
    obsolete: tuple[str, ...]
    unchanged: int


def import_content(circumstances: Circumstances, content: bytes, source: str, *, dry_run: bool) -> ServiceImport:
    """Add what a file says of services; nothing is written unless all of it can be.

    Keys and recovery methods are added to those that are noted, and none is taken away. A date changes only where
    something is new, so that a second import of the same file changes nothing.

    Args:
        circumstances: Where the inventory is.
        content: The whole file, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call the file.
        dry_run: Change nothing.

    Raises:
        UsageError: The file cannot be understood (``import_unreadable``).
        NotFoundError: It names a key that is not known (``name_not_found``).
        StoreError: The inventory cannot be read or written.
    """
    file = service_files.parse(content, source)
    if dry_run:
        inventory = store.read_whole(circumstances.home)
        plan = _plan(inventory, file.entries, source)
    else:
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            plan = _plan(changes.inventory, file.entries, source)
            for service in (*plan.added, *plan.changed):
                changes.put_service(service)
            for service_id in plan.obsolete:
                changes.remove_service(service_id)
            inventory = changes.inventory
    return ServiceImport(
        added=tuple(view(service, inventory) for service in plan.added),
        changed=tuple(view(service, inventory) for service in plan.changed),
        unchanged=plan.unchanged,
        ignored_columns=file.ignored,
        dry_run=dry_run,
    )


def _plan(inventory: Inventory, entries: Iterable[Entry], source: str) -> _Plan:
    now = times.now()
    accounts = services.accounts(inventory.services)
    added, changed, obsolete, unchanged = [], [], [], 0
    for entry in entries:
        key_ids = _key_ids(inventory, entry, source)
        records = accounts.get(services.identity(entry.name, entry.account))
        if records is None:
            added.append(services.with_keys(_new(entry, source, now), key_ids, now=now))
            continue
        before = services.joined(records)
        after = _extended(before, entry, key_ids, now)
        if after == before:
            unchanged += 1
        else:
            changed.append(after)
            obsolete += [record.id for record in records[1:]]
    return _Plan(added=tuple(added), changed=tuple(changed), obsolete=tuple(obsolete), unchanged=unchanged)


def _key_ids(inventory: Inventory, entry: Entry, source: str) -> list[str]:
    found = []
    for name, where in entry.keys.items():
        key = services.key_named(inventory, name)
        if key is None:
            error = unknown_key(inventory, f"{where} names the key {name}, which is not known")
            if "," in name:
                error.hint = f"several keys are separated by semicolons; {error.hint}"
            raise error.with_details(file=source)
        found.append(key.id)
    return found


def _new(entry: Entry, source: str, now: str) -> Service:
    try:
        rp_id = entry.rp_id or rp_id_of_name(entry.name)
    except UsageError as error:
        message, hint = f"needs an rp_id: {error.message}", "give the domain of the site in the column rp_id"
        raise service_files.unusable(entry.where, message, hint).with_details(
            file=source, candidates=error.details.candidates
        ) from error
    return Service(
        id=store.new_id(),
        name=entry.name,
        rp_id=rp_id,
        account=entry.account,
        recovery=entry.recovery,
        added_at=now,
    )


def _extended(before: Service, entry: Entry, key_ids: list[str], now: str) -> Service:
    declared = {declaration.key_id for declaration in before.on}
    after = services.with_keys(before, [key_id for key_id in key_ids if key_id not in declared], now=now)
    # That there is no other way in is no news about an account with one.
    methods = entry.recovery if Recovery.NONE not in entry.recovery or not before.recovery else ()
    after = replace(after, rp_id=entry.rp_id or before.rp_id, recovery=services.with_recovery(before.recovery, methods))
    return services.dated(before, after, now)
