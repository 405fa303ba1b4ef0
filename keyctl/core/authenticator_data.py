"""Authenticator data (WebAuthn level 3, section 6.1) with all its parts, read strictly and believed in nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any

from keyctl.core.decoding import decode_first, decode_map

if TYPE_CHECKING:
    from collections.abc import Mapping

#: WebAuthn level 3, section 5.8.3.
MAX_CREDENTIAL_ID_BYTES = 1023
#: SHA-256 of the RP id, flags, signature counter.
_HEAD = struct.Struct(">32sBI")
#: AAGUID and the length of the credential id.
_ATTESTED_HEAD = struct.Struct(">16sH")


class Flag(IntFlag):
    """What a key says of the ceremony, and of what follows."""

    #: User present: touched.
    UP = 0x01
    #: User verified: by PIN or fingerprint.
    UV = 0x04
    #: Attested credential data follow.
    AT = 0x40
    #: A map of extension outputs follows.
    ED = 0x80


@dataclass(frozen=True, kw_only=True)
class Attested:
    """Attested credential data (section 6.5.1)."""

    aaguid: bytes
    credential_id: bytes
    #: A decoded COSE_Key of any kind.
    public_key: Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class AuthenticatorData:
    """All parts of it."""

    rp_id_hash: bytes
    #: One byte, with bits that :class:`Flag` does not name.
    flags: int
    counter: int
    attested: Attested | None
    #: Extension outputs; empty where there are none.
    extensions: Mapping[Any, Any]
    #: How many bytes at the end they are.
    extension_bytes: int

    def has(self, flags: Flag) -> bool:
        """Whether all of *flags* are set."""
        return self.flags & flags == flags


def read(content: bytes) -> AuthenticatorData:
    """The parts of *content*.

    Raises:
        ValueError: It is cut, goes on after its end, or a part of it makes no sense.
    """
    if len(content) < _HEAD.size:
        raise ValueError("authenticator data that are cut")
    rp_id_hash, flags, counter = _HEAD.unpack_from(content)
    rest, attested = content[_HEAD.size :], None
    if flags & Flag.AT:
        attested, rest = _attested(rest)
    # decode_map takes nothing at all for an empty map.
    if bool(flags & Flag.ED) != bool(rest):
        raise ValueError("extensions that were not announced, or announced and not there")
    return AuthenticatorData(
        rp_id_hash=rp_id_hash,
        flags=flags,
        counter=counter,
        attested=attested,
        extensions=decode_map(rest),
        extension_bytes=len(rest),
    )


def _attested(content: bytes) -> tuple[Attested, bytes]:
    """Attested credential data, and what follows them."""
    if len(content) < _ATTESTED_HEAD.size:
        raise ValueError("attested credential data that are cut")
    aaguid, length = _ATTESTED_HEAD.unpack_from(content)
    rest = content[_ATTESTED_HEAD.size :]
    credential_id, rest = rest[:length], rest[length:]
    if not 0 < len(credential_id) == length <= MAX_CREDENTIAL_ID_BYTES:
        raise ValueError("no credential id")
    public_key, rest = decode_first(rest)
    if not isinstance(public_key, dict):
        raise ValueError("no public key")  # noqa: TRY004  # of hostile bytes, not of an argument
    return Attested(aaguid=aaguid, credential_id=credential_id, public_key=public_key), rest
