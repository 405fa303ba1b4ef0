"""The first screen: keys, pairings, accounts, what the last check found, and the one next thing to do. Asks nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import coverage, times
from keyctl.core.next_step import NextStep, Situation, next_step
from keyctl.model import KeyState
from keyctl.operations import last_result, listing, pair_views
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from keyctl.core.coverage import Summary
    from keyctl.core.health_results import HealthCheck
    from keyctl.core.inventory import Inventory
    from keyctl.errors import KeyctlError, StoreError
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.last_result import LastResult
    from keyctl.operations.pair_views import PairingView


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All there is to see at a glance."""

    #: Connected or known.
    keys: tuple[Key, ...]
    pairings: tuple[PairingView, ...]
    summary: Summary
    #: Whether the passkeys of every key that is in use were read.
    scanned: bool
    #: Of the last check, the worst first.
    findings: tuple[HealthCheck, ...]
    #: None: there was none yet.
    last_check: LastResult | None
    next_step: NextStep


def overview(circumstances: Circumstances) -> tuple[Overview, tuple[KeyctlError, ...]]:
    """What is known, and which keys could not be read; no PIN, no touch, nothing is written.

    Raises:
        StoreError: A file of the inventory cannot be read or understood.
    """
    inventory = store.read_whole(circumstances.home)
    listed = listing.list_keys(circumstances, listing.Filter())
    now = times.now()
    covered = coverage.coverage(inventory, now=now)
    today = last_result.Today(inventory=inventory, keys=listed.keys, coverage=covered, now=now)
    last, findings = last_result.read(circumstances.state, today)
    unfinished, problems = _unfinished_losses(circumstances, inventory)
    situation = Situation(
        inventory=inventory,
        keys=listed.keys,
        summary=covered.summary,
        last_result=last.result if last is not None else None,
        checked_at=last.at if last is not None else None,
        unfinished_losses=unfinished,
        now=now,
    )
    found = Overview(
        keys=listed.keys,
        pairings=tuple(pair_views.view(inventory, pairing) for pairing in inventory.pairings),
        summary=covered.summary,
        scanned=_is_scanned(inventory),
        findings=findings,
        last_check=last,
        next_step=next_step(situation),
    )
    return found, (*listed.errors, *problems)


def _is_scanned(inventory: Inventory) -> bool:
    read = [key.passkeys_read_at is not None for key in inventory.keys if key.state is KeyState.ACTIVE]
    return bool(read) and all(read)


def _unfinished_losses(
    circumstances: Circumstances, inventory: Inventory
) -> tuple[tuple[str, ...], tuple[StoreError, ...]]:
    """The lost keys of which something is still to be done, and why of some it cannot be read what was done."""
    lost = [key for key in inventory.keys if key.state is KeyState.LOST]
    if not lost:
        return (), ()
    from keyctl.operations import unfinished_losses

    left = {key.name: unfinished_losses.open_steps(circumstances, inventory, key) for key in lost}
    return (
        tuple(name for name, one in left.items() if one.steps),
        tuple(one.problem for one in left.values() if one.problem is not None),
    )
