"""The arithmetic of the WebAuthn draft extension "recovery" (Yubico, key agreement scheme 0).

A primary key makes public keys that only its backup key can sign for. The draft's README, "Authenticator extension
processing", has the steps; what it leaves out is checked here too: that points are on the curve, and that no number
is out of range. Scalar multiplications are OpenSSL's, see :mod:`keyctl.core.p256`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from keyctl.core import p256

#: The name of the extension.
EXTENSION = "recovery"
#: The only key agreement scheme that the draft defines.
ALG = 0
MAC_BYTES = 16
#: alg || E || MAC.
CREDENTIAL_ID_BYTES = 1 + p256.POINT_BYTES + MAC_BYTES
_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class RecoveryCredential:
    """What a primary key hands out for one site on behalf of one backup key."""

    #: 82 bytes, from which the backup key finds its private key again.
    id: bytes
    #: P, an uncompressed point.
    public_key: bytes


def generate(seed: bytes, e: int, rp_id: str) -> RecoveryCredential | None:
    """Make a recovery credential on behalf of a backup key (action "generate").

    Args:
        seed: S, the backup key's seed public key, an uncompressed point.
        e: The ephemeral private key, drawn anew for every credential.
        rp_id: The site.

    Returns:
        The credential, or None when another *e* has to be drawn.

    Raises:
        ValueError: *seed* is not on the curve, or *e* is not from 1 to N - 1.
    """
    cred_key, mac_key = _keys(p256.ecdh_x(e, seed))
    public_key = public_key_of(cred_key, seed)
    if public_key is None:
        return None
    return RecoveryCredential(id=_credential_id(p256.base_multiple(e), mac_key, rp_id), public_key=public_key)


def recover(s: int, credential_id: bytes, rp_id: str) -> int | None:
    """The private key p of a recovery credential (action "recover").

    Args:
        s: The backup key's own private key.
        credential_id: What the site sent; hostile.
        rp_id: The site.

    Returns:
        p, or None for a credential that is not of this seed and site, or of another scheme.

    Raises:
        ValueError: The credential id is of this scheme, but has no point on the curve where E belongs.
    """
    if not credential_id or credential_id[0] != ALG:
        return None
    ephemeral = credential_id[1 : 1 + p256.POINT_BYTES]
    cred_key, mac_key = _keys(p256.ecdh_x(s, ephemeral))
    if not hmac.compare_digest(_credential_id(ephemeral, mac_key, rp_id), credential_id):
        return None
    return private_key_of(cred_key, s)


def public_key_of(cred_key: int, seed: bytes) -> bytes | None:
    """The public key P = credKey * G + S, or None when credKey is out of range or P is the point at infinity.

    Raises:
        ValueError: *seed* is not on the curve.
    """
    if not p256.on_curve(seed):
        raise ValueError("the seed is not on the curve")
    if not 0 < cred_key < p256.N:
        return None
    try:
        return p256.add(p256.base_multiple(cred_key), seed)
    except ValueError:
        # Both points are good, so their sum is infinity.
        return None


def private_key_of(cred_key: int, s: int) -> int | None:
    """The private key p = credKey + s mod n, or None when credKey is out of range or p is 0."""
    if not 0 < cred_key < p256.N:
        return None
    return (cred_key + s) % p256.N or None


def _keys(ikm_x: bytes) -> tuple[int, bytes]:
    """CredKey, not checked for its range, and macKey."""
    return (
        int.from_bytes(_derived(ikm_x, b"webauthn.recovery.cred_key"), "big"),
        _derived(ikm_x, b"webauthn.recovery.mac_key"),
    )


def _derived(ikm_x: bytes, info: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(ikm_x)


def _credential_id(ephemeral: bytes, mac_key: bytes, rp_id: str) -> bytes:
    head = bytes([ALG]) + ephemeral
    return head + hmac.digest(mac_key, head + sha256(rp_id.encode()).digest(), "sha256")[:MAC_BYTES]
