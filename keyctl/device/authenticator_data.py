"""Authenticator data (WebAuthn level 2, section 6.1), which every credential signs; read without believing it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from hashlib import sha256

from keyctl.core import public_keys
from keyctl.core.decoding import decode_first, decode_map
from keyctl.device import errors

#: Longer credential ids are nobody's: WebAuthn level 3 has this limit.
MAX_CREDENTIAL_ID_BYTES = 1023
#: SHA-256 of the RP id, flags, signature counter.
_HEAD = struct.Struct(">32sBI")
#: AAGUID and the length of the credential id.
_ATTESTED_HEAD = struct.Struct(">16sH")


class Flag(IntFlag):
    """What the key says of the ceremony, and of what follows."""

    #: User present: touched.
    UP = 0x01
    #: User verified: by PIN or fingerprint.
    UV = 0x04
    #: Attested credential data follow.
    AT = 0x40
    #: A map of extension outputs follows.
    ED = 0x80


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """Attested credential data."""

    credential_id: bytes
    #: COSE_Key in canonical CBOR.
    public_key: bytes


@dataclass(frozen=True, kw_only=True)
class AuthenticatorData:
    """The parts that keyctl looks at."""

    flags: Flag
    counter: int
    new: NewCredential | None


def read(data: object, rp_id: str, label: str) -> AuthenticatorData:
    """The authenticator data in an answer.

    Args:
        data: What the key sent.
        rp_id: The RP that was asked about.
        label: What messages call the key.

    Raises:
        UnreachableError: It is for another RP, cut, too long, or holds a key of an algorithm that was not asked for
            (``key_nonsense``).
    """
    if not isinstance(data, bytes) or len(data) < _HEAD.size:
        raise errors.nonsense(label, "without authenticator data")
    rp_id_hash, flags, counter = _HEAD.unpack_from(data)
    if rp_id_hash != sha256(rp_id.encode()).digest():
        raise errors.nonsense(label, "for another site than it was asked about")
    rest, new = data[_HEAD.size :], None
    with errors.understanding(label):
        if flags & Flag.AT:
            new, rest = _attested(rest)
        # decode_map takes nothing at all for an empty map.
        if bool(flags & Flag.ED) != bool(rest):
            raise ValueError("extensions that were not announced, or announced and not there")
        decode_map(rest)
    return AuthenticatorData(flags=Flag(flags), counter=counter, new=new)


def _attested(data: bytes) -> tuple[NewCredential, bytes]:
    """Attested credential data (section 6.5.1), and what follows them."""
    _, length = _ATTESTED_HEAD.unpack_from(data)
    rest = data[_ATTESTED_HEAD.size :]
    credential_id, rest = rest[:length], rest[length:]
    if not 0 < len(credential_id) == length <= MAX_CREDENTIAL_ID_BYTES:
        raise ValueError("no credential id")
    parameters, rest = decode_first(rest)
    public_key = public_keys.canonical(parameters) if isinstance(parameters, dict) else None
    if public_key is None:
        raise ValueError("no public key of a known algorithm")
    return NewCredential(credential_id=credential_id, public_key=public_key), rest
