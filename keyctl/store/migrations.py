"""From the home folder of older keyctl to what this one writes: pure functions on the JSON, by kind and schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyctl.core.text import visible
from keyctl.errors import Details, StoreError
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


#: Findings that say by now how bad it is, or what of it: an acceptance that noted neither covers none of them.
_TOLD_APART = ("lost_key", "pairing_gaps", "future", "counter", "derived_keys")


def _with_owners(accepted: dict[str, Any]) -> dict[str, Any]:
    """Accepted findings told nothing of whose account it is, and so were about those of all owners.

    Those that cover nothing any more are left out, so that no list shows them as accepted.
    """
    entries = accepted.get("accepted")
    if type(entries) is not list:
        return accepted
    told = [
        {**entry, "owner": None} if type(entry) is dict else entry
        for entry in entries
        if type(entry) is not dict or entry.get("id") not in _TOLD_APART
    ]
    return {**accepted, "accepted": told}


#: kind -> what makes schema 2 of schema 1, 3 of 2, and so on; the newest schema has no step.
STEPS: Mapping[str, Sequence[Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "key": (),
    "service": (),
    "pairing": (),
    "loss": (),
    "accepted": (_with_owners,),
}


def newest(kind: str) -> int:
    """The schema that is written."""
    return len(STEPS[kind]) + 1


def migrated(value: dict[str, Any], kind: str, source: str) -> dict[str, Any]:
    """*value* as the newest schema of *kind* has it, without the fields ``schema`` and ``kind``.

    Nothing else is checked: what makes no sense stays, for the reader to refuse.

    Args:
        value: The content of a file, of any released schema; it is left as it is.
        kind: One of :data:`STEPS`.
        source: The file, for messages.

    Raises:
        StoreError: A newer keyctl wrote it (``store_newer``), or it is nothing of this kind.
    """
    schema, given = value.get("schema"), value.get("kind")
    if type(schema) is not int or schema < 1:
        raise unreadable(source, "is damaged: it has no schema number")
    if given != kind:
        raise unreadable(source, f"is damaged: its kind is not {kind}")
    if schema > newest(kind):
        raise newer(source)
    value = {name: item for name, item in value.items() if name not in {"schema", "kind"}}
    for step in STEPS[kind][schema - 1 :]:
        value = step(value)
    return value


def newer(source: str) -> StoreError:
    """The error for what this keyctl is too old for."""
    return StoreError(
        "store_newer",
        f"{visible(source)} was written by a newer keyctl",
        "update keyctl on this computer; until then the file is left as it is",
        details=Details(file=source),
    )
