"""Which key a command is about: by a name that it earns, by where it is, or by a touch."""

from dataclasses import replace

import pytest

from keyctl.cli.terminal import Person
from keyctl.device.discover import Found
from keyctl.errors import KeyChoiceError, PinError, UnreachableError
from keyctl.model import Recognition, Transport
from keyctl.operations import opening, pins
from keyctl.virtual import keys
from tests.failing import failing

ONE, OTHER = (Found(transport=Transport.USB, path=path) for path in ("/dev/hidraw3", "/dev/hidraw7"))


def choosable(candidates, circumstances):
    return opening._can_be_touched(candidates, circumstances)


def test_a_person_with_usb_keys_may_choose_by_touch(desk, person):
    assert choosable([ONE, OTHER], desk.circumstances(person()))


@pytest.mark.parametrize("transport", [Transport.NFC, Transport.CONTACT, Transport.VIRTUAL])
def test_a_key_that_would_answer_without_a_touch_is_in_the_way(desk, person, transport):
    assert not choosable([ONE, Found(transport=transport, path="x")], desk.circumstances(person()))


def test_keys_that_were_named_are_not_chosen_by_touch(desk, person):
    assert not choosable([ONE, OTHER], desk.circumstances(person(), "12345"))


def test_without_a_person_or_patience_nothing_is_chosen(desk, person):
    assert not choosable([ONE, OTHER], desk.circumstances(person(can_choose=False)))
    circumstances = desk.circumstances(person())
    hasty = replace(circumstances, waits=replace(circumstances.waits, touch_s=0.0))
    assert not choosable([ONE, OTHER], hasty)


def test_a_pin_that_is_given_wants_a_named_key():
    assert Person(present=True, terminal=False).can_choose
    assert not Person(present=True, terminal=True, pin_source=lambda _: "123456").can_choose
    assert not Person(present=False, terminal=False).can_choose


def opened(desk, who, wanted):
    with opening.opened(desk.circumstances(who, wanted)) as session:
        return session.key


def test_a_name_finds_its_key_wherever_it_is(desk, person):
    desk.know("blue-5c", "one")
    desk.know("safe", "two")
    assert opened(desk, person(), "blue-5c").selector == "virtual:one"
    desk.swap("one", "two")
    assert opened(desk, person(), "blue-5c").selector == "virtual:two"
    assert opened(desk, person(), "safe").selector == "virtual:one"
    assert opened(desk, person(), "virtual:one").name == "safe"


def test_the_name_of_a_key_that_is_away_is_given_to_no_other(desk, person):
    """Neither one that is in its place, nor one of its model, nor a stranger."""
    desk.know("blue", "one", pin=True)
    desk.new("two")
    desk.set_pin("two")
    desk.swap("one", "two")
    keys.unplug(desk.folder, "two")
    who = person(pins=["123456"])
    with pytest.raises(KeyChoiceError) as caught:
        opened(desk, who, "blue")
    assert caught.value.code == "no_key"
    assert caught.value.message == "blue is not connected"
    assert "virtual:one is of the model of blue and has no name" in str(caught.value.hint)
    assert who.requests == []
    assert desk.tries("one") == 8


def test_a_name_says_what_was_in_the_way(desk, person):
    desk.know("blue")
    desk.new("green")
    desk.new("red")
    keys.unplug(desk.folder, "blue")
    desk.set("green", "fault=1:busy")
    error = failing(opened, desk, person(), "blue")
    assert (type(error), error.code) == (KeyChoiceError, "no_key")
    assert "virtual:green is in use by another program" in str(error.hint)


def test_a_key_that_has_just_gone_is_not_connected(desk, person):
    desk.know("blue")
    desk.set("blue", "fault=1:pulled")
    error = failing(opened, desk, person(), "blue")
    assert (type(error), error.code) == (KeyChoiceError, "no_key")
    assert "virtual:blue was removed" in str(error.hint)


@pytest.mark.parametrize(
    ("fault", "code"), [("1:busy", "key_busy"), ("1:garbage", "key_nonsense"), ("2:0x7f", "key_error")]
)
def test_the_only_key_may_be_the_one(desk, person, fault, code):
    desk.know("blue", "one")
    desk.new("two")
    desk.swap("one", "two")
    keys.unplug(desk.folder, "one")
    desk.set("two", f"fault={fault}")
    error = failing(opened, desk, person(), "blue")
    assert (type(error), error.code) == (UnreachableError, code)
    assert error.message.startswith("virtual:two ")
    assert error.message.endswith("; it may be blue")
    assert opened(desk, person(), "blue").selector == "virtual:two"


def test_the_key_where_it_was_last_seen_may_be_the_one(desk, person):
    desk.know("blue")
    desk.know("green")
    desk.set("blue", "fault=1:busy")
    error = failing(opened, desk, person(), "blue")
    assert (type(error), error.code) == (UnreachableError, "key_busy")
    desk.set("blue", "fault=1:busy")
    assert opened(desk, person(), "green").name == "green"


def test_a_key_is_waited_for_by_its_name(desk, person):
    desk.know("blue")
    desk.new("green", "small")
    keys.unplug(desk.folder, "blue")

    def act(text):
        if text == "waiting for blue to be plugged in (5 s)":
            keys.plug(desk.folder, "blue")

    who = person(acts=act)
    circumstances = desk.circumstances(who, "blue")
    lines = []
    patient = replace(circumstances, waits=replace(circumstances.waits, plug_s=5.0), trace=lines.append)
    with opening.opened(patient) as session:
        assert session.key.recognition is Recognition.PROVED
    # Green was asked once, blue once.
    assert sum(line.startswith("getInfo") for line in lines) == 2


def test_patience_ends(desk, person):
    desk.know("blue")
    desk.new("green", "small")
    keys.unplug(desk.folder, "blue")
    circumstances = desk.circumstances(person(), "blue")
    patient = replace(circumstances, waits=replace(circumstances.waits, plug_s=0.5))
    lines = []
    with pytest.raises(KeyChoiceError), opening.opened(replace(patient, trace=lines.append)):
        pass
    assert sum(line.startswith("getInfo") for line in lines) == 1


def test_several_keys_are_told_by_their_names(desk, person):
    desk.know("it's blue", "one")
    desk.new("two")
    with pytest.raises(KeyChoiceError) as caught:
        opened(desk, person(), None)
    assert caught.value.code == "several_keys"
    assert "it's blue (virtual:one), virtual:two" in caught.value.message
    assert caught.value.details.candidates == ("virtual:one", "virtual:two")
    assert caught.value.hint == """choose one with -k, like `-k 'it'"'"'s blue'`"""


def test_one_key_in_two_places_is_one_candidate(desk, person):
    """As a key is that is on USB and on a reader: here a copy of its memory stands in for the second way to it."""
    desk.know("blue", "one")
    desk.new("two")
    (desk.folder / "two.json").write_bytes((desk.folder / "one.json").read_bytes())
    key = opened(desk, person(), None)
    assert (key.name, key.selector) == ("blue", "virtual:one")


def test_a_name_goes_before_a_serial_number(desk, person):
    desk.know("12345678", "one")
    desk.new("two")
    assert opened(desk, person(), "12345678").selector == "virtual:one"


def test_a_damaged_file_is_told_and_the_rest_works(desk, person):
    desk.know("blue")
    (desk.home / "keys" / "0000000000000000.json").write_text("{")
    who = person()
    assert opened(desk, who, "blue").name == "blue"
    assert "left out: " in who.told[0]


def test_two_records_of_one_name_are_told(desk, person):
    record = desk.know("blue", "one")
    desk.know("green", "two")
    desk.put(replace(desk.record("green"), name="blue"))
    who = person()
    opened(desk, who, "virtual:one")
    assert "both about a key called blue" in who.told[0]
    assert record.name == "blue"


def test_the_pin_of_a_named_key_goes_to_that_key(desk, person):
    desk.know("blue", "one", pin=True)
    desk.know("green", "two", pin=True)
    desk.swap("one", "two")
    circumstances = desk.circumstances(person(pins=["wrong pin"], attended=False), "blue")
    with opening.opened(circumstances) as session, pytest.raises(PinError):
        pins.verify(session, circumstances)
    assert (desk.tries("one"), desk.tries("two")) == (8, 7)
