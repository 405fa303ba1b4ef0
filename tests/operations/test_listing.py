"""The list of keys: one that fails never hides the others."""

from dataclasses import replace

import pytest

from keyctl.errors import KeyChoiceError
from keyctl.model import KeyState, Recognition, Role
from keyctl.operations import information, listing, opening, passkeys, pins, scanning
from keyctl.operations.listing import Filter
from keyctl.operations.naming import Notes
from keyctl.store import inventory
from keyctl.virtual import keys

EVERYTHING = Filter()


@pytest.mark.parametrize(
    ("fault", "code"),
    [("0x7f", "key_error"), ("garbage", "key_nonsense"), ("pulled", "key_removed"), ("busy", "key_busy")],
)
def test_a_key_that_fails_is_listed_with_the_reason(desk, person, fault, code):
    for name in ("blue", "green"):
        desk.new(name)
    keys.configure(desk.folder, "blue", [f"fault=1:{fault}"])
    found = listing.list_keys(desk.circumstances(person()), EVERYTHING)
    assert [key.selector for key in found.keys] == ["virtual:blue", "virtual:green"]
    assert [error.code for error in found.errors] == [code]
    assert found.keys[1].access == "ok"
    assert found.keys[0].aaguid is None


def test_a_key_whose_file_is_damaged_does_not_hide_the_others(desk, person):
    for name in ("blue", "green"):
        desk.new(name)
    (desk.folder / "blue.json").write_text("{")
    found = listing.list_keys(desk.circumstances(person()), EVERYTHING)
    assert [key.selector for key in found.keys] == ["virtual:green"]
    assert [error.code for error in found.errors] == ["store_unreadable"]


def test_a_named_key_that_is_not_there_is_an_error(desk, person):
    with pytest.raises(KeyChoiceError) as caught:
        listing.list_keys(desk.circumstances(person(), "virtual:red"), EVERYTHING)
    assert caught.value.code == "no_key"


def test_conditions_choose_among_the_keys(desk, person):
    desk.new("blue")
    circumstances = desk.circumstances(person())
    assert len(listing.list_keys(circumstances, Filter(connected=True)).keys) == 1
    for condition in (Filter(known=True), Filter(owner="kim"), Filter(role="backup")):
        assert listing.list_keys(circumstances, condition).keys == ()


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "small"])
def test_information_of_every_profile_needs_no_pin(desk, person, profile):
    desk.new("blue", profile)
    who = person()
    with opening.opened(desk.circumstances(who)) as session:
        info = information.information(session)
    assert who.requests == []
    assert info.key.virtual
    assert (info.passkeys is None) is (profile == "fido2.0")
    assert info.pin is not None
    assert (info.pin.set, info.pin.retries) == (False, None)
    assert info.advisories == ()


def listed(desk, person, wanted=None, condition=EVERYTHING):
    return listing.list_keys(desk.circumstances(person(), wanted), condition)


def names(found):
    return [(key.name, key.connected) for key in found.keys]


def test_known_keys_are_listed_with_their_names_and_those_that_are_away_after_them(desk, person):
    desk.know("blue-5c", "one")
    desk.know("safe", "two")
    desk.know("attic", "three")
    keys.unplug(desk.folder, "three")
    desk.new("zero", "small")
    found = listed(desk, person)
    assert names(found) == [("blue-5c", True), ("safe", True), (None, True), ("attic", False)]
    assert found.errors == ()
    away = found.keys[-1]
    assert (away.selector, away.transport, away.access, away.virtual) == (None, None, None, True)
    assert away.aaguid == found.keys[0].aaguid
    assert away.last_seen is not None
    assert found.keys[0].recognition is Recognition.PROVED


def test_one_key_in_two_places_is_listed_once_with_both(desk, person):
    desk.know("blue", "one")
    desk.new("two")
    (desk.folder / "two.json").write_bytes((desk.folder / "one.json").read_bytes())
    [key] = listed(desk, person).keys
    assert (key.name, key.selector, key.paths) == ("blue", "virtual:one", ("one", "two"))


def test_a_name_lists_its_key_wherever_it_is(desk, person):
    desk.know("cafe\u0301", "one")
    desk.know("safe", "two")
    assert names(listed(desk, person, "caf\u00e9")) == [("caf\u00e9", True)]
    desk.swap("one", "two")
    [key] = listed(desk, person, "cafe\u0301").keys
    assert key.selector == "virtual:two"
    keys.unplug(desk.folder, "two")
    found = listed(desk, person, "caf\u00e9")
    assert (names(found), found.errors) == ([("caf\u00e9", False)], ())


def test_a_named_key_that_is_not_found_may_be_the_one_that_failed(desk, person):
    desk.know("blue")
    desk.know("green")
    desk.set("blue", "fault=1:busy")
    found = listed(desk, person, "blue")
    assert (names(found), [error.code for error in found.errors]) == ([("blue", False)], ["key_busy"])
    desk.set("blue", "fault=1:busy")
    found = listed(desk, person, "green")
    assert (names(found), found.errors) == ([("green", True)], ())


def test_conditions_choose_among_known_keys(desk, person):
    desk.know("blue", "one")
    desk.add("blue", "virtual:one")
    desk.put(replace(desk.record("blue"), owner="Ame\u0301lie", role=Role.BACKUP))
    desk.know("green", "two")
    keys.unplug(desk.folder, "two")
    desk.new("zero", "small")
    for condition, expected in (
        (Filter(connected=True), ["blue", None]),
        (Filter(known=True), ["blue", "green"]),
        (Filter(owner="Am\u00e9lie"), ["blue"]),
        (Filter(owner="am\u00e9lie"), []),
        (Filter(role=Role.BACKUP), ["blue"]),
        (Filter(known=True, connected=True, role=Role.SPARE), []),
    ):
        assert [key.name for key in listed(desk, person, condition=condition).keys] == expected


def test_a_damaged_record_does_not_hide_the_others(desk, person):
    desk.know("blue", "one")
    record = desk.know("green", "two")
    (desk.home / "keys" / f"{record.id}.json").write_text("{")
    found = listed(desk, person)
    assert [key.name for key in found.keys] == ["blue", None]
    assert [error.code for error in found.errors] == ["store_unreadable"]


def test_a_lost_or_reset_key_is_listed_as_such(desk, person):
    desk.know("blue", "one")
    desk.put(replace(desk.record("blue"), state=KeyState.LOST))
    assert listed(desk, person).keys[0].state is KeyState.LOST


def test_nobody_is_asked_to_touch_anything_for_a_list(desk, person):
    """A key that wants a touch for what should need none is unknown."""
    desk.know("old", profile="u2f")
    desk.know("blue")
    desk.set("blue", "touch=never")
    who = person()
    listing.list_keys(desk.circumstances(who), EVERYTHING)
    assert who.told == []


@pytest.mark.parametrize("count", [1, 20])
def test_the_key_that_was_seen_last_is_listed_in_two_commands(desk, person, count):
    record = desk.know("blue")
    others = [
        replace(
            record,
            id=inventory.new_id(),
            name=f"key {number}",
            recognition=replace(record.recognition, credential_id=bytes([number]) * 64),
        )
        for number in range(count - 1)
    ]
    desk.put(*others)
    lines = []
    circumstances = replace(desk.circumstances(person()), trace=lines.append)
    assert len(listing.list_keys(circumstances, EVERYTHING).keys) == count
    assert [line.split()[1].rstrip(":") for line in lines] == ["getInfo", "getAssertion"]


def test_what_only_reads_leaves_every_byte_of_the_inventory(desk, person):
    desk.know("blue", pin=True)
    own = desk.sign_up("blue", "a.example")
    scanning.scan(desk.circumstances(person(pins=["123456"])), findings=None, dry_run=False)
    before = desk.files()
    modified = {path: (desk.home / path).stat().st_mtime_ns for path in before}

    def reading(read):
        circumstances = desk.circumstances(person(pins=["123456"]), "blue")
        with opening.opened(circumstances) as session:
            read(session, circumstances)

    listed(desk, person)
    reading(lambda session, _: information.information(session))
    reading(pins.verify)
    reading(passkeys.list_all)
    reading(lambda session, circumstances: passkeys.show(session, circumstances, own.hex()))
    scanning.scan(desk.circumstances(person(pins=["123456"])), findings=None, dry_run=True)
    desk.add("blue", "virtual:blue", notes=Notes(note="n"), dry_run=True)
    assert desk.files() == before
    assert {path: (desk.home / path).stat().st_mtime_ns for path in before} == modified
