"""U2F, also called CTAP1 (U2F Raw Message Formats 1.2; CTAP 2.2, section 10): APDUs in, APDUs out.

A key handle is a wrapped id, so that CTAP2 and U2F each open what the other made (CTAP 2.2, section 10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.virtual import attestation, signing, wrapped_ids
from keyctl.virtual.apdu import Command
from keyctl.virtual.authorization import next_counter
from keyctl.virtual.credentials import UV_REQUIRED, wrapped_id_bytes
from keyctl.virtual.profiles import ES256
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.wrapped_ids import WrappedKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.presence import Polls

VERSION = b"U2F_V2"
_HASH_BYTES = 32
_RESERVED = 0x05
_EMPTY_EXTENDED_LENGTH = bytes(3)

_CHECK_ONLY = 0x07
_SIGN = 0x03
_SIGN_WITHOUT_PRESENCE = 0x08

_SW_DONE = 0x9000
_SW_WRONG_LENGTH = 0x6700
_SW_NOT_TOUCHED = 0x6985
_SW_NOT_ALLOWED = 0x6986
_SW_WRONG_DATA = 0x6A80
_SW_WRONG_P1_P2 = 0x6A86
_SW_UNKNOWN_INS = 0x6D00
_SW_UNKNOWN_CLA = 0x6E00


class _StatusError(Exception):
    """Ends a command with a status word."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04x}")
        self.status = status


def execute(context: Context, apdu: bytes, polls: Polls) -> bytes:
    """Run one command and write what it changed.

    Args:
        context: The key.
        apdu: Anything at all, with lengths of one byte or of two.
        polls: How long the client has been asking for a touch.

    Returns:
        Data and status word.

    Raises:
        OSError: The key was pulled.
        StoreError: The change cannot be written, or the attestation's file cannot be used.
    """
    try:
        data, status = _run(context, apdu, polls), _SW_DONE
    except _StatusError as error:
        data, status = b"", error.status
    context.flush()
    return data + status.to_bytes(2, "big")


def _run(context: Context, apdu: bytes, polls: Polls) -> bytes:
    command = _parse(apdu)
    if command is None or len(apdu) > context.profile.max_message_bytes:
        raise _StatusError(_SW_WRONG_LENGTH)
    if command.cla or command.chained:
        raise _StatusError(_SW_UNKNOWN_CLA)
    run = _COMMANDS.get(command.ins)
    if run is None:
        raise _StatusError(_SW_UNKNOWN_INS)
    return run(context, command, polls)


def _parse(apdu: bytes) -> Command | None:
    """The command, also where a length of no data is written out, as U2F clients do."""
    head, body = apdu[:4], apdu[4:]
    if body.startswith(_EMPTY_EXTENDED_LENGTH) and len(body) == len(_EMPTY_EXTENDED_LENGTH) + 2:
        body = b"\0" + body[len(_EMPTY_EXTENDED_LENGTH) :]
    return Command.parse(head + body)


def _version(_context: Context, command: Command, _polls: Polls) -> bytes:
    """U2F Raw Message Formats 1.2, section 6."""
    if command.data:
        raise _StatusError(_SW_WRONG_LENGTH)
    return VERSION


def _register(context: Context, command: Command, polls: Polls) -> bytes:
    """U2F Raw Message Formats 1.2, section 4; P1 is ignored, as clients put several things there."""
    _check_allowed(context)
    if len(command.data) != 2 * _HASH_BYTES:
        raise _StatusError(_SW_WRONG_LENGTH)
    challenge, application = command.data[:_HASH_BYTES], command.data[_HASH_BYTES:]
    if not context.presence.touched_now(polls):
        raise _StatusError(_SW_NOT_TOUCHED)
    key = WrappedKey(algorithm=ES256, protection=1, private_key=signing.new_private_key(ES256))
    handle = wrapped_ids.wrap(context.state.secret, key, application, size=wrapped_id_bytes(context))
    public_key = signing.public_point(key.private_key)
    certificate, signature = attestation.u2f_signature(context, b"\0" + application + challenge + handle + public_key)
    return bytes([_RESERVED]) + public_key + bytes([len(handle)]) + handle + certificate + signature


def _authenticate(context: Context, command: Command, polls: Polls) -> bytes:
    """U2F Raw Message Formats 1.2, section 5."""
    _check_allowed(context)
    if command.p1 not in {_CHECK_ONLY, _SIGN, _SIGN_WITHOUT_PRESENCE}:
        raise _StatusError(_SW_WRONG_P1_P2)
    data = command.data
    handle = data[2 * _HASH_BYTES + 1 :]
    if len(data) <= 2 * _HASH_BYTES or len(handle) != data[2 * _HASH_BYTES]:
        raise _StatusError(_SW_WRONG_LENGTH)
    challenge, application = data[:_HASH_BYTES], data[_HASH_BYTES : 2 * _HASH_BYTES]
    key = wrapped_ids.unwrap(context.state.secret, handle, application)
    # What needs the user verified is as good as absent where nobody can be (CTAP 2.2, section 12.1).
    if key is None or key.algorithm != ES256 or key.protection >= UV_REQUIRED:
        raise _StatusError(_SW_WRONG_DATA)
    if command.p1 == _CHECK_ONLY:
        raise _StatusError(_SW_NOT_TOUCHED)
    present = context.presence.touched_now(polls)
    if command.p1 == _SIGN and not present:
        raise _StatusError(_SW_NOT_TOUCHED)
    claimed = present or Quirk.UP_FLAG_ALWAYS in context.quirks
    answer = bytes([claimed]) + next_counter(context)
    return answer + signing.sign(ES256, key.private_key, application + answer + challenge)


_COMMANDS: Mapping[int, Callable[[Context, Command, Polls], bytes]] = {
    0x01: _register,
    0x02: _authenticate,
    0x03: _version,
}


def _check_allowed(context: Context) -> None:
    """A key that always verifies its user has no U2F, where nobody can be verified (CTAP 2.2, section 7.2.4)."""
    if context.state.configuration.always_uv:
        raise _StatusError(_SW_NOT_ALLOWED)
