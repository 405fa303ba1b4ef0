"""Reading and writing one JSON file so that a crash leaves the old or the new content, never a mixture."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from keyctl.core.text import reason_of, visible
from keyctl.errors import Details, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Larger files are refused unread: nothing keyctl writes comes near.
MAX_FILE_BYTES = 16 * 1024 * 1024
_LOCK_POLL_S = 0.02
#: Another keyctl holds the lock of a folder for as long as it takes to write a few files.
_SHORT_WAIT_S = 2.0


def make_private_folder(folder: Path, *, durable: bool = False) -> None:
    """Create *folder* and what is missing above it, 0700.

    Args:
        folder: Where files are to be written.
        durable: Whether a new folder has to survive a power cut, as a file written durably into it has to.

    Raises:
        StoreError: It cannot be created, or something else is in its place.
    """
    # Path.mkdir would give what is missing above it the permissions of the umask.
    missing = [folder, *folder.parents]
    try:
        new = missing[: next(i for i, path in enumerate(missing) if path.exists())]
        for path in reversed(new or missing[:1]):
            path.mkdir(mode=0o700, exist_ok=True)
        for path in new if durable else ():
            _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(folder, error) from error


def read_json(path: Path | str) -> dict[str, Any]:
    """The JSON object in the regular file *path*.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: It is a link, too large, unreadable, or holds no JSON object.
    """
    content = read_plain(path)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, "is not JSON") from error
    if not isinstance(value, dict):
        raise unreadable(path, "is not a JSON object")
    return value


def read_plain(path: Path | str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The content of the regular file *path*; one that is something else is not waited for.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: It is a link, no file, too large or unreadable.
    """
    try:
        # O_NOFOLLOW: a link planted in a synced folder must not make keyctl read another file.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
                raise unreadable(path, "is not a plain file of reasonable size")
            return file.read(max_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {reason_of(error)}"
        raise unreadable(path, reason) from error


def write_json(path: Path, value: dict[str, Any], *, durable: bool = True) -> None:
    """Replace *path* by *value* in one step, 0600.

    Args:
        path: The file; its folder exists.
        value: What to write, as sorted and indented JSON.
        durable: Whether it has to survive a power cut; False saves two waits for the disk.

    Raises:
        StoreError: It cannot be written, or is larger than what is read; the old content is still there.
    """
    content = (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
    if len(content) > MAX_FILE_BYTES:
        # It could not be read again.
        raise _unwritable(path, OSError(errno.EFBIG, "File too large"))
    # Threads of one process write too, when a key is reached in two ways.
    temporary = path.with_name(f".{path.name}.{threading.get_native_id()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise _unwritable(path, error) from error


def remove(path: Path, *, durable: bool = False) -> None:
    """Delete *path*; it is no error when it is gone already.

    Args:
        path: The file.
        durable: Whether it has to stay deleted after a power cut.

    Raises:
        StoreError: It cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
        if durable and path.parent.is_dir():
            _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def lock(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file *path* (created if missing) against other processes and other openings.

    The operating system drops the lock when the process ends, however it ends; the file stays.

    Raises:
        StoreError: Somebody else has held it for *wait_s* seconds (``store_locked``), or it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise StoreError(
                    "store_locked",
                    f"another keyctl is changing something in {visible(str(path.parent))}",
                    "wait for it, or give --wait SECONDS",
                    details=Details(file=str(path)),
                )
            time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_folder(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Keep other processes from changing what is in *folder*, made where it is missing.

    Args:
        folder: Where several files may be changed together.
        wait_s: Seconds to wait for another process; at least 2.

    Raises:
        StoreError: Another process holds it (``store_locked``), or it cannot be written.
    """
    make_private_folder(folder, durable=True)
    with lock(folder / ".lock", max(wait_s, _SHORT_WAIT_S)):
        yield


def unreadable(path: Path | str, reason: str, hint: str | None = None) -> StoreError:
    """The error for a file that cannot be used as it is; *hint* where the usual advice does not fit."""
    return StoreError(
        "store_unreadable",
        f"{visible(str(path))} {reason}",
        hint or "restore it from a backup, or move it away; keyctl never overwrites what it cannot read",
        details=Details(file=str(path)),
    )


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        "store_unwritable",
        f"cannot write {visible(str(path))}: {reason_of(error)}",
        "look at the permissions and the free space there, or give another folder with --home",
        details=Details(file=str(path)),
    )


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; only POSIX systems open folders."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
