"""Pairings to and from JSON, as :mod:`keyctl.store.records`."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from keyctl.core import pairings
from keyctl.core.pairings import DerivedKey, Endorsement, Method, Pairing, Seed, StoredRecord
from keyctl.core.seed_numbers import Numbers
from keyctl.store import fields, migrations
from keyctl.store.files import unreadable

if TYPE_CHECKING:
    from keyctl.store.fields import Decode, Fields

# The same as in the modules that calculate with them, whose import would cost every command a part of its start.
DERIVATION_SECRET_BYTES = 32
KEY_HANDLE_BYTES = 81
NONCE_BYTES = 32
POINT_BYTES = 65
USER_ID_BYTES = 32
_TARGET_PATTERN = re.compile(r"(rp|ssh|sign):.+", re.DOTALL)
_ATTESTATION_PATTERN = re.compile(r"[a-z0-9_-]{1,32}")
_GONE_PATTERN = re.compile(rf"{pairings.GONE_PREFIX}{fields.ID_PATTERN.pattern}")


def pairing_from(value: dict[str, Any], source: str) -> Pairing:
    """The pairing that *value* describes, of any released schema; its keys may be unknown.

    Args:
        value: The content of a file.
        source: The file, for messages.

    Raises:
        StoreError: A newer keyctl wrote it, or a field is missing, unknown, not what it has to be, or contradicts
            another one.
    """
    content = migrations.migrated(value, "pairing", source)
    pairing: Pairing = fields.decoded(Pairing, _PAIRING, content, source)
    if fault := pairings.fault(pairing):
        raise unreadable(source, f"is damaged: {fault} contradicts the other fields")
    return pairing


def pairing_to(pairing: Pairing) -> dict[str, Any]:
    """*pairing* as its file holds it, in an order that makes for small differences between two versions."""
    lists = {
        "stored_on": fields.plain(sorted(pairing.stored_on, key=attrgetter("key_id"))),
        "derived": fields.plain(sorted(pairing.derived, key=attrgetter("target"))),
    }
    return {"schema": migrations.newest("pairing"), "kind": "pairing", **fields.plain(pairing), **lists}


def _evidence(value: Any) -> Any:
    # What it is checked with comes along, and is large.
    from keyctl.core.binding import Evidence

    return fields.object_of(Evidence, _EVIDENCE, value)


def _numbers(value: Any) -> Any:
    return fields.object_of(Numbers, _NUMBERS, value)


def seed_from(value: Any) -> Any:
    """The seed that *value*, a part of a record, describes.

    Raises:
        ValueError: A field is missing, unknown or not what it has to be.
    """
    return fields.object_of(Seed, _SEED, value)


def _endorsement(value: Any) -> Any:
    return fields.object_of(Endorsement, _ENDORSEMENT, value)


def _each_once(decode: Decode, name: str) -> Decode:
    """A list in which no two have the same *name*, in its order."""
    own = attrgetter(name)

    def decode_all(value: Any) -> tuple[Any, ...]:
        found = sorted(decode(value), key=own)
        if len(set(map(own, found))) != len(found):
            raise ValueError("twice the same")
        return tuple(found)

    return decode_all


_EVIDENCE: Fields = {"made": fields.octets, "asserted": fields.octets, "nonce": fields.exactly(NONCE_BYTES)}
_NUMBERS: Fields = {
    "draft": fields.some_text,
    "extension": fields.some_text,
    "key_type": fields.number,
    "algorithm": fields.number,
    "signing_algorithm": fields.number,
    "derived_algorithm": fields.number,
}
_SEED: Fields = {
    "public_seed": fields.octets,
    "numbers": _numbers,
    "derivation_secret": fields.exactly(DERIVATION_SECRET_BYTES),
    "key_handle": fields.optional(fields.octets),
    "credential_id": fields.octets,
    "user_id": fields.exactly(USER_ID_BYTES),
    "attestation": fields.matching(_ATTESTATION_PATTERN),
    "evidence": fields.optional(_evidence),
}
_STORED: Fields = {
    "key_id": fields.identity,
    "credential_id": fields.octets,
    # Where a key has no room for blobs, its user id carries the seed.
    "user_id": fields.octets,
    "at": fields.time,
}
_ENDORSEMENT: Fields = {
    "credential_id": fields.octets,
    "auth_data": fields.octets,
    "client_data_hash": fields.exactly(32),
    "signature": fields.octets,
}
_DERIVED: Fields = {
    "target": fields.matching(_TARGET_PATTERN),
    "public_key": fields.exactly(POINT_BYTES),
    "key_handle": fields.exactly(KEY_HANDLE_BYTES),
    "created_at": fields.time,
    "endorsement": fields.optional(_endorsement),
    "handed_over_at": fields.optional(fields.time),
    "replaced_at": fields.optional(fields.time),
}
_PAIRING: Fields = {
    "id": fields.identity,
    "primary_id": fields.identity,
    "backup_id": fields.identity,
    "method": Method,
    "seed": fields.optional(seed_from),
    "recovery_seed": fields.optional(fields.octets),
    "stored_on": _each_once(fields.objects(StoredRecord, _STORED), "key_id"),
    "created_at": fields.time,
    "paired_by": fields.identity,
    "verified_at": fields.optional(fields.time),
    "verified_by": fields.optional(fields.identity),
    "broken_at": fields.optional(fields.time),
    "retired_at": fields.optional(fields.time),
    "derived": _each_once(fields.objects(DerivedKey, _DERIVED), "target"),
    "changed": fields.changes(lambda: _PAIRING, _GONE_PATTERN),
}
