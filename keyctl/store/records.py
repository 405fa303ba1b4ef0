"""Keys and services to and from JSON; whoever wrote the JSON, what is not exactly right is refused by name."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from keyctl.core import names
from keyctl.core.inventory import (
    FOUND,
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
from keyctl.store import fields, migrations

if TYPE_CHECKING:
    from collections.abc import Collection

    from keyctl.store.fields import Fields

#: In :attr:`Service.changed`: when a person took back that the service knows this key.
_TAKEN_BACK_PATTERN = re.compile(rf"on:{fields.ID_PATTERN.pattern}")
_FOUND_PATTERN = re.compile(FOUND)
_AAGUID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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
    key: KnownKey = fields.decoded(KnownKey, _KEY, content, source)
    return key


def service_from(value: dict[str, Any], source: str) -> Service:
    """The service that *value* describes; as :func:`key_from`."""
    service: Service = fields.decoded(Service, _SERVICE, migrations.migrated(value, "service", source), source)
    return service


def key_to(key: KnownKey) -> dict[str, Any]:
    """*key* as its file holds it, in an order that makes for small differences between two versions."""
    passkeys = sorted(key.passkeys, key=attrgetter("credential_id"))
    registrations = sorted(key.registrations, key=attrgetter("credential_id"))
    lists = {"passkeys": fields.plain(passkeys), "registrations": fields.plain(registrations)}
    return {"schema": migrations.newest("key"), "kind": "key", **fields.plain(key), **lists}


def service_to(service: Service) -> dict[str, Any]:
    """*service* as its file holds it."""
    lists = {
        "on": fields.plain(sorted(service.on, key=attrgetter("key_id"))),
        "recovery": [method.value for method in Recovery if method in service.recovery],
    }
    return {"schema": migrations.newest("service"), "kind": "service", **fields.plain(service), **lists}


def _key_name(value: Any) -> str:
    if names.fault(fields.text(value)):
        raise ValueError("no name")
    return names.composed(value)


def _known_state(value: Any) -> KeyState:
    state = KeyState(value)
    if state is KeyState.UNKNOWN:
        raise ValueError("not what an inventory says")
    return state


def _recognition(value: Any) -> Any:
    return fields.object_of(RecognitionCredential, _RECOGNITION, value)


def _recovery(value: Any) -> tuple[Recovery, ...]:
    if type(value) is not list:
        raise ValueError("no list")
    given = {Recovery(item) for item in value}
    return tuple(method for method in Recovery if method in given)


_declarations = fields.objects(Declaration, {"key_id": fields.identity, "declared_at": fields.time})


def _on(value: Any) -> tuple[Declaration, ...]:
    """Each key once: where two versions were put together by hand, the newest word counts."""
    newest: dict[str, Declaration] = {}
    for one in sorted(_declarations(value), key=attrgetter("declared_at")):
        newest[one.key_id] = one
    return tuple(sorted(newest.values(), key=attrgetter("key_id")))


_RECOGNITION: Fields = {
    "credential_id": fields.octets,
    "public_key": fields.octets,
    "user_id": fields.octets,
    "u2f": fields.flag,
    "enrolled_at": fields.time,
}
_PASSKEY: Fields = {
    "credential_id": fields.octets,
    "rp_id": fields.optional(fields.text),
    "rp_id_hash": fields.exactly(32),
    "user_id": fields.optional(fields.octets_or_none),
    "user_name": fields.optional(fields.text),
    "display_name": fields.optional(fields.text),
    "protection": fields.optional(Protection),
    "seen_at": fields.time,
    "reset_at": fields.optional(fields.time),
}
_REGISTRATION: Fields = {
    "credential_id": fields.octets,
    "rp_id": fields.text,
    "account": fields.optional(fields.text),
    "origin": Origin,
    "public_key": fields.optional(fields.octets),
    "label": fields.optional(fields.text),
    "seen_at": fields.time,
    "reset_at": fields.optional(fields.time),
}
_KEY: Fields = {
    "id": fields.identity,
    "name": _key_name,
    "role": fields.optional(Role),
    "owner": fields.optional(fields.text),
    "location": fields.optional(fields.text),
    "note": fields.optional(fields.text),
    "state": _known_state,
    "virtual": fields.flag,
    "aaguid": fields.optional(fields.matching(_AAGUID_PATTERN)),
    "model": fields.optional(fields.text),
    "serial": fields.optional(fields.text),
    "firmware": fields.optional(fields.text),
    "added_at": fields.time,
    "recognition": _recognition,
    "passkeys": fields.objects(SeenPasskey, _PASSKEY),
    "passkeys_read_at": fields.optional(fields.time),
    "passkeys_remaining": fields.optional(fields.count),
    "registrations": fields.objects(Registration, _REGISTRATION),
    "changed": fields.changes(lambda: _KEY, _FOUND_PATTERN),
}
_SERVICE: Fields = {
    "id": fields.identity,
    "name": fields.some_text,
    "rp_id": fields.some_text,
    "account": fields.optional(fields.text),
    "on": _on,
    "recovery": _recovery,
    "added_at": fields.time,
    "changed": fields.changes(lambda: _SERVICE, _TAKEN_BACK_PATTERN),
}
