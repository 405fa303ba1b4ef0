"""authenticatorMakeCredential (CTAP 2.2, section 6.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.virtual import attestation, credentials, signing
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
from keyctl.virtual.extensions import HMAC_SECRET_MC, process_making
from keyctl.virtual.info import aaguid, room
from keyctl.virtual.profiles import PREVIEW_SIGN, RECOVERY
from keyctl.virtual.state import Credential
from keyctl.virtual.texts import NAME_BYTES, cut, stored_user_name
from keyctl.virtual.tokens import Permission, check_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.extensions import Draft
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
_MAX_USER_ID_BYTES = 64
#: The RPs that get enterprise attestation from the key's own list.
ENTERPRISE_RP_IDS = frozenset({"enterprise.example"})

# Parameters.
_CLIENT_DATA_HASH = 0x01
_RP = 0x02
_USER = 0x03
_ALGORITHMS = 0x04
_EXCLUDE_LIST = 0x05
_EXTENSIONS = 0x06
_OPTIONS = 0x07
_AUTH_PARAM = 0x08
_PROTOCOL = 0x09
_ENTERPRISE = 0x0A


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The parameters, with their types checked."""

    client_data_hash: bytes
    rp_id: str
    rp_name: str | None
    user_id: bytes
    user_name: str | None
    user_display_name: str | None
    algorithms: list[Parameters]
    exclude_list: list[Parameters]
    extensions: Parameters | None
    options: Parameters | None
    mac: bytes | None
    protocol: int | None
    enterprise: int | None


def make_credential(context: Context, request: Parameters) -> Mapping[int, Any]:
    """Make a credential; the steps are those of CTAP 2.2, section 6.1.2."""
    wanted = _read(request)
    answer_selection(context, wanted.mac)  # step 1
    if wanted.mac is not None:  # step 2
        check_protocol(context, wanted.protocol)
    algorithm = _choose_algorithm(context, wanted.algorithms)  # step 3
    discoverable = _check_options(wanted.options, has_mac=wanted.mac is not None)  # step 5
    check_always_uv(context, wanted.mac)  # step 6
    if context.state.pin is not None and wanted.mac is None and (discoverable or not context.profile.make_without_pin):
        raise CtapError(ERR.PUAT_REQUIRED)  # steps 7 and 8
    enterprise = _check_enterprise(context, wanted)  # step 9
    verified = verify_user(  # step 11
        context,
        protocol=wanted.protocol,
        mac=wanted.mac,
        data_hash=wanted.client_data_hash,
        permission=Permission.MC,
        rp_id=wanted.rp_id,
    )
    for excluded in credentials.listed(context, wanted.exclude_list, wanted.rp_id):  # step 12
        if verified or excluded.protection < credentials.UV_REQUIRED:
            touch(context)
            raise CtapError(ERR.CREDENTIAL_EXCLUDED)
    draft = process_making(
        context,
        wanted.extensions,
        rp_id=wanted.rp_id,
        discoverable=discoverable,
        has_mac=wanted.mac is not None,
    )
    user_name = stored_user_name(wanted.user_name, context.quirks)
    user_display_name = stored_user_name(wanted.user_display_name, context.quirks)
    touch(context)  # step 14
    credential = Credential(  # step 16
        id=b"",
        rp_id=wanted.rp_id,
        algorithm=algorithm,
        private_key=signing.new_private_key(algorithm),
        protection=draft.protection,
        user_id=wanted.user_id,
        user_name=user_name,
        user_display_name=user_display_name,
        rp_name=None if wanted.rp_name is None else cut(wanted.rp_name, NAME_BYTES),
        blob=draft.blob,
        large_blob_key=draft.large_blob_key,
    )
    if discoverable:
        credential = replace(credential, id=credentials.new_stored_id(context))
        _store(context, credential)
    else:
        size = credentials.wrapped_id_bytes(context)
        credential = replace(credential, id=credentials.wrap(context.state.secret, credential, size=size))
    if draft.salts is not None:
        draft.outputs[HMAC_SECRET_MC] = draft.salts.answer(credential, verified=verified)
    answer = _answer(context, credential, wanted.client_data_hash, draft, verified=verified, enterprise=enterprise)
    if enterprise:
        answer[0x04] = True
    if credential.large_blob_key is not None:
        answer[0x05] = credential.large_blob_key
    if draft.seed is not None:
        from keyctl.virtual import preview_sign

        seed = preview_sign.make_seed(context, draft.seed, credential.id)
        output = preview_sign.unsigned_output(
            context, seed, answer[0x02], wanted.client_data_hash, enterprise=enterprise
        )
        answer[0x06] = {PREVIEW_SIGN: output}
    return answer


def _read(request: Parameters) -> _Request:
    rp, user, options = request.map(_RP), request.map(_USER), request.optional_map(_OPTIONS)
    return _Request(
        client_data_hash=request.octets(_CLIENT_DATA_HASH, CLIENT_DATA_HASH_BYTES, CLIENT_DATA_HASH_BYTES),
        rp_id=rp.text("id", 1),
        rp_name=rp.optional_text("name"),
        user_id=user.octets("id", 1, _MAX_USER_ID_BYTES),
        user_name=user.optional_text("name"),
        user_display_name=user.optional_text("displayName"),
        algorithms=request.maps(_ALGORITHMS),
        exclude_list=request.optional_maps(_EXCLUDE_LIST) or [],
        extensions=request.optional_map(_EXTENSIONS),
        options=options,
        mac=request.optional_octets(_AUTH_PARAM),
        protocol=request.optional_integer(_PROTOCOL),
        enterprise=request.optional_integer(_ENTERPRISE),
    )


def _choose_algorithm(context: Context, offered: list[Parameters]) -> int:
    """The first algorithm offered that the key has; every element is checked, also those after it."""
    pairs = [(element.text("type"), element.integer("alg")) for element in offered]
    for kind, algorithm in pairs:
        if kind == credentials.PUBLIC_KEY_TYPE and algorithm in context.profile.algorithms:
            return algorithm
    raise CtapError(ERR.UNSUPPORTED_ALGORITHM)


def _check_options(options: Parameters | None, *, has_mac: bool) -> bool:
    """Whether the credential is to be discoverable."""
    check_uv_option(options, has_mac=has_mac)
    if options is None:
        return False
    if options.flag("up") is False:
        raise CtapError(ERR.INVALID_OPTION)
    return bool(options.flag("rk"))


def _check_enterprise(context: Context, wanted: _Request) -> bool:
    """Whether the attestation may tell this key from others of its kind.

    Raises:
        CtapError: INVALID_PARAMETER where that is off, INVALID_OPTION for a kind that nobody knows.
    """
    if wanted.enterprise is None:
        return False
    if not context.state.configuration.enterprise:
        raise CtapError(ERR.INVALID_PARAMETER)
    match wanted.enterprise:
        case 1:  # the key's maker chose the RPs
            return wanted.rp_id in ENTERPRISE_RP_IDS
        case 2:  # the platform did
            return True
        case _:
            raise CtapError(ERR.INVALID_OPTION)


def _store(context: Context, credential: Credential) -> None:
    """Keep *credential*, in the place of one of the same user at the same RP (steps 17 and 18).

    Raises:
        CtapError: KEY_STORE_FULL.
    """
    others = tuple(
        other
        for other in context.state.credentials
        if (other.rp_id, other.user_id) != (credential.rp_id, credential.user_id)
    )
    if len(others) == len(context.state.credentials) and not room(context):
        raise CtapError(ERR.KEY_STORE_FULL)
    context.state.replace_credentials((*others, credential))
    context.changed(durable=True)


def _answer(
    context: Context,
    credential: Credential,
    client_data_hash: bytes,
    draft: Draft,
    *,
    verified: bool,
    enterprise: bool,
) -> dict[int, Any]:
    """The attestation object, format packed (step 19)."""
    own_aaguid = aaguid(context)
    attested = b"".join(
        (
            own_aaguid,
            len(credential.id).to_bytes(2, "big"),
            credential.id,
            cbor.encode(signing.public_key(credential.algorithm, credential.private_key)),
        )
    )
    flags = Flag.UP | (Flag.UV if verified else Flag(0))
    if draft.recovering is None:
        data = authenticator_data(context, credential.rp_id, flags, attested=attested, extensions=draft.outputs)
    else:
        # Its signature is over all that stands before the extensions, among which it is then put.
        data = authenticator_data(context, credential.rp_id, flags | Flag.ED, attested=attested)
        data += cbor.encode(draft.outputs | {RECOVERY: draft.recovering.output(data + client_data_hash)})
    return {
        0x01: "packed",
        0x02: data,
        0x03: attestation.statement(context, own_aaguid, data + client_data_hash, enterprise=enterprise),
    }
