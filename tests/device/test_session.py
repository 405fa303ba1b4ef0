"""A session with a virtual key: what works, what it costs, and every wrong turn."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap2 import ClientPin, Ctap2

from keyctl.device import connecting
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import NotFoundError, PinError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import Access, Transport, Waits
from keyctl.virtual.device import VirtualDevice
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"


def test_opening_costs_one_getinfo(bench: Bench) -> None:
    with bench.open() as opened:
        assert opened.info.pin_set
        assert opened.commands_sent == 1
        assert opened.bytes_sent == 1
        assert opened.bytes_received > 100
    assert bench.sent() == ["getInfo"]


def test_the_key_says_what_it_is(bench: Bench) -> None:
    with bench.open() as opened:
        key = opened.key
    assert (key.selector, key.transport, key.path, key.paths) == ("virtual:blue", Transport.VIRTUAL, "blue", ("blue",))
    assert (key.connected, key.access, key.virtual) == (True, Access.OK, True)
    assert key.aaguid == "ff9f7494-6a6f-43fe-b123-4f6c8d6e98ba"


def test_an_aaguid_of_zeros_is_none(bench: Bench) -> None:
    bench.set("quirk=aaguid-zero")
    with bench.open() as opened:
        assert opened.key.aaguid is None
        assert opened.key.virtual


def test_the_right_pin_costs_nothing(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        opened.verify_pin()
        assert opened.pin_retries().left == 8


def test_remembering_a_pin_sends_nothing(bench: Bench) -> None:
    with bench.open() as opened:
        opened.use_pin("wrong!")
        assert opened.commands_sent == 1
        assert opened.pin_retries().left == 8


def test_a_wrong_pin_costs_one_try_and_says_how_many_are_left(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        error = failing(opened.verify_pin)
        assert (error.code, error.details.tries_left, error.details.ctap_status) == ("pin_wrong", 7, 0x31)
        assert error.message == "wrong PIN for virtual:blue (7 tries left)"
        assert error.key == "virtual:blue"
        assert opened.pin_retries().left == 7


def test_a_wrong_pin_is_never_sent_again_by_itself(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        failing(opened.verify_pin)
        for attempt in (opened.verify_pin, opened.list_passkeys):
            assert failing(attempt).code == "pin_required"
        assert opened.pin_retries().left == 7


def test_the_third_wrong_pin_in_a_row_asks_for_a_power_cycle(bench: Bench) -> None:
    with bench.open() as opened:
        codes = []
        for _ in range(4):
            opened.use_pin("000000")
            codes.append(failing(opened.verify_pin))
        assert [error.code for error in codes] == ["pin_wrong", "pin_wrong", "pin_auth_blocked", "pin_auth_blocked"]
        assert codes[-1].details.power_cycle_needed is True
        retries = opened.pin_retries()
        assert (retries.left, retries.power_cycle_needed) == (5, True)


def test_a_blocked_pin_is_told_from_a_wrong_one(bench: Bench) -> None:
    codes = []
    for _ in range(3):
        with bench.open() as opened:
            for _ in range(3):
                opened.use_pin("000000")
                codes.append(failing(opened.verify_pin).code)
        bench.replug()
    assert codes[-1] == "pin_blocked"


def test_the_pin_is_forgotten_when_the_session_ends(bench: Bench) -> None:
    opened = bench.open(pin=PIN)
    opened.close()
    assert PIN not in repr(vars(opened))


def test_nothing_that_is_printed_holds_the_pin(bench: Bench) -> None:
    with bench.open(pin="S3cr3tPin") as opened:
        error = failing(opened.verify_pin)
    texts = [*bench.trace, str(error), repr(error), error.hint or "", repr(opened), repr(opened.key), repr(opened.info)]
    assert not any("S3cr3tPin" in text for text in texts)


def test_a_first_pin_is_set_and_used_on(make_bench: Callable[..., Bench]) -> None:
    with make_bench().open() as opened:
        assert not opened.info.pin_set
        assert failing(opened.verify_pin).code == "pin_not_set"
        opened.set_pin(PIN)
        assert opened.info.pin_set
        opened.verify_pin()
        assert failing(opened.set_pin, "654321").code == "pin_already_set"


def test_a_new_pin_that_the_key_does_not_allow_is_told_as_such(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    with bench.open() as opened:
        bench.set("fault=2:0x37")
        assert failing(opened.set_pin, "1234").code == "pin_policy"
        assert not opened.info.pin_set


def test_changing_the_pin_needs_the_current_one(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        error = failing(opened.change_pin, "654321")
        assert (error.code, error.details.tries_left) == ("pin_wrong", 7)
        opened.use_pin(PIN)
        opened.change_pin("654321")
        opened.verify_pin()
    with bench.open(pin="654321") as opened:
        opened.verify_pin()


def test_a_token_has_the_least_permission(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        opened.verify_pin()
    assert bench.sent()[-2:] == ["clientPin getKeyAgreement", "clientPin getPinUvAuthTokenUsingPinWithPermissions"]


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre"])
def test_keys_without_permissions_get_the_old_command(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile, pin=PIN)
    with bench.open(pin=PIN) as opened:
        opened.verify_pin()
        assert opened.pin_retries().left == 8
    assert "clientPin getPinToken" in bench.sent()


def test_a_key_that_cannot_list_says_so_before_a_pin_is_spent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.0", pin=PIN)
    with bench.open(pin="000000") as opened:
        assert failing(opened.list_passkeys).code == "unsupported"
        assert failing(opened.delete_passkey, b"x").code == "unsupported"
        assert opened.pin_retries().left == 8


def test_an_empty_key_has_an_empty_and_complete_list(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
    assert (listing.passkeys, listing.complete, listing.count.used) == ((), True, 0)


def test_an_empty_map_is_an_empty_list(bench: Bench) -> None:
    bench.set("quirk=empty-rps-map")
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
    assert (listing.passkeys, listing.complete) == ((), True)


@pytest.mark.parametrize("profile", ["full", "fido2.1-pre"])
def test_all_passkeys_are_listed_within_the_budget(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile, pin=PIN)
    made = {bench.register(rp, user) for rp, user in [("a.example", "x"), ("a.example", "y"), ("b.example", "x")]}
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
        assert opened.commands_sent <= 2 + 3 + 8
    assert {passkey.credential_id for passkey in listing.passkeys} == made
    assert listing.complete
    assert listing.count.used == 3
    assert {passkey.user_name for passkey in listing.passkeys} == {"x", "y"}
    assert all(passkey.rp_id_exact and passkey.algorithm == -7 for passkey in listing.passkeys)
    tokens = [name for name in bench.sent() if "Token" in name]
    assert len(tokens) == 1


def test_the_passkeys_of_one_site_are_read_alone(bench: Bench) -> None:
    bench.register("a.example")
    wanted = bench.register("b.example")
    with bench.open(pin=PIN) as opened:
        (passkey,) = opened.read_passkeys_of(sha256(b"b.example").digest(), "b.example")
        assert passkey.credential_id == wanted
        assert passkey.rp_id_exact
        assert opened.read_passkeys_of(sha256(b"b.example").digest())[0].rp_id is None
        assert opened.read_passkeys_of(sha256(b"c.example").digest()) == ()


def test_a_deleted_passkey_is_gone_and_the_others_stay(bench: Bench) -> None:
    gone, kept = bench.register("a.example"), bench.register("b.example")
    with bench.open(pin=PIN) as opened:
        opened.delete_passkey(gone)
        assert [passkey.credential_id for passkey in opened.list_passkeys().passkeys] == [kept]
        assert isinstance(failing(opened.delete_passkey, gone), NotFoundError)


def test_a_new_name_leaves_the_other_one_as_it_was_given(bench: Bench) -> None:
    bench.register("a.example")
    with bench.open(pin=PIN) as opened:
        (passkey,) = opened.list_passkeys().passkeys
        opened.rename_passkey(passkey, user_name="bob", display_name=passkey.display_name)
        (renamed,) = opened.list_passkeys().passkeys
        assert (renamed.user_name, renamed.display_name) == ("bob", passkey.display_name)
        opened.rename_passkey(renamed, user_name="", display_name=None)
        (nameless,) = opened.list_passkeys().passkeys
        assert (nameless.user_name, nameless.display_name) == (None, None)
        assert nameless.user_id == passkey.user_id


def test_every_step_that_changes_something_has_a_token_of_its_own(bench: Bench) -> None:
    bench.set("quirk=token-once")
    first, second = bench.register("a.example"), bench.register("b.example")
    with bench.open(pin=PIN) as opened:
        opened.delete_passkey(first)
        opened.delete_passkey(second)
    bench.set("quirk=none")
    with bench.open(pin=PIN) as opened:
        assert opened.list_passkeys().passkeys == ()
        assert opened.pin_retries().left == 8


def test_a_preview_key_does_not_rename(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("fido2.1-pre", pin=PIN)
    bench.register("a.example")
    with bench.open(pin=PIN) as opened:
        (passkey,) = opened.list_passkeys().passkeys
        assert failing(opened.rename_passkey, passkey, user_name="b", display_name=None).code == "unsupported"
        opened.delete_passkey(passkey.credential_id)


def test_a_key_without_updates_says_so(bench: Bench) -> None:
    bench.set("quirk=no-update")
    bench.register("a.example")
    with bench.open(pin=PIN) as opened:
        (passkey,) = opened.list_passkeys().passkeys
        error = failing(opened.rename_passkey, passkey, user_name="b", display_name=None)
    assert isinstance(error, UnsupportedError)


LONG = "a-site-with-a-name-that-does-not-fit-into-thirty-two-bytes.example"


@pytest.mark.parametrize("quirk", ["rp-id-tail", "rp-id-head", "rp-id-48"])
def test_a_site_whose_name_was_cut_is_listed_and_marked(bench: Bench, quirk: str) -> None:
    bench.set(f"quirk={quirk}")
    bench.register(LONG)
    with bench.open(pin=PIN) as opened:
        (passkey,) = opened.list_passkeys().passkeys
    assert passkey.rp_id != LONG
    assert not passkey.rp_id_exact
    assert passkey.rp_id_hash == sha256(LONG.encode()).digest()


@pytest.mark.parametrize(
    "quirk",
    [
        "rp-name-is-user",
        "metadata-error",
        "name-key-missing",
        "name-key-empty",
        "remaining-wrong",
        "remaining-absent",
        "map-order",
        "legacy-token",
        "no-protection-in-list",
        "no-touch",
        "up-flag-always",
        "counter-random",
    ],
)
def test_harmless_quirks_do_not_change_the_list(bench: Bench, quirk: str) -> None:
    bench.set(f"quirk={quirk}")
    made = [bench.register("a.example", None), bench.register("b.example")]
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
    assert sorted(passkey.credential_id for passkey in listing.passkeys) == sorted(made)
    assert listing.complete
    assert {passkey.user_name for passkey in listing.passkeys} == {None, "alice"}


def test_a_passkey_that_cannot_be_decoded_does_not_hide_the_others(bench: Bench) -> None:
    made = [bench.register("a.example", user) for user in ("x", "y", "z")] + [bench.register("b.example")]
    bench.set("quirk=broken-algorithm")
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
    read = {passkey.credential_id for passkey in listing.passkeys}
    assert read == set(made[1:])
    assert not listing.complete


@pytest.mark.parametrize("quirk", ["rps-break-off", "creds-break-off"])
def test_a_list_that_breaks_off_is_shown_as_incomplete(bench: Bench, quirk: str) -> None:
    for user in ("x", "y", "z"):
        bench.register("a.example", user)
    bench.register("b.example")
    bench.register("c.example")
    bench.set(f"quirk={quirk}")
    with bench.open(pin=PIN) as opened:
        listing = opened.list_passkeys()
    assert 0 < len(listing.passkeys) < 5
    assert not listing.complete


def test_a_key_pulled_while_listing_is_an_error_and_no_short_list(bench: Bench) -> None:
    bench.register("a.example")
    with bench.open(pin=PIN) as opened:
        bench.set("fault=4:pulled")
        assert failing(opened.list_passkeys).code == "key_removed"


def test_a_key_that_answers_garbage_is_reported(bench: Bench) -> None:
    with bench.open(pin=PIN) as opened:
        bench.set("fault=1:garbage")
        assert failing(opened.pin_retries).code == "key_nonsense"


def test_a_key_that_refuses_its_token_is_reported(bench: Bench) -> None:
    bench.register("a.example")
    with bench.open(pin=PIN) as opened:
        # Key agreement, token, metadata, and then the first of the list.
        bench.set("fault=4:0x33")
        assert failing(opened.list_passkeys).code == "token_refused"


def test_a_busy_key_is_asked_again_for_what_only_reads(bench: Bench) -> None:
    with bench.open(Waits(touch_s=0, plug_s=0, lock_s=5), pin=PIN) as opened:
        bench.set("fault=1:busy")
        assert opened.pin_retries().left == 8


def test_a_busy_key_gets_no_second_pin(bench: Bench) -> None:
    with bench.open(Waits(touch_s=0, plug_s=0, lock_s=5), pin=PIN) as opened:
        bench.set("fault=2:busy")
        assert failing(opened.verify_pin).code == "key_busy"
        assert bench.sent().count("clientPin getPinUvAuthTokenUsingPinWithPermissions") == 1


def test_a_failing_retry_counter_does_not_hide_the_wrong_pin(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        bench.set("fault=3:garbage")
        error = failing(opened.verify_pin)
    assert (error.code, error.details.tries_left) == ("pin_wrong", None)


def test_a_reset_empties_the_key(bench: Bench) -> None:
    bench.register("a.example")
    bench.replug()
    with bench.open(pin=PIN) as opened:
        opened.reset()
        assert not opened.info.pin_set
        assert failing(opened.list_passkeys).code == "pin_not_set"
    with bench.open() as opened:
        assert not opened.info.pin_set


def test_a_reset_that_comes_too_late_says_how(bench: Bench) -> None:
    with bench.open() as opened:
        bench.set("fault=1:0x30")
        error = failing(opened.reset)
    assert error.code == "reset_not_now"
    assert "plug it in again" in (error.hint or "")


def test_without_a_touch_nothing_is_reset(bench: Bench) -> None:
    bench.replug()
    bench.set("touch=never")
    with bench.open() as opened:
        assert isinstance(failing(opened.reset), TouchError)
        assert opened.info.pin_set
    assert bench.touches == []


def test_a_touch_is_announced_with_the_key_and_the_time(bench: Bench) -> None:
    bench.replug()
    bench.set("touch=after:0.05")
    with bench.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        opened.reset()
    assert bench.touches == [("virtual:blue", 20)]


def test_a_refused_touch_is_told_from_a_missing_one(bench: Bench) -> None:
    bench.replug()
    bench.set("touch=refused")
    with bench.open(Waits(touch_s=20, plug_s=0, lock_s=0)) as opened:
        assert failing(opened.reset).code == "touch_refused"


def test_uv_tries_are_none_where_there_is_no_reader_for_fingers(bench: Bench) -> None:
    with bench.open() as opened:
        assert opened.uv_retries() is None


@pytest.mark.parametrize("profile", ["full", "small"])
def test_probing_reads_and_closes(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile)
    key, error = connecting.probe(bench.found(), bench.home, Waits(touch_s=0, plug_s=0, lock_s=0))
    assert error is None
    assert (key.access, key.selector) == (Access.OK, "virtual:blue")


def test_probing_a_pulled_key_is_an_error_and_no_exception(bench: Bench) -> None:
    found = bench.found()
    bench.set("fault=1:pulled")
    key, error = connecting.probe(found, bench.home, Waits(touch_s=0, plug_s=0, lock_s=0))
    assert error is not None
    assert (error.code, key.access, key.selector) == ("key_removed", None, "virtual:blue")


def test_probing_a_busy_key_says_busy(bench: Bench) -> None:
    found = bench.found()
    bench.set("fault=1:busy")
    key, error = connecting.probe(found, bench.home, Waits(touch_s=0, plug_s=0, lock_s=0))
    assert error is not None
    assert (error.code, key.access) == ("key_busy", Access.BUSY)


def test_a_denied_key_is_not_even_opened(home: Any) -> None:
    found = Found(transport=Transport.USB, path="/nonexistent/hidraw0", product="X", access=Access.DENIED)
    key, error = connecting.probe(found, home, Waits(touch_s=0, plug_s=0, lock_s=0))
    assert error is not None
    assert (error.code, key.access, key.product) == ("access_denied", Access.DENIED, "X")


def test_a_node_that_is_gone_is_a_removed_key(home: Any) -> None:
    found = Found(transport=Transport.USB, path="/nonexistent/hidraw0")
    assert failing(connecting.connect, found, home, Waits(touch_s=0, plug_s=0, lock_s=0), print).code == "key_removed"


def test_an_unplugged_virtual_key_is_a_removed_key(bench: Bench) -> None:
    found = bench.found()
    bench.set("fault=1:pulled")
    failing(bench.open)
    assert (
        failing(connecting.connect, found, bench.home, Waits(touch_s=0, plug_s=0, lock_s=0), print).code
        == "key_removed"
    )


def scripted_session(device: Any, **found: Any) -> Session:
    guard = GuardedDevice(device, "usb:x", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    usual: dict[str, Any] = {"transport": Transport.USB, "path": "x"}
    return Session(Found(**(usual | found)), guard, found.get("version"))


def test_a_u2f_key_is_known_as_one_and_can_do_nothing_else(scripted: Any) -> None:
    key = scripted(lambda _: b"", capabilities=0)
    opened = scripted_session(key)
    assert opened.info.versions == ("U2F_V2",)
    assert key.requests == []
    for attempt in (opened.reset, opened.pin_retries, opened.list_passkeys, opened.verify_pin):
        assert failing(attempt).code == "unsupported"


def test_a_key_on_usb_that_can_blink_does(scripted: Any, minimal_info: bytes) -> None:
    key = scripted(lambda data: minimal_info if data else b"", capabilities=0x05)
    scripted_session(key).wink()
    assert key.requests == [b"\x04", b""]


@pytest.mark.parametrize(
    ("capabilities", "transport"), [(0x04, Transport.USB), (0x05, Transport.NFC), (0x05, Transport.VIRTUAL)]
)
def test_a_key_that_cannot_blink_is_not_asked_to(
    scripted: Any, minimal_info: bytes, capabilities: int, transport: Transport
) -> None:
    key = scripted(lambda _: minimal_info, capabilities=capabilities)
    error = failing(scripted_session(key, transport=transport).wink)
    assert error.code == "unsupported"
    assert "on USB" in (error.hint or "")
    assert key.requests == [b"\x04"]


def info_of(**fields: Any) -> bytes:
    numbers = {"firmware": 0x0E, "aaguid": 3}
    return b"\0" + cbor.encode(
        {1: ["FIDO_2_0"], 3: bytes(16)} | {numbers[name]: value for name, value in fields.items()}
    )


def test_the_firmware_of_a_yubikey_is_a_dotted_version(scripted: Any) -> None:
    packed = info_of(firmware=0x050403)
    assert scripted_session(scripted(lambda _: packed), vendor_id=0x1050).key.firmware == "5.4.3"
    yubikey = info_of(firmware=0x050701, aaguid=bytes.fromhex("2fc0579f811347eab116bb5a8db9202a"))
    assert scripted_session(scripted(lambda _: yubikey)).key.firmware == "5.7.1"


def test_the_firmware_of_other_keys_is_only_a_number(scripted: Any) -> None:
    packed = info_of(firmware=0x050403)
    assert scripted_session(scripted(lambda _: packed)).key.firmware == str(0x050403)


def test_the_serial_number_of_a_yubikey_is_asked_for(scripted: Any) -> None:
    def answer(data: bytes) -> bytes:
        return info_of() if data == b"\x04" else bytes.fromhex("06020400bc614e")

    assert scripted_session(scripted(answer), vendor_id=0x1050, serial="told").key.serial == "12345678"
    assert scripted_session(scripted(answer), serial="told").key.serial == "told"


def test_a_yubikey_that_does_not_tell_its_serial_number_is_no_error(scripted: Any) -> None:
    opened = scripted_session(scripted(lambda data: info_of() if data == b"\x04" else b""), vendor_id=0x1050)
    assert opened.key.serial is None


def test_an_answer_that_makes_no_sense_ends_the_connection(scripted: Any, minimal_info: bytes) -> None:
    assert failing(scripted_session, scripted(lambda _: minimal_info[:-1])).code == "key_nonsense"


def test_a_key_that_wants_a_new_pin_gets_no_other_command(scripted: Any) -> None:
    info = b"\0" + cbor.encode(
        {
            1: ["FIDO_2_1"],
            3: bytes(16),
            4: {"clientPin": True, "credMgmt": True, "pinUvAuthToken": True},
            6: [2],
            12: True,
        }
    )
    key = scripted(lambda _: info)
    opened = scripted_session(key)
    opened.use_pin(PIN)
    assert failing(opened.verify_pin).code == "pin_policy"
    assert failing(opened.list_passkeys).code == "pin_policy"
    assert len(key.requests) == 1


@pytest.mark.parametrize(
    "agreement",
    [
        b"",
        cbor.encode({}),
        cbor.encode({1: 5}),
        cbor.encode({1: {-2: b"x", -3: b"y"}}),
        cbor.encode({1: {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: bytes(32)}}),
    ],
)
def test_a_key_agreement_that_makes_no_sense_costs_no_pin(scripted: Any, agreement: bytes) -> None:
    info = cbor.encode({1: ["FIDO_2_0"], 3: bytes(16), 4: {"clientPin": True}, 6: [1]})
    key = scripted(lambda data: b"\0" + (info if data == b"\x04" else agreement))
    opened = scripted_session(key)
    opened.use_pin(PIN)
    assert failing(opened.verify_pin).code == "key_nonsense"
    assert len(key.requests) == 2


def test_the_session_agrees_with_python_fido2_about_the_key(bench: Bench) -> None:
    with VirtualDevice(bench.folder, bench.name) as device:
        theirs = Ctap2(device).info
        assert ClientPin.is_supported(theirs)
    with bench.open() as opened:
        ours = opened.info
    assert list(ours.versions) == theirs.versions
    assert dict(ours.options) == theirs.options
    assert ours.limits.max_message_size == theirs.max_msg_size
    assert ours.remaining_passkeys == theirs.remaining_disc_creds


def test_errors_of_the_tree_are_what_callers_see(bench: Bench) -> None:
    with bench.open(pin="000000") as opened:
        assert isinstance(failing(opened.verify_pin), PinError)
        bench.set("fault=1:0x7f")
        assert isinstance(failing(opened.pin_retries), UnreachableError)
