"""What a client sends: canonical CBOR (CTAP 2.2, section 8), decoded strictly, and its parameters with their types.

python-fido2's own decoder is lenient, and sharing it with the client would hide mistakes made on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

if TYPE_CHECKING:
    from collections.abc import Mapping

ERR = CtapError.ERR
#: CTAP 2.2, section 8: maps and arrays are nested at most four deep.
MAX_DEPTH = 4


def decode(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The one value that *data* is, with maps and arrays at most *max_depth* deep.

    Raises:
        CtapError: INVALID_CBOR, because it is cut, too long, nested too deeply or not canonical.
    """
    value, end = _item(data, 0, max_depth)
    if end != len(data):
        raise CtapError(ERR.INVALID_CBOR)
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data):
        raise CtapError(ERR.INVALID_CBOR)
    major, extra = data[at] >> 5, data[at] & 0x1F
    if major == 7:
        # False and true; null, undefined, floats and tags are in no CTAP message.
        if extra not in {20, 21}:
            raise CtapError(ERR.INVALID_CBOR)
        return extra == 21, at + 1
    number, at = _number(data, at + 1, extra)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2 | 3:
            octets = data[at : at + number]
            if len(octets) != number:
                raise CtapError(ERR.INVALID_CBOR)
            return (octets if major == 2 else _text(octets)), at + number
        case 4 | 5 if depth == 0 or number > len(data) - at:
            raise CtapError(ERR.INVALID_CBOR)
        case 4:
            return _array(data, at, depth - 1, number)
        case 5:
            return _map(data, at, depth - 1, number)
    raise CtapError(ERR.INVALID_CBOR)


def _number(data: bytes, at: int, extra: int) -> tuple[int, int]:
    if extra < 24:
        return extra, at
    if extra > 27:
        raise CtapError(ERR.INVALID_CBOR)
    size = 1 << (extra - 24)
    octets = data[at : at + size]
    number = int.from_bytes(octets, "big")
    smallest = 24 if size == 1 else 1 << (size * 4)
    if len(octets) != size or number < smallest:
        raise CtapError(ERR.INVALID_CBOR)
    return number, at + size


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise CtapError(ERR.INVALID_CBOR) from None


def _array(data: bytes, at: int, depth: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _item(data, at, depth)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, depth: int, count: int) -> tuple[dict[Any, Any], int]:
    entries: dict[Any, Any] = {}
    last: tuple[int, int, bytes] | None = None
    for _ in range(count):
        start = at
        key, at = _item(data, at, depth)
        if isinstance(key, bool) or not isinstance(key, int | str | bytes):
            raise CtapError(ERR.INVALID_CBOR)
        encoded = data[start:at]
        order = (encoded[0] >> 5, len(encoded), encoded)
        if last is not None and order <= last:
            raise CtapError(ERR.INVALID_CBOR)
        last = order
        entries[key], at = _item(data, at, depth)
    return entries, at


class Parameters:
    """A decoded map whose entries are taken by their type.

    Every method raises CtapError CBOR_UNEXPECTED_TYPE for another type and INVALID_LENGTH for a length out of bounds;
    the ones that do not return None, MISSING_PARAMETER. Entries that nobody asks for are ignored (CTAP 2.2, section 8).
    """

    def __init__(self, value: Any) -> None:
        """Start on the decoded *value*, which has to be a map."""
        if not isinstance(value, dict):
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        self._entries: Mapping[Any, Any] = value

    @property
    def raw(self) -> Mapping[Any, Any]:
        """The entries as they came."""
        return self._entries

    def has(self, key: int | str) -> bool:
        """Whether there is an entry *key*."""
        return key in self._entries

    def _typed(self, key: int | str, kind: type) -> Any:
        value = self._entries.get(key)
        # Exactly that type: Python takes a bool for an int.
        if value is not None and type(value) is not kind:
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        return value

    def _required(self, key: int | str, kind: type) -> Any:
        value = self._typed(key, kind)
        if value is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        return value

    def optional_octets(self, key: int | str, low: int = 0, high: int | None = None) -> bytes | None:
        """Between *low* and *high* bytes, or None."""
        value: bytes | None = self._typed(key, bytes)
        if value is not None and (len(value) < low or (high is not None and len(value) > high)):
            raise CtapError(ERR.INVALID_LENGTH)
        return value

    def octets(self, key: int | str, low: int = 0, high: int | None = None) -> bytes:
        """Between *low* and *high* bytes."""
        value = self.optional_octets(key, low, high)
        if value is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        return value

    def optional_text(self, key: int | str, low: int = 0) -> str | None:
        """A text of at least *low* characters, or None."""
        value: str | None = self._typed(key, str)
        if value is not None and len(value) < low:
            raise CtapError(ERR.INVALID_LENGTH)
        return value

    def text(self, key: int | str, low: int = 0) -> str:
        """A text of at least *low* characters."""
        value = self.optional_text(key, low)
        if value is None:
            raise CtapError(ERR.MISSING_PARAMETER)
        return value

    def optional_integer(self, key: int | str) -> int | None:
        """A whole number, or None."""
        value: int | None = self._typed(key, int)
        return value

    def integer(self, key: int | str) -> int:
        """A whole number."""
        value: int = self._required(key, int)
        return value

    def flag(self, key: int | str) -> bool | None:
        """True, false or None."""
        value: bool | None = self._typed(key, bool)
        return value

    def optional_map(self, key: int | str) -> Parameters | None:
        """A map, or None."""
        value = self._typed(key, dict)
        return None if value is None else Parameters(value)

    def map(self, key: int | str) -> Parameters:
        """A map."""
        return Parameters(self._required(key, dict))

    def optional_maps(self, key: int | str) -> list[Parameters] | None:
        """An array of maps, or None."""
        value = self._typed(key, list)
        return None if value is None else [Parameters(item) for item in value]

    def maps(self, key: int | str) -> list[Parameters]:
        """An array of maps."""
        return [Parameters(item) for item in self._required(key, list)]

    def integers(self, key: int | str) -> list[int]:
        """An array of whole numbers."""
        value: list[int] = self._required(key, list)
        if not all(type(item) is int for item in value):
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        return value

    def optional_texts(self, key: int | str) -> list[str] | None:
        """An array of texts, or None."""
        value: list[str] | None = self._typed(key, list)
        if value is not None and not all(isinstance(item, str) for item in value):
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        return value


NO_PARAMETERS = Parameters({})
