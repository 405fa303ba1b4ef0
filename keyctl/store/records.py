"""Keys and services to and from JSON; whoever wrote the JSON, what is not exactly right is refused by name."""

from __future__ import annotations

import re
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from keyctl.core import names, times
from keyctl.core.inventory import (
    Declaration,
    KnownKey,
    Origin,
    RecognitionCredential,
    Recovery,
    Registration,
    SeenPasskey,
    Service,
)
from keyctl.model import KeyState, Protection, Role
from keyctl.store import migrations
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeAlias

    #: Makes a value of JSON one of ours.
    Decode: TypeAlias = Callable[[Any], Any]
    Fields: TypeAlias = Mapping[str, Decode]

ID_PATTERN = re.compile(r"[0-9a-f]{16}")
#: In :attr:`Service.changed`: when a person took back that the service knows this key.
_TAKEN_BACK_PATTERN = re.compile(rf"on:{ID_PATTERN.pattern}")
_MAX_COUNT = 2**53
_AAGUID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _MalformedError(ValueError):
    """What is wrong, and with which field: ``passkeys[3].rp_id`` and ``is missing``."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what


def key_from(value: dict[str, Any], source: str, *, optional: Collection[str] = ()) -> KnownKey:
    """The key that *value* describes, of any released schema.

    Args:
        value: The content of a file.
        source: The file, for messages.
        optional: Fields that may be absent, and are None then.

    Raises:
        StoreError: A newer keyctl wrote it, or a field is missing, unknown or not what it has to be.
    """
    content = migrations.migrated(value, "key", source)
    content = dict.fromkeys(optional) | content
    key: KnownKey = _decoded(KnownKey, _KEY, content, source)
    return key


def service_from(value: dict[str, Any], source: str) -> Service:
    """The service that *value* describes; as :func:`key_from`."""
    service: Service = _decoded(Service, _SERVICE, migrations.migrated(value, "service", source), source)
    return service


def key_to(key: KnownKey) -> dict[str, Any]:
    """*key* as its file holds it, in an order that makes for small differences between two versions."""
    passkeys = sorted(key.passkeys, key=attrgetter("credential_id"))
    registrations = sorted(key.registrations, key=attrgetter("credential_id"))
    lists = {"passkeys": _plain(passkeys), "registrations": _plain(registrations)}
    return {"schema": migrations.newest("key"), "kind": "key", **_plain(key), **lists}


def service_to(service: Service) -> dict[str, Any]:
    """*service* as its file holds it."""
    lists = {
        "on": _plain(sorted(service.on, key=attrgetter("key_id"))),
        "recovery": [method.value for method in Recovery if method in service.recovery],
    }
    return {"schema": migrations.newest("service"), "kind": "service", **_plain(service), **lists}


def _plain(value: Any) -> Any:
    """*value* in JSON's types; not dataclasses.asdict, which copies everything and is slow."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if fields := getattr(value, "__dataclass_fields__", None):
        return {name: _plain(getattr(value, name)) for name in fields}
    # Of mappings there are only those of field names to times.
    return value if value is None or isinstance(value, bool | int | str) else dict(value)


def _decoded(kind: type, fields: Fields, content: dict[str, Any], source: str) -> Any:
    try:
        return _object(kind, fields, content)
    except _MalformedError as error:
        raise unreadable(source, f"is damaged: {error.where} {error.what}") from error


def _object(kind: type, fields: Fields, value: Any) -> Any:
    """One *kind* out of a JSON object that has exactly *fields*."""
    if type(value) is not dict:
        raise ValueError("no object")
    if value.keys() != fields.keys():
        missing = [name for name in fields if name not in value]
        if missing:
            raise _MalformedError(missing[0], "is missing")
        unknown = next(name for name in value if name not in fields)
        raise _MalformedError(ascii(unknown), "is no field of it")
    arguments = {}
    name = ""
    try:
        for name, decode in fields.items():
            arguments[name] = decode(value[name])
    except _MalformedError as error:
        separator = "" if error.where.startswith("[") else "."
        raise _MalformedError(f"{name}{separator}{error.where}", error.what) from error
    except (ValueError, TypeError) as error:
        raise _MalformedError(name, "is not what it has to be") from error
    return kind(**arguments)


def _objects(kind: type, fields: Fields) -> Decode:
    def decode(value: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise ValueError("no list")
        decoded = []
        try:
            for item in value:
                decoded.append(_object(kind, fields, item))  # noqa: PERF401  # its length says which one is wrong
        except _MalformedError as error:
            raise _MalformedError(f"[{len(decoded)}].{error.where}", error.what) from error
        except ValueError as error:
            raise _MalformedError(f"[{len(decoded)}]", "is no object") from error
        return tuple(decoded)

    return decode


def _optional(decode: Decode) -> Decode:
    return lambda value: None if value is None else decode(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("no text")
    return value


def _matching(pattern: re.Pattern[str]) -> Decode:
    def decode(value: Any) -> str:
        if not pattern.fullmatch(value):
            raise ValueError("another form")
        return str(value)

    return decode


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("neither true nor false")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise ValueError("no count")
    return value


def _octets(value: Any) -> bytes:
    """One byte or more."""
    octets = bytes.fromhex(value)
    # Python reads capitals and spaces too, which would not be written again as they were.
    if not octets or octets.hex() != value:
        raise ValueError("no hex digits as they are written here")
    return octets


def _octets_or_none(value: Any) -> bytes:
    """Any number of bytes: a hostile key may name a user with none."""
    return _octets(value) if value != "" else b""


def _hash(value: Any) -> bytes:
    octets = _octets(value)
    if len(octets) != 32:
        raise ValueError("no SHA-256")
    return octets


def _time(value: Any) -> str:
    times.parse(value)
    return str(value)


def _key_name(value: Any) -> str:
    if names.fault(_text(value)):
        raise ValueError("no name")
    return names.composed(value)


def _service_text(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError("empty")
    return str(value)


def _known_state(value: Any) -> KeyState:
    state = KeyState(value)
    if state is KeyState.UNKNOWN:
        raise ValueError("not what an inventory says")
    return state


def _recognition(value: Any) -> Any:
    return _object(RecognitionCredential, _RECOGNITION, value)


def _recovery(value: Any) -> tuple[Recovery, ...]:
    if type(value) is not list:
        raise ValueError("no list")
    given = {Recovery(item) for item in value}
    return tuple(method for method in Recovery if method in given)


_declarations = _objects(Declaration, {"key_id": _matching(ID_PATTERN), "declared_at": _time})


def _on(value: Any) -> tuple[Declaration, ...]:
    """Each key once: where two versions were put together by hand, the newest word counts."""
    newest: dict[str, Declaration] = {}
    for one in sorted(_declarations(value), key=attrgetter("declared_at")):
        newest[one.key_id] = one
    return tuple(sorted(newest.values(), key=attrgetter("key_id")))


def _changed(fields: Callable[[], Fields]) -> Decode:
    def decode(value: Any) -> dict[str, str]:
        if type(value) is not dict:
            raise ValueError("no object")
        known = fields()
        for name, moment in value.items():
            taken_back = known is _SERVICE and _TAKEN_BACK_PATTERN.fullmatch(name)
            if not taken_back and name not in known:
                raise _MalformedError(ascii(name), "is no field of it")
            _time(moment)
        return dict(value)

    return decode


_RECOGNITION: Fields = {
    "credential_id": _octets,
    "public_key": _octets,
    "user_id": _octets,
    "u2f": _flag,
    "enrolled_at": _time,
}
_PASSKEY: Fields = {
    "credential_id": _octets,
    "rp_id": _optional(_text),
    "rp_id_hash": _hash,
    "user_id": _optional(_octets_or_none),
    "user_name": _optional(_text),
    "display_name": _optional(_text),
    "protection": _optional(Protection),
    "seen_at": _time,
    "reset_at": _optional(_time),
}
_REGISTRATION: Fields = {
    "credential_id": _octets,
    "rp_id": _text,
    "account": _optional(_text),
    "origin": Origin,
    "public_key": _optional(_octets),
    "label": _optional(_text),
    "seen_at": _time,
    "reset_at": _optional(_time),
}
_KEY: Fields = {
    "id": _matching(ID_PATTERN),
    "name": _key_name,
    "role": _optional(Role),
    "owner": _optional(_text),
    "location": _optional(_text),
    "note": _optional(_text),
    "state": _known_state,
    "virtual": _flag,
    "aaguid": _optional(_matching(_AAGUID_PATTERN)),
    "model": _optional(_text),
    "serial": _optional(_text),
    "firmware": _optional(_text),
    "added_at": _time,
    "recognition": _recognition,
    "passkeys": _objects(SeenPasskey, _PASSKEY),
    "passkeys_read_at": _optional(_time),
    "passkeys_remaining": _optional(_count),
    "registrations": _objects(Registration, _REGISTRATION),
    "changed": _changed(lambda: _KEY),
}
_SERVICE: Fields = {
    "id": _matching(ID_PATTERN),
    "name": _service_text,
    "rp_id": _service_text,
    "account": _optional(_text),
    "on": _on,
    "recovery": _recovery,
    "added_at": _time,
    "changed": _changed(lambda: _SERVICE),
}
