"""The arithmetic of the draft extension "recovery"."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core import p256, recovery

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "recovery" / "credentials.json").read_text())
SCALARS = st.integers(1, p256.N - 1)
RP_IDS = st.text(st.characters(codec="utf-8"), max_size=40)
S = p256.base_multiple(1001)


def case(vector) -> str:
    return vector["id"]


def private(vector, name: str) -> int:
    return int(vector[name], 16)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=case)
def test_a_vector(vector):
    s, e = private(vector, "s"), private(vector, "e")
    seed = bytes.fromhex(vector["S"])
    assert (p256.base_multiple(s).hex(), p256.base_multiple(e).hex()) == (vector["S"], vector["E"])
    assert sha256(vector["rp_id"].encode()).hexdigest() == vector["rp_id_hash"]
    assert p256.ecdh_x(e, seed).hex() == vector["ikm_x"]
    made = recovery.generate(seed, e, vector["rp_id"])
    assert made is not None
    assert (made.id.hex(), made.public_key.hex()) == (vector["credential_id"], vector["P"])
    assert len(made.id) == recovery.CREDENTIAL_ID_BYTES == 82
    assert recovery.recover(s, made.id, vector["rp_id"]) == private(vector, "p")
    assert recovery.public_key_of(private(vector, "credKey"), seed) == made.public_key
    assert recovery.private_key_of(private(vector, "credKey"), s) == private(vector, "p")


@pytest.mark.parametrize("vector", VECTORS["negative"], ids=case)
def test_what_is_wrong_with_an_id_is_noticed(vector):
    s, credential_id = private(vector, "s"), bytes.fromhex(vector["credential_id"])
    if vector["outcome"] == "skipped":
        assert recovery.recover(s, credential_id, vector["rp_id"]) is None
    else:
        with pytest.raises(ValueError, match="curve"):
            recovery.recover(s, credential_id, vector["rp_id"])


@settings(max_examples=50)
@given(SCALARS, SCALARS, RP_IDS)
def test_the_recovered_private_key_belongs_to_the_generated_public_key(s, e, rp_id):
    made = recovery.generate(p256.base_multiple(s), e, rp_id)
    assert made is not None
    p = recovery.recover(s, made.id, rp_id)
    assert p is not None
    assert p256.base_multiple(p) == made.public_key


@settings(max_examples=50)
@given(SCALARS, SCALARS, SCALARS, RP_IDS, RP_IDS)
def test_only_that_seed_and_that_site_find_the_private_key(s, other, e, rp_id, other_rp_id):
    made = recovery.generate(p256.base_multiple(s), e, rp_id)
    assert made is not None
    assert (recovery.recover(s, made.id, other_rp_id) is None) == (rp_id != other_rp_id)
    # -S shares its x coordinate with S, and with it everything that is derived from that.
    assert (recovery.recover(other, made.id, rp_id) is None) == (other not in {s, p256.N - s})


@settings(max_examples=100)
@given(st.data())
def test_a_changed_id_is_never_taken_for_good(data):
    made = recovery.generate(S, 2002, "example.com")
    assert made is not None
    at = data.draw(st.integers(0, len(made.id) - 1))
    changed = made.id[:at] + bytes([made.id[at] ^ data.draw(st.integers(1, 255))]) + made.id[at + 1 :]
    try:
        assert recovery.recover(1001, changed, "example.com") is None
    except ValueError:
        assert not p256.on_curve(changed[1:66])


@given(st.binary(max_size=100))
def test_nonsense_for_an_id_is_none_or_a_value_error(credential_id):
    try:
        assert recovery.recover(1001, credential_id, "example.com") is None
    except ValueError:
        assert credential_id[0] == recovery.ALG


def test_cut_or_longer_ids_are_not_taken():
    made = recovery.generate(S, 2002, "example.com")
    assert made is not None
    for credential_id in (made.id[:-1], made.id + b"\0", made.id[:66]):
        assert recovery.recover(1001, credential_id, "example.com") is None
    with pytest.raises(ValueError, match="curve"):
        recovery.recover(1001, made.id[:65], "example.com")
    assert recovery.recover(1001, b"", "example.com") is None


@pytest.mark.parametrize("cred_key", [0, p256.N, p256.N + 1, 2**256 - 1])
def test_another_number_is_drawn_when_the_key_is_out_of_range(cred_key):
    """One hash in 2 ** 32 is: no vector reaches this, so the last step is tried by itself."""
    assert recovery.public_key_of(cred_key, S) is None
    assert recovery.private_key_of(cred_key, 1001) is None


def test_the_point_at_infinity_and_the_private_key_zero_are_refused():
    assert recovery.public_key_of(p256.N - 1001, S) is None
    assert recovery.private_key_of(p256.N - 1001, 1001) is None


def test_a_seed_that_is_no_point_is_refused():
    with pytest.raises(ValueError, match="curve"):
        recovery.generate(S[:-1] + bytes([S[-1] ^ 1]), 2002, "example.com")
    with pytest.raises(ValueError, match="curve"):
        recovery.public_key_of(1, b"\0")
