"""Getting hold of the key that a command is about."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from keyctl.device import choose, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.device.discover import Found
    from keyctl.operations.asking import Circumstances


@contextlib.contextmanager
def opened(circumstances: Circumstances) -> Iterator[session.Session]:
    """A session with the one key that fits; closed at the end.

    Raises:
        KeyChoiceError: No key fits, or several do.
        UnreachableError: It cannot be opened or does not answer.
    """

    def waiting(seconds: float) -> None:
        what = circumstances.wanted or "a security key"
        circumstances.asker.tell(f"waiting for {what} to be plugged in ({seconds:g} s)")

    found = choose.wait_for_key(circumstances.home, circumstances.wanted, circumstances.waits.plug_s, waiting)
    with connected(found, circumstances) as key:
        yield key


@contextlib.contextmanager
def connected(found: Found, circumstances: Circumstances) -> Iterator[session.Session]:
    """A session with exactly the device *found*; closed at the end."""

    def touch(label: str, seconds: float) -> None:
        circumstances.asker.tell(f"touch {label} now ({seconds:g} s)")

    with session.connect(found, circumstances.home, circumstances.waits, touch, circumstances.trace) as key:
        yield key
