"""The secrets of hmac-secret and hmac-secret-mc: HMACs of a client's salts (CTAP 2.3, sections 12.7 and 12.8).

Every credential has them, whether or not it was made with the extension, as the specification recommends: CredRandom
is derived from the credential's private key, so it takes no room and wrapped ids have it too.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual.key_agreement import chosen_protocol, shared_secret
from keyctl.virtual.requests import Parameters

if TYPE_CHECKING:
    from keyctl.virtual.context import Context
    from keyctl.virtual.pin_protocol import PinProtocol
    from keyctl.virtual.state import Credential

ERR = CtapError.ERR
_SALT_BYTES = 32
_DEFAULT_PROTOCOL = 1

# Inputs.
_KEY_AGREEMENT = 0x01
_SALT_ENC = 0x02
_SALT_AUTH = 0x03
_PROTOCOL = 0x04


@dataclass(frozen=True, kw_only=True)
class Salts:
    """One or two salts, and how to answer them."""

    salts: tuple[bytes, ...]
    protocol: PinProtocol
    #: Shared with the client.
    secret: bytes
    #: Whether a verified user gets another secret, which CTAP 2.1 added.
    by_verification: bool

    def answer(self, credential: Credential, *, verified: bool) -> bytes:
        """The HMACs under *credential*'s secret, encrypted for the client."""
        key = cred_random(credential.private_key, verified=verified and self.by_verification)
        return self.protocol.encrypt(self.secret, b"".join(hmac.digest(key, salt, "sha256") for salt in self.salts))


def cred_random(private_key: bytes, *, verified: bool) -> bytes:
    """CredRandomWithUV or CredRandomWithoutUV of the credential with *private_key*, 32 bytes."""
    return hmac.digest(private_key, b"CredRandomWithUV" if verified else b"CredRandomWithoutUV", "sha256")


def read_salts(context: Context, value: Any) -> Salts:
    """The salts in the input *value*.

    Raises:
        CtapError: PIN_AUTH_INVALID: saltAuth is wrong; INVALID_PARAMETER: there are not one or two salts, or the key
            for key agreement is none; else a parameter is malformed.
    """
    inputs = Parameters(value)
    peer, salt_enc, salt_auth = inputs.map(_KEY_AGREEMENT), inputs.octets(_SALT_ENC), inputs.octets(_SALT_AUTH)
    number = inputs.optional_integer(_PROTOCOL)
    protocol = chosen_protocol(context, _DEFAULT_PROTOCOL if number is None else number)
    secret = shared_secret(context, protocol, peer)
    if not protocol.verify(secret, salt_enc, salt_auth):
        raise CtapError(ERR.PIN_AUTH_INVALID)
    try:
        plain = protocol.decrypt(secret, salt_enc)
    except ValueError:
        plain = b""
    if len(plain) not in {_SALT_BYTES, 2 * _SALT_BYTES}:
        raise CtapError(ERR.INVALID_PARAMETER)
    return Salts(
        salts=tuple(plain[at : at + _SALT_BYTES] for at in range(0, len(plain), _SALT_BYTES)),
        protocol=protocol,
        secret=secret,
        by_verification=context.profile.permissions,
    )
