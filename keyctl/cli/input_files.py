"""Files that commands take in."""

from __future__ import annotations

import sys
from pathlib import Path

from keyctl.core.text import visible
from keyctl.errors import Details, UsageError


def content(file: str, limit_bytes: int) -> tuple[bytes, str]:
    """What is in *file*, ``-`` for stdin, up to one byte more than the limit, and what messages call it.

    Raises:
        UsageError: It cannot be read (``import_unreadable``).
    """
    source = "stdin" if file == "-" else file
    try:
        if file != "-":
            with Path(file).open("rb") as stream:
                return stream.read(limit_bytes + 1), source
        if sys.stdin is None:
            raise OSError("it is closed")
        return sys.stdin.buffer.read(limit_bytes + 1), source
    except (OSError, ValueError) as error:
        # A ValueError is a name with a NUL in it, which no shell can pass on.
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(
            "import_unreadable",
            f"{visible(source)} cannot be read: {reason}",
            "give the name of a file, or - for stdin",
            details=Details(file=source),
        ) from error
