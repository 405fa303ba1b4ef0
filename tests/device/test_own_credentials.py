"""Where a primary key keeps its pairings: one credential each, that is listed, read and takes nobody's place."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core import public_keys
from keyctl.device import answers
from keyctl.device.own_ceremonies import User
from keyctl.errors import NotFoundError, PinError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import OWN_RP_ID, Purpose, Waits
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.device.session import Session
    from tests.device.conftest import Bench

PIN = "123456"
RECORD = b"the record of a pairing" * 12
HASH = sha256(RECORD).digest()
PATIENT = Waits(touch_s=20, plug_s=0, lock_s=0)
TOKEN = ["clientPin getKeyAgreement", "clientPin getPinUvAuthTokenUsingPinWithPermissions"]
THEIRS, THEIR_KEY = b"what a site keeps", b"\x07" * 32


@pytest.fixture(params=["full", "small", "arkg"])
def primary(make_bench: Callable[..., Bench], request: pytest.FixtureRequest) -> Bench:
    """A key with a passkey and a blob of a site."""
    bench = make_bench(request.param, pin=PIN)
    bench.register("example.com")
    with bench.open(pin=PIN) as opened:
        opened.blobs.write(THEIR_KEY, THEIRS)
    bench.trace.clear()
    return bench


def store(opened: Session) -> bytes:
    """Keep RECORD on the key; returns the credential's id."""
    opened.blobs.require_room(len(RECORD))
    made = opened.own_credentials.make([], record_hash=HASH)
    assert made.large_blob_key is not None
    opened.blobs.write(made.large_blob_key, RECORD)
    return made.credential_id


@pytest.mark.parametrize("quirk", [None, "lbw-dropped", "token-once", "no-touch", "map-order", "long-ids"])
def test_a_record_is_kept_and_read_back(primary: Bench, quirk: str | None) -> None:
    if quirk is not None:
        primary.set(f"quirk={quirk}")
    with primary.open(pin=PIN) as opened:
        assert opened.own_credentials.pins_records
        credential_id = store(opened)
    with primary.open(pin=PIN) as opened:
        (listed,) = opened.own_credentials.list()
        assert listed.passkey.credential_id == credential_id
        assert (listed.passkey.protection, listed.passkey.purpose) == ("required", Purpose.PAIRING)
        assert listed.large_blob_key is not None
        assert opened.blobs.find(listed.large_blob_key) == RECORD
        assert opened.blobs.find(THEIR_KEY) == THEIRS


def test_one_touch_on_the_primary_is_enough_to_keep_a_record(primary: Bench) -> None:
    primary.set("touch=after:0.02")
    with primary.open(PATIENT, pin=PIN) as opened:
        store(opened)
        assert opened.commands_sent == len(primary.trace)
    assert len(primary.touches) == 1
    write = ["largeBlobs get", *TOKEN, "largeBlobs set", "largeBlobs get"]
    assert primary.sent() == ["getInfo", "largeBlobs get", *TOKEN, "makeCredential", *write]


@pytest.mark.parametrize("quirk", [None, "no-large-blob-key"])
def test_an_assertion_with_a_touch_tells_key_and_hash(primary: Bench, quirk: str | None) -> None:
    if quirk is not None:
        primary.set(f"quirk={quirk}")
    primary.set("touch=after:0.02")
    with primary.open(PATIENT, pin=PIN) as opened:
        made = opened.own_credentials.make([], record_hash=HASH)
        primary.touches.clear()
        read = opened.own_credentials.read(made.credential_id, client_data_hash=b"\x05" * 32)
        assert (read.large_blob_key, read.cred_blob) == (made.large_blob_key, HASH)
        assert read.assertion.client_data_hash == b"\x05" * 32
        assert read.assertion.user_verified
        assert public_keys.verifies(made.public_key, read.assertion.signed, read.assertion.signature)
        (listed,) = opened.own_credentials.list()
        assert listed.large_blob_key == (None if quirk else made.large_blob_key)
    assert len(primary.touches) == 1


def test_what_was_not_asked_for_is_not_there(primary: Bench) -> None:
    with primary.open(pin=PIN) as opened:
        made = opened.own_credentials.make([])
        assert opened.own_credentials.read(made.credential_id).cred_blob == b""


def test_every_one_has_a_user_of_its_own_and_takes_nobodys_place(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(pin=PIN)
    with bench.open(pin=PIN) as opened:
        made = [opened.own_credentials.make([]) for _ in range(3)]
        assert len({one.user_id for one in made}) == 3
        assert {listed.passkey.credential_id for listed in opened.own_credentials.list()} == {
            one.credential_id for one in made
        }
        answering = opened.all_answering(OWN_RP_ID, [one.credential_id for one in made], verified=True)
        assert len(answering) == 3


def test_a_seed_can_stand_in_the_user_of_a_key_without_large_blobs(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.1-pre", pin=PIN)
    user = User(id=os.urandom(64), name="keyctl seed 1 even odd")
    with bench.open(pin=PIN) as opened:
        made = opened.own_credentials.make([], record_hash=HASH, user=user)
        assert made.large_blob_key is None
        assert not opened.own_credentials.pins_records
        (listed,) = opened.own_credentials.list()
        assert (listed.passkey.user_id, listed.passkey.user_name) == (user.id, user.name)
        assert listed.large_blob_key is None
        read = opened.own_credentials.read(made.credential_id)
        assert (read.large_blob_key, read.cred_blob) == (None, None)


def test_a_key_without_own_credentials_lists_none(primary: Bench) -> None:
    with primary.open(pin=PIN) as opened:
        assert opened.own_credentials.list() == ()


def test_an_excluded_credential_stops_the_making(primary: Bench) -> None:
    with primary.open(pin=PIN) as opened:
        made = opened.own_credentials.make([])
        assert isinstance(failing(opened.own_credentials.make, [made.credential_id]), UnsupportedError)
    assert primary.own_ids() == [made.credential_id]


def test_a_full_key_says_so_before_pin_and_touch(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("small", pin=PIN)
    for number in range(3):
        bench.register(f"{number}.example")
    with bench.open() as opened:
        assert failing(opened.own_credentials.make, []).code == "key_full"
    assert bench.sent() == ["getInfo"]
    bench.set("quirk=remaining-wrong")
    with bench.open(pin=PIN) as opened:
        assert failing(opened.own_credentials.make, []).code == "key_full"


def test_room_that_was_made_is_used_in_the_same_session(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("small", pin=PIN)
    ids = [bench.register(f"{number}.example") for number in range(3)]
    with bench.open(pin=PIN) as opened:
        opened.delete_passkey(ids[0])
        opened.own_credentials.make([])
        assert failing(opened.own_credentials.make, []).code == "key_full"


@pytest.mark.parametrize("profile", ["fido2.0", "u2f"])
def test_keys_that_cannot_list_say_so(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile)
    with bench.open(pin=PIN) as opened:
        assert isinstance(failing(opened.own_credentials.list), UnsupportedError)


def test_a_first_generation_key_makes_one_too(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.0", pin=PIN)
    with bench.open(pin=PIN) as opened:
        made = opened.own_credentials.make([], record_hash=HASH)
        read = opened.own_credentials.read(made.credential_id)
        assert (made.large_blob_key, read.large_blob_key, read.cred_blob) == (None, None, None)


def test_wrong_turns_are_errors_and_make_nothing(primary: Bench) -> None:
    with primary.open() as opened:
        for attempt in (
            lambda: opened.own_credentials.make([]),
            lambda: opened.own_credentials.read(bytes(32)),
            opened.own_credentials.list,
        ):
            assert failing(attempt).code == "pin_required"
        opened.use_pin("000000")
        assert isinstance(failing(opened.own_credentials.make, []), PinError)
        opened.use_pin(PIN)
        assert isinstance(failing(opened.own_credentials.read, bytes(32)), NotFoundError)
    primary.set("touch=never")
    with primary.open(pin=PIN) as opened:
        assert isinstance(failing(opened.own_credentials.make, []), TouchError)
    assert primary.own_ids() == []


def test_nothing_that_is_printed_holds_a_blob_key(primary: Bench) -> None:
    with primary.open(pin=PIN) as opened:
        made = opened.own_credentials.make([])
        texts = [repr(made), repr(opened.own_credentials.list()), repr(opened.own_credentials.read(made.credential_id))]
    assert made.large_blob_key is not None
    shown = {repr(made.large_blob_key)[2:-1], made.large_blob_key.hex()}
    assert not any(secret in text for secret in shown for text in [*texts, *primary.trace])


@pytest.mark.parametrize("value", [None, "text", b"", bytes(31), bytes(33), 5, [bytes(32)]])
def test_a_blob_key_of_another_form_is_none(value: Any) -> None:
    assert answers.large_blob_key_from_ctap({0x0B: value}) is None
    assert answers.large_blob_key_from_ctap({}) is None


#: A read, agreement, token, makeCredential, a read, agreement, token, write, a read.
@pytest.mark.parametrize("fault", ["pulled", "pulled-after"])
@pytest.mark.parametrize("number", range(1, 10))
def test_a_key_that_is_pulled_keeps_what_it_had(primary: Bench, number: int, fault: str) -> None:
    with primary.open(pin=PIN) as opened:
        earlier = opened.own_credentials.make([])
        passkeys = len(opened.list_passkeys().passkeys)
    before = primary.large_blobs()
    with primary.open(pin=PIN) as opened:
        primary.set(f"fault={number}:{fault}")
        error = failing(store, opened)
        assert (type(error), error.code) == (UnreachableError, "key_removed")
    primary.replug()
    with primary.open(pin=PIN) as opened:
        made_one = number > 4 or (number == 4 and fault == "pulled-after")
        assert len(opened.list_passkeys().passkeys) == passkeys + made_one
        assert opened.blobs.find(THEIR_KEY) == THEIRS
        array = opened.blobs.read()
        for listed in opened.own_credentials.list():
            if listed.passkey.credential_id == earlier.credential_id:
                continue
            assert listed.large_blob_key is not None
            assert array.find(listed.large_blob_key) in {None, RECORD}
            opened.blobs.remove(listed.large_blob_key)
            opened.delete_passkey(listed.passkey.credential_id)
    assert primary.large_blobs() == before
    assert primary.own_ids() == [earlier.credential_id]
