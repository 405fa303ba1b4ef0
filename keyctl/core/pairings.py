"""Pairings of two keys: their records in the inventory, and what becomes of these, as pure data and functions.

Apart from :mod:`keyctl.core.inventory`, so that who has no pairing does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.binding import Evidence
    from keyctl.core.seed_numbers import Numbers


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

    @property
    def is_replaced(self) -> bool:
        """Whether another key took its place; it may have been handed over again after that."""
        return self.replaced_at is not None and self.replaced_at >= (self.handed_over_at or "")


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
        if self.has_lost_seed:
            return PairingState.BROKEN
        return PairingState.NEVER_VERIFIED if self.verified_at is None else PairingState.VERIFIED

    @property
    def has_lost_seed(self) -> bool:
        """Whether the backup key failed the last drill, or lost its seed after it; also of a retired pairing."""
        return self.broken_at is not None and self.broken_at >= (self.verified_at or "")

    @property
    def seed_hash(self) -> bytes | None:
        """SHA-256 of the seed as the backup key's public half is encoded; None where there is no seed."""
        content = self.recovery_seed if self.seed is None else self.seed.public_seed
        return None if content is None else sha256(content).digest()


#: In :attr:`Pairing.changed`, followed by a key's id: when the copy on that key was deleted or found to be gone.
GONE_PREFIX = "stored_on:"
#: The pairings whose seed is :attr:`Pairing.seed`, from which this computer derives keys.
DERIVING = frozenset({Method.ARKG, Method.SOFTWARE})


def fault(pairing: Pairing) -> str | None:
    """The field that contradicts another one; None: no field does."""
    if pairing.backup_id == pairing.primary_id:
        return "backup_id"
    if (pairing.seed is not None) is not (pairing.method in DERIVING):
        return "seed"
    if pairing.seed is not None and (pairing.seed.key_handle is None) is not (pairing.method is Method.SOFTWARE):
        return "seed.key_handle"
    if (pairing.recovery_seed is not None) is not (pairing.method is Method.WEBAUTHN_DRAFT):
        return "recovery_seed"
    if (pairing.verified_at is None) is not (pairing.verified_by is None):
        return "verified_by"
    if pairing.derived and pairing.seed is None:
        return "derived"
    return None


def with_copy(pairing: Pairing, record: StoredRecord) -> Pairing:
    """*pairing* with a copy on that key, in place of an older one there."""
    others = (one for one in pairing.stored_on if one.key_id != record.key_id)
    return replace(pairing, stored_on=tuple(sorted((*others, record), key=attrgetter("key_id"))))


def without_copy(pairing: Pairing, key_id: str, *, now: str) -> Pairing:
    """*pairing* without the copy on that key; another computer that still knows of one learns that it is gone."""
    left = tuple(one for one in pairing.stored_on if one.key_id != key_id)
    if left == pairing.stored_on:
        return pairing
    return replace(pairing, stored_on=left, changed={**pairing.changed, f"{GONE_PREFIX}{key_id}": now})
