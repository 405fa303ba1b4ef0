"""What a key keeps of previewSign: for each credential made with it, a seed that dies with the credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyctl.virtual.record import Record

#: How many fit. Those of credentials that are not discoverable stay until a reset: nobody can tell which are in use.
MAX_SIGNING_SEEDS = 128
HANDLE_BYTES = 64
#: What a signature takes: nothing, a touch, or a touch and the PIN. The bits are those of the authenticator data.
POLICIES = (0b000, 0b001, 0b101)
_MAX_CREDENTIAL_ID_BYTES = 255
#: COSE numbers fit in 64 bits.
_LOWEST_ALGORITHM = -(2**63)


@dataclass(frozen=True, kw_only=True)
class SigningSeed:
    """One seed, with its private part."""

    #: The credential that it belongs to.
    credential_id: bytes
    #: Names the seed in assertions.
    handle: bytes
    #: The COSE number that it was asked for by.
    algorithm: int
    #: One of :data:`POLICIES`.
    flags: int
    #: Private keys on P-256, 32 bytes each.
    sk_bl: bytes
    sk_kem: bytes

    def to_json(self) -> dict[str, Any]:
        """A part of the key's file."""
        return {
            "credential_id": self.credential_id.hex(),
            "handle": self.handle.hex(),
            "algorithm": self.algorithm,
            "flags": self.flags,
            "sk_bl": self.sk_bl.hex(),
            "sk_kem": self.sk_kem.hex(),
        }


def signing_seed_from(record: Record) -> SigningSeed:
    """The seed in a part of the key's file.

    Raises:
        StoreError: It makes no sense.
    """
    seed = SigningSeed(
        credential_id=record.octets("credential_id", 1, _MAX_CREDENTIAL_ID_BYTES),
        handle=record.octets("handle", HANDLE_BYTES, HANDLE_BYTES),
        algorithm=record.integer("algorithm", _LOWEST_ALGORITHM, -1),
        flags=record.integer("flags", min(POLICIES), max(POLICIES)),
        sk_bl=record.scalar("sk_bl"),
        sk_kem=record.scalar("sk_kem"),
    )
    record.finish()
    if seed.flags not in POLICIES:
        raise record.bad("has bad flags")
    return seed
