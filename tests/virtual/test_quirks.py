"""Every quirk, by the bytes or the behaviour that it is about."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Config, CredentialManagement, Ctap2, LargeBlobs
from fido2.webauthn import AuthenticatorData

from keyctl.virtual.quirks import Quirk

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
RESULT = CredentialManagement.RESULT
LONG_RP = "accounts." + "very-" * 8 + "long.example"
CLIENT_DATA_HASH = bytes(range(32))


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


def digest(rp_id: str) -> bytes:
    return sha256(rp_id.encode()).digest()


@pytest.fixture
def quirky(bench):
    """A key with a PIN, and a function that sets quirks."""
    bench.set_pin()
    bench.quirk = lambda *quirks: bench.set("quirk=none", *(f"quirk={quirk}" for quirk in quirks))
    return bench


def listed_user(bench, rp_id: str = "example.com"):
    return bench.management().enumerate_creds(digest(rp_id))[0][RESULT.USER]


@pytest.mark.parametrize(
    ("quirk", "told"),
    [
        (Quirk.RP_ID_TAIL, "…" + LONG_RP[-29:]),
        (Quirk.RP_ID_HEAD, LONG_RP[:32]),
        (Quirk.RP_ID_48, LONG_RP[:48]),
    ],
)
def test_long_rp_ids_are_cut(quirky, quirk, told):
    quirky.make(LONG_RP)
    quirky.quirk(quirk)
    (rp,) = quirky.management().enumerate_rps()
    assert rp[RESULT.RP]["id"] == told
    assert len(told.encode()) in {32, 48}
    assert rp[RESULT.RP_ID_HASH] == digest(LONG_RP)
    quirky.make("short.example")
    assert quirky.management().enumerate_rps()[1][RESULT.RP]["id"] == "short.example"


def test_the_users_name_in_place_of_the_rps(quirky):
    quirky.make()
    quirky.quirk(Quirk.RP_NAME_IS_USER)
    assert quirky.management().enumerate_rps()[0][RESULT.RP] == {"id": "example.com", "name": "alice"}


def test_an_empty_key_breaks_python_fido2s_listing(quirky):
    quirky.quirk(Quirk.EMPTY_RPS_MAP)
    management = quirky.management()
    assert management.enumerate_rps_begin() == {}
    with pytest.raises(KeyError):
        management.enumerate_rps()


def test_metadata_fails(quirky):
    quirky.quirk(Quirk.METADATA_ERROR)
    with refused(ERR.OTHER):
        quirky.management().get_metadata()


def test_a_broken_public_key_breaks_the_decoder_and_no_other_passkey(quirky):
    """All three ways to break it come up; which one is chance."""
    seen = set()
    for number in range(40):
        quirky.make("first.example", user_id=b"u%d" % number)
        quirky.make("second.example")
        quirky.quirk(Quirk.BROKEN_ALGORITHM)
        management = quirky.management()
        with pytest.raises((IndexError, KeyError, ValueError)) as caught:
            management.enumerate_creds(digest("first.example"))
        assert not isinstance(caught.value, CtapError)
        seen.add(caught.type)
        assert len(management.enumerate_creds(digest("second.example"))) == 1
        quirky.device.power_cycle()
        quirky.ctap.reset()
        quirky.quirk()
        quirky.set_pin()
        if seen == {IndexError, KeyError, UnicodeDecodeError}:
            return
    pytest.fail(f"only {seen} came up")


def test_the_rest_of_a_list_comes_after_a_broken_public_key(quirky):
    for number in range(3):
        quirky.make(user_id=b"u%d" % number)
    quirky.quirk(Quirk.BROKEN_ALGORITHM)
    management = quirky.management()
    with pytest.raises((IndexError, KeyError, ValueError)):
        management.enumerate_creds_begin(digest("example.com"))
    rest = [management.enumerate_creds_next() for _ in range(2)]
    assert [one[RESULT.USER]["id"] for one in rest] == [b"u1", b"u2"]
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_creds_next()


def test_the_list_of_rps_breaks_off_half_way(quirky):
    for number in range(5):
        quirky.make(f"{number}.example")
    quirky.quirk(Quirk.RPS_BREAK_OFF)
    management = quirky.management()
    assert management.enumerate_rps_begin()[RESULT.TOTAL_RPS] == 5
    management.enumerate_rps_next()
    management.enumerate_rps_next()
    with refused(ERR.OTHER):
        management.enumerate_rps_next()
    assert len(management.enumerate_creds(digest("4.example"))) == 1


def test_the_list_of_passkeys_breaks_off_half_way(quirky):
    for number in range(2):
        quirky.make(user_id=b"u%d" % number)
    quirky.quirk(Quirk.CREDS_BREAK_OFF)
    management = quirky.management()
    assert len(management.enumerate_rps()) == 1
    assert management.enumerate_creds_begin(digest("example.com"))[RESULT.TOTAL_CREDENTIALS] == 2
    with refused(ERR.OTHER):
        management.enumerate_creds_next()


def test_dead_after_reset_until_powered_up(quirky):
    quirky.quirk(Quirk.DEAD_AFTER_RESET)
    quirky.ctap.reset()
    for message in (b"\x04", b"\x0b", b"\x01\xa0"):
        assert quirky.device.call(0x10, message) == bytes([ERR.OTHER])
    quirky.device.power_cycle()
    assert Ctap2(quirky.device).info.options["clientPin"] is False


@pytest.mark.parametrize(
    ("quirk", "name", "kept"),
    [
        (Quirk.LONG_NAME_63, "ä" * 40, "ä" * 31),
        (Quirk.LONG_NAME_63, "x" * 64, "x" * 64),
        (Quirk.LONG_NAME_64, "x" * 70, "x" * 64),
        (Quirk.LONG_NAME_DROPPED, "x" * 65, None),
        (Quirk.LONG_NAME_DROPPED, "x" * 64, "x" * 64),
    ],
)
def test_long_user_names(quirky, quirk, name, kept):
    quirky.quirk(quirk)
    quirky.make(user={"name": name})
    assert listed_user(quirky).get("name") == kept


def test_a_long_user_name_is_refused(quirky):
    quirky.quirk(Quirk.LONG_NAME_REFUSED)
    with refused(ERR.INVALID_LENGTH):
        quirky.make(user={"name": "x" * 65})
    quirky.make(user={"name": "x" * 64})


def test_a_name_cut_inside_a_character_is_sent_as_it_is(quirky):
    quirky.quirk(Quirk.LONG_NAME_64)
    quirky.make(user={"name": "x" + "ä" * 40})
    quirky.open()  # from the file
    with pytest.raises(UnicodeDecodeError):
        listed_user(quirky)


def test_an_empty_name_has_no_key(quirky):
    quirky.make(user={"name": ""})
    assert listed_user(quirky)["name"] == ""
    quirky.quirk(Quirk.NAME_KEY_MISSING)
    assert "name" not in listed_user(quirky)


def test_a_missing_name_is_empty(quirky):
    quirky.make(user={"name": None})
    assert "name" not in listed_user(quirky)
    quirky.quirk(Quirk.NAME_KEY_EMPTY)
    assert listed_user(quirky)["name"] == ""


def test_a_token_is_good_for_one_use(quirky):
    quirky.quirk(Quirk.TOKEN_ONCE)
    management = quirky.management()
    management.get_metadata()
    with refused(ERR.PIN_AUTH_INVALID):
        management.get_metadata()
    assert quirky.make().auth_data.is_user_verified()


def test_wrong_pins_count_on_while_blocked(quirky):
    for quirk, left in ((None, 5), (Quirk.COUNTS_WHILE_BLOCKED, 3)):
        quirky.device.power_cycle()
        quirky.quirk(*([quirk] if quirk else []))
        if quirk is None:
            for _ in range(3):
                with pytest.raises(CtapError):
                    quirky.pin.get_pin_token("wrong PIN", 4)
        else:
            with refused(ERR.PIN_INVALID):
                quirky.pin.get_pin_token("wrong PIN", 4)
            assert quirky.token()
            for _ in range(5):
                with pytest.raises(CtapError):
                    quirky.pin.get_pin_token("wrong PIN", 4)
        assert quirky.pin.get_pin_retries() == (left, True)


def test_the_counter_grows_by_random_steps(quirky):
    quirky.quirk(Quirk.COUNTER_RANDOM)
    quirky.make()
    counters = [quirky.get().auth_data.counter for _ in range(12)]
    assert counters == sorted(counters)
    assert len({after - before for before, after in pairwise(counters)}) > 1


def test_the_counter_starts_at_zero(quirky):
    quirky.quirk(Quirk.COUNTER_FROM_ZERO)
    assert [quirky.make().auth_data.counter, quirky.get().auth_data.counter] == [0, 1]


def test_remaining_is_wrong_or_absent(quirky):
    quirky.make()
    quirky.quirk(Quirk.REMAINING_WRONG)
    assert quirky.ctap.get_info().remaining_disc_creds == 128
    quirky.quirk(Quirk.REMAINING_ABSENT)
    assert quirky.ctap.get_info().remaining_disc_creds is None


def test_the_aaguid_is_zero_and_the_certificate_agrees(quirky):
    quirky.quirk(Quirk.AAGUID_ZERO)
    assert quirky.ctap.get_info().aaguid == bytes(16)
    made = quirky.make()
    assert made.auth_data.credential_data.aaguid == bytes(16)
    assert b"\x04\x12\x04\x10" + bytes(16) in made.att_stmt["x5c"][0]


def test_no_touch_is_ever_needed(quirky):
    quirky.quirk(Quirk.NO_TOUCH)
    quirky.set("touch=never")
    seen = []
    assert quirky.ctap.get_info().options["up"] is False
    quirky.make(on_keepalive=seen.append)
    quirky.ctap.selection(on_keepalive=seen.append)
    quirky.ctap.reset(on_keepalive=seen.append)
    assert seen == []


def test_a_silent_assertion_claims_a_touch(quirky):
    quirky.make()
    quirky.quirk(Quirk.UP_FLAG_ALWAYS)
    assert quirky.get(options={"up": False}).auth_data.flags == AuthenticatorData.FLAG.UP


def test_updating_a_user_is_unknown(quirky):
    credential_id = quirky.make().auth_data.credential_data.credential_id
    quirky.quirk(Quirk.NO_UPDATE)
    with refused(ERR.INVALID_COMMAND):
        quirky.management().update_user_info({"type": "public-key", "id": credential_id}, {"id": b"u1", "name": "bob"})


def test_the_listing_has_no_protection(quirky):
    quirky.make()
    quirky.quirk(Quirk.NO_PROTECTION_IN_LIST)
    assert RESULT.CRED_PROTECT not in quirky.management().enumerate_creds(digest("example.com"))[0]


def test_maps_are_in_the_wrong_order(quirky):
    quirky.quirk(Quirk.MAP_ORDER)
    answer = quirky.device.call(0x10, b"\x04")[1:]
    decoded = cbor.decode(answer)
    assert list(decoded) == sorted(decoded, reverse=True)
    assert cbor.encode(decoded) != answer
    with pytest.raises(ValueError, match="Non-canonical"):
        Ctap2(quirky.device)
    assert Ctap2(quirky.device, strict_cbor=False).info.aaguid == quirky.ctap.info.aaguid


def test_listing_with_a_token_of_the_old_kind(quirky):
    quirky.make()
    quirky.quirk(Quirk.LEGACY_TOKEN)
    quirky.open()
    options = quirky.ctap.info.options
    assert options["credMgmt"] is True
    assert "pinUvAuthToken" not in options
    management = quirky.management()
    assert management.get_metadata()[1] == 1
    assert len(management.enumerate_rps()) == 1
    with refused(ERR.INVALID_SUBCOMMAND):
        quirky.ctap.client_pin(2, 9)


def test_ids_have_all_lengths_from_32_to_241(quirky):
    quirky.quirk(Quirk.LONG_IDS)
    quirky.open()
    assert quirky.ctap.info.max_cred_id_length == 241
    stored = [quirky.make(user_id=b"u%d" % n).auth_data.credential_data.credential_id for n in range(4)]
    wrapped = quirky.make(rk=False).auth_data.credential_data.credential_id
    handle = quirky.u2f.register(bytes(32), digest("example.com")).key_handle
    assert len(wrapped) == len(handle) == 241
    assert len({len(credential_id) for credential_id in stored}) > 1
    assert all(32 <= len(credential_id) <= 241 for credential_id in stored)
    quirky.quirk()
    quirky.open()
    for credential_id in (*stored, wrapped, handle):
        assert quirky.get(ids=[credential_id]).credential["id"] == credential_id


def test_the_listing_has_no_large_blob_key(quirky):
    made = quirky.make(extensions={"largeBlobKey": True})

    def listed():
        return quirky.management().enumerate_creds(digest("example.com"))[0].get(RESULT.LARGE_BLOB_KEY)

    assert listed() == made.large_blob_key
    quirky.quirk(Quirk.NO_LARGE_BLOB_KEY)
    assert listed() is None
    assert quirky.get(extensions={"largeBlobKey": True}).large_blob_key == made.large_blob_key


@pytest.mark.parametrize("dropped", [False, True])
def test_a_touch_drops_the_permission_to_write_large_blobs(quirky, dropped):
    quirky.make()
    quirky.quirk(*([Quirk.LBW_DROPPED] if dropped else []))
    protocol = quirky.pin.protocol
    token = quirky.token(PERMISSION.GET_ASSERTION | PERMISSION.LARGE_BLOB_WRITE, "example.com")
    quirky.get(pin_uv_param=protocol.authenticate(token, CLIENT_DATA_HASH), pin_uv_protocol=protocol.VERSION)
    blobs = LargeBlobs(quirky.ctap, protocol, token)
    if dropped:
        with refused(ERR.PIN_AUTH_INVALID):
            blobs.write_blob_array([])
        blobs = LargeBlobs(quirky.ctap, protocol, quirky.token(PERMISSION.LARGE_BLOB_WRITE))
    blobs.write_blob_array([])


def test_silent_assertions_need_no_pin_under_always_uv(quirky):
    quirky.make()
    protocol = quirky.pin.protocol
    Config(quirky.ctap, protocol, quirky.token(PERMISSION.AUTHENTICATOR_CFG)).toggle_always_uv()
    with refused(ERR.PUAT_REQUIRED):
        quirky.get(options={"up": False})
    quirky.quirk(Quirk.SILENT_WITHOUT_UV)
    assert quirky.get(options={"up": False}).auth_data.flags == 0
    with refused(ERR.PUAT_REQUIRED):
        quirky.get()


def test_no_quirk_is_untested():
    """Each name stands in this file, or in the one about previewSign."""
    here = Path(__file__)
    text = "".join(path.read_text(encoding="utf-8") for path in (here, here.with_name("test_preview_sign.py")))
    assert [quirk for quirk in Quirk if f"Quirk.{quirk.name}" not in text] == []
