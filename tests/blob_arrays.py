"""Large-blob arrays as keys keep them, whatever is in them."""

from __future__ import annotations

from hashlib import sha256


def summed(array: bytes) -> bytes:
    """With its checksum."""
    return array + sha256(array).digest()[:16]
