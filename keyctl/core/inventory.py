"""What keyctl remembers of keys, services and pairings: the records of the inventory, as pure data.

Times are RFC 3339 texts in UTC with whole seconds (``2026-01-31T08:00:00Z``), so that they sort as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.pairings import Pairing
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


#: In :attr:`KnownKey.changed` of a lost key: when it was last in use again after an earlier loss or a reset.
FOUND = "found"


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
