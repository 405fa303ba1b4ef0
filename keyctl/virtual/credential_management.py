"""authenticatorCredentialManagement, final and preview (CTAP 2.2, section 6.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.virtual import credentials, tokens
from keyctl.virtual.info import room
from keyctl.virtual.listing import credential_answer, rp_answer
from keyctl.virtual.profiles import Listing
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.texts import stored_user_name
from keyctl.virtual.tokens import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context, Continuation
    from keyctl.virtual.requests import Parameters
    from keyctl.virtual.state import Credential

ERR = CtapError.ERR
_HASH_BYTES = 32
_RPS = "rps"
_CREDENTIALS = "credentials"

# Parameters, and those of the subcommands.
_SUBCOMMAND = 0x01
_SUBCOMMAND_PARAMETERS = 0x02
_PROTOCOL = 0x03
_AUTH_PARAM = 0x04
_RP_ID_HASH = 0x01
_CREDENTIAL_ID = 0x02
_USER = 0x03


def credential_management(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    """Run one subcommand."""
    subcommand = request.integer(_SUBCOMMAND)
    run = _SUBCOMMANDS.get(subcommand)
    if run is None:
        raise CtapError(ERR.INVALID_SUBCOMMAND)
    return run(context, request)


def _get_metadata(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.8.2."""
    _authenticate_for_all(context, request)
    if Quirk.METADATA_ERROR in context.quirks:
        raise CtapError(ERR.OTHER)
    return {0x01: len(context.state.credentials), 0x02: room(context)}


def _enumerate_rps_begin(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.8.3."""
    _authenticate_for_all(context, request)
    # One credential for each RP: the oldest.
    by_rp: dict[str, Credential] = {}
    for credential in context.state.credentials:
        by_rp.setdefault(credential.rp_id, credential)
    if not by_rp:
        if Quirk.EMPTY_RPS_MAP in context.quirks:
            return {}
        raise CtapError(ERR.NO_CREDENTIALS)
    answer = _first(context, _RPS, tuple(by_rp.values()))
    return {**answer, 0x05: len(by_rp)}


def _enumerate_rps_next(context: Context, _: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.8.3; needs no authentication, as it continues what had it."""
    return _next(context, _RPS, Quirk.RPS_BREAK_OFF)


def _enumerate_credentials_begin(context: Context, request: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.8.4."""
    parameters = _subcommand_parameters(request)
    own_rp_id = _authenticate(context, request, reading=True)
    rp_id_hash = parameters.octets(_RP_ID_HASH, _HASH_BYTES, _HASH_BYTES)
    if own_rp_id is not None and credentials.hash_of(own_rp_id) != rp_id_hash:
        raise CtapError(ERR.PIN_AUTH_INVALID)
    found = tuple(
        credential for credential in context.state.credentials if credentials.hash_of(credential.rp_id) == rp_id_hash
    )
    if not found:
        raise CtapError(ERR.NO_CREDENTIALS)
    return _first(context, _CREDENTIALS, found)


def _enumerate_credentials_next(context: Context, _: Parameters) -> Mapping[int, Any]:
    """CTAP 2.2, section 6.8.4."""
    return _next(context, _CREDENTIALS, Quirk.CREDS_BREAK_OFF)


def _delete_credential(context: Context, request: Parameters) -> None:
    """CTAP 2.2, section 6.8.5."""
    parameters = _subcommand_parameters(request)
    victim = _named(context, parameters, _authenticate(context, request))
    context.state.replace_credentials(tuple(other for other in context.state.credentials if other.id != victim.id))
    context.changed(durable=True)


def _update_user(context: Context, request: Parameters) -> None:
    """CTAP 2.2, section 6.8.6: a name that is missing or empty is removed."""
    if context.profile.listing is Listing.PREVIEW or Quirk.NO_UPDATE in context.quirks:
        raise CtapError(ERR.INVALID_COMMAND)
    parameters = _subcommand_parameters(request)
    old = _named(context, parameters, _authenticate(context, request))
    user = parameters.map(_USER)
    user_id, name, display_name = user.octets("id"), user.optional_text("name"), user.optional_text("displayName")
    if user_id != old.user_id:
        raise CtapError(ERR.INVALID_PARAMETER)
    new = replace(
        old,
        user_name=stored_user_name(name or None, context.quirks),
        user_display_name=stored_user_name(display_name or None, context.quirks),
    )
    context.state.replace_credentials(
        tuple(new if other.id == old.id else other for other in context.state.credentials)
    )
    context.changed(durable=True)


_SUBCOMMANDS: Mapping[int, Callable[[Context, Parameters], Mapping[int, Any] | None]] = {
    0x01: _get_metadata,
    0x02: _enumerate_rps_begin,
    0x03: _enumerate_rps_next,
    0x04: _enumerate_credentials_begin,
    0x05: _enumerate_credentials_next,
    0x06: _delete_credential,
    0x07: _update_user,
}


def _subcommand_parameters(request: Parameters) -> Parameters:
    return request.map(_SUBCOMMAND_PARAMETERS)


def _authenticate(context: Context, request: Parameters, *, reading: bool = False) -> str | None:
    """Check the token that authenticates the subcommand and its parameters.

    Args:
        context: The key.
        request: The command.
        reading: Whether the persistent token is enough.

    Returns:
        The only RP that the token is for, or None: it is for all.

    Raises:
        CtapError: PUAT_REQUIRED without one, else as tokens.authenticate.
    """
    mac = request.optional_octets(_AUTH_PARAM)
    protocol = request.optional_integer(_PROTOCOL)
    if mac is None:
        raise CtapError(ERR.PUAT_REQUIRED)
    message = bytes([request.integer(_SUBCOMMAND)])
    parameters = request.optional_map(_SUBCOMMAND_PARAMETERS)
    if parameters is not None:
        # The request was canonical, so encoding again gives the bytes that came.
        message += cbor.encode(parameters.raw)
    if reading and tokens.is_persistent(context, protocol, message, mac):
        return None
    return tokens.authenticate(context, protocol, message, mac, Permission.CM).rp_id


def _authenticate_for_all(context: Context, request: Parameters) -> None:
    """As :func:`_authenticate`, for reading what concerns all RPs: a token of one RP is not enough."""
    if _authenticate(context, request, reading=True) is not None:
        raise CtapError(ERR.PIN_AUTH_INVALID)


def _named(context: Context, parameters: Parameters, own_rp_id: str | None) -> Credential:
    """The credential that *parameters* name.

    Raises:
        CtapError: NO_CREDENTIALS, or PIN_AUTH_INVALID when it is not of *own_rp_id*.
    """
    wanted = credentials.descriptor_id(parameters.map(_CREDENTIAL_ID))
    for credential in context.state.credentials:
        if credential.id == wanted:
            if own_rp_id not in {None, credential.rp_id}:
                raise CtapError(ERR.PIN_AUTH_INVALID)
            return credential
    raise CtapError(ERR.NO_CREDENTIALS)


def _first(context: Context, kind: str, items: tuple[Credential, ...]) -> Mapping[int, Any]:
    return _step(context, context.begin(kind, items))


def _next(context: Context, kind: str, break_off: Quirk) -> Mapping[int, Any]:
    """The next item; NOT_ALLOWED when there is none, it took too long, or something else came between."""
    continuation = context.resume(kind)
    if continuation is None:
        raise CtapError(ERR.NOT_ALLOWED)
    answered = continuation.total - len(continuation.items)
    if break_off in context.quirks and answered * 2 >= continuation.total:
        raise CtapError(ERR.OTHER)
    return _step(context, continuation)


def _step(context: Context, continuation: Continuation) -> Mapping[int, Any]:
    credential: Credential = continuation.items[0]
    context.continuation = replace(continuation, items=continuation.items[1:], last_used=context.now)
    if continuation.kind == _RPS:
        return rp_answer(context, credential)
    first = len(continuation.items) == continuation.total
    return credential_answer(context, credential, total=continuation.total if first else None)
