"""The array of large blobs: what others keep there stays, and nothing is written over what cannot be read."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fido2 import cbor
from fido2.ctap2 import ClientPin, Ctap2, LargeBlobs
from hypothesis import given
from hypothesis import strategies as st

from keyctl.device import blob_array
from keyctl.device.blob_array import BlobArray, ChecksumError
from keyctl.device.blobs import BlobCommands
from keyctl.device.exchange import Exchange
from keyctl.device.guard import GuardedDevice
from keyctl.device.key_pin import KeyPin
from keyctl.device.session import Session
from keyctl.errors import PinError, UnreachableError, UnsupportedError
from keyctl.model import KeyInfo, Limits
from keyctl.virtual.device import VirtualDevice
from tests.blob_arrays import summed
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"
KEY, OTHER = bytes(range(32)), bytes(32)
#: CTAP 2.2, section 6.10.2.
EMPTY = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")
#: What CTAP allows others to put there, and what it does not.
FOREIGN = (
    cbor.encode({1: bytes(40), 2: bytes(12), 3: 7}),
    # Keys in another order, and numbers that are longer than they need to be.
    bytes.fromhex("a303190007") + b"\x02\x4c" + bytes(12) + b"\x01\x58\x10" + bytes(16),
    cbor.encode("no map"),
    bytes.fromhex("c11a514b67b0"),  # RFC 8949, appendix A: a date,
    bytes.fromhex("fb3ff199999999999a"),  # a number with a fraction,
    bytes.fromhex("f7"),  # undefined,
    bytes.fromhex("f8ff"),  # a simple value
    bytes.fromhex("820102"),
    cbor.encode({1: bytes(40), 2: bytes(11), 3: 7}),
    cbor.encode({1: b"", 2: bytes(12), 3: 7}),
    cbor.encode({1: bytes(40), 2: bytes(12), 3: -1}),
    cbor.encode({}),
)


def array_of(*entries: bytes) -> bytes:
    return BlobArray(entries).content


def entry_for(key: bytes, compressed: bytes, size: int) -> bytes:
    """An entry that is under *key*, whatever is in it."""
    ciphertext = AESGCM(key).encrypt(bytes(12), compressed, b"blob" + size.to_bytes(8, "little"))
    return cbor.encode({1: ciphertext, 2: bytes(12), 3: size})


def deflated(content: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-15)
    return deflating.compress(content) + deflating.flush()


def sets(bench: Bench) -> int:
    return bench.sent().count("largeBlobs set")


# --- the format -----------------------------------------------------------------------------------------------------


def test_the_empty_array_is_the_one_of_the_specification() -> None:
    assert BlobArray(()).content == EMPTY
    assert blob_array.parse(EMPTY) == BlobArray(())


def test_entries_of_any_kind_come_out_as_they_went_in() -> None:
    array = blob_array.parse(array_of(*FOREIGN))
    assert array.entries == FOREIGN
    assert array.find(KEY) is None
    changed = blob_array.parse(array.with_content(KEY, b"ours").content)
    assert changed.entries[:-1] == FOREIGN
    assert changed.find(KEY) == b"ours"
    assert changed.with_content(KEY, b"newer").without(KEY).content == array.content


contents = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=80)), max_size=30)


@given(contents)
def test_each_key_finds_its_own_last_content(pairs: list[tuple[int, bytes]]) -> None:
    array, expected = BlobArray(()), {}
    for number, content in pairs:
        array = blob_array.parse(array.with_content(bytes([number]) * 32, content).content)
        expected[number] = content
    assert {number: array.find(bytes([number]) * 32) for number in expected} == expected
    assert len(array.entries) == len(expected)


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 300])
def test_any_number_of_entries_is_counted(count: int) -> None:
    entries = (b"\xa0",) * count
    assert blob_array.parse(array_of(*entries)).entries == entries
    assert array_of(*entries)[:-16] == cbor.encode([{}] * count)


def test_a_count_in_more_bytes_than_it_needs_is_understood() -> None:
    assert blob_array.parse(summed(b"\x9b" + (2).to_bytes(8, "big") + b"\xa0\xa0")).entries == (b"\xa0", b"\xa0")


@pytest.mark.parametrize(
    "content", [b"", b"\x80", EMPTY[:-1], bytes(16), bytes(17), EMPTY + b"\0", b"\x80" + bytes(16)]
)
def test_another_checksum_is_told_from_nonsense(content: bytes) -> None:
    with pytest.raises(ChecksumError):
        blob_array.parse(content)


@pytest.mark.parametrize(
    "array",
    [
        b"\xa0",
        b"\x00",
        b"\x81",
        b"\x80\x80",
        b"\x9b" + b"\xff" * 8,
        b"\x81\xbb" + b"\xff" * 8,
        b"\x81\x58",
        b"\x81\x58\x05\x00",
        b"\x81\x1c",
        b"\x9f\xff",
        b"\x81\x9f\xff",
        b"\x81\xc1",
        b"\x81" * 200 + b"\x80",
    ],
)
def test_what_is_no_array_of_items_is_refused(array: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        blob_array.parse(summed(array))
    assert not isinstance(caught.value, ChecksumError)


@given(st.binary(max_size=200))
def test_any_array_is_refused_or_comes_back(array: bytes) -> None:
    try:
        parsed = blob_array.parse(summed(array))
    except ValueError:
        return
    assert parsed.content[:-16].endswith(b"".join(parsed.entries))
    assert blob_array.parse(parsed.content) == parsed


DAMAGED = [
    pytest.param(b"\xff\xff", 5, id="no deflate"),
    pytest.param(b"", 5, id="nothing"),
    pytest.param(deflated(b"12345"), 4, id="longer than it says"),
    pytest.param(deflated(b"12345"), 6, id="shorter than it says"),
    pytest.param(deflated(b"12345")[:-1], 5, id="cut"),
    pytest.param(deflated(bytes(1 << 24)), 1 << 24, id="a bomb"),
    pytest.param(deflated(bytes(1 << 24)), 10, id="a bomb that says it is small"),
    pytest.param(deflated(b""), (1 << 64) - 1, id="a huge size"),
]


@pytest.mark.parametrize(("compressed", "size"), DAMAGED)
def test_an_entry_that_cannot_be_unpacked_is_refused_but_replaced(compressed: bytes, size: int) -> None:
    array = BlobArray((*FOREIGN, entry_for(KEY, compressed, size)))
    assert array.holds(KEY)
    with pytest.raises(ValueError, match=r"."):
        array.find(KEY)
    assert array.without(KEY).entries == FOREIGN
    assert array.with_content(KEY, b"new").find(KEY) == b"new"
    # A good one beside it counts.
    assert BlobArray((*array.entries, entry_for(KEY, deflated(b"good"), 4))).find(KEY) == b"good"


def test_the_room_for_a_content_is_never_more_than_foreseen() -> None:
    for length in (0, 1, 250, 400, 2000):
        foreseen = BlobArray(FOREIGN).bytes_with(length)
        for content in (bytes(length), os.urandom(length)):
            assert len(BlobArray(FOREIGN).with_content(KEY, content).content) <= foreseen


# --- on a key -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["full", "small", "arkg"])
def stocked(make_bench: Callable[..., Bench], request: pytest.FixtureRequest) -> Bench:
    """A key on which others keep something."""
    bench = make_bench(request.param, pin=PIN)
    bench.keep(large_blobs=array_of(*FOREIGN).hex())
    return bench


def test_python_fido2_reads_what_was_written_and_the_other_way_round(stocked: Bench) -> None:
    stocked.keep(large_blobs=EMPTY.hex())
    with stocked.open(pin=PIN) as opened:
        opened.blobs.write(KEY, b"ours" * 50)
    with VirtualDevice(stocked.folder, stocked.name) as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(PIN, ClientPin.PERMISSION.LARGE_BLOB_WRITE)
        theirs = LargeBlobs(ctap, pins.protocol, token)
        assert theirs.get_blob(KEY) == b"ours" * 50
        theirs.put_blob(OTHER, b"theirs")
    with stocked.open() as opened:
        assert opened.blobs.find(OTHER) == b"theirs"
        assert opened.blobs.find(KEY) == b"ours" * 50
        assert opened.blobs.find(b"\x01" * 32) is None


def test_what_others_keep_stays_byte_for_byte(stocked: Bench) -> None:
    before = stocked.large_blobs()
    with stocked.open(pin=PIN) as opened:
        opened.blobs.write(KEY, b"first")
        opened.blobs.write(OTHER, b"second")
        opened.blobs.write(KEY, b"third")
        array = opened.blobs.read()
        assert array.entries[: len(FOREIGN)] == FOREIGN
        assert (len(array.entries), array.find(KEY), array.find(OTHER)) == (len(FOREIGN) + 2, b"third", b"second")
        assert opened.blobs.remove(KEY)
        assert opened.blobs.remove(OTHER)
        assert not opened.blobs.remove(OTHER)
    assert stocked.large_blobs() == before


def test_a_write_is_two_reads_one_token_and_one_message(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        opened.blobs.write(KEY, b"ours")
    assert bench.sent() == [
        "getInfo",
        "largeBlobs get",
        "clientPin getKeyAgreement",
        "clientPin getPinUvAuthTokenUsingPinWithPermissions",
        "largeBlobs set",
        "largeBlobs get",
    ]
    assert bench.touches == []


def test_reading_and_removing_nothing_need_no_pin(bench: Bench) -> None:
    with bench.open() as opened:
        assert opened.blobs.find(KEY) is None
        assert not opened.blobs.remove(KEY)


# Keys of 2048 bytes a message take 1984 of the array at a time.
@pytest.mark.parametrize("total", [1983, 1984, 1985, 3967, 3968, 3969, 4096])
def test_arrays_of_any_length_are_written_and_read_in_parts(make_bench: Callable[..., Bench], total: int) -> None:
    bench = make_bench("arkg", pin=PIN)
    noise = os.urandom(total)
    overhead = len(BlobArray(()).with_content(KEY, noise).content) - total
    content = noise[: total - overhead]
    with bench.open(pin=PIN) as opened:
        opened.blobs.write(KEY, content)
        assert len(bench.large_blobs()) == total
        assert opened.blobs.find(KEY) == content
    assert sets(bench) == -(-total // 1984)


def test_a_full_array_is_refused_before_the_pin_is_sent(stocked: Bench) -> None:
    before = stocked.large_blobs()
    with stocked.open(pin=PIN) as opened:
        room = opened.blobs.capacity
        error = failing(opened.blobs.write, KEY, os.urandom(room))
        assert (type(error), error.code) == (UnsupportedError, "key_full")
        assert str(room) in error.message
        assert failing(opened.blobs.require_room, room).code == "key_full"
        opened.blobs.require_room(200)
    assert set(stocked.sent()) == {"getInfo", "largeBlobs get"}
    assert stocked.large_blobs() == before


def test_the_last_byte_of_the_room_is_used(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("small", pin=PIN)
    with bench.open(pin=PIN) as opened:
        length = next(
            length for length in range(1024, 0, -1) if BlobArray(()).bytes_with(length) == opened.blobs.capacity
        )
        opened.blobs.require_room(length)
        assert failing(opened.blobs.require_room, length + 1).code == "key_full"
        opened.blobs.write(KEY, os.urandom(length))
    assert len(bench.large_blobs()) == 1024


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_bad_checksum_is_an_error_and_never_written_over(stocked: Bench, damage: str) -> None:
    whole = stocked.large_blobs()
    bad = {"flipped": whole[:3] + bytes([whole[3] ^ 1]) + whole[4:], "cut": whole[:-20], "empty": b"\x80" + bytes(16)}
    stocked.keep(large_blobs=bad[damage].hex())
    with stocked.open(pin=PIN) as opened:
        for attempt in (
            lambda: opened.blobs.write(KEY, b"ours"),
            lambda: opened.blobs.remove(KEY),
            lambda: opened.blobs.find(KEY),
            lambda: opened.blobs.require_room(1),
        ):
            error = failing(attempt)
            assert (type(error), error.code) == (UnreachableError, "key_nonsense")
            assert "checksum" in error.message
    assert set(stocked.sent()) == {"getInfo", "largeBlobs get"}
    assert stocked.large_blobs() == bad[damage]


def test_an_array_that_is_none_is_never_written_over(stocked: Bench) -> None:
    stocked.keep(large_blobs=summed(b"\xa0").hex())
    with stocked.open(pin=PIN) as opened:
        assert failing(opened.blobs.write, KEY, b"ours").code == "key_nonsense"
    assert not sets(stocked)


def test_damaged_data_of_ours_is_an_error_until_it_is_replaced(bench: Bench) -> None:
    bench.keep(large_blobs=array_of(entry_for(KEY, b"\xff", 3)).hex())
    with bench.open(pin=PIN) as opened:
        assert failing(opened.blobs.find, KEY).code == "key_nonsense"
        opened.blobs.write(KEY, b"new")
        assert opened.blobs.find(KEY) == b"new"


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre", "u2f"])
def test_keys_without_large_blobs_are_asked_for_nothing(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile)
    with bench.open(pin=PIN) as opened:
        before = opened.commands_sent
        assert not opened.blobs.supported
        for attempt in (opened.blobs.read, lambda: opened.blobs.write(KEY, b""), lambda: opened.blobs.remove(KEY)):
            assert isinstance(failing(attempt), UnsupportedError)
        assert opened.commands_sent == before


def test_tokens_without_permissions_write_nothing(bench: Bench) -> None:
    bench.set("quirk=legacy-token")
    with bench.open(pin=PIN) as opened:
        assert not opened.blobs.supported


def test_writing_wants_the_pin_and_a_wrong_one_costs_one_try(bench: Bench) -> None:
    with bench.open() as opened:
        assert failing(opened.blobs.write, KEY, b"ours").code == "pin_required"
        opened.use_pin("000000")
        error = failing(opened.blobs.write, KEY, b"ours")
        assert (type(error), error.details.tries_left) == (PinError, 7)
        assert failing(opened.blobs.write, KEY, b"ours").code == "pin_required"
    assert bench.large_blobs() == EMPTY


def test_a_key_without_a_pin_is_not_written_to(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    with bench.open() as opened:
        assert failing(opened.blobs.write, KEY, b"ours").code == "pin_not_set"


# --- interruptions --------------------------------------------------------------------------------------------------

LONG = os.urandom(3000)


@pytest.fixture
def twofold(make_bench: Callable[..., Bench]) -> Bench:
    """A key where others keep so much that writing takes two messages."""
    bench = make_bench("arkg", pin=PIN)
    bench.keep(large_blobs=array_of(*FOREIGN, cbor.encode({1: LONG})).hex())
    return bench


#: Two parts to read, agreement, token, two parts to write, two to read again.
WRITING = 8


@pytest.mark.parametrize("fault", ["pulled", "pulled-after", "garbage", "0x7f", "0x33"])
@pytest.mark.parametrize("number", range(1, WRITING + 1))
def test_a_write_that_breaks_off_leaves_the_old_or_the_new_and_says_which(
    twofold: Bench, number: int, fault: str
) -> None:
    before = twofold.large_blobs()
    with twofold.open(pin=PIN) as opened:
        twofold.set(f"fault={number}:{fault}")
        error = failing(opened.blobs.write, KEY, b"ours")
    after = twofold.large_blobs()
    written = after != before
    assert written == (number > 6 or (number == 6 and fault == "pulled-after"))
    if written:
        assert blob_array.parse(after).find(KEY) == b"ours"
        assert blob_array.parse(after).without(KEY).content == before
    said = error.message.rpartition("; ")[2]
    unchanged, unsure = "what is stored there is as it was", "whether the new data is stored there now is not known"
    if number <= 4:
        assert said == error.message
    elif number == 5 or (number == 6 and fault.startswith("0x")):
        assert said == unchanged
    elif number == 6:
        assert said == unsure
    else:
        assert "was sent" in said
    twofold.set("fault=none")
    twofold.replug()
    with twofold.open(pin=PIN) as opened:
        opened.blobs.write(KEY, b"ours")
        assert opened.blobs.read().without(KEY).content == before


def test_a_token_for_one_message_writes_one_and_leaves_the_old_array_otherwise(twofold: Bench) -> None:
    twofold.set("quirk=token-once")
    before = twofold.large_blobs()
    with twofold.open(pin=PIN) as opened:
        error = failing(opened.blobs.write, KEY, b"ours")
        assert error.code == "token_refused"
        assert error.message.endswith("; what is stored there is as it was")
        assert twofold.large_blobs() == before
        twofold.keep(large_blobs=array_of(*FOREIGN).hex())
        opened.blobs.write(KEY, b"ours")
        assert opened.blobs.find(KEY) == b"ours"


class Forgetful(VirtualDevice):
    """A key that accepts what is written, and keeps the old."""

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        if data[:1] == b"\x0c" and 2 in cbor.decode(data[1:]):
            return b"\0"
        return super().call(cmd, data, *more)


def test_what_cannot_be_read_back_is_an_error(bench: Bench) -> None:
    device = Forgetful(bench.folder, bench.name)
    guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(bench.found(), guard) as opened:
        opened.use_pin(PIN)
        error = failing(opened.blobs.write, KEY, b"ours")
    assert error.code == "key_nonsense"
    assert "other large blobs than were just written" in error.message


# --- hostile keys ---------------------------------------------------------------------------------------------------


def on(scripted: Any, answer: Callable[[dict[int, Any]], Any], *, room: int | None = 1024) -> BlobCommands:
    """A key that answers what is read by *answer*, in CBOR."""
    device = scripted(lambda data: b"\0" + cbor.encode(answer(cbor.decode(data[1:]))))
    info = KeyInfo(
        versions=("FIDO_2_1",),
        extensions=("largeBlobKey",),
        options={"largeBlobs": True, "pinUvAuthToken": True},
        limits=Limits(max_message_size=1200, max_large_blob_array=room),
    )
    exchange = Exchange(device, "blue")
    exchange.max_message_bytes = info.limits.max_message_size
    return BlobCommands(exchange, KeyPin(exchange, info))


@pytest.mark.parametrize("answer", [{}, {1: "text"}, {1: None}, {1: [1]}, {2: EMPTY}, {1: bytes(1137)}])
def test_an_answer_without_a_proper_part_is_nonsense(scripted: Any, answer: dict[int, Any]) -> None:
    assert failing(on(scripted, lambda _: answer).read).code == "key_nonsense"


@pytest.mark.parametrize("room", [None, 1024, 4096, 0xFFFFFFFF])
def test_a_key_that_never_stops_is_stopped(scripted: Any, room: int | None) -> None:
    blobs = on(scripted, lambda wanted: {1: bytes(wanted[1])}, room=room)
    assert failing(blobs.read).code == "key_nonsense"
    assert len(blobs._exchange.device.requests) <= 65536 // 1136 + 1


def test_a_key_that_claims_endless_messages_is_asked_for_what_fits_the_frames(scripted: Any) -> None:
    asked: list[int] = []

    def answer(wanted: dict[int, Any]) -> dict[int, Any]:
        asked.append(wanted[1])
        return {1: EMPTY}

    blobs = on(scripted, answer)
    blobs._pin.info = KeyInfo(
        versions=("FIDO_2_1",),
        extensions=("largeBlobKey",),
        options={"largeBlobs": True},
        limits=Limits(max_message_size=0xFFFFFFFF),
    )
    assert blobs.read() == BlobArray(())
    assert asked == [7609 - 64]
