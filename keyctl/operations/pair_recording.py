"""Writing a new pairing down: only then it is one."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import merging, times
from keyctl.errors import NotFoundError, StoreError
from keyctl.operations import pair_choice, seed_trust
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances


def record(circumstances: Circumstances, pairing: Pairing, *, newcomer: KnownKey | None = None) -> Inventory:
    """Put a new pairing into the inventory, and trust its seed; what was noted of its making has ended by that.

    Args:
        circumstances: What the command line says.
        pairing: The pairing, with the copies on its keys.
        newcomer: The backup key, where a file tells of it: it becomes known here, unless it is.

    Returns:
        The inventory with the pairing in it.

    Raises:
        NotFoundError: One of its keys was forgotten meanwhile (``name_not_found``), or the two were paired meanwhile
            (``pairing_exists``).
        StoreError: It cannot be written.
    """
    state = circumstances.state
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        inventory = changes.inventory if newcomer is None else with_key(changes.inventory, newcomer)
        primary, backup = map(inventory.key_with_id, (pairing.primary_id, pairing.backup_id))
        if primary is None or backup is None:
            raise _forgotten(by_file=newcomer is not None)
        # Another process may have been faster.
        require_unpaired(inventory, primary, backup)
        if pairing.seed is not None:
            assert pairing.seed_hash is not None
            local_state.write_seed_pin(state, pairing.id, pairing.seed_hash)
        # Where it is known already, nothing is written.
        changes.put_key(backup)
        changes.put_pairing(pairing)
        inventory = changes.inventory
    if pairing.seed is not None:
        seed_trust.remember(circumstances, inventory, pairing)
    with contextlib.suppress(StoreError):
        # The pairing is made, and a note of one that is does no harm.
        begun.remove(state, pairing.id)
    return inventory


def require_unpaired(inventory: Inventory, primary: KnownKey, backup: KnownKey) -> None:
    """Refuse two keys that are paired already.

    Raises:
        NotFoundError: They are (``pairing_exists``).
    """
    for pairing in inventory.pairings_of(backup.id):
        if pairing.primary_id == primary.id and pairing.retired_at is None:
            word = pair_choice.word(inventory, pairing)
            raise NotFoundError(
                "pairing_exists",
                f"{primary.name} and {backup.name} are paired already, by the method {pairing.method}",
                f"`keyctl pair verify {word}` tries it; to pair them anew, `keyctl pair remove {word}` first",
                key=backup.name,
            )


def with_key(inventory: Inventory, key: KnownKey) -> Inventory:
    """The inventory with another computer's key in it, under a name that is free; a known one stays as it is."""
    if inventory.key_with_id(key.id) is not None:
        return inventory
    merge = merging.merge(inventory, merging.Offered(keys=(key,)), now=times.now())
    return replace(inventory, keys=(*inventory.keys, *merge.keys))


def _forgotten(*, by_file: bool) -> NotFoundError:
    if by_file:
        return NotFoundError(
            "name_not_found",
            "the primary key was forgotten meanwhile",
            "add it again with `keyctl add NAME`, and import the file once more",
        )
    return NotFoundError(
        "name_not_found",
        "one of the two keys was forgotten while they were paired",
        "add it again with `keyctl add NAME`, and pair the two again",
    )
