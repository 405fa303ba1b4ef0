"""Credentials that take no room: the id is the private key, encrypted for this key and bound to the RP.

They serve CTAP2 as credentials that are not discoverable, and U2F as key handles; both are bound to a SHA-256: of the
RP id, or the application parameter. A reset replaces the key's secret and thereby ends them all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

# Version, nonce, then encrypted: algorithm, protection, private key, zeros; and the tag.
_VERSION = b"\x01"
_NONCE_BYTES = 12
_ALGORITHM_BYTES = 2
_PROTECTION_BYTES = 1
_PRIVATE_KEY_BYTES = 32
_CONTENT_BYTES = _ALGORITHM_BYTES + _PROTECTION_BYTES + _PRIVATE_KEY_BYTES
_TAG_BYTES = 16
WRAPPED_ID_BYTES = len(_VERSION) + _NONCE_BYTES + _CONTENT_BYTES + _TAG_BYTES
#: As long as the longest that any known key makes; a U2F key handle has room for it too.
LONG_ID_BYTES = 241


@dataclass(frozen=True, kw_only=True)
class WrappedKey:
    """What is inside a wrapped id."""

    #: COSE number.
    algorithm: int
    #: credProtect level, 1 to 3 (CTAP 2.2, section 12.1).
    protection: int
    #: 32 bytes.
    private_key: bytes


def wrap(secret: bytes, key: WrappedKey, rp_id_hash: bytes, *, size: int = WRAPPED_ID_BYTES) -> bytes:
    """An id of *size* bytes (:data:`WRAPPED_ID_BYTES` or :data:`LONG_ID_BYTES`) with *key* inside."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    content = key.algorithm.to_bytes(_ALGORITHM_BYTES, "big", signed=True) + bytes([key.protection]) + key.private_key
    padded = content.ljust(_CONTENT_BYTES + size - WRAPPED_ID_BYTES, b"\0")
    return _VERSION + nonce + AESGCM(secret).encrypt(nonce, padded, _VERSION + rp_id_hash)


def unwrap(secret: bytes, wrapped_id: bytes, rp_id_hash: bytes) -> WrappedKey | None:
    """The key inside *wrapped_id*, or None when this key did not make it for that RP."""
    if len(wrapped_id) not in {WRAPPED_ID_BYTES, LONG_ID_BYTES} or not wrapped_id.startswith(_VERSION):
        return None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, ciphertext = wrapped_id[1 : 1 + _NONCE_BYTES], wrapped_id[1 + _NONCE_BYTES :]
    try:
        content = AESGCM(secret).decrypt(nonce, ciphertext, _VERSION + rp_id_hash)
    except InvalidTag:
        return None
    return WrappedKey(
        algorithm=int.from_bytes(content[:_ALGORITHM_BYTES], "big", signed=True),
        protection=content[_ALGORITHM_BYTES],
        private_key=content[_ALGORITHM_BYTES + _PROTECTION_BYTES : _CONTENT_BYTES],
    )
