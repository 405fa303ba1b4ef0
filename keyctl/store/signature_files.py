"""Files that hold one signature."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from keyctl.core.text import visible
from keyctl.errors import Details, StoreError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def check_new(path: Path) -> None:
    """Refuse before anybody is asked for a touch where no new file can be written.

    Raises:
        UsageError: There is something already.
        StoreError: Its folder does not exist, or cannot be written to.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK)):
        raise _unwritable(path, "its folder does not exist, or cannot be written to")


def write_new(path: Path, content: bytes) -> None:
    """Write a new file; what is there already is never written over.

    Raises:
        UsageError: There is something already.
        StoreError: It cannot be written; then there is no file.
    """
    try:
        stream = path.open("xb")
    except FileExistsError as error:
        raise _exists(path) from error
    except (OSError, ValueError) as error:
        raise _unwritable(path, str(error).lower()) from error
    try:
        with stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise _unwritable(path, (error.strerror or str(error)).lower()) from error


def _exists(path: Path) -> UsageError:
    return UsageError(
        "usage",
        f"{visible(str(path))} exists already",
        "give the name of a new file",
        details=Details(file=str(path)),
    )


def _unwritable(path: Path, reason: str) -> StoreError:
    return StoreError(
        "store_unwritable",
        f"cannot write {visible(str(path))}: {reason}",
        "give a file in a folder that you can write to",
        details=Details(file=str(path)),
    )
