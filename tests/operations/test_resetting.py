"""Resetting: only what was named, only after it was said, and never another key."""

import pytest

from keyctl.errors import DeclinedError, TouchError, UnreachableError, UnsupportedError
from keyctl.operations import opening, resetting
from keyctl.virtual import keys

PIN = "123456"


@pytest.fixture
def filled(desk, person):
    desk.new("blue")
    with opening.opened(desk.circumstances(person())) as session:
        session.set_pin(PIN)
    return "virtual:blue"


def is_empty(desk, person):
    with opening.opened(desk.circumstances(person())) as session:
        return not session.info.pin_set


def test_a_reset_erases_the_key_that_was_typed_back(desk, person, filled):
    who = person()
    assert resetting.reset(desk.circumstances(who), dry_run=False).changed
    assert is_empty(desk, person)
    assert filled in who.asked[-1]


def test_no_means_no(desk, person, filled):
    assert filled
    with pytest.raises(DeclinedError):
        resetting.reset(desk.circumstances(person(agrees=False)), dry_run=False)
    assert not is_empty(desk, person)


def test_a_dry_run_asks_nothing_and_erases_nothing(desk, person, filled):
    assert filled
    who = person()
    assert not resetting.reset(desk.circumstances(who), dry_run=True).changed
    assert who.asked == []
    assert not is_empty(desk, person)


def test_a_refused_touch_erases_nothing(desk, person, filled):
    assert filled
    keys.configure(desk.folder, "blue", ["touch=refused"])
    with pytest.raises(TouchError):
        resetting.reset(desk.circumstances(person()), dry_run=False)
    assert not is_empty(desk, person)


def test_too_late_without_a_person_says_what_to_do(desk, person, filled):
    assert filled
    desk.age("blue")
    with pytest.raises(UnsupportedError) as caught:
        resetting.reset(desk.circumstances(person(), turn_s=0), dry_run=False)
    assert caught.value.code == "reset_not_now"
    assert not is_empty(desk, person)


def replug_with(desk, plug):
    def act(text):
        if "resets only just after" in text:
            keys.unplug(desk.folder, "blue")
        elif text.startswith("plug it in"):
            plug()

    return act


def test_too_late_with_a_person_asks_to_plug_it_in_anew(desk, person, filled):
    assert filled
    desk.age("blue")
    who = person(acts=replug_with(desk, lambda: keys.plug(desk.folder, "blue")))
    assert resetting.reset(desk.circumstances(who), dry_run=False).changed
    assert is_empty(desk, person)


def test_another_key_that_comes_back_is_not_erased(desk, person, filled):
    """The key is taken out, and one of another model is plugged in."""
    assert filled
    desk.age("blue")

    def swap():
        desk.new("green", "small")
        with opening.opened(desk.circumstances(person(), "virtual:green")) as session:
            session.set_pin(PIN)

    with pytest.raises(UnreachableError) as caught:
        resetting.reset(desk.circumstances(person(acts=replug_with(desk, swap))), dry_run=False)
    assert caught.value.code == "wrong_key"
    assert not is_empty(desk, person)


def test_a_key_that_nobody_takes_out_is_waited_for_no_longer_than_said(desk, person, filled):
    assert filled
    desk.age("blue")
    with pytest.raises(UnreachableError, match="not taken out"):
        resetting.reset(desk.circumstances(person(), turn_s=0.3), dry_run=False)
    assert not is_empty(desk, person)
