"""A backup key's seed as a file: from the computer where it was made to the one that has the primary key.

It holds the evidence that the backup key holds the seed, and by what that key is known again. None of it is secret; who
has it can tell which keys were derived from the seed.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core.pairings import Method, Seed
from keyctl.core.text import visible
from keyctl.errors import Details, StoreError, UsageError
from keyctl.model import KeyState
from keyctl.store import fields, migrations, pairing_records, records
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.core.inventory import KnownKey
    from keyctl.store.fields import Fields

#: Larger ones are none; a seed with its evidence has some 10 kB.
MAX_FILE_BYTES = 1024 * 1024
_SCHEMA_NAME, _SCHEMA_NUMBER = "keyctl-seed", 1


@dataclass(frozen=True, kw_only=True)
class SeedFile:
    """What such a file says; nothing of it is checked but its form."""

    #: By which the seed is said to have been made.
    method: Method
    #: When it was made.
    created_at: str
    #: As it was shown then; for people, who may open the file.
    fingerprint: str
    #: The backup key, see :func:`identity`.
    key: KnownKey
    seed: Seed


def identity(key: KnownKey) -> KnownKey:
    """Of *key* what is needed to know it again, without what is on it and where it lies."""
    return replace(
        key,
        owner=None,
        location=None,
        note=None,
        state=KeyState.ACTIVE,
        passkeys=(),
        passkeys_read_at=None,
        passkeys_remaining=None,
        registrations=(),
        changed={},
    )


def document(content: SeedFile) -> str:
    """The file as text, without a newline at its end."""
    value = {
        "schema": f"{_SCHEMA_NAME}/{_SCHEMA_NUMBER}",
        "method": content.method.value,
        "created_at": content.created_at,
        "fingerprint": content.fingerprint,
        "key": records.key_to(identity(content.key)),
        "seed": fields.plain(content.seed),
    }
    return json.dumps(value, indent=2, sort_keys=True)


def seed_file_from(content: bytes, source: str) -> SeedFile:
    """What a file says.

    Args:
        content: The whole of it, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call it.

    Raises:
        StoreError: A newer keyctl wrote it, or it is none, or something in it is not what it has to be.
    """
    if len(content) > MAX_FILE_BYTES:
        raise unreadable(source, "is too large for an exported seed")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable(source, "is not JSON") from error
    name, _, number = str(value.get("schema") if isinstance(value, dict) else None).partition("/")
    if name != _SCHEMA_NAME or not (number.isascii() and number.isdecimal()) or number.startswith("0"):
        raise unreadable(source, "is no exported seed")
    # Compared as texts: a number of thousands of digits is no number to Python.
    if number != str(_SCHEMA_NUMBER):
        raise migrations.newer(source)
    del value["schema"]

    def key(value: Any) -> KnownKey:
        if type(value) is not dict:
            raise ValueError("no object")
        return identity(records.key_from(value, source))

    found: SeedFile = fields.decoded(SeedFile, {**_FIELDS, "key": key}, value, source)
    return found


def check_new(path: Path) -> None:
    """Refuse before anything is done where no new file can be written.

    Raises:
        UsageError: There is something already.
        StoreError: Its folder does not exist, or cannot be written to.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK)):
        raise _unwritable(path, "its folder does not exist, or cannot be written to")


def write_new(path: Path, text: str) -> None:
    """Write *text* and a newline into a new file, 0600; what is there already is never written over.

    Raises:
        UsageError: There is something already.
        StoreError: It cannot be written; then there is no file.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except FileExistsError as error:
        raise _exists(path) from error
    except (OSError, ValueError) as error:
        raise _unwritable(path, str(error).lower()) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise _unwritable(path, (error.strerror or str(error)).lower()) from error


def _exists(path: Path) -> UsageError:
    return UsageError(
        "usage",
        f"{visible(str(path))} exists already",
        "give the name of a new file; an exported seed is never written over anything",
        details=Details(file=str(path)),
    )


def _unwritable(path: Path, reason: str) -> StoreError:
    return StoreError(
        "store_unwritable",
        f"cannot write {visible(str(path))}: {reason}",
        "give a file in a folder that you can write to",
        details=Details(file=str(path)),
    )


_FIELDS: Fields = {
    "method": Method,
    "created_at": fields.time,
    "fingerprint": fields.some_text,
    "seed": pairing_records.seed_from,
}
