"""A seed out of secrets: always the same, and what it signs verifies under what was derived in public."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import arkg, software_seed
from keyctl.core.arkg import ArkgError

from .seed_vectors import load, octets

VECTORS = [octets(vector) for vector in load("hmac_secret_seeds.json")["vectors"]]
DIGEST = sha256(b"a message").digest()

secrets = st.binary(min_size=32, max_size=32)


def verifies(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether OpenSSL says so."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("values", VECTORS)
def test_the_proposed_values_come_out(values: dict[str, Any]) -> None:
    assert (values["salt1"], values["salt2"]) == software_seed.SALTS
    private = software_seed.private_seed((values["hmac_output1_ikm_bl"], values["hmac_output2_ikm_kem"]))
    assert private.sk_bl.to_bytes(32, "big") == values["sk_bl"]
    assert private.sk_kem.to_bytes(32, "big") == values["sk_kem"]
    signature = software_seed.sign(private, values["kh"], values["ctx"], DIGEST)
    assert verifies(values["pk_prime"], signature, DIGEST)
    assert not verifies(values["pk_prime"], signature, sha256(b"another").digest())


@given(one=secrets, other=secrets, ikm=secrets, ctx=st.binary(max_size=64), digest=secrets)
def test_signatures_verify_under_the_key_that_was_derived_in_public(
    one: bytes, other: bytes, ikm: bytes, ctx: bytes, digest: bytes
) -> None:
    if one == other:
        with pytest.raises(ArkgError):
            software_seed.private_seed((one, other))
        return
    private = software_seed.private_seed((one, other))
    derived = arkg.derive_public_key(arkg.public_seed(private), ikm, ctx)
    assert verifies(derived.public_key, software_seed.sign(private, derived.key_handle, ctx, digest), digest)


@pytest.mark.parametrize("pair", [(b"s" * 32, b"s" * 32), (b"s" * 31, b"t" * 32), (b"s" * 32, b"")])
def test_secrets_without_entropy_are_refused(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ArkgError):
        software_seed.private_seed(pair)


@pytest.mark.parametrize(
    "change",
    [
        {"ctx": b"kc1:ssh:other"},
        {"ctx": bytes(65)},
        {"digest": bytes(31)},
        {"digest": bytes(33)},
        {"key_handle": bytes(81)},
        {"key_handle": b""},
        {"key_handle": VECTORS[0]["kh"][:-1]},
        {"key_handle": VECTORS[0]["kh"] + b"\0"},
        {"key_handle": bytes(16) + VECTORS[0]["kh"][16:]},
    ],
)
def test_anything_else_is_not_signed(change: dict[str, bytes]) -> None:
    values = VECTORS[0]
    private = software_seed.private_seed((values["hmac_output1_ikm_bl"], values["hmac_output2_ikm_kem"]))
    arguments = {"key_handle": values["kh"], "ctx": values["ctx"], "digest": DIGEST} | change
    with pytest.raises(ArkgError) as caught:
        software_seed.sign(private, **arguments)
    text = f"{caught.value!r} {private!r}"
    assert not any(values[name].hex() in text or str(int.from_bytes(values[name], "big")) in text for name in PRIVATE)


PRIVATE = ("sk_bl", "sk_kem", "sk_prime", "hmac_output1_ikm_bl", "hmac_output2_ikm_kem")
