"""Which credentials are on a key, and keyctl's own: with every profile, quirk and touch, and with keys that lie."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap2 import ClientPin, Config, Ctap2

from keyctl.core import public_keys
from keyctl.device.authenticator_data import Flag
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import NotFoundError, PinError, TouchError
from keyctl.model import OWN_RP_ID, Transport, Waits
from keyctl.virtual.device import VirtualDevice
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keyctl.device.enrolling import Enrolment
    from tests.device.conftest import Bench

PIN = "123456"
RP = "a.example"
CTAP2_PROFILES = ["full", "small", "fido2.0", "fido2.1-pre"]


def proves(made: Enrolment, opened: Session, *, verified: bool = False) -> bool:
    """Whether the credential answers under the public key that was told when it was made."""
    found = opened.answering(OWN_RP_ID, [made.credential_id], verified=verified)
    return found is not None and public_keys.verifies(made.public_key, found.signed, found.signature)


def always_uv(bench: Bench) -> None:
    """Have the key verify its user for everything."""
    with VirtualDevice(bench.folder, bench.name) as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(PIN, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
        Config(ctap, pins.protocol, token).toggle_always_uv()


# --- keyctl's own credential -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", CTAP2_PROFILES)
@pytest.mark.parametrize("pin", [None, PIN])
def test_a_key_of_any_profile_is_enrolled_and_answers_in_silence(
    make_bench: Callable[..., Bench], profile: str, pin: str | None
) -> None:
    bench = make_bench(profile, pin=pin)
    with bench.open(pin=pin) as opened:
        assert opened.enrolment_wants_pin is (pin is not None and profile.startswith("fido2."))
        made = opened.enrol(())
        assert (made.u2f, len(made.user_id)) == (False, 32)
    bench.set("touch=never")
    with bench.open() as opened:
        assert proves(made, opened)
        assert opened.commands_sent == 2
    assert bench.sent()[-1] == "getAssertion (silent)"
    assert bench.touches == []


@pytest.mark.parametrize(
    "quirk",
    [
        "aaguid-zero",
        "counter-from-zero",
        "counter-random",
        "lbw-dropped",
        "legacy-token",
        "long-ids",
        "map-order",
        "no-touch",
        "silent-without-uv",
        "token-once",
        "up-flag-always",
    ],
)
@pytest.mark.parametrize("profile", ["full", "fido2.0"])
def test_no_quirk_is_in_the_way(make_bench: Callable[..., Bench], profile: str, quirk: str) -> None:
    bench = make_bench(profile, pin=PIN)
    bench.set(f"quirk={quirk}")
    with bench.open(pin=PIN) as opened:
        made = opened.enrol([os.urandom(64)])
        assert proves(made, opened)
        assert proves(made, opened, verified=True)
        assert opened.touched(OWN_RP_ID, made.credential_id).user_present
    assert public_keys.algorithm(made.public_key) == public_keys.ES256


def test_the_public_key_is_kept_in_one_form_whatever_the_key_sends(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.set("quirk=map-order")
    with bench.open() as opened:
        public_key = opened.enrol(()).public_key
    assert cbor.encode(cbor.decode(public_key)) == public_key


def test_no_two_enrolments_share_anything(make_bench: Callable[..., Bench]) -> None:
    with make_bench().open() as opened:
        first, second = opened.enrol(()), opened.enrol(())
        assert first.credential_id != second.credential_id
        assert first.user_id != second.user_id
        assert proves(first, opened)
        assert proves(second, opened)


def test_an_enrolment_takes_no_slot(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        opened.enrol(())
        assert opened.list_passkeys().passkeys == ()


def test_a_key_that_is_known_already_is_not_enrolled_again(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    with bench.open() as opened:
        made = opened.enrol(())
        error = failing(opened.enrol, [os.urandom(64), made.credential_id])
    assert isinstance(error, NotFoundError)
    assert (error.code, error.key) == ("key_known", "virtual:blue")


def test_more_ids_to_exclude_than_fit_are_left_out(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.1-pre")
    with bench.open() as opened:
        opened.enrol([b"", os.urandom(2000), *(os.urandom(128) for _ in range(100))])


def test_the_counter_is_that_of_the_last_signature(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.set("counter=41")
    with bench.open() as opened:
        made = opened.enrol(())
        assert made.counter == 43
        found = opened.answering(OWN_RP_ID, [made.credential_id])
        assert found is not None
        assert found.counter == 44
    bench.set("counter=7")
    with bench.open() as opened:
        found = opened.answering(OWN_RP_ID, [made.credential_id])
        assert found is not None
        assert found.counter == 8


def test_enrolling_without_the_pin_that_the_key_wants_is_told_before_anything_is_sent(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench("fido2.0", pin=PIN)
    with bench.open() as opened:
        assert failing(opened.enrol, ()).code == "pin_required"
    assert bench.sent() == ["getInfo"]


def test_a_wrong_pin_costs_one_try_and_nothing_is_made(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.0", pin=PIN)
    with bench.open(pin="000000") as opened:
        assert opened.pin_verdict is None
        error = failing(opened.enrol, ())
        assert (error.code, error.details.tries_left, opened.pin_verdict) == ("pin_wrong", 7, False)
        assert failing(opened.enrol, ()).code == "pin_required"
        assert opened.pin_retries().left == 7
    assert "makeCredential" not in bench.sent()


def test_a_key_that_wants_its_pin_although_it_says_otherwise_gets_it_at_the_second_try(bench: Bench) -> None:
    with bench.open() as opened:
        assert not opened.enrolment_wants_pin
        bench.set("fault=1:0x36")
        error = failing(opened.enrol, ())
        assert (error.code, error.details.ctap_status) == ("pin_required", 0x36)
        assert opened.enrolment_wants_pin
        opened.use_pin(PIN)
        assert proves(opened.enrol(()), opened)
    assert "clientPin getPinUvAuthTokenUsingPinWithPermissions" in bench.sent()


@pytest.mark.parametrize("silent_without", [False, True])
def test_a_key_under_always_uv_is_enrolled_with_its_pin(bench: Bench, silent_without: bool) -> None:
    always_uv(bench)
    if silent_without:
        bench.set("quirk=silent-without-uv")
    with bench.open(pin=PIN) as opened:
        assert opened.enrolment_wants_pin
        made = opened.enrol(())
    with bench.open() as opened:
        if silent_without:
            assert proves(made, opened)
            return
        error = failing(opened.answering, OWN_RP_ID, [made.credential_id])
        assert isinstance(error, PinError)
        assert (error.code, error.details.ctap_status) == ("pin_required", 0x36)
        opened.use_pin(PIN)
        assert proves(made, opened, verified=True)
        assert opened.pin_verdict is True


# --- touches ---------------------------------------------------------------------------------------------------------


def test_enrolling_waits_for_the_touch_and_asks_for_it_once(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.set("touch=after:0.2")
    with bench.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        made = opened.enrol(())
        assert bench.touches == [("virtual:blue", 20)]
        assert opened.touched(OWN_RP_ID, made.credential_id).user_present
    assert len(bench.touches) == 2


@pytest.mark.parametrize("locked", [False, True])
def test_with_a_touch_it_signs_what_it_is_given(bench: Bench, locked: bool) -> None:
    if locked:
        always_uv(bench)
    with bench.open(pin=PIN) as opened:
        made = opened.enrol(())
        if locked:
            error = failing(opened.touched, OWN_RP_ID, made.credential_id, bytes(range(32)))
            assert (error.code, error.details.ctap_status) == ("pin_required", 0x36)
        found = opened.touched(OWN_RP_ID, made.credential_id, bytes(range(32)), verified=locked)
    assert (found.client_data_hash, found.user_verified) == (bytes(range(32)), locked)
    assert public_keys.verifies(made.public_key, found.auth_data + bytes(range(32)), found.signature)


@pytest.mark.parametrize(("touch", "code"), [("never", "no_touch"), ("refused", "touch_refused")])
def test_without_a_touch_nothing_is_made_or_signed(make_bench: Callable[..., Bench], touch: str, code: str) -> None:
    bench = make_bench()
    with bench.open() as opened:
        made = opened.enrol(())
    bench.set(f"touch={touch}")
    with bench.open(Waits(touch_s=0.2, plug_s=0, lock_s=0)) as opened:
        for error in (failing(opened.enrol, ()), failing(opened.touched, OWN_RP_ID, made.credential_id)):
            assert isinstance(error, TouchError)
            assert error.code == code


def test_a_credential_that_is_not_there_is_not_waited_for(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.set("touch=never")
    with bench.open() as opened:
        assert failing(opened.touched, RP, os.urandom(64)).code == "passkey_not_found"


# --- many credentials ------------------------------------------------------------------------------------------------


def others(count: int, length: int = 64) -> list[bytes]:
    return [os.urandom(length) for _ in range(count)]


def test_a_hundred_ids_are_asked_about_eight_at_a_time(make_bench: Callable[..., Bench]) -> None:
    """Eight ids of 64 bytes fit 1200."""
    bench = make_bench("fido2.1-pre")
    with bench.open() as opened:
        made = opened.enrol(())
        before = opened.commands_sent
        found = opened.answering(OWN_RP_ID, [*others(99), made.credential_id])
        assert found is not None
        assert found.credential_id == made.credential_id
        assert opened.commands_sent - before == 13
        before = opened.commands_sent
        assert opened.answering(OWN_RP_ID, [made.credential_id, *others(99)]) is not None
        assert opened.commands_sent - before == 1


def test_long_ids_are_split_by_the_size_of_the_message(make_bench: Callable[..., Bench]) -> None:
    """Four of 241 bytes fit 1200, and less than nine fit 2048."""
    bench = make_bench("fido2.1-pre")
    bench.set("quirk=long-ids")
    with bench.open() as opened:
        made = opened.enrol(())
        before = opened.commands_sent
        assert opened.answering(OWN_RP_ID, [*others(99, 241), made.credential_id]) is not None
        assert opened.commands_sent - before == 25


def test_ids_longer_than_the_key_makes_are_not_sent(make_bench: Callable[..., Bench]) -> None:
    with make_bench().open() as opened:
        assert opened.answering(OWN_RP_ID, [b"", *others(5, 129), *others(2, 5000)]) is None
        assert opened.commands_sent == 1


def test_without_a_limit_of_length_an_id_that_fits_no_message_is_not_sent(make_bench: Callable[..., Bench]) -> None:
    with make_bench("fido2.0").open() as opened:
        assert opened.answering(OWN_RP_ID, others(3, 1020)) is None
        assert opened.commands_sent == 4
        assert opened.answering(OWN_RP_ID * 60, others(3, 1020)) is None
        assert opened.commands_sent == 4


def test_an_id_given_twice_is_asked_about_once(make_bench: Callable[..., Bench]) -> None:
    with make_bench().open() as opened:
        made = opened.enrol(())
        found = opened.all_answering(OWN_RP_ID, [made.credential_id] * 3)
    assert len(found) == 1


@pytest.mark.parametrize("verified", [False, True])
def test_all_credentials_that_answer_are_found(bench: Bench, verified: bool) -> None:
    mine = [bench.register(RP, f"user {number}") for number in range(12)]
    elsewhere = bench.register("b.example")
    asked = [candidate for credential in mine for candidate in (*others(2), credential)] + [elsewhere]
    with bench.open(pin=PIN) as opened:
        found = opened.all_answering(RP, asked, verified=verified)
        sent = opened.commands_sent
    assert sorted(assertion.credential_id for assertion in found) == sorted(mine)
    assert all(assertion.user_verified is verified and not assertion.user_present for assertion in found)
    assert len({assertion.client_data_hash for assertion in found}) == len(mine)
    # getInfo, one for each hit, one for each eight that miss; and two for the token.
    assert sent <= 1 + 12 + 4 + 2 * verified


@pytest.mark.parametrize("protection", [1, 2, 3])
def test_a_credential_that_wants_the_user_answers_with_the_pin_only(bench: Bench, protection: int) -> None:
    credential = bench.register(RP, extensions={"credProtect": protection})
    with bench.open(pin=PIN) as opened:
        assert (opened.answering(RP, [credential]) is not None) is (protection < 3)
        assert opened.answering(RP, [credential], verified=True) is not None


def test_one_token_serves_all_messages(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        opened.all_answering(RP, others(40), verified=True)
    assert bench.sent().count("clientPin getPinUvAuthTokenUsingPinWithPermissions") == 1
    assert bench.sent().count("getAssertion (silent)") == 5


def test_a_token_that_serves_once_is_fetched_again(bench: Bench) -> None:
    credential = bench.register(RP)
    bench.set("quirk=token-once")
    with bench.open(pin=PIN) as opened:
        assert opened.answering(RP, [*others(20), credential], verified=True) is not None
        assert opened.pin_verdict is True
        assert opened.pin_retries().left == 8


def test_a_fresh_token_that_is_refused_is_told(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        bench.set("fault=3:0x33")
        assert failing(opened.answering, RP, others(1), verified=True).code == "token_refused"
    assert bench.sent().count("clientPin getPinUvAuthTokenUsingPinWithPermissions") == 1


def test_a_pin_that_became_wrong_is_not_sent_twice(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        # The second message finds the token gone, and the key another PIN.
        bench.set("fault=4:0x33", "fault=6:0x31")
        assert failing(opened.answering, RP, others(20), verified=True).code == "pin_wrong"
        assert opened.pin_verdict is False
        assert failing(opened.answering, RP, others(20), verified=True).code == "pin_required"


def test_a_key_without_a_pin_cannot_verify_anybody(make_bench: Callable[..., Bench]) -> None:
    with make_bench().open() as opened:
        assert failing(opened.answering, RP, others(1), verified=True).code == "pin_not_set"


def test_a_busy_key_is_asked_again_in_silence_only(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    with bench.open(Waits(touch_s=0, plug_s=0, lock_s=10)) as opened:
        made = opened.enrol(())
        bench.set("fault=1:busy", "fault=2:busy")
        assert proves(made, opened)
        for attempt in (lambda: opened.enrol(()), lambda: opened.touched(OWN_RP_ID, made.credential_id)):
            bench.set("fault=1:busy")
            assert failing(attempt).code == "key_busy"


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_key_that_was_recognised_is_named_in_all_messages(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.0", pin=PIN)
    bench.set("touch=never")
    with bench.open(Waits(touch_s=0.1, plug_s=0, lock_s=0)) as opened:
        opened.identify(replace(opened.key, name="Anna's {key}"))
        assert opened.key.name == "Anna's {key}"
        errors = [failing(opened.enrol, ()), failing(opened.list_passkeys), failing(opened.touched, RP, others(1)[0])]
        opened.use_pin("000000")
        errors.append(failing(opened.verify_pin))
        opened.use_pin(PIN)
        errors.append(failing(opened.enrol, ()))
        bench.set("fault=1:garbage")
        errors.append(failing(opened.answering, RP, others(1)))
        bench.set("fault=1:pulled")
        errors.append(failing(opened.answering, RP, others(1)))
    assert {error.key for error in errors} == {"Anna's {key}"}
    assert all("Anna's {key}" in error.message and "virtual:" not in error.message for error in errors)
    assert bench.touches == [("Anna's {key}", 0.1)]


# --- keys that lie ---------------------------------------------------------------------------------------------------

ID = bytes(range(64))
COSE = public_keys.es256(bytes(64))
SIGNATURE = bytes(70)


def data(
    rp_id: str = RP, flags: int = 0, counter: int = 7, rest: bytes = b"", rp_id_hash: bytes | None = None
) -> bytes:
    return (rp_id_hash or sha256(rp_id.encode()).digest()) + bytes([flags]) + counter.to_bytes(4, "big") + rest


def attested(credential_id: bytes = ID, public_key: bytes = COSE, length: int | None = None) -> bytes:
    size = len(credential_id) if length is None else length
    return bytes(16) + size.to_bytes(2, "big") + credential_id + public_key


def answer(**changes: Any) -> dict[int, Any]:
    """A good answer of getAssertion; a change to None leaves a field out."""
    fields = {"credential": {"id": ID, "type": "public-key"}, "data": data(), "signature": SIGNATURE} | changes
    return {number: value for number, value in zip((1, 2, 3), fields.values(), strict=True) if value is not None}


def lying(scripted: Any, info: bytes, say: Callable[[bytes], bytes]) -> Session:
    device = scripted(lambda request: info if request == b"\x04" else say(request))
    guard = GuardedDevice(device, "usb:x", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    return Session(Found(transport=Transport.USB, path="x"), guard)


def test_an_answer_as_it_should_be_is_believed(scripted: Any, minimal_info: bytes) -> None:
    opened = lying(scripted, minimal_info, lambda _: b"\0" + cbor.encode(answer()))
    found = opened.answering(RP, [ID])
    assert found is not None
    assert (found.credential_id, found.counter, found.user_present, found.user_verified) == (ID, 7, False, False)
    assert found.signed == data() + found.client_data_hash
    assert (found.auth_data, found.signature) == (data(), SIGNATURE)


def test_the_credential_may_be_left_out_when_one_was_asked_about(scripted: Any, minimal_info: bytes) -> None:
    opened = lying(scripted, minimal_info, lambda _: b"\0" + cbor.encode(answer(credential=None)))
    found = opened.answering(RP, [ID])
    assert found is not None
    assert found.credential_id == ID
    assert failing(opened.answering, RP, [ID, bytes(64)]).code == "key_nonsense"


@pytest.mark.parametrize(
    "wrong",
    [
        {"credential": {"id": bytes(64), "type": "public-key"}},
        {"credential": {"type": "public-key"}},
        {"credential": {"id": b""}},
        {"credential": {"id": [ID]}},
        {"credential": {"id": ID.hex()}},
        {"credential": ID},
        {"credential": 1},
        {"data": None},
        {"data": "text"},
        {"data": b""},
        {"data": data()[:-1]},
        {"data": data() + b"\0"},
        {"data": data(rp_id="b.example")},
        {"data": data(rp_id_hash=bytes(32))},
        {"data": data(flags=Flag.ED)},
        {"data": data(flags=Flag.ED, rest=b"\xa1\x61")},
        {"data": data(flags=Flag.ED, rest=b"\x80")},
        {"data": data(flags=Flag.AT)},
        {"data": data(flags=Flag.AT, rest=attested(length=1000))},
        {"data": data(rest=b"\xa1\x61a\xf5")},
        {"signature": None},
        {"signature": b""},
        {"signature": "x" * 70},
        {"signature": bytes(9000)},
    ],
)
def test_an_answer_that_makes_no_sense_is_not_believed(
    scripted: Any, minimal_info: bytes, wrong: dict[str, Any]
) -> None:
    opened = lying(scripted, minimal_info, lambda _: b"\0" + cbor.encode(answer(**wrong)))
    for ask in (opened.answering, opened.all_answering):
        error = failing(ask, RP, [ID])
        assert (error.code, error.key) == ("key_nonsense", "usb:x")
    assert failing(opened.touched, RP, ID).code == "key_nonsense"


def test_extensions_that_nobody_asked_for_are_overlooked(scripted: Any, minimal_info: bytes) -> None:
    told = answer(data=data(flags=Flag.ED | Flag.UV, rest=b"\xa1\x61a\xf5"))
    found = lying(scripted, minimal_info, lambda _: b"\0" + cbor.encode(told)).answering(RP, [ID])
    assert found is not None
    assert found.user_verified


def test_a_touch_that_the_key_does_not_confirm_is_none(scripted: Any, minimal_info: bytes) -> None:
    opened = lying(scripted, minimal_info, lambda _: b"\0" + cbor.encode(answer()))
    assert failing(opened.touched, RP, ID).code == "key_nonsense"


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\x80", b"\0\xa1", b"\0\xa0", b"\0\xff" * 40])
def test_no_answer_at_all_is_nonsense(scripted: Any, minimal_info: bytes, content: bytes) -> None:
    opened = lying(scripted, minimal_info, lambda _: content)
    for attempt in (lambda: opened.answering(RP, [ID]), lambda: opened.touched(RP, ID), lambda: opened.enrol(())):
        assert failing(attempt).code == "key_nonsense"


class Crowded:
    """A key that takes few ids at a time and has some; its getInfo says nothing of that."""

    def __init__(self, most: int, status: int, mine: Sequence[bytes] = ()) -> None:
        self.most = most
        self.status = status
        self.mine = mine
        self.commands = 0

    def __call__(self, request: bytes) -> bytes:
        self.commands += 1
        assert self.commands < 500
        ids = [entry["id"] for entry in cbor.decode(request[1:])[3]]  # type: ignore[index, call-overload]
        assert ids
        if len(ids) > self.most:
            return bytes([self.status])
        hit = next((credential_id for credential_id in ids if credential_id in self.mine), None)
        return b"\x2e" if hit is None else b"\0" + cbor.encode(answer(credential={"id": hit, "type": "public-key"}))


@pytest.mark.parametrize("status", [0x15, 0x39, 0x03])
@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_key_that_finds_a_message_too_large_gets_smaller_ones(
    scripted: Any, minimal_info: bytes, status: int, most: int
) -> None:
    mine = others(3)
    asked = [*others(20), mine[0], *others(20), mine[1], mine[2]]
    key = Crowded(most, status, mine)
    found = lying(scripted, minimal_info, key).all_answering(RP, asked)
    assert sorted(assertion.credential_id for assertion in found) == sorted(mine if most else [])


def test_an_id_that_the_key_takes_offence_at_hides_no_other(scripted: Any, minimal_info: bytes) -> None:
    bad, mine = others(2)

    def say(request: bytes) -> bytes:
        ids = [entry["id"] for entry in cbor.decode(request[1:])[3]]  # type: ignore[index, call-overload]
        if bad in ids:
            return b"\x22"
        hit = {"id": mine, "type": "public-key"}
        return b"\0" + cbor.encode(answer(credential=hit)) if mine in ids else b"\x2e"

    opened = lying(scripted, minimal_info, say)
    found = opened.answering(RP, [*others(3), bad, *others(3), mine])
    assert found is not None
    assert found.credential_id == mine


def test_a_key_that_says_yes_to_everything_comes_to_an_end(scripted: Any, minimal_info: bytes) -> None:
    asked = others(40)
    key = Crowded(100, 0, asked)
    assert len(lying(scripted, minimal_info, key).all_answering(RP, asked)) == 40
    assert key.commands == 40


def test_what_a_key_says_of_its_messages_is_not_believed_beyond_the_frames(scripted: Any) -> None:
    info = b"\0" + cbor.encode({1: ["FIDO_2_0"], 3: bytes(16), 5: 2**32 - 1})
    sizes: list[int] = []

    def say(request: bytes) -> bytes:
        sizes.append(len(request))
        return b"\x2e"

    assert lying(scripted, info, say).answering(RP, others(300)) is None
    assert max(sizes) <= 7609
    assert len(sizes) == 4


@pytest.mark.parametrize(("status", "code"), [(0x36, "pin_required"), (0x2C, "unsupported"), (0x27, "touch_refused")])
def test_other_failures_are_no_misses(scripted: Any, minimal_info: bytes, status: int, code: str) -> None:
    error = failing(lying(scripted, minimal_info, lambda _: bytes([status])).answering, RP, [ID])
    assert (error.code, error.details.ctap_status) == (code, status)


def made(rest: bytes, *, flags: int = Flag.UP | Flag.AT, rp_id: str = OWN_RP_ID) -> bytes:
    return b"\0" + cbor.encode({1: "none", 2: data(rp_id, flags, rest=rest), 3: {}})


@pytest.mark.parametrize(
    "content",
    [
        made(b"", flags=Flag.UP),
        made(b""),
        made(attested()[:-1]),
        made(attested() + b"\0"),
        made(attested(credential_id=b"")),
        made(attested(credential_id=bytes(1024))),
        made(attested(length=63)),
        made(attested(length=2**16 - 1)),
        made(attested(public_key=b"")),
        made(attested(public_key=b"\xa0")),
        made(attested(public_key=b"\x01")),
        made(attested(public_key=cbor.encode({1: 2, 3: -35, -1: 2, -2: bytes(48), -3: bytes(48)}))),
        made(attested(public_key=cbor.encode({1: 2, 3: -7, -1: 1, -2: bytes(31), -3: bytes(32)}))),
        made(attested(), rp_id="b.example"),
        b"\0" + cbor.encode({1: "none", 3: {}}),
        b"\0" + cbor.encode({1: "none", 2: [1], 3: {}}),
    ],
)
def test_a_credential_that_makes_no_sense_is_not_believed(scripted: Any, minimal_info: bytes, content: bytes) -> None:
    assert failing(lying(scripted, minimal_info, lambda _: content).enrol, ()).code == "key_nonsense"


@pytest.mark.parametrize("silent", [b"\x2e", b"\0" + cbor.encode(answer(data=data(OWN_RP_ID)))])
def test_a_credential_that_does_not_answer_or_verify_is_not_taken(
    scripted: Any, minimal_info: bytes, silent: bytes
) -> None:
    opened = lying(scripted, minimal_info, lambda request: made(attested()) if request[0] == 1 else silent)
    error = failing(opened.enrol, ())
    assert error.code == "key_nonsense"
    assert "it just made" in error.message


def test_options_that_the_key_does_not_tell_are_not_sent(scripted: Any, minimal_info: bytes) -> None:
    requests: list[bytes] = []
    opened = lying(scripted, minimal_info, lambda request: (requests.append(request), b"\x2e")[1])
    failing(opened.enrol, ())
    (request,) = requests
    assert request[0] == 1
    parameters = cbor.decode(request[1:])
    assert isinstance(parameters, dict)
    assert 7 not in parameters
    assert parameters[2] == {"id": OWN_RP_ID, "name": "keyctl"}
    assert [entry["alg"] for entry in parameters[4]] == [-7, -8]
