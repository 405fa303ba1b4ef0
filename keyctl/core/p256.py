"""Arithmetic on the curve P-256 (SEC 2, section 2.4.2), over SEC 1 points and numbers.

The scalar multiplications and the key agreement are OpenSSL's, through ``cryptography``. Only the addition of two
points is done here, because no library that is loaded anyway offers it; it is not constant in time, and is for points
that are public or that an attacker does not get to time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

#: The order of the group.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
COORDINATE_BYTES = 32
#: An uncompressed point: 0x04, x and y (SEC 1, section 2.3.3).
POINT_BYTES = 1 + 2 * COORDINATE_BYTES

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_UNCOMPRESSED = 0x04


def on_curve(point: bytes) -> bool:
    """Whether *point* is an uncompressed point of the curve; the point at infinity has no such form."""
    if len(point) != POINT_BYTES or point[0] != _UNCOMPRESSED:
        return False
    x, y = _coordinates(point)
    return x < _P and y < _P and (y * y - (x * x * x + _A * x + _B)) % _P == 0


def add(one: bytes, other: bytes) -> bytes:
    """The sum of two points, in affine coordinates.

    Raises:
        ValueError: One of them is not on the curve, or the sum is the point at infinity.
    """
    if not (on_curve(one) and on_curve(other)):
        raise ValueError("a point is not on the curve")
    x1, y1 = _coordinates(one)
    x2, y2 = _coordinates(other)
    if x1 != x2:
        slope = (y2 - y1) * pow(x2 - x1, -1, _P)
    elif y1 == y2:
        # The order is odd, so no point has y = 0.
        slope = (3 * x1 * x1 + _A) * pow(2 * y1, -1, _P)
    else:
        raise ValueError("the sum is the point at infinity")
    x = (slope * slope - x1 - x2) % _P
    y = (slope * (x1 - x) - y1) % _P
    return bytes([_UNCOMPRESSED]) + x.to_bytes(COORDINATE_BYTES, "big") + y.to_bytes(COORDINATE_BYTES, "big")


def compressed(point: bytes) -> bytes:
    """An uncompressed point with its x coordinate alone (SEC 1, section 2.3.3), 33 bytes; not checked."""
    return bytes([0x02 | point[-1] & 1]) + point[1 : 1 + COORDINATE_BYTES]


def uncompressed(point: bytes) -> bytes:
    """A compressed point (SEC 1, section 2.3.4), 33 bytes, with both coordinates.

    Raises:
        ValueError: It has another form, or is not on the curve.
    """
    if len(point) != 1 + COORDINATE_BYTES or point[0] not in {2, 3}:
        raise ValueError("no compressed point")
    x = int.from_bytes(point[1:], "big")
    # As P = 3 mod 4, this is a square root where there is one.
    y = pow(x * x * x + _A * x + _B, (_P + 1) // 4, _P)
    y = y if y & 1 == point[0] & 1 else _P - y
    found = bytes([_UNCOMPRESSED]) + point[1:] + y.to_bytes(COORDINATE_BYTES, "big")
    if not on_curve(found):
        raise ValueError("the point is not on the curve")
    return found


def base_multiple(k: int) -> bytes:
    """The public key of the private key *k*.

    Raises:
        ValueError: *k* is not from 1 to N - 1.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    _check_scalar(k)
    numbers = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers()
    return (
        bytes([_UNCOMPRESSED])
        + numbers.x.to_bytes(COORDINATE_BYTES, "big")
        + numbers.y.to_bytes(COORDINATE_BYTES, "big")
    )


def ecdh_x(k: int, point: bytes) -> bytes:
    """The x coordinate of *k* times *point*, always 32 bytes.

    Raises:
        ValueError: *k* is not from 1 to N - 1, or *point* is not on the curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    _check_scalar(k)
    return ec.derive_private_key(k, ec.SECP256R1()).exchange(ec.ECDH(), public_key(point))


def public_key(point: bytes) -> EllipticCurvePublicKey:
    """*point* as a key of ``cryptography``.

    Raises:
        ValueError: It is not on the curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    if not on_curve(point):
        raise ValueError("the point is not on the curve")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def verifies(point: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether *signature* is one by the private key of *point*; False for whatever is wrong with any of them.

    Args:
        point: The public key, uncompressed.
        digest: SHA-256 of what was signed, 32 bytes.
        signature: ECDSA in DER.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        public_key(point).verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_scalar(k: int) -> None:
    if not 0 < k < N:
        raise ValueError("the number is not from 1 to the order of the curve less 1")


def _coordinates(point: bytes) -> tuple[int, int]:
    return int.from_bytes(point[1 : 1 + COORDINATE_BYTES], "big"), int.from_bytes(point[1 + COORDINATE_BYTES :], "big")
