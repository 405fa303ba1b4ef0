"""Accounts that would be left without a key, told before something is destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Asker


def lines(inventory: Inventory, key_id: str, credential_ids: Collection[bytes] | None = None) -> str:
    """The accounts that only these credentials open, a line each for people; empty when there are none.

    Without all of a key, the derived keys that only this one can sign for are told as well.

    Args:
        inventory: What is known.
        key_id: The key.
        credential_ids: Some of what is on it; None: all of it.
    """
    return _told(inventory, key_id, credential_ids)


def lines_with_pairings(inventory: Inventory, key_id: str) -> str:
    """As :func:`lines`, for a key that goes together with all its pairings, whichever part it has in them."""
    return _told(inventory, key_id, pairing_ids={pairing.id for pairing in inventory.pairings_of(key_id)})


def derived_lines(inventory: Inventory, pairing: Pairing) -> str:
    """What nothing else opens than the derived keys of one pairing, a line each for people; empty when that is nothing.

    Only what was handed over counts.
    """
    return _told(inventory, pairing_ids={pairing.id})


def tell(asker: Asker, stranded: str, about: str) -> None:
    """Say line by line, as in a dry run, what :func:`confirm` would tell."""
    for line in f"{stranded}{about}".splitlines():
        asker.tell(line)


def rehearse(asker: Asker, stranded: str, about: str, name: str) -> None:
    """What a dry run does in the place of :func:`confirm`: tell it, and refuse what would be refused there.

    Raises:
        DeclinedError: ``--confirm`` says something else than *name*.
    """
    tell(asker, stranded, about)
    asker.check_given(name, typed=bool(stranded))


def confirm(asker: Asker, stranded: str, about: str, name: str, question: str = "") -> None:
    """Have a person agree before something is destroyed.

    Args:
        asker: The person.
        stranded: What is left without a key: lines as above, where *name* has to be typed back; empty: a yes will do.
        about: What is going to be done.
        name: Of what it is done to.
        question: What is asked beside, where a yes will do.

    Raises:
        DeclinedError: The answer is no.
        UsageError: There is nobody to ask (``confirm_required``).
    """
    if stranded:
        asker.confirm_by_typing(f"{stranded}{about}", name)
    else:
        asker.confirm(f"{about}{question}", name)


def _told(
    inventory: Inventory,
    key_id: str | None = None,
    credential_ids: Collection[bytes] | None = None,
    pairing_ids: Collection[str] = (),
) -> str:
    from keyctl.core import coverage

    rows = coverage.stranded(inventory, key_id, credential_ids, pairing_ids=pairing_ids)
    targets = coverage.stranded_targets(inventory, key_id, pairing_ids=pairing_ids) if credential_ids is None else ()
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
