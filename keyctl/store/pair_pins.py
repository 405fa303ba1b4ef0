"""Which pairing this computer trusts for two keys, and what it trusts of a pairing beside its seed.

Else whoever can write to the inventory could put another pairing in its place, whose seed would be as good as new; or
change what the seed's keys are derived with, so that in the end nobody can sign for them.
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
_HASH_BYTES = 32


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


def read_details(state: Path, pairing_id: str) -> bytes | None:
    """SHA-256 of what goes with the seed of a pairing; None: none was ever trusted.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    path = _details_path(state, pairing_id)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    try:
        found = bytes.fromhex(value["sha256"])
    except (KeyError, TypeError, ValueError):
        found = b""
    if value.get("schema") != _SCHEMA or len(found) != _HASH_BYTES:
        raise files.unreadable(
            path,
            "is damaged: it does not say what was first trusted of a pairing",
            "restore it from a backup; if nobody meddled, move it away",
        )
    return found


def write_details(state: Path, pairing_id: str, details: bytes) -> None:
    """Note *details*, a SHA-256, as what is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    path = _details_path(state, pairing_id)
    files.make_private_folder(path.parent, durable=True)
    files.write_json(path, {"schema": _SCHEMA, "kind": "details", "sha256": details.hex()})


def _path(state: Path, keys: str) -> Path:
    # Names may be longer than a file's, and hold anything.
    return state / _FOLDER / f"pair-{sha256(keys.encode()).hexdigest()[:32]}.json"


def _details_path(state: Path, pairing_id: str) -> Path:
    if not ID_PATTERN.fullmatch(pairing_id):
        raise ValueError("no id")
    return state / _FOLDER / f"details-{pairing_id}.json"
