"""ARKG-P256: the published values come out, everything else is refused, and public and private derivation meet."""

from __future__ import annotations

import hmac
import os
import sys
from subprocess import run
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ARKG_P256_PLACEHOLDER
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import arkg, p256
from keyctl.core.arkg import ArkgError, PrivateSeed, SeedPublicKey
from keyctl.core.hash_to_field import expand_message_xmd, hash_to_scalar

from .seed_vectors import load, octets

PUBLISHED = load("arkg_p256.json")["vectors"]
REFUSED = load("arkg_p256_refused.json")["vectors"]
WITH_HMAC_SECRET = load("hmac_secret_seeds.json")["vectors"]
FIRST = octets(PUBLISHED[0])
SEED = SeedPublicKey(FIRST["pk_bl"], FIRST["pk_kem"])
PRIVATE = PrivateSeed(int.from_bytes(FIRST["sk_bl"], "big"), int.from_bytes(FIRST["sk_kem"], "big"))

entropy = st.binary(min_size=32, max_size=64)
contexts = st.binary(max_size=64)


def name(vector: dict[str, Any]) -> str:
    return str(vector["id"])


@pytest.mark.parametrize("vector", load("expand_message_xmd.json")["vectors"], ids=lambda vector: vector["msg"][:8])
def test_messages_expand_as_published(vector: dict[str, Any]) -> None:
    dst = load("expand_message_xmd.json")["DST"].encode()
    uniform = expand_message_xmd(vector["msg"].encode(), dst, vector["len_in_bytes"])
    assert uniform.hex() == vector["uniform_bytes"]


@pytest.mark.parametrize(("dst", "length"), [(bytes(256), 48), (b"", 255 * 32 + 1)])
def test_too_much_to_expand_is_refused(dst: bytes, length: int) -> None:
    with pytest.raises(ValueError, match="too long"):
        expand_message_xmd(b"", dst, length)


@pytest.mark.parametrize("vector", PUBLISHED, ids=name)
def test_published_values_come_out(vector: dict[str, Any]) -> None:
    values = octets(vector)
    private = arkg.derive_seed(values["ikm_bl"], values["ikm_kem"])
    assert private.sk_bl.to_bytes(32, "big") == values["sk_bl"]
    assert private.sk_kem.to_bytes(32, "big") == values["sk_kem"]
    seed = arkg.public_seed(private)
    assert (seed.pk_bl, seed.pk_kem) == (values["pk_bl"], values["pk_kem"])
    derived = arkg.derive_public_key(seed, values["ikm"], values["ctx"])
    assert (derived.public_key, derived.key_handle) == (values["pk_prime"], values["kh"])
    assert arkg.derive_private_key(private, values["kh"], values["ctx"]).to_bytes(32, "big") == values["sk_prime"]


@pytest.mark.parametrize("vector", PUBLISHED, ids=name)
def test_published_steps_come_out(vector: dict[str, Any]) -> None:
    """What is between, so that a mistake is found where it is."""
    values = octets(vector)
    assert arkg._contexts(values["ctx"]) == (values["ctx_bl"], values["ctx_kem"])
    assert values["DST_bl_sk"] == arkg._DST_BL_SK
    assert values["DST_kem_sk"] == arkg._DST_KEM_SK
    assert arkg._INFO_MK + values["ctx_kem"] == values["info_mk"]
    assert arkg._INFO_K + values["ctx_kem"] == values["info_k"]
    assert arkg._DST_TAU + values["ctx_bl"] == values["DST_tau"]
    assert arkg._keys(values["k_prime"], values["ctx_kem"]) == (values["mk"], values["k"])
    assert arkg._tag(values["mk"], values["c_prime"]) == values["t"]
    assert arkg._tau(values["k"], values["ctx_bl"]).to_bytes(32, "big") == values["tau"]


@pytest.mark.parametrize("vector", WITH_HMAC_SECRET, ids=name)
def test_seeds_of_hmac_secret_come_out(vector: dict[str, Any]) -> None:
    values = octets(vector)
    for salt, ikm in (("salt1", "hmac_output1_ikm_bl"), ("salt2", "hmac_output2_ikm_kem")):
        assert hmac.digest(values["CredRandomWithUV"], values[salt], "sha256") == values[ikm]
    private = arkg.derive_seed(values["hmac_output1_ikm_bl"], values["hmac_output2_ikm_kem"])
    seed = arkg.public_seed(private)
    assert (seed.pk_bl, seed.pk_kem) == (values["pk_bl"], values["pk_kem"])
    derived = arkg.derive_public_key(seed, values["ikm"], values["ctx"])
    assert (derived.public_key, derived.key_handle) == (values["pk_prime"], values["kh"])
    assert arkg.derive_private_key(private, values["kh"], values["ctx"]).to_bytes(32, "big") == values["sk_prime"]


@pytest.mark.parametrize("vector", REFUSED, ids=name)
def test_handles_that_must_be_refused_are(vector: dict[str, Any]) -> None:
    values = octets(vector)
    private = PrivateSeed(int.from_bytes(values["sk_bl"], "big"), int.from_bytes(values["sk_kem"], "big"))
    with pytest.raises(ArkgError):
        arkg.derive_private_key(private, values["kh"], values["ctx"])


@pytest.mark.parametrize("length", [0, 80, 82])
def test_a_handle_of_another_length_is_refused_for_that(length: int) -> None:
    with pytest.raises(ArkgError, match=f"has {length} bytes, not 81"):
        arkg.derive_private_key(PRIVATE, (FIRST["kh"] + b"\0")[:length], FIRST["ctx"])


def test_a_handle_that_only_its_tag_gives_away_is_refused_for_its_tag() -> None:
    vector = next(vector for vector in REFUSED if vector["id"] == "negated-ephemeral")
    values = octets(vector)
    assert p256.ecdh_x(PRIVATE.sk_kem, values["kh"][16:]) == p256.ecdh_x(PRIVATE.sk_kem, FIRST["kh"][16:])
    with pytest.raises(ArkgError, match="not made for this seed"):
        arkg.derive_private_key(PRIVATE, values["kh"], values["ctx"])


@settings(max_examples=60)
@given(ikm_bl=entropy, ikm_kem=entropy, ikm=entropy, ctx=contexts)
def test_public_and_private_derivation_meet(ikm_bl: bytes, ikm_kem: bytes, ikm: bytes, ctx: bytes) -> None:
    private = arkg.derive_seed(ikm_bl, ikm_kem)
    derived = arkg.derive_public_key(arkg.public_seed(private), ikm, ctx)
    assert p256.base_multiple(arkg.derive_private_key(private, derived.key_handle, ctx)) == derived.public_key


@pytest.mark.parametrize("length", range(65))
def test_they_meet_for_every_length_of_context(length: int) -> None:
    ctx = bytes(range(length))
    derived = arkg.derive_public_key(SEED, FIRST["ikm"], ctx)
    assert p256.base_multiple(arkg.derive_private_key(PRIVATE, derived.key_handle, ctx)) == derived.public_key


@settings(max_examples=30)
@given(ikm=entropy, ctx=contexts)
def test_python_fido2_derives_the_same(ikm: bytes, ctx: bytes) -> None:
    def ec2(point: bytes) -> dict[int, Any]:
        return {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}

    theirs = ARKG_P256_PLACEHOLDER({1: -65537, 3: -65700, -1: ec2(SEED.pk_bl), -2: ec2(SEED.pk_kem), -3: -9})
    key, arguments = theirs.derive_public_key(ikm, ctx)
    derived = arkg.derive_public_key(SEED, ikm, ctx)
    assert derived.public_key == b"\x04" + key[-2] + key[-3]
    assert derived.key_handle == arguments[-1]


@settings(max_examples=60)
@given(data=st.data())
def test_any_changed_bit_of_a_handle_is_refused(data: st.DataObject) -> None:
    at, bit = data.draw(st.integers(0, 80)), data.draw(st.integers(0, 7))
    damaged = bytearray(FIRST["kh"])
    damaged[at] ^= 1 << bit
    with pytest.raises(ArkgError):
        arkg.derive_private_key(PRIVATE, bytes(damaged), FIRST["ctx"])


@settings(max_examples=60)
@given(key_handle=st.one_of(st.binary(max_size=100), st.binary(min_size=81, max_size=81)), ctx=st.binary(max_size=80))
def test_any_bytes_are_refused_as_a_handle_and_nothing_else_happens(key_handle: bytes, ctx: bytes) -> None:
    with pytest.raises(ArkgError):
        arkg.derive_private_key(PRIVATE, key_handle, ctx)


def test_another_context_or_seed_gives_another_key() -> None:
    one = arkg.derive_public_key(SEED, FIRST["ikm"], b"one")
    other = arkg.derive_public_key(SEED, FIRST["ikm"], b"other")
    assert one.public_key != other.public_key
    with pytest.raises(ArkgError, match="not made for this seed and context"):
        arkg.derive_private_key(PRIVATE, one.key_handle, b"other")
    swapped = PrivateSeed(PRIVATE.sk_kem, PRIVATE.sk_bl)
    with pytest.raises(ArkgError, match="not made for this seed and context"):
        arkg.derive_private_key(swapped, one.key_handle, b"one")


def test_a_context_of_65_bytes_is_refused_on_both_sides() -> None:
    with pytest.raises(ArkgError, match="65 bytes, more than 64"):
        arkg.derive_public_key(SEED, FIRST["ikm"], bytes(65))
    with pytest.raises(ArkgError, match="65 bytes, more than 64"):
        arkg.derive_private_key(PRIVATE, FIRST["kh"], bytes(65))


def test_entropy_of_31_bytes_is_refused_everywhere() -> None:
    with pytest.raises(ArkgError, match="31 bytes, less than 32"):
        arkg.derive_public_key(SEED, bytes(31), b"")
    with pytest.raises(ArkgError, match="31 bytes, less than 32"):
        arkg.derive_seed(bytes(31), bytes(32))
    with pytest.raises(ArkgError, match="31 bytes, less than 32"):
        arkg.derive_seed(bytes(32), bytes(31))


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\0",
        b"\x02" + FIRST["pk_bl"][1:33],
        b"\x05" + FIRST["pk_bl"][1:],
        FIRST["pk_bl"][:-1],
        FIRST["pk_bl"] + b"\0",
        FIRST["pk_bl"][:-1] + bytes([FIRST["pk_bl"][-1] ^ 1]),
        b"\x04" + bytes(64),
        b"\x04" + bytes([255]) * 64,
        FIRST["pk_kem"],
    ],
)
def test_a_seed_with_a_bad_point_is_refused(point: bytes) -> None:
    with pytest.raises(ArkgError):
        SeedPublicKey(point, FIRST["pk_kem"])
    with pytest.raises(ArkgError):
        SeedPublicKey(FIRST["pk_kem"], point)


@pytest.mark.parametrize("number", [-1, 0, p256.N, p256.N + 1])
def test_a_private_seed_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ArkgError):
        PrivateSeed(number, 1)
    with pytest.raises(ArkgError):
        PrivateSeed(1, number)


def test_a_private_seed_does_not_show_itself() -> None:
    assert repr(PRIVATE) == "PrivateSeed()"


def test_sums_that_are_no_keys_are_refused() -> None:
    """Nobody finds entropy that leads there, so the steps are called alone."""
    opposite = p256.N - PRIVATE.sk_bl
    for tau in (0, opposite):
        with pytest.raises(ArkgError, match="no key for this entropy"):
            arkg._blind_public_key(SEED.pk_bl, tau)
        with pytest.raises(ArkgError, match="no private key"):
            arkg._blind_private_key(PRIVATE.sk_bl, tau)


def test_adding_a_point_to_itself_is_doubling() -> None:
    doubled = arkg._blind_public_key(SEED.pk_bl, PRIVATE.sk_bl)
    assert doubled == p256.base_multiple(2 * PRIVATE.sk_bl % p256.N)
    assert arkg._blind_private_key(PRIVATE.sk_bl, PRIVATE.sk_bl) == 2 * PRIVATE.sk_bl % p256.N


def test_a_shared_secret_keeps_its_leading_zeros() -> None:
    """One x coordinate in 256 begins with a zero; the entropy for one is looked for."""
    for number in range(10_000):
        ikm = number.to_bytes(32, "big")
        x = p256.ecdh_x(hash_to_scalar(ikm, arkg._DST_KEM_SK), SEED.pk_kem)
        if x[0] == 0:
            break
    assert len(x) == 32
    assert x[0] == 0
    derived = arkg.derive_public_key(SEED, ikm, b"zero")
    secret = arkg.derive_private_key(PRIVATE, derived.key_handle, b"zero")
    assert ec.derive_private_key(secret, ec.SECP256R1()).public_key() == p256.public_key(derived.public_key)


def test_importing_it_loads_no_cryptography() -> None:
    modules = "arkg, attestation, binding, contexts, fingerprints, key_formats, seed_cose, seed_numbers"
    program = (
        f"import sys\nfrom keyctl.core import {modules}\nsys.exit(bool({{'cryptography', 'fido2'}} & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", program], env={**os.environ}, check=False).returncode == 0
