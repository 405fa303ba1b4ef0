"""authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.2, sections 6.2 and 6.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.virtual import credentials, signing
from keyctl.virtual.authorization import (
    CLIENT_DATA_HASH_BYTES,
    Flag,
    answer_selection,
    authenticator_data,
    check_always_uv,
    check_uv_option,
    touch,
    verify_user,
)
from keyctl.virtual.extensions import Wishes, check_asserting, process_asserting
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.texts import told
from keyctl.virtual.tokens import Permission, check_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters
    from keyctl.virtual.state import Credential

ERR = CtapError.ERR
_KIND = "assertion"

# Parameters.
_RP_ID = 0x01
_CLIENT_DATA_HASH = 0x02
_ALLOW_LIST = 0x03
_EXTENSIONS = 0x04
_OPTIONS = 0x05
_AUTH_PARAM = 0x06
_PROTOCOL = 0x07


@dataclass(frozen=True, kw_only=True)
class _Assertion:
    """What all assertions of one request share."""

    rp_id: str
    client_data_hash: bytes
    flags: Flag
    #: Whether the user's name may be told.
    names: bool
    wishes: Wishes


def get_assertion(context: Context, request: Parameters) -> Mapping[int, Any]:
    """Sign with a credential; the steps are those of CTAP 2.2, section 6.2.2."""
    rp_id = request.text(_RP_ID, 1)
    client_data_hash = request.octets(_CLIENT_DATA_HASH, CLIENT_DATA_HASH_BYTES, CLIENT_DATA_HASH_BYTES)
    allow_list = request.optional_maps(_ALLOW_LIST) or []
    inputs = request.optional_map(_EXTENSIONS)
    options = request.optional_map(_OPTIONS)
    mac, protocol = request.optional_octets(_AUTH_PARAM), request.optional_integer(_PROTOCOL)

    answer_selection(context, mac)  # step 1
    if mac is not None:  # step 2
        check_protocol(context, protocol)
    present = _check_options(options, has_mac=mac is not None)  # step 4
    if present or Quirk.SILENT_WITHOUT_UV not in context.quirks:
        # Step 5 lets silent assertions pass, and some keys do; others want the PIN for them too.
        check_always_uv(context, mac)
    verified = verify_user(  # step 6
        context, protocol=protocol, mac=mac, data_hash=client_data_hash, permission=Permission.GA, rp_id=rp_id
    )
    check_asserting(context, inputs, has_list=bool(allow_list))
    found = _find(context, rp_id, allow_list, verified=verified)  # step 7
    if not found:
        raise CtapError(ERR.NO_CREDENTIALS)
    # Step 10, before a touch is asked for.
    wishes = process_asserting(context, inputs, found[0], present=present, verified=verified)
    if present:  # step 9
        touch(context)
    assertion = _Assertion(
        rp_id=rp_id,
        client_data_hash=client_data_hash,
        flags=(Flag.UP if present or Quirk.UP_FLAG_ALWAYS in context.quirks else Flag(0))
        | (Flag.UV if verified else Flag(0)),
        names=verified and len(found) > 1,
        wishes=wishes,
    )
    answer = _sign(context, found[0], assertion)
    if len(found) > 1:  # step 12
        answer[0x05] = len(found)
        context.continuation = context.begin(_KIND, tuple(found[1:]), assertion)
    return answer


def get_next_assertion(context: Context) -> Mapping[int, Any]:
    """Sign with the next credential of the list (CTAP 2.2, section 6.3).

    Raises:
        CtapError: NOT_ALLOWED, because there is none or 30 s went by.
    """
    continuation = context.resume(_KIND)
    if continuation is None:
        raise CtapError(ERR.NOT_ALLOWED)
    answer = _sign(context, continuation.items[0], continuation.shared)
    context.continuation = replace(continuation, items=continuation.items[1:], last_used=context.now)
    return answer


def _check_options(options: Parameters | None, *, has_mac: bool) -> bool:
    """Whether a touch is wanted."""
    check_uv_option(options, has_mac=has_mac)
    if options is None:
        return True
    if options.flag("rk") is not None:
        raise CtapError(ERR.UNSUPPORTED_OPTION)
    return options.flag("up") is not False


def _find(context: Context, rp_id: str, allow_list: list[Parameters], *, verified: bool) -> list[Credential]:
    """The credentials to sign with: the first of the list that is on this key, or the discoverable, newest first."""
    if allow_list:
        candidates = credentials.listed(context, allow_list, rp_id)
        return [found for found in candidates if credentials.permitted(found, verified=verified, by_id=True)][:1]
    candidates = [credential for credential in reversed(context.state.credentials) if credential.rp_id == rp_id]
    return [found for found in candidates if credentials.permitted(found, verified=verified, by_id=False)]


def _sign(context: Context, credential: Credential, assertion: _Assertion) -> dict[int, Any]:
    wishes = assertion.wishes
    outputs = wishes.outputs(credential, verified=Flag.UV in assertion.flags)
    data = authenticator_data(context, assertion.rp_id, assertion.flags, extensions=outputs)
    answer: dict[int, Any] = {
        0x01: {"id": credential.id, "type": credentials.PUBLIC_KEY_TYPE},
        0x02: data,
        0x03: signing.sign(credential.algorithm, credential.private_key, data + assertion.client_data_hash),
    }
    if credential.user_id is not None:
        user: dict[str, Any] = {"id": credential.user_id}
        if assertion.names and credential.user_name is not None:
            user["name"] = told(credential.user_name)
        if assertion.names and credential.user_display_name is not None:
            user["displayName"] = told(credential.user_display_name)
        answer[0x04] = user
    if wishes.large_blob_key and credential.large_blob_key is not None:
        answer[0x07] = credential.large_blob_key
    return answer
