"""What keyctl remembers of keys, services and pairings: the records of the inventory, as pure data.

Times are RFC 3339 texts in UTC with whole seconds (``2026-01-31T08:00:00Z``), so that they sort as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.binding import Evidence
    from keyctl.core.seed_numbers import Numbers
    from keyctl.errors import StoreError
    from keyctl.model import Protection, Role


class Recovery(StrEnum):
    """How an account is opened without a security key."""

    CODES = "codes"
    TOTP = "totp"
    SMS = "sms"
    EMAIL = "email"
    PLATFORM_PASSKEY = "platform_passkey"
    OTHER_KEY = "other_key"
    SUPPORT = "support"
    #: A person made sure that there is no way.
    NONE = "none"


class Origin(StrEnum):
    """Which files of a computer a registration was found in."""

    SSH = "ssh"
    PAM_U2F = "pam_u2f"
    LUKS = "luks"


class Method(StrEnum):
    """How a backup key stands in for a primary key."""

    #: The backup key makes a seed, and signs with what is derived from it.
    ARKG = "arkg"
    #: The WebAuthn draft extension "recovery": the primary key itself keeps the backup key's seed.
    WEBAUTHN_DRAFT = "webauthn_draft"
    #: The seed comes out of hmac-secret, and this computer holds its private half while it is used.
    SOFTWARE = "software"
    #: No seed: both keys are registered at each site.
    REGISTRATION = "registration"


class PairingState(StrEnum):
    """What a pairing is worth."""

    VERIFIED = "verified"
    NEVER_VERIFIED = "never_verified"
    BROKEN = "broken"
    RETIRED = "retired"


@dataclass(frozen=True, kw_only=True)
class RecognitionCredential:
    """The credential by which a key is known again; nothing on the key lists it."""

    credential_id: bytes
    #: COSE_Key (RFC 9052, section 7) in CBOR.
    public_key: bytes
    #: 32 random bytes, never used again.
    user_id: bytes
    #: Whether it is a U2F registration, whose signatures always want a touch.
    u2f: bool
    enrolled_at: str


@dataclass(frozen=True, kw_only=True)
class SeenPasskey:
    """A passkey as the key last listed it. Every text in it is hostile."""

    credential_id: bytes
    #: As the key told it; some keys cut it.
    rp_id: str | None
    #: SHA-256 of the RP id, 32 bytes: this decides, not the text.
    rp_id_hash: bytes
    user_id: bytes | None
    user_name: str | None
    display_name: str | None
    protection: Protection | None
    seen_at: str
    #: When the key was reset or replaced, which ended this one; None: it is there.
    reset_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A credential that no key can list, found by its id in a file of a computer, and answered by the key."""

    credential_id: bytes
    rp_id: str
    account: str | None
    origin: Origin
    #: COSE_Key in CBOR, where the file holds one.
    public_key: bytes | None
    #: What the file calls it: its name without a path, or the comment of a key.
    label: str | None
    seen_at: str
    reset_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """A key with a name."""

    #: 16 hex digits, random: stays when the name changes.
    id: str
    name: str
    role: Role | None = None
    owner: str | None = None
    location: str | None = None
    note: str | None = None
    #: ACTIVE, LOST or RESET.
    state: KeyState = KeyState.ACTIVE
    virtual: bool
    #: UUID text; None: the key does not tell.
    aaguid: str | None
    model: str | None
    #: Hints, never proof.
    serial: str | None
    firmware: str | None
    added_at: str
    recognition: RecognitionCredential
    passkeys: tuple[SeenPasskey, ...] = ()
    #: When all passkeys were last read; None: never.
    passkeys_read_at: str | None = None
    #: How many more fit, when the key says it.
    passkeys_remaining: int | None = None
    registrations: tuple[Registration, ...] = ()
    #: Field -> when it was last changed by a person or by what happened; absent: when the key was added.
    changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A person's word that a service knows a key."""

    #: :attr:`KnownKey.id`
    key_id: str
    declared_at: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """What no key can tell: an account that a person named, and how else it is opened."""

    #: 16 hex digits, random.
    id: str
    name: str
    rp_id: str
    account: str | None
    on: tuple[Declaration, ...] = ()
    #: In the order of :class:`Recovery`, each once.
    recovery: tuple[Recovery, ...] = ()
    added_at: str
    #: Field -> when it was last changed; absent: when the service was added.
    changed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Seed:
    """The public half of what a backup key made for a pairing; private, as it links the derived keys, but not secret.

    Lengths were looked at, nothing else: whether the points are on the curve, whether the numbers are those that this
    keyctl knows and whether the evidence proves anything is for whoever uses it.
    """

    #: COSE_Key as :func:`keyctl.core.seed_cose.encode_seed` writes it.
    public_seed: bytes
    #: The placeholders it was written with.
    numbers: Numbers
    #: 32 random bytes, drawn for this seed, from which the entropy of each derived key follows.
    derivation_secret: bytes
    #: By which the backup key finds the seed when it signs; None with :attr:`Method.SOFTWARE`, which has none.
    key_handle: bytes | None
    #: Of the credential on the backup key, and its user id, 32 random bytes.
    credential_id: bytes
    user_id: bytes
    #: Who vouches for the seed: the format of its attestation, or ``none``.
    attestation: str
    #: The proof that the backup key holds the seed, to be checked again by anybody; None: nobody has any.
    evidence: Evidence | None


@dataclass(frozen=True, kw_only=True)
class Endorsement:
    """The primary key's signature that a derived key is one of its backup key's."""

    credential_id: bytes
    auth_data: bytes
    #: 32 bytes.
    client_data_hash: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class DerivedKey:
    """A public key made on the backup key's behalf."""

    #: What it is for, as :attr:`keyctl.core.contexts.Target.text`; each once in a pairing.
    target: str
    #: Uncompressed point, 65 bytes.
    public_key: bytes
    #: By which the backup key derives the private key, 81 bytes.
    key_handle: bytes
    created_at: str
    #: None: made from the record alone.
    endorsement: Endorsement | None = None
    #: When a person said that it is installed at its target; None: not yet.
    handed_over_at: str | None = None
    #: When another key took its place there, after the pairing was retired.
    replaced_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredRecord:
    """A copy of the pairing's record on a key."""

    #: :attr:`KnownKey.id`
    key_id: str
    #: Of the credential that carries it.
    credential_id: bytes
    user_id: bytes
    #: When it was written.
    at: str


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """A primary key and the backup key that is to take over."""

    #: 16 hex digits, random.
    id: str
    #: :attr:`KnownKey.id`; the inventory of another computer may hold the pairing before it holds the key.
    primary_id: str
    backup_id: str
    method: Method
    #: With :attr:`Method.ARKG` and :attr:`Method.SOFTWARE`.
    seed: Seed | None = None
    #: With :attr:`Method.WEBAUTHN_DRAFT`: as the backup key exported it, in CBOR.
    recovery_seed: bytes | None = None
    #: By key id, each key once.
    stored_on: tuple[StoredRecord, ...] = ()
    created_at: str
    #: The computer where the pairing was made: a random id, 16 hex digits.
    paired_by: str
    #: The last drill that succeeded, and the computer that saw it.
    verified_at: str | None = None
    verified_by: str | None = None
    #: When a drill last failed, or the backup key lost its seed.
    broken_at: str | None = None
    #: When the backup key was promoted; no key is derived any more.
    retired_at: str | None = None
    #: By target.
    derived: tuple[DerivedKey, ...] = ()
    #: Field -> when it was last changed by a person or by what happened; absent: when its own time says. For keys whose
    #: copy is gone: ``stored_on:`` and the key's id.
    changed: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> PairingState:
        """What it is worth; a drill that succeeded mends what was broken before."""
        if self.retired_at is not None:
            return PairingState.RETIRED
        if self.broken_at is not None and self.broken_at >= (self.verified_at or ""):
            return PairingState.BROKEN
        return PairingState.NEVER_VERIFIED if self.verified_at is None else PairingState.VERIFIED

    @property
    def seed_hash(self) -> bytes | None:
        """SHA-256 of the seed as the backup key's public half is encoded; None where there is no seed."""
        content = self.recovery_seed if self.seed is None else self.seed.public_seed
        return None if content is None else sha256(content).digest()


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All that could be read: keys and services by name, pairings by age."""

    keys: tuple[KnownKey, ...] = ()
    services: tuple[Service, ...] = ()
    pairings: tuple[Pairing, ...] = ()
    #: One for each file that could not be read or understood.
    problems: tuple[StoreError, ...] = ()

    def require_whole(self) -> None:
        """Refuse to go on with less than everything.

        Raises:
            StoreError: The first problem.
        """
        if self.problems:
            raise self.problems[0]

    def key_named(self, name: str) -> KnownKey | None:
        """The key of exactly this name."""
        return next((key for key in self.keys if key.name == name), None)

    def key_with_id(self, key_id: str) -> KnownKey | None:
        """The key with this id."""
        return next((key for key in self.keys if key.id == key_id), None)

    def pairing_with_id(self, pairing_id: str) -> Pairing | None:
        """The pairing with this id."""
        return next((pairing for pairing in self.pairings if pairing.id == pairing_id), None)

    def pairings_of(self, key_id: str) -> tuple[Pairing, ...]:
        """Those in which the key is the primary or the backup."""
        return tuple(pairing for pairing in self.pairings if key_id in {pairing.primary_id, pairing.backup_id})
