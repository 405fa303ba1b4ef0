"""authenticatorLargeBlobs (CTAP 2.2, section 6.10)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual import tokens
from keyctl.virtual.state import NO_LARGE_BLOBS
from keyctl.virtual.tokens import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
#: What a message may have besides a fragment.
_OVERHEAD_BYTES = 64
_CHECKSUM_BYTES = 16
_KIND = "large blobs"
_MAC_PREFIX = b"\xff" * 32 + b"\x0c\x00"
_OFFSET_BYTES = 4

# Parameters.
_GET = 0x01
_SET = 0x02
_OFFSET = 0x03
_LENGTH = 0x04
_AUTH_PARAM = 0x05
_PROTOCOL = 0x06


def large_blobs(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    """Read a part of the array, or write one; the steps are those of CTAP 2.2, section 6.10."""
    offset, count, fragment = (
        request.optional_integer(_OFFSET),
        request.optional_integer(_GET),
        request.optional_octets(_SET),
    )
    if offset is None or offset < 0 or (count is None) == (fragment is None):
        raise CtapError(ERR.INVALID_PARAMETER)
    longest = context.profile.max_message_bytes - _OVERHEAD_BYTES
    if fragment is not None:
        if len(fragment) > longest:
            raise CtapError(ERR.INVALID_LENGTH)
        _write(context, request, offset, fragment)
        return None
    assert count is not None
    if count < 0 or any(request.has(key) for key in (_LENGTH, _AUTH_PARAM, _PROTOCOL)):
        raise CtapError(ERR.INVALID_PARAMETER)
    if count > longest:
        raise CtapError(ERR.INVALID_LENGTH)
    array = context.state.large_blobs
    if offset > len(array):
        raise CtapError(ERR.INVALID_PARAMETER)
    return {0x01: array[offset : offset + count]}


def _write(context: Context, request: Parameters, offset: int, fragment: bytes) -> None:
    """Take one fragment; the last one makes all of them the array.

    What came so far is kept like other things that commands continue: by the handle, for a short time, and until
    another command comes.
    """
    length = request.optional_integer(_LENGTH)
    if (offset == 0) != (length is not None):
        raise CtapError(ERR.INVALID_PARAMETER)
    if length is not None:
        if length > context.profile.large_blobs_bytes:
            raise CtapError(ERR.LARGE_BLOB_STORAGE_FULL)
        if length < len(NO_LARGE_BLOBS):
            raise CtapError(ERR.INVALID_PARAMETER)
        earlier, total = b"", length
    else:
        begun = context.resume(_KIND)
        if begun is None:
            raise CtapError(ERR.INVALID_SEQ)
        (earlier,), total = begun.items, begun.shared
    if offset != len(earlier):
        raise CtapError(ERR.INVALID_SEQ)
    _authenticate(context, request, offset, fragment)
    array = earlier + fragment
    if len(array) > total:
        raise CtapError(ERR.INVALID_PARAMETER)
    if len(array) < total:
        context.continuation = context.begin(_KIND, (array,), total)
        return
    if array[-_CHECKSUM_BYTES:] != sha256(array[:-_CHECKSUM_BYTES]).digest()[:_CHECKSUM_BYTES]:
        raise CtapError(ERR.INTEGRITY_FAILURE)
    context.state.large_blobs = array
    context.changed(durable=True)


def _authenticate(context: Context, request: Parameters, offset: int, fragment: bytes) -> None:
    """Refuse to write without a token, where users can be verified.

    Raises:
        CtapError: PUAT_REQUIRED without one, else as tokens.authenticate.
    """
    mac, protocol = request.optional_octets(_AUTH_PARAM), request.optional_integer(_PROTOCOL)
    if context.state.pin is None and not context.state.configuration.always_uv:
        return
    if mac is None:
        raise CtapError(ERR.PUAT_REQUIRED)
    message = _MAC_PREFIX + offset.to_bytes(_OFFSET_BYTES, "little") + sha256(fragment).digest()
    tokens.authenticate(context, protocol, message, mac, Permission.LBW)
