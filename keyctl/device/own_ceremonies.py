"""Making keyctl's own discoverable credentials, and having them sign, each with a token fetched for it and a touch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.core import authenticator_data, public_keys
from keyctl.core.decoding import decode_map
from keyctl.core.public_keys import EDDSA, ES256
from keyctl.device import errors
from keyctl.device.answers import large_blob_key_from_ctap
from keyctl.device.assertions import assertion_from_ctap, descriptor, how_many_fit, sendable
from keyctl.device.commands import Ctap
from keyctl.device.enrolling import NAME, USER_ID_BYTES
from keyctl.errors import UnsupportedError
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.device.assertions import Assertion
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.pins import Token
    from keyctl.model import KeyInfo

CRED_PROTECT = "credProtect"
LARGE_BLOB_KEY = "largeBlobKey"


@dataclass(frozen=True, kw_only=True)
class User:
    """Whose credential it is, for the key: a second one of the same user would take the place of the first."""

    #: 1 to 64 bytes.
    id: bytes
    name: str


@dataclass(frozen=True, kw_only=True)
class MadeCredential:
    """A discoverable credential that was just made; nothing it says was verified."""

    credential_id: bytes
    #: COSE_Key in canonical CBOR.
    public_key: bytes
    user_id: bytes
    #: By which its large blob is encrypted, 32 bytes; None: not asked for, or the key did not hand it over.
    large_blob_key: bytes | None = field(repr=False)
    #: Of the extensions, as far as they are signed.
    outputs: Mapping[Any, Any] = field(repr=False)
    #: The whole answer: CBOR without the status byte.
    answer: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OwnAssertion:
    """A signature of one of these credentials, not verified here."""

    assertion: Assertion
    #: Of the extensions; they are part of what is signed.
    outputs: Mapping[Any, Any] = field(repr=False)
    large_blob_key: bytes | None = field(repr=False)
    #: The whole answer: CBOR without the status byte.
    answer: bytes = field(repr=False)


def fresh_user() -> User:
    """One that never was; 32 random bytes."""
    return User(id=os.urandom(USER_ID_BYTES), name=NAME)


def protection(info: KeyInfo, level: int) -> dict[str, Any]:
    """The input for credProtect (CTAP 2.2, section 12.1), where the key has it."""
    return {CRED_PROTECT: level} if CRED_PROTECT in info.extensions else {}


def blob_key(info: KeyInfo) -> dict[str, Any]:
    """The input for largeBlobKey in makeCredential and getAssertion (section 12.3), where the key has it."""
    return {LARGE_BLOB_KEY: True} if LARGE_BLOB_KEY in info.extensions else {}


def make(
    exchange: Exchange,
    pin: KeyPin,
    *,
    user: User,
    client_data_hash: bytes,
    extensions: Mapping[str, Any],
    exclude: Sequence[bytes],
) -> MadeCredential:
    """Make a discoverable credential, with the PIN and a touch.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
        user: Whose; fresh, or one that may take the place of its predecessor.
        client_data_hash: 32 bytes.
        extensions: Their inputs.
        exclude: Ids of which the key must hold none; as many as one message takes, from the first.

    Raises:
        UnsupportedError: There is no room (``key_full``), or the key holds one of *exclude*.
        PinError: The PIN is wrong, blocked or missing.
        CtapError: The key refuses.
        UnreachableError: It is gone or silent, or answers nonsense; it may have made one all the same.
    """
    if pin.info.remaining_passkeys == 0:
        raise errors.error_from_ctap(CtapError(CtapError.ERR.KEY_STORE_FULL), exchange.label)
    token = pin.unlocked(lambda pins, remembered: pins.token_for_making(remembered, OWN_RP_ID))
    parameters: dict[int, Any] = {
        1: client_data_hash,
        2: {"id": OWN_RP_ID, "name": NAME},
        3: {"id": user.id, "name": user.name, "displayName": user.name},
        4: [{"type": "public-key", "alg": number} for number in (ES256, EDDSA)],
        6: extensions,
        7: {"rk": True},
        8: token.authenticate(client_data_hash),
        9: token.protocol.VERSION,
    }
    excluded = sendable(exclude, pin.info.limits)
    excluded = excluded[: how_many_fit(excluded, pin.info.limits, parameters, 5)]
    if excluded:
        parameters[5] = [descriptor(credential_id) for credential_id in excluded]
    try:
        answer = exchange.send_for_bytes(Ctap.MAKE_CREDENTIAL, parameters)
    except CtapError as error:
        if error.code == CtapError.ERR.CREDENTIAL_EXCLUDED:
            raise _excluded(exchange.label) from error
        raise
    finally:
        # However it ended: an answer can be lost.
        pin.note_passkeys_changed()
    return _made(answer, user, exchange.label)


def sign(
    exchange: Exchange,
    credential_id: bytes,
    client_data_hash: bytes,
    extensions: Mapping[str, Any],
    *,
    token: Token | None,
    touch: bool = True,
) -> OwnAssertion:
    """Have one of these credentials sign.

    Args:
        exchange: The key.
        credential_id: Which one.
        client_data_hash: 32 bytes.
        extensions: Their inputs.
        token: Fresh, for signing at keyctl's own RP; None: without the PIN.
        touch: Whether to ask for one.

    Raises:
        CtapError: The key refuses.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    parameters: dict[int, Any] = {
        1: OWN_RP_ID,
        2: client_data_hash,
        3: [descriptor(credential_id)],
        4: extensions,
    }
    if not touch:
        parameters[5] = {"up": False}
    if token is not None:
        parameters |= {6: token.authenticate(client_data_hash), 7: token.protocol.VERSION}
    content = exchange.send_for_bytes(Ctap.GET_ASSERTION, parameters)
    with errors.understanding(exchange.label):
        answer = decode_map(content)
        assertion = assertion_from_ctap(answer, OWN_RP_ID, client_data_hash, [credential_id], exchange.label)
        outputs = authenticator_data.read(assertion.auth_data).extensions
    return OwnAssertion(
        assertion=assertion, outputs=outputs, large_blob_key=large_blob_key_from_ctap(answer, 0x07), answer=content
    )


def token_for_signing(pin: KeyPin) -> Token:
    """A fresh token for :func:`sign`.

    Raises:
        PinError: The PIN is wrong, blocked or missing.
    """
    return pin.unlocked(lambda pins, remembered: pins.token_for_asserting(remembered, OWN_RP_ID))


def _made(content: bytes, user: User, label: str) -> MadeCredential:
    with errors.understanding(label):
        answer = decode_map(content)
        data = authenticator_data.read(answer[0x02])
        if data.attested is None:
            raise errors.nonsense(label, "without the credential that it was to make")
        public_key = public_keys.canonical(data.attested.public_key)
        if public_key is None:
            raise ValueError("no public key of an algorithm that was asked for")
    return MadeCredential(
        credential_id=data.attested.credential_id,
        public_key=public_key,
        user_id=user.id,
        large_blob_key=large_blob_key_from_ctap(answer, 0x05),
        outputs=data.extensions,
        answer=content,
    )


def _excluded(label: str) -> UnsupportedError:
    return UnsupportedError(
        "unsupported",
        f"{label} holds one of the credentials already that it was not to have",
        "nothing was changed; see what is paired with `keyctl pair list`",
        key=label,
    )
