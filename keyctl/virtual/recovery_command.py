"""The command authenticatorRecovery of Yubico's draft: seeds leave a backup key here and reach a primary key.

The draft's own command byte, 0x0D, has been authenticatorConfig since CTAP 2.1, so this has one of the vendor range.
Subcommands and parameters have the draft's numbers. Where it is silent or too weak: a MAC covers command, subcommand
and parameters, tokens need a permission of their own, export and import take a touch, the seeds can be listed and
removed, and a seed that no trusted certificate vouches for is taken only where the client says that it may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core import p256, recovery, recovery_seeds
from keyctl.core.attestation import AttestationError
from keyctl.virtual import attestation, signing, tokens
from keyctl.virtual.authorization import touch
from keyctl.virtual.backup_seeds import MAX_SEEDS, BackupSeed, BackupSeeds
from keyctl.virtual.info import aaguid
from keyctl.virtual.profiles import ES256
from keyctl.virtual.tokens import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.requests import Parameters

ERR = CtapError.ERR
#: The command byte.
COMMAND = 0x4B

# Parameters, and members of the answers; those from 0x06 on are not the draft's.
_SUBCOMMAND = 0x01
_ALLOWED_ALGS = 0x02
_SEED = 0x03
_PROTOCOL = 0x04
_AUTH_PARAM = 0x05
_ALLOW_UNATTESTED = 0x06
_SEEDS = 0x07
_STATE = 0x08

# Members of a seed.
_SEED_ALG = 0x01
_SEED_AAGUID = 0x02
_SEED_POINT = 0xFF

#: Parameters that the MAC does not cover with the others.
_NOT_COVERED = {_SUBCOMMAND, _PROTOCOL, _AUTH_PARAM}


def authenticator_recovery(context: Context, request: Parameters) -> Mapping[int, Any] | None:
    """Run one subcommand."""
    run = _SUBCOMMANDS.get(request.integer(_SUBCOMMAND))
    if run is None:
        raise CtapError(ERR.INVALID_SUBCOMMAND)
    return run(context, request)


def _get_allowed_algs(_: Context, __: Parameters) -> Mapping[int, Any]:
    return {_ALLOWED_ALGS: [recovery.ALG]}


def _export_seed(context: Context, request: Parameters) -> Mapping[int, Any]:
    """The first export makes the seed.

    Raises:
        CtapError: UNSUPPORTED_ALGORITHM; else as :func:`_authenticate` and touch.
    """
    _authenticate(context, request)
    if recovery.ALG not in request.integers(_ALLOWED_ALGS):
        raise CtapError(ERR.UNSUPPORTED_ALGORITHM)
    touch(context)
    own = context.state.backup_seeds.own
    if own is None:
        own = signing.new_private_key(ES256)
        context.state.backup_seeds = context.state.backup_seeds.owning(own)
        context.changed(durable=True)
    point, own_aaguid = signing.public_point(own), aaguid(context)
    statement = attestation.statement(context, own_aaguid, recovery_seeds.signed_bytes(own_aaguid, point))
    seed = recovery_seeds.RecoverySeed(
        aaguid=own_aaguid, point=point, x5c=tuple(statement["x5c"]), signature=statement["sig"]
    )
    return {_SEED: seed.to_map()}


def _import_seed(context: Context, request: Parameters) -> None:
    """A seed that is there already stays; with another AAGUID, it takes the old one's place.

    Raises:
        CtapError: KEY_STORE_FULL, UNSUPPORTED_ALGORITHM, INVALID_PARAMETER for a seed that makes no sense,
            INTEGRITY_FAILURE for one that nobody vouches for; else as :func:`_authenticate` and touch.
    """
    _authenticate(context, request)
    seed = _read_seed(context, request)
    held = context.state.backup_seeds
    others = tuple(one for one in held.given if one.point != seed.point)
    if len(others) == MAX_SEEDS:
        raise CtapError(ERR.KEY_STORE_FULL)
    touch(context)
    if seed not in held.given:
        _keep(context, held.having((*others, seed)))


def _list_seeds(context: Context, request: Parameters) -> Mapping[int, Any]:
    _authenticate(context, request)
    seeds = context.state.backup_seeds
    told = [{_SEED_ALG: recovery.ALG, _SEED_AAGUID: seed.aaguid, _SEED_POINT: seed.point} for seed in seeds.given]
    return {_SEEDS: told, _STATE: seeds.changes}


def _remove_seed(context: Context, request: Parameters) -> None:
    """Forget the seed with the public key that the parameter seed has.

    Raises:
        CtapError: NO_CREDENTIALS where there is none; else as :func:`_authenticate`.
    """
    _authenticate(context, request)
    point = request.map(_SEED).octets(_SEED_POINT, p256.POINT_BYTES, p256.POINT_BYTES)
    held = context.state.backup_seeds
    left = tuple(seed for seed in held.given if seed.point != point)
    if left == held.given:
        raise CtapError(ERR.NO_CREDENTIALS)
    _keep(context, held.having(left))


_SUBCOMMANDS: Mapping[int, Callable[[Context, Parameters], Mapping[int, Any] | None]] = {
    0x01: _get_allowed_algs,
    0x02: _export_seed,
    0x03: _import_seed,
    0x04: _list_seeds,
    0x05: _remove_seed,
}


def _authenticate(context: Context, request: Parameters) -> None:
    """Refuse without a PIN.

    Raises:
        CtapError: PUAT_REQUIRED or PIN_NOT_SET without a token, else as tokens.authenticate.
    """
    mac, protocol = request.optional_octets(_AUTH_PARAM), request.optional_integer(_PROTOCOL)
    if context.state.pin is None:
        raise CtapError(ERR.PIN_NOT_SET)
    if mac is None:
        raise CtapError(ERR.PUAT_REQUIRED)
    covered = {number: value for number, value in request.raw.items() if number not in _NOT_COVERED}
    message = b"\xff" * 32 + bytes([COMMAND, request.integer(_SUBCOMMAND)])
    if covered:
        # The request was canonical, so encoding again gives the bytes that came.
        message += cbor.encode(covered)
    tokens.authenticate(context, protocol, message, mac, Permission.RECOVERY)


def _read_seed(context: Context, request: Parameters) -> BackupSeed:
    parameters = request.map(_SEED)
    allow_unattested = bool(request.flag(_ALLOW_UNATTESTED))
    try:
        seed = recovery_seeds.seed_from_map(parameters.raw)
    except recovery_seeds.UnknownSchemeError:
        raise CtapError(ERR.UNSUPPORTED_ALGORITHM) from None
    except ValueError:
        raise CtapError(ERR.INVALID_PARAMETER) from None
    with context.folder_locked():
        root = attestation.root_certificate(context.folder)
    try:
        attested = recovery_seeds.is_attested(seed, [root])
    except AttestationError:
        raise CtapError(ERR.INTEGRITY_FAILURE) from None
    if not (attested or allow_unattested):
        raise CtapError(ERR.INTEGRITY_FAILURE)
    return BackupSeed(aaguid=seed.aaguid, point=seed.point)


def _keep(context: Context, seeds: BackupSeeds) -> None:
    context.state.backup_seeds = seeds
    context.changed(durable=True)
