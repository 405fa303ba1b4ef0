"""The fields of a record in JSON: what each has to be, and naming the one that is something else."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

from keyctl.core import times
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    #: Makes a value of JSON one of ours; ValueError or TypeError where it is something else.
    Decode: TypeAlias = Callable[[Any], Any]
    Fields: TypeAlias = Mapping[str, Decode]

ID_PATTERN = re.compile(r"[0-9a-f]{16}")
_MAX_NUMBER = 2**53


class MalformedError(ValueError):
    """What is wrong, and with which field: ``passkeys[3].rp_id`` and ``is missing``."""

    def __init__(self, where: str, what: str) -> None:
        """*where* is the field, *what* goes behind it."""
        super().__init__(where, what)
        self.where = where
        self.what = what


def plain(value: Any) -> Any:
    """*value* in JSON's types; not dataclasses.asdict, which copies everything and is slow."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name: plain(getattr(value, name)) for name in fields}
    # Of mappings there are only those of field names to times.
    return value if value is None or isinstance(value, bool | int | str) else dict(value)


def decoded(kind: type, fields: Fields, content: dict[str, Any], source: str) -> Any:
    """The *kind* that *content* describes.

    Raises:
        StoreError: A field is missing, unknown or not what it has to be; *source* is the file.
    """
    try:
        return object_of(kind, fields, content)
    except MalformedError as error:
        raise unreadable(source, f"is damaged: {error.where} {error.what}") from error


def object_of(kind: type, fields: Fields, value: Any) -> Any:
    """One *kind* out of a JSON object that has exactly *fields*.

    Raises:
        MalformedError: A field is not what it has to be.
        ValueError: It is no object.
    """
    if mapping(value).keys() != fields.keys():
        missing = [name for name in fields if name not in value]
        if missing:
            raise MalformedError(missing[0], "is missing")
        unknown = next(name for name in value if name not in fields)
        raise MalformedError(ascii(unknown), "is no field of it")
    arguments = {}
    name = ""
    try:
        for name, decode in fields.items():
            arguments[name] = decode(value[name])
    except MalformedError as error:
        separator = "" if error.where.startswith("[") else "."
        raise MalformedError(f"{name}{separator}{error.where}", error.what) from error
    except (ValueError, TypeError) as error:
        raise MalformedError(name, "is not what it has to be") from error
    return kind(**arguments)


def object_in(kind: type, fields: Fields, value: dict[str, Any]) -> Any:
    """The same out of one that may have other fields, too.

    Raises:
        MalformedError: A field is not what it has to be.
    """
    return object_of(kind, fields, {name: item for name, item in value.items() if name in fields})


def objects(kind: type, fields: Fields) -> Decode:
    """A list of them."""

    def decode(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError("no list")
        found = []
        try:
            for item in value:
                found.append(object_of(kind, fields, item))  # noqa: PERF401  # its length says which one is wrong
        except MalformedError as error:
            raise MalformedError(f"[{len(found)}].{error.where}", error.what) from error
        except ValueError as error:
            raise MalformedError(f"[{len(found)}]", "is no object") from error
        return tuple(found)

    return decode


def mapping(value: Any) -> dict[str, Any]:
    """Any object."""
    if type(value) is not dict:
        raise ValueError("no object")
    return value


def optional(decode: Decode) -> Decode:
    """That, or null."""
    return lambda value: None if value is None else decode(value)


def text(value: Any) -> str:
    """Any text."""
    if type(value) is not str:
        raise ValueError("no text")
    return value


def some_text(value: Any) -> str:
    """Text that shows something."""
    if not text(value).strip():
        raise ValueError("empty")
    return str(value)


def matching(pattern: re.Pattern[str]) -> Decode:
    """Text that *pattern* fits from end to end."""

    def decode(value: Any) -> str:
        if not pattern.fullmatch(value):
            raise ValueError("another form")
        return str(value)

    return decode


def flag(value: Any) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise ValueError("neither true nor false")
    return value


def number(value: Any) -> int:
    """An integer that every reader of JSON understands (RFC 8259, section 6)."""
    if type(value) is not int or not -_MAX_NUMBER < value < _MAX_NUMBER:
        raise ValueError("no integer")
    return value


def count(value: Any) -> int:
    """Such an integer, not below 0."""
    if number(value) < 0:
        raise ValueError("no count")
    return int(value)


def octets(value: Any) -> bytes:
    """One byte or more."""
    found = bytes.fromhex(value)
    # Python reads capitals and spaces too, which would not be written again as they were.
    if not found or found.hex() != value:
        raise ValueError("no hex digits as they are written here")
    return found


def octets_or_none(value: Any) -> bytes:
    """Any number of bytes: a hostile key may name a user with none."""
    return octets(value) if value != "" else b""


def exactly(length: int) -> Decode:
    """So many bytes."""

    def decode(value: Any) -> bytes:
        found = octets(value)
        if len(found) != length:
            raise ValueError("another length")
        return found

    return decode


def time(value: Any) -> str:
    """A time as :mod:`keyctl.core.times` writes it."""
    times.parse(value)
    return str(value)


def changes(known: Callable[[], Fields], also: re.Pattern[str] | None = None) -> Decode:
    """When fields were changed: their names, of *known* or what *also* fits, and times."""

    def decode(value: Any) -> dict[str, str]:
        for name, moment in mapping(value).items():
            if name not in known() and not (also and also.fullmatch(name)):
                raise MalformedError(ascii(name), "is no field of it")
            time(moment)
        return dict(value)

    return decode


#: A record's random id.
identity = matching(ID_PATTERN)
