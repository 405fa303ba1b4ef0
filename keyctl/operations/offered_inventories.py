"""The inventory as it is with what exported files say, before and after these are taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from keyctl.core import merging, times
from keyctl.core.inventory import Inventory
from keyctl.operations import inventory_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import KnownKey, Service
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances

_Record = TypeVar("_Record", bound="KnownKey | Service | Pairing")


def inventory_with(circumstances: Circumstances, sources: Sequence[tuple[bytes, str]]) -> Inventory:
    """What can be read of the inventory, as it becomes with the exported files; nothing is written.

    Args:
        circumstances: Where the inventory is.
        sources: Contents, each with what messages call it.

    Raises:
        UsageError: A file cannot be understood (``import_unreadable``).
        StoreError: A pin here cannot be read, or a newer keyctl wrote an exported file.
    """
    inventory = store.read(circumstances.home)
    for content, source in sources:
        offered = inventory_files.offered(content, source)
        seed_pins = inventory_files.seed_pins(circumstances, offered)
        merge = merging.merge(inventory, offered, now=times.now(), seed_pins=seed_pins)
        inventory = Inventory(
            keys=_with_newer(inventory.keys, merge.keys),
            services=_with_newer(inventory.services, merge.services),
            pairings=_with_newer(inventory.pairings, merge.pairings),
            problems=inventory.problems,
        )
    return inventory


def take_in(circumstances: Circumstances, content: bytes, source: str) -> bool:
    """Write what the file *source* says into the inventory, and return whether it said anything new.

    Raises:
        UsageError: It cannot be understood.
        StoreError: The inventory cannot be read or written.
    """
    result = inventory_files.import_content(circumstances, content, source, dry_run=False)
    return bool(result.added or result.changed)


def _with_newer(records: Sequence[_Record], newer: Sequence[_Record]) -> tuple[_Record, ...]:
    """*records*, with *newer* ones in the places of those of the same id, or behind them."""
    by_id: dict[str, Any] = {record.id: record for record in (*records, *newer)}
    return tuple(by_id.values())
