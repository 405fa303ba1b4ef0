"""Security keys that open disks: the LUKS2 header, and the tokens that systemd-cryptenroll writes into it.

The header is specified in "LUKS2 On-Disk Format Specification", version 1.1; the tokens by systemd's source
(``cryptenroll-fido2.c``).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from keyctl.core.local_files import LocalFileError, from_base64

#: How much of a volume :func:`header` looks at.
HEADER_BYTES = 512
_MAGIC = b"LUKS\xba\xbe"
_VERSION = 2
_LABEL = slice(24, 72)
_UUID = slice(168, 208)
_UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN_TYPE = "systemd-fido2"  # noqa: S105  # no secret
_DEFAULT_RP_ID = "io.systemd.cryptsetup"
_MAX_CREDENTIAL_ID_BYTES = 1023


@dataclass(frozen=True)
class Header:
    """What the first bytes of a LUKS2 volume say."""

    #: None: it has none, or no proper one.
    uuid: str | None
    #: Hostile text; empty: none.
    label: str


@dataclass(frozen=True, kw_only=True)
class Token:
    """A credential that opens the volume."""

    #: In the header.
    number: str
    credential_id: bytes
    rp_id: str
    pin_required: bool
    touch_required: bool
    #: Whether a fingerprint is wanted.
    verification_required: bool
    #: Numbers of the key slots that it opens.
    keyslots: tuple[str, ...]


@dataclass(frozen=True)
class Tokens:
    """All tokens of security keys."""

    tokens: tuple[Token, ...]
    #: One for each that cannot be used; completes "VOLUME ...".
    broken: tuple[str, ...]


def header(first: bytes) -> Header | None:
    """What *first*, the first :data:`HEADER_BYTES` of a volume or less, says; None: it is no LUKS2 volume."""
    if not first.startswith(_MAGIC + _VERSION.to_bytes(2, "big")):
        return None
    uuid = first[_UUID].rstrip(b"\0").decode("ascii", errors="replace").lower()
    label = first[_LABEL].partition(b"\0")[0].decode(errors="replace")
    return Header(uuid if _UUID_TEXT.fullmatch(uuid) else None, label)


def read(metadata: bytes) -> Tokens:
    """The tokens in the JSON that ``cryptsetup luksDump --dump-json-metadata`` prints.

    Raises:
        LocalFileError: It is not such JSON.
    """
    try:
        document = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise LocalFileError("has metadata that are no JSON") from error
    tokens = document.get("tokens") if isinstance(document, dict) else None
    if not isinstance(tokens, dict):
        raise LocalFileError("has metadata without tokens")
    found: list[Token] = []
    broken: list[str] = []
    for number, token in tokens.items():
        if isinstance(token, dict) and token.get("type") == _TOKEN_TYPE:
            try:
                found.append(_token(number, token))
            except LocalFileError as error:
                broken.append(f"has a token {number!r} that {error}")
    return Tokens(tuple(found), tuple(broken))


def _token(number: str, token: dict[str, Any]) -> Token:
    credential, rp_id = token.get("fido2-credential"), token.get("fido2-rp", _DEFAULT_RP_ID)
    if not isinstance(credential, str) or not isinstance(rp_id, str) or not rp_id:
        raise LocalFileError("names no credential")
    try:
        rp_id.encode()
    except UnicodeEncodeError as error:
        raise LocalFileError("names no proper site") from error
    credential_id = from_base64(credential)
    if not 0 < len(credential_id) <= _MAX_CREDENTIAL_ID_BYTES:
        raise LocalFileError(f"has a credential id of {len(credential_id)} bytes")
    slots = token.get("keyslots")
    return Token(
        number=number,
        credential_id=credential_id,
        rp_id=rp_id,
        # What systemd assumes of tokens that do not say.
        pin_required=token.get("fido2-clientPin-required", True) is not False,
        touch_required=token.get("fido2-up-required", True) is not False,
        verification_required=token.get("fido2-uv-required", False) is True,
        keyslots=tuple(slot for slot in slots if isinstance(slot, str)) if isinstance(slots, list) else (),
    )
