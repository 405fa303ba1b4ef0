"""Files that a person wants written somewhere: only ever new ones, and whole ones."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from keyctl.core.text import reason_of, visible
from keyctl.errors import Details, StoreError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: Of a file for everybody that the umask lets, and of one for its owner only.
PUBLIC, PRIVATE = 0o666, 0o600


def check(path: Path) -> None:
    """Refuse before anybody is asked for a PIN or a touch where no new file can be written.

    Raises:
        UsageError: There is something already.
        StoreError: Its folder does not exist, or cannot be written to.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK)):
        raise _unwritable(path, "its folder does not exist, or cannot be written to")


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file, through to the disk; what is there already is never written over.

    Args:
        path: Where.
        content: All of it.
        mode: :data:`PUBLIC` or :data:`PRIVATE`.

    Raises:
        UsageError: There is something already.
        StoreError: It cannot be written; then there is no file.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    except FileExistsError as error:
        raise _exists(path) from error
    except (OSError, ValueError) as error:
        raise _unwritable(path, str(error).lower()) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise _unwritable(path, reason_of(error)) from error


def _exists(path: Path) -> UsageError:
    return UsageError(
        "usage",
        f"{visible(str(path))} exists already",
        "give the name of a new file; nothing is ever written over",
        details=Details(file=str(path)),
    )


def _unwritable(path: Path, reason: str) -> StoreError:
    return StoreError(
        "store_unwritable",
        f"cannot write {visible(str(path))}: {reason}",
        "give a file in a folder that you can write to",
        details=Details(file=str(path)),
    )
