"""Every status of a key has its line, and it says what the exit status says."""

from __future__ import annotations

import errno
import struct

import pytest
from fido2.ctap import CtapError
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device import errors
from keyctl.errors import CODES, KeyctlError, PinError, TouchError, UnreachableError, UnsupportedError


@pytest.mark.parametrize("status", list(CtapError.ERR), ids=lambda status: status.name)
def test_every_status_of_the_specification_has_a_line(status: CtapError.ERR) -> None:
    assert status in errors.STATUS_LINES


def test_no_line_is_left_over() -> None:
    assert set(errors.STATUS_LINES) == set(CtapError.ERR)


@given(st.integers(0, 255), st.text(max_size=20))
def test_every_byte_becomes_an_error_that_names_the_key(status: int, label: str) -> None:
    told = errors.error_from_ctap(CtapError(status), label)
    assert told.code in CODES
    assert told.key == label
    assert label in told.message
    assert told.hint
    assert told.details.ctap_status == status


@given(st.integers(0, 255))
def test_messages_are_one_line_in_lower_case_without_a_full_stop(status: int) -> None:
    told = errors.error_from_ctap(CtapError(status), "k")
    assert "\n" not in told.message
    assert not told.message.endswith(".")
    assert not (told.hint or "").endswith(".")
    assert told.message[0].islower()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (0x27, TouchError, "touch_refused"),
        (0x2D, TouchError, "no_touch"),
        (0x2F, TouchError, "no_touch"),
        (0x3A, TouchError, "no_touch"),
        (0x28, UnsupportedError, "key_full"),
        (0x31, PinError, "pin_wrong"),
        (0x32, PinError, "pin_blocked"),
        (0x33, UnreachableError, "token_refused"),
        (0x34, PinError, "pin_auth_blocked"),
        (0x35, PinError, "pin_not_set"),
        (0x37, PinError, "pin_policy"),
        (0x06, UnreachableError, "key_busy"),
        (0x01, UnsupportedError, "unsupported"),
        (0x7F, UnreachableError, "key_error"),
        (0x99, UnreachableError, "key_error"),
    ],
)
def test_statuses_that_scripts_act_on_have_their_codes(status: int, kind: type[KeyctlError], code: str) -> None:
    told = errors.error_from_ctap(CtapError(status), "blue")
    assert type(told) is kind
    assert told.code == code


def test_an_unknown_status_is_told_by_its_number() -> None:
    assert "0x99" in errors.error_from_ctap(CtapError(0x99), "blue").message


def test_a_pin_lock_says_that_power_has_to_be_cut() -> None:
    assert errors.error_from_ctap(CtapError(0x34), "blue").details.power_cycle_needed is True


def test_a_wrong_pin_says_how_many_tries_are_left() -> None:
    error = CtapError(CtapError.ERR.PIN_INVALID)
    assert errors.wrong_pin(error, "blue", 2).message == "wrong PIN for blue (2 tries left)"
    assert errors.wrong_pin(error, "blue", 1).message == "wrong PIN for blue (1 try left)"
    assert errors.wrong_pin(error, "blue", 1).details.tries_left == 1
    assert errors.wrong_pin(error, "blue", None).message == "wrong PIN for blue"


def test_not_allowed_means_too_late_only_for_a_reset() -> None:
    error = CtapError(CtapError.ERR.NOT_ALLOWED)
    assert errors.reset_error_from_ctap(error, "blue").code == "reset_not_now"
    assert errors.error_from_ctap(error, "blue").code == "unsupported"
    assert errors.reset_error_from_ctap(CtapError(0x2F), "blue").code == "no_touch"


def test_braces_in_a_label_are_only_text() -> None:
    assert errors.error_from_ctap(CtapError(0x31), "{0} {label}").message == "wrong PIN for {0} {label}"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "access_denied"),
        (errno.EPERM, "access_denied"),
        (errno.ENOENT, "key_removed"),
        (errno.ENODEV, "key_removed"),
        (errno.EIO, "key_removed"),
        (errno.EBUSY, "key_busy"),
        (errno.ETIMEDOUT, "key_silent"),
        (errno.ENOMEM, "key_error"),
        (None, "key_error"),
    ],
)
def test_failures_of_the_operating_system_have_their_codes(number: int | None, code: str) -> None:
    error = OSError(number, "something") if number else OSError("something")
    assert errors.error_from_os(error, "blue").code == code


@pytest.mark.parametrize(
    "error",
    [
        KeyError(1),
        IndexError(),
        ValueError(),
        TypeError(),
        struct.error(),
        RecursionError(),
        AttributeError(),
        OverflowError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_hostile_answers_raise_becomes_nonsense(error: Exception) -> None:
    with pytest.raises(UnreachableError) as caught, errors.understanding("blue"):
        raise error
    assert caught.value.code == "key_nonsense"


def test_a_bug_of_another_kind_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), errors.understanding("blue"):
        raise ZeroDivisionError
