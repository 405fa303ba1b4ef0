"""Which passkey an id on the command line means."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import passkey_ids
from keyctl.errors import NotFoundError, UsageError
from keyctl.model import Passkey, Purpose


def passkey(credential_id: str, rp_id: str = "example.com", user: str | None = "kim") -> Passkey:
    return Passkey(
        rp_id=rp_id,
        rp_id_hash=sha256(rp_id.encode()).digest(),
        rp_id_exact=True,
        user_id=b"u",
        user_name=user,
        display_name=None,
        credential_id=bytes.fromhex(credential_id),
        algorithm=-7,
        protection=None,
        large_blob=None,
        purpose=Purpose.PASSKEY,
    )


FIRST = passkey("aabbccdd00112233")
TWIN = passkey("aabbccdd00992233")
OTHER = passkey("1122334455667788", rp_id="bank.example")
ALL = (FIRST, TWIN, OTHER)


def test_a_unique_prefix_of_eight_digits_names_a_passkey():
    assert passkey_ids.find(ALL, "11223344") == OTHER
    assert passkey_ids.find(ALL, "AABBCCDD001122") == FIRST


def test_a_prefix_that_fits_two_names_none_and_lists_both():
    with pytest.raises(NotFoundError) as caught:
        passkey_ids.find(ALL, "aabbccdd00")
    assert caught.value.code == "passkey_ambiguous"
    assert set(caught.value.details.candidates) == {FIRST.credential_id.hex(), TWIN.credential_id.hex()}


def test_a_whole_id_wins_over_a_longer_one_that_begins_with_it():
    longer = passkey("aabbccdd0011223344")
    assert passkey_ids.find((longer, FIRST), "aabbccdd00112233") == FIRST


def test_in_an_incomplete_list_only_a_whole_id_is_unique():
    with pytest.raises(NotFoundError) as caught:
        passkey_ids.find(ALL, "11223344", complete=False)
    assert caught.value.code == "passkey_ambiguous"
    assert passkey_ids.find(ALL, "1122334455667788", complete=False) == OTHER


def test_the_hash_of_a_site_is_recognised_and_explained():
    site_hash = sha256(b"bank.example").hexdigest()
    for text in (site_hash, site_hash[:12]):
        with pytest.raises(NotFoundError, match=r"hash of the site bank\.example") as caught:
            passkey_ids.find(ALL, text)
        assert caught.value.code == "passkey_not_found"
        assert "--rp bank.example" in str(caught.value.hint)
        assert caught.value.details.candidates == (OTHER.credential_id.hex(),)


def test_an_unknown_id_is_not_found():
    with pytest.raises(NotFoundError, match="has the id 99999999") as caught:
        passkey_ids.find(ALL, "99999999")
    assert caught.value.code == "passkey_not_found"


@pytest.mark.parametrize("text", ["", "1234567", "xyzxyzxyz", "11223344 ", "0x11223344", "١١٢٢٣٣٤٤"])
def test_what_is_no_id_is_a_usage_error(text):
    with pytest.raises(UsageError):
        passkey_ids.check(text)


@given(st.lists(st.binary(min_size=16, max_size=64), min_size=1, max_size=12, unique=True))
def test_every_short_id_names_its_own_passkey(ids):
    found = [passkey(raw.hex()) for raw in ids]
    for raw, short in passkey_ids.short_ids(found).items():
        assert passkey_ids.find(found, short).credential_id == raw
        assert len(short) >= passkey_ids.MIN_PREFIX_DIGITS


@given(st.lists(st.binary(min_size=4, max_size=8), max_size=8), st.text("0123456789abcdef", min_size=8, max_size=20))
def test_finding_gives_a_passkey_with_that_prefix_or_an_error(ids, text):
    found = [passkey(raw.hex()) for raw in ids]
    try:
        chosen = passkey_ids.find(found, text)
    except NotFoundError:
        return
    assert chosen.credential_id.hex().startswith(text)
