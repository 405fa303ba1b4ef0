"""Records of the inventory that are written as they are, as somebody can who writes to the synced folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.inventory import KnownKey, Service
from keyctl.core.pairings import Pairing
from keyctl.store import inventory

if TYPE_CHECKING:
    from pathlib import Path


def put(home: Path, *records: KnownKey | Pairing | Service) -> None:
    with inventory.changing(home, 0) as changes:
        puts = {KnownKey: changes.put_key, Pairing: changes.put_pairing, Service: changes.put_service}
        for record in records:
            puts[type(record)](record)
