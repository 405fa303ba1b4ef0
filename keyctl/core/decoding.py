"""CBOR as keys really send it (CTAP 2.2, section 8): whole and well-formed, but not always canonical or UTF-8.

python-fido2's decoder takes cut strings for short ones, and drops a whole answer over one name that a key has cut in
the middle of a character, so that the passkey could be neither seen nor deleted.
"""

from __future__ import annotations

from typing import Any

#: Deeper than any CTAP answer; far below what Python's own stack takes.
_MAX_DEPTH = 16
_FALSE, _TRUE, _NULL = 20, 21, 22


def decode_map(content: bytes) -> dict[Any, Any]:
    """The one map that *content* is, empty for no content. Bytes of a text that are not UTF-8 become U+FFFD.

    Raises:
        ValueError: It is no map, cut, followed by something, nested too deeply, or has a key twice.
    """
    if not content:
        return {}
    value, end = _item(content, 0, _MAX_DEPTH)
    if end != len(content) or not isinstance(value, dict):
        raise ValueError("no map, or not whole")
    return value


def decode_first(content: bytes) -> tuple[Any, bytes]:
    """The item that *content* begins with, read as :func:`decode_map` does, and what follows it.

    Raises:
        ValueError: There is none, or it is cut, nested too deeply, or has a key twice.
    """
    value, end = _item(content, 0, _MAX_DEPTH)
    return value, content[end:]


def _item(content: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The item that starts at *at*, and where the next one starts."""
    if at >= len(content) or depth == 0:
        raise ValueError("cut, or nested too deeply")
    major, extra = content[at] >> 5, content[at] & 0x1F
    if major == 7:
        if extra not in {_FALSE, _TRUE, _NULL}:
            raise ValueError("a type that is in no answer")
        return {_FALSE: False, _TRUE: True, _NULL: None}[extra], at + 1
    number, at = _number(content, at + 1, extra)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2 | 3:
            end = at + number
            if end > len(content):
                raise ValueError("cut")
            octets = content[at:end]
            return (octets if major == 2 else octets.decode(errors="replace")), end
        case 4:
            return _array(content, at, depth - 1, number)
        case 5:
            return _map(content, at, depth - 1, number)
    raise ValueError("a type that is in no answer")


def _number(content: bytes, at: int, extra: int) -> tuple[int, int]:
    if extra < 24:
        return extra, at
    if extra > 27:
        raise ValueError("a length that is in no answer")
    end = at + (1 << (extra - 24))
    if end > len(content):
        raise ValueError("cut")
    return int.from_bytes(content[at:end], "big"), end


def _array(content: bytes, at: int, depth: int, count: int) -> tuple[list[Any], int]:
    items = []
    # However many are announced: each takes a byte at least, so it ends where the content does.
    for _ in range(count):
        item, at = _item(content, at, depth)
        items.append(item)
    return items, at


def _map(content: bytes, at: int, depth: int, count: int) -> tuple[dict[Any, Any], int]:
    entries: dict[Any, Any] = {}
    for _ in range(count):
        key, at = _item(content, at, depth)
        if isinstance(key, bool) or not isinstance(key, int | str | bytes) or key in entries:
            raise ValueError("a key twice, or of a type that is in no answer")
        entries[key], at = _item(content, at, depth)
    return entries, at
