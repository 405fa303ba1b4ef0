"""What makeCredential and getAssertion have in common: PIN tokens, options, touch, authenticator data."""

from __future__ import annotations

import os
from enum import IntFlag
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.virtual import tokens
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.settings import MAX_COUNTER

if TYPE_CHECKING:
    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters
    from keyctl.virtual.tokens import Permission

ERR = CtapError.ERR
CLIENT_DATA_HASH_BYTES = 32
_COUNTER_BYTES = 4
_MAX_RANDOM_STEP = 256


class Flag(IntFlag):
    """Flags of the authenticator data (WebAuthn level 2, section 6.1)."""

    UP = 0x01
    UV = 0x04
    AT = 0x40
    ED = 0x80


def answer_selection(context: Context, mac: bytes | None) -> None:
    """A zero-length pinUvAuthParam asks for a touch to choose this key (CTAP 2.2, sections 6.1.2 and 6.2.2, step 1).

    Raises:
        CtapError: PIN_INVALID or PIN_NOT_SET when touched, or an error of the touch; nothing for any other parameter.
    """
    if mac is None or mac:
        return
    context.presence.touch()
    raise CtapError(ERR.PIN_NOT_SET if context.state.pin is None else ERR.PIN_INVALID)


def verify_user(
    context: Context, *, protocol: int | None, mac: bytes | None, data_hash: bytes, permission: Permission, rp_id: str
) -> bool:
    """Whether the user was verified, by a PIN token: the only way that this key has.

    Raises:
        CtapError: PIN_AUTH_INVALID, PIN_NOT_SET, or an error of the protocol number.
    """
    if mac is None:
        return False
    tokens.check_protocol(context, protocol)
    if context.state.pin is None:
        raise CtapError(ERR.PIN_NOT_SET)
    tokens.authenticate_user(context, protocol, data_hash, mac, permission=permission, rp_id=rp_id)
    return True


def check_always_uv(context: Context, mac: bytes | None) -> None:
    """PUAT_REQUIRED where every operation needs the user verified and there is no PIN token (option alwaysUv)."""
    if context.state.configuration.always_uv and mac is None:
        raise CtapError(ERR.PUAT_REQUIRED)


def check_uv_option(options: Parameters | None, *, has_mac: bool) -> None:
    """INVALID_OPTION when built-in user verification is asked for; beside a PIN token the option counts as false."""
    if options is not None and options.flag("uv") and not has_mac:
        raise CtapError(ERR.INVALID_OPTION)


def touch(context: Context) -> None:
    """Wait for a touch, which uses up the token."""
    context.presence.touch()
    tokens.use_up(context)


def authenticator_data(
    context: Context, rp_id: str, flags: Flag, *, attested: bytes = b"", extensions: dict[str, Any] | None = None
) -> bytes:
    """Authenticator data with the next signature counter (WebAuthn level 2, section 6.1)."""
    if attested:
        flags |= Flag.AT
    if extensions:
        flags |= Flag.ED
    return b"".join(
        (
            sha256(rp_id.encode()).digest(),
            bytes([flags]),
            next_counter(context),
            attested,
            cbor.encode(extensions) if extensions else b"",
        )
    )


def next_counter(context: Context) -> bytes:
    """Count one signature; a quirk decides by how much, and whether before or after.

    Returns:
        The counter as it is signed, 4 bytes.
    """
    state = context.state
    before = state.counter
    step = 1 + (os.urandom(1)[0] % _MAX_RANDOM_STEP if Quirk.COUNTER_RANDOM in context.quirks else 0)
    state.counter = (before + step) & MAX_COUNTER
    context.changed(durable=True)
    told = before if Quirk.COUNTER_FROM_ZERO in context.quirks else state.counter
    return told.to_bytes(_COUNTER_BYTES, "big")
