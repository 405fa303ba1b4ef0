"""Reading the fields of a JSON object that anybody may have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyctl.core import p256
from keyctl.errors import Details, StoreError
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MAX_SECONDS = 2**53


class Record:
    """One JSON object of a file; each field is asked for once, and :meth:`finish` refuses those nobody asked for.

    All methods raise StoreError ``store_unreadable`` when the field is missing or not what it has to be.
    """

    def __init__(self, path: Path, value: Any, where: str = "") -> None:
        """Start on *value*; *where* names it in messages."""
        self._path = path
        self._where = where
        if not isinstance(value, dict):
            raise self.bad("is no object")
        self._left: dict[str, Any] = dict(value)

    def bad(self, what: str) -> StoreError:
        """The error for a file whose content makes no sense."""
        return unreadable(self._path, f"is damaged: {self._where or 'the file'} {what}")

    def _take(self, name: str) -> Any:
        try:
            return self._left.pop(name)
        except KeyError:
            raise self.bad(f"has no {name}") from None

    def _is_null(self, name: str) -> bool:
        """Whether the field *name* is there and null, which takes it."""
        if name not in self._left or self._left[name] is not None:
            return False
        del self._left[name]
        return True

    def finish(self) -> None:
        """Refuse fields that are not known: rewriting the file would lose them."""
        if self._left:
            raise self.bad("has fields that do not belong there")

    def has(self, name: str) -> bool:
        """Whether there is a field *name* nobody asked for yet."""
        return name in self._left

    def names(self) -> tuple[str, ...]:
        """The fields nobody asked for yet."""
        return tuple(self._left)

    def schema(self, newest: int) -> int:
        """The file's schema number, 1 to *newest*; a higher one raises StoreError ``store_newer``."""
        number = self._take("schema")
        if type(number) is not int or number < 1:
            raise self.bad("has a bad schema")
        if number > newest:
            raise StoreError(
                "store_newer",
                f"{self._path} was written by a newer keyctl",
                "update keyctl",
                details=Details(file=str(self._path)),
            )
        return number

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number between *low* and *high*, both included."""
        value = self._take(name)
        if type(value) is not int or not low <= value <= high:
            raise self.bad(f"has a bad {name}")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """As :meth:`integer`, or None for null."""
        return None if self._is_null(name) else self.integer(name, low, high)

    def seconds(self, name: str) -> float:
        """A number of seconds, exact enough to count with."""
        value = self._take(name)
        # Written so that not-a-number fails too, and before float() meets an integer that it cannot hold.
        if type(value) not in {int, float} or not -_MAX_SECONDS < value < _MAX_SECONDS:
            raise self.bad(f"has a bad {name}")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self.bad(f"has a bad {name}")
        return value

    def text(self, name: str, max_length: int, *, errors: str = "strict") -> str:
        """A text of at most *max_length* characters that encodes as UTF-8 with the handler *errors*."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > max_length:
            raise self.bad(f"has a bad {name}")
        try:
            value.encode("utf-8", errors)
        except UnicodeEncodeError:
            raise self.bad(f"has a bad {name}") from None
        return value

    def optional_text(self, name: str, max_length: int, *, errors: str = "strict") -> str | None:
        """As :meth:`text`, or None for null."""
        return None if self._is_null(name) else self.text(name, max_length, errors=errors)

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of the texts *allowed*."""
        value = self._take(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.bad(f"has a bad {name}")
        return value

    def octets(self, name: str, low: int, high: int) -> bytes:
        """Between *low* and *high* bytes, written in hexadecimal."""
        value = self._take(name)
        try:
            octets = bytes.fromhex(value)
        except (TypeError, ValueError):
            raise self.bad(f"has a bad {name}") from None
        if not low <= len(octets) <= high:
            raise self.bad(f"has a bad {name}")
        return octets

    def optional_octets(self, name: str, low: int, high: int) -> bytes | None:
        """As :meth:`octets`, or None for null."""
        return None if self._is_null(name) else self.octets(name, low, high)

    def scalar(self, name: str) -> bytes:
        """A private key on P-256, 32 bytes."""
        octets = self.octets(name, 32, 32)
        if not 0 < int.from_bytes(octets, "big") < p256.N:
            raise self.bad(f"has a bad {name}")
        return octets

    def optional_scalar(self, name: str) -> bytes | None:
        """As :meth:`scalar`, or None for null."""
        return None if self._is_null(name) else self.scalar(name)

    def texts(self, name: str, max_items: int, max_length: int) -> list[str]:
        """A list of texts."""
        value = self._take(name)
        if (
            not isinstance(value, list)
            or len(value) > max_items
            or not all(isinstance(item, str) and len(item) <= max_length for item in value)
        ):
            raise self.bad(f"has a bad {name}")
        return value

    def record(self, name: str) -> Record:
        """An object inside."""
        return Record(self._path, self._take(name), name)

    def optional_record(self, name: str) -> Record | None:
        """As :meth:`record`, or None for null."""
        value = self._take(name)
        return None if value is None else Record(self._path, value, name)

    def records(self, name: str, max_items: int) -> list[Record]:
        """A list of objects."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > max_items:
            raise self.bad(f"has a bad {name}")
        return [Record(self._path, item, name) for item in value]
