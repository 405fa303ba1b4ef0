"""The user's own systemd units: written in one step, and never over a file that keyctl did not write."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from keyctl.core.text import reason_of, visible
from keyctl.core.timer_units import MARK
from keyctl.errors import Details, StoreError, UsageError

_MAX_BYTES = 64 * 1024


def user_units_folder() -> Path:
    """Where systemd looks for a user's own units (systemd.unit(5))."""
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".config") / "systemd" / "user"


def current(path: Path) -> str | None:
    """What *path* holds, which keyctl wrote; None: there is no such file.

    Raises:
        UsageError: It is another program's, or somebody's own.
        StoreError: It cannot be read.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise _foreign(path)
        content = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failed("read", path, error) from error
    if not content.startswith(f"{MARK}\n"):
        raise _foreign(path)
    return content


def write(path: Path, content: str) -> bool:
    """Replace *path* by *content* in one step.

    Returns:
        Whether it held something else before.

    Raises:
        UsageError: Something that keyctl did not write is in its place.
        StoreError: It cannot be written; what was there is still there.
    """
    if current(path) == content:
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise _failed("write", path, error) from error
    return True


def _foreign(path: Path) -> UsageError:
    return UsageError(
        "usage",
        f"{visible(str(path))} was not written by keyctl, so it is left as it is",
        "move it away, or take the text without --write",
        details=Details(file=str(path)),
    )


def _failed(what: str, path: Path, error: OSError) -> StoreError:
    code = "store_unwritable" if what == "write" else "store_unreadable"
    return StoreError(
        code,
        f"cannot {what} {visible(str(path))}: {reason_of(error)}",
        "look at its permissions",
        details=Details(file=str(path)),
    )
