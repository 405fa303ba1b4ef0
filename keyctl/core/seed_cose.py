"""The seed's three forms in COSE: seed public key, signing arguments and derived key.

As in draft-bradleylundberg-cfrg-arkg-11, sections 5.1 and 5.3. What is written is always the same bytes for the same
thing: exactly the parameters below, in canonical order. What is read may differ as keys and drafts do. The two keys in
a seed may have an algorithm (a YubiKey writes -7 and -25) or none (the draft's example), and a sign in the place of the
second coordinate (RFC 9053, section 7.1.1). The derived keys' algorithm may be left out (section 5.1 makes it
optional), and parameters that say nothing about the points, such as a key id, are dropped. What contradicts is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.core import p256
from keyctl.core.arkg import KEY_HANDLE_BYTES, MAX_CTX_BYTES, ArkgError, SeedPublicKey
from keyctl.core.decoding import decode_map
from keyctl.core.seed_numbers import ARKG_P256, ARKG_PUB, ESP256, ESP256_SPLIT_ARKG

if TYPE_CHECKING:
    from collections.abc import Mapping

# Labels of COSE_Key (RFC 9052, section 7.1), of EC2 keys (RFC 9053, section 7.1.1) and of the draft's two structures.
_KEY_TYPE, _ALGORITHM = 1, 3
_CURVE, _X, _Y, _PRIVATE = -1, -2, -3, -4
_PK_BL, _PK_KEM, _DERIVED_ALGORITHM = -1, -2, -3
_KEY_HANDLE, _CTX = -1, -2
_EC2, _P256 = 2, 1
#: The same algorithm, before it was told apart by curve (RFC 9053, section 2.1).
_ES256 = -7
_UNCOMPRESSED = b"\x04"
#: The first byte of a compressed point, by whether its second coordinate is odd.
_COMPRESSED = {False: b"\x02", True: b"\x03"}


@dataclass(frozen=True)
class SignArguments:
    """COSE_Sign_Args: what the owner of the seed needs to sign as a derived key."""

    key_handle: bytes
    ctx: bytes


def encode_seed(seed: SeedPublicKey) -> bytes:
    """The COSE_Key of *seed*, the one encoding that is hashed, stored and compared."""
    return _encoded(
        {
            _KEY_TYPE: ARKG_PUB,
            _ALGORITHM: ARKG_P256,
            _PK_BL: _ec2(seed.pk_bl),
            _PK_KEM: _ec2(seed.pk_kem),
            _DERIVED_ALGORITHM: ESP256,
        }
    )


def read_seed(content: bytes) -> SeedPublicKey:
    """The seed in a COSE_Key.

    Raises:
        ArkgError: It is no COSE_Key, or one of another type, algorithm or curve, or a point in it makes no sense.
    """
    return seed_from(_decoded(content, "the seed"))


def seed_from(parameters: object) -> SeedPublicKey:
    """The seed in a COSE_Key that is decoded already.

    Raises:
        ArkgError: As :func:`read_seed`.
    """
    if not isinstance(parameters, dict):
        raise ArkgError("the seed is no COSE key")
    if not _is(parameters, _KEY_TYPE, ARKG_PUB):
        raise ArkgError("the seed is of another key type")
    if not _is(parameters, _ALGORITHM, ARKG_P256):
        raise ArkgError("the seed is for another algorithm than ARKG-P256")
    if _DERIVED_ALGORITHM in parameters and not _is(parameters, _DERIVED_ALGORITHM, ESP256):
        raise ArkgError("the seed is for derived keys of another algorithm than ESP256")
    points = (_point(parameters.get(label), "a key in the seed") for label in (_PK_BL, _PK_KEM))
    return SeedPublicKey(*points)


def encode_sign_arguments(key_handle: bytes, ctx: bytes) -> bytes:
    """COSE_Sign_Args for signing a digest as a derived key (section 5.3)."""
    return _encoded({_ALGORITHM: ESP256_SPLIT_ARKG, _KEY_HANDLE: key_handle, _CTX: ctx})


def read_sign_arguments(content: bytes) -> SignArguments:
    """What is in COSE_Sign_Args.

    Raises:
        ArkgError: They make no sense, are for another algorithm, or handle or context have an impossible length.
    """
    arguments = _decoded(content, "the signing arguments")
    if not _is(arguments, _ALGORITHM, ESP256_SPLIT_ARKG):
        raise ArkgError("the signing arguments are for another algorithm")
    key_handle, ctx = arguments.get(_KEY_HANDLE), arguments.get(_CTX)
    if not isinstance(key_handle, bytes) or len(key_handle) != KEY_HANDLE_BYTES:
        raise ArkgError("the signing arguments hold no key handle")
    if not isinstance(ctx, bytes) or len(ctx) > MAX_CTX_BYTES:
        raise ArkgError("the signing arguments hold no context")
    return SignArguments(key_handle, ctx)


def encode_derived_key(point: bytes) -> bytes:
    """The COSE_Key of a derived public key: an EC2 key for ESP256.

    Raises:
        ArkgError: *point* is not an uncompressed point of P-256.
    """
    _check(point, "the derived key")
    return _encoded({**_ec2(point), _ALGORITHM: ESP256})


def read_derived_key(content: bytes) -> bytes:
    """The point, 65 bytes, of a derived public key; its algorithm may be ESP256, ES256 or left out.

    Raises:
        ArkgError: It is no COSE_Key, or another key.
    """
    parameters = _decoded(content, "the derived key")
    if _ALGORITHM in parameters and not (_is(parameters, _ALGORITHM, ESP256) or _is(parameters, _ALGORITHM, _ES256)):
        raise ArkgError("the derived key is for another algorithm than ESP256")
    point = _point(parameters, "the derived key")
    _check(point, "the derived key")
    return point


def _ec2(point: bytes) -> dict[int, Any]:
    x, y = point[1 : 1 + p256.COORDINATE_BYTES], point[1 + p256.COORDINATE_BYTES :]
    return {_KEY_TYPE: _EC2, _CURVE: _P256, _X: x, _Y: y}


def _point(parameters: object, what: str) -> bytes:
    """The point of an EC2 key; whether two coordinates are on the curve is not looked at."""
    if not isinstance(parameters, dict) or not _is(parameters, _KEY_TYPE, _EC2) or not _is(parameters, _CURVE, _P256):
        raise ArkgError(f"{what} is no key on P-256")
    if _PRIVATE in parameters:
        # Known to somebody else than the key, then.
        raise ArkgError(f"{what} comes with its private half")
    x, y = parameters.get(_X), parameters.get(_Y)
    if isinstance(x, bytes) and isinstance(y, bool):
        try:
            return p256.uncompressed(_COMPRESSED[y] + x)
        except ValueError as error:
            raise ArkgError(f"{what} has no proper coordinates") from error
    if not (isinstance(x, bytes) and isinstance(y, bytes) and len(x) == len(y) == p256.COORDINATE_BYTES):
        raise ArkgError(f"{what} has no proper coordinates")
    return _UNCOMPRESSED + x + y


def _check(point: bytes, what: str) -> None:
    if not p256.on_curve(point):
        raise ArkgError(f"{what} is not an uncompressed point of P-256")


def _is(parameters: Mapping[Any, Any], label: int, number: int) -> bool:
    """Whether *label* is there with *number*; for Python, 1 equals true."""
    value = parameters.get(label)
    return type(value) is int and value == number


def _encoded(parameters: Mapping[int, Any]) -> bytes:
    from fido2 import cbor

    return cbor.encode(parameters)


def _decoded(content: bytes, what: str) -> Mapping[Any, Any]:
    try:
        return decode_map(content)
    except ValueError as error:
        raise ArkgError(f"{what} cannot be decoded") from error
