"""Making the credential by which a key is known again: it takes no slot, and no web page can ask for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.core import public_keys
from keyctl.core.public_keys import EDDSA, ES256
from keyctl.device import authenticator_data, errors
from keyctl.device.assertions import HASH_BYTES, Assertions, descriptor, how_many_fit, sendable
from keyctl.device.commands import Ctap
from keyctl.errors import NotFoundError
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.assertions import Assertion
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.pins import Token
    from keyctl.model import KeyInfo

USER_ID_BYTES = 32
#: Shown by keys with a display, and in listings.
NAME = "keyctl"


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """A recognition credential that was just made, and has answered."""

    credential_id: bytes
    #: COSE_Key in canonical CBOR.
    public_key: bytes
    #: 32 random bytes.
    user_id: bytes
    #: Whether it is a U2F registration, whose signatures always want a touch.
    u2f: bool
    #: The signature counter of now; 0 for U2F, which does not tell it without a touch.
    counter: int


def wants_pin(info: KeyInfo) -> bool:
    """Whether a key makes such a credential only with its PIN (CTAP 2.2, section 6.4, makeCredUvNotRqd)."""
    without = info.options.get("makeCredUvNotRqd", False) and not info.options.get("alwaysUv", False)
    return info.pin_set and not without


def enrol(exchange: Exchange, pin: KeyPin, exclude: Sequence[bytes]) -> Enrolment:
    """Make a credential that is not discoverable, with a touch, and see that it answers.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
        exclude: Ids of which the key must hold none; as many as one message takes, from the first.

    Raises:
        NotFoundError: The key holds one of *exclude* (``key_known``).
        PinError: It wants its PIN, or that is wrong, blocked or missing.
        CtapError: The key refuses.
        UnreachableError: It is gone or silent, or what it made does not answer (``key_nonsense``).
    """
    token = None
    if wants_pin(pin.info):
        token = pin.unlocked(lambda pins, remembered: pins.token_for_making(remembered, OWN_RP_ID))
    try:
        made = _make(exchange, pin.info, exclude, token)
    except CtapError as error:
        if error.code == CtapError.ERR.PUAT_REQUIRED:
            pin.note_needed_for_making()
        raise
    found = _answer_of(made, Assertions(exchange, pin), verified=token is not None)
    if found is None:
        raise errors.nonsense(exchange.label, "nothing under the credential that it just made")
    if not public_keys.verifies(made.public_key, found.signed, found.signature):
        raise errors.nonsense(exchange.label, "with a signature that the key it just made did not sign")
    return replace(made, counter=found.counter)


def _answer_of(made: Enrolment, assertions: Assertions, *, verified: bool) -> Assertion | None:
    """What the new credential signs: as later runs will ask, or with the PIN where that is what the key wants."""
    try:
        return next(assertions.silent(OWN_RP_ID, [made.credential_id]), None)
    except CtapError as error:
        if error.code != CtapError.ERR.PUAT_REQUIRED or not verified:
            raise
    return next(assertions.silent(OWN_RP_ID, [made.credential_id], verified=True), None)


def _make(exchange: Exchange, info: KeyInfo, exclude: Sequence[bytes], token: Token | None) -> Enrolment:
    """AuthenticatorMakeCredential (CTAP 2.2, section 6.1); the counter is that of the making."""
    client_data_hash, user_id = os.urandom(HASH_BYTES), os.urandom(USER_ID_BYTES)
    parameters: dict[int, Any] = {
        1: client_data_hash,
        2: {"id": OWN_RP_ID, "name": NAME},
        3: {"id": user_id, "name": NAME, "displayName": NAME},
        4: [{"type": "public-key", "alg": number} for number in (ES256, EDDSA)],
    }
    if "rk" in info.options:
        parameters[7] = {"rk": False}
    if token is not None:
        parameters |= {8: token.authenticate(client_data_hash), 9: token.protocol.VERSION}
    excluded = sendable(exclude, info.limits)
    excluded = excluded[: how_many_fit(excluded, info.limits, parameters, 5)]
    if excluded:
        parameters[5] = [descriptor(credential_id) for credential_id in excluded]
    try:
        answer = exchange.send(Ctap.MAKE_CREDENTIAL, parameters)
    except CtapError as error:
        if error.code == CtapError.ERR.CREDENTIAL_EXCLUDED:
            raise known(exchange.label) from error
        raise
    data = authenticator_data.read(answer.get(0x02), OWN_RP_ID, exchange.label)
    if data.new is None:
        raise errors.nonsense(exchange.label, "without the credential that it was to make")
    return Enrolment(
        credential_id=data.new.credential_id,
        public_key=data.new.public_key,
        user_id=user_id,
        u2f=False,
        counter=data.counter,
    )


def known(label: str) -> NotFoundError:
    """The key *label* holds a recognition credential that is on file."""
    return NotFoundError("key_known", f"{label} is known already", "see under which name with `keyctl list`", key=label)
