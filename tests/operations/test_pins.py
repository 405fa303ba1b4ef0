"""PINs: every check that costs nothing comes first, and the last tries belong to people."""

from dataclasses import replace
from pathlib import Path

import pytest

from keyctl.errors import DeclinedError, KeyChoiceError, KeyctlError, PinError, StoreError
from keyctl.model import Recognition
from keyctl.operations import opening, passkeys, pins, recognising, unlocking
from keyctl.store import inventory
from keyctl.store import state as local_state
from keyctl.virtual import keys

PIN = "123456"


@pytest.fixture
def locked(desk, person):
    desk.new("blue")
    with opening.opened(desk.circumstances(person())) as session:
        session.set_pin(PIN)
    return "virtual:blue"


def verify(desk, who, wanted=None):
    circumstances = desk.circumstances(who, wanted)
    with opening.opened(circumstances) as session:
        return pins.verify(session, circumstances)


def tries(desk, person):
    with opening.opened(desk.circumstances(person())) as session:
        return session.pin_retries().left


def spend(desk, person, count):
    """Wrong PINs, typed by a person, with a power cycle where the key wants one."""
    for number in range(count):
        with pytest.raises(PinError):
            verify(desk, person(pins=["wrong pin"]))
        if number % 3 == 2:
            keys.unplug(desk.folder, "blue")
            keys.plug(desk.folder, "blue")


def test_a_wrong_pin_costs_exactly_one_try(desk, person, locked):
    with pytest.raises(PinError) as caught:
        verify(desk, person(pins=["wrong pin"]), locked)
    assert (caught.value.code, caught.value.details.tries_left) == ("pin_wrong", 7)
    assert tries(desk, person) == 7


def test_the_person_is_told_how_many_tries_are_left(desk, person, locked):
    spend(desk, person, 1)
    who = person(pins=[PIN])
    verify(desk, who, locked)
    assert who.requests[0].tries_left == 7
    assert tries(desk, person) == 8


def test_the_last_two_tries_are_for_people_only(desk, person, locked):
    spend(desk, person, 6)
    with pytest.raises(PinError) as caught:
        verify(desk, person(pins=[PIN], attended=False), locked)
    assert caught.value.code == "pin_last_tries"
    assert tries(desk, person) == 2
    verify(desk, person(pins=[PIN]), locked)
    assert tries(desk, person) == 8


def test_a_blocked_key_is_asked_for_no_pin(desk, person, locked):
    spend(desk, person, 8)
    who = person(pins=[PIN])
    with pytest.raises(PinError) as caught:
        verify(desk, who, locked)
    assert caught.value.code == "pin_blocked"
    assert who.requests == []


def test_after_three_wrong_ones_nothing_is_asked_before_a_power_cycle(desk, person, locked):
    for _ in range(3):
        with pytest.raises(PinError):
            verify(desk, person(pins=["wrong pin"]), locked)
    who = person(pins=[PIN])
    with pytest.raises(PinError) as caught:
        verify(desk, who, locked)
    assert caught.value.code == "pin_auth_blocked"
    assert caught.value.details.power_cycle_needed
    assert who.requests == []


@pytest.mark.parametrize("pin", ["123", "x" * 64, "tab\there"])
def test_what_cannot_be_the_pin_is_not_tried(desk, person, locked, pin):
    with pytest.raises(PinError) as caught:
        verify(desk, person(pins=[pin]), locked)
    assert caught.value.code == "pin_policy"
    assert tries(desk, person) == 8


def test_an_unknown_key_gets_no_pin_unattended_unless_it_is_named(desk, person, locked):
    who = person(pins=[PIN], attended=False)
    with pytest.raises(PinError) as caught:
        verify(desk, who)
    assert caught.value.code == "pin_required"
    assert who.requests == []
    verify(desk, who, locked)


def test_the_same_pin_typed_on_another_keyboard_is_accepted(desk, person):
    desk.new("blue")
    who = person(pins=["caf\u00e9s"])
    circumstances = desk.circumstances(who)
    with opening.opened(circumstances) as session:
        pins.set_first(session, circumstances, dry_run=False)
    verify(desk, person(pins=["cafe\u0301s"]))


def test_a_change_asks_for_the_current_pin_then_for_the_new_one(desk, person, locked):
    who = person(pins=[PIN, "correct horse"], attended=False)
    circumstances = desk.circumstances(who, locked)
    with opening.opened(circumstances) as session:
        assert pins.change(session, circumstances, dry_run=False).changed
    assert [request.purpose for request in who.requests] == ["current", "new"]
    verify(desk, person(pins=["correct horse"]))


def test_a_new_pin_that_is_too_short_does_not_cost_a_try_of_the_current_one(desk, person, locked):
    circumstances = desk.circumstances(person(pins=["wrong pin", "abc"]), locked)
    with opening.opened(circumstances) as session, pytest.raises(PinError) as caught:
        pins.change(session, circumstances, dry_run=False)
    assert caught.value.code == "pin_policy"
    assert tries(desk, person) == 8


def test_a_dry_run_asks_for_no_pin(desk, person, locked):
    who = person()
    circumstances = desk.circumstances(who, locked)
    with opening.opened(circumstances) as session:
        assert not pins.change(session, circumstances, dry_run=True).changed
    assert who.requests == []


@pytest.fixture
def known(desk):
    """Blue with a PIN and a name."""
    desk.know("blue", pin=True)
    return desk


def attempt(desk, who, wanted=None, *, again=False):
    circumstances = replace(desk.circumstances(who, wanted), try_pin_again=again)
    with opening.opened(circumstances) as session:
        return pins.verify(session, circumstances)


def refused(desk, who, wanted=None, *, again=False):
    """The code with which the PIN is refused."""
    with pytest.raises(PinError) as caught:
        attempt(desk, who, wanted, again=again)
    return caught.value.code


def test_a_known_key_gets_its_pin_unattended_by_its_name_or_without(known, person):
    for wanted in (None, "blue", "virtual:blue"):
        who = person(pins=[PIN], attended=False)
        assert attempt(known, who, wanted).key.name == "blue"
        assert who.requests[0].key == "blue"


def test_after_a_wrong_pin_unattended_none_is_tried(known, person):
    assert refused(known, person(pins=["wrong pin"], attended=False), "blue") == "pin_wrong"
    for wanted in (None, "blue", "virtual:blue"):
        who = person(pins=[PIN], attended=False)
        assert refused(known, who, wanted) == "pin_failed_before"
        assert who.requests == []
    assert known.tries("blue") == 7


def test_a_blocked_key_says_so_whatever_was_tried_before(known, person):
    for tries_left in (7, 6, 5):
        refused(known, person(pins=["wrong pin"], attended=False), again=True)
        assert known.tries("blue") == tries_left
    assert refused(known, person(attended=False)) == "pin_auth_blocked"


def test_a_right_one_from_a_person_lifts_that(known, person):
    refused(known, person(pins=["wrong pin"], attended=False))
    attempt(known, person(pins=[PIN]))
    attempt(known, person(pins=[PIN], attended=False))


def test_so_does_a_right_one_that_was_asked_to_be_tried_again(known, person):
    refused(known, person(pins=["wrong pin"], attended=False))
    assert refused(known, person(pins=["wrong pin"], attended=False), again=True) == "pin_wrong"
    assert refused(known, person(pins=[PIN], attended=False)) == "pin_failed_before"
    attempt(known, person(pins=[PIN], attended=False), again=True)
    attempt(known, person(pins=[PIN], attended=False))


def test_a_wrong_pin_that_a_person_typed_stops_no_script(known, person):
    refused(known, person(pins=["wrong pin"]))
    attempt(known, person(pins=[PIN], attended=False))


def test_a_person_is_not_stopped_by_what_a_script_did(known, person):
    refused(known, person(pins=["wrong pin"], attended=False))
    assert refused(known, person(pins=["wrong pin"])) == "pin_wrong"
    assert refused(known, person(pins=[PIN], attended=False)) == "pin_failed_before"


def test_the_mark_is_kept_by_every_command_and_for_that_key_alone(known, person):
    known.know("green", pin=True)
    circumstances = known.circumstances(person(pins=["wrong pin"], attended=False), "blue")
    with opening.opened(circumstances) as session, pytest.raises(PinError):
        passkeys.list_all(session, circumstances)
    assert refused(known, person(pins=[PIN], attended=False), "blue") == "pin_failed_before"
    attempt(known, person(pins=[PIN], attended=False), "green")


def test_a_new_pin_lifts_the_mark(known, person):
    refused(known, person(pins=["wrong pin"], attended=False))
    circumstances = known.circumstances(person(pins=[PIN, "654321"]))
    with opening.opened(circumstances) as session:
        pins.change(session, circumstances, dry_run=False)
    attempt(known, person(pins=["654321"], attended=False))


def test_where_the_mark_cannot_be_kept_the_command_still_says_what_happened(known, person):
    local_state.forget(known.home / "state", known.record("blue").id)
    who = person(pins=["wrong pin"], attended=False)
    # No folder can be made there.
    circumstances = replace(known.circumstances(who), state=Path("/proc/keyctl"))
    with pytest.raises(PinError) as caught, opening.opened(circumstances) as session:
        pins.verify(session, circumstances)
    assert caught.value.code == "pin_wrong"
    assert "could not be noted" in who.told[-1]


def test_a_name_gives_the_pin_to_no_key_that_merely_is_there(known, person):
    """A stranger in the place of the key, of its model, with the same PIN."""
    known.new("red")
    known.set_pin("red")
    known.swap("blue", "red")
    keys.unplug(known.folder, "red")
    who = person(pins=[PIN], attended=False)
    with pytest.raises(KeyChoiceError, match="blue is not connected"):
        attempt(known, who, "blue")
    assert who.requests == []
    # By its place it is what it is: unknown.
    assert attempt(known, who, "virtual:blue").key.name is None


@pytest.fixture
def changed(known):
    """The inventory has another public key for blue than the one that was first seen here."""
    local_state.write_pin(known.home / "state", known.record("blue").id, b"another")
    assert known.seen("blue").recognition is Recognition.CHANGED
    return known


@pytest.mark.parametrize("wanted", [None, "blue", "virtual:blue"])
def test_a_changed_record_gets_no_pin_unattended(changed, person, wanted):
    who = person(pins=[PIN], attended=False)
    with pytest.raises(StoreError) as caught:
        attempt(changed, who, wanted)
    assert caught.value.code == "recognition_changed"
    assert "keyctl pin verify -k blue" in str(caught.value.hint)
    assert who.requests == []
    assert changed.tries("blue") == 8


def test_a_person_who_does_not_confirm_a_changed_record_is_asked_for_no_pin(changed, person):
    who = person(pins=[PIN], agrees=False)
    with pytest.raises(DeclinedError):
        attempt(changed, who, "blue")
    assert who.requests == []
    assert changed.seen("blue").recognition is Recognition.CHANGED


def test_a_person_confirms_a_changed_record_once(changed, person):
    who = person(pins=[PIN])
    assert attempt(changed, who, "blue").key.recognition is Recognition.PROVED
    [question] = who.asked
    assert "is not the one first seen on this computer" in question
    assert question.endswith(" blue")
    who = person(pins=[PIN])
    attempt(changed, who, "blue")
    assert who.asked == []


def test_a_first_pin_is_for_a_confirmed_key_too(desk, person):
    record = desk.know("blue")
    local_state.write_pin(desk.home / "state", record.id, b"another")
    circumstances = desk.circumstances(person(pins=[PIN], attended=False), "blue")
    with opening.opened(circumstances) as session, pytest.raises(StoreError):
        pins.set_first(session, circumstances, dry_run=False)
    with opening.opened(desk.circumstances(person())) as session:
        assert not session.info.pin_set


def test_a_locked_key_that_wants_another_pin_first_can_have_it(desk, person):
    desk.know("blue", pin=True)
    desk.always_uv("blue")
    desk.force_pin_change("blue")
    circumstances = desk.circumstances(person(pins=[PIN, "654321"]))
    with opening.opened(circumstances) as session:
        assert session.key.recognition is Recognition.LOCKED
        assert pins.change(session, circumstances, dry_run=False).changed
    attempt(desk, person(pins=["654321"]))


@pytest.mark.parametrize("profile", ["full", "u2f"])
@pytest.mark.parametrize("what", ["another key's", "nobody's", "gone", "renamed"])
def test_what_is_written_to_the_inventory_while_a_person_confirms_is_not_trusted(desk, person, profile, what):
    blue, red = desk.know("blue", profile=profile), desk.know("red", profile=profile)
    local_state.write_pin(desk.home / "state", blue.id, b"another")

    class Meddled(person):
        def confirm_by_typing(self, warning, text):
            assert "is not the one first seen" in warning
            assert text == "blue"
            with inventory.changing(desk.home, 0) as changes:
                if what in {"another key's", "gone"}:
                    changes.remove_key(red.id)
                match what:
                    case "another key's":
                        changes.put_key(replace(blue, recognition=red.recognition))
                    case "nobody's":
                        other = red.recognition.public_key
                        changes.put_key(replace(blue, recognition=replace(blue.recognition, public_key=other)))
                    case "gone":
                        changes.remove_key(blue.id)
                    case _:
                        changes.put_key(replace(blue, name="green"))

    circumstances = desk.circumstances(Meddled(), "virtual:blue")
    with opening.opened(circumstances) as session:
        if profile == "u2f":
            recognising.prove_by_touch(session, recognising.known(circumstances))
        assert session.key.recognition is Recognition.CHANGED
        with pytest.raises(KeyctlError) as caught:
            unlocking.require_trust(session, circumstances)
    assert caught.value.code in {"recognition_changed", "key_nonsense"}
    assert local_state.read_pin(desk.home / "state", blue.id) == b"another"
