"""Pairings that were begun on this computer: what is left on which key, should one end half-way.

A file is written before anything is made on a key and removed when the pairing is in the inventory, or nothing is left
of it. Whatever of keyctl's own a key holds then that it did not hold before is left from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.core.text import reason_of
from keyctl.store import facts, fields, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER = "unfinished"


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A pairing that was begun and has not ended."""

    pairing_id: str
    primary_id: str
    backup_id: str
    started_at: str
    #: Key id -> the ids of keyctl's own credentials that were on it before; only keys on which something may be left.
    before: Mapping[str, tuple[bytes, ...]]
    #: The seed of the backup key that the primary key is given, with the WebAuthn draft extension; None: none is.
    recovery_seed: bytes | None = None


def read_all(state: Path) -> tuple[Unfinished, ...]:
    """All of them, the oldest first.

    Raises:
        StoreError: One cannot be read or understood.
    """
    folder = state / _FOLDER
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise files.unreadable(folder, reason_of(error)) from error
    # None: another process has just ended it.
    found = [one for name in names if (one := _read(folder / name)) is not None]
    return tuple(sorted(found, key=lambda one: (one.started_at, one.pairing_id)))


def write(state: Path, unfinished: Unfinished) -> None:
    """Note it, so that a power cut does not lose it.

    Raises:
        StoreError: It cannot be written.
    """
    before = {key_id: fields.plain(ids) for key_id, ids in unfinished.before.items()}
    content = {**fields.plain(unfinished), "before": before}
    facts.write(_path(state, unfinished.pairing_id), "unfinished", content)


def remove(state: Path, pairing_id: str) -> None:
    """It has ended.

    Raises:
        StoreError: The file cannot be deleted.
    """
    files.remove(_path(state, pairing_id))


def _read(path: Path) -> Unfinished | None:
    def decode(value: dict[str, Any]) -> Unfinished:
        # Older notes know of none.
        found: Unfinished = fields.object_in(Unfinished, _FIELDS, {"recovery_seed": None, **value})
        if path.name != f"{found.pairing_id}.json":
            raise ValueError("another file's")
        return found

    return facts.read(
        path,
        decode,
        purpose="say what is left of a pairing that was begun",
        cure="move it away; `keyctl passkeys list` shows what is on a key for keyctl.invalid",
    )


def _before(value: Any) -> dict[str, tuple[bytes, ...]]:
    return {fields.identity(key_id): tuple(map(bytes.fromhex, ids)) for key_id, ids in fields.mapping(value).items()}


_FIELDS: fields.Fields = {
    "pairing_id": fields.identity,
    "primary_id": fields.identity,
    "backup_id": fields.identity,
    "started_at": fields.time,
    "before": _before,
    "recovery_seed": fields.optional(fields.octets),
}


def _path(state: Path, pairing_id: str) -> Path:
    return facts.path_of(state / _FOLDER, pairing_id)
