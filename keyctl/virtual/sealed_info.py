"""Members of getInfo that only the holder of the persistent token can read (CTAP 2.3, section 6.4)."""

from __future__ import annotations

import os

from keyctl.virtual.pin_protocol import aes_cbc

_KEY_BYTES = 16
_IV_BYTES = 16
_SALT = bytes(32)


def sealed(token: bytes, member: bytes, value: bytes) -> bytes:
    """*value* (16 bytes) encrypted for the holder of *token*: a fresh IV, then the ciphertext.

    Args:
        token: The persistent token, 32 bytes.
        member: The member's name, which the encryption key is derived for.
        value: What to tell.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=_SALT, info=member).derive(token)
    iv = os.urandom(_IV_BYTES)
    return iv + aes_cbc(key, iv, value, encrypt=True)
