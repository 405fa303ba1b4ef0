"""Which pairing a command line means: the name of its backup key, or PRIMARY/BACKUP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.names import composed, quoted
from keyctl.errors import Details, NotFoundError
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing

#: In the place of a name that is not known here.
_UNKNOWN = "?"


def find(inventory: Inventory, text: str | None) -> Pairing:
    """The one pairing that is meant.

    Args:
        inventory: What is known.
        text: The backup key's name, PRIMARY/BACKUP, or the pairing's id; None: the only one there is.

    Raises:
        NotFoundError: There is none (``pairing_not_found``), or several fit (``pairing_ambiguous``).
        StoreError: None fits, and a file of the inventory cannot be read.
    """
    fitting = [pairing for pairing in inventory.pairings if text is None or text in _texts(inventory, pairing)]
    if text is not None and not fitting:
        wanted = composed(text)
        fitting = [pairing for pairing in inventory.pairings if wanted in _texts(inventory, pairing)]
    # One that is in force is meant before one that is over.
    in_force = [pairing for pairing in fitting if pairing.retired_at is None]
    if len(in_force) == 1:
        return in_force[0]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise _ambiguous(inventory, fitting)
    # A pairing in a file that cannot be read is none that does not exist.
    inventory.require_whole()
    raise _none(inventory, text)


def name_of(inventory: Inventory, key_id: str) -> str | None:
    """The name of a key; None: it is not known here."""
    known = inventory.key_with_id(key_id)
    return None if known is None else known.name


def require_name(inventory: Inventory, key_id: str) -> str:
    """The name of a key of a pairing.

    Raises:
        NotFoundError: It is not known here (``name_not_found``).
    """
    name = name_of(inventory, key_id)
    if name is None:
        raise NotFoundError(
            "name_not_found",
            "a key of the pairing is not known here",
            "plug it in and run `keyctl pair restore`",
        )
    return name


def label(inventory: Inventory, pairing: Pairing) -> str:
    """PRIMARY/BACKUP for people; a key that is not known here is a question mark."""
    names = (name_of(inventory, key_id) or _UNKNOWN for key_id in (pairing.primary_id, pairing.backup_id))
    return "/".join(names)


def word(inventory: Inventory, pairing: Pairing) -> str:
    """A pairing as one word of a command line that is proposed to a person."""
    found = [name_of(inventory, key_id) for key_id in (pairing.primary_id, pairing.backup_id)]
    return pairing.id if None in found else "/".join(quoted(name) for name in found if name is not None)


def names(home: Path) -> list[str]:
    """What the pairings of an inventory are called, for a shell to complete."""
    inventory = store.read(home)
    backups = {name_of(inventory, pairing.backup_id) for pairing in inventory.pairings}
    return sorted({*filter(None, backups), *(label(inventory, pairing) for pairing in inventory.pairings)})


def _texts(inventory: Inventory, pairing: Pairing) -> tuple[str, ...]:
    """What it may be called."""
    backup = name_of(inventory, pairing.backup_id)
    return (label(inventory, pairing), pairing.id, *([backup] if backup is not None else []))


def _ambiguous(inventory: Inventory, fitting: Sequence[Pairing]) -> NotFoundError:
    labels = [label(inventory, pairing) for pairing in fitting]
    # Two pairings of the same two keys are told apart by their ids only.
    told = [pairing.id if labels.count(name) > 1 else name for pairing, name in zip(fitting, labels, strict=True)]
    return NotFoundError(
        "pairing_ambiguous",
        f"{len(fitting)} pairings fit: {', '.join(told)}",
        f"say which one is meant, like `{told[0]}`",
        details=Details(candidates=tuple(told)),
    )


def _none(inventory: Inventory, text: str | None) -> NotFoundError:
    labels = tuple(label(inventory, pairing) for pairing in inventory.pairings)
    if not labels:
        hint = "`keyctl pair create PRIMARY BACKUP` makes one; `keyctl pair restore` reads one from a key"
    else:
        hint = f"known are {', '.join(labels)}"
    message = "no two keys are paired" if text is None else f"there is no pairing {text}"
    return NotFoundError("pairing_not_found", message, hint, details=Details(candidates=labels))
