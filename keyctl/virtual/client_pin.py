"""authenticatorClientPIN (CTAP 2.2, section 6.5.5)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual import tokens
from keyctl.virtual.info import has_permissions, min_pin_length
from keyctl.virtual.key_agreement import agreement_key, chosen_protocol, shared_secret
from keyctl.virtual.pin_protocol import public_key
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.state import MAX_PIN_RETRIES, MAX_WRONG_IN_A_ROW, Pin
from keyctl.virtual.tokens import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.pin_protocol import PinProtocol
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
_PADDED_PIN_BYTES = 64
_MAX_PIN_BYTES = 63
_PIN_HASH_BYTES = 16

# Parameters.
_PROTOCOL = 0x01
_SUBCOMMAND = 0x02
_KEY_AGREEMENT = 0x03
_AUTH_PARAM = 0x04
_NEW_PIN_ENC = 0x05
_PIN_HASH_ENC = 0x06
_PERMISSIONS = 0x09
_RP_ID = 0x0A


def client_pin(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    """Run one subcommand; built-in user verification (0x06, 0x07) is none of them."""
    subcommand = request.integer(_SUBCOMMAND)
    modern = has_permissions(context.profile, context.quirks)
    run = _SUBCOMMANDS.get(subcommand)
    if run is None or (subcommand == _WITH_PERMISSIONS and not modern):
        # CTAP 2.0 had no status for this.
        raise CtapError(ERR.INVALID_SUBCOMMAND if context.profile.permissions else ERR.INVALID_PARAMETER)
    return run(context, request)


def _get_pin_retries(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.5.5.2."""
    if request.has(_PROTOCOL):
        _protocol(context, request)
    state = context.state
    answer: dict[int, Any] = {0x03: state.pin_retries}
    if context.profile.permissions:
        answer[0x04] = state.ram.wrong_pins >= MAX_WRONG_IN_A_ROW
    return answer


def _get_key_agreement(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.5.5.4."""
    protocol = _protocol(context, request)
    return {0x01: public_key(agreement_key(context, protocol))}


def _set_pin(context: Context, request: Parameters) -> None:
    """CTAP 2.2, section 6.5.5.5."""
    protocol = _protocol(context, request)
    peer, mac, new_pin_enc = request.map(_KEY_AGREEMENT), request.octets(_AUTH_PARAM), request.octets(_NEW_PIN_ENC)
    if context.state.pin is not None:
        raise CtapError(ERR.PIN_AUTH_INVALID)
    secret = shared_secret(context, protocol, peer)
    if not protocol.verify(secret, new_pin_enc, mac):
        raise CtapError(ERR.PIN_AUTH_INVALID)
    _store_pin(context, _new_pin(context, protocol, secret, new_pin_enc))


def _change_pin(context: Context, request: Parameters) -> None:
    """CTAP 2.2, section 6.5.5.6."""
    protocol = _protocol(context, request)
    peer, mac = request.map(_KEY_AGREEMENT), request.octets(_AUTH_PARAM)
    new_pin_enc, pin_hash_enc = request.octets(_NEW_PIN_ENC), request.octets(_PIN_HASH_ENC)
    _check_not_blocked(context)
    secret = shared_secret(context, protocol, peer)
    if not protocol.verify(secret, new_pin_enc + pin_hash_enc, mac):
        raise CtapError(ERR.PIN_AUTH_INVALID)
    _check_pin(context, protocol, secret, pin_hash_enc)
    pin = _new_pin(context, protocol, secret, new_pin_enc)
    assert context.state.pin is not None
    if context.state.configuration.force_pin_change and _hash(pin) == context.state.pin.hash:
        raise CtapError(ERR.PIN_POLICY_VIOLATION)
    _store_pin(context, pin)


def _get_pin_token(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.5.5.7.1: the token of CTAP 2.0."""
    protocol = _protocol(context, request)
    peer, pin_hash_enc = request.map(_KEY_AGREEMENT), request.octets(_PIN_HASH_ENC)
    if request.has(_PERMISSIONS) or request.has(_RP_ID):
        raise CtapError(ERR.INVALID_PARAMETER)
    _check_not_blocked(context)
    secret = shared_secret(context, protocol, peer)
    _check_pin(context, protocol, secret, pin_hash_enc)
    if context.state.configuration.force_pin_change:
        # CTAP 2.0 has no other status that makes clients ask for a PIN.
        raise CtapError(ERR.PIN_INVALID)
    return {0x02: protocol.encrypt(secret, tokens.issue_legacy(context, protocol.VERSION))}


def _get_token_with_permissions(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.5.5.7.2."""
    protocol = _protocol(context, request)
    peer, pin_hash_enc = request.map(_KEY_AGREEMENT), request.octets(_PIN_HASH_ENC)
    permissions, rp_id = request.integer(_PERMISSIONS), request.optional_text(_RP_ID, 1)
    tokens.check_permissions(context, permissions, rp_id)
    _check_not_blocked(context)
    secret = shared_secret(context, protocol, peer)
    _check_pin(context, protocol, secret, pin_hash_enc)
    if context.state.configuration.force_pin_change:
        raise CtapError(ERR.PIN_POLICY_VIOLATION)
    if permissions == Permission.PCMR:
        return {0x02: protocol.encrypt(secret, tokens.issue_persistent(context))}
    return {0x02: protocol.encrypt(secret, tokens.issue(context, protocol.VERSION, permissions, rp_id))}


_WITH_PERMISSIONS = 0x09
_SUBCOMMANDS: Mapping[int, Callable[[Context, Parameters], Mapping[int, Any] | None]] = {
    0x01: _get_pin_retries,
    0x02: _get_key_agreement,
    0x03: _set_pin,
    0x04: _change_pin,
    0x05: _get_pin_token,
    _WITH_PERMISSIONS: _get_token_with_permissions,
}


def _protocol(context: Context, request: Parameters) -> PinProtocol:
    return chosen_protocol(context, request.optional_integer(_PROTOCOL))


def _check_not_blocked(context: Context) -> None:
    """PIN_NOT_SET, PIN_BLOCKED or PIN_AUTH_BLOCKED."""
    state = context.state
    if state.pin is None:
        raise CtapError(ERR.PIN_NOT_SET)
    if state.pin_retries == 0:
        raise CtapError(ERR.PIN_BLOCKED)
    if state.ram.wrong_pins >= MAX_WRONG_IN_A_ROW:
        if Quirk.COUNTS_WHILE_BLOCKED in context.quirks:
            state.pin_retries -= 1
            context.changed(durable=True)
        raise CtapError(ERR.PIN_AUTH_BLOCKED)


def _check_pin(context: Context, protocol: PinProtocol, secret: bytes, pin_hash_enc: bytes) -> None:
    """Compare the PIN hash; a wrong one costs a try, and so does one that cannot be decrypted.

    Raises:
        CtapError: PIN_INVALID, PIN_AUTH_BLOCKED after three in a row, or PIN_BLOCKED after the last.
    """
    state = context.state
    assert state.pin is not None
    # Counted and written before the comparison: pulling the key must not give a try for nothing.
    state.pin_retries -= 1
    state.ram.wrong_pins += 1
    context.changed(durable=True)
    context.flush()
    try:
        pin_hash = protocol.decrypt(secret, pin_hash_enc)
    except ValueError:
        pin_hash = b""
    if not hmac.compare_digest(pin_hash, state.pin.hash):
        state.ram.agreement.pop(protocol.VERSION, None)
        context.changed(durable=False)
        if state.pin_retries == 0:
            raise CtapError(ERR.PIN_BLOCKED)
        raise CtapError(ERR.PIN_AUTH_BLOCKED if state.ram.wrong_pins >= MAX_WRONG_IN_A_ROW else ERR.PIN_INVALID)
    state.pin_retries = MAX_PIN_RETRIES
    state.ram.wrong_pins = 0
    context.changed(durable=True)


def _new_pin(context: Context, protocol: PinProtocol, secret: bytes, new_pin_enc: bytes) -> str:
    """The new PIN: long enough in code points, at most 63 bytes in UTF-8.

    Raises:
        CtapError: INVALID_PARAMETER when it is not padded to 64 bytes, PIN_POLICY_VIOLATION.
    """
    try:
        padded = protocol.decrypt(secret, new_pin_enc)
    except ValueError:
        raise CtapError(ERR.PIN_AUTH_INVALID) from None
    if len(padded) != _PADDED_PIN_BYTES:
        raise CtapError(ERR.INVALID_PARAMETER)
    octets = padded.rstrip(b"\0")
    try:
        pin = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise CtapError(ERR.PIN_POLICY_VIOLATION) from None
    if len(octets) > _MAX_PIN_BYTES or len(pin) < min_pin_length(context):
        raise CtapError(ERR.PIN_POLICY_VIOLATION)
    return pin


def _store_pin(context: Context, pin: str) -> None:
    """Take *pin* as the key's own, which ends every token."""
    state = context.state
    state.pin = Pin(hash=_hash(pin), length=len(pin))
    state.pin_retries = MAX_PIN_RETRIES
    state.ram.wrong_pins = 0
    state.ram.token = None
    state.persistent_token = None
    state.configuration = replace(state.configuration, force_pin_change=False)
    context.changed(durable=True)


def _hash(pin: str) -> bytes:
    return sha256(pin.encode()).digest()[:_PIN_HASH_BYTES]
