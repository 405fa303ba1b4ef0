"""COSE of seeds, signing arguments and derived keys: one form is written, several are read."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from fido2 import cbor
from fido2.cose import ARKG_P256_PLACEHOLDER
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import arkg, p256, seed_cose, seed_numbers
from keyctl.core.arkg import ArkgError, SeedPublicKey

from .seed_vectors import load, octets

EXAMPLES = load("cose_examples.json")
PREVIEW_SIGN = {vector["id"]: vector for vector in load("preview_sign_cbor.json")["vectors"]}
FIRST = octets(load("arkg_p256.json")["vectors"][0])
SEED = SeedPublicKey(FIRST["pk_bl"], FIRST["pk_kem"])
ENCODED = seed_cose.encode_seed(SEED)
ARGUMENTS = bytes.fromhex(EXAMPLES["sign_args"]["cbor"])
DERIVED = seed_cose.encode_derived_key(FIRST["pk_prime"])


def changed(content: bytes, **changes: Any) -> bytes:
    """*content* with other values; None leaves the label out, ``m1`` is the label -1."""
    parameters = dict(cbor.decode(content))
    for name, value in changes.items():
        label = -int(name[1:]) if name[0] == "m" else int(name[1:])
        parameters.pop(label, None)
        if value is not None:
            parameters[label] = value
    return cbor.encode(parameters)


def inner(**changes: Any) -> dict[int, Any]:
    """The first key in the seed, with other values."""
    return dict(cbor.decode(changed(cbor.encode(cbor.decode(ENCODED)[-1]), **changes)))


def test_the_drafts_seed_is_read() -> None:
    example = EXAMPLES["seed"]
    seed = seed_cose.read_seed(bytes.fromhex(example["cbor"]))
    assert seed.pk_bl.hex() == "04" + example["bl_x"] + example["bl_y"]
    assert seed.pk_kem.hex() == "04" + example["kem_x"] + example["kem_y"]


def test_the_drafts_seed_is_written_but_for_its_key_id() -> None:
    content = bytes.fromhex(EXAMPLES["seed"]["cbor"])
    assert seed_cose.encode_seed(seed_cose.read_seed(content)) == changed(content, p2=None)


def test_the_drafts_signing_arguments_are_read_and_written() -> None:
    example = EXAMPLES["sign_args"]
    arguments = seed_cose.read_sign_arguments(ARGUMENTS)
    assert (arguments.key_handle.hex(), arguments.ctx.hex()) == (example["kh"], example["ctx"])
    assert seed_cose.encode_sign_arguments(arguments.key_handle, arguments.ctx) == ARGUMENTS


def test_the_numbers_are_those_that_keys_were_asked_with() -> None:
    def request(flags: int) -> bytes:
        algorithms = [seed_numbers.ESP256_SPLIT_ARKG]
        return cbor.encode({seed_numbers.EXTENSION_ALGORITHM: algorithms, seed_numbers.EXTENSION_FLAGS: flags})

    assert request(0b001).hex() == PREVIEW_SIGN["generateKey-map"]["cbor"]
    assert request(seed_numbers.TOUCH_AND_PIN).hex() == PREVIEW_SIGN["generateKey-uv"]["cbor"]
    whole = bytes.fromhex(PREVIEW_SIGN["generateKey-up"]["cbor"])
    assert list(cbor.decode(whole)) == [seed_numbers.EXTENSION]
    signing = {
        seed_numbers.EXTENSION_KEY_HANDLE: b"\xaa",
        seed_numbers.EXTENSION_TBS: b"\x11",
        seed_numbers.EXTENSION_ARGUMENTS: b"\xcc\xdd",
    }
    assert cbor.encode(signing).hex() == PREVIEW_SIGN["sign-args"]["cbor"]


def test_the_numbers_are_those_of_python_fido2() -> None:
    assert seed_numbers.CURRENT.algorithm == ARKG_P256_PLACEHOLDER.ALGORITHM
    key, arguments = ARKG_P256_PLACEHOLDER(
        {**cbor.decode(ENCODED), -1: inner(p3=-7), -2: {**cbor.decode(ENCODED)[-2], 3: -25}}
    ).derive_public_key(FIRST["ikm"], FIRST["ctx"])
    assert cbor.encode(dict(key)) == DERIVED
    assert cbor.encode(dict(arguments)) == ARGUMENTS


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(changed(ENCODED, m1=inner(p3=-7)), id="an algorithm in the inner key, as a YubiKey writes it"),
        pytest.param(changed(ENCODED, m1=inner(p3=-9, p2=b"id", p4=[1])), id="more in the inner key"),
        pytest.param(changed(ENCODED, m1=inner(m3=bool(SEED.pk_bl[-1] & 1))), id="a sign for the second coordinate"),
        pytest.param(changed(ENCODED, m3=None), id="no algorithm for derived keys"),
        pytest.param(changed(ENCODED, p2=b"key id"), id="a key id"),
        pytest.param(changed(ENCODED, m70000="what comes next"), id="an unknown parameter"),
        pytest.param(b"\xb8\x05" + ENCODED[1:], id="a length that is not the shortest"),
    ],
)
def test_what_keys_write_differently_is_the_same_seed(content: bytes) -> None:
    assert content != ENCODED
    assert seed_cose.encode_seed(seed_cose.read_seed(content)) == ENCODED


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "another key type"),
        (b"\xa0", "another key type"),
        (b"\x80", "cannot be decoded"),
        (ENCODED[:-1], "cannot be decoded"),
        (ENCODED + b"\0", "cannot be decoded"),
        (b"\xa2\x01\x02\x01\x02", "cannot be decoded"),
        (b"\xa1\x01" * 50_000 + b"\x01", "cannot be decoded"),
        (changed(ENCODED, p1=2), "another key type"),
        (changed(ENCODED, p1="ARKG-pub"), "another key type"),
        (changed(ENCODED, p3=None), "another algorithm"),
        (changed(ENCODED, p3=-65701), "another algorithm"),
        (changed(ENCODED, m3=-51), "derived keys of another algorithm"),
        (changed(ENCODED, m3="ESP256"), "derived keys of another algorithm"),
        (changed(ENCODED, m1=None), "no key on P-256"),
        (changed(ENCODED, m1=FIRST["pk_bl"]), "no key on P-256"),
        (changed(ENCODED, m1=inner(p1=1)), "no key on P-256"),
        (changed(ENCODED, m1=inner(m1=2)), "no key on P-256"),
        (changed(ENCODED, m1=inner(m1=True)), "no key on P-256"),
        (changed(ENCODED, m1=inner(m4=bytes(32))), "private half"),
        (changed(ENCODED, m1=inner(m2=bytes(31))), "coordinates"),
        (changed(ENCODED, m1=inner(m2="x" * 32)), "coordinates"),
        (changed(ENCODED, m1=inner(m3=1)), "coordinates"),
        (changed(ENCODED, m1=inner(m2=bytes(31), m3=True)), "coordinates"),
        (changed(ENCODED, m1=inner(m2=b"\x00" * 31 + b"\x01", m3=True)), "coordinates"),
        (changed(ENCODED, m1=inner(m3=bytes(32))), "not an uncompressed point"),
        (changed(ENCODED, m2=inner()), "are the same"),
    ],
)
def test_what_is_no_seed_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(ArkgError, match=why):
        seed_cose.read_seed(content)


@pytest.mark.parametrize("value", [None, 5, [], b"", "seed"])
def test_what_is_no_map_is_no_seed(value: object) -> None:
    with pytest.raises(ArkgError, match="no COSE key"):
        seed_cose.seed_from(value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        changed(ARGUMENTS, p3=None),
        changed(ARGUMENTS, p3=-9),
        changed(ARGUMENTS, m1=None),
        changed(ARGUMENTS, m1=bytes(80)),
        changed(ARGUMENTS, m2=None),
        changed(ARGUMENTS, m2="text"),
        changed(ARGUMENTS, m2=bytes(65)),
    ],
)
def test_what_is_no_signing_arguments_is_refused(content: bytes) -> None:
    with pytest.raises(ArkgError):
        seed_cose.read_sign_arguments(content)


@pytest.mark.parametrize("content", [DERIVED, changed(DERIVED, p3=-7), changed(DERIVED, p3=None, p2=b"id")])
def test_derived_keys_are_read(content: bytes) -> None:
    assert seed_cose.read_derived_key(content) == FIRST["pk_prime"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        changed(DERIVED, p3=-65539),
        changed(DERIVED, p3=-8),
        changed(DERIVED, m4=bytes(32)),
        changed(DERIVED, m3=bytes(32)),
    ],
)
def test_what_is_no_derived_key_is_refused(content: bytes) -> None:
    with pytest.raises(ArkgError):
        seed_cose.read_derived_key(content)


def test_a_point_off_the_curve_is_not_written() -> None:
    with pytest.raises(ArkgError, match="not an uncompressed point"):
        seed_cose.encode_derived_key(b"\x04" + bytes(64))


@settings(max_examples=25)
@given(one=st.integers(1, p256.N - 1), other=st.integers(1, p256.N - 1), ctx=st.binary(max_size=64))
def test_what_is_written_is_read(one: int, other: int, ctx: bytes) -> None:
    if one != other:
        seed = arkg.public_seed(arkg.PrivateSeed(one, other))
        assert seed_cose.read_seed(seed_cose.encode_seed(seed)) == seed
    point = p256.base_multiple(one)
    assert seed_cose.read_derived_key(seed_cose.encode_derived_key(point)) == point
    arguments = seed_cose.SignArguments(FIRST["kh"], ctx)
    assert seed_cose.read_sign_arguments(seed_cose.encode_sign_arguments(FIRST["kh"], ctx)) == arguments


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    readers = {
        ENCODED: seed_cose.read_seed,
        ARGUMENTS: seed_cose.read_sign_arguments,
        DERIVED: seed_cose.read_derived_key,
    }
    content = data.draw(st.sampled_from(list(readers)))
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for hostile in (bytes(damaged), cut, data.draw(st.binary(max_size=40))):
        with contextlib.suppress(ArkgError):
            readers[content](hostile)
