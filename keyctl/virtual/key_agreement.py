"""The key's side of key agreement, for PINs and for hmac-secret (CTAP 2.3, sections 6.5.5.4 and 12.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.virtual import tokens
from keyctl.virtual.pin_protocol import PIN_PROTOCOLS, new_agreement_key

if TYPE_CHECKING:
    from keyctl.virtual.context import Context
    from keyctl.virtual.pin_protocol import PinProtocol
    from keyctl.virtual.requests import Parameters


def chosen_protocol(context: Context, number: int | None) -> PinProtocol:
    """The PIN/UV auth protocol *number*.

    Raises:
        CtapError: MISSING_PARAMETER without a number, INVALID_PARAMETER for one that the key lacks.
    """
    tokens.check_protocol(context, number)
    assert number is not None
    return PIN_PROTOCOLS[number]


def agreement_key(context: Context, protocol: PinProtocol) -> bytes:
    """The key's private key for *protocol*, made when it is first needed after a power-up or a wrong PIN."""
    keys = context.state.ram.agreement
    if protocol.VERSION not in keys:
        keys[protocol.VERSION] = new_agreement_key()
        context.changed(durable=False)
    return keys[protocol.VERSION]


def shared_secret(context: Context, protocol: PinProtocol, peer: Parameters) -> bytes:
    """The secret shared with the client whose COSE key is *peer*.

    Raises:
        CtapError: INVALID_PARAMETER, because *peer* is no key on P-256.
    """
    try:
        return protocol.shared_secret(agreement_key(context, protocol), peer.raw)
    except ValueError:
        raise CtapError(CtapError.ERR.INVALID_PARAMETER) from None
