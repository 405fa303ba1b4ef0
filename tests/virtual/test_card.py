"""The card layer alone, around a small key whose answers each test chooses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from fido2.ctap import STATUS, CtapDevice, CtapError
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import StoreError
from keyctl.virtual.card import FIDO_AID, MAX_COMMAND_BYTES, FidoCard
from keyctl.virtual.vpcd import ATR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NMSG = 0x08
MSG = 0x03
CBOR = 0x10
SELECT = bytes.fromhex("00A4040008") + FIDO_AID + b"\0"
POLL = bytes.fromhex("8011000000")
CANCEL = bytes.fromhex("8011110000")
GET_RESPONSE = bytes.fromhex("00C0000000")


class SmallKey(CtapDevice):
    """A key that answers with what it was told, or repeats the request after a status byte of 0.

    One that *waits* does so when the test has touched it, or says that it was cancelled unless it is *stubborn*.
    """

    def __init__(
        self,
        answer: bytes | Exception | None = None,
        *,
        capabilities: int = 0,
        waits: bool = False,
        stubborn: bool = False,
    ) -> None:
        self.answer = answer
        self.requests: list[tuple[int, bytes]] = []
        self.power_cycles = 0
        self.waiting = threading.Event()
        self.touched = threading.Event()
        self.cancelled = threading.Event()
        self._capabilities = capabilities
        self._waits = waits
        self._stubborn = stubborn

    @property
    def capabilities(self) -> int:
        return self._capabilities

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: threading.Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        assert event is not None
        assert on_keepalive is not None
        self.requests.append((cmd, data))
        if self._waits:
            on_keepalive(STATUS.UPNEEDED)
            self.waiting.set()
            while not self.touched.wait(0.005):
                if event.is_set() and not self._stubborn:
                    self.cancelled.set()
                    return b"\x2d"
        if isinstance(self.answer, Exception):
            raise self.answer
        return b"\0" + data if self.answer is None else self.answer

    def power_cycle(self) -> None:
        self.power_cycles += 1

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())


def selected(key: CtapDevice, *, sw64: bool = False) -> FidoCard:
    card = FidoCard(key, sw64=sw64)
    card.power_up()
    assert card.transmit(SELECT).endswith(b"\x90\x00")
    return card


def short(request: bytes, *, p1: int = 0x80, chained: bool = False) -> bytes:
    return bytes([0x90 if chained else 0x80, 0x10, p1, 0, len(request)]) + request + b"\0"


def extended(request: bytes, *, p1: int = 0x80) -> bytes:
    return bytes([0x80, 0x10, p1, 0, 0]) + len(request).to_bytes(2, "big") + request + b"\0\0"


def read_all(card: FidoCard, first: bytes) -> bytes:
    """The whole answer to *first*, status word last, fetched piece by piece."""
    answer = card.transmit(first)
    while answer[-2] == 0x61:
        answer = answer[:-2] + card.transmit(GET_RESPONSE[:4] + answer[-1:])
    return answer


def in_thread(work: Callable[[], bytes]) -> Callable[[], bytes]:
    """Start *work*; the function returned waits for its result."""
    results: list[bytes] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result() -> bytes:
        thread.join(5)
        return results[0]

    return result


@pytest.mark.parametrize(("capabilities", "version"), [(0, b"U2F_V2"), (NMSG, b"FIDO_2_0")])
def test_selection_tells_whether_the_key_speaks_u2f(capabilities, version):
    card = FidoCard(SmallKey(capabilities=capabilities))
    card.power_up()
    assert card.transmit(SELECT) == version + b"\x90\x00"


def test_selecting_another_application_deselects():
    card = selected(SmallKey())
    assert card.transmit(bytes.fromhex("00A4040007A0000000031010")).hex() == "6a82"
    assert card.transmit(short(b"\4")).hex() == "6985"


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("80100000010400", "6985"),
        ("8011000000", "6985"),
        ("80120100", "6985"),
        ("00030000", "6d00"),
        ("00C0000000", "6985"),
    ],
)
def test_nothing_works_before_selection(apdu, status):
    key = SmallKey()
    card = FidoCard(key)
    card.power_up()
    assert card.transmit(bytes.fromhex(apdu)).hex() == status
    assert not key.requests


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("", "6700"),
        ("8010", "6700"),
        ("80100000", "6700"),  # no data
        ("8010000000", "6700"),  # no data, only Le
        ("80100000020400000000", "6700"),  # two bytes promised, five come
        ("801000000304", "6700"),  # three promised, one comes
        ("801000000000", "6700"),  # an extended length cut short
        ("80100000000000010400", "6700"),  # no length, and yet data
        ("80100000000001", "6700"),  # extended Le only
        ("801000000000010400", "6700"),  # extended Lc, Le of one byte
        ("801100000104", "6700"),
        ("801201000104", "6700"),
        ("00C00000010000", "6700"),
        ("10C0000000", "6700"),
        ("801001000104", "6a86"),
        ("801080010104", "6a86"),
        ("8011220000", "6a86"),
        ("80120000", "6a86"),
        ("00A4000008A0000006472F0001", "6a86"),
        ("00C0010000", "6a86"),
        ("80130000", "6d00"),
        ("00100000010400", "6d00"),
        ("80A4040008A0000006472F0001", "6d00"),
        ("01030000", "6e00"),
        ("FF030000", "6e00"),
        ("8011000000", "6985"),  # nothing is going on
    ],
)
def test_wrong_commands_get_the_status_word_that_says_so(apdu, status):
    key = SmallKey()
    assert selected(key).transmit(bytes.fromhex(apdu)).hex() == status
    assert not key.requests


def test_without_power_nothing_answers():
    card = FidoCard(SmallKey())
    assert card.transmit(SELECT).hex() == "6f00"
    card.power_up()
    card.power_down()
    assert card.transmit(SELECT).hex() == "6f00"


def test_power_up_power_cycles_the_key_and_deselects():
    key = SmallKey()
    card = selected(key)
    card.power_up()
    assert key.power_cycles == 2
    assert card.transmit(short(b"\4")).hex() == "6985"


def test_end_of_the_conversation_deselects():
    card = selected(SmallKey())
    assert card.transmit(bytes.fromhex("80120100")).hex() == "9000"
    assert card.transmit(short(b"\4")).hex() == "6985"


@pytest.mark.parametrize("le", [b"", b"\0"])
def test_request_reaches_the_key_with_or_without_le(le):
    key = SmallKey()
    assert selected(key).transmit(b"\x80\x10\x80\x00\x01\x04" + le).hex() == "00049000"
    assert key.requests == [(CBOR, b"\x04")]


@given(request=st.binary(min_size=1, max_size=1500), cuts=st.lists(st.integers(1, 255), min_size=1, max_size=8))
def test_chained_and_extended_form_are_the_same_exchange(request, cuts):
    key = SmallKey()
    card = selected(key)
    pieces = []
    rest = request
    while rest:
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(rest[:size])
        rest = rest[size:]
    for piece in pieces[:-1]:
        assert card.transmit(short(piece, chained=True)) == b"\x90\x00"
    expected = b"\0" + request + b"\x90\x00"
    assert read_all(card, short(pieces[-1])) == expected
    assert card.transmit(extended(request)) == expected
    assert key.requests == [(CBOR, request)] * 2


@pytest.mark.parametrize("length", [255, 256, 257, 511, 512, 513])
def test_long_answers_come_in_parts_that_say_how_much_is_left(length):
    card = selected(SmallKey(bytes(length)))
    answer = card.transmit(short(b"\4"))
    left = length
    while answer[-2] == 0x61:
        assert len(answer) == 258
        left -= 256
        assert answer[-1] == (left if left < 256 else 0)
        answer = card.transmit(GET_RESPONSE)
    assert len(answer) == left + 2
    assert answer[-2:].hex() == "9000"
    assert card.transmit(GET_RESPONSE).hex() == "6985"


def test_get_response_works_with_either_class():
    """Some clients stay in the class of the command."""
    card = selected(SmallKey(bytes(300)))
    card.transmit(short(b"\4"))
    assert card.transmit(bytes.fromhex("80C000002C")) == bytes(44) + b"\x90\x00"


def test_le_bounds_each_part():
    card = selected(SmallKey(b"\0abcdef"))
    assert card.transmit(b"\x80\x10\x80\x00\x01\x04\x03") == b"\0ab\x61\x04"
    assert card.transmit(bytes.fromhex("00C0000001")) == b"c\x61\x03"
    assert card.transmit(GET_RESPONSE) == b"def\x90\x00"


def test_another_command_drops_the_unread_rest():
    card = selected(SmallKey(bytes(300)))
    card.transmit(short(b"\4"))
    card.transmit(SELECT)
    assert card.transmit(GET_RESPONSE).hex() == "6985"


def test_no_answer_is_longer_than_a_frame():
    card = selected(SmallKey(bytes(70000)))
    first = card.transmit(extended(b"\4"))
    assert len(first) == 0xFFFF
    assert first[-2:].hex() == "6100"


def test_another_command_ends_a_chain():
    key = SmallKey()
    card = selected(key)
    card.transmit(short(b"lost", chained=True))
    card.transmit(POLL)
    card.transmit(short(b"kept"))
    card.transmit(short(b"lost", chained=True))
    card.transmit(short(b"kept", p1=0))
    assert [request for _, request in key.requests] == [b"kept", b"kept"]


def test_longest_request_passes_and_one_more_byte_does_not():
    key = SmallKey(b"\0")
    card = selected(key)
    longest = bytes(MAX_COMMAND_BYTES)
    assert card.transmit(extended(longest)).hex() == "009000"
    assert card.transmit(extended(longest + b"x")).hex() == "6700"
    for _ in range(MAX_COMMAND_BYTES // 128):
        assert card.transmit(short(bytes(128), chained=True)).hex() == "9000"
    assert card.transmit(short(b"x", chained=True)).hex() == "6700"
    assert card.transmit(short(b"x")).hex() == "009000"
    assert [len(request) for _, request in key.requests] == [MAX_COMMAND_BYTES, 1]


def test_status_of_the_key_is_data():
    assert selected(SmallKey(b"\x31")).transmit(short(b"\6")).hex() == "319000"


def test_some_cards_put_the_status_into_the_status_word():
    card = selected(SmallKey(b"\x31"), sw64=True)
    assert card.transmit(short(b"\6")).hex() == "6431"
    assert selected(SmallKey(), sw64=True).transmit(short(b"\6")).hex() == "00069000"


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (0x01, "019000"),
        (0x31, "319000"),
        (0x7F, "7f9000"),
        (0x99, "999000"),
        (0xF2, "f29000"),
        (0x00, "6f00"),
        (0x05, "6f00"),
        (0x06, "6f00"),
        (0x0B, "6f00"),
        (0x1FF, "6f00"),
        (-1, "6f00"),
    ],
)
def test_errors_are_told_as_a_key_would(code, answer):
    assert selected(SmallKey(CtapError(code))).transmit(short(b"\6")).hex() == answer


def test_key_without_an_answer_is_broken():
    assert selected(SmallKey(b"")).transmit(short(b"\6")).hex() == "6f00"


@pytest.mark.parametrize("failure", [OSError("pulled"), StoreError("store_unreadable", "key file is not JSON")])
def test_pulled_or_spoilt_key_ends_the_card(failure):
    card = selected(SmallKey(failure))
    with pytest.raises(type(failure)):
        card.transmit(short(b"\4"))


def test_card_says_that_it_waits_and_answers_after_the_touch():
    key = SmallKey(waits=True)
    card = selected(key)
    assert card.transmit(short(b"\1")) == b"\x02\x91\x00"
    assert card.transmit(POLL) == b"\x02\x91\x00"
    key.touched.set()
    assert card.transmit(POLL).hex() == "00019000"
    assert card.transmit(POLL).hex() == "6985"


def test_cancel_reaches_the_key():
    card = selected(SmallKey(waits=True))
    card.transmit(short(b"\1"))
    assert card.transmit(CANCEL).hex() == "2d9000"


def test_key_that_ignores_the_cancel_is_still_waited_for():
    key = SmallKey(waits=True, stubborn=True)
    card = selected(key)
    card.transmit(short(b"\1"))
    assert card.transmit(CANCEL).hex() == "029100"
    assert card.transmit(short(b"\2")).hex() == "6f00"
    key.touched.set()
    assert card.transmit(POLL).hex() == "00019000"


def test_client_that_does_not_poll_is_kept_waiting():
    key = SmallKey(waits=True)
    card = selected(key)
    answer = in_thread(lambda: card.transmit(short(b"\1", p1=0)))
    assert key.waiting.wait(5)
    key.touched.set()
    assert answer().hex() == "00019000"


@pytest.mark.parametrize("apdu", [short(b"\1", p1=0), bytes.fromhex("00030000")])
@pytest.mark.parametrize("stubborn", [False, True])
def test_power_loss_ends_the_wait_for_a_touch(apdu, stubborn):
    key = SmallKey(waits=True, stubborn=stubborn)
    card = selected(key)
    answer = in_thread(lambda: card.transmit(apdu))
    assert key.waiting.wait(5)
    card.power_down()
    assert answer().hex() == "6f00"
    assert stubborn or key.cancelled.wait(5)


def test_power_up_forgets_a_command_that_would_not_end():
    card = selected(SmallKey(waits=True, stubborn=True))
    card.transmit(short(b"\1"))
    card.power_up()
    card.transmit(SELECT)
    assert card.transmit(POLL).hex() == "6985"


@pytest.mark.parametrize("next_apdu", [SELECT, bytes.fromhex("80120100"), short(b"\1")])
def test_next_command_cancels_the_one_that_waits(next_apdu):
    key = SmallKey(waits=True)
    card = selected(key)
    card.transmit(short(b"\1"))
    card.transmit(next_apdu)
    assert key.cancelled.is_set()


@pytest.mark.parametrize("apdu", ["00030000", "0003000000", "00030000000000"])
def test_u2f_reaches_the_key_in_extended_form(apdu):
    key = SmallKey(b"U2F_V2\x90\x00")
    assert selected(key).transmit(bytes.fromhex(apdu)) == b"U2F_V2\x90\x00"
    assert key.requests == [(MSG, bytes.fromhex("000300000000000000"))]


def test_u2f_data_is_chained_and_long_answers_come_in_parts():
    key = SmallKey(bytes(300) + b"\x90\x00")
    card = selected(key)
    assert card.transmit(b"\x10\x01\x03\x00\x20" + bytes(32)).hex() == "9000"
    assert read_all(card, b"\x00\x01\x03\x00\x20" + bytes(32) + b"\0") == bytes(300) + b"\x90\x00"
    assert key.requests == [(MSG, b"\x00\x01\x03\x00\x00\x00\x40" + bytes(64) + b"\0\0")]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"\x69\x85", "6985"),
        (b"\x90", "6f00"),
        (CtapError(CtapError.ERR.INVALID_COMMAND), "6d00"),
        (CtapError(CtapError.ERR.CHANNEL_BUSY), "6f00"),
    ],
)
def test_u2f_refusals_become_status_words(answer, status):
    assert selected(SmallKey(answer)).transmit(bytes.fromhex("00030000")).hex() == status


def known_commands() -> st.SearchStrategy[bytes]:
    """Commands that mean something, with odd classes, parameters and lengths."""
    header = st.tuples(
        st.sampled_from([0x00, 0x10, 0x80, 0x90]),
        st.sampled_from([0xA4, 0xC0, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12]),
        st.sampled_from([0x00, 0x01, 0x04, 0x11, 0x80]),
        st.sampled_from([0x00, 0x00, 0x00, 0x01]),
    ).map(bytes)
    body = st.one_of(
        st.binary(max_size=12),
        st.binary(max_size=255).map(lambda data: bytes([len(data)]) + data),
        st.binary(max_size=600).map(lambda data: b"\0" + len(data).to_bytes(2, "big") + data),
    )
    return st.builds(bytes.__add__, header, body) | st.just(SELECT)


@given(apdus=st.lists(st.binary(max_size=300) | known_commands(), max_size=12))
def test_any_bytes_get_an_answer(apdus: Sequence[bytes]):
    card = selected(SmallKey())
    for apdu in apdus:
        assert 2 <= len(card.transmit(apdu)) <= 0xFFFF
    # What is pending, the first part of a chain for instance, ends with the power.
    card.power_up()
    assert card.transmit(SELECT) == b"U2F_V2\x90\x00"


def test_atr_is_that_of_a_contactless_card_with_a_right_check_byte():
    """PC/SC part 3, section 3.1.3.2.3: TS, count of historical bytes, TD1, TD2, and all but TS come to 0 by XOR."""
    assert ATR[:1] + ATR[2:4] == b"\x3b\x80\x01"
    assert ATR[1] >> 4 == 0x8
    assert len(ATR) == 4 + (ATR[1] & 0x0F) + 1
    check = 0
    for byte in ATR[1:]:
        check ^= byte
    assert check == 0
