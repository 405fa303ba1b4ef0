"""ARKG-P256: public keys derived from a public seed, private keys from the private one.

As in draft-bradleylundberg-cfrg-arkg-11: sections 2.2 to 2.4 are the three functions, 3.1 to 3.3 what they are made of,
4.1 the instance. Whoever has the public seed derives keys without its owner, and a handle for each; only the owner of
the private seed can turn a handle into the private key.

The scalar multiplications and the key agreement are OpenSSL's, through ``cryptography``; the addition of two points is
:mod:`keyctl.core.p256`'s own, as no library offers it. Numbers are Python's, whose arithmetic does not take constant
time: what adds private numbers belongs into a process that no attacker gets to time.
"""

from __future__ import annotations

import functools
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.core import p256
from keyctl.core.hash_to_field import hash_to_scalar

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

#: Section 2.3.
MAX_CTX_BYTES = 64
#: Section 4.1 asks for 256 bits of entropy; what is shorter cannot have them.
MIN_IKM_BYTES = 32
_TAG_BYTES = 16
#: Section 3.2: a tag, then the ephemeral public key.
KEY_HANDLE_BYTES = _TAG_BYTES + p256.POINT_BYTES

# Names as in the draft, sections 3.1 to 3.3 and 4.1.
_DST_EXT = b"ARKG-P256"
_DST_AUG = b"ARKG-ECDH." + _DST_EXT
_DST_BL_SK = b"ARKG-BL-EC-KG." + _DST_EXT
_DST_KEM_SK = b"ARKG-KEM-ECDH-KG." + _DST_AUG
_DST_TAU = b"ARKG-BL-EC." + _DST_EXT
_INFO_MK = b"ARKG-KEM-HMAC-mac." + _DST_AUG
_INFO_K = b"ARKG-KEM-HMAC-shared." + _DST_AUG
#: RFC 5869, section 2.2: a salt that is not set is as many zeros as the hash has bytes.
_NO_SALT = bytes(32)


class ArkgError(ValueError):
    """A seed, a handle or what it is to be used with makes no sense; the text says what, in lower case."""


@dataclass(frozen=True)
class SeedPublicKey:
    """What a backup key hands over; both points are uncompressed, 65 bytes.

    Raises:
        ArkgError: A point is not on the curve or not in this form, or both are the same. The draft allows a seed that
            is one key (section 3.5), but no key makes such a seed, and its form here could not say so.
    """

    pk_bl: bytes
    pk_kem: bytes

    def __post_init__(self) -> None:
        if not (p256.on_curve(self.pk_bl) and p256.on_curve(self.pk_kem)):
            raise ArkgError("a point of the seed is not an uncompressed point of P-256")
        if self.pk_bl == self.pk_kem:
            raise ArkgError("both points of the seed are the same")


@dataclass(frozen=True)
class PrivateSeed:
    """What never leaves a backup key that has ARKG itself; not shown in messages.

    Raises:
        ArkgError: A number is not from 1 to the order of the curve less 1.
    """

    sk_bl: int = field(repr=False)
    sk_kem: int = field(repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.sk_bl < p256.N and 0 < self.sk_kem < p256.N):
            raise ArkgError("a number of the private seed is out of range")


@dataclass(frozen=True)
class Derived:
    """A derived public key, 65 bytes uncompressed, and the handle that its private key is derived from, 81 bytes."""

    public_key: bytes
    key_handle: bytes


def derive_seed(ikm_bl: bytes, ikm_kem: bytes) -> PrivateSeed:
    """ARKG-Derive-Seed (section 2.2), its private half.

    Args:
        ikm_bl: Secret entropy, 32 bytes or more.
        ikm_kem: The same, independent of it.

    Raises:
        ArkgError: One of them is too short.
    """
    return PrivateSeed(sk_bl=_scalar(ikm_bl, _DST_BL_SK), sk_kem=_scalar(ikm_kem, _DST_KEM_SK))


def public_seed(private: PrivateSeed) -> SeedPublicKey:
    """ARKG-Derive-Seed (section 2.2), the public half of *private*.

    Raises:
        ArkgError: Both its numbers are the same.
    """
    return SeedPublicKey(pk_bl=p256.base_multiple(private.sk_bl), pk_kem=p256.base_multiple(private.sk_kem))


def derive_public_key(seed: SeedPublicKey, ikm: bytes, ctx: bytes) -> Derived:
    """ARKG-Derive-Public-Key (section 2.3); the same arguments give the same key again.

    Args:
        seed: The public seed.
        ikm: Entropy, 32 bytes or more; whoever knows it can link the key to the seed.
        ctx: What the key is for, at most 64 bytes; must be kept, as it is needed to sign.

    Raises:
        ArkgError: *ikm* is too short or *ctx* too long. Once in 2**256 times, that there is no key for this *ikm*.
    """
    ctx_bl, ctx_kem = _contexts(ctx)
    k, key_handle = _encapsulate(seed.pk_kem, ikm, ctx_kem)
    return Derived(public_key=_blind_public_key(seed.pk_bl, _tau(k, ctx_bl)), key_handle=key_handle)


def derive_private_key(private: PrivateSeed, key_handle: bytes, ctx: bytes) -> int:
    """ARKG-Derive-Private-Key (section 2.4).

    Args:
        private: The private seed.
        key_handle: As :func:`derive_public_key` made it; anything else is refused.
        ctx: The one it was made with.

    Returns:
        The private key, from 1 to the order of the curve less 1.

    Raises:
        ArkgError: The handle is not one for this seed and *ctx*, or *ctx* is too long.
    """
    ctx_bl, ctx_kem = _contexts(ctx)
    k = _decapsulate(private.sk_kem, key_handle, ctx_kem)
    return _blind_private_key(private.sk_bl, _tau(k, ctx_bl))


def _contexts(ctx: bytes) -> tuple[bytes, bytes]:
    """ctx_bl and ctx_kem (sections 2.3 and 2.4)."""
    if len(ctx) > MAX_CTX_BYTES:
        raise ArkgError(f"the context has {len(ctx)} bytes, more than {MAX_CTX_BYTES}")
    ctx_prime = bytes([len(ctx)]) + ctx
    return b"ARKG-Derive-Key-BL." + ctx_prime, b"ARKG-Derive-Key-KEM." + ctx_prime


def _encapsulate(pk_kem: bytes, ikm: bytes, ctx: bytes) -> tuple[bytes, bytes]:
    """KEM-Encaps (section 3.2) over Sub-Kem-Encaps (section 3.3): the shared secret, and the handle."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    # One object for both uses: OpenSSL multiplies the base point whenever it is given a private number.
    ephemeral = ec.derive_private_key(_scalar(ikm, _DST_KEM_SK), ec.SECP256R1())
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    mk, k = _keys(ephemeral.exchange(ec.ECDH(), _openssl_key(pk_kem)), ctx)
    return k, _tag(mk, point) + point


@functools.lru_cache(maxsize=1)
def _openssl_key(pk_kem: bytes) -> EllipticCurvePublicKey:
    """A point of a seed for OpenSSL, kept because many keys are derived from one seed; it is public."""
    return p256.public_key(pk_kem)


def _decapsulate(sk_kem: int, key_handle: bytes, ctx: bytes) -> bytes:
    """KEM-Decaps (section 3.2) over Sub-Kem-Decaps (section 3.3): the shared secret."""
    if len(key_handle) != KEY_HANDLE_BYTES:
        raise ArkgError(f"the key handle has {len(key_handle)} bytes, not {KEY_HANDLE_BYTES}")
    tag, point = key_handle[:_TAG_BYTES], key_handle[_TAG_BYTES:]
    if not p256.on_curve(point):
        raise ArkgError("the key handle has no uncompressed point of P-256")
    mk, k = _keys(p256.ecdh_x(sk_kem, point), ctx)
    # The negative of the point has the same x coordinate, and nothing but the tag tells them apart.
    if not hmac.compare_digest(tag, _tag(mk, point)):
        raise ArkgError("the key handle was not made for this seed and context")
    return k


def _keys(k_prime: bytes, ctx: bytes) -> tuple[bytes, bytes]:
    """Mk and k (section 3.2): HKDF (RFC 5869) with SHA-256, of which each is one block."""
    prk = hmac.digest(_NO_SALT, k_prime, "sha256")
    mk = hmac.digest(prk, _INFO_MK + ctx + b"\x01", "sha256")
    return mk, hmac.digest(prk, _INFO_K + ctx + b"\x01", "sha256")


def _tag(mk: bytes, point: bytes) -> bytes:
    return hmac.digest(mk, point, "sha256")[:_TAG_BYTES]


def _scalar(ikm: bytes, dst: bytes) -> int:
    """BL-Derive-Key-Pair or Sub-Kem-Derive-Key-Pair (sections 3.1 and 3.3), the private half."""
    if len(ikm) < MIN_IKM_BYTES:
        raise ArkgError(f"the entropy has {len(ikm)} bytes, less than {MIN_IKM_BYTES}")
    if (scalar := hash_to_scalar(ikm, dst)) == 0:
        raise ArkgError("there is no key for this entropy")
    return scalar


def _tau(k: bytes, ctx_bl: bytes) -> int:
    """BL-PRF (section 3.1)."""
    return hash_to_scalar(k, _DST_TAU + ctx_bl)


def _blind_public_key(pk_bl: bytes, tau: int) -> bytes:
    """BL-Blind-Public-Key (section 3.1)."""
    try:
        # Refuses tau = 0, with which the derived key would be the seed's own.
        return p256.add(pk_bl, p256.base_multiple(tau))
    except ValueError as error:
        raise ArkgError("there is no key for this entropy and context") from error


def _blind_private_key(sk_bl: int, tau: int) -> int:
    """BL-Blind-Private-Key (section 3.1)."""
    sk_tau = (sk_bl + tau) % p256.N
    # With tau = 0 it would be the seed's own.
    if sk_tau == 0 or tau == 0:
        raise ArkgError("there is no private key for this key handle")
    return sk_tau
