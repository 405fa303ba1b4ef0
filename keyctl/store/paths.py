"""Where keyctl keeps its files."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_home() -> Path:
    """The data folder when neither ``--home`` nor KEYCTL_HOME is given: XDG on Unix, local app data on Windows."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", ""))
        fallback = Path("AppData", "Local")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", ""))
        fallback = Path(".local", "share")
    # The XDG Base Directory specification says that a relative path is to be ignored.
    return (base if base.is_absolute() else Path.home() / fallback) / "keyctl"


def virtual_keys_folder(home: Path) -> Path:
    """The folder with one file per virtual key."""
    return home / "virtual"
