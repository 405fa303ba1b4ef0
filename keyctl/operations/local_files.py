"""Reading other programs' files: whole, small, and nothing but files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from keyctl.core.text import reason_of
from keyctl.errors import Details, StoreError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, limit_bytes: int) -> bytes | None:
    """The content of the regular file *path*; None when it is missing, something else, or larger.

    Raises:
        StoreError: It may not be read, or the disk fails (``local_unreadable``).
    """
    try:
        # Before it is opened: that alone disturbs a pipe or a device.
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
                return None
            content = file.read(limit_bytes + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # A ValueError is a name with a NUL in it, which no file has.
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    return None if len(content) > limit_bytes else content


def names(folder: Path) -> tuple[Path, ...]:
    """What is in *folder*, by name; nothing where it is missing.

    Raises:
        StoreError: It may not be read, or the disk fails (``local_unreadable``).
    """
    try:
        return tuple(sorted(folder.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(path: Path, error: OSError) -> StoreError:
    """The error for a file that the operating system does not give."""
    message = f"cannot read {path}: {reason_of(error)}"
    hint = "run as its owner" if isinstance(error, PermissionError) else "look at the disk that it is on"
    return StoreError("local_unreadable", message, hint, details=Details(file=os.fspath(path)))


def senseless(path: Path, reason: str, hint: str) -> StoreError:
    """The error for a file whose content makes no sense; *reason* completes "FILE ..."."""
    return StoreError("local_unreadable", f"{path} {reason}", hint, details=Details(file=os.fspath(path)))
