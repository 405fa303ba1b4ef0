"""Hashing to the numbers modulo the order of P-256 (RFC 9380, section 5, with the suite of section 8.2)."""

from __future__ import annotations

from hashlib import sha256

from keyctl.core import p256

#: L of P256_XMD:SHA-256_SSWU_RO_: 128 bits more than the order has, so that no remainder is likelier than another.
_FIELD_BYTES = 48
_HASH_BYTES = 32
_HASH_BLOCK_BYTES = 64
_MAX_BLOCKS = 255
_MAX_DST_BYTES = 255


def hash_to_scalar(message: bytes, dst: bytes) -> int:
    """``hash_to_field(message, 1)`` of RFC 9380, section 5.2, with p the order of P-256 and m = 1.

    Args:
        message: What is hashed.
        dst: The domain separation tag, at most 255 bytes.

    Returns:
        A number from 0 to the order less 1; it is 0 once in 2**256 times, and callers refuse that.

    Raises:
        ValueError: *dst* is too long.
    """
    return int.from_bytes(expand_message_xmd(message, dst, _FIELD_BYTES), "big") % p256.N


def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes:
    """*length* bytes that look random (RFC 9380, section 5.3.1, with SHA-256).

    Raises:
        ValueError: *dst* has more than 255 bytes, or *length* is more than 255 hashes.
    """
    blocks = -(-length // _HASH_BYTES)
    if len(dst) > _MAX_DST_BYTES or blocks > _MAX_BLOCKS:
        raise ValueError("the domain separation tag or the length asked for is too long")
    dst_prime = dst + bytes([len(dst)])
    first = sha256(bytes(_HASH_BLOCK_BYTES) + message + length.to_bytes(2, "big") + b"\0" + dst_prime).digest()
    mask = int.from_bytes(first, "big")
    block = sha256(first + b"\x01" + dst_prime).digest()
    uniform = block
    for number in range(2, blocks + 1):
        masked = (mask ^ int.from_bytes(block, "big")).to_bytes(_HASH_BYTES, "big")
        block = sha256(masked + bytes([number]) + dst_prime).digest()
        uniform += block
    return uniform[:length]
