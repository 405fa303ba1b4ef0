"""What a recovery signature is over, and what is no such signature."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import p256, public_keys, recovery_signature

HASH = sha256(b"client data").digest()
SECRET = 7
UP, UV, AT, ED = 0x01, 0x04, 0x40, 0x80


def data_with(credential_id: bytes, extensions: object = None, flags: int = UP | UV | AT | ED) -> bytes:
    attested = bytes(16) + len(credential_id).to_bytes(2, "big") + credential_id
    content = bytes(32) + bytes([flags]) + bytes(4)
    if flags & AT:
        content += attested + public_keys.es256(p256.base_multiple(3))
    return content + (cbor.encode(extensions or {"recovery": {"sig": b"s"}}) if flags & ED else b"")


def signature_over(message: bytes) -> bytes:
    return ec.derive_private_key(SECRET, ec.SECP256R1()).sign(message, ec.ECDSA(SHA256()))


@given(
    credential_id=st.binary(min_size=1, max_size=1023),
    extensions=st.dictionaries(st.text(min_size=1), st.binary() | st.integers(0, 9), min_size=1),
)
def test_it_covers_all_but_the_extensions(credential_id, extensions):
    plain = data_with(credential_id, flags=UP | UV | AT)
    announced = plain[:32] + bytes([UP | UV | AT | ED]) + plain[33:]
    assert recovery_signature.signed_bytes(data_with(credential_id, extensions), HASH) == announced + HASH


def test_a_signature_verifies_with_other_extensions_but_for_nothing_else():
    data = data_with(b"one")
    signature = signature_over(recovery_signature.signed_bytes(data, HASH))
    point = p256.base_multiple(SECRET)
    assert recovery_signature.verifies(point, data, HASH, signature)
    assert recovery_signature.verifies(point, data_with(b"one", {"recovery": {"sig": signature}}), HASH, signature)
    assert not recovery_signature.verifies(point, data_with(b"two"), HASH, signature)
    assert not recovery_signature.verifies(point, data, bytes(32), signature)
    assert not recovery_signature.verifies(p256.base_multiple(SECRET + 1), data, HASH, signature)
    assert not recovery_signature.verifies(b"no point", data, HASH, signature)
    assert not recovery_signature.verifies(point, data, HASH, signature[:-1])


def test_the_flag_of_the_extensions_is_signed():
    data = data_with(b"one")
    without = data_with(b"one", flags=UP | UV | AT)
    assert not recovery_signature.verifies(p256.base_multiple(SECRET), data, HASH, signature_over(without + HASH))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(36),
        data_with(b"one", flags=UP | UV | AT),
        data_with(b"one", flags=UP | UV | ED),
        data_with(b"one", flags=UP | UV),
        data_with(b"one")[:-1],
        data_with(b"one") + b"\0",
        data_with(b""),
    ],
)
def test_other_data_have_no_such_signature(data):
    with pytest.raises(ValueError, match=r"\w"):
        recovery_signature.signed_bytes(data, HASH)
    assert not recovery_signature.verifies(p256.base_multiple(SECRET), data, HASH, signature_over(data + HASH))


@given(st.binary(max_size=300), st.binary(max_size=40), st.binary(max_size=80), st.binary(max_size=70))
def test_nonsense_verifies_nothing(data, client_data_hash, signature, point):
    assert not recovery_signature.verifies(point, data, client_data_hash, signature)
