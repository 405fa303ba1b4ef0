"""Accounts that would be left without a key, told before something is destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from keyctl.core.account_rows import AccountRow
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing


def lines(inventory: Inventory, key_id: str, credential_ids: Collection[bytes] | None = None) -> str:
    """The accounts that only these credentials open, a line each for people; empty when there are none.

    Without all of a key, the derived keys that only this one can sign for are told as well.

    Args:
        inventory: What is known.
        key_id: The key.
        credential_ids: Some of what is on it; None: all of it.
    """
    from keyctl.core import coverage

    rows = coverage.stranded(inventory, key_id, credential_ids)
    targets = coverage.stranded_targets(inventory, key_id) if credential_ids is None else ()
    return _told(rows, targets)


def lines_with_pairings(inventory: Inventory, key_id: str) -> str:
    """As :func:`lines`, for a key that goes together with all its pairings, whichever part it has in them."""
    from keyctl.core import coverage

    pairing_ids = {pairing.id for pairing in inventory.pairings_of(key_id)}
    rows = coverage.stranded(inventory, key_id, pairing_ids=pairing_ids)
    return _told(rows, coverage.stranded_targets(inventory, key_id, pairing_ids=pairing_ids))


def derived_lines(inventory: Inventory, pairing: Pairing) -> str:
    """What nothing else opens than the derived keys of one pairing, a line each for people; empty when that is nothing.

    Only what was handed over counts.
    """
    from keyctl.core import coverage

    rows = coverage.stranded(inventory, pairing_ids={pairing.id})
    return _told(rows, coverage.stranded_targets(inventory, pairing_ids={pairing.id}))


def _told(rows: Sequence[AccountRow], targets: Sequence[str]) -> str:
    told = ""
    if rows:
        count = "This account opens" if len(rows) == 1 else f"These {len(rows)} accounts open"
        named = [f"{row.service}, {row.account}" if row.account else row.service for row in rows]
        told += f"{count} with nothing else:\n{_listed(named)}"
    if targets:
        count = "this derived key" if len(targets) == 1 else f"these {len(targets)} derived keys"
        told += f"Nothing else can sign for {count}:\n{_listed(targets)}"
    return told


def _listed(texts: Sequence[str]) -> str:
    return "".join(f"{visible(f'  {text}')}\n" for text in texts)
