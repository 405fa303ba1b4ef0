"""Small files that say one thing each: read strictly where it guards something, leniently where it is a convenience."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from keyctl.errors import StoreError
from keyctl.store import files
from keyctl.store.fields import ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_Fact = TypeVar("_Fact")
_SCHEMA = 1


def path_of(folder: Path, record_id: str, *, prefix: str = "", suffix: str = "") -> Path:
    """The file of a record in *folder*.

    Args:
        folder: Where it is.
        record_id: Of the record.
        prefix: What comes before it, where one folder holds files of several kinds.
        suffix: What comes behind it.

    Raises:
        ValueError: *record_id* is no id, so that the path could lead elsewhere.
    """
    if not ID_PATTERN.fullmatch(record_id):
        raise ValueError(f"{record_id!r} is no id")
    return folder / f"{prefix}{record_id}{suffix}.json"


def path_of_name(folder: Path, name: str, *, prefix: str) -> Path:
    """The file about a name in *folder*; the name may be longer than a file's, and hold anything."""
    return folder / f"{prefix}{sha256(name.encode()).hexdigest()[:32]}.json"


def read(path: Path, decode: Callable[[dict[str, Any]], _Fact], *, purpose: str, cure: str) -> _Fact | None:
    """What a file that guards something says; None: there is no such file.

    Args:
        path: The file.
        decode: Takes it from the content; KeyError, TypeError or ValueError where it is not there.
        purpose: What a damaged file does not do, for the message.
        cure: What to do about one.

    Raises:
        StoreError: It cannot be read, or does not *purpose*.
    """
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    try:
        return _said(value, decode)
    except (KeyError, TypeError, ValueError) as error:
        raise files.unreadable(path, f"is damaged: it does not {purpose}", cure) from error


def read_or_none(path: Path, decode: Callable[[dict[str, Any]], _Fact]) -> _Fact | None:
    """What a file says that is only a convenience, by *decode* as in :func:`read`; None: a damaged one is none."""
    try:
        return _said(files.read_json(path), decode)
    except (FileNotFoundError, StoreError, KeyError, TypeError, ValueError):
        return None


def write(
    path: Path, kind: str, content: Mapping[str, Any], *, durable: bool = True, unsynced: Path | None = None
) -> None:
    """Replace what *path* says, in one step; its folder is made where it is missing.

    Args:
        path: The file.
        kind: What it is about.
        content: Its other fields.
        durable: Whether it has to survive a power cut.
        unsynced: A folder around it that Git is told to leave alone, should it be in a repository; None: no folder is.

    Raises:
        StoreError: It cannot be written; the old content is still there.
    """
    files.make_private_folder(path.parent, durable=durable)
    if unsynced is not None:
        _ignore(unsynced)
    files.write_json(path, {"schema": _SCHEMA, "kind": kind, **content}, durable=durable)


def _said(value: dict[str, Any], decode: Callable[[dict[str, Any]], _Fact]) -> _Fact:
    if value.get("schema") != _SCHEMA:
        raise ValueError("another schema")
    return decode(value)


def _ignore(folder: Path) -> None:
    ignore = folder / ".gitignore"
    if not ignore.exists():
        # Whoever comes first writes it; where nothing can be written, the file itself will say so.
        with contextlib.suppress(OSError), ignore.open("x", encoding="utf-8") as file:
            file.write("*\n")
