"""Public keys of credentials (COSE_Key, RFC 9052, section 7) and what is signed with them.

Every key here comes from a key, a file or another machine: what makes no sense verifies nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from keyctl.core.decoding import decode_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: COSE algorithm numbers (RFC 9053, section 2; RFC 8812, section 2).
ES256 = -7
EDDSA = -8
RS256 = -257

# Labels of COSE_Key, and of the parameters that a key type has; those of RSA keys have numbers of their own.
_KEY_TYPE, _ALGORITHM, _CURVE, _X, _Y = 1, 3, -1, -2, -3
_MODULUS, _EXPONENT = -1, -2
_OKP, _EC2, _RSA = 1, 2, 3
_P256, _ED25519 = 1, 6

_COORDINATE_BYTES = 32
_UNCOMPRESSED = b"\x04"
# The maps up to the first coordinate, in canonical CBOR: type, algorithm and curve are fixed for each.
_ES256_HEAD = bytes.fromhex("a5010203262001215820")
_ES256_BETWEEN = bytes.fromhex("225820")
_ED25519_HEAD = bytes.fromhex("a4010103272006215820")
#: In bytes: 2048 to 8192 bits. Larger ones only cost time; so do long exponents.
_MODULUS_BYTES = range(256, 1025)
_MAX_EXPONENT_BYTES = 4


def es256(point: bytes) -> bytes:
    """The COSE_Key of an ES256 key.

    Args:
        point: Both coordinates, 32 bytes each, with or without the 0x04 of an uncompressed point before them
            (SEC 1, section 2.3.3). Whether it is on the curve is not looked at.

    Raises:
        ValueError: It has another length or form.
    """
    coordinates = point.removeprefix(_UNCOMPRESSED) if len(point) == 2 * _COORDINATE_BYTES + 1 else point
    if len(coordinates) != 2 * _COORDINATE_BYTES:
        raise ValueError("no uncompressed point of P-256")
    x, y = coordinates[:_COORDINATE_BYTES], coordinates[_COORDINATE_BYTES:]
    return _ES256_HEAD + x + _ES256_BETWEEN + y


def ed25519(key: bytes) -> bytes:
    """The COSE_Key of an Ed25519 key of 32 bytes.

    Raises:
        ValueError: It has another length.
    """
    if len(key) != _COORDINATE_BYTES:
        raise ValueError("no Ed25519 key")
    return _ED25519_HEAD + key


def canonical(parameters: Mapping[Any, Any]) -> bytes | None:
    """The one encoding of a decoded ES256 or Ed25519 key, without anything else it may hold; None for other keys."""
    kind = tuple(parameters.get(label) for label in (_KEY_TYPE, _ALGORITHM, _CURVE))
    x, y = parameters.get(_X), parameters.get(_Y)
    if kind == (_EC2, ES256, _P256) and _is_coordinate(x) and _is_coordinate(y):
        return es256(x + y)
    if kind == (_OKP, EDDSA, _ED25519) and _is_coordinate(x):
        return ed25519(x)
    return None


def algorithm(public_key: bytes) -> int | None:
    """The COSE number of the algorithm that *public_key* is for; None when :func:`verifies` cannot use it."""
    parameters = _decoded(public_key)
    if canonical(parameters) is not None or _is_rs256(parameters):
        number: int = parameters[_ALGORITHM]
        return number
    return None


def verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether *signature* is one of *message* under *public_key*: ES256 (DER), EdDSA on Ed25519, or RS256.

    False for anything that is wrong with any of them, a point that is not on the curve among it.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    verify = _VERIFIERS.get(algorithm(public_key) or 0)
    if verify is None:
        return False
    try:
        verify(_decoded(public_key), message, signature)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _verify_es256(parameters: Mapping[Any, Any], message: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    point = _UNCOMPRESSED + parameters[_X] + parameters[_Y]
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    key.verify(signature, message, ec.ECDSA(SHA256()))


def _verify_ed25519(parameters: Mapping[Any, Any], message: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519 as curve

    curve.Ed25519PublicKey.from_public_bytes(parameters[_X]).verify(signature, message)


def _verify_rs256(parameters: Mapping[Any, Any], message: bytes, signature: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    modulus, exponent = (int.from_bytes(parameters[label], "big") for label in (_MODULUS, _EXPONENT))
    rsa.RSAPublicNumbers(exponent, modulus).public_key().verify(signature, message, padding.PKCS1v15(), SHA256())


_VERIFIERS: Mapping[int, Callable[[Mapping[Any, Any], bytes, bytes], None]] = {
    ES256: _verify_es256,
    EDDSA: _verify_ed25519,
    RS256: _verify_rs256,
}


def _decoded(public_key: bytes) -> Mapping[Any, Any]:
    """The parameters of *public_key*; empty when it is no map."""
    try:
        return decode_map(public_key)
    except ValueError:
        return {}


def _is_coordinate(value: object) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and len(value) == _COORDINATE_BYTES


def _is_rs256(parameters: Mapping[Any, Any]) -> bool:
    """Whether it is an RS256 key of a sensible size."""
    modulus, exponent = parameters.get(_MODULUS), parameters.get(_EXPONENT)
    if (parameters.get(_KEY_TYPE), parameters.get(_ALGORITHM)) != (_RSA, RS256):
        return False
    if not isinstance(modulus, bytes) or not isinstance(exponent, bytes):
        return False
    return len(modulus) in _MODULUS_BYTES and modulus[0] != 0 and 0 < len(exponent) <= _MAX_EXPONENT_BYTES
