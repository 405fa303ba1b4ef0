"""The data types of SSH's messages (RFC 4251, section 5), read from hostile bytes and written."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH_BYTES = 4
#: RFC 4251 allows any; no number of a key or signature that keyctl reads is longer (RSA with 16384 bits).
_MAX_MPINT_BYTES = 2049


class WireError(ValueError):
    """Bytes are no message of SSH, or not one that keyctl understands; the text says why and completes "it ..."."""


class Reader:
    """Takes a message apart, from its beginning to its end.

    Args:
        content: All of it; what it says of lengths is believed no further than it goes.
        error: What is raised, made of a text that completes "it ...".
    """

    def __init__(self, content: bytes, error: Callable[[str], ValueError] = WireError) -> None:
        self._content = content
        self._at = 0
        self._error = error

    def take(self, count: int) -> bytes:
        """The next *count* bytes.

        Raises:
            WireError: There are fewer.
        """
        part = self._content[self._at : self._at + count]
        if len(part) < count:
            raise self._error("ends in the middle")
        self._at += count
        return part

    def octet(self) -> int:
        """A byte."""
        return self.take(1)[0]

    def boolean(self) -> bool:
        """A truth value; all but zero is true."""
        return self.octet() != 0

    def uint32(self) -> int:
        """A number of four bytes."""
        return int.from_bytes(self.take(_LENGTH_BYTES), "big")

    def string(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.uint32())

    def text(self) -> str:
        """A string that is to be UTF-8.

        Raises:
            WireError: It is not, or ends early.
        """
        try:
            return self.string().decode()
        except UnicodeDecodeError as error:
            raise self._error("holds something else than text") from error

    def mpint(self) -> int:
        """A number that is not negative, in its only encoding.

        Raises:
            WireError: It is negative, too long, has zeros before it, or ends early.
        """
        octets = self.string()
        if len(octets) > _MAX_MPINT_BYTES:
            raise self._error("holds a number that is too long")
        if octets[:1] >= b"\x80":
            raise self._error("holds a negative number")
        number = int.from_bytes(octets, "big")
        if mpint(number) != len(octets).to_bytes(_LENGTH_BYTES, "big") + octets:
            raise self._error("holds a number with zeros before it")
        return number

    def rest(self) -> bytes:
        """All that is left, perhaps nothing."""
        return self.take(len(self._content) - self._at)

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            WireError: Something is.
        """
        if self._at != len(self._content):
            raise self._error("goes on after its end")


def uint32(number: int) -> bytes:
    """*number* in four bytes."""
    return number.to_bytes(_LENGTH_BYTES, "big")


def string(content: bytes) -> bytes:
    """*content* with its length before it."""
    return uint32(len(content)) + content


def mpint(number: int) -> bytes:
    """A number that is not negative, with as few bytes as there can be."""
    # One bit more than it has, as the first one is the sign; none at all for zero.
    return string(number.to_bytes((number.bit_length() + 8) // 8 if number else 0, "big"))


def fingerprint(key_blob: bytes) -> str:
    """What ``ssh-keygen -l`` shows for a public key: ``SHA256:`` and base64 without padding."""
    return "SHA256:" + base64.b64encode(sha256(key_blob).digest()).decode("ascii").rstrip("=")
