"""Files that list what keys are to be derived for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import contexts
from keyctl.core.text import visible
from keyctl.errors import Details, KeyctlError, UsageError

if TYPE_CHECKING:
    from keyctl.core.contexts import Target

MAX_LINES = 10_000
MAX_FILE_BYTES = 4 * 1024 * 1024


def targets_from(content: bytes, source: str) -> tuple[Target, ...]:
    """The targets in a file: one a line, without empty lines and those that begin with ``#``.

    Args:
        content: The whole of it, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call it.

    Raises:
        UsageError: It has too many lines or is no text (``import_unreadable``), or a line is no target.
        UnsupportedError: A line is for encryption.
    """
    try:
        text = content.decode("utf-8-sig") if len(content) <= MAX_FILE_BYTES else None
    except UnicodeDecodeError:
        text = None
    lines = None if text is None else text.splitlines()
    if lines is None or len(lines) > MAX_LINES:
        raise UsageError(
            "import_unreadable",
            f"{visible(source)} is no list of targets: it is too long, or no text in UTF-8",
            f"give one target a line, at most {MAX_LINES}",
            details=Details(file=source),
        )
    targets = []
    for number, line in enumerate(lines, start=1):
        if not (wanted := line.strip()) or wanted.startswith("#"):
            continue
        try:
            targets.append(contexts.parse(wanted))
        except KeyctlError as error:
            message = f"line {number} of {visible(source)}: {error.message}"
            raise type(error)(error.code, message, error.hint, details=Details(file=source)) from error
    return tuple(targets)
