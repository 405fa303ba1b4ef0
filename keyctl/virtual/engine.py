"""The commands of a virtual key: which there are, and what every one of them has in common (CTAP 2.2, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual.answers import encode
from keyctl.virtual.profiles import Listing
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.requests import NO_PARAMETERS, Parameters, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.profiles import Profile

ERR = CtapError.ERR

# Each command is imported when it is used: listing keys needs getInfo only.


def _make_credential(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.make_credential import make_credential

    return make_credential(context, request)


def _get_assertion(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.get_assertion import get_assertion

    return get_assertion(context, request)


def _get_next_assertion(context: Context, _: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.get_assertion import get_next_assertion

    return get_next_assertion(context)


def _get_info(context: Context, _: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.info import get_info

    return get_info(context)


def _client_pin(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.client_pin import client_pin

    return client_pin(context, request)


def _reset(context: Context, _: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.lifecycle import reset

    reset(context)
    return None


def _selection(context: Context, _: Parameters) -> Mapping[int, Any] | None:
    """AuthenticatorSelection (CTAP 2.2, section 6.9)."""
    context.presence.touch()
    return None


def _credential_management(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.credential_management import credential_management

    return credential_management(context, request)


def _large_blobs(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.large_blobs import large_blobs

    return large_blobs(context, request)


def _authenticator_config(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    from keyctl.virtual.authenticator_config import authenticator_config

    authenticator_config(context, request)
    return None


def _recovery(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    """AuthenticatorRecovery of the draft extension "recovery"."""
    from keyctl.virtual.recovery_command import authenticator_recovery

    return authenticator_recovery(context, request)


def _always(_: Profile) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command byte."""

    run: Callable[[Context, Parameters], Mapping[int, Any] | None]
    #: Whether a map of parameters follows the command byte.
    takes_parameters: bool = False
    #: Whether a client may cancel it: those that wait for a person (CTAP 2.2, section 11.2.9.1.5).
    cancellable: bool = False
    there: Callable[[Profile], bool] = _always


COMMANDS: Mapping[int, Command] = {
    0x01: Command(run=_make_credential, takes_parameters=True, cancellable=True),
    0x02: Command(run=_get_assertion, takes_parameters=True, cancellable=True),
    0x04: Command(run=_get_info),
    0x06: Command(run=_client_pin, takes_parameters=True),
    0x07: Command(run=_reset, cancellable=True),
    0x08: Command(run=_get_next_assertion),
    0x0A: Command(
        run=_credential_management,
        takes_parameters=True,
        there=lambda profile: profile.listing is Listing.FINAL,
    ),
    0x0B: Command(run=_selection, cancellable=True, there=lambda profile: profile.selection),
    0x0C: Command(run=_large_blobs, takes_parameters=True, there=lambda profile: profile.large_blobs_bytes > 0),
    0x0D: Command(run=_authenticator_config, takes_parameters=True, there=lambda profile: profile.configurable),
    0x41: Command(
        run=_credential_management,
        takes_parameters=True,
        there=lambda profile: profile.listing is not Listing.NONE,
    ),
    # In the vendor range, as CTAP 2.1 gave the draft's own byte, 0x0D, to authenticatorConfig.
    0x4B: Command(run=_recovery, takes_parameters=True, cancellable=True, there=lambda profile: profile.recovery),
}


def cancellable(message: bytes) -> bool:
    """Whether the client may cancel the command *message*."""
    command = COMMANDS.get(message[0]) if message else None
    return command is not None and command.cancellable


def execute(context: Context, message: bytes) -> bytes:
    """Run the command *message* and write what it changed.

    Returns:
        The status byte, and the answer where there is one.

    Raises:
        OSError: The key was pulled meanwhile.
        StoreError: The change cannot be written.
    """
    try:
        answer = _run(context, message)
    except CtapError as error:
        context.flush()
        return bytes([error.code])
    context.flush()
    return bytes([ERR.SUCCESS]) + encode(answer, canonical=Quirk.MAP_ORDER not in context.quirks)


def _run(context: Context, message: bytes) -> Mapping[int, Any] | None:
    if context.state.ram.dead:
        raise CtapError(ERR.OTHER)
    if not message:
        raise CtapError(ERR.INVALID_LENGTH)
    if len(message) > context.profile.max_message_bytes:
        raise CtapError(ERR.REQUEST_TOO_LARGE)
    command = COMMANDS.get(message[0])
    if command is None or not command.there(context.profile):
        raise CtapError(ERR.INVALID_COMMAND)
    body = message[1:]
    if not command.takes_parameters:
        if body:
            raise CtapError(ERR.INVALID_LENGTH)
        return command.run(context, NO_PARAMETERS)
    if not body:
        raise CtapError(ERR.MISSING_PARAMETER)
    return command.run(context, Parameters(decode(body, context.profile.max_cbor_depth)))
