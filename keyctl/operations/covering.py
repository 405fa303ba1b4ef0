"""Which key opens which account, from the inventory alone: nothing is opened, asked or changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import coverage as rules
from keyctl.core import services, times
from keyctl.core.account_rows import NOTHING
from keyctl.errors import UsageError
from keyctl.model import KeyState
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.coverage import Coverage
    from keyctl.core.inventory import Inventory
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of accounts and keys, and of which keys nothing is."""

    coverage: Coverage
    #: Names of keys that are marked as lost.
    lost: tuple[str, ...]
    #: Names of keys that were never read and on which nothing is declared.
    unread: tuple[str, ...]
    #: Names of keys without an owner, where others have one.
    ownerless: tuple[str, ...]
    #: Whether so little is known that no risk in sight means nothing.
    nothing_known: bool


def survey(
    circumstances: Circumstances, *, without: str | None = None, missing: str | None = None, owner: str | None = None
) -> Survey:
    """Which key opens which account.

    Args:
        circumstances: What the command line says.
        without: The name of a key to look at as if it were lost.
        missing: The name of a key whose gaps are wanted.
        owner: Only this owner's keys and accounts.

    Raises:
        StoreError: A file of the inventory cannot be read or understood.
        NotFoundError: No key has the name (``name_not_found``).
        UsageError: The key named is not of this owner.
    """
    inventory = store.read_whole(circumstances.home)
    names = rules.column_names(inventory)
    without_id = _key_id(inventory, without) if without is not None else None
    missing_id = _key_id(inventory, missing) if missing is not None else None
    found = rules.coverage(inventory, now=times.now(), without=without_id, owner=owner)
    for key_id in (without_id, missing_id):
        if key_id is not None and names[key_id] not in found.keys:
            raise UsageError("usage", f"{names[key_id]} is no key of {owner}", "leave --owner out")
    if missing_id is not None:
        gaps = rules.missing(found, inventory, missing_id)
        found = replace(found, missing_on=names[missing_id], missing=gaps)
    held = {name for row in found.services for name, cell in row.keys.items() if cell is not NOTHING}
    unread = tuple(
        name
        for key in inventory.keys
        if (name := names[key.id]) in found.keys and name not in held and key.passkeys_read_at is None
    )
    return Survey(
        coverage=found,
        lost=tuple(names[key.id] for key in inventory.keys if key.state is KeyState.LOST),
        unread=unread,
        ownerless=_ownerless(inventory, names) if owner is None else (),
        nothing_known=not found.services and len(unread) == len(found.keys),
    )


def _ownerless(inventory: Inventory, names: Mapping[str, str]) -> tuple[str, ...]:
    without = [key for key in inventory.keys if not key.owner]
    return tuple(names[key.id] for key in without) if len(without) < len(inventory.keys) else ()


def _key_id(inventory: Inventory, name: str) -> str:
    known = services.key_named(inventory, name)
    if known is None:
        from keyctl.operations.service_choice import unknown_key

        raise unknown_key(inventory, f"no key {name} is known")
    return known.id
