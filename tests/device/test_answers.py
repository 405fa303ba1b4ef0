"""Answers of real keys, and answers that no key should give."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.device import answers
from keyctl.device.exchange import Exchange
from keyctl.errors import KeyctlError, UnreachableError
from keyctl.model import KeyInfo, Protection, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "wire_get_info.json").read_text())["answers"]
SITE = answers.Site(rp_id_hash=sha256(b"example.org").digest(), rp_id="example.org")


def read(content: bytes, scripted: Any) -> KeyInfo:
    return answers.key_info_from_ctap(Exchange(scripted(lambda _: b"\0" + content), "blue").send(4), "blue")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["key"].split(",")[0].split(":")[0])
def test_real_keys_are_understood(vector: dict[str, Any], scripted: Any) -> None:
    info = read(bytes.fromhex(vector["content"]), scripted)
    told = {
        "versions": list(info.versions),
        "aaguid": info.aaguid.hex(),
        "pin_protocols": list(info.pin_protocols),
        "pin_set": info.pin_set,
        "permissions": info.permissions,
        "listing": info.listing,
        "listing_preview": info.listing_preview,
        "max_message_size": info.limits.max_message_size,
        "max_credentials_in_list": info.limits.max_credentials_in_list,
        "remaining_passkeys": info.remaining_passkeys,
        "firmware_version": info.firmware_version,
        "algorithms": list(info.algorithms),
    }
    assert told == vector["expect"]
    assert vector["source"].startswith("https://")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["key"].split(",")[0].split(":")[0])
def test_every_truncation_of_a_real_answer_is_nonsense(vector: dict[str, Any], scripted: Any) -> None:
    content = bytes.fromhex(vector["content"])
    for length in range(1, len(content)):
        with pytest.raises(UnreachableError) as caught:
            read(content[:length], scripted)
        assert caught.value.code == "key_nonsense"


@given(st.data())
def test_a_mutated_real_answer_gives_information_or_nonsense(data: st.DataObject) -> None:
    content = bytearray.fromhex(data.draw(st.sampled_from(VECTORS))["content"])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    check_any(bytes(content))


@given(st.binary(max_size=300))
def test_any_answer_gives_information_or_nonsense(content: bytes) -> None:
    check_any(content)


def only_nonsense(parse: Callable[[], Any]) -> Any:
    """What *parse* returns, or None when it says that the answer is nonsense."""
    try:
        return parse()
    except KeyctlError as error:
        if error.code != "key_nonsense":
            raise
        return None


def check_any(content: bytes) -> None:
    class Wire:
        @staticmethod
        def call(*_: Any) -> bytes:
            return b"\0" + content

    info = only_nonsense(lambda: answers.key_info_from_ctap(Exchange(Wire(), "blue").send(4), "blue"))
    if info is not None:
        assert len(info.aaguid) == 16
        assert 4 <= info.min_pin_length <= info.max_pin_length <= 63
        assert all(isinstance(name, str) for name in info.versions)
        assert all(isinstance(value, bool) for value in info.options.values())


def test_deep_nesting_is_nonsense_and_no_crash(scripted: Any) -> None:
    with pytest.raises(UnreachableError, match="cannot be understood"):
        read(b"\x81" * 5000 + b"\0", scripted)


def test_an_answer_without_a_status_is_nonsense(scripted: Any) -> None:
    with pytest.raises(UnreachableError, match="cannot be understood"):
        Exchange(scripted(lambda _: b""), "blue").send(4)


def test_a_status_is_the_keys_own_error(scripted: Any) -> None:
    with pytest.raises(CtapError) as caught:
        Exchange(scripted(lambda _: b"\x30garbage"), "blue").send(7)
    assert caught.value.code == CtapError.ERR.NOT_ALLOWED


def test_maps_in_another_order_are_understood(scripted: Any) -> None:
    assert Exchange(scripted(lambda _: bytes.fromhex("00a202010102")), "blue").send(4) == {2: 1, 1: 2}


def test_an_entry_that_is_there_twice_is_nonsense(scripted: Any) -> None:
    with pytest.raises(UnreachableError):
        Exchange(scripted(lambda _: bytes.fromhex("00a201010102")), "blue").send(4)


def test_messages_longer_than_the_key_takes_are_not_sent(scripted: Any) -> None:
    key = scripted(lambda _: b"\0")
    with pytest.raises(CtapError):
        Exchange(key, "blue").send(1, {1: bytes(1024)})
    assert key.requests == []


@pytest.mark.parametrize(
    "field",
    [
        {1: "FIDO_2_0"},
        {1: []},
        {1: [1, 2]},
        {3: bytes(15)},
        {3: "0" * 16},
        {4: [True]},
        {5: "1200"},
        {5: -1},
        {5: 2**40},
        {5: True},
        {6: 1},
        {0x0C: 1},
        {0x0D: b"\x04"},
        {0x0E: -3},
        {0x14: True},
        {0x1D: "63"},
    ],
)
def test_fields_of_the_wrong_type_or_size_are_nonsense(field: dict[int, Any]) -> None:
    with pytest.raises(UnreachableError) as caught:
        answers.key_info_from_ctap({1: ["FIDO_2_0"], 3: bytes(16)} | field, "blue")
    assert caught.value.code == "key_nonsense"


def test_fields_that_nobody_uses_may_hold_anything() -> None:
    assert answers.key_info_from_ctap({1: ["FIDO_2_0"], 3: bytes(16), 0x15: 2**60, 0x40: []}, "blue").versions


def test_pin_lengths_stay_within_the_specification() -> None:
    base = {1: ["FIDO_2_1"], 3: bytes(16)}
    assert answers.key_info_from_ctap(base | {0x0D: 0}, "blue").min_pin_length == 4
    assert answers.key_info_from_ctap(base | {0x0D: 200, 0x1D: 5}, "blue").min_pin_length == 63
    assert answers.key_info_from_ctap(base | {0x0D: 8, 0x1D: 6}, "blue").max_pin_length == 8
    assert answers.key_info_from_ctap(base | {0x1D: 10_000}, "blue").max_pin_length == 63


@pytest.mark.parametrize("answer", [{}, {3: "8"}, {3: -1}, {3: 256}, {3: True}])
def test_a_number_of_tries_that_is_none_is_nonsense(answer: dict[int, Any]) -> None:
    with pytest.raises(UnreachableError, match="answered"):
        answers.pin_retries_from_ctap(answer, "blue")


def test_the_need_for_a_power_cycle_is_told() -> None:
    assert answers.pin_retries_from_ctap({3: 5, 4: True}, "blue").power_cycle_needed
    assert not answers.pin_retries_from_ctap({3: 5, 4: 1}, "blue").power_cycle_needed


def test_a_passkey_is_read_whole() -> None:
    answer = {
        6: {"id": b"u", "name": "alice", "displayName": "Alice"},
        7: {"id": b"c" * 32, "type": "public-key"},
        8: {1: 2, 3: -7},
        0x0A: 3,
        0x0B: bytes(32),
    }
    passkey = answers.passkey_from_ctap(answer, SITE, "blue", has_large_blobs=True)
    assert (passkey.user_id, passkey.user_name, passkey.display_name) == (b"u", "alice", "Alice")
    assert (passkey.rp_id, passkey.rp_id_exact, passkey.algorithm) == ("example.org", True, -7)
    assert (passkey.protection, passkey.large_blob) == (Protection.REQUIRED, True)
    assert passkey.purpose is Purpose.PASSKEY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (6, None),
        (6, []),
        (6, {"id": 1, "name": 2, "displayName": b""}),
        (8, []),
        (8, {3: "x"}),
        (0x0A, "x"),
        (0x0A, 9),
        (0x0A, True),
    ],
)
def test_a_passkey_with_malformed_trimmings_is_still_shown(field: int, value: Any) -> None:
    passkey = answers.passkey_from_ctap({7: {"id": b"c"}, field: value}, SITE, "blue", has_large_blobs=False)
    assert passkey.credential_id == b"c"
    assert passkey.user_name is None
    assert passkey.protection is None


@pytest.mark.parametrize("descriptor", [None, {}, {"id": b""}, {"id": "text"}, {"id": bytes(5000)}, [1]])
def test_a_passkey_without_an_id_is_nonsense(descriptor: Any) -> None:
    with pytest.raises(UnreachableError, match="without an id"):
        answers.passkey_from_ctap({7: descriptor}, SITE, "blue", has_large_blobs=False)


def test_an_empty_name_is_no_name() -> None:
    passkey = answers.passkey_from_ctap(
        {6: {"name": "", "displayName": ""}, 7: {"id": b"c"}}, SITE, "blue", has_large_blobs=False
    )
    assert (passkey.user_name, passkey.display_name) == (None, None)


def test_the_hash_decides_whether_the_site_is_told_exactly() -> None:
    cut = answers.Site(rp_id_hash=sha256(b"a.very.long.example.org").digest(), rp_id="a.very.long")
    passkey = answers.passkey_from_ctap({7: {"id": b"c"}}, cut, "blue", has_large_blobs=False)
    assert not passkey.rp_id_exact


def test_keyctls_own_credentials_are_known_by_the_hash() -> None:
    own = answers.Site(rp_id_hash=sha256(b"keyctl.invalid").digest(), rp_id="something else")
    passkey = answers.passkey_from_ctap({7: {"id": b"c"}}, own, "blue", has_large_blobs=False)
    assert passkey.purpose is Purpose.PAIRING


def test_a_missing_large_blob_key_says_nothing_on_keys_that_have_them() -> None:
    def large_blob(answer: dict[int, Any], *, has: bool) -> bool | None:
        return answers.passkey_from_ctap({7: {"id": b"c"}} | answer, SITE, "blue", has_large_blobs=has).large_blob

    assert large_blob({}, has=True) is None
    assert large_blob({}, has=False) is False


@pytest.mark.parametrize("answer", [{}, {4: bytes(31)}, {3: {"id": "example.org"}}])
def test_a_site_without_its_hash_is_nonsense(answer: dict[int, Any]) -> None:
    with pytest.raises(UnreachableError, match="without its hash"):
        answers.site_from_ctap(answer, "blue")


@pytest.mark.parametrize("name", [None, 3, {}, {"id": b"bytes"}, {"id": ""}])
def test_a_site_without_a_readable_name_is_known_by_its_hash(name: Any) -> None:
    assert answers.site_from_ctap({3: name, 4: bytes(32)}, "blue") == answers.Site(rp_id_hash=bytes(32))


def test_the_serial_number_of_a_yubikey_is_read() -> None:
    # Length 12, then tag 1 (two bytes), tag 2 (the serial number), tag 4 (one byte).
    config = bytes.fromhex("0d 0102023f 020400bc614e 040101")
    assert answers.yubikey_serial_from_config(config) == "12345678"


@given(st.binary(max_size=60))
def test_any_configuration_gives_a_number_or_none(config: bytes) -> None:
    serial = answers.yubikey_serial_from_config(config)
    assert serial is None or serial.isdecimal()


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", 3]), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60)
@given(st.dictionaries(st.integers(1, 11), HOSTILE, max_size=6))
def test_any_entry_of_a_listing_is_a_passkey_or_nonsense(answer: dict[int, Any]) -> None:
    for parse in (
        lambda: answers.passkey_from_ctap(answer, SITE, "blue", has_large_blobs=True),
        lambda: answers.site_from_ctap(answer, "blue"),
        lambda: answers.passkey_count_from_ctap(answer, "blue"),
        lambda: answers.pin_retries_from_ctap(answer, "blue"),
        lambda: answers.uv_retries_from_ctap(answer, "blue"),
    ):
        only_nonsense(parse)


def test_cbor_of_the_tests_is_that_of_the_library() -> None:
    assert cbor.encode({1: ["FIDO_2_0"]}) == bytes.fromhex("a101816846") + b"IDO_2_0"
