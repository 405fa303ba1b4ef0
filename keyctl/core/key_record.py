"""The record of a pairing as the keys themselves carry it: one CBOR map of a few hundred bytes.

It makes a pairing survive the computer that made it: all that is needed to derive keys, and to have the backup key sign
for them, but neither the evidence nor the list of what was derived. A key without large blobs holds less: the two
points of the seed, in the user id of a credential.

What is read comes from a key, on which whoever had its PIN may have put it.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import arkg, names, p256, seed_cose, times
from keyctl.core.decoding import decode_map
from keyctl.core.pairings import DERIVING, Method, Seed
from keyctl.core.seed_numbers import Numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
#: About as long as a record is; to find out whether there is room for one before it exists.
TYPICAL_BYTES = 480
#: Longer ones are none.
MAX_BYTES = 4096
#: Of a key's name; it is there for people, and where it is cut nothing is lost.
MAX_NAME_BYTES = 32

_VERSION, _PAIRING, _METHOD, _PRIMARY, _BACKUP = 1, 2, 3, 4, 5
_PRIMARY_NAME, _BACKUP_NAME, _CREATED = 6, 7, 8
_PK_BL, _PK_KEM, _SECRET, _HANDLE, _CREDENTIAL, _USER, _ATTESTATION, _NUMBERS, _PAIRED_BY = range(9, 18)

_METHODS = {1: Method.ARKG, 2: Method.SOFTWARE}
_ID_BYTES, _SECRET_BYTES, _USER_BYTES = 8, 32, 32
_ATTESTATION_PATTERN = re.compile(r"[a-z0-9_-]{1,32}")
#: Of the user that carries a seed: version, then how each point is compressed.
_CARRIER = re.compile(r"keyctl-seed 1 ([23])([23])")
_X_BYTES = p256.COORDINATE_BYTES


class NewerRecordError(ValueError):
    """The record is of a version that this keyctl does not know."""


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """A pairing, as far as a key carries it."""

    pairing_id: str
    method: Method
    primary_id: str
    backup_id: str
    #: As the keys were called when they were paired, perhaps cut. Hostile.
    primary_name: str
    backup_name: str
    created_at: str
    #: The computer that made the pairing: a random id, 16 hex digits.
    paired_by: str
    #: Without its evidence.
    seed: Seed = field(repr=False)


@dataclass(frozen=True)
class Carrier:
    """The user of a credential that carries a seed where there are no large blobs."""

    #: Both x coordinates, 64 bytes.
    user_id: bytes
    user_name: str


def encode(record: KeyRecord) -> bytes:
    """The one encoding of *record*: deterministic CBOR (RFC 8949, section 4.2.1)."""
    from fido2 import cbor

    seed = record.seed
    points = seed_cose.read_seed(seed.public_seed)
    content: dict[int, Any] = {
        _VERSION: VERSION,
        _PAIRING: bytes.fromhex(record.pairing_id),
        _METHOD: next(number for number, method in _METHODS.items() if method is record.method),
        _PRIMARY: bytes.fromhex(record.primary_id),
        _BACKUP: bytes.fromhex(record.backup_id),
        _PRIMARY_NAME: _cut(record.primary_name),
        _BACKUP_NAME: _cut(record.backup_name),
        _CREATED: record.created_at,
        _PK_BL: p256.compressed(points.pk_bl),
        _PK_KEM: p256.compressed(points.pk_kem),
        _SECRET: seed.derivation_secret,
        _CREDENTIAL: seed.credential_id,
        _USER: seed.user_id,
        _ATTESTATION: seed.attestation,
        _NUMBERS: list(astuple(seed.numbers)),
        _PAIRED_BY: bytes.fromhex(record.paired_by),
    }
    if seed.key_handle is not None:
        content[_HANDLE] = seed.key_handle
    return cbor.encode(content)


def decode(content: bytes) -> KeyRecord:
    """The record that *content* is.

    Raises:
        NewerRecordError: It is of another version.
        ValueError: It is no record, or something in it makes no sense.
    """
    if len(content) > MAX_BYTES:
        raise ValueError("too long")
    fields_ = decode_map(content)
    version = fields_.get(_VERSION)
    if type(version) is not int:
        raise ValueError("no record of a pairing")
    if version != VERSION:
        raise NewerRecordError(f"a record of version {version}")
    number = fields_.get(_METHOD)
    method = _METHODS.get(number) if type(number) is int else None
    if method not in DERIVING:
        raise ValueError("an unknown method")
    handle = None if method is Method.SOFTWARE else _octets(fields_, _HANDLE)
    created_at = _text(fields_, _CREATED)
    times.parse(created_at)
    return KeyRecord(
        pairing_id=_octets(fields_, _PAIRING, _ID_BYTES).hex(),
        method=method,
        primary_id=_octets(fields_, _PRIMARY, _ID_BYTES).hex(),
        backup_id=_octets(fields_, _BACKUP, _ID_BYTES).hex(),
        primary_name=_name(fields_, _PRIMARY_NAME),
        backup_name=_name(fields_, _BACKUP_NAME),
        created_at=created_at,
        paired_by=_octets(fields_, _PAIRED_BY, _ID_BYTES).hex(),
        seed=Seed(
            public_seed=_public_seed(_octets(fields_, _PK_BL), _octets(fields_, _PK_KEM)),
            numbers=_numbers(fields_),
            derivation_secret=_octets(fields_, _SECRET, _SECRET_BYTES),
            key_handle=handle,
            credential_id=_octets(fields_, _CREDENTIAL),
            user_id=_octets(fields_, _USER, _USER_BYTES),
            attestation=_attestation(fields_),
            evidence=None,
        ),
    )


def digest(content: bytes) -> bytes:
    """SHA-256 of an encoded record, which a key stores beside it where it can."""
    return sha256(content).digest()


def carrier(public_seed: bytes) -> Carrier:
    """The user of a credential that carries a seed, from its COSE_Key.

    Raises:
        ArkgError: It is no seed.
    """
    points = seed_cose.read_seed(public_seed)
    bl, kem = p256.compressed(points.pk_bl), p256.compressed(points.pk_kem)
    return Carrier(user_id=bl[1:] + kem[1:], user_name=f"keyctl-seed 1 {bl[0]}{kem[0]}")


def carried_seed(user_id: bytes | None, user_name: str | None) -> bytes | None:
    """The seed, as COSE_Key, that the user of a credential carries; None: none, or it makes no sense."""
    match = _CARRIER.fullmatch(user_name or "")
    if match is None or user_id is None or len(user_id) != 2 * _X_BYTES:
        return None
    try:
        return _public_seed(bytes([int(match[1])]) + user_id[:_X_BYTES], bytes([int(match[2])]) + user_id[_X_BYTES:])
    except ValueError:
        return None


def _public_seed(bl: bytes, kem: bytes) -> bytes:
    return seed_cose.encode_seed(arkg.SeedPublicKey(p256.uncompressed(bl), p256.uncompressed(kem)))


def _cut(name: str) -> str:
    """As much of *name* as fits, whole characters."""
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _octets(content: Mapping[Any, Any], label: int, length: int | None = None) -> bytes:
    value = content.get(label)
    if not isinstance(value, bytes) or not value or length not in {None, len(value)}:
        raise ValueError("a field is missing, or of another length")
    return value


def _text(content: Mapping[Any, Any], label: int) -> str:
    value = content.get(label)
    if not isinstance(value, str):
        raise ValueError("a field is missing")  # noqa: TRY004  # one kind of error for whatever is wrong
    return value


def _name(content: Mapping[Any, Any], label: int) -> str:
    name = names.composed(_text(content, label))
    if names.fault(name) or len(name) > MAX_NAME_BYTES:
        raise ValueError("a name that no key can have")
    return name


def _attestation(content: Mapping[Any, Any]) -> str:
    attestation = _text(content, _ATTESTATION)
    if not _ATTESTATION_PATTERN.fullmatch(attestation):
        raise ValueError("an attestation of no known form")
    return attestation


def _numbers(content: Mapping[Any, Any]) -> Numbers:
    values = content.get(_NUMBERS)
    kinds = (str, str, int, int, int, int)
    if not isinstance(values, list) or tuple(map(type, values)) != kinds or not values[0] or not values[1]:
        raise ValueError("numbers that make no sense")
    return Numbers(**{each.name: value for each, value in zip(fields(Numbers), values, strict=True)})
