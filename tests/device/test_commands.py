"""Names of commands for --verbose, and which of them only read."""

from __future__ import annotations

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device.commands import describe

CBOR = 0x10


def test_getinfo_reads() -> None:
    assert describe(CBOR, b"\x04").name == "getInfo"
    assert describe(CBOR, b"\x04").read


@pytest.mark.parametrize(
    ("step", "name", "read"),
    [
        (1, "clientPin getPINRetries", True),
        (2, "clientPin getKeyAgreement", True),
        (3, "clientPin setPIN", False),
        (4, "clientPin changePIN", False),
        (5, "clientPin getPinToken", False),
        (6, "clientPin 6", False),
        (7, "clientPin getUVRetries", True),
        (9, "clientPin getPinUvAuthTokenUsingPinWithPermissions", False),
    ],
)
def test_no_pin_command_counts_as_a_read(step: int, name: str, read: bool) -> None:
    command = describe(CBOR, b"\x06" + cbor.encode({1: 2, 2: step, 6: bytes(16)}))
    assert (command.name, command.read) == (name, read)


@pytest.mark.parametrize("byte", [0x0A, 0x41])
@pytest.mark.parametrize(
    ("step", "read"), [(1, True), (2, True), (3, True), (4, True), (5, True), (6, False), (7, False), (8, False)]
)
def test_deleting_and_renaming_do_not_count_as_reads(byte: int, step: int, read: bool) -> None:
    command = describe(CBOR, bytes([byte]) + cbor.encode({1: step, 3: 2, 4: bytes(16)}))
    assert command.name.startswith("credentialManagement ")
    assert command.read is read


@pytest.mark.parametrize("data", [b"\x01\xa0", b"\x02\xa0", b"\x07", b"\x0b", b"\x0c\xa0", b"\x0d\xa0", b"\x99", b""])
def test_everything_else_does_not_count_as_a_read(data: bytes) -> None:
    assert not describe(CBOR, data).read


def test_blinking_does_nothing_else() -> None:
    assert describe(0x08, b"").name == "wink"
    assert describe(0x08, b"").read


def test_what_asks_for_a_touch_is_never_sent_again() -> None:
    for data, name in ((b"\x01\xa0", "makeCredential"), (b"\x0b", "authenticatorSelection")):
        assert (describe(CBOR, data).name, describe(CBOR, data).read) == (name, False)


@pytest.mark.parametrize(
    ("message", "name", "read"),
    [
        ("00010000", "U2F register", False),
        ("00020300", "U2F authenticate", False),
        ("00020800", "U2F authenticate", False),
        ("00020700", "U2F check", True),
        ("00030000", "U2F message", False),
        ("", "U2F message", False),
    ],
)
def test_of_u2f_only_the_check_of_a_handle_counts_as_a_read(message: str, name: str, read: bool) -> None:
    command = describe(0x03, bytes.fromhex(message))
    assert (command.name, command.read) == (name, read)


ASSERTION = {1: "a.example", 2: bytes(32), 3: [{"id": bytes(64), "type": "public-key"}]}


@pytest.mark.parametrize("more", [{}, {6: bytes(16), 7: 1}, {4: {"credBlob": True}}])
def test_a_silent_assertion_counts_as_a_read(more: dict[int, object]) -> None:
    command = describe(CBOR, b"\x02" + cbor.encode({**ASSERTION, 5: {"up": False}, **more}))
    assert (command.name, command.read) == ("getAssertion (silent)", True)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {5: {}},
        {5: {"up": True}},
        {5: {"up": 0}},
        {5: {"up": False, "uv": True}},
        {5: [False]},
        # Asks for a touch, to choose this key.
        {5: {"up": False}, 6: b"", 7: 1},
    ],
)
def test_every_other_assertion_does_not_count_as_a_read(more: dict[int, object]) -> None:
    command = describe(CBOR, b"\x02" + cbor.encode({**ASSERTION, **more}))
    assert (command.name, command.read) == ("getAssertion", False)


def test_a_cut_assertion_does_not_count_as_a_read() -> None:
    assert not describe(CBOR, b"\x02" + cbor.encode({**ASSERTION, 5: {"up": False}})[:-1]).read


@given(st.integers(0, 255), st.binary(max_size=40))
def test_anything_has_a_name(hid_command: int, data: bytes) -> None:
    assert describe(hid_command, data).name


@pytest.mark.parametrize(
    ("parameters", "name", "read"),
    [
        ({1: 1984, 3: 0}, "largeBlobs get", True),
        ({2: b"fragment", 3: 0, 4: 17}, "largeBlobs set", False),
        # Neither is allowed, so neither counts as a read.
        ({1: 1984, 2: b"fragment", 3: 0}, "largeBlobs set", False),
        ({3: 0}, "largeBlobs set", False),
    ],
)
def test_large_blobs_are_read_or_written(parameters: dict[int, object], name: str, read: bool) -> None:
    command = describe(CBOR, b"\x0c" + cbor.encode(parameters))
    assert (command.name, command.read) == (name, read)
