"""What a virtual key remembers: its flash, and the RAM that it loses without power."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyctl.virtual.backup_seeds import BackupSeeds, backup_seeds_from
from keyctl.virtual.configuration import Configuration, configuration_from
from keyctl.virtual.migrations import SCHEMA, migrated
from keyctl.virtual.profiles import EDDSA, ES256, PROFILES
from keyctl.virtual.record import Record
from keyctl.virtual.settings import BOOT_BYTES, MAX_COUNTER
from keyctl.virtual.signing_seeds import MAX_SIGNING_SEEDS, SigningSeed, signing_seed_from

if TYPE_CHECKING:
    from pathlib import Path

SECRET_BYTES = 32
TOKEN_BYTES = 32
IDENTIFIER_BYTES = 16
#: credBlob (CTAP 2.2, section 12.2).
MAX_BLOB_BYTES = 32
LARGE_BLOB_KEY_BYTES = 32
#: An empty array and its checksum (CTAP 2.2, section 6.10).
NO_LARGE_BLOBS = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")
MAX_PIN_RETRIES = 8
MAX_WRONG_IN_A_ROW = 3
_PIN_HASH_BYTES = 16
_PRIVATE_KEY_BYTES = 32
_MAX_TEXT = 4096
_MAX_USER_ID_BYTES = 64
_MAX_CREDENTIAL_ID_BYTES = 255
_MAX_CREDENTIALS = 4096
_MAX_PERMISSIONS = 0xFF
_MAX_LARGE_BLOBS_BYTES = 65536


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One credential, discoverable or not.

    Texts that a quirk cut inside a character hold lone surrogates (the ``surrogateescape`` of the bytes left).
    """

    id: bytes
    rp_id: str
    algorithm: int
    #: 32 bytes: the scalar of ES256, or the seed of EdDSA.
    private_key: bytes
    #: credProtect level, 1 to 3 (CTAP 2.2, section 12.1).
    protection: int = 1
    #: None for a credential that is not discoverable: nothing of its user is kept.
    user_id: bytes | None = None
    user_name: str | None = None
    user_display_name: str | None = None
    rp_name: str | None = None
    #: credBlob.
    blob: bytes | None = None
    #: What encrypts its large blob, 32 bytes.
    large_blob_key: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a key keeps of its PIN."""

    #: LEFT(SHA-256(PIN), 16).
    hash: bytes
    #: Unicode code points.
    length: int


@dataclass(kw_only=True)
class Token:
    """A pinUvAuthToken in use (CTAP 2.2, section 6.5.2.1)."""

    value: bytes
    protocol: int
    permissions: int
    rp_id: str | None
    #: Seconds since 1970.
    issued_at: float
    used: bool = False
    user_verified: bool = True


@dataclass(kw_only=True)
class Ram:
    """What a key forgets when it loses power."""

    #: The power-up it belongs to.
    boot: bytes
    wrong_pins: int = 0
    #: PIN/UV auth protocol -> private key of its key agreement, 32 bytes.
    agreement: dict[int, bytes] = field(default_factory=dict)
    token: Token | None = None
    #: A quirk made it stop after a reset.
    dead: bool = False


@dataclass(kw_only=True)
class State:
    """Everything in the file of one key."""

    profile: str
    #: Wraps the credentials that are not discoverable; a reset replaces it.
    secret: bytes
    #: The signature counter, one for all credentials.
    counter: int = 0
    pin: Pin | None = None
    pin_retries: int = MAX_PIN_RETRIES
    #: Discoverable credentials, oldest first; changed by :meth:`replace_credentials`.
    credentials: tuple[Credential, ...] = ()
    #: Tells this key from others of its kind until it is reset, 16 bytes (CTAP 2.2, section 6.4, encIdentifier).
    identifier: bytes
    #: Another one whenever the discoverable credentials change, 16 bytes (CTAP 2.3, section 6.4, encCredStoreState).
    store_state: bytes
    #: The token of the permission pcmr, once somebody asked for it; a change of the PIN ends it.
    persistent_token: bytes | None = None
    #: The serialized large-blob array.
    large_blobs: bytes = NO_LARGE_BLOBS
    configuration: Configuration = field(default_factory=Configuration)
    #: Those of previewSign, oldest first.
    signing_seeds: tuple[SigningSeed, ...] = ()
    backup_seeds: BackupSeeds = field(default_factory=BackupSeeds)
    ram: Ram

    def replace_credentials(self, credentials: tuple[Credential, ...]) -> None:
        """Keep *credentials* instead, which is another state of the store; seeds of those that go, go with them."""
        gone = {credential.id for credential in self.credentials} - {credential.id for credential in credentials}
        self.signing_seeds = tuple(seed for seed in self.signing_seeds if seed.credential_id not in gone)
        self.credentials = credentials
        self.store_state = os.urandom(IDENTIFIER_BYTES)

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "schema": SCHEMA,
            "profile": self.profile,
            "secret": self.secret.hex(),
            "counter": self.counter,
            "pin": None if self.pin is None else {"hash": self.pin.hash.hex(), "length": self.pin.length},
            "pin_retries": self.pin_retries,
            "credentials": [_credential_to_json(credential) for credential in self.credentials],
            "identifier": self.identifier.hex(),
            "store_state": self.store_state.hex(),
            "persistent_token": None if self.persistent_token is None else self.persistent_token.hex(),
            "large_blobs": self.large_blobs.hex(),
            "configuration": self.configuration.to_json(),
            "signing_seeds": [seed.to_json() for seed in self.signing_seeds],
            "backup_seeds": self.backup_seeds.to_json(),
            "ram": _ram_to_json(self.ram),
        }


def new_state(profile: str, boot: bytes) -> State:
    """The state of a key as it leaves the factory, and after a reset."""
    return State(
        profile=profile,
        secret=os.urandom(SECRET_BYTES),
        identifier=os.urandom(IDENTIFIER_BYTES),
        store_state=os.urandom(IDENTIFIER_BYTES),
        ram=Ram(boot=boot),
    )


def state_from_json(path: Path, value: dict[str, Any]) -> State:
    """The state in the file *path* with the content *value*, which may be of an older keyctl.

    Raises:
        StoreError: It was written by a newer keyctl, or makes no sense.
    """
    record = Record(path, migrated(value, Record(path, value).schema(SCHEMA)))
    record.schema(SCHEMA)
    state = State(
        profile=record.choice("profile", PROFILES),
        secret=record.octets("secret", SECRET_BYTES, SECRET_BYTES),
        counter=record.integer("counter", 0, MAX_COUNTER),
        pin=_pin_from(record.optional_record("pin")),
        pin_retries=record.integer("pin_retries", 0, MAX_PIN_RETRIES),
        credentials=tuple(_credential_from(item) for item in record.records("credentials", _MAX_CREDENTIALS)),
        identifier=record.octets("identifier", IDENTIFIER_BYTES, IDENTIFIER_BYTES),
        store_state=record.octets("store_state", IDENTIFIER_BYTES, IDENTIFIER_BYTES),
        persistent_token=record.optional_octets("persistent_token", TOKEN_BYTES, TOKEN_BYTES),
        large_blobs=record.octets("large_blobs", len(NO_LARGE_BLOBS), _MAX_LARGE_BLOBS_BYTES),
        configuration=configuration_from(record.record("configuration")),
        signing_seeds=tuple(signing_seed_from(item) for item in record.records("signing_seeds", MAX_SIGNING_SEEDS)),
        backup_seeds=backup_seeds_from(record.record("backup_seeds")),
        ram=_ram_from(record.record("ram")),
    )
    record.finish()
    if len({credential.id for credential in state.credentials}) != len(state.credentials):
        raise record.bad("has two credentials with one id")
    return state


def _pin_from(record: Record | None) -> Pin | None:
    if record is None:
        return None
    pin = Pin(hash=record.octets("hash", _PIN_HASH_BYTES, _PIN_HASH_BYTES), length=record.integer("length", 1, 63))
    record.finish()
    return pin


def _credential_to_json(credential: Credential) -> dict[str, Any]:
    return {
        "id": credential.id.hex(),
        "rp_id": credential.rp_id,
        "rp_name": credential.rp_name,
        "algorithm": credential.algorithm,
        "private_key": credential.private_key.hex(),
        "protection": credential.protection,
        "user_id": (credential.user_id or b"").hex(),
        "user_name": credential.user_name,
        "user_display_name": credential.user_display_name,
        "blob": None if credential.blob is None else credential.blob.hex(),
        "large_blob_key": None if credential.large_blob_key is None else credential.large_blob_key.hex(),
    }


def _credential_from(record: Record) -> Credential:
    algorithm = record.integer("algorithm", EDDSA, ES256)
    credential = Credential(
        id=record.octets("id", 1, _MAX_CREDENTIAL_ID_BYTES),
        rp_id=record.text("rp_id", _MAX_TEXT),
        rp_name=record.optional_text("rp_name", _MAX_TEXT, errors="surrogateescape"),
        algorithm=algorithm,
        private_key=_private_key_from(record, algorithm),
        protection=record.integer("protection", 1, 3),
        user_id=record.octets("user_id", 1, _MAX_USER_ID_BYTES),
        user_name=record.optional_text("user_name", _MAX_TEXT, errors="surrogateescape"),
        user_display_name=record.optional_text("user_display_name", _MAX_TEXT, errors="surrogateescape"),
        blob=record.optional_octets("blob", 0, MAX_BLOB_BYTES),
        large_blob_key=record.optional_octets("large_blob_key", LARGE_BLOB_KEY_BYTES, LARGE_BLOB_KEY_BYTES),
    )
    record.finish()
    return credential


def _private_key_from(record: Record, algorithm: int) -> bytes:
    if algorithm == ES256:
        return record.scalar("private_key")
    return record.octets("private_key", _PRIVATE_KEY_BYTES, _PRIVATE_KEY_BYTES)


def _ram_to_json(ram: Ram) -> dict[str, Any]:
    token = ram.token
    return {
        "boot": ram.boot.hex(),
        "wrong_pins": ram.wrong_pins,
        "agreement": {str(protocol): key.hex() for protocol, key in ram.agreement.items()},
        "token": None
        if token is None
        else {
            "value": token.value.hex(),
            "protocol": token.protocol,
            "permissions": token.permissions,
            "rp_id": token.rp_id,
            "issued_at": token.issued_at,
            "used": token.used,
            "user_verified": token.user_verified,
        },
        "dead": ram.dead,
    }


def _ram_from(record: Record) -> Ram:
    ram = Ram(
        boot=record.octets("boot", BOOT_BYTES, BOOT_BYTES),
        wrong_pins=record.integer("wrong_pins", 0, MAX_WRONG_IN_A_ROW),
        agreement=_agreement_from(record.record("agreement")),
        token=_token_from(record.optional_record("token")),
        dead=record.flag("dead"),
    )
    record.finish()
    return ram


def _agreement_from(record: Record) -> dict[int, bytes]:
    keys = {protocol: record.scalar(str(protocol)) for protocol in (1, 2) if record.has(str(protocol))}
    record.finish()
    return keys


def _token_from(record: Record | None) -> Token | None:
    if record is None:
        return None
    token = Token(
        value=record.octets("value", TOKEN_BYTES, TOKEN_BYTES),
        protocol=record.integer("protocol", 1, 2),
        permissions=record.integer("permissions", 0, _MAX_PERMISSIONS),
        rp_id=record.optional_text("rp_id", _MAX_TEXT),
        issued_at=record.seconds("issued_at"),
        used=record.flag("used"),
        user_verified=record.flag("user_verified"),
    )
    record.finish()
    return token
