"""Accounts that would be left without a key, told before something is destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection

    from keyctl.core.inventory import Inventory


def lines(inventory: Inventory, key_id: str, credential_ids: Collection[bytes] | None = None) -> str:
    """The accounts that only these credentials open, a line each for people; empty when there are none.

    Args:
        inventory: What is known.
        key_id: The key.
        credential_ids: Some of what is on it; None: all of it.
    """
    from keyctl.core import coverage

    rows = coverage.stranded(inventory, key_id, credential_ids)
    if not rows:
        return ""
    named = (f"  {row.service}, {row.account}" if row.account else f"  {row.service}" for row in rows)
    count = "This account opens" if len(rows) == 1 else f"These {len(rows)} accounts open"
    return f"{count} with nothing else:\n" + "".join(f"{visible(line)}\n" for line in named)
