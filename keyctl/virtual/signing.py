"""Credential key pairs: ES256 (-7) and EdDSA on Ed25519 (-8), as COSE has them (RFC 9053)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from keyctl.virtual.profiles import EDDSA, ES256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_SCALAR_BYTES = 32
_COORDINATE_BYTES = 32


def new_private_key(algorithm: int) -> bytes:
    """A fresh private key, 32 bytes: the scalar of ES256, or the seed of EdDSA."""
    if algorithm == EDDSA:
        return os.urandom(_SCALAR_BYTES)
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_numbers().private_value.to_bytes(_SCALAR_BYTES, "big")


def public_key(algorithm: int, private_key: bytes) -> dict[int, Any]:
    """The public key as a COSE key."""
    if algorithm == EDDSA:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        public = ed25519.Ed25519PrivateKey.from_private_bytes(private_key).public_key()
        return {1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()}
    numbers = ec_private_key(private_key).public_key().public_numbers()
    return {
        1: 2,
        3: ES256,
        -1: 1,
        -2: numbers.x.to_bytes(_COORDINATE_BYTES, "big"),
        -3: numbers.y.to_bytes(_COORDINATE_BYTES, "big"),
    }


def public_point(private_key: bytes) -> bytes:
    """The public key of ES256 as an uncompressed point, 65 bytes (SEC 1, section 2.3.3)."""
    key = public_key(ES256, private_key)
    return b"\x04" + bytes(key[-2]) + bytes(key[-3])


def sign(algorithm: int, private_key: bytes, message: bytes) -> bytes:
    """The signature as WebAuthn wants it: DER for ES256, 64 bytes for EdDSA."""
    if algorithm == EDDSA:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return ed25519.Ed25519PrivateKey.from_private_bytes(private_key).sign(message)
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    return ec_private_key(private_key).sign(message, ec.ECDSA(SHA256()))


def ec_private_key(private_key: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key with this scalar."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(int.from_bytes(private_key, "big"), ec.SECP256R1())
