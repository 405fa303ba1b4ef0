"""Which pairing this computer trusts for two keys, and what it trusts of a pairing beside its seed.

Else whoever can write to the inventory could put another pairing in its place, whose seed would be as good as new; or
change what the seed's keys are derived with, so that in the end nobody can sign for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.store import facts, fields, files

if TYPE_CHECKING:
    from pathlib import Path

#: Beside what else was seen first.
_FOLDER = "pins"
_HASH_BYTES = 32


def read(state: Path, keys: str) -> str | None:
    """The id of the pairing that is trusted for two keys; None: none is.

    Args:
        state: This computer's own state.
        keys: What the two keys are called, by names or numbers.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    return facts.read(
        _path(state, keys),
        lambda value: fields.identity(value["id"]),
        purpose="say which pairing was first trusted",
        cure="restore it from a backup; if nobody meddled, move it away, and compare the fingerprint anew",
    )


def write(state: Path, keys: str, pairing_id: str) -> None:
    """Note *pairing_id* as the pairing that is trusted here for two keys.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(_path(state, keys), "pair", {"id": pairing_id})


def read_details(state: Path, pairing_id: str) -> bytes | None:
    """SHA-256 of what goes with the seed of a pairing; None: none was ever trusted.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    return facts.read(
        _details_path(state, pairing_id),
        lambda value: fields.exactly(_HASH_BYTES)(value["sha256"]),
        purpose="say what was first trusted of a pairing",
        cure="restore it from a backup; if nobody meddled, move it away",
    )


def write_details(state: Path, pairing_id: str, details: bytes) -> None:
    """Note *details*, a SHA-256, as what is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(_details_path(state, pairing_id), "details", {"sha256": details.hex()})


def forget_details(state: Path, pairing_id: str) -> None:
    """Trust nothing of what goes with the seed of a pairing any more.

    Raises:
        StoreError: The file cannot be deleted.
    """
    files.remove(_details_path(state, pairing_id))


def _path(state: Path, keys: str) -> Path:
    return facts.path_of_name(state / _FOLDER, keys, prefix="pair-")


def _details_path(state: Path, pairing_id: str) -> Path:
    return facts.path_of(state / _FOLDER, pairing_id, prefix="details-")
