"""Answers as keys really send them."""

import contextlib

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core.decoding import decode_map

KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_python_fido2_encodes_is_decoded(value):
    assert decode_map(cbor.encode(value)) == value


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5), st.data())
def test_what_is_cut_or_too_long_is_refused(value, data):
    content = cbor.encode(value)
    cut = data.draw(st.integers(1, len(content) - 1))
    for damaged in (content[:cut], content + b"\x00"):
        with pytest.raises(ValueError, match=r"."):
            decode_map(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_map_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        assert isinstance(decode_map(content), dict)


def test_no_content_is_an_empty_map():
    assert decode_map(b"") == {}


def test_another_order_of_keys_is_taken():
    assert decode_map(bytes.fromhex("a2 02 f5 01 f4")) == {1: False, 2: True}


@pytest.mark.parametrize(
    "content",
    ["a2 01 f4 01 f5", "81 01", "a1 f4 01", "a1 01 f7", "a1 01 fb 0000000000000000", "a1 01 5f ff", "a1 01 c0 00"],
    ids=["twice", "no map", "boolean key", "undefined", "float", "indefinite", "tag"],
)
def test_what_is_in_no_answer_is_refused(content):
    with pytest.raises(ValueError, match=r"."):
        decode_map(bytes.fromhex(content))


def test_deep_nesting_and_huge_counts_end_at_once():
    for content in (b"\xa1\x01" + b"\x81" * 5000, b"\xa1\x01\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8):
        with pytest.raises(ValueError, match=r"."):
            decode_map(content)


def test_a_name_cut_in_the_middle_of_a_character_does_not_hide_the_rest():
    cut = "kä".encode()[:-1]
    assert decode_map(b"\xa2\x01\x62" + cut + b"\x02\x41\xff") == {1: "k\ufffd", 2: b"\xff"}
