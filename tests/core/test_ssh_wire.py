"""SSH's data types: the examples of RFC 4251, section 5, and bytes of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import ssh_wire
from keyctl.core.ssh_wire import Reader, WireError

EXAMPLES = json.loads((Path(__file__).parents[1] / "vectors" / "ssh" / "mpint.json").read_text())


@pytest.mark.parametrize("example", EXAMPLES["examples"], ids=lambda example: example["number"])
def test_numbers_of_rfc_4251(example):
    number, encoded = int(example["number"], 16), bytes.fromhex(example["encoded"])
    if number < 0:
        with pytest.raises(WireError, match="negative"):
            Reader(encoded).mpint()
    else:
        assert ssh_wire.mpint(number) == encoded
        assert Reader(encoded).mpint() == number


@given(st.integers(0, 2**4096))
def test_numbers_come_back(number):
    assert Reader(ssh_wire.mpint(number)).mpint() == number


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_strings_come_back(parts):
    fields = Reader(b"".join(map(ssh_wire.string, parts)))
    assert [fields.string() for _ in parts] == parts
    fields.finish()


@given(st.binary(max_size=64))
def test_any_bytes_are_a_number_in_its_only_form_or_refused(content):
    try:
        number = Reader(content).mpint()
    except WireError:
        return
    assert content.startswith(ssh_wire.mpint(number))


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("00000001 00", "zeros before"),
        ("00000002 0001", "zeros before"),
        ("00000002 01", "ends in the middle"),
        ("ffffffff 01", "ends in the middle"),
        ("000000", "ends in the middle"),
        ("00000802" + "01" * 0x802, "too long"),
    ],
)
def test_numbers_in_another_form_are_refused(encoded, why):
    with pytest.raises(WireError, match=why):
        Reader(bytes.fromhex(encoded)).mpint()


def test_text_is_utf_8_and_a_message_ends_where_it_ends():
    with pytest.raises(WireError, match="something else than text"):
        Reader(ssh_wire.string(b"\xff")).text()
    with pytest.raises(WireError, match="after its end"):
        Reader(b"\0").finish()
