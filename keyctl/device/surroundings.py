"""What a diagnosis looks at: gathered without a PIN, without a touch, and without changing anything."""

from __future__ import annotations

import importlib
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core.diagnosis_facts import Facts, Home, Library, NamedProgram, Unknown, VirtualState
from keyctl.core.text import reason_of
from keyctl.device import surroundings_readers, surroundings_usb
from keyctl.device.discover import is_selector
from keyctl.errors import StoreError
from keyctl.store.paths import virtual_keys_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where programs like this one say what they start; their folders on the search path are many, the files small.
_MAX_SCRIPT_BYTES = 65_536
_ENTRY_POINT = b"keyctl.cli.main"


def gather(home: Path, wanted: str | None, environment: Mapping[str, str] = os.environ) -> Facts:
    """All facts; with a selector only those that concern its kind of key.

    Args:
        home: The home folder.
        wanted: The text of ``--key``, or None.
        environment: The environment variables.
    """
    scheme = wanted.partition(":")[0] if wanted is not None and is_selector(wanted) else None
    usb = readers = virtual = None
    if scheme in {None, "usb"}:
        usb = surroundings_usb.linux_usb(environment) if sys.platform == "linux" else surroundings_usb.other_usb()
    if scheme in {None, "nfc"}:
        readers = surroundings_readers.reader_facts(environment)
    if scheme in {None, "virtual"}:
        virtual = virtual_states(home)
    return Facts(
        platform=sys.platform,
        wanted=wanted,
        library=library(),
        usb=usb,
        readers=readers,
        virtual=virtual,
        home=home_folder(home) if wanted is None else None,
        programs=named_programs(environment.get("PATH", "")) if wanted is None else None,
    )


def library(name: str = "fido2") -> Library:
    """The library that speaks to keys, its version, and whether it can be loaded.

    Args:
        name: Its name, both of the package and of the module.
    """
    from importlib import metadata

    problem = None
    try:
        importlib.import_module(name)
    except (ImportError, SyntaxError, AttributeError, OSError) as error:
        # What a half-finished installation brings.
        problem = str(error) or type(error).__name__
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = None
    return Library(version=version, problem=problem)


def home_folder(home: Path) -> Home:
    """The folder for keyctl's files, as it is; it is not made."""
    try:
        status = home.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Home(path=str(home), exists=False)
    except (OSError, ValueError) as error:
        return Home(path=str(home), exists=True, problem=reason_of(error))
    return Home(
        path=str(home),
        exists=True,
        is_folder=stat.S_ISDIR(status.st_mode),
        open_to_others=os.name == "posix" and bool(status.st_mode & 0o077),
        writable=os.access(home, os.W_OK | os.X_OK),
    )


def named_programs(search_path: str, name: str = "keyctl") -> tuple[NamedProgram, ...]:
    """The programs *name* of the search path, in its order, each once.

    Args:
        search_path: Folders as in PATH; empty and relative ones are left out.
        name: What the programs are called.
    """
    found: dict[str, NamedProgram] = {}
    for folder in search_path.split(os.pathsep):
        path = Path(folder, name)
        if path.is_absolute() and os.access(path, os.X_OK) and not path.is_dir():
            # One file may have many names, as where /bin is /usr/bin.
            found.setdefault(os.path.realpath(path), NamedProgram(path=str(path), own=_is_own(path)))
    return tuple(found.values())


def virtual_states(home: Path) -> tuple[VirtualState, ...] | Unknown:
    """The virtual keys, those that are unplugged and those that are broken, too."""
    from keyctl.virtual import keys

    try:
        entries = keys.entries(virtual_keys_folder(home))
    except StoreError as error:
        return Unknown(reason=error.message)
    return tuple(
        VirtualState(selector=entry.key or "virtual:", problem=entry.message)
        if isinstance(entry, StoreError)
        else VirtualState(selector=f"virtual:{entry.name}", plugged=entry.plugged, attached=entry.attached)
        for entry in entries
    )


def _is_own(path: Path) -> bool:
    """Whether *path* starts keyctl: pip's scripts name what they start."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            return _ENTRY_POINT in (file.read(_MAX_SCRIPT_BYTES) or b"")
    except OSError:
        return False
