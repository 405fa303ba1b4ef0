"""Signatures of files and messages by SSH keys (OpenSSH: PROTOCOL.sshsig), which ``ssh-keygen -Y`` and git use."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from keyctl.core.ssh_wire import Reader, WireError, mpint, string, uint32

_MAGIC = b"SSHSIG"
_VERSION = 1
#: Of the hashes that the format allows, the one that ssh-keygen takes unless it is told another.
HASH = "sha512"
_HASHES = frozenset({"sha256", "sha512"})
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
#: As ssh-keygen breaks them.
_LINE_CHARACTERS = 70
#: Ours; names of namespaces are words like ``git`` or ``file``, perhaps with a domain.
_MAX_NAMESPACE_BYTES = 256
_ALGORITHM = b"ecdsa-sha2-nistp256"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is signed in the place of a message."""

    #: What the signature is for, so that one for mail is none for a file. Hostile text.
    namespace: str
    #: Name of the hash.
    hash: str
    #: Of the message.
    digest: bytes

    @property
    def signed_data(self) -> bytes:
        """The bytes that the key signs."""
        parts = (self.namespace.encode(), b"", self.hash.encode(), self.digest)
        return _MAGIC + b"".join(map(string, parts))


def check_namespace(namespace: str) -> None:
    """Refuse what is no namespace.

    Raises:
        WireError: It is empty, too long or not visible text.
    """
    if not namespace or len(namespace.encode(errors="replace")) > _MAX_NAMESPACE_BYTES:
        raise WireError(f"is empty or longer than {_MAX_NAMESPACE_BYTES} bytes")
    if not namespace.isprintable():
        raise WireError("is no visible text")


def is_signed_data(data: bytes) -> bool:
    """Whether *data* is meant to be what :attr:`Message.signed_data` returns."""
    return data.startswith(_MAGIC)


def read_signed_data(data: bytes) -> Message:
    """The message for which *data* is to be signed.

    Raises:
        WireError: It is for none.
    """
    fields = Reader(data)
    if fields.take(len(_MAGIC)) != _MAGIC:
        raise WireError("is no signature of a message")
    namespace, reserved, name, digest = fields.text(), fields.string(), fields.text(), fields.string()
    fields.finish()
    check_namespace(namespace)
    # For what may come; a signature that says more than is understood here is not made.
    if reserved:
        raise WireError("has something where the format has nothing yet")
    if name not in _HASHES or len(digest) != hashlib.new(name).digest_size:
        raise WireError("holds no hash that the format allows")
    return Message(namespace=namespace, hash=name, digest=digest)


def armored(message: Message, key_blob: bytes, signature: bytes) -> str:
    """The file of a signature, with a final newline.

    Args:
        message: What was signed.
        key_blob: The public key.
        signature: As :func:`ecdsa_signature` makes it.
    """
    parts = (key_blob, message.namespace.encode(), b"", message.hash.encode(), signature)
    blob = _MAGIC + uint32(_VERSION) + b"".join(map(string, parts))
    text = base64.b64encode(blob).decode("ascii")
    lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def ecdsa_signature(der: bytes) -> bytes:
    """A signature on P-256 as SSH has it (RFC 5656, section 3.1.2), with its algorithm.

    Args:
        der: The same in DER, from a key whose answer was verified.

    Raises:
        ValueError: It is not DER.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    return string(_ALGORITHM) + string(b"".join(map(mpint, decode_dss_signature(der))))
