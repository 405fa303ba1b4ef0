"""pinUvAuthTokens: what they permit, for which RP, and how they end (CTAP 2.2, section 6.5.2)."""

from __future__ import annotations

import os
from enum import IntFlag
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.virtual.info import has_permissions, options
from keyctl.virtual.pin_protocol import PIN_PROTOCOLS
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.state import TOKEN_BYTES, Token

if TYPE_CHECKING:
    from keyctl.virtual.context import Context

ERR = CtapError.ERR
#: Seconds in which a token has to be used first, as for USB (CTAP 2.2, section 6.5.2.1).
FIRST_USE_S = 30.0
#: Seconds after which every token ends.
MAX_USE_S = 600.0


class Permission(IntFlag):
    """CTAP 2.2, section 6.5.5.7, table of permissions."""

    MC = 0x01
    GA = 0x02
    CM = 0x04
    BE = 0x08
    LBW = 0x10
    ACFG = 0x20
    PCMR = 0x40
    #: Not in CTAP: seeds of the draft extension "recovery".
    RECOVERY = 0x80


#: permission -> the option that has to be true for it.
_OPTIONS = {
    Permission.CM: "credMgmt",
    Permission.BE: "bioEnroll",
    Permission.LBW: "largeBlobs",
    Permission.ACFG: "authnrCfg",
    Permission.PCMR: "perCredMgmtRO",
}
#: Permissions that want an RP id.
_OF_AN_RP = Permission.MC | Permission.GA
_EVERYTHING = Permission.MC | Permission.GA | Permission.CM


def check_permissions(context: Context, permissions: int, rp_id: str | None) -> None:
    """Decide whether a token may have *permissions* (CTAP 2.2, section 6.5.5.7.2).

    Raises:
        CtapError: INVALID_PARAMETER for none, UNAUTHORIZED_PERMISSION for one that the key has no use for,
            MISSING_PARAMETER for a missing RP id.
    """
    if permissions <= 0:
        raise CtapError(ERR.INVALID_PARAMETER)
    told = options(context)
    known = sum(Permission)
    if permissions & ~known or any(permissions & bit and not told.get(option) for bit, option in _OPTIONS.items()):
        raise CtapError(ERR.UNAUTHORIZED_PERMISSION)
    if permissions & Permission.RECOVERY and not context.profile.recovery:
        raise CtapError(ERR.UNAUTHORIZED_PERMISSION)
    # The persistent token has one permission for good.
    if permissions & Permission.PCMR and permissions != Permission.PCMR:
        raise CtapError(ERR.UNAUTHORIZED_PERMISSION)
    if permissions & _OF_AN_RP and rp_id is None:
        raise CtapError(ERR.MISSING_PARAMETER)


def issue(context: Context, protocol: int, permissions: int, rp_id: str | None) -> bytes:
    """Make a new token, which ends the one before."""
    token = Token(
        value=os.urandom(TOKEN_BYTES),
        protocol=protocol,
        permissions=permissions,
        rp_id=rp_id,
        issued_at=context.now,
    )
    context.state.ram.token = token
    context.changed(durable=False)
    return token.value


def issue_persistent(context: Context) -> bytes:
    """The persistent token, the same for everybody until the PIN changes; the other token stays as it is."""
    token = context.state.persistent_token
    if token is None:
        token = context.state.persistent_token = os.urandom(TOKEN_BYTES)
        context.changed(durable=True)
    return token


def issue_legacy(context: Context, protocol: int) -> bytes:
    """The token of getPinToken (CTAP 2.2, section 6.5.5.7.1).

    Where tokens have permissions it is a new one for mc and ga. Older keys have one token per power-up that permits
    everything (CTAP 2.0, section 5.5.2).
    """
    if has_permissions(context.profile, context.quirks):
        return issue(context, protocol, Permission.MC | Permission.GA, None)
    token = context.state.ram.token
    # Anything narrower was issued before a quirk made the key an old one.
    if token is not None and (token.protocol, token.permissions, token.rp_id) == (protocol, _EVERYTHING, None):
        return token.value
    return issue(context, protocol, _EVERYTHING, None)


def end(context: Context) -> None:
    """End the token, if there is one."""
    if context.state.ram.token is not None:
        context.state.ram.token = None
        context.changed(durable=False)


def authenticate(context: Context, protocol: int | None, message: bytes, mac: bytes, permission: Permission) -> Token:
    """The token that made *mac* over *message*.

    Raises:
        CtapError: PIN_AUTH_INVALID: it did not, has expired, or lacks *permission*; MISSING_PARAMETER and
            INVALID_PARAMETER for the *protocol*.
    """
    check_protocol(context, protocol)
    token = _live(context)
    if token is None or token.protocol != protocol or not token.permissions & permission:
        raise CtapError(ERR.PIN_AUTH_INVALID)
    if not PIN_PROTOCOLS[token.protocol].verify(token.value, message, mac):
        raise CtapError(ERR.PIN_AUTH_INVALID)
    if not token.used:
        token.used = True
        context.changed(durable=False)
    if Quirk.TOKEN_ONCE in context.quirks:
        end(context)
    return token


def is_persistent(context: Context, protocol: int | None, message: bytes, mac: bytes) -> bool:
    """Whether the persistent token made *mac* over *message*.

    Raises:
        CtapError: MISSING_PARAMETER and INVALID_PARAMETER for the *protocol*.
    """
    check_protocol(context, protocol)
    token = context.state.persistent_token
    return protocol is not None and token is not None and PIN_PROTOCOLS[protocol].verify(token, message, mac)


def authenticate_user(
    context: Context, protocol: int | None, message: bytes, mac: bytes, *, permission: Permission, rp_id: str
) -> None:
    """As :func:`authenticate` for mc and ga: the user has to be verified still, and the RP has to be the token's.

    A token without an RP becomes that RP's (CTAP 2.2, sections 6.1.2 and 6.2.2).
    """
    token = authenticate(context, protocol, message, mac, permission)
    if not token.user_verified or token.rp_id not in {None, rp_id}:
        raise CtapError(ERR.PIN_AUTH_INVALID)
    if token.rp_id is None and has_permissions(context.profile, context.quirks):
        token.rp_id = rp_id
        context.changed(durable=False)


def use_up(context: Context) -> None:
    """An operation with a touch clears the verified user and all permissions but lbw."""
    if Quirk.LBW_DROPPED in context.quirks:
        end(context)
    token = context.state.ram.token
    if token is not None and has_permissions(context.profile, context.quirks):
        token.user_verified = False
        token.permissions &= Permission.LBW
        context.changed(durable=False)


def check_protocol(context: Context, protocol: int | None) -> None:
    """MISSING_PARAMETER without a PIN/UV auth protocol, INVALID_PARAMETER for one that the key lacks."""
    if protocol is None:
        raise CtapError(ERR.MISSING_PARAMETER)
    if protocol not in context.profile.pin_protocols:
        raise CtapError(ERR.INVALID_PARAMETER)


def _live(context: Context) -> Token | None:
    """The token in use, unless its time is over (pinUvAuthTokenUsageTimerObserver)."""
    token = context.state.ram.token
    if token is None or not has_permissions(context.profile, context.quirks):
        return token
    age_s = context.now - token.issued_at
    if not 0 <= age_s <= (MAX_USE_S if token.used else FIRST_USE_S):
        end(context)
        return None
    return token
