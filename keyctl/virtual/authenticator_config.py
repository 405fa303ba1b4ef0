"""authenticatorConfig (CTAP 2.3, section 6.11)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.virtual import tokens
from keyctl.virtual.configuration import LONGEST_MIN_PIN, MAX_MIN_PIN_RP_IDS
from keyctl.virtual.info import min_pin_length
from keyctl.virtual.tokens import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.configuration import Configuration
    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
_MAC_PREFIX = b"\xff" * 32 + b"\x0d"
_TOGGLE_ALWAYS_UV = 0x02

# Parameters, and those of setMinPINLength.
_SUBCOMMAND = 0x01
_SUBCOMMAND_PARAMETERS = 0x02
_PROTOCOL = 0x03
_AUTH_PARAM = 0x04
_NEW_MIN_PIN_LENGTH = 0x01
_RP_IDS = 0x02
_FORCE_CHANGE_PIN = 0x03


def authenticator_config(context: Context, request: Parameters) -> None:
    """Run one subcommand."""
    subcommand = request.integer(_SUBCOMMAND)
    run = _SUBCOMMANDS.get(subcommand)
    if run is None:
        raise CtapError(ERR.INVALID_PARAMETER)
    _authenticate(context, request, subcommand)
    context.state.configuration = run(context, request)
    context.changed(durable=True)


def _authenticate(context: Context, request: Parameters, subcommand: int) -> None:
    """Refuse without a token, where users can be verified.

    Without a PIN alwaysUv would lock itself, so that one may be switched off again.

    Raises:
        CtapError: PUAT_REQUIRED without a token, else as tokens.authenticate.
    """
    mac, protocol = request.optional_octets(_AUTH_PARAM), request.optional_integer(_PROTOCOL)
    parameters = request.optional_map(_SUBCOMMAND_PARAMETERS)
    locked = context.state.configuration.always_uv and subcommand != _TOGGLE_ALWAYS_UV
    if context.state.pin is None and not locked:
        return
    if mac is None:
        raise CtapError(ERR.PUAT_REQUIRED)
    message = _MAC_PREFIX + bytes([subcommand])
    if parameters is not None:
        # The request was canonical, so encoding again gives the bytes that came.
        message += cbor.encode(parameters.raw)
    tokens.authenticate(context, protocol, message, mac, Permission.ACFG)


def _enable_enterprise_attestation(context: Context, _: Parameters) -> Configuration:
    """CTAP 2.2, section 6.11.1."""
    return replace(context.state.configuration, enterprise=True)


def _toggle_always_uv(context: Context, _: Parameters) -> Configuration:
    """CTAP 2.2, section 6.11.2."""
    configuration = context.state.configuration
    return replace(configuration, always_uv=not configuration.always_uv)


def _set_min_pin_length(context: Context, request: Parameters) -> Configuration:
    """CTAP 2.2, section 6.11.4: it can only grow, and a PIN that is too short then has to be changed.

    Raises:
        CtapError: PIN_POLICY_VIOLATION, PIN_NOT_SET, or KEY_STORE_FULL for too many RPs.
    """
    parameters = request.map(_SUBCOMMAND_PARAMETERS)
    old, pin, configuration = min_pin_length(context), context.state.pin, context.state.configuration
    length, rp_ids = parameters.optional_integer(_NEW_MIN_PIN_LENGTH), parameters.optional_texts(_RP_IDS)
    forced = bool(parameters.flag(_FORCE_CHANGE_PIN))
    new = old if length is None else length
    if not old <= new <= LONGEST_MIN_PIN:
        raise CtapError(ERR.PIN_POLICY_VIOLATION)
    if forced and pin is None:
        raise CtapError(ERR.PIN_NOT_SET)
    if rp_ids is not None and len(rp_ids) > MAX_MIN_PIN_RP_IDS:
        raise CtapError(ERR.KEY_STORE_FULL)
    too_short = pin is not None and pin.length < new
    return replace(
        configuration,
        min_pin_length=new,
        min_pin_rp_ids=configuration.min_pin_rp_ids if rp_ids is None else tuple(rp_ids),
        force_pin_change=configuration.force_pin_change or forced or too_short,
    )


def _enable_long_touch(context: Context, _: Parameters) -> Configuration:
    """CTAP 2.3, section 6.11.5."""
    return replace(context.state.configuration, long_touch_for_reset=True)


_SUBCOMMANDS: Mapping[int, Callable[[Context, Parameters], Configuration]] = {
    0x01: _enable_enterprise_attestation,
    _TOGGLE_ALWAYS_UV: _toggle_always_uv,
    0x03: _set_min_pin_length,
    0x04: _enable_long_touch,
}
