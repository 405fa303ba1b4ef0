"""Where a touch may say which of several keys is meant."""

from dataclasses import replace

import pytest

from keyctl.cli.terminal import Person
from keyctl.device.discover import Found
from keyctl.model import Transport
from keyctl.operations import opening

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
