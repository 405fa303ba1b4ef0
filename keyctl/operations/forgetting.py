"""Forgetting a key, and with it the pairings in which it has a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.names import quoted
from keyctl.core.text import counted_are, visible
from keyctl.model import KeyState
from keyctl.operations import naming, noting, recognising, stranding, unattended
from keyctl.operations.pins import KeyChange
from keyctl.store import inventory as store
from keyctl.store import loss_records
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.pair_views import Remains

#: So many digits of a credential's id tell it from others.
_ID_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Forgotten(KeyChange):
    """What came of forgetting a key."""

    #: The pairings that are forgotten with it: PRIMARY/BACKUP.
    pairings: tuple[str, ...]
    #: What they leave on the keys, where keyctl finds it no more.
    remains: tuple[Remains, ...]


def forget(circumstances: Circumstances, name: str, *, dry_run: bool) -> Forgotten:
    """Remove a key and its pairings from the inventory; nothing on any key changes.

    Raises:
        NotFoundError: No such key is known.
        DeclinedError: The answer was no.
    """
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, name)
    pairings = inventory.pairings_of(known.id)
    result = Forgotten(
        key=recognising.absent(known, circumstances.state),
        changed=not dry_run,
        pairings=_labels(inventory, pairings),
        remains=_remains(inventory, pairings),
    )
    stranded = stranding.lines_with_pairings(inventory, known.id)
    told = _pairings_told(result) + _loss_told(circumstances, inventory, known)
    if dry_run:
        stranding.rehearse(circumstances.asker, stranded, told, known.name)
        return result
    about = f"{told}keyctl forgets {visible(known.name)} and what it opens; on the key itself nothing changes."
    stranding.confirm(circumstances.asker, stranded, about, known.name, "\nForget it?")
    _remove(circumstances, known)
    return result


def _remove(circumstances: Circumstances, known: KnownKey) -> None:
    # Else the name is still that of another key, in whose place somebody may have put this record.
    had_name_first = local_state.read_name_pin(circumstances.state, known.name) == known.id
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        pairings = changes.inventory.pairings_of(known.id)
        for pairing in pairings:
            changes.remove_pairing(pairing.id)
        naming.take_back_declarations(changes, known.id)
        changes.remove_key(known.id)
    for pairing in pairings:
        noting.pairing_removed(circumstances, pairing)
    loss_records.forget(circumstances.home, known.id)
    unattended.forgotten(circumstances, known.id)
    local_state.forget(circumstances.state, known.id)
    if had_name_first:
        local_state.forget_name(circumstances.state, known.name)


def _labels(inventory: Inventory, pairings: Sequence[Pairing]) -> tuple[str, ...]:
    if not pairings:
        return ()
    from keyctl.operations import pair_choice

    return tuple(pair_choice.label(inventory, pairing) for pairing in pairings)


def _remains(inventory: Inventory, pairings: Sequence[Pairing]) -> tuple[Remains, ...]:
    if not pairings:
        return ()
    from keyctl.core import ended_pairings
    from keyctl.operations import pair_views

    return pair_views.remains(inventory, [left for pairing in pairings for left in ended_pairings.remains(pairing)])


def _loss_told(circumstances: Circumstances, inventory: Inventory, known: KnownKey) -> str:
    """What becomes of the list of things to do about a lost key, in a line for people; empty where there is none."""
    if known.state is not KeyState.LOST:
        return ""
    from keyctl.operations import unfinished_losses

    left = unfinished_losses.open_steps(circumstances, inventory, known)
    if not left.steps:
        return ""
    name = visible(known.name)
    return (
        f"{name} is lost, and {counted_are(len(left.steps), 'step')} left to do, which nobody will be reminded of; "
        f"`keyctl lost {visible(quoted(known.name))}` lists them.\n"
    )


def _pairings_told(forgotten: Forgotten) -> str:
    """What becomes of the pairings, in lines for people; empty where there are none."""
    if not forgotten.pairings:
        return ""
    several = len(forgotten.pairings) > 1
    told = f"The pairing{'s' if several else ''} {', '.join(forgotten.pairings)} {'are' if several else 'is'} "
    told += "forgotten with it, and with it the keys that were derived.\n"
    if forgotten.remains:
        told += (
            "This stays on the keys, and keyctl cannot delete it afterwards; `keyctl pair remove` does that before:\n"
        )
    for left in forgotten.remains:
        if left.credential_id is None:
            told += f"  on {left.key}: the seed of its backup key\n"
            continue
        what = "the seed" if left.what == "seed" else "a copy of the pairing's record"
        told += f"  on {left.key}: {what}, credential {left.credential_id.hex()[:_ID_DIGITS]}\n"
    return "".join(f"{visible(line)}\n" for line in told.splitlines())
