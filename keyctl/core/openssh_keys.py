"""OpenSSH's files of private keys, as far as the key is on a security key (OpenSSH: PROTOCOL.key and PROTOCOL.u2f).

Such a file holds the id of the credential ("key handle") and the public key. With a passphrase the id is encrypted, and
only public key and application can be read without it. Files of other keys are none of our business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import public_keys
from keyctl.core.local_files import LocalFileError, from_base64
from keyctl.core.ssh_wire import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

#: With what every file in this format begins; OpenSSH takes nothing before it.
HEADER = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_TRAILER = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
_ED25519 = "sk-ssh-ed25519@openssh.com"
#: PROTOCOL.u2f, "SSH_SK_*".
_VERIFICATION_REQUIRED = 0x04
_RESIDENT = 0x20
#: CTAP 2.2, section 6.1: what keys return fits into two bytes of length and, in practice, into this.
_MAX_CREDENTIAL_ID_BYTES = 1023
#: ``ssh-keygen -a``, 16 by default. A thousand take seconds; a file must not keep us busy for hours.
_MAX_ROUNDS = 2000
_PLAIN_BLOCK_BYTES = 8
_AES_BLOCK_BYTES = 16
_GCM_TAG_BYTES = 16
_GCM_NONCE_BYTES = 12
_UNEVEN = "is damaged: its private part is not made of whole blocks"


class WrongPassphraseError(LocalFileError):
    """The file is encrypted with another passphrase."""


@dataclass(frozen=True, kw_only=True)
class Handle:
    """What a passphrase hides."""

    credential_id: bytes
    #: Whether every use wants the PIN or a fingerprint.
    verify_required: bool
    #: Whether it is a passkey, which the security key lists too.
    resident: bool
    #: Hostile text, often ``user@host``.
    comment: str


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """How :attr:`SkKey.handle` is encrypted."""

    cipher: str
    kdf: str
    kdf_options: bytes
    #: With the authentication tag, where the cipher has one.
    sealed: bytes


@dataclass(frozen=True, kw_only=True)
class SkKey:
    """A key whose private half is on a security key; exactly one of *handle* and *encryption* is None."""

    #: OpenSSH's name for it.
    type: str
    #: COSE_Key in CBOR.
    public_key: bytes
    #: The RP id, ``ssh:`` unless somebody chose another.
    application: str
    handle: Handle | None
    encryption: Encryption | None


@dataclass(frozen=True)
class _Cipher:
    key_bytes: int
    iv_bytes: int
    decrypt: Callable[[bytes, bytes, bytes], bytes]


def read(content: bytes) -> SkKey | None:
    """The key in a file; None when it is none of a security key, or the file is of another format.

    Raises:
        LocalFileError: The file is damaged.
    """
    if not content.startswith(HEADER):
        return None
    fields = _fields(_unarmoured(content))
    if fields.take(len(_MAGIC)) != _MAGIC:
        raise LocalFileError("is no private key of OpenSSH's format, version 1")
    cipher, kdf, kdf_options = fields.text(), fields.text(), fields.string()
    if fields.uint32() != 1:
        raise LocalFileError("holds more than one key, or none")
    public = _fields(fields.string())
    kind = public.text()
    if kind not in {_ECDSA, _ED25519}:
        return None
    public_key, application = _public_part(kind, public)
    public.finish()
    private = fields.string()
    key = SkKey(type=kind, public_key=public_key, application=application, handle=None, encryption=None)
    if (cipher, kdf) != ("none", "none"):
        sealed = private + fields.rest()
        return replace(key, encryption=Encryption(cipher=cipher, kdf=kdf, kdf_options=kdf_options, sealed=sealed))
    fields.finish()
    if kdf_options:
        raise LocalFileError("is not encrypted, but says how")
    return replace(key, handle=_handle(key, private, _PLAIN_BLOCK_BYTES))


def require_unlockable(key: SkKey) -> None:
    """Refuse, before anybody is asked for a passphrase, what :func:`unlock` cannot decrypt with any.

    Raises:
        LocalFileError: It is encrypted in a way that is not supported.
    """
    if key.encryption is not None:
        _how(key.encryption)


def unlock(key: SkKey, passphrase: str) -> SkKey:
    """*key* with its handle; takes some tenths of a second.

    Raises:
        WrongPassphraseError: It is another passphrase.
        LocalFileError: The file is damaged, or encrypted in a way that is not supported.
    """
    encryption = key.encryption
    if encryption is None:
        return key
    cipher, salt, rounds = _how(encryption)
    if not passphrase:
        raise WrongPassphraseError("has another passphrase")
    import bcrypt

    derived = bcrypt.kdf(
        passphrase.encode(errors="surrogateescape"),
        salt,
        cipher.key_bytes + cipher.iv_bytes,
        rounds,
        # How many is OpenSSH's choice, or its user's.
        ignore_few_rounds=True,
    )
    private = cipher.decrypt(derived[: cipher.key_bytes], derived[cipher.key_bytes :], encryption.sealed)
    return replace(key, handle=_handle(key, private, _AES_BLOCK_BYTES), encryption=None)


def _unarmoured(content: bytes) -> bytes:
    body, trailer, _ = content[len(HEADER) :].partition(_TRAILER)
    if not trailer:
        raise LocalFileError("ends in the middle")
    try:
        return from_base64("".join(body.decode("ascii").split()))
    except UnicodeDecodeError as error:
        raise LocalFileError("is not base64 where it has to be") from error


def _how(encryption: Encryption) -> tuple[_Cipher, bytes, int]:
    """The cipher, and salt and rounds of bcrypt_pbkdf."""
    if encryption.kdf != "bcrypt":
        raise LocalFileError(f"is encrypted with {encryption.kdf!r}, which is not supported")
    cipher = _CIPHERS.get(encryption.cipher)
    if cipher is None:
        raise LocalFileError(f"is encrypted with {encryption.cipher!r}, which is not supported")
    options = _fields(encryption.kdf_options)
    salt, rounds = options.string(), options.uint32()
    options.finish()
    if not salt or not 0 < rounds <= _MAX_ROUNDS:
        raise LocalFileError(f"asks for {rounds} rounds of key derivation with a salt of {len(salt)} bytes")
    return cipher, salt, rounds


def _handle(key: SkKey, private: bytes, block_bytes: int) -> Handle:
    """What the decrypted part holds; *key* as the part that is never encrypted tells it."""
    if len(private) % block_bytes:
        raise LocalFileError(_UNEVEN)
    fields = _fields(private)
    if fields.uint32() != fields.uint32():
        # Equal in every file, so that a wrong passphrase shows.
        raise (
            LocalFileError("is damaged") if key.encryption is None else WrongPassphraseError("has another passphrase")
        )
    kind = fields.text()
    if kind != key.type or _public_part(kind, fields) != (key.public_key, key.application):
        raise LocalFileError("is damaged: its two halves are of different keys")
    flags, credential_id, _reserved = fields.octet(), fields.string(), fields.string()
    comment = fields.string().decode(errors="replace")
    padding = fields.rest()
    if padding != bytes(number & 0xFF for number in range(1, len(padding) + 1)):
        raise LocalFileError("is damaged: its padding is wrong")
    if not 0 < len(credential_id) <= _MAX_CREDENTIAL_ID_BYTES:
        raise LocalFileError(f"holds a key handle of {len(credential_id)} bytes")
    return Handle(
        credential_id=credential_id,
        verify_required=bool(flags & _VERIFICATION_REQUIRED),
        resident=bool(flags & _RESIDENT),
        comment=comment,
    )


def _public_part(kind: str, fields: Reader) -> tuple[bytes, str]:
    """Public key in COSE and application; both halves of a file have them in this form."""
    try:
        if kind == _ECDSA:
            if fields.text() != "nistp256":
                raise LocalFileError("holds a key on an unknown curve")
            public_key = public_keys.es256(fields.string())
        else:
            public_key = public_keys.ed25519(fields.string())
    except LocalFileError:
        raise
    except ValueError as error:
        raise LocalFileError("holds no proper public key") from error
    return public_key, fields.text()


def _fields(content: bytes) -> Reader:
    return Reader(content, lambda why: LocalFileError(f"is damaged: it {why}"))


def _ctr(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor().update(sealed)


def _cbc(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if len(sealed) % _AES_BLOCK_BYTES:
        raise LocalFileError(_UNEVEN)
    return Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(sealed)


def _gcm(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(sealed) < _GCM_TAG_BYTES:
        raise LocalFileError("is damaged: it ends in the middle")
    try:
        return AESGCM(key).decrypt(iv, sealed, None)
    except InvalidTag as error:
        raise WrongPassphraseError("has another passphrase, or is damaged") from error


#: Those of ``ssh -Q cipher`` but for 3des and chacha20, of which nobody's files are unless asked for.
_CIPHERS = {
    "aes128-ctr": _Cipher(16, _AES_BLOCK_BYTES, _ctr),
    "aes192-ctr": _Cipher(24, _AES_BLOCK_BYTES, _ctr),
    "aes256-ctr": _Cipher(32, _AES_BLOCK_BYTES, _ctr),
    "aes128-cbc": _Cipher(16, _AES_BLOCK_BYTES, _cbc),
    "aes192-cbc": _Cipher(24, _AES_BLOCK_BYTES, _cbc),
    "aes256-cbc": _Cipher(32, _AES_BLOCK_BYTES, _cbc),
    "aes128-gcm@openssh.com": _Cipher(16, _GCM_NONCE_BYTES, _gcm),
    "aes256-gcm@openssh.com": _Cipher(32, _GCM_NONCE_BYTES, _gcm),
}
