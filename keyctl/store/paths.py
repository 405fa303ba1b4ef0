"""Where keyctl keeps its files."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_home() -> Path:
    """The data folder when neither ``--home`` nor KEYCTL_HOME is given: XDG on Unix, local app data on Windows."""
    if sys.platform == "win32":
        return _base("LOCALAPPDATA", Path("AppData", "Local")) / "keyctl"
    return _base("XDG_DATA_HOME", Path(".local", "share")) / "keyctl"


def default_state() -> Path:
    """The folder for what concerns this computer only, beside :func:`default_home`."""
    if sys.platform == "win32":
        return own_state(default_home())
    return _base("XDG_STATE_HOME", Path(".local", "state")) / "keyctl"


def own_state(home: Path) -> Path:
    """The same for a home folder that was named."""
    return home / "state"


def _base(variable: str, fallback: Path) -> Path:
    # The XDG Base Directory specification says that a relative path is to be ignored.
    base = Path(os.environ.get(variable, ""))
    return base if base.is_absolute() else Path.home() / fallback


def virtual_keys_folder(home: Path) -> Path:
    """The folder with one file per virtual key."""
    return home / "virtual"
