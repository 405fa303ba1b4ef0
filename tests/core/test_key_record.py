"""The record of a pairing on a key: one encoding, and nothing believed that does not make sense."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import arkg, key_record, seed_cose, seed_numbers
from keyctl.core.key_record import KeyRecord, NewerRecordError
from keyctl.core.pairings import Method, Seed

SEED = arkg.public_seed(arkg.derive_seed(bytes(32), b"\x01" * 32))
RECORD = KeyRecord(
    pairing_id="0123456789abcdef",
    method=Method.ARKG,
    primary_id="1111111111111111",
    backup_id="2222222222222222",
    primary_name="blue",
    backup_name="green",
    created_at="2026-01-31T08:00:00Z",
    paired_by="3333333333333333",
    seed=Seed(
        public_seed=seed_cose.encode_seed(SEED),
        numbers=seed_numbers.CURRENT,
        derivation_secret=bytes(range(32)),
        key_handle=bytes(64),
        credential_id=bytes(64),
        user_id=bytes(32),
        attestation="packed",
        evidence=None,
    ),
)
VECTOR = Path(__file__).parent.parent / "vectors" / "key_record.json"


def content() -> dict[int, object]:
    decoded = cbor.decode(key_record.encode(RECORD))
    assert isinstance(decoded, dict)
    return dict(decoded)


def encoded(**changes: object) -> bytes:
    return cbor.encode(content() | {int(label[1:]): value for label, value in changes.items()})


def without(label: int) -> bytes:
    return cbor.encode({number: value for number, value in content().items() if number != label})


def test_a_record_comes_back_as_it_went():
    assert key_record.decode(key_record.encode(RECORD)) == RECORD


def test_the_encoding_is_the_one_that_is_on_keys():
    """With another one, the hash that primary keys store would not fit any more."""
    assert key_record.encode(RECORD).hex() == json.loads(VECTOR.read_text())["record"]


def test_a_software_seed_has_no_handle():
    record = replace(RECORD, method=Method.SOFTWARE, seed=replace(RECORD.seed, key_handle=None))
    assert key_record.decode(key_record.encode(record)) == record


def test_three_records_fit_into_the_smallest_array_that_is_worth_it():
    """1024 bytes with two, 4096 with eight: as much as keys with ids of 64 bytes leave."""
    assert 2 * len(key_record.encode(RECORD)) < 1024
    assert 8 * len(key_record.encode(RECORD)) < 4096


@given(st.text(min_size=1, max_size=60))
def test_names_are_cut_between_characters(name: str) -> None:
    record = replace(RECORD, primary_name=name)
    try:
        found = key_record.decode(key_record.encode(record)).primary_name
    except ValueError:
        # No key can be called so; nor can a name be that is cut to nothing.
        return
    assert len(found.encode()) <= 3 * key_record.MAX_NAME_BYTES


@given(st.binary(max_size=600))
def test_any_bytes_are_a_record_or_none(octets: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own words, and none is shown
        key_record.decode(octets)


@given(st.data())
def test_a_record_with_any_byte_changed_is_read_safely(data: st.DataObject) -> None:
    octets = bytearray(key_record.encode(RECORD))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] = data.draw(st.integers(0, 255))
    try:
        found = key_record.decode(bytes(octets))
    except ValueError:
        return
    assert found.seed.public_seed
    seed_cose.read_seed(found.seed.public_seed)


@pytest.mark.parametrize("label", sorted(content()))
def test_no_field_may_be_missing(label: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # as above
        key_record.decode(without(label))


def test_another_version_is_told_from_nonsense():
    with pytest.raises(NewerRecordError):
        key_record.decode(encoded(_1=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"_1": True},
        {"_1": "1"},
        {"_2": bytes(7)},
        {"_3": 3},
        {"_3": True},
        {"_6": "usb:blue"},
        {"_6": ""},
        {"_6": "x" * 33},
        {"_8": "yesterday"},
        {"_9": bytes(33)},
        {"_9": b"\x02" + b"\xff" * 32},
        {"_10": b"\x04" + bytes(64)},
        {"_11": bytes(31)},
        {"_12": b""},
        {"_15": "Packed!"},
        {"_16": ["a", "b", 1, 2, 3]},
        {"_16": ["a", "b", 1, 2, 3, True]},
        {"_16": ["", "b", 1, 2, 3, 4]},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # as above
        key_record.decode(encoded(**changes))


def test_both_points_are_never_the_same():
    same = content()
    with pytest.raises(ValueError, match="same"):
        key_record.decode(cbor.encode(same | {10: same[9]}))


def test_numbers_of_another_draft_are_kept_as_they_are():
    """Whoever uses them refuses them, and says which draft they are of."""
    other = replace(seed_numbers.CURRENT, draft="draft-12", algorithm=-65999)
    record = replace(RECORD, seed=replace(RECORD.seed, numbers=other))
    assert key_record.decode(key_record.encode(record)).seed.numbers == other


def test_a_user_carries_the_seed_where_there_is_no_room_for_more():
    carrier = key_record.carrier(RECORD.seed.public_seed)
    assert len(carrier.user_id) == 64
    assert key_record.carried_seed(carrier.user_id, carrier.user_name) == RECORD.seed.public_seed


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_every_seed_can_be_carried(one: int, other: int) -> None:
    private = arkg.derive_seed(one.to_bytes(32, "big"), b"\xff" + other.to_bytes(32, "big"))
    public = seed_cose.encode_seed(arkg.public_seed(private))
    carrier = key_record.carrier(public)
    assert key_record.carried_seed(carrier.user_id, carrier.user_name) == public


@pytest.mark.parametrize(
    ("user_id", "user_name"),
    [
        (None, None),
        (bytes(64), "kim"),
        (bytes(64), "keyctl-seed 1 22"),
        (b"\xff" * 64, "keyctl-seed 1 23"),
        (bytes(63), "keyctl-seed 1 22"),
        (bytes(64), "keyctl-seed 2 22"),
        (None, "keyctl-seed 1 22"),
    ],
)
def test_other_users_carry_none(user_id: bytes | None, user_name: str | None) -> None:
    assert key_record.carried_seed(user_id, user_name) is None
