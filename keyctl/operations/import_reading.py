"""Files to be imported, of which a person may have named the wrong one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from keyctl.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def understanding(command: str) -> Iterator[None]:
    """Around reading such a file: what is none is a mistake of the command line.

    Args:
        command: What writes such files.

    Raises:
        UsageError: It cannot be understood (``import_unreadable``).
        StoreError: A newer keyctl wrote it (``store_newer``).
    """
    try:
        yield
    except StoreError as error:
        if error.code != "store_unreadable":
            raise
        hint = f"give a file that `{command}` wrote; nothing was changed"
        raise UsageError("import_unreadable", error.message, hint, details=error.details) from error
