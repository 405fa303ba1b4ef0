"""Blinking: of one key that was meant, and of nothing else."""

import pytest

from keyctl.errors import KeyChoiceError, UnsupportedError
from keyctl.operations import winking


def test_a_virtual_key_has_no_light(desk, person):
    blue = desk.new("blue")
    with pytest.raises(UnsupportedError) as caught:
        winking.wink(desk.circumstances(person()))
    assert caught.value.code == "unsupported"
    assert caught.value.key == blue


def test_keys_that_are_to_be_told_apart_are_listed_and_not_asked_for_a_touch(desk, person):
    desk.new("blue")
    desk.new("green")
    who = person()
    with pytest.raises(KeyChoiceError) as caught:
        winking.wink(desk.circumstances(who))
    assert caught.value.details.candidates == ("virtual:blue", "virtual:green")
    assert who.told == []
