"""Which known key is this: proved, claimed, changed, locked or unknown, and never taken for another."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fido2.ctap import CtapDevice

from keyctl.core import public_keys
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyChoiceError, PinError, StoreError, UnreachableError
from keyctl.model import KeyState, Recognition
from keyctl.operations import forgetting, listing, naming, opening, pins, recognising
from keyctl.operations.listing import Filter
from keyctl.store import inventory
from keyctl.store import state as local_state
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice

PIN = "123456"
CTAP2_PROFILES = ["full", "fido2.0", "fido2.1-pre", "small"]


def told(desk, person, selector):
    """What a person is told when the key is opened."""
    who = person()
    with opening.opened(desk.circumstances(who, selector)):
        pass
    return " ".join(who.told)


@pytest.mark.parametrize("profile", CTAP2_PROFILES)
@pytest.mark.parametrize("pin", [False, True], ids=["without PIN", "with PIN"])
def test_a_known_key_proves_itself_without_touch_and_pin(desk, profile, pin):
    record = desk.know("blue-5c", "blue", profile, pin=pin)
    desk.set("blue", "touch=never")
    key = desk.seen("virtual:blue")
    assert (key.recognition, key.name, key.id) == (Recognition.PROVED, "blue-5c", record.id)
    assert key.label == "blue-5c"
    assert key.last_seen is not None


@pytest.mark.parametrize(
    "quirk", ["up-flag-always", "counter-random", "counter-from-zero", "long-ids", "map-order", "no-touch"]
)
def test_real_firmware_is_recognised_all_the_same(desk, quirk):
    desk.new("blue")
    desk.set("blue", f"quirk={quirk}")
    desk.add("blue", "virtual:blue")
    for _ in range(3):
        assert desk.seen("virtual:blue").recognition is Recognition.PROVED


def test_a_key_without_an_aaguid_is_known_by_its_signature_alone(desk):
    desk.new("blue")
    desk.set("blue", "quirk=aaguid-zero")
    desk.add("blue", "virtual:blue")
    assert desk.record("blue").aaguid is None
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED
    desk.new("green")
    desk.set("green", "quirk=aaguid-zero")
    assert desk.seen("virtual:green").recognition is Recognition.UNKNOWN


def test_all_that_is_noted_of_a_key_is_shown_with_it(desk, person):
    desk.know("blue", pin=True)
    desk.put(replace(desk.record("blue"), owner="kim", location="the safe", note="scratched", role="backup"))
    key = desk.seen("virtual:blue")
    assert (key.owner, key.location, key.note, key.role) == ("kim", "the safe", "scratched", "backup")
    assert told(desk, person, "virtual:blue") == ""


def test_without_known_keys_nothing_is_asked(desk, person):
    desk.new("blue")
    with opening.opened(desk.circumstances(person())) as session:
        assert session.key.recognition is None
        assert session.commands_sent == 1


def test_a_stranger_of_another_model_is_just_unknown(desk, person):
    desk.know("blue")
    desk.new("green", "small")
    assert desk.seen("virtual:green").recognition is Recognition.UNKNOWN
    assert told(desk, person, "virtual:green") == ""


def test_a_key_of_a_known_model_that_does_not_answer_may_have_been_reset(desk, person):
    desk.know("blue")
    desk.reset("blue")
    key = desk.seen("virtual:blue")
    assert (key.recognition, key.name, key.id, key.state) == (
        Recognition.PERHAPS_RESET,
        None,
        None,
        KeyState.UNKNOWN,
    )
    said = told(desk, person, "virtual:blue")
    assert "of the model of blue and has no name" in said
    assert "keyctl add NAME --replace -k virtual:blue" in said


def test_where_a_reset_was_seen_it_says_so(desk, person):
    desk.know("blue one", "blue")
    desk.put(replace(desk.record("blue one"), state=KeyState.RESET))
    desk.reset("blue")
    said = told(desk, person, "virtual:blue")
    assert "blue one, which was reset" in said
    assert "keyctl add 'blue one' --replace" in said


def test_many_keys_of_one_model_are_not_all_named(desk, person):
    record = desk.know("blue")
    desk.reset("blue")
    desk.put(*others_like(record, 30))
    said = told(desk, person, "virtual:blue")
    assert "or others" in said
    assert len(said) < 300


def others_like(record, count):
    """Records of keys that are not here."""
    return [
        replace(
            record,
            id=inventory.new_id(),
            name=f"{record.name}-{number}",
            recognition=replace(record.recognition, credential_id=os.urandom(len(record.recognition.credential_id))),
        )
        for number in range(count)
    ]


def test_a_key_that_is_here_cannot_be_the_one_that_was_perhaps_reset(desk, person):
    desk.know("blue")
    desk.new("green")
    found = listing.list_keys(desk.circumstances(person()), Filter())
    assert [key.recognition for key in found.keys] == [Recognition.PROVED, Recognition.PERHAPS_RESET]
    assert found.remarks == ()


def test_a_counter_that_went_back_is_said_every_time(desk, person):
    record = desk.know("blue", pin=True)
    desk.set("blue", "counter=50")
    desk.seen("virtual:blue")
    desk.set("blue", "counter=0")
    for _ in range(2):
        key = desk.seen("virtual:blue")
        assert (key.recognition, key.name) == (Recognition.COUNTER_BACK, "blue")
    assert "the signature counter of blue went back: somebody may have a copy of it" in told(
        desk, person, "virtual:blue"
    )
    memory = local_state.read_memory(desk.home / "state", record.id)
    desk.set("blue", f"counter={memory.counter}")
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED


def test_a_damaged_memory_is_no_counter_that_went_back(desk):
    record = desk.know("blue")
    (desk.home / "state" / "keys" / f"{record.id}.json").write_text("{")
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED


def test_another_public_key_than_the_one_first_seen_is_noticed(desk, person):
    """Whoever can edit the inventory puts the credential of a key of theirs under the name."""
    desk.know("blue")
    desk.know("green", pin=True)
    blue, green = desk.record("blue"), desk.record("green")
    with inventory.changing(desk.home, 0) as changes:
        changes.remove_key(green.id)
        changes.put_key(replace(blue, recognition=green.recognition))
    key = desk.seen("virtual:green")
    assert (key.recognition, key.name) == (Recognition.CHANGED, "blue")
    assert "is not the one first seen on this computer" in told(desk, person, "virtual:green")
    assert desk.seen("virtual:blue").recognition is Recognition.PERHAPS_RESET


def test_the_first_sight_on_another_computer_is_what_counts_there(desk, tmp_path, person):
    record = desk.know("blue")
    elsewhere = replace(desk.circumstances(person(), "virtual:blue"), state=tmp_path / "elsewhere")
    with opening.opened(elsewhere) as session:
        assert session.key.recognition is Recognition.PROVED
    assert local_state.read_pin(tmp_path / "elsewhere", record.id) == record.recognition.public_key


def test_a_damaged_first_sight_stops_what_would_trust_it(desk, person):
    record = desk.know("blue")
    desk.know("green")
    (desk.home / "state" / "pins" / f"{record.id}.json").write_text("{}")
    with pytest.raises(StoreError) as caught:
        desk.seen("virtual:blue")
    assert caught.value.code == "store_unreadable"
    found = listing.list_keys(desk.circumstances(person()), Filter())
    assert {key.name: key.connected for key in found.keys} == {"blue": False, "green": True, None: True}
    assert [error.code for error in found.errors] == ["store_unreadable"]


def test_an_impostor_does_not_get_the_name(desk):
    """The record was given the credential id of another key, but nobody has the private key of the one on file."""
    blue, green = desk.know("blue"), desk.know("green")
    stolen = replace(blue.recognition, credential_id=green.recognition.credential_id)
    desk.put(replace(blue, recognition=stolen))
    with inventory.changing(desk.home, 0) as changes:
        changes.remove_key(green.id)
    key = desk.seen("virtual:green")
    assert (key.recognition, key.name) == (Recognition.PERHAPS_RESET, None)


def test_an_impostors_record_does_not_hide_the_key_itself(desk):
    """Two records hold one credential id, and the wrong one comes first."""
    blue, green = desk.know("blue"), desk.know("green")
    stolen = replace(blue.recognition, credential_id=green.recognition.credential_id)
    desk.put(replace(blue, recognition=stolen))
    key = desk.seen("virtual:green")
    assert (key.recognition, key.name) == (Recognition.PROVED, "green")


def test_a_damaged_record_of_the_same_key_does_not_hide_the_sound_one(desk):
    """The key holds two credentials that are on file, and one of the public keys is not right."""
    old = desk.know("blue")
    desk.set("blue", "counter=50")
    desk.seen("virtual:blue")
    desk.set("blue", "counter=0")
    desk.add("blue", "virtual:blue", replacing=True)
    assert desk.record("blue").recognition != old.recognition
    broken = replace(old.recognition, public_key=public_keys.ed25519(bytes(32)))
    desk.put(replace(old, id=inventory.new_id(), name="a", recognition=broken))
    key = desk.seen("virtual:blue")
    assert (key.recognition, key.name) == (Recognition.PROVED, "blue")


@pytest.mark.parametrize("public_key", [b"\xa0", b"p" * 77, bytes(200)])
def test_a_public_key_that_is_none_proves_nothing(desk, public_key):
    blue = desk.know("blue")
    desk.put(replace(blue, recognition=replace(blue.recognition, public_key=public_key)))
    assert desk.seen("virtual:blue").recognition is Recognition.PERHAPS_RESET


@pytest.fixture
def locked(desk):
    """A known key that answers nothing without its PIN."""
    desk.know("blue-5c", "blue", pin=True)
    desk.always_uv("blue")
    return "virtual:blue"


def test_a_key_that_wants_its_pin_first_is_locked_and_has_no_name(desk, person, locked):
    key = desk.seen(locked)
    assert (key.recognition, key.name, key.id) == (Recognition.LOCKED, None, None)
    assert told(desk, person, locked) == (
        "virtual:blue wants its PIN before it says which key it is; it may be blue-5c; "
        "name it by its path: -k virtual:blue"
    )


def test_a_locked_key_has_its_name_once_the_pin_is_there(desk, person, locked):
    who = person(pins=[PIN])
    circumstances = desk.circumstances(who, locked)
    with opening.opened(circumstances) as session:
        found = pins.verify(session, circumstances)
    assert who.requests[0].key == "virtual:blue"
    assert (found.key.recognition, found.key.name) == (Recognition.PROVED, "blue-5c")


def test_a_locked_key_gets_no_pin_for_its_name(desk, person, locked):
    assert locked
    who = person(pins=[PIN])
    with pytest.raises(KeyChoiceError) as caught, opening.opened(desk.circumstances(who, "blue-5c")):
        pass
    assert "-k virtual:blue" in str(caught.value.hint)
    assert who.requests == []
    assert desk.tries("blue") == 8


def test_a_wrong_pin_for_a_locked_key_costs_one_try_and_names_nobody(desk, person, locked):
    circumstances = desk.circumstances(person(pins=["wrong pin"]), locked)
    with opening.opened(circumstances) as session:
        with pytest.raises(PinError) as caught:
            pins.verify(session, circumstances)
        assert session.key.name is None
    assert (caught.value.code, caught.value.details.tries_left) == ("pin_wrong", 7)


def test_a_locked_key_whose_record_was_changed_is_stopped_when_that_shows(desk, person, locked):
    record = desk.record("blue-5c")
    local_state.write_pin(desk.home / "state", record.id, b"another")
    circumstances = desk.circumstances(person(pins=[PIN], attended=False), locked)
    with opening.opened(circumstances) as session, pytest.raises(StoreError) as caught:
        pins.change(session, circumstances, dry_run=False)
    assert caught.value.code == "recognition_changed"


def test_a_locked_stranger_of_another_model_is_unknown(desk):
    desk.know("old", profile="fido2.0")
    desk.new("blue")
    desk.set_pin("blue")
    desk.always_uv("blue")
    assert desk.seen("virtual:blue").recognition is Recognition.UNKNOWN


def test_a_key_that_answers_in_silence_under_always_uv_needs_no_pin(desk, locked):
    desk.set("blue", "quirk=silent-without-uv")
    assert desk.seen(locked).recognition is Recognition.PROVED


def test_a_u2f_key_only_claims_its_name(desk, person):
    desk.know("old-one", "old", "u2f")
    desk.set("old", "touch=never")
    key = desk.seen("virtual:old")
    assert (key.recognition, key.name) == (Recognition.CLAIMED, "old-one")
    assert told(desk, person, "virtual:old") == (
        "virtual:old says that it is old-one; a U2F key proves that with a touch only"
    )


def test_a_u2f_key_proves_itself_with_a_touch(desk, person):
    desk.know("old", profile="u2f")
    desk.set("old", "counter=50")
    circumstances = desk.circumstances(person())
    with opening.opened(circumstances) as session:
        recognising.prove_by_touch(session, recognising.known(circumstances))
        assert session.key.recognition is Recognition.PROVED
    desk.set("old", "counter=0")
    with opening.opened(circumstances) as session:
        recognising.prove_by_touch(session, recognising.known(circumstances))
        assert session.key.recognition is Recognition.COUNTER_BACK


def test_a_u2f_impostor_is_found_out_by_the_touch(desk, person):
    """It claims the key handle that is on file, and signs with another key."""
    old, other = desk.know("old", profile="u2f"), desk.know("other", profile="u2f")
    stolen = replace(old.recognition, credential_id=other.recognition.credential_id)
    desk.put(replace(old, recognition=stolen))
    with inventory.changing(desk.home, 0) as changes:
        changes.remove_key(other.id)
    circumstances = desk.circumstances(person(), "virtual:other")
    with opening.opened(circumstances) as session:
        assert session.key.recognition is Recognition.CLAIMED
        with pytest.raises(UnreachableError) as caught:
            recognising.prove_by_touch(session, recognising.known(circumstances))
    assert caught.value.code == "key_nonsense"


def test_a_u2f_key_is_not_asked_about_keys_that_know_more(desk, person):
    desk.know("blue")
    desk.new("old", "u2f")
    with opening.opened(desk.circumstances(person(), "virtual:old")) as session:
        assert session.key.recognition is Recognition.UNKNOWN
        assert session.commands_sent == 0


@pytest.mark.parametrize("fault", ["2:0x7f", "2:0x2c", "2:garbage", "2:0x3a"])
def test_a_key_that_fails_the_question_is_unknown_and_works(desk, person, fault):
    """Some firmware takes a silent assertion badly; that is no sign of a reset."""
    desk.know("blue")
    desk.set("blue", f"fault={fault}")
    with opening.opened(desk.circumstances(person(), "virtual:blue")) as session:
        assert session.key.recognition is Recognition.UNKNOWN
        assert session.pin_retries().left == 8
    assert told(desk, person, "virtual:blue") == ""


def test_a_key_pulled_during_the_question_is_an_error(desk, person):
    desk.know("blue")
    desk.set("blue", "fault=2:pulled")
    with (
        pytest.raises(UnreachableError) as caught,
        opening.opened(desk.circumstances(person(), "virtual:blue")),
    ):
        pass
    assert caught.value.code == "key_removed"


def commands(desk, person, selector):
    with opening.opened(desk.circumstances(person(), selector)) as session:
        return session.commands_sent


@pytest.mark.parametrize(
    ("profile", "most"),
    # getInfo, and lists of eight; without a limit on their length, what fits 1200 bytes.
    [("full", 14), ("fido2.0", 14), ("fido2.1-pre", 14)],
)
def test_a_hundred_known_keys_are_asked_about_in_few_messages(desk, person, profile, most):
    record = desk.know("blue", profile=profile)
    desk.put(*others_like(record, 99))
    # Never seen here, and named after all others.
    local_state.forget(desk.home / "state", record.id)
    desk.put(replace(record, name="z"))
    assert commands(desk, person, "virtual:blue") <= most
    assert commands(desk, person, "virtual:blue") == 2
    desk.new("stranger", profile)
    assert commands(desk, person, "virtual:stranger") <= most


def test_ids_too_long_for_one_message_are_split(desk):
    desk.new("blue", "fido2.0")
    desk.set("blue", "quirk=long-ids")
    desk.add("blue", "virtual:blue")
    record = desk.record("blue")
    long = [
        replace(key, recognition=replace(key.recognition, credential_id=os.urandom(241)))
        for key in others_like(record, 99)
    ]
    desk.put(*long)
    local_state.forget(desk.home / "state", record.id)
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED


def test_the_key_seen_last_is_asked_about_first_even_if_all_go_into_one_port(desk, person):
    record = desk.know("m")
    others = others_like(record, 30)
    desk.put(*others)
    for number, key in enumerate(others):
        memory = local_state.KeyMemory(last_seen=f"2026-01-{number + 1:02}T08:00:00Z", selector="virtual:m")
        local_state.write_memory(desk.home / "state", key.id, memory)
    assert commands(desk, person, "virtual:m") == 2


def test_the_key_seen_last_is_asked_about_first_with_u2f_too(desk, person):
    record = desk.know("old", profile="u2f")
    desk.put(*others_like(record, 30))
    # A decoy, and the one that is meant.
    assert commands(desk, person, "virtual:old") == 2


def test_where_nothing_can_be_remembered_keys_are_recognised_all_the_same(desk, person):
    record = desk.know("blue")
    local_state.forget(desk.home / "state", record.id)
    # No folder can be made there.
    circumstances = replace(desk.circumstances(person(), "virtual:blue"), state=Path("/proc/keyctl"))
    with opening.opened(circumstances) as session:
        assert session.key.recognition is Recognition.PROVED


def test_a_swapped_key_does_not_get_the_name_of_the_place(desk, person):
    """Two keys change places after they were listed."""
    desk.know("blue", pin=True)
    desk.know("green", pin=True)
    [first, _] = [
        found for found in opening.discover(desk.home).found if found.selector in {"virtual:blue", "virtual:green"}
    ]
    desk.swap("blue", "green")
    with opening.connected(first, desk.circumstances(person())) as session:
        assert session.key.selector == "virtual:blue"
        assert session.key.name == "green"


def test_a_handle_does_not_survive_a_swap(desk, person):
    desk.know("blue", pin=True)
    desk.know("green", pin=True)
    circumstances = desk.circumstances(person(pins=[PIN]), "blue")
    with opening.opened(circumstances) as session:
        desk.swap("blue", "green")
        with pytest.raises(UnreachableError) as caught:
            pins.verify(session, circumstances)
    assert caught.value.code == "key_removed"
    assert desk.tries("blue") == desk.tries("green") == 8


def test_keys_that_are_unplugged_are_not_there(desk):
    desk.know("blue")
    keys.unplug(desk.folder, "blue")
    with pytest.raises(KeyChoiceError) as caught:
        desk.seen("blue")
    assert caught.value.message == "blue is not connected"


def test_another_key_that_somebody_put_under_a_known_name_is_not_trusted(desk, person):
    """Whoever can write to a synced inventory can take a record away and put another in its place."""
    desk.know("blue", pin=True)
    desk.know("theirs", pin=True)
    mine, theirs = desk.record("blue"), desk.record("theirs")
    # As on another computer: nothing of this one's own state knows about the key of theirs.
    local_state.forget(desk.home / "state", theirs.id)
    local_state.forget_name(desk.home / "state", "theirs")
    with inventory.changing(desk.home, 0) as changes:
        changes.remove_key(mine.id)
        changes.put_key(replace(theirs, name="blue"))

    assert desk.seen("virtual:theirs").recognition is Recognition.CHANGED
    circumstances = desk.circumstances(person(pins=[PIN], attended=False), "blue")
    with opening.opened(circumstances) as session, pytest.raises(StoreError) as caught:
        pins.verify(session, circumstances)
    assert caught.value.code == "recognition_changed"

    # A person who knows why says so, once.
    circumstances = desk.circumstances(person(pins=[PIN]), "blue")
    with opening.opened(circumstances) as session:
        pins.verify(session, circumstances)
    assert desk.seen("virtual:theirs").recognition is Recognition.PROVED


def test_a_name_that_was_given_up_is_free_for_another_key(desk, person):
    desk.know("blue")
    naming.edit(desk.circumstances(person()), "blue", naming.Notes(), new_name="old", dry_run=False)
    desk.know("blue", "other")
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED
    assert desk.seen("virtual:other").recognition is Recognition.PROVED
    forgetting.forget(desk.circumstances(person()), "blue", dry_run=False)
    desk.know("blue", "third")
    assert desk.seen("virtual:third").recognition is Recognition.PROVED


def test_a_key_that_was_seen_under_another_name_does_not_get_a_name_that_was_taken(desk, person):
    """Whoever writes to the inventory first has a key of theirs seen, and then gives it the name of another."""
    desk.know("blue", pin=True)
    desk.know("theirs", pin=True)
    assert desk.seen("virtual:theirs").recognition is Recognition.PROVED
    mine, theirs = desk.record("blue"), desk.record("theirs")
    desk.put(replace(mine, name="old"), replace(theirs, name="blue"))

    for _ in range(2):
        assert desk.seen("virtual:theirs").recognition is Recognition.CHANGED
    who = person(pins=[PIN], attended=False)
    circumstances = desk.circumstances(who, "blue")
    with opening.opened(circumstances) as session, pytest.raises(StoreError) as caught:
        pins.verify(session, circumstances)
    assert caught.value.code == "recognition_changed"
    assert who.requests == []
    assert desk.seen("virtual:blue").recognition is Recognition.PROVED


@pytest.mark.parametrize("profile", ["full", "u2f"])
def test_two_that_ask_at_the_same_time_make_no_counter_go_back(desk, person, profile):
    """What another process hears and notes between question and verdict is newer, and no sign of a copy."""
    desk.know("blue", profile=profile)
    desk.set("blue", "counter=50")
    record = desk.record("blue")

    def meanwhile(line):
        if line.startswith(("getAssertion", "U2F")):
            memory = local_state.read_memory(desk.home / "state", record.id)
            local_state.write_memory(desk.home / "state", record.id, replace(memory, counter=1000))

    circumstances = replace(desk.circumstances(person(), "virtual:blue"), trace=meanwhile)
    with opening.opened(circumstances) as session:
        if profile == "u2f":
            local_state.forget(desk.home / "state", record.id)
            recognising.prove_by_touch(session, recognising.known(circumstances))
        assert session.key.recognition is Recognition.PROVED
    assert local_state.read_memory(desk.home / "state", record.id).counter == 1000
    assert desk.seen("virtual:blue").recognition in {Recognition.COUNTER_BACK, Recognition.CLAIMED}


def test_a_name_stays_with_its_key_when_the_record_in_its_place_is_forgotten(desk, person):
    mine, theirs = desk.know("blue"), desk.know("theirs")
    local_state.forget(desk.home / "state", theirs.id)
    for _ in range(2):
        with inventory.changing(desk.home, 0) as changes:
            changes.remove_key(mine.id)
            changes.put_key(replace(theirs, name="blue"))
        assert desk.seen("virtual:theirs").recognition is Recognition.CHANGED
        forgetting.forget(desk.circumstances(person()), "blue", dry_run=False)


class PlayingBack(CtapDevice):
    """A device that heard what a key once signed, and knows all else of it."""

    def __init__(self, device):
        self._device = device
        self._signed = None

    @property
    def capabilities(self):
        return self._device.capabilities

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        if data[:1] != b"\x02":
            return self._device.call(cmd, data, event, on_keepalive)
        if self._signed is None:
            self._signed = self._device.call(cmd, data, event, on_keepalive)
        return self._signed

    def close(self):
        self._device.close()

    @classmethod
    def list_devices(cls):
        return iter(())


def test_an_old_answer_is_none(desk, person):
    desk.know("blue")
    circumstances = desk.circumstances(person())
    [found] = opening.discover(desk.home).found
    device = PlayingBack(VirtualDevice(desk.folder, "blue"))
    guard = GuardedDevice(device, "usb:x", touch_s=0, lock_s=0, on_touch=lambda *_touch: None)
    with Session(found, guard) as session:
        for recognition in (Recognition.PROVED, Recognition.PERHAPS_RESET):
            recognising.recognise(session, recognising.known(circumstances))
            assert session.key.recognition is recognition
