"""The persistent tokens of this computer, and what it knows of each; never in the inventory, which may be synced.

The token itself is in the system's keyring, or in a file of its own beside the note.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keyctl.core.text import visible
from keyctl.errors import StoreError
from keyctl.store import facts, fields, files, system_keyring

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from keyctl.core.inventory import KnownKey

_FOLDER = "unattended"
#: Under the older protocol of PINs, and under either.
_TOKEN_BYTES = {16, 32}
_STATE_BYTES, _HASH_BYTES = 16, 32


class TokenPlace(StrEnum):
    """Where a token is kept."""

    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, kw_only=True)
class Note:
    """What this computer knows of the token of one key; no secret."""

    kept: TokenPlace
    since: str
    #: When the key last took it; None: not since it was made.
    last_used: str | None = None
    #: The key's own mark for what passkeys it held when they were last read with the token, 16 bytes.
    store_state: bytes | None = None
    #: SHA-256 of what the inventory said of these passkeys then.
    passkeys: bytes | None = None


_NOTE: fields.Fields = {
    "kept": TokenPlace,
    "since": fields.time,
    "last_used": fields.optional(fields.time),
    "store_state": fields.optional(fields.exactly(_STATE_BYTES)),
    "passkeys": fields.optional(fields.exactly(_HASH_BYTES)),
}


def read_note(state: Path, key_id: str) -> Note | None:
    """What is known of the key's token; None: there is none, or the file is damaged, so that a new one is needed.

    A key that is not known has the id "".
    """
    if not key_id:
        return None
    return facts.read_or_none(_path(state, key_id), lambda value: fields.object_in(Note, _NOTE, value))


def read_notes(state: Path, keys: Iterable[KnownKey]) -> list[tuple[KnownKey, Note]]:
    """Those of *keys* that have a token here, each with what is known of it."""
    return [(key, note) for key in keys if (note := read_note(state, key.id)) is not None]


def write_note(state: Path, key_id: str, note: Note, *, durable: bool = False) -> None:
    """Note it.

    Raises:
        StoreError: It cannot be written.
    """
    require_folder(state)
    facts.write(_path(state, key_id), "unattended", fields.plain(note), durable=durable)


def require_folder(state: Path) -> None:
    """Make the folder for notes and tokens.

    Raises:
        StoreError: It cannot be made.
    """
    files.make_private_folder(state / _FOLDER, durable=True)


def read(state: Path, key_id: str, place: TokenPlace) -> bytes | None:
    """The token at *place*; None: it is not there any more.

    Raises:
        StoreError: The file is damaged, or others can read it; the keyring cannot be used, or is locked.
    """
    if place is TokenPlace.KEYRING:
        text = system_keyring.read(key_id)
        if text is None:
            return None
        try:
            return _token(text)
        except ValueError as error:
            raise StoreError(
                "keyring_unusable",
                "what the system's keyring has under this name is no token",
                "make a new one with `keyctl unattended on`",
            ) from error
    path = _token_path(state, key_id)
    _require_private(path)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    try:
        return _token(value["token"])
    except (KeyError, TypeError, ValueError) as error:
        raise files.unreadable(
            path, "is damaged: it holds no token", "make a new one with `keyctl unattended on --file`"
        ) from error


def write(state: Path, key_id: str, place: TokenPlace, token: bytes, *, unlocking: bool) -> None:
    """Keep the token there.

    Raises:
        StoreError: It cannot be kept there.
    """
    if place is TokenPlace.KEYRING:
        system_keyring.write(key_id, token.hex(), unlocking=unlocking)
        return
    facts.write(_token_path(state, key_id), "unattended_token", {"token": token.hex()})


def delete(state: Path, key_id: str, place: TokenPlace, *, unlocking: bool) -> None:
    """Keep the token there no more.

    Raises:
        StoreError: It cannot be deleted.
    """
    if place is TokenPlace.KEYRING:
        system_keyring.delete(key_id, unlocking=unlocking)
    else:
        files.remove(_token_path(state, key_id), durable=True)


def forget_note(state: Path, key_id: str) -> None:
    """Note nothing of the key's token any more.

    Raises:
        StoreError: The file cannot be deleted.
    """
    files.remove(_path(state, key_id), durable=True)


def _require_private(path: Path) -> None:
    """Refuse a token that others can read, as they may have it by now."""
    if os.name != "posix":
        return
    try:
        mode = path.lstat().st_mode
    except OSError:
        # That is for whoever reads it to say.
        return
    if stat.S_ISREG(mode) and mode & 0o077:
        raise files.unreadable(
            path,
            "can be read by others, so the token in it is not used",
            f"change the PIN of the key if others were there, or `chmod 600 {visible(str(path))}`",
        )


def _token(text: str) -> bytes:
    token = bytes.fromhex(text)
    if len(token) not in _TOKEN_BYTES:
        raise ValueError("no token")
    return token


def _path(state: Path, key_id: str) -> Path:
    return facts.path_of(state / _FOLDER, key_id)


def _token_path(state: Path, key_id: str) -> Path:
    return facts.path_of(state / _FOLDER, key_id, suffix=".token")
