"""The array of large blobs (CTAP 2.2, sections 6.10.2 to 6.10.4), which all sites and programs share.

It is taken apart into the bytes of its entries and put together from them again: whatever others have put there, in
whatever encoding, stays as it was, byte for byte.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fido2 import cbor

from keyctl.core.decoding import decode_map
from keyctl.device.answers import LARGE_BLOB_KEY_BYTES

#: Of the array's end.
CHECKSUM_BYTES = 16
#: More than any key has, and more than keyctl reads or unpacks.
MAX_BYTES = 1 << 16

# An entry.
_CIPHERTEXT, _NONCE, _SIZE = 1, 2, 3
_NONCE_BYTES = 12
_MAX_SIZE = (1 << 64) - 1
#: Before the size in what is authenticated but not encrypted.
_ASSOCIATED = b"blob"

_ARRAY = 4
#: Deeper than any entry; far below what Python's own stack takes.
_MAX_DEPTH = 32


class ChecksumError(ValueError):
    """What was read is not what was written."""


@dataclass(frozen=True)
class BlobArray:
    """The entries, each in CBOR as it is on the key."""

    entries: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        """As it is written to a key: CBOR and checksum."""
        array = _head(len(self.entries)) + b"".join(self.entries)
        return array + _checksum(array)

    def find(self, key: bytes) -> bytes | None:
        """What is stored under the largeBlobKey *key*; None: nothing.

        Raises:
            ValueError: Something is, but it cannot be unpacked.
        """
        damage: ValueError | None = None
        for entry in self.entries:
            opened = _opened(key, entry)
            if opened is None:
                continue
            try:
                return _unpacked(*opened)
            except ValueError as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    def holds(self, key: bytes) -> bool:
        """Whether an entry is under *key*, readable or not."""
        return any(_opened(key, entry) is not None for entry in self.entries)

    def with_content(self, key: bytes, content: bytes) -> BlobArray:
        """The same with *content* as the only thing under *key*, at the end."""
        return BlobArray((*self.without(key).entries, _sealed(key, content)))

    def bytes_with(self, content_bytes: int) -> int:
        """How many bytes the array has with so many more: as if they could not be compressed."""
        return len(self.with_content(os.urandom(LARGE_BLOB_KEY_BYTES), os.urandom(content_bytes)).content)

    def without(self, key: bytes) -> BlobArray:
        """The same with nothing under *key*."""
        return BlobArray(tuple(entry for entry in self.entries if _opened(key, entry) is None))


def parse(content: bytes) -> BlobArray:
    """The array in *content*, as it is on a key.

    Raises:
        ChecksumError: The checksum is another one.
        ValueError: It is no array, or cannot be told apart into entries.
    """
    array, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if not array or checksum != _checksum(array):
        raise ChecksumError("the checksum is wrong")
    major, count, at = _read_head(array, 0)
    if major != _ARRAY:
        raise ValueError("no array")
    entries = []
    # However many are announced: each takes a byte at least, so it ends where the content does.
    for _ in range(count):
        end = _end(array, at, _MAX_DEPTH)
        entries.append(array[at:end])
        at = end
    if at != len(array):
        raise ValueError("something behind the array")
    return BlobArray(tuple(entries))


def _checksum(array: bytes) -> bytes:
    return sha256(array).digest()[:CHECKSUM_BYTES]


def _sealed(key: bytes, content: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    compressed = deflating.compress(content) + deflating.flush()
    nonce = os.urandom(_NONCE_BYTES)
    ciphertext = AESGCM(key).encrypt(nonce, compressed, _associated(len(content)))
    return cbor.encode({_CIPHERTEXT: ciphertext, _NONCE: nonce, _SIZE: len(content)})


def _opened(key: bytes, entry: bytes) -> tuple[bytes, int] | None:
    """What was compressed, and the size before that; None where *entry* is not under *key*, whatever else it is."""
    try:
        fields = decode_map(entry)
    except ValueError:
        return None
    ciphertext, nonce, size = fields.get(_CIPHERTEXT), fields.get(_NONCE), fields.get(_SIZE)
    if not (isinstance(ciphertext, bytes) and isinstance(nonce, bytes) and len(nonce) == _NONCE_BYTES):
        return None
    if type(size) is not int or not 0 <= size <= _MAX_SIZE:
        return None
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, _associated(size)), size
    except InvalidTag:
        return None


def _unpacked(compressed: bytes, size: int) -> bytes:
    if size > MAX_BYTES:
        raise ValueError("longer than anything that is stored")
    inflating = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        # One more than it should be, and no more than that, whatever it would become.
        content = inflating.decompress(compressed, size + 1)
    except zlib.error as error:
        raise ValueError("cannot be unpacked") from error
    if len(content) != size or not inflating.eof:
        raise ValueError("of another size than it says")
    return content


def _associated(size: int) -> bytes:
    return _ASSOCIATED + size.to_bytes(8, "little")


def _head(count: int) -> bytes:
    """The head of a CBOR array (RFC 8949, section 3.1)."""
    if count < 24:
        return bytes([_ARRAY << 5 | count])
    length = 1 if count < 1 << 8 else 2
    return bytes([_ARRAY << 5 | 23 + length]) + count.to_bytes(length, "big")


def _read_head(content: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument and where the head of the item at *at* ends; lengths that are not told are refused."""
    if at >= len(content):
        raise ValueError("cut")
    major, extra = content[at] >> 5, content[at] & 0x1F
    if extra < 24:
        return major, extra, at + 1
    if extra > 27:
        raise ValueError("an item without its length")
    end = at + 1 + (1 << (extra - 24))
    if end > len(content):
        raise ValueError("cut")
    return major, int.from_bytes(content[at + 1 : end], "big"), end


def _end(content: bytes, at: int, depth: int) -> int:
    """Where the item at *at* ends, of any type, canonical or not."""
    if depth == 0:
        raise ValueError("nested too deeply")
    major, argument, at = _read_head(content, at)
    match major:
        case 2 | 3:
            at += argument
            if at > len(content):
                raise ValueError("cut")
            return at
        case 4 | 5 | 6:
            # A map has two items for each entry, a tag one.
            for _ in range({4: argument, 5: 2 * argument, 6: 1}[major]):
                at = _end(content, at, depth - 1)
            return at
        case _:
            return at
