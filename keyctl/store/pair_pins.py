"""Which pairing this computer trusts for two keys.

Else whoever can write to the inventory could put another pairing in its place, whose seed would be as good as new.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.store import files
from keyctl.store.fields import ID_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

#: Beside what else was seen first.
_FOLDER = "pins"
_SCHEMA = 1


def read(state: Path, keys: str) -> str | None:
    """The id of the pairing that is trusted for two keys; None: none is.

    Args:
        state: This computer's own state.
        keys: What the two keys are called, by names or numbers.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    path = _path(state, keys)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    found = value.get("id")
    if value.get("schema") != _SCHEMA or not (isinstance(found, str) and ID_PATTERN.fullmatch(found)):
        raise files.unreadable(
            path,
            "is damaged: it does not say which pairing was first trusted",
            "restore it from a backup; if nobody meddled, move it away, and compare the fingerprint anew",
        )
    return found


def write(state: Path, keys: str, pairing_id: str) -> None:
    """Note *pairing_id* as the pairing that is trusted here for two keys.

    Raises:
        StoreError: It cannot be written.
    """
    path = _path(state, keys)
    files.make_private_folder(path.parent, durable=True)
    files.write_json(path, {"schema": _SCHEMA, "kind": "pair", "id": pairing_id})


def _path(state: Path, keys: str) -> Path:
    # Names may be longer than a file's, and hold anything.
    return state / _FOLDER / f"pair-{sha256(keys.encode()).hexdigest()[:32]}.json"
