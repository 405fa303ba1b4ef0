"""Requests that nobody should send."""

from __future__ import annotations

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.requests import decode

ERR = CtapError.ERR
CBOR = 0x10
HASH = bytes(32)
RP = {"id": "example.com", "name": "Example"}
USER = {"id": b"u", "name": "alice", "displayName": "Alice"}
ALGORITHMS = [{"alg": -7, "type": "public-key"}]
MAKE = {1: HASH, 2: RP, 3: USER, 4: ALGORITHMS}
GET = {1: "example.com", 2: HASH}
COSE = {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: bytes(32)}
SALTS = {1: COSE, 2: bytes(32), 3: bytes(16), 4: 1}
DESCRIPTOR = {"id": b"x" * 64, "type": "public-key"}


def status(bench, command: int, parameters) -> int:
    body = parameters if isinstance(parameters, bytes) else cbor.encode(parameters)
    return bench.device.call(CBOR, bytes([command]) + body)[0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ERR.MISSING_PARAMETER),
        (b"\xa0", ERR.MISSING_PARAMETER),
        (b"\x80", ERR.CBOR_UNEXPECTED_TYPE),
        (b"\x01", ERR.CBOR_UNEXPECTED_TYPE),
        (b"\xa1", ERR.INVALID_CBOR),
        (b"\xa0\x00", ERR.INVALID_CBOR),
        (b"\xff", ERR.INVALID_CBOR),
        ({**MAKE, 1: bytes(31)}, ERR.INVALID_LENGTH),
        ({**MAKE, 1: "text"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 1: 5}, ERR.CBOR_UNEXPECTED_TYPE),
        ({2: RP, 3: USER, 4: ALGORITHMS}, ERR.MISSING_PARAMETER),
        ({1: HASH, 3: USER, 4: ALGORITHMS}, ERR.MISSING_PARAMETER),
        ({1: HASH, 2: RP, 4: ALGORITHMS}, ERR.MISSING_PARAMETER),
        ({1: HASH, 2: RP, 3: USER}, ERR.MISSING_PARAMETER),
        ({**MAKE, 2: {}}, ERR.MISSING_PARAMETER),
        ({**MAKE, 2: {"id": ""}}, ERR.INVALID_LENGTH),
        ({**MAKE, 2: {"id": b"example.com"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 2: {"id": "a", "name": 5}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 3: {"id": b""}}, ERR.INVALID_LENGTH),
        ({**MAKE, 3: {"id": b"x" * 65}}, ERR.INVALID_LENGTH),
        ({**MAKE, 3: {"name": "alice"}}, ERR.MISSING_PARAMETER),
        ({**MAKE, 3: {"id": b"u", "name": []}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 4: []}, ERR.UNSUPPORTED_ALGORITHM),
        ({**MAKE, 4: {}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 4: [5]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 4: [{"type": "public-key"}]}, ERR.MISSING_PARAMETER),
        ({**MAKE, 4: [*ALGORITHMS, {"alg": "-7", "type": "public-key"}]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 4: [{"alg": -7, "type": "private-key"}]}, ERR.UNSUPPORTED_ALGORITHM),
        ({**MAKE, 5: [b"x"]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 5: [{"type": "public-key"}]}, ERR.MISSING_PARAMETER),
        ({**MAKE, 5: [{"type": "public-key", "id": "x"}]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 5: [DESCRIPTOR] * 9}, ERR.LIMIT_EXCEEDED),
        ({**MAKE, 6: []}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"credProtect": "2"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"credProtect": True}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 7: {"rk": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 7: {"up": False}}, ERR.INVALID_OPTION),
        ({**MAKE, 7: {"uv": True}}, ERR.INVALID_OPTION),
        ({**MAKE, 8: HASH}, ERR.MISSING_PARAMETER),
        ({**MAKE, 8: HASH, 9: 3}, ERR.INVALID_PARAMETER),
        ({**MAKE, 8: HASH, 9: 2}, ERR.PIN_NOT_SET),
        ({**MAKE, 8: 5, 9: 2}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 10: 1}, ERR.INVALID_PARAMETER),
        ({**MAKE, 10: "1"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"credBlob": "b"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"hmac-secret": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"hmac-secret": True, "hmac-secret-mc": True}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"hmac-secret": True, "hmac-secret-mc": {}}}, ERR.MISSING_PARAMETER),
        ({**MAKE, 6: {"largeBlobKey": True}}, ERR.INVALID_OPTION),
        ({**MAKE, 6: {"largeBlobKey": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 6: {"minPinLength": 4}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**MAKE, 7: {"rk": False, "unknown": True}, 11: "unknown"}, 0),
        ({**MAKE, 5: []}, 0),
        ({**MAKE, 5: [{"id": b"x" * 999, "type": "public-key"}, {"id": b"", "type": "odd"}]}, 0),
    ],
)
def test_make_credential_checks_its_parameters(bench, body, code):
    assert status(bench, 0x01, body) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({2: HASH}, ERR.MISSING_PARAMETER),
        ({1: "example.com"}, ERR.MISSING_PARAMETER),
        ({**GET, 1: ""}, ERR.INVALID_LENGTH),
        ({**GET, 2: bytes(33)}, ERR.INVALID_LENGTH),
        ({**GET, 3: [DESCRIPTOR] * 9}, ERR.LIMIT_EXCEEDED),
        ({**GET, 3: [{**DESCRIPTOR, "type": 1}]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**GET, 4: 1}, ERR.CBOR_UNEXPECTED_TYPE),
        ({**GET, 5: {"rk": False}}, ERR.UNSUPPORTED_OPTION),
        ({**GET, 5: {"up": "no"}}, ERR.CBOR_UNEXPECTED_TYPE),
        (GET, ERR.NO_CREDENTIALS),
    ],
)
def test_get_assertion_checks_its_parameters(bench, body, code):
    assert status(bench, 0x02, body) == code


def test_a_message_that_is_too_long_is_refused(make_bench):
    for profile in ("full", "fido2.0"):
        bench = make_bench(profile, name=profile)
        longest = bench.ctap.info.max_msg_size
        assert status(bench, 0x01, bytes(longest)) == ERR.REQUEST_TOO_LARGE
        assert status(bench, 0x01, bytes(longest - 1)) == ERR.INVALID_CBOR


def test_the_longest_names_fit_into_the_file(bench):
    long = {**MAKE, 2: {"id": "x" * 900, "name": "y" * 900}, 7: {"rk": True}}
    assert status(bench, 0x01, long) == 0
    bench.open()
    assert bench.get("x" * 900).user == {"id": b"u"}


def test_what_has_no_parameters_takes_none(bench):
    assert bench.device.call(CBOR, b"") == bytes([ERR.INVALID_LENGTH])
    for command in (0x04, 0x07, 0x08, 0x0B):
        assert status(bench, command, b"\xa0") == ERR.INVALID_LENGTH
    assert bench.device.call(CBOR, bytearray(b"\x04"))[0] == 0


@pytest.mark.parametrize(
    "encoded",
    [
        "1800",  # 0 in two bytes
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "5f4101ff",  # indefinite length
        "9fff",
        "bfff",
        "1c",
        "f6",  # null
        "f7",
        "f90000",  # floats
        "fb0000000000000000",
        "f800",
        "c100",  # a tag
        "a2020001 00",  # keys out of order
        "a201000100",  # the same key twice
        "a2616100 0100",  # a text before a number
        "a2626161006162 00",  # the longer text first
        "a1f400",  # a truth as a key
        "a18000",  # an array as a key
        "61ff",  # no UTF-8
        "63edb080",  # a surrogate in UTF-8
        "4201",  # cut
        "8201",
        "a101",
        "19ff",
        "9bffffffffffffffff",  # more items than there are bytes
        "bbffffffffffffffff",
        "5bffffffffffffffff00",
        "8181818181",  # nested too deeply, and cut
        "818181818100",  # five deep
        "0000",
        "",
    ],
)
def test_cbor_that_is_not_canonical_is_refused(encoded):
    with pytest.raises(CtapError) as caught:
        decode(bytes.fromhex(encoded))
    assert caught.value.code == ERR.INVALID_CBOR


def test_deep_nesting_does_not_exhaust_the_stack():
    for byte in (b"\x81", b"\xa1\x00"):
        with pytest.raises(CtapError):
            decode(byte * 100_000)


PLAIN = st.integers(-(2**64), 2**64 - 1) | st.booleans() | st.binary(max_size=40) | st.text(max_size=40)
KEYS = st.integers(-30, 300) | st.text(max_size=30) | st.binary(max_size=5)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def depth(value) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES)
def test_what_python_fido2_encodes_is_decoded(value):
    encoded = cbor.encode(value)
    if depth(value) <= 4:
        assert decode(encoded) == value
    else:
        with pytest.raises(CtapError):
            decode(encoded)


@given(st.binary(max_size=60))
def test_what_is_decoded_is_what_python_fido2_encodes(data):
    try:
        value = decode(data)
    except CtapError as error:
        value = error
    if isinstance(value, CtapError):
        assert value.code == ERR.INVALID_CBOR
    else:
        assert cbor.encode(value) == data


# Random and mutated requests against keys that hold something


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """A key of every profile, some with a PIN, some touched at once; made once, whatever the examples do to them."""
    folder = tmp_path_factory.mktemp("victims") / "virtual"
    devices = []
    for profile, touch in (
        ("full", "refused"),
        ("fido2.0", "now"),
        ("fido2.1-pre", "refused"),
        ("small", "now"),
        ("arkg", "now"),
        ("draft", "now"),
    ):
        keys.new(folder, profile, profile)
        devices.append(VirtualDevice(folder, profile))
        if touch == "refused":
            ClientPin(Ctap2(devices[-1])).set_pin("1234")
        keys.configure(folder, profile, [f"touch={touch}"])
    return folder, devices


VALID = [
    bytes([command]) + cbor.encode(parameters)
    for command, parameters in [
        (1, {**MAKE, 5: [DESCRIPTOR], 6: {"credProtect": 2}, 7: {"rk": True}, 8: bytes(32), 9: 2}),
        (1, {**MAKE, 6: {"credBlob": b"b", "largeBlobKey": True, "minPinLength": True}, 7: {"rk": True}, 10: 1}),
        (1, {**MAKE, 6: {"hmac-secret": True, "hmac-secret-mc": SALTS}}),
        (1, {**MAKE, 6: {"previewSign": {3: [-65539], 4: 1}}}),
        (2, {**GET, 3: [DESCRIPTOR], 5: {"up": False}, 6: bytes(32), 7: 2}),
        (2, {**GET, 4: {"credBlob": True, "hmac-secret": SALTS, "largeBlobKey": True}}),
        (2, {**GET, 3: [DESCRIPTOR], 4: {"previewSign": {2: HASH, 6: HASH, 7: b"\xa0"}}}),
        (6, {1: 2, 2: 1}),
        (6, {1: 2, 2: 2}),
        (6, {1: 2, 2: 3, 3: COSE, 4: bytes(32), 5: bytes(80)}),
        (6, {1: 1, 2: 4, 3: COSE, 4: bytes(16), 5: bytes(64), 6: bytes(16)}),
        (6, {1: 2, 2: 5, 3: COSE, 6: bytes(32)}),
        (6, {1: 2, 2: 9, 3: COSE, 6: bytes(32), 9: 3, 10: "example.com"}),
        (6, {1: 2, 2: 9, 3: COSE, 6: bytes(32), 9: 64}),
        (12, {1: 100, 3: 0}),
        (12, {2: bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c"), 3: 0, 4: 17}),
        (12, {2: bytes(20), 3: 0, 4: 40, 5: bytes(32), 6: 2}),
        (13, {1: 1}),
        (13, {1: 3, 2: {1: 4, 2: ["example.com"], 3: False}, 3: 2, 4: bytes(32)}),
        (10, {1: 1, 3: 2, 4: bytes(32)}),
        (10, {1: 4, 2: {1: bytes(32)}, 3: 2, 4: bytes(32)}),
        (10, {1: 6, 2: {2: DESCRIPTOR}, 3: 2, 4: bytes(32)}),
        (10, {1: 7, 2: {2: DESCRIPTOR, 3: USER}, 3: 2, 4: bytes(32)}),
        (0x41, {1: 2, 3: 1, 4: bytes(16)}),
        (1, {**MAKE, 6: {"recovery": {"action": "state"}}}),
        (1, {**MAKE, 6: {"recovery": {"action": "recover", "allowCredentials": [DESCRIPTOR]}}, 8: bytes(32), 9: 2}),
        (2, {**GET, 4: {"recovery": {"action": "state"}}}),
        (2, {**GET, 4: {"recovery": {"action": "generate"}}, 6: bytes(32), 7: 2}),
        (0x4B, {1: 1}),
        (0x4B, {1: 2, 2: [0], 4: 2, 5: bytes(32)}),
        (0x4B, {1: 3, 3: {1: 0, 2: bytes(16), 3: [b"x5c"], 4: b"sig", 255: bytes(65)}, 4: 2, 5: bytes(32), 6: True}),
        (0x4B, {1: 5, 3: {255: bytes(65)}, 4: 2, 5: bytes(32)}),
    ]
]


@st.composite
def mutated(draw) -> bytes:
    message = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(message) - 1))
        match draw(st.sampled_from(["set", "insert", "delete", "cut"])):
            case "set":
                message[at] = draw(st.integers(0, 255))
            case "insert":
                message[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "delete":
                del message[at : at + draw(st.integers(1, 8))]
            case _:
                del message[max(at, 1) :]
        if not message:
            return b""
    return bytes(message)


@st.composite
def structured(draw) -> bytes:
    """Parameters of the right numbers and any type."""
    parameters = draw(st.dictionaries(st.integers(0, 12), VALUES, max_size=8))
    command = draw(st.sampled_from([1, 2, 6, 10, 12, 13, 0x41]))
    if command in {1, 2}:
        base = draw(st.sampled_from([MAKE, GET]))
        parameters = {**base, **parameters}
    else:
        parameters = {1: draw(st.integers(0, 3)), 2: draw(st.integers(0, 10)), **parameters}
    return bytes([command]) + cbor.encode(parameters)


@given(message=mutated() | structured() | st.binary(max_size=200), which=st.integers(0, 3))
@settings(max_examples=300)
def test_no_request_raises_or_damages_anything(victims, message, which):
    folder, devices = victims
    answer = devices[which].call(CBOR, message)
    assert answer
    if answer[0] == 0 and len(answer) > 1:
        assert cbor.encode(cbor.decode(answer[1:])) == answer[1:]
    else:
        assert len(answer) == 1
    assert keys.get(folder, devices[which].name).plugged
