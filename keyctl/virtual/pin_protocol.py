"""PIN/UV auth protocols one and two, the authenticator's side (CTAP 2.2, sections 6.5.4, 6.5.6 and 6.5.7).

Written from the specification and not with python-fido2's client side, so that one checks the other.
"""

from __future__ import annotations

import hmac
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

_BLOCK_BYTES = 16
_COORDINATE_BYTES = 32
_SCALAR_BYTES = 32
#: "although this is NOT the algorithm actually used" (CTAP 2.2, section 6.5.6).
_ECDH_ES_HKDF_256 = -25


def new_agreement_key() -> bytes:
    """A fresh private key for key agreement, 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_numbers().private_value.to_bytes(_SCALAR_BYTES, "big")


def public_key(private_key: bytes) -> dict[int, int | bytes]:
    """The COSE key that getPublicKey gives out (CTAP 2.2, section 6.5.6)."""
    numbers = _private(private_key).public_key().public_numbers()
    return {
        1: 2,
        3: _ECDH_ES_HKDF_256,
        -1: 1,
        -2: numbers.x.to_bytes(_COORDINATE_BYTES, "big"),
        -3: numbers.y.to_bytes(_COORDINATE_BYTES, "big"),
    }


class PinProtocol(ABC):
    """One protocol; it keeps nothing."""

    VERSION: ClassVar[int]

    def shared_secret(self, private_key: bytes, peer: Mapping[object, object]) -> bytes:
        """The secret shared with the owner of the COSE key *peer* (decapsulate).

        Raises:
            ValueError: *peer* is no key on P-256.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        x, y = peer.get(-2), peer.get(-3)
        if (peer.get(1), peer.get(3), peer.get(-1)) != (2, _ECDH_ES_HKDF_256, 1):
            raise ValueError("no key for key agreement on P-256")
        if not isinstance(x, bytes) or not isinstance(y, bytes) or len(x) != _COORDINATE_BYTES or len(x) != len(y):
            raise ValueError("no coordinates on P-256")
        point = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        return self._kdf(_private(private_key).exchange(ec.ECDH(), point.public_key()))

    @abstractmethod
    def _kdf(self, z: bytes) -> bytes: ...

    @abstractmethod
    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        """The ciphertext of *plaintext*, which fills whole blocks."""

    @abstractmethod
    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        """The plaintext; ValueError when the length cannot be right."""

    @abstractmethod
    def verify(self, key: bytes, message: bytes, mac: bytes) -> bool:
        """Whether *mac* is right for *message*; *key* is a shared secret or a token."""


class PinProtocolOne(PinProtocol):
    """CTAP 2.2, section 6.5.6."""

    VERSION = 1

    def _kdf(self, z: bytes) -> bytes:
        from hashlib import sha256

        return sha256(z).digest()

    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        """AES-256-CBC with an IV of zeros."""
        return aes_cbc(secret, bytes(_BLOCK_BYTES), plaintext, encrypt=True)

    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        """AES-256-CBC with an IV of zeros."""
        return aes_cbc(secret, bytes(_BLOCK_BYTES), ciphertext, encrypt=False)

    def verify(self, key: bytes, message: bytes, mac: bytes) -> bool:
        """HMAC-SHA-256, the first 16 bytes."""
        return hmac.compare_digest(hmac.digest(key, message, "sha256")[:16], mac)


class PinProtocolTwo(PinProtocol):
    """CTAP 2.2, section 6.5.7: the secret is an HMAC key of 32 bytes and an AES key of 32 bytes."""

    VERSION = 2

    def _kdf(self, z: bytes) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return b"".join(
            HKDF(algorithm=SHA256(), length=32, salt=bytes(32), info=info).derive(z)
            for info in (b"CTAP2 HMAC key", b"CTAP2 AES key")
        )

    def encrypt(self, secret: bytes, plaintext: bytes) -> bytes:
        """AES-256-CBC, a random IV in front."""
        iv = os.urandom(_BLOCK_BYTES)
        return iv + aes_cbc(secret[32:], iv, plaintext, encrypt=True)

    def decrypt(self, secret: bytes, ciphertext: bytes) -> bytes:
        """AES-256-CBC, the IV in front."""
        if len(ciphertext) < _BLOCK_BYTES:
            raise ValueError("no IV")
        return aes_cbc(secret[32:], ciphertext[:_BLOCK_BYTES], ciphertext[_BLOCK_BYTES:], encrypt=False)

    def verify(self, key: bytes, message: bytes, mac: bytes) -> bool:
        """HMAC-SHA-256, all 32 bytes of it."""
        return hmac.compare_digest(hmac.digest(key[:32], message, "sha256"), mac)


PIN_PROTOCOLS: Mapping[int, PinProtocol] = {1: PinProtocolOne(), 2: PinProtocolTwo()}


def _private(private_key: bytes) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(int.from_bytes(private_key, "big"), ec.SECP256R1())


def aes_cbc(key: bytes, iv: bytes, data: bytes, *, encrypt: bool) -> bytes:
    """AES-CBC without padding; ValueError when *data* is no whole number of blocks."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data) + context.finalize()
