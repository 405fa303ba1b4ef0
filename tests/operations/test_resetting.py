"""Resetting: only what was named, only after it was said, and never another key."""

import pytest

from keyctl.errors import DeclinedError, StoreError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import KeyState, Recognition
from keyctl.operations import opening, resetting, scanning
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
    assert (who.asked, who.told) == ([], [])
    assert who.given == [(filled, True)]
    assert not is_empty(desk, person)


def test_a_dry_run_tells_what_nothing_else_opens(desk, person):
    desk.know("green", pin=True)
    desk.sign_up("green", "a.example")
    scanning.scan(desk.circumstances(person(pins=[PIN])), findings=None, dry_run=False)
    who = person()
    resetting.reset(desk.circumstances(who, "green"), dry_run=True)
    assert who.told == ["This account opens with nothing else:", "  a.example, kim"]


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


@pytest.fixture
def known(desk, person):
    """Blue with a name, a PIN and a passkey that is noted."""
    desk.know("blue-5c", "blue", pin=True)
    desk.sign_up("blue", "a.example")
    scanning.scan(desk.circumstances(person(pins=[PIN])), findings=None, dry_run=False)
    return desk


def test_a_known_key_is_noted_as_reset_in_the_same_run(known, person):
    who = person()
    done = resetting.reset(known.circumstances(who, "blue-5c"), dry_run=False)
    assert (done.key.name, done.key.state) == ("blue-5c", KeyState.RESET)
    record = known.record("blue-5c")
    assert (record.state, "state" in record.changed) == (KeyState.RESET, True)
    question = who.asked[-1]
    assert question.startswith("This account opens with nothing else:\n  a.example, kim\n")
    assert question.endswith(" blue-5c")
    assert known.seen("virtual:blue").recognition is Recognition.PERHAPS_RESET


def test_a_dry_run_notes_nothing(known, person):
    before = known.files()
    assert not resetting.reset(known.circumstances(person()), dry_run=True).changed
    assert known.files() == before


def test_a_reset_that_is_declined_or_fails_is_not_noted(known, person):
    before = known.files()
    with pytest.raises(DeclinedError):
        resetting.reset(known.circumstances(person(agrees=False)), dry_run=False)
    known.set("blue", "touch=refused")
    with pytest.raises(TouchError):
        resetting.reset(known.circumstances(person()), dry_run=False)
    assert known.files() == before


def test_what_could_not_be_noted_is_not_erased(known, person):
    """The inventory is damaged, or another process keeps it."""
    (known.home / "keys" / "x.json").write_text("{}")
    with pytest.raises(StoreError):
        resetting.reset(known.circumstances(person()), dry_run=False)
    (known.home / "keys" / "x.json").unlink()
    (known.home / ".lock").unlink()
    (known.home / ".lock").mkdir()
    with pytest.raises(StoreError):
        resetting.reset(known.circumstances(person(), "blue-5c"), dry_run=False)
    (known.home / ".lock").rmdir()
    assert known.seen("virtual:blue").name == "blue-5c"


def test_an_error_in_noting_says_that_the_key_was_erased(known, person):
    def meddle(text):
        (known.home / "keys" / f"{len(text)}.json").write_text("{}")

    known.age("blue")
    replug = replug_with(known, lambda: keys.plug(known.folder, "blue"))

    def act(text):
        replug(text)
        if text.startswith("plug it in"):
            meddle(text)

    with pytest.raises(StoreError) as caught:
        resetting.reset(known.circumstances(person(acts=act)), dry_run=False)
    assert caught.value.message.startswith("blue-5c was erased, but that could not be noted: ")


def test_a_known_key_that_is_put_back_is_the_same(known, person):
    known.age("blue")
    who = person(acts=replug_with(known, lambda: keys.plug(known.folder, "blue")))
    assert resetting.reset(known.circumstances(who), dry_run=False).key.state is KeyState.RESET
    assert known.record("blue-5c").state is KeyState.RESET


def test_another_key_of_the_same_model_that_comes_back_is_not_erased(known, person):
    known.know("green", pin=True)
    keys.unplug(known.folder, "green")
    known.age("blue")

    def swap():
        keys.plug(known.folder, "green")

    with pytest.raises(UnreachableError) as caught:
        resetting.reset(
            known.circumstances(person(acts=replug_with(known, swap)), "blue-5c"),
            dry_run=False,
        )
    assert caught.value.code == "wrong_key"
    assert known.record("blue-5c").state is KeyState.ACTIVE
    assert known.seen("green").recognition is Recognition.PROVED
