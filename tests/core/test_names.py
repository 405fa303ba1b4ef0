"""What a key may be called, and how a name is proposed in a command line."""

from __future__ import annotations

import shlex
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import names, services
from keyctl.errors import UsageError


@given(st.text(min_size=1))
def test_a_name_that_is_taken_stays_as_it_is_but_for_its_composition(text):
    if names.fault(names.composed(text)) is None:
        assert names.checked(text) == unicodedata.normalize("NFC", text)
        assert names.checked(names.checked(text)) == names.checked(text)
    else:
        with pytest.raises(UsageError):
            names.checked(text)


@given(st.text())
def test_two_compositions_of_a_text_are_one(text):
    assert names.composed(unicodedata.normalize("NFD", text)) == names.composed(text)


def test_a_bad_name_is_repeated_in_part_and_harmlessly():
    with pytest.raises(UsageError) as caught:
        names.checked("-" + "\x1b" * 2000)
    assert caught.value.code == "name_invalid"
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 300


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_shell_takes_a_quoted_text_as_one_word(text):
    assert shlex.split(names.quoted(text)) == [text]


def test_plain_names_need_no_quotes():
    assert names.quoted("blue-5c_2") == "blue-5c_2"
    assert names.quoted("virtual:blue") == "virtual:blue"
    assert names.quoted("blue/green") == "blue/green"
    for odd in ("", "-", "my key", "a$b", "a;b", "a~b", "kim\u00e9"):
        assert names.quoted(odd) == f"'{odd}'"


def test_no_text_takes_long_to_compare():
    """Composing takes seconds for this; what the test guards is that it ends at all in reasonable time."""
    marks = "a" + "\u0315\u0300" * 200_000
    assert names.composed(marks) == marks
    assert services.folded(marks) == marks
