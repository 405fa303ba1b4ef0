"""Pairings that were begun on this computer: what is left on which key, should one end half-way.

A file is written before anything is made on a key and removed when the pairing is in the inventory, or nothing is left
of it. Whatever of keyctl's own a key holds then that it did not hold before is left from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.store import files
from keyctl.store.fields import ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from keyctl.errors import StoreError

_FOLDER = "unfinished"
_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A pairing that was begun and has not ended."""

    pairing_id: str
    primary_id: str
    backup_id: str
    started_at: str
    #: Key id -> the ids of keyctl's own credentials that were on it before; only keys on which something may be left.
    before: Mapping[str, tuple[bytes, ...]]


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
        raise files.unreadable(folder, (error.strerror or str(error)).lower()) from error
    found = []
    for name in names:
        try:
            found.append(_read(folder / name))
        except FileNotFoundError:
            # Another process has just ended it.
            continue
    return tuple(sorted(found, key=lambda one: (one.started_at, one.pairing_id)))


def write(state: Path, unfinished: Unfinished) -> None:
    """Note it, so that a power cut does not lose it.

    Raises:
        StoreError: It cannot be written.
    """
    path = _path(state, unfinished.pairing_id)
    files.make_private_folder(path.parent, durable=True)
    content = {
        "schema": _SCHEMA,
        "kind": "unfinished",
        "pairing_id": unfinished.pairing_id,
        "primary_id": unfinished.primary_id,
        "backup_id": unfinished.backup_id,
        "started_at": unfinished.started_at,
        "before": {key_id: [one.hex() for one in ids] for key_id, ids in unfinished.before.items()},
    }
    files.write_json(path, content)


def remove(state: Path, pairing_id: str) -> None:
    """It has ended.

    Raises:
        StoreError: The file cannot be deleted.
    """
    files.remove(_path(state, pairing_id))


def _read(path: Path) -> Unfinished:
    value = files.read_json(path)
    try:
        found = Unfinished(
            pairing_id=_id(value["pairing_id"]),
            primary_id=_id(value["primary_id"]),
            backup_id=_id(value["backup_id"]),
            started_at=value["started_at"],
            before={_id(key_id): tuple(map(bytes.fromhex, ids)) for key_id, ids in value["before"].items()},
        )
        times.parse(found.started_at)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path) from error
    if value.get("schema") != _SCHEMA or path.name != f"{found.pairing_id}.json":
        raise _damaged(path)
    return found


def _damaged(path: Path) -> StoreError:
    return files.unreadable(
        path,
        "is damaged: it does not say what is left of a pairing that was begun",
        "move it away; `keyctl passkeys list` shows what is on a key for keyctl.invalid",
    )


def _id(text: str) -> str:
    if not ID_PATTERN.fullmatch(text):
        raise ValueError("no id")
    return text


def _path(state: Path, pairing_id: str) -> Path:
    return state / _FOLDER / f"{_id(pairing_id)}.json"
