"""Points of P-256."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import p256

SCALARS = st.integers(1, p256.N - 1) | st.sampled_from([1, 2, p256.N - 2, p256.N - 1])
G = p256.base_multiple(1)


@settings(max_examples=50)
@given(SCALARS, SCALARS)
def test_adding_points_adds_their_private_keys(one, other):
    total = (one + other) % p256.N
    points = p256.base_multiple(one), p256.base_multiple(other)
    if total:
        assert p256.add(*points) == p256.base_multiple(total)
    else:
        with pytest.raises(ValueError, match="infinity"):
            p256.add(*points)


@settings(max_examples=50)
@given(SCALARS, SCALARS)
def test_key_agreement_has_no_sides(one, other):
    shared = p256.ecdh_x(one, p256.base_multiple(other))
    assert shared == p256.ecdh_x(other, p256.base_multiple(one))
    assert shared == p256.base_multiple(one * other % p256.N)[1:33]


def test_a_point_and_its_negative_have_no_sum():
    negative = p256.base_multiple(p256.N - 1)
    assert negative[:33] == G[:33]
    with pytest.raises(ValueError, match="infinity"):
        p256.add(G, negative)


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\0",
        G[:-1],
        G + b"\0",
        b"\x02" + G[1:33],
        b"\x06" + G[1:],
        G[:-1] + bytes([G[-1] ^ 1]),
        b"\x04" + bytes(64),
        # x of a point, written one field size higher: SEC 1, section 2.3.4 wants it below.
        b"\x04" + (5 + 2**256 - 2**224 + 2**192 + 2**96 - 1).to_bytes(32, "big") + bytes(32),
    ],
)
def test_what_is_no_point_is_refused_everywhere(point):
    assert not p256.on_curve(point)
    for use in (lambda: p256.add(G, point), lambda: p256.add(point, G), lambda: p256.ecdh_x(1, point)):
        with pytest.raises(ValueError, match="curve"):
            use()
    with pytest.raises(ValueError, match="curve"):
        p256.public_key(point)


def test_coordinates_have_to_be_below_the_field_size():
    """One with a small x, so that x plus the field size still fits into 32 bytes."""
    x = 5
    y_squared = (x**3 - 3 * x + 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B) % FIELD
    y = pow(y_squared, (FIELD + 1) // 4, FIELD)
    assert p256.on_curve(b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    assert not p256.on_curve(b"\x04" + (x + FIELD).to_bytes(32, "big") + y.to_bytes(32, "big"))


FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1


@pytest.mark.parametrize("k", [0, -1, p256.N, p256.N + 1])
def test_a_private_key_is_below_the_order(k):
    with pytest.raises(ValueError, match="order"):
        p256.base_multiple(k)
    with pytest.raises(ValueError, match="order"):
        p256.ecdh_x(k, G)


def test_the_public_key_is_the_point():
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = p256.public_key(G)
    assert key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == G
