"""Ctrl-C at a moment that nobody can meet by hand."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType


@contextlib.contextmanager
def interrupted_when(folder: Path) -> Iterator[None]:
    """Around what is interrupted as soon as *folder* has a file: after it was renamed, before anything else is done."""

    def interrupt(_frame: FrameType, event: str, function: object) -> None:
        if event == "c_return" and function in {os.replace, os.rename} and any(folder.glob("*.json")):
            raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        sys.setprofile(before)
