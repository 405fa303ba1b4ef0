"""Whether a virtual key is attached to a bus: a file that is locked and says which bus."""

from __future__ import annotations

import contextlib
import re
import stat
from typing import TYPE_CHECKING

from keyctl.errors import StoreError
from keyctl.store.files import lock, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUS_PATTERN = re.compile(r"[a-z]{1,16}")
#: Others look whether the file is locked by locking it themselves, for microseconds.
_LOOK_WAIT_S = 0.05
_HOLD_WAIT_S = 0.25
_MAX_BYTES = 64


@contextlib.contextmanager
def attachment(path: Path, bus: str) -> Iterator[None]:
    """Hold *path* and say in it that the key is on *bus*; the operating system drops the lock with the process.

    Raises:
        ValueError: *bus* is no lower-case word of at most 16 letters.
        StoreError: Somebody holds it already (``store_locked``), or it cannot be used.
    """
    if not _BUS_PATTERN.fullmatch(bus):
        raise ValueError(f"{bus!r} is no name of a bus")
    with lock(path, _HOLD_WAIT_S):
        if not _is_plain(path):
            raise unreadable(path, "is not a plain file")
        path.write_text(bus, encoding="ascii")
        try:
            yield
        finally:
            # Emptied, not deleted: somebody may have it open to look.
            with contextlib.suppress(OSError):
                path.write_text("", encoding="ascii")


def attached_to(path: Path) -> str | None:
    """The bus that *path* says the key is attached to, or None when nobody holds it. Creates nothing."""
    try:
        bus = path.read_text(encoding="ascii") if _is_plain(path) else ""
    except (OSError, UnicodeDecodeError):
        return None
    # Nobody has to be asked when it is empty, and what a process that died left behind is not locked.
    if not _BUS_PATTERN.fullmatch(bus):
        return None
    try:
        with lock(path, _LOOK_WAIT_S):
            return None
    except StoreError as error:
        return bus if error.code == "store_locked" else None


def _is_plain(path: Path) -> bool:
    """Whether *path* is a small regular file: opening a pipe that somebody put there would wait for ever."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES
