"""Getting hold of the key that a command is about."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from keyctl.device import choose, session
from keyctl.model import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keyctl.device.discover import Found
    from keyctl.errors import KeyctlError
    from keyctl.operations.asking import Circumstances


@contextlib.contextmanager
def opened(circumstances: Circumstances, *, by_touch: bool = True) -> Iterator[session.Session]:
    """A session with the one key that fits; closed at the end.

    Several USB keys, none of them named, and a person: the one that is touched.

    Args:
        circumstances: What the command line says.
        by_touch: Whether a touch may choose; else several keys are an error even where somebody is there.

    Raises:
        KeyChoiceError: No key fits, or several do.
        TouchError: None of several keys was touched in time.
        UnreachableError: It cannot be opened or does not answer.
    """

    def waiting(seconds: float) -> None:
        what = circumstances.wanted or "a security key"
        circumstances.asker.tell(f"waiting for {what} to be plugged in ({seconds:g} s)")

    candidates = choose.wait_for_keys(circumstances.home, circumstances.wanted, circumstances.waits.plug_s, waiting)
    if by_touch and len(candidates) > 1 and _can_be_touched(candidates, circumstances):
        with _touched(candidates, circumstances) as key:
            yield key
    else:
        with connected(choose.only(candidates), circumstances) as key:
            yield key


@contextlib.contextmanager
def connected(found: Found, circumstances: Circumstances) -> Iterator[session.Session]:
    """A session with exactly the device *found*; closed at the end."""
    with _connect(found, circumstances) as key:
        yield key


def _connect(found: Found, circumstances: Circumstances) -> session.Session:
    def touch(label: str, seconds: float) -> None:
        circumstances.asker.tell(f"touch {label} now ({seconds:g} s)")

    return session.connect(found, circumstances.home, circumstances.waits, touch, circumstances.trace)


def _can_be_touched(candidates: Sequence[Found], circumstances: Circumstances) -> bool:
    """Whether a touch can choose; cards and virtual keys would answer at once and be taken without one."""
    somebody = circumstances.asker.can_choose and circumstances.waits.touch_s > 0
    unnamed = circumstances.wanted is None
    return somebody and unnamed and all(found.transport is Transport.USB for found in candidates)


def _touched(candidates: Sequence[Found], circumstances: Circumstances) -> session.Session:
    from keyctl.device import touch

    tell = circumstances.asker.tell
    wait_s = circumstances.waits.touch_s

    def ask() -> None:
        tell(f"more than one key is connected: touch the one you mean ({wait_s:g} s)")

    def leave_out(error: KeyctlError) -> None:
        tell(f"left out: {error.message}")

    return touch.choose_by_touch(
        candidates, lambda found: _connect(found, circumstances), wait_s, ask=ask, leave_out=leave_out
    )
