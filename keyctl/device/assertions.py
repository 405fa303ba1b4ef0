"""Assertions (CTAP 2.2, section 6.2): which of many credentials are on a key, and signatures that prove it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core.authenticator_data import MAX_CREDENTIAL_ID_BYTES, Flag
from keyctl.device import authenticator_data, errors
from keyctl.device.commands import Ctap
from keyctl.device.exchange import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.pins import Token
    from keyctl.model import Limits

_ERR = CtapError.ERR
#: The message is more than the key takes, or one of its ids spoils it: fewer at a time find out.
_TOO_MUCH = {_ERR.REQUEST_TOO_LARGE, _ERR.LIMIT_EXCEEDED, _ERR.INVALID_LENGTH, _ERR.INVALID_CREDENTIAL}
#: A token that was good before is no more: used up, as with some keys after one use, or expired.
_TOKEN_OVER = {_ERR.PIN_AUTH_INVALID, _ERR.PIN_TOKEN_EXPIRED}

HASH_BYTES = 32
#: Longer than any signature that is in use, those with ML-DSA among them.
_MAX_SIGNATURE_BYTES = 8192
_LARGEST_MAC_BYTES = 32
#: A list of up to 65535 has a head of three bytes; the empty one has one.
_LIST_HEAD_GROWTH = 2


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """A signature of one credential, not verified here, and what it is over."""

    credential_id: bytes
    auth_data: bytes
    client_data_hash: bytes
    signature: bytes
    counter: int
    user_present: bool
    user_verified: bool

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return self.auth_data + self.client_data_hash


def descriptor(credential_id: bytes) -> dict[str, Any]:
    """The PublicKeyCredentialDescriptor of a credential."""
    return {"type": "public-key", "id": credential_id}


def sendable(credential_ids: Sequence[bytes], limits: Limits) -> list[bytes]:
    """The ids that can be of this key, each once: the others are longer than it makes them."""
    longest = min(limits.max_credential_id_length or MAX_CREDENTIAL_ID_BYTES, MAX_CREDENTIAL_ID_BYTES)
    return [credential_id for credential_id in dict.fromkeys(credential_ids) if 0 < len(credential_id) <= longest]


def how_many_fit(credential_ids: Sequence[bytes], limits: Limits, parameters: Mapping[int, Any], list_key: int) -> int:
    """How many of *credential_ids*, from the first, fit one message.

    Args:
        credential_ids: What is to be sent.
        limits: What the key takes.
        parameters: Everything else in the message; a MAC may still be missing.
        list_key: The number of the list among the parameters.
    """
    room = min(limits.max_message_size, MAX_MESSAGE_BYTES) - _LIST_HEAD_GROWTH
    room -= 1 + len(cbor.encode({**parameters, list_key: []}))
    count = 0
    for credential_id in credential_ids[: limits.max_credentials_in_list]:
        room -= len(cbor.encode(descriptor(credential_id)))
        if room < 0:
            break
        count += 1
    return count


class Assertions:
    """Assertions of one key.

    All methods raise CtapError when the key refuses, and KeyctlError when it is gone, not touched or answers nonsense.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin

    def silent(self, rp_id: str, credential_ids: Sequence[bytes], *, verified: bool = False) -> Iterator[Assertion]:
        """One assertion without a touch of each credential of the list that answers, sent as they are asked for.

        What the key leaves out, after one of a message answered, is asked about again.

        Args:
            rp_id: Of all of them.
            credential_ids: As many as there are.
            verified: Whether to use the remembered PIN.

        Raises:
            PinError: The PIN is wrong, blocked or missing.
        """
        limits = self._pin.info.limits
        asking = _Asking(self._exchange, self._pin, rp_id, verified=verified)
        left = sendable(credential_ids, limits)
        most: int | None = None
        while left:
            count = how_many_fit(left[:most], limits, asking.longest_parameters(), 3)
            found = None
            try:
                # One that does not even fit alone is not on this key.
                found = asking.ask(left[:count]) if count else None
            except CtapError as error:
                if error.code in _TOO_MUCH and count > 1:
                    most = count // 2
                    continue
                if error.code not in _TOO_MUCH | {_ERR.NO_CREDENTIALS}:
                    raise
            if found is None:
                del left[: max(1, count)]
            else:
                left.remove(found.credential_id)
                yield found

    def touched(
        self, rp_id: str, credential_id: bytes, client_data_hash: bytes | None = None, *, verified: bool = False
    ) -> Assertion:
        """An assertion with a touch.

        Args:
            rp_id: Of the credential.
            credential_id: Of the credential.
            client_data_hash: What is signed, 32 bytes; None: random ones.
            verified: Whether to use the remembered PIN.

        Raises:
            PinError: The PIN is wrong, blocked or missing.
        """
        client_data_hash = os.urandom(HASH_BYTES) if client_data_hash is None else client_data_hash
        parameters: dict[int, Any] = {1: rp_id, 2: client_data_hash, 3: [descriptor(credential_id)]}
        if verified:
            token = self._pin.unlocked(lambda pins, pin: pins.token_for_asserting(pin, rp_id))
            parameters |= {6: token.authenticate(client_data_hash), 7: token.protocol.VERSION}
        answer = self._exchange.send(Ctap.GET_ASSERTION, parameters)
        found = assertion_from_ctap(answer, rp_id, client_data_hash, [credential_id], self._exchange.label)
        if not found.user_present:
            raise errors.nonsense(self._exchange.label, "without the touch that it was asked for")
        return found


class _Asking:
    """Silent assertions of one RP, with one token for as long as the key takes it."""

    def __init__(self, exchange: Exchange, pin: KeyPin, rp_id: str, *, verified: bool) -> None:
        self._exchange = exchange
        self._pin = pin
        self._rp_id = rp_id
        self._verified = verified
        self._token: Token | None = None

    def longest_parameters(self) -> dict[int, Any]:
        """All but the list, with values as long as the real ones get."""
        return self._parameters() | ({6: bytes(_LARGEST_MAC_BYTES), 7: 2} if self._verified else {})

    def ask(self, credential_ids: Sequence[bytes]) -> Assertion:
        """One command, or two where the token is over and the PIN has proved right on this connection."""
        if not self._verified:
            return self._send(credential_ids, None)
        if self._token is not None:
            try:
                return self._send(credential_ids, self._token)
            except CtapError as error:
                if error.code not in _TOKEN_OVER:
                    raise
        self._token = self._pin.unlocked(lambda pins, pin: pins.token_for_asserting(pin, self._rp_id))
        return self._send(credential_ids, self._token)

    def _send(self, credential_ids: Sequence[bytes], token: Token | None) -> Assertion:
        client_data_hash = os.urandom(HASH_BYTES)
        parameters = self._parameters() | {
            2: client_data_hash,
            3: [descriptor(credential_id) for credential_id in credential_ids],
        }
        if token is not None:
            parameters |= {6: token.authenticate(client_data_hash), 7: token.protocol.VERSION}
        answer = self._exchange.send(Ctap.GET_ASSERTION, parameters)
        return assertion_from_ctap(answer, self._rp_id, client_data_hash, credential_ids, self._exchange.label)

    def _parameters(self) -> dict[int, Any]:
        return {1: self._rp_id, 2: bytes(HASH_BYTES), 5: {"up": False}}


def assertion_from_ctap(
    answer: Mapping[Any, Any], rp_id: str, client_data_hash: bytes, asked_for: Sequence[bytes], label: str
) -> Assertion:
    """What getAssertion answered (CTAP 2.2, section 6.2.2).

    Raises:
        UnreachableError: It is about another credential or RP, or makes no sense (``key_nonsense``).
    """
    told = answer.get(0x01)
    if told is None and len(asked_for) == 1:
        # A key may leave it out then.
        credential_id = asked_for[0]
    elif isinstance(told, dict) and told.get("id") in asked_for:
        credential_id = told["id"]
    else:
        raise errors.nonsense(label, "with a credential that it was not asked for")
    raw, signature = answer.get(0x02), answer.get(0x03)
    data = authenticator_data.read(raw, rp_id, label)
    if not isinstance(signature, bytes) or not 0 < len(signature) <= _MAX_SIGNATURE_BYTES:
        raise errors.nonsense(label, "without a signature")
    assert isinstance(raw, bytes)
    return Assertion(
        credential_id=credential_id,
        auth_data=raw,
        client_data_hash=client_data_hash,
        signature=signature,
        counter=data.counter,
        user_present=Flag.UP in data.flags,
        user_verified=Flag.UV in data.flags,
    )
