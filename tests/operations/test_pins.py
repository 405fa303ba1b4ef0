"""PINs: every check that costs nothing comes first, and the last tries belong to people."""

import pytest

from keyctl.errors import PinError
from keyctl.operations import opening, pins
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
