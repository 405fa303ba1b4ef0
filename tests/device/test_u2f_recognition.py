"""Keys without CTAP2: what they claim, what they prove with a touch, and what they may say instead."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2.ctap import STATUS, CtapError

from keyctl.core import public_keys
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import NotFoundError, TouchError, UnsupportedError
from keyctl.model import OWN_RP_ID, Transport, Waits
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from tests.device.conftest import Bench

RP = "a.example"
MSG = 0x03


@pytest.fixture
def old(make_bench: Callable[..., Bench]) -> Bench:
    """A virtual key that knows U2F only."""
    return make_bench("u2f")


def test_a_u2f_key_is_enrolled_and_claims_the_handle_without_a_touch(old: Bench) -> None:
    with old.open() as opened:
        assert opened.is_u2f
        assert not opened.enrolment_wants_pin
        made = opened.enrol([os.urandom(64)])
        assert (made.u2f, made.counter, len(made.user_id)) == (True, 0, 32)
        assert public_keys.algorithm(made.public_key) == public_keys.ES256
    old.set("touch=never")
    old.trace.clear()
    with old.open() as opened:
        assert opened.claimed(OWN_RP_ID, [os.urandom(64), made.credential_id]) == made.credential_id
        assert opened.claimed(OWN_RP_ID, [os.urandom(64), os.urandom(255)]) is None
        assert opened.claimed(RP, [made.credential_id]) is None
    # One decoy for the whole connection.
    assert old.sent() == ["U2F check"] * 6
    assert old.touches == []


def test_with_a_touch_it_proves_who_it_is(old: Bench) -> None:
    with old.open() as opened:
        made = opened.enrol(())
        old.set("counter=41")
        found = opened.touched(OWN_RP_ID, made.credential_id)
    assert public_keys.verifies(made.public_key, found.signed, found.signature)
    assert not public_keys.verifies(made.public_key, found.signed + b"!", found.signature)
    assert (found.credential_id, found.counter, found.user_present, found.user_verified) == (
        made.credential_id,
        42,
        True,
        False,
    )
    assert found.auth_data[:32] == sha256(OWN_RP_ID.encode()).digest()


def test_what_it_is_given_is_what_it_signs(old: Bench) -> None:
    with old.open() as opened:
        made = opened.enrol(())
        found = opened.touched(OWN_RP_ID, made.credential_id, bytes(range(32)))
    assert found.client_data_hash == bytes(range(32))
    assert public_keys.verifies(made.public_key, found.auth_data + bytes(range(32)), found.signature)


def test_a_long_handle_works_as_well(old: Bench) -> None:
    old.set("quirk=long-ids")
    with old.open() as opened:
        made = opened.enrol(())
        assert len(made.credential_id) == 241
        assert opened.claimed(OWN_RP_ID, [made.credential_id]) == made.credential_id
        assert opened.touched(OWN_RP_ID, made.credential_id).user_present


def test_what_is_no_handle_is_not_sent(old: Bench) -> None:
    with old.open() as opened:
        assert opened.claimed(OWN_RP_ID, [b"", os.urandom(256)]) is None
        assert opened.commands_sent == 1
        for handle in (b"", os.urandom(256)):
            assert failing(opened.touched, OWN_RP_ID, handle).code == "passkey_not_found"
        assert opened.commands_sent == 1


def test_a_key_that_is_known_already_is_not_enrolled_again(old: Bench) -> None:
    with old.open() as opened:
        made = opened.enrol(())
        error = failing(opened.enrol, [os.urandom(64), made.credential_id])
    assert isinstance(error, NotFoundError)
    assert error.code == "key_known"


def test_a_handle_of_another_key_is_not_waited_for(old: Bench, make_bench: Callable[..., Bench]) -> None:
    with make_bench("u2f", "green").open() as other:
        elsewhere = other.enrol(())
    old.set("touch=never")
    with old.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        assert failing(opened.touched, OWN_RP_ID, elsewhere.credential_id).code == "passkey_not_found"
    assert old.touches == []


def test_it_signs_nothing_in_silence(old: Bench) -> None:
    with old.open() as opened:
        for attempt in (opened.answering, opened.all_answering):
            error = failing(attempt, OWN_RP_ID, [os.urandom(64)])
            assert isinstance(error, UnsupportedError)
        assert opened.commands_sent == 0


def test_ctap2_finds_what_u2f_registered(make_bench: Callable[..., Bench]) -> None:
    """A key that knows both is asked by CTAP2; its U2F registrations answer in silence then."""
    from fido2.ctap1 import Ctap1

    from keyctl.virtual.device import VirtualDevice

    bench = make_bench()
    with VirtualDevice(bench.folder, bench.name) as device:
        registered = Ctap1(device).register(os.urandom(32), sha256(RP.encode()).digest())
    with bench.open() as opened:
        assert not opened.is_u2f
        found = opened.answering(RP, [registered.key_handle])
    assert found is not None
    assert public_keys.verifies(public_keys.es256(registered.public_key), found.signed, found.signature)


# --- touches ---------------------------------------------------------------------------------------------------------


def test_a_touch_is_asked_for_once_and_waited_for(old: Bench) -> None:
    old.set("touch=after:0.3")
    with old.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        made = opened.enrol(())
        assert old.touches == [("virtual:blue", 20)]
        assert opened.touched(OWN_RP_ID, made.credential_id).user_present
    assert len(old.touches) == 2


@pytest.mark.parametrize(("touch_s", "told"), [(0, 0), (0.3, 1)])
def test_without_a_touch_it_is_given_up_in_time(old: Bench, touch_s: float, told: int) -> None:
    with old.open() as opened:
        made = opened.enrol(())
    old.set("touch=never")
    with old.open(Waits(touch_s=touch_s, plug_s=0, lock_s=0)) as opened:
        for attempt in (lambda: opened.touched(OWN_RP_ID, made.credential_id), lambda: opened.enrol(())):
            error = failing(attempt)
            assert isinstance(error, TouchError)
            assert (error.code, error.key) == ("no_touch", "virtual:blue")
    assert len(old.touches) == 2 * told


def test_a_key_that_is_pulled_while_it_waits_is_told_as_such(old: Bench) -> None:
    old.set("touch=never", "fault=2:pulled")
    with old.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        assert failing(opened.enrol, ()).code == "key_removed"


# --- keys that lie ---------------------------------------------------------------------------------------------------

UNTOUCHED, DONE, UNKNOWN = b"\x69\x85", b"\x90\0", b"\x6a\x80"
POINT = b"\x04" + bytes(64)
HANDLE = bytes(range(64))


class Told:
    """A U2F key that answers checks, registrations and signatures as it is told; keep-alives come if they are there."""

    capabilities = 0x08

    def __init__(self, *, register: bytes = DONE, sign: bytes = DONE, check: Callable[[bytes], bytes]) -> None:
        self._answers = {0x01: register, 0x02: sign}
        self._check = check
        self.keepalive: STATUS | None = None

    def call(self, cmd: int, data: bytes, _event: Event, tell: Callable[[STATUS], None]) -> bytes:
        assert cmd == MSG
        if data[1:3] == b"\x02\x07":
            return self._check(data[7:-2][65:])
        if self.keepalive is not None:
            tell(self.keepalive)
            tell(self.keepalive)
        return self._answers[data[1]]

    def close(self) -> None:
        """Nothing to close."""


def honest(handle: bytes) -> bytes:
    return UNTOUCHED if handle == HANDLE else UNKNOWN


def told(key: Any, touches: list[Any] | None = None, touch_s: float = 0) -> Session:
    guard = GuardedDevice(
        key, "usb:x", touch_s=touch_s, lock_s=0, on_touch=lambda *touch: (touches or []).append(touch)
    )
    return Session(Found(transport=Transport.USB, path="x"), guard)


def registration(start: bytes = b"\x05", point: bytes = POINT, handle: bytes = HANDLE, rest: bytes = b"0...") -> bytes:
    return start + point + bytes([len(handle)]) + handle + rest + DONE


def test_a_registration_as_it_should_be_is_believed() -> None:
    made = told(Told(register=registration(), check=honest)).enrol(())
    assert (made.credential_id, made.public_key) == (HANDLE, public_keys.es256(POINT))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x90",
        DONE,
        registration(start=b"\x04"),
        registration(point=b"\x02" + bytes(64)),
        registration(point=POINT[:-1]),
        registration(handle=b""),
        registration(rest=b""),
        registration()[:80] + DONE,
        b"\x05" + POINT + b"\xff" + HANDLE + DONE,
    ],
)
def test_a_registration_that_makes_no_sense_is_not_believed(answer: bytes) -> None:
    error = failing(told(Told(register=answer, check=honest)).enrol, ())
    assert error.code == ("key_nonsense" if answer[-2:] == DONE else "key_error")


def test_a_key_that_takes_any_handle_for_its_own_claims_nothing() -> None:
    opened = told(Told(register=registration(), check=lambda _: UNTOUCHED))
    assert opened.claimed(OWN_RP_ID, [HANDLE]) is None
    assert failing(opened.enrol, ()).code == "key_nonsense"
    assert opened.commands_sent == 2


@pytest.mark.parametrize("status", [b"", b"\x69", DONE, b"\x67\0", b"\x6d\0", b"\x69\x86", b"x" * 80])
def test_only_the_right_refusal_of_a_decoy_counts(status: bytes) -> None:
    answers = iter([status, UNTOUCHED])
    opened = told(Told(check=lambda _: next(answers)))
    assert opened.claimed(OWN_RP_ID, [HANDLE]) is None
    assert opened.commands_sent == 1


@pytest.mark.parametrize("status", [b"", DONE, b"\x67\0", b"\x6d\0", b"\x69\x86", b"x" * 80, UNKNOWN])
def test_only_the_right_answer_is_a_claim(status: bytes) -> None:
    opened = told(Told(check=lambda handle: status if handle == HANDLE else UNKNOWN))
    assert opened.claimed(OWN_RP_ID, [HANDLE]) is None
    assert opened.commands_sent == 2


def test_a_handle_that_is_not_known_after_all_is_not_taken() -> None:
    error = failing(told(Told(register=registration(), check=lambda _: UNKNOWN)).enrol, ())
    assert error.code == "key_nonsense"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (UNKNOWN, "passkey_not_found"),
        (UNTOUCHED, "no_touch"),
        (b"\x69\x86", "key_error"),
        (b"\x67\0", "key_error"),
        (b"", "key_error"),
        (DONE, "key_nonsense"),
        (b"\x01\0\0\0" + DONE, "key_nonsense"),
        (b"\x01\0\0\0\x07" + DONE, "key_nonsense"),
        (b"\0\0\0\0\x07signature" + DONE, "key_nonsense"),
    ],
)
def test_a_signature_that_is_none_is_not_believed(answer: bytes, code: str) -> None:
    assert failing(told(Told(sign=answer, check=honest)).touched, OWN_RP_ID, HANDLE).code == code


def test_a_signature_as_it_should_be_is_believed() -> None:
    found = told(Told(sign=b"\x01\0\0\0\x07signature" + DONE, check=honest)).touched(RP, HANDLE)
    assert (found.counter, found.signature, found.user_present) == (7, b"signature", True)
    assert found.signed == sha256(RP.encode()).digest() + b"\x01\0\0\0\x07" + found.client_data_hash


def test_a_status_that_says_nothing_is_told_with_its_number() -> None:
    error = failing(told(Told(sign=b"\x6f\x12", check=honest)).touched, RP, HANDLE)
    assert error.message == "usb:x reported an error: U2F status 0x6F12"


def test_a_key_that_waits_by_itself_has_its_touch_asked_for_once() -> None:
    touches: list[Any] = [None]
    key = Told(register=registration(), check=honest)
    key.keepalive = STATUS.UPNEEDED
    told(key, touches, touch_s=20).enrol(())
    assert touches == [None, ("usb:x", 20)]


def test_a_failure_of_the_transport_is_told() -> None:
    def fail(_: bytes) -> bytes:
        raise CtapError(CtapError.ERR.INVALID_COMMAND)

    assert failing(told(Told(check=fail)).claimed, RP, [HANDLE]).code == "unsupported"
