"""A private seed out of two secrets of hmac-secret, and what it signs, on this computer.

For keys that have no ARKG themselves. Whoever runs this holds the private seed for a moment, so it belongs into a
process that does nothing else and ends at once. A derived private key is handed to nobody: together with what anybody
can calculate from its handle's secret it would give away the seed.
"""

from __future__ import annotations

from hashlib import sha256

from keyctl.core import arkg, p256
from keyctl.core.arkg import ArkgError, PrivateSeed

#: What a credential is asked for, 32 bytes each: first the secret for sk_bl, then the one for sk_kem.
SALTS = (sha256(b"keyctl/backup-seed/v1/bl").digest(), sha256(b"keyctl/backup-seed/v1/kem").digest())
DIGEST_BYTES = 32


def private_seed(secrets: tuple[bytes, bytes]) -> PrivateSeed:
    """The seed that a credential's secrets for :data:`SALTS` stand for.

    Raises:
        ArkgError: They are too short, or the same, so that the key looked at no salt.
    """
    ikm_bl, ikm_kem = secrets
    if ikm_bl == ikm_kem:
        raise ArkgError("both secrets are the same")
    return arkg.derive_seed(ikm_bl, ikm_kem)


def check(key_handle: bytes, ctx: bytes, digest: bytes) -> None:
    """Refuse what :func:`sign` would refuse whatever the seed is.

    Raises:
        ArkgError: It is no handle, *ctx* is too long, or *digest* has not 32 bytes.
    """
    if len(key_handle) != arkg.KEY_HANDLE_BYTES or not p256.on_curve(key_handle[-p256.POINT_BYTES :]):
        raise ArkgError("the key handle is none")
    if len(ctx) > arkg.MAX_CTX_BYTES:
        raise ArkgError(f"the context has {len(ctx)} bytes, more than {arkg.MAX_CTX_BYTES}")
    if len(digest) != DIGEST_BYTES:
        raise ArkgError(f"the digest has {len(digest)} bytes, not {DIGEST_BYTES}")


def sign(private: PrivateSeed, key_handle: bytes, ctx: bytes, digest: bytes) -> bytes:
    """Sign as the derived key.

    Args:
        private: The private seed.
        key_handle: Of the derived key, 81 bytes.
        ctx: The context it was derived with.
        digest: SHA-256 of what is to be signed.

    Returns:
        An ECDSA signature in DER that verifies under the derived public key.

    Raises:
        ArkgError: The handle was not made for this seed and *ctx*, or :func:`check` refuses.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    check(key_handle, ctx, digest)
    key = ec.derive_private_key(arkg.derive_private_key(private, key_handle, ctx), ec.SECP256R1())
    algorithm = ec.ECDSA(Prehashed(SHA256()))
    signature = key.sign(digest, algorithm)
    try:
        # A signature that went wrong can give away the private key.
        key.public_key().verify(signature, digest, algorithm)
    except InvalidSignature as error:
        raise ArkgError("the signature does not verify") from error
    return signature
