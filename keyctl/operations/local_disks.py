"""Encrypted disks of this computer, and the security keys that open them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core import luks_tokens
from keyctl.core.local_files import LocalFileError
from keyctl.core.names import quoted
from keyctl.core.text import reason_of
from keyctl.operations import local_files

if TYPE_CHECKING:
    from keyctl.core.luks_tokens import Header, Tokens

_PROGRAM = "cryptsetup"
#: Not in every user's PATH.
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_PROGRAM_S = 20.0
#: Four times what a LUKS2 header has room for, at most.
_MAX_OUTPUT_BYTES = 16 * 1024 * 1024
_MAX_MESSAGE_BYTES = 4096
#: Compressed memory and the like; and drives whose medium would have to start turning.
_NO_DISKS = ("ram", "zram", "fd", "sr")
#: A drive without a medium, a device that was taken away.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM})
#: The device, and the options, of a line in crypttab(5).
_DEVICE, _OPTIONS = 1, 3


@dataclass(frozen=True)
class Candidate:
    """What may be an encrypted volume."""

    path: Path
    #: Whether it is told of when it may not be read: a whole disk, not each of its parts.
    counts: bool


@dataclass(frozen=True)
class Volume:
    """An encrypted volume."""

    path: Path
    header: Header


def candidates(blocks: Path, devices: Path, crypttab: str) -> tuple[Candidate, ...]:
    """All block devices that have a size, and the files and devices that crypttab names by their path.

    Args:
        blocks: The kernel's list of block devices, ``/sys/class/block``.
        devices: The folder of their nodes, ``/dev``.
        crypttab: The text of that file.

    Raises:
        StoreError: The list cannot be read (``local_unreadable``).
    """
    found = [
        Candidate(devices / entry.name.replace("!", "/"), counts=_is_whole(entry))
        for entry in local_files.names(blocks)
        if not entry.name.startswith(_NO_DISKS) and _has_size(entry)
    ]
    for line in crypttab.splitlines():
        words = line.split()
        # No file has a name with a NUL in it.
        if len(words) > _DEVICE and not words[0].startswith("#") and "\0" not in line:
            options = words[_OPTIONS].split(",") if len(words) > _OPTIONS else []
            headers = [option.removeprefix("header=") for option in options if option.startswith("header=")]
            found += [Candidate(Path(name), counts=True) for name in (words[_DEVICE], *headers) if name.startswith("/")]
    by_file: dict[str, Candidate] = {}
    for candidate in found:
        by_file.setdefault(os.path.realpath(candidate.path), candidate)
    return tuple(by_file.values())


def volume(path: Path) -> Volume | None:
    """The LUKS2 volume, or the file with the header of one, at *path*; None: it is none, or not there.

    Raises:
        PermissionError: It may not be read.
        StoreError: The disk fails (``local_unreadable``).
    """
    try:
        if not _can_be_volume(path.stat().st_mode):
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            first = file.read(luks_tokens.HEADER_BYTES) if _can_be_volume(os.fstat(descriptor).st_mode) else b""
    except PermissionError:
        raise
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise local_files.unreadable(path, error) from error
    header = luks_tokens.header(first or b"")
    return None if header is None else Volume(path, header)


def tokens(path: Path) -> Tokens:
    """The security keys that open the volume at *path*, as cryptsetup reads its header.

    Raises:
        StoreError: cryptsetup is missing or fails, or the header makes no sense (``local_unreadable``).
    """
    program = shutil.which(_PROGRAM, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS)))
    if program is None:
        raise local_files.senseless(path, "is encrypted, and cryptsetup is not installed", "install cryptsetup")
    try:
        return luks_tokens.read(_metadata(program, path))
    except LocalFileError as error:
        raise local_files.senseless(
            path, str(error), f"look at it with: cryptsetup luksDump {quoted(str(path))}"
        ) from error


def _metadata(program: str, path: Path) -> bytes:
    """The header of the volume as JSON."""
    command = [str(Path(program).absolute()), "luksDump", "--dump-json-metadata", str(path.absolute())]
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell, and a path for a path
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise LocalFileError(f"cannot be looked at: {program}: {reason_of(error)}") from error
    timer = threading.Timer(_PROGRAM_S, process.kill)
    timer.start()
    try:
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            output = process.stdout.read(_MAX_OUTPUT_BYTES)
            if len(output) == _MAX_OUTPUT_BYTES:
                process.kill()
            # It ended, or is ended by the timer if it has more to say than a pipe holds.
            message = process.stderr.read(_MAX_MESSAGE_BYTES).decode(errors="replace").strip()
    finally:
        timer.cancel()
    if process.returncode != 0:
        lines = message.splitlines() or ["it said nothing, or took too long"]
        raise LocalFileError(f"cannot be looked at: cryptsetup: {lines[-1]}")
    return output


def _is_whole(entry: Path) -> bool:
    """Whether it is a disk, and neither a part of one nor a view of another."""
    return not entry.name.startswith("dm-") and not (entry / "partition").exists()


def _has_size(entry: Path) -> bool:
    """Whether there is a medium: loop devices are there without one, too."""
    with contextlib.suppress(OSError, ValueError):
        return int((entry / "size").read_text(encoding="ascii")) > 0
    return False


def _can_be_volume(mode: int) -> bool:
    return stat.S_ISBLK(mode) or stat.S_ISREG(mode)
