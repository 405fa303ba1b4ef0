"""What may be sent as a PIN, and what is refused before a try is spent."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import pins
from keyctl.errors import PinError


def test_composed_and_decomposed_input_are_the_same_pin():
    assert pins.normalised("cafe\u0301") == pins.normalised("caf\u00e9") == "caf\u00e9"


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")), max_size=70))
def test_normalising_is_idempotent_and_gives_nfc(pin):
    once = pins.normalised(pin)
    assert once == pins.normalised(once) == unicodedata.normalize("NFC", pin)


@pytest.mark.parametrize("pin", ["12\x0034", "1234\n", "\x1b[A", "1234\udcff", "12\x7f34", "12\x8534"])
def test_control_characters_and_bytes_that_are_no_text_are_refused(pin):
    with pytest.raises(PinError, match="control characters") as caught:
        pins.normalised(pin)
    assert caught.value.code == "pin_policy"
    assert pin not in str(caught.value)


@pytest.mark.parametrize(
    ("pin", "allowed"),
    [
        ("123", False),
        ("1234", True),
        ("éèàü", True),  # four code points, eight bytes
        ("😀😀😀", False),  # three code points, twelve bytes
        ("😀😀😀😀", True),
        ("x" * 63, True),
        ("x" * 64, False),
        ("é" * 31 + "x", True),  # 63 bytes
        ("é" * 32, False),  # 64 bytes
        ("😀" * 16, False),  # 64 bytes
    ],
)
def test_lengths_count_code_points_and_bytes(pin, allowed):
    if allowed:
        pins.check_new(pin, min_length=4, max_length=63)
        pins.check_current(pin)
        return
    for check in (lambda: pins.check_new(pin, min_length=4, max_length=63), lambda: pins.check_current(pin)):
        with pytest.raises(PinError) as caught:
            check()
        assert caught.value.code == "pin_policy"


def test_the_keys_own_minimum_counts_for_a_new_pin_only():
    with pytest.raises(PinError, match="fewer than 8") as caught:
        pins.check_new("1234567", min_length=8, max_length=63)
    assert "8 to 63" in str(caught.value.hint)
    pins.check_current("1234567")


def test_the_keys_own_maximum_counts_for_a_new_pin():
    with pytest.raises(PinError, match="more than 16"):
        pins.check_new("x" * 17, min_length=4, max_length=16)


@given(st.text(max_size=80), st.integers(0, 63), st.integers(4, 63))
def test_what_is_allowed_always_fits_the_64_byte_block(pin, min_length, max_length):
    """CTAP pads the PIN to 64 bytes and wants a zero at the end."""
    try:
        pin = pins.normalised(pin)
        pins.check_new(pin, min_length=min_length, max_length=max_length)
    except PinError:
        return
    assert 4 <= len(pin) <= max_length
    assert len(pin.encode()) <= 63
    assert "\x00" not in pin
