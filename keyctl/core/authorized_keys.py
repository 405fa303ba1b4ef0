"""Derived keys in an ``authorized_keys`` file (sshd(8)), known by the targets in their comments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import contexts
from keyctl.core.local_files import LocalFileError, from_base64
from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from keyctl.core.contexts import Target

_TYPE = "ecdsa-sha2-nistp256"
#: Of a line; options like ``command="..."`` may be long.
_MAX_LINE_CHARACTERS = 8192


@dataclass(frozen=True)
class Line:
    """A line whose comment is a target."""

    #: Counted from 1.
    number: int
    target: Target
    key_blob: bytes


def lines(content: bytes) -> list[Line]:
    """The lines that may be of derived keys; all others are somebody else's."""
    found = []
    for number, text in enumerate(content.decode("utf-8", "replace").split("\n"), start=1):
        if len(text) > _MAX_LINE_CHARACTERS or _TYPE not in text:
            continue
        # Options before the type may hold anything but, outside of quotes, spaces.
        before, kind, rest = text.partition(f"{_TYPE} ")
        words = rest.split(maxsplit=1)
        if not kind or len(words) != 2 or before.lstrip().startswith("#"):
            continue
        try:
            found.append(Line(number, contexts.parse(words[1].strip()), from_base64(words[0])))
        except (KeyctlError, LocalFileError):
            continue
    return found
