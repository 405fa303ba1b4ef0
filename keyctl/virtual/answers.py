"""What a virtual key sends: canonical CBOR (CTAP 2.2, section 8), unless a quirk wants it otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fido2 import cbor

_ARRAY = 0x80
_MAP = 0xA0
_SHORT_COUNT = 24


class CutText(str):
    """A text that a quirk cut inside a character: the bytes left are no UTF-8 and are sent as they are."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        """The bytes; *errors* is replaced because the lone surrogates stand for bytes."""
        return super().encode(encoding, "surrogateescape" if errors == "strict" else errors)


class RawCbor(bytes):
    """Bytes sent in place of an encoded map."""

    __slots__ = ()


def encode(answer: Mapping[Any, Any] | None, *, canonical: bool = True) -> bytes:
    """The body of an answer; nothing for None."""
    if answer is None:
        return b""
    return cbor.encode(answer) if canonical else _reversed(answer)


def _reversed(value: Any) -> bytes:
    """Like canonical CBOR, with the entries of every map the wrong way round."""
    if isinstance(value, Mapping):
        entries = sorted(((cbor.encode(key), _reversed(item)) for key, item in value.items()), reverse=True)
        return _head(_MAP, len(entries)) + b"".join(key + item for key, item in entries)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _head(_ARRAY, len(value)) + b"".join(map(_reversed, value))
    return cbor.encode(value)


def _head(major: int, count: int) -> bytes:
    """The first byte of a map or an array; none of a key's answers has 24 entries or more."""
    assert count < _SHORT_COUNT
    return bytes([major | count])
