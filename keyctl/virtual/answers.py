"""What a virtual key sends: canonical CBOR (CTAP 2.2, section 8), unless a quirk wants it otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fido2 import cbor

_ARRAY = 4
_MAP = 5


class CutText(str):
    """A text that a quirk cut inside a character: the bytes left are no UTF-8 and are sent as they are."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        """The bytes, also where a caller wants it strict: lone surrogates stand for them."""
        return super().encode(encoding, "surrogateescape" if errors == "strict" else errors)


class RawCbor(bytes):
    """Bytes sent as they are in place of an encoded value."""

    __slots__ = ()


def encode(answer: Mapping[Any, Any] | None, *, canonical: bool = True) -> bytes:
    """The body of an answer; nothing for None.

    Args:
        answer: What python-fido2 can encode, and :class:`CutText` and :class:`RawCbor`.
        canonical: False turns the order of the entries of every map round.
    """
    if answer is None:
        return b""
    return _encode(answer, turned=not canonical)


def _encode(value: Any, *, turned: bool) -> bytes:
    if isinstance(value, RawCbor):
        return bytes(value)
    if isinstance(value, Mapping):
        entries = [(cbor.encode(key), _encode(item, turned=turned)) for key, item in value.items()]
        entries.sort(key=lambda entry: (entry[0][0], len(entry[0]), entry[0]), reverse=turned)
        return _head(_MAP, len(entries)) + b"".join(key + item for key, item in entries)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _head(_ARRAY, len(value)) + b"".join(_encode(item, turned=turned) for item in value)
    return cbor.encode(value)


def _head(major: int, count: int) -> bytes:
    """The initial bytes of an array or a map: those of a number, with another major type."""
    number = cbor.encode(count)
    return bytes([number[0] | major << 5]) + number[1:]
