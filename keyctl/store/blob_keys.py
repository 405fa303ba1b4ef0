"""The keys to the records of pairings on the primary and backup keys, as this computer got them when they were stored.

With one, the record on a plugged-in key can be compared with the inventory's without its PIN. It opens nothing but that
record, which is in the inventory anyway; still it is kept here, where nothing is synced.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from keyctl.errors import StoreError
from keyctl.store import facts, fields, files

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = "blob-keys"
_KEY_BYTES = 32


def read(state: Path, pairing_id: str, key_id: str) -> bytes | None:
    """The largeBlobKey of the copy on that key, 32 bytes; None: it is not known here, or its file is damaged.

    A key that is not known has the id "".
    """
    if not key_id:
        return None
    # Only a convenience: the key itself tells it again, with its PIN.
    return facts.read_or_none(
        _path(state, pairing_id, key_id), lambda value: fields.exactly(_KEY_BYTES)(value["blob_key"])
    )


def write(state: Path, pairing_id: str, key_id: str, blob_key: bytes) -> None:
    """Keep *blob_key*; where that cannot be done, nothing is lost but a convenience."""
    path = _path(state, pairing_id, key_id)
    with contextlib.suppress(StoreError):
        facts.write(path, "blob_key", {"blob_key": blob_key.hex()}, durable=False)


def forget(state: Path, pairing_id: str, key_id: str) -> None:
    """Keep it no more.

    Raises:
        StoreError: The file cannot be deleted.
    """
    files.remove(_path(state, pairing_id, key_id))


def _path(state: Path, pairing_id: str, key_id: str) -> Path:
    return facts.path_of(state / _FOLDER, key_id, prefix=f"{fields.identity(pairing_id)}-")
