"""Signatures that verify, and everything that must not."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from subprocess import run

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256, RS256, EdDSA
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import public_keys

MESSAGE = b"authenticator data and a hash"
EC_KEY = ec.derive_private_key(int.from_bytes(sha256(b"ec").digest(), "big") >> 1, ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(sha256(b"ed").digest())
RSA_KEY = rsa.generate_private_key(65537, 2048)

ES256_COSE = dict(ES256.from_cryptography_key(EC_KEY.public_key()))
EDDSA_COSE = dict(EdDSA.from_cryptography_key(ED_KEY.public_key()))
RS256_COSE = dict(RS256.from_cryptography_key(RSA_KEY.public_key()))
#: Public key, signature of MESSAGE, COSE number.
SIGNED = [
    pytest.param(cbor.encode(ES256_COSE), EC_KEY.sign(MESSAGE, ec.ECDSA(SHA256())), -7, id="ES256"),
    pytest.param(cbor.encode(EDDSA_COSE), ED_KEY.sign(MESSAGE), -8, id="EdDSA"),
    pytest.param(cbor.encode(RS256_COSE), RSA_KEY.sign(MESSAGE, padding.PKCS1v15(), SHA256()), -257, id="RS256"),
]


@pytest.mark.parametrize(("public_key", "signature", "number"), SIGNED)
def test_a_signature_verifies_for_its_message_only(public_key: bytes, signature: bytes, number: int) -> None:
    assert public_keys.algorithm(public_key) == number
    assert public_keys.verifies(public_key, MESSAGE, signature)
    assert not public_keys.verifies(public_key, MESSAGE + b"!", signature)
    assert not public_keys.verifies(public_key, MESSAGE, signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not public_keys.verifies(public_key, MESSAGE, b"")


def test_what_is_encoded_here_is_what_other_libraries_encode() -> None:
    x, y = ES256_COSE[-2], ES256_COSE[-3]
    assert public_keys.es256(x + y) == public_keys.es256(b"\x04" + x + y) == cbor.encode(ES256_COSE)
    assert public_keys.ed25519(EDDSA_COSE[-2]) == cbor.encode(EDDSA_COSE)


@pytest.mark.parametrize("point", [b"", bytes(32), bytes(63), bytes(65), b"\x02" + bytes(64), b"\x04" + bytes(65)])
def test_what_is_no_point_is_not_encoded(point: bytes) -> None:
    with pytest.raises(ValueError, match=r"P-256"):
        public_keys.es256(point)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_what_is_no_ed25519_key_is_not_encoded(length: int) -> None:
    with pytest.raises(ValueError, match=r"Ed25519"):
        public_keys.ed25519(bytes(length))


def test_a_point_that_is_not_on_the_curve_verifies_nothing() -> None:
    signature = EC_KEY.sign(MESSAGE, ec.ECDSA(SHA256()))
    wrong = public_keys.es256(ES256_COSE[-2] + bytes([ES256_COSE[-3][0] ^ 1]) + ES256_COSE[-3][1:])
    for public_key in (wrong, public_keys.es256(bytes(64)), public_keys.es256(b"\xff" * 64)):
        assert not public_keys.verifies(public_key, MESSAGE, signature)


def test_another_order_and_further_members_change_nothing() -> None:
    """Some keys send maps as they please."""
    shuffled = b"\xa6" + b"".join(
        cbor.encode(name) + cbor.encode(value) for name, value in [*reversed(ES256_COSE.items()), (4, [1])]
    )
    assert public_keys.verifies(shuffled, MESSAGE, EC_KEY.sign(MESSAGE, ec.ECDSA(SHA256())))
    assert public_keys.canonical({**ES256_COSE, 4: [1]}) == cbor.encode(ES256_COSE)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {**ES256_COSE, 1: 3},
        {**ES256_COSE, 3: -35},
        {**ES256_COSE, 3: -8},
        {**ES256_COSE, 3: "ES256"},
        {**ES256_COSE, -1: 2},
        {**ES256_COSE, -2: bytes(31)},
        {**ES256_COSE, -3: True},
        {**EDDSA_COSE, -1: 1},
        {**EDDSA_COSE, -2: "x" * 32},
        {**RS256_COSE, 1: 2},
        {**RS256_COSE, -1: RS256_COSE[-1][:128]},
        {**RS256_COSE, -1: b"\0" + RS256_COSE[-1]},
        {**RS256_COSE, -1: b"\xff" * 1025},
        {**RS256_COSE, -1: 65537},
        {**RS256_COSE, -2: b""},
        {**RS256_COSE, -2: b"\x01" * 5},
    ],
)
def test_a_key_that_makes_no_sense_has_no_algorithm_and_verifies_nothing(parameters: dict[int, object]) -> None:
    public_key = cbor.encode(parameters)  # type: ignore[arg-type]
    assert public_keys.algorithm(public_key) is None
    assert not public_keys.verifies(public_key, MESSAGE, bytes(64))


@pytest.mark.parametrize("modulus", [b"\x80" + bytes(255), b"\xff" * 256])
@pytest.mark.parametrize("exponent", [b"\0", b"\x01", b"\x02", b"\xff" * 4])
def test_numbers_that_are_no_rsa_key_verify_nothing(modulus: bytes, exponent: bytes) -> None:
    assert not public_keys.verifies(cbor.encode({**RS256_COSE, -1: modulus, -2: exponent}), MESSAGE, bytes(256))


@given(st.binary(max_size=120))
def test_any_bytes_are_taken_and_verify_nothing(content: bytes) -> None:
    assert not public_keys.verifies(content, MESSAGE, content)
    assert public_keys.algorithm(content) in {None, -7, -8, -257}


@pytest.mark.parametrize(("public_key", "signature", "number"), SIGNED)
@given(data=st.data())
def test_a_damaged_key_verifies_nothing(public_key: bytes, signature: bytes, number: int, data: st.DataObject) -> None:
    del number
    at, bit = data.draw(st.integers(0, len(public_key) - 1)), 1 << data.draw(st.integers(0, 7))
    damaged = public_key[:at] + bytes([public_key[at] ^ bit]) + public_key[at + 1 :]
    for content in (damaged, public_key[:at], public_key + b"\0"):
        assert not public_keys.verifies(content, MESSAGE, signature)


def test_deep_nesting_is_refused() -> None:
    assert public_keys.algorithm(b"\xa1\x01" * 100_000 + b"\x01") is None


def test_importing_it_loads_no_cryptography() -> None:
    program = "import sys, keyctl.core.public_keys; sys.exit('cryptography' in sys.modules or 'fido2' in sys.modules)"
    assert run([sys.executable, "-c", program], env={**os.environ}, check=False).returncode == 0
