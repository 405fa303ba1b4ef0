"""Bytes that commands take in and put out, where others have text."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from keyctl.cli import terminal
from keyctl.core.text import reason_of
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def message(file: str | None) -> Iterator[tuple[BinaryIO, str]]:
    """What is to be signed, and what errors call it; None and ``-``: stdin.

    Raises:
        UsageError: It cannot be opened (``message_unreadable``).
    """
    from keyctl.operations.recovering import message_unreadable

    if file not in {None, "-"}:
        try:
            stream = Path(str(file)).open("rb")  # noqa: SIM115  # what fails while it is read is told elsewhere
        except (OSError, ValueError) as error:
            raise message_unreadable(str(file), reason_of(error)) from error
        with stream:
            yield stream, str(file)
        return
    if sys.stdin is None or sys.stdin.closed:
        raise message_unreadable("stdin", "it is closed")
    if sys.stdin.isatty():
        terminal.say("reading what is to be signed from the terminal; it ends with Ctrl-D at the begin of a line")
    yield sys.stdin.buffer, "stdin"


def check_not_on_terminal() -> None:
    """Refuse to put bytes on a terminal, which would obey them.

    Raises:
        UsageError: stdout is one.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError(
            "usage",
            "the signature is binary, and stdout is the terminal",
            "give --output FILE, or --output - to have it there all the same",
        )


def write(content: bytes) -> None:
    """Write bytes to stdout.

    Raises:
        BrokenPipeError: They did not arrive.
    """
    if sys.stdout is None:
        raise BrokenPipeError
    with terminal.written():
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
