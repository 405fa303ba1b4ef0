"""Records and their JSON: what is written is read, what is not exactly right is refused by name."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventories import ADDED_AT, BLUE, PAIR, SHOP, derived, keys, pairings, passkey, services

from keyctl.core import arkg, binding, contexts, p256, seed_cose, times
from keyctl.errors import StoreError
from keyctl.store import health_files, loss_records, migrations, pairing_records, records

FOLDER = Path(__file__).parent.parent / "vectors" / "store"
EXAMPLES = sorted(FOLDER.glob("*.json"))
RICH, SERVICE, PAIRING = (
    json.loads((FOLDER / f"{kind}-1-full.json").read_text()) for kind in ("key", "service", "pairing")
)
KINDS = {
    "key": (records.key_from, records.key_to),
    "service": (records.service_from, records.service_to),
    "pairing": (pairing_records.pairing_from, pairing_records.pairing_to),
    "loss": (loss_records.record_from, loss_records.record_to),
    "accepted": (health_files.acceptances_from, health_files.acceptances_to),
}
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def through_json(value):
    return json.loads(json.dumps(value))


@given(keys)
def test_a_key_is_read_as_it_was_written(key):
    assert records.key_from(through_json(records.key_to(key)), "a file") == key


@given(services)
def test_a_service_is_read_as_it_was_written(service):
    assert records.service_from(through_json(records.service_to(service)), "a file") == service


@given(pairings())
def test_a_pairing_is_read_as_it_was_written(pairing):
    assert pairing_records.pairing_from(through_json(pairing_records.pairing_to(pairing)), "a file") == pairing


def test_lists_are_written_in_an_order_of_their_own():
    one, other = passkey(1), passkey(2)
    assert records.key_to(replace(BLUE, passkeys=(one, other))) == records.key_to(replace(BLUE, passkeys=(other, one)))
    some = derived(1), derived(2)
    assert pairing_records.pairing_to(replace(PAIR, derived=some)) == pairing_records.pairing_to(
        replace(PAIR, derived=some[::-1])
    )


def paths_in(value, path=()):
    """The places of all values inside *value*."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from paths_in(item, (*path, name))


def is_field(place):
    """Whether there has to be such a place: there are any number of items and of changes."""
    return isinstance(place[-1], str) and (place[0] != "changed" or len(place) == 1)


def damaged(example, place, value, how):
    result = copy.deepcopy(example)
    parent = result
    for name in place[:-1]:
        parent = parent[name]
    if how == "remove":
        del parent[place[-1]]
    elif how == "add" and isinstance(parent, dict):
        parent["extra"] = value
    else:
        parent[place[-1]] = value
    return result


@pytest.mark.parametrize("example", [RICH, SERVICE, PAIRING], ids=lambda example: example["kind"])
@given(data=st.data())
def test_a_damaged_record_is_a_store_error_or_a_record(example, data):
    """Whatever is accepted can be written again and is the same then."""
    read, write = KINDS[example["kind"]]
    place = data.draw(st.sampled_from(list(paths_in(example))[1:]))
    content = damaged(example, place, data.draw(ANY_JSON), data.draw(st.sampled_from(["replace", "remove", "add"])))
    before = copy.deepcopy(content)
    found = record_or_error(read, content)
    if isinstance(found, StoreError):
        assert found.code in {"store_unreadable", "store_newer"}
        assert found.details.file == "some/file.json"
        assert "some/file.json" in found.message
        assert found.message.isprintable()
    else:
        assert read(through_json(write(found)), "some/file.json") == found
    assert repr(content) == repr(before)


def record_or_error(read, content):
    try:
        return read(content, "some/file.json")
    except StoreError as error:
        return error


@pytest.mark.parametrize(
    ("example", "place"),
    [(example, place) for example in (RICH, PAIRING) for place in paths_in(example) if place and is_field(place)],
    ids=str,
)
def test_every_field_is_needed_and_named(example, place):
    with pytest.raises(StoreError) as caught:
        KINDS[example["kind"]][0](damaged(example, place, None, "remove"), "a file")
    assert str(place[-1]) in caught.value.message


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("name",), "usb:3-1", "name"),
        (("name",), " ", "name"),
        (("name",), "\ud800", "name"),
        (("id",), "0123456789ABCDEF", "id"),
        (("state",), "unknown", "state"),
        (("virtual",), 1, "virtual"),
        (("added_at",), "2026-01-31T08:00:00+00:00", "added_at"),
        (("added_at",), "2026-02-30T08:00:00Z", "added_at"),
        (("aaguid",), "00000000000000000000000000000000", "aaguid"),
        (("passkeys_remaining",), -1, "passkeys_remaining"),
        (("passkeys_remaining",), True, "passkeys_remaining"),
        (("passkeys_remaining",), 1.0, "passkeys_remaining"),
        (("recognition", "public_key"), "AB", "recognition.public_key"),
        (("recognition", "public_key"), "", "recognition.public_key"),
        (("recognition", "public_key"), "ab cd", "recognition.public_key"),
        (("passkeys", 1, "rp_id_hash"), "ab", r"passkeys\[1\].rp_id_hash"),
        (("passkeys", 1), [], r"passkeys\[1\]"),
        (("passkeys", 1, "protection"), "strong", r"passkeys\[1\].protection"),
        (("passkeys",), {}, "passkeys"),
        (("registrations", 0, "origin"), "tpm", r"registrations\[0\].origin"),
        (("changed", "colour"), ADDED_AT, "changed.'colour'"),
        (("changed", "name"), "yesterday", "changed"),
        (("colour\x1b",), "red", r"'colour\\x1b' is no field"),
        (("passkeys", 0, "colour"), "red", r"passkeys\[0\].'colour' is no field"),
    ],
)
def test_a_wrong_field_of_a_key_is_named(place, value, named):
    with pytest.raises(StoreError, match=named) as caught:
        records.key_from(damaged(RICH, place, value, "replace"), "a file")
    assert caught.value.code == "store_unreadable"


def test_wrong_fields_of_a_service_are_named():
    for name, value in (
        ("recovery", ["magic"]),
        ("recovery", [[]]),
        ("on", [{"key_id": "b1", "declared_at": ADDED_AT}]),
        ("name", ""),
        ("rp_id", None),
        ("changed", {"on:b1": ADDED_AT}),
    ):
        with pytest.raises(StoreError, match=name):
            records.service_from(SERVICE | {name: value}, "a file")


def test_a_key_named_twice_by_a_service_counts_with_the_newest_word():
    key_id, later = BLUE.id, "2026-03-01T00:00:00Z"
    on = [{"key_id": key_id, "declared_at": later}, {"key_id": key_id, "declared_at": ADDED_AT}]
    service = records.service_from(records.service_to(SHOP) | {"on": on}, "a file")
    assert [one.declared_at for one in service.on] == [later]


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("id",), "0123456789ABCDEF", "id"),
        (("primary_id",), "blue", "primary_id"),
        (("paired_by",), "my-laptop", "paired_by"),
        (("method",), "magic", "method"),
        (("seed", "public_seed"), "", "seed.public_seed"),
        (("seed", "derivation_secret"), "ab" * 31, "seed.derivation_secret"),
        (("seed", "user_id"), "ab" * 33, "seed.user_id"),
        (("seed", "attestation"), "by \x1b[31m", "seed.attestation"),
        (("seed", "numbers", "algorithm"), True, "seed.numbers.algorithm"),
        (("seed", "numbers", "algorithm"), 2**53, "seed.numbers.algorithm"),
        (("seed", "numbers", "draft"), " ", "seed.numbers.draft"),
        (("seed", "evidence", "nonce"), "ab" * 31, "seed.evidence.nonce"),
        (("seed", "evidence", "made"), "", "seed.evidence.made"),
        (("stored_on", 0, "key_id"), "b1", r"stored_on\[0\].key_id"),
        (("stored_on", 0, "at"), None, r"stored_on\[0\].at"),
        (("derived", 1, "target"), "age:kim", r"derived\[1\].target"),
        (("derived", 1, "target"), "ssh:", r"derived\[1\].target"),
        (("derived", 1, "public_key"), "04" * 64, r"derived\[1\].public_key"),
        (("derived", 1, "key_handle"), "04" * 80, r"derived\[1\].key_handle"),
        (("derived", 2, "endorsement", "client_data_hash"), "ab", r"derived\[2\].endorsement.client_data_hash"),
        (("derived", 1, "target"), PAIRING["derived"][0]["target"], "derived is not"),
        (("stored_on", 1), PAIRING["stored_on"][0], "stored_on is not"),
        (("changed", "stored_on:b1"), ADDED_AT, "changed.'stored_on:b1'"),
        (("colour",), "red", "'colour' is no field"),
    ],
)
def test_a_wrong_field_of_a_pairing_is_named(place, value, named):
    example = copy.deepcopy(PAIRING)
    if place == ("stored_on", 1):
        example["stored_on"].append(None)
    with pytest.raises(StoreError, match=named) as caught:
        pairing_records.pairing_from(damaged(example, place, value, "replace"), "a file")
    assert caught.value.code == "store_unreadable"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"backup_id": PAIRING["primary_id"]}, "backup_id"),
        ({"method": "registration"}, "seed"),
        ({"method": "webauthn_draft"}, "seed"),
        ({"seed": None}, "seed"),
        ({"method": "software"}, "seed.key_handle"),
        ({"seed": PAIRING["seed"] | {"key_handle": None}}, "seed.key_handle"),
        ({"recovery_seed": "ab"}, "recovery_seed"),
        ({"method": "webauthn_draft", "seed": None}, "recovery_seed"),
        ({"method": "registration", "seed": None}, "derived"),
        ({"verified_by": None}, "verified_by"),
        ({"verified_at": None}, "verified_by"),
    ],
)
def test_a_pairing_that_contradicts_itself_is_refused(changes, named):
    with pytest.raises(StoreError, match=f"{named} contradicts") as caught:
        pairing_records.pairing_from(PAIRING | changes, "a file")
    assert caught.value.details.file == "a file"


def test_lengths_are_those_of_the_modules_that_calculate_with_them():
    assert pairing_records.KEY_HANDLE_BYTES == arkg.KEY_HANDLE_BYTES
    assert pairing_records.POINT_BYTES == p256.POINT_BYTES
    assert pairing_records.DERIVATION_SECRET_BYTES == contexts.DRV_BYTES
    assert pairing_records.NONCE_BYTES == binding.NONCE_BYTES


def test_the_example_of_a_pairing_holds_what_it_says():
    """It is an example for other programs, too."""
    pairing = pairing_records.pairing_from(PAIRING, "a file")
    offer = binding.verify(pairing.seed.evidence)
    assert (offer.signing_handle, offer.credential_id) == (pairing.seed.key_handle, pairing.seed.credential_id)
    assert seed_cose.encode_seed(offer.seed) == pairing.seed.public_seed
    assert pairing.seed_hash == sha256(pairing.seed.public_seed).digest()
    for one in pairing.derived:
        target = contexts.parse(one.target)
        assert target.text == one.target
        ikm = contexts.ikm(pairing.seed.derivation_secret, target.ctx)
        made = arkg.derive_public_key(offer.seed, ikm, target.ctx)
        assert (made.public_key, made.key_handle) == (one.public_key, one.key_handle)


@pytest.mark.parametrize("schema", [None, 0, -1, "1", 1.0, True])
def test_a_schema_that_is_none_is_damage(schema):
    with pytest.raises(StoreError, match="no schema number") as caught:
        records.key_from(RICH | {"schema": schema}, "a file")
    assert caught.value.code == "store_unreadable"


def test_a_newer_schema_is_told_apart_and_says_what_to_do():
    with pytest.raises(StoreError) as caught:
        records.key_from(RICH | {"schema": migrations.newest("key") + 1, "new": 1}, "a file")
    assert caught.value.code == "store_newer"
    assert "update keyctl" in (caught.value.hint or "")


def test_a_service_in_the_place_of_a_key_is_refused():
    with pytest.raises(StoreError, match="kind is not key"):
        records.key_from(records.service_to(SHOP), "a file")


def test_there_is_an_example_of_every_schema():
    kinds = {(value["kind"], value["schema"]) for value in (json.loads(path.read_text()) for path in EXAMPLES)}
    assert kinds == {(kind, number) for kind in migrations.STEPS for number in range(1, migrations.newest(kind) + 1)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_read_and_ends_at_the_newest_schema(path):
    content = json.loads(path.read_text())
    kind, schema = content["kind"], content["schema"]
    read, write = KINDS[kind]
    written = write(read(content, str(path)))
    assert written["schema"] == migrations.newest(kind)
    if schema == migrations.newest(kind):
        assert written == content


def test_times_are_written_in_one_way_only():
    assert times.parse(times.now()).utcoffset() is not None
    for text in ("", "2026-01-31", "2026-01-31T08:00:00.0Z", "2026-01-31 08:00:00Z", "20260131T080000Z00:0", "٢" * 20):
        with pytest.raises(ValueError):  # noqa: PT011  # the type is what callers rely on
            times.parse(text)
