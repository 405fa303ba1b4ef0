"""Pairings that were begun on this computer and have not ended, in words; no key is needed for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.operations import pair_choice
from keyctl.store import inventory as store
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.operations.asking import Circumstances
    from keyctl.store.unfinished import Unfinished

CLEAN_UP = "`keyctl pair remove --leftovers` deletes it, with the key plugged in"


def told(circumstances: Circumstances) -> list[str]:
    """A line for each of them.

    Raises:
        StoreError: What was noted of one cannot be read.
    """
    journal = unended(circumstances)
    # That is the rule, and the inventory may be large.
    if not journal:
        return []
    inventory = store.read(circumstances.home)
    return [
        f"a pairing that was begun at {unfinished.started_at} has not ended; something may be left of it on "
        f"{' and '.join(name_of(inventory, key_id) for key_id in unfinished.before)}: {CLEAN_UP}"
        for unfinished in journal
    ]


def unended(circumstances: Circumstances) -> tuple[Unfinished, ...]:
    """Those that are not in the inventory; one that is there ended, whatever cut off its last step.

    Raises:
        StoreError: What was noted of one cannot be read, or the inventory's folder.
    """
    return tuple(
        one for one in begun.read_all(circumstances.state) if not store.has_pairing(circumstances.home, one.pairing_id)
    )


def name_of(inventory: Inventory, key_id: str) -> str:
    """The name of a key on which something may be left; one that is not known here has its number."""
    return pair_choice.name_of(inventory, key_id) or f"the key {key_id}"
