"""authenticatorConfig, by python-fido2's class, and what its settings do."""

from __future__ import annotations

import pytest
from cryptography import x509
from fido2.attestation import PackedAttestation
from fido2.ctap import STATUS, CtapError
from fido2.ctap1 import ApduError
from fido2.ctap2 import ClientPin, Config, Ctap2

from keyctl.virtual import attestation
from keyctl.virtual.card import FIDO_AID, FidoCard

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
CLIENT_DATA_HASH = bytes(range(32))
LONG_TOUCH = 0x04


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


@pytest.fixture
def locked(bench):
    """A key with a PIN."""
    bench.set_pin()
    return bench


def config(bench) -> Config:
    """A new client, with a token where there is a PIN."""
    ctap = Ctap2(bench.device)
    if not ctap.info.options["clientPin"]:
        return Config(ctap)
    client_pin = ClientPin(ctap)
    return Config(ctap, client_pin.protocol, client_pin.get_pin_token(bench.PIN, PERMISSION.AUTHENTICATOR_CFG))


def info(bench):
    return Ctap2(bench.device).info


def test_get_info_says_what_can_be_set(bench):
    told = info(bench)
    assert told.authenticator_config_commands == [1, 2, 3, 4]
    assert {name: told.options[name] for name in ("authnrCfg", "setMinPINLength", "ep", "alwaysUv")} == {
        "authnrCfg": True,
        "setMinPINLength": True,
        "ep": False,
        "alwaysUv": False,
    }
    assert (told.max_rpids_for_min_pin, told.long_touch_for_reset, told.force_pin_change) == (8, False, False)


def test_a_pin_makes_the_token_necessary(locked):
    bare = Config(locked.ctap)
    for change in (bare.enable_enterprise_attestation, bare.toggle_always_uv, bare.set_min_pin_length):
        with refused(ERR.PUAT_REQUIRED):
            change()
    wrong = Config(locked.ctap, locked.pin.protocol, locked.token())
    with refused(ERR.PIN_AUTH_INVALID):
        wrong.toggle_always_uv()
    with refused(ERR.MISSING_PARAMETER):
        locked.ctap.config(2, None, None, bytes(32))
    assert info(locked).options["alwaysUv"] is False


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, ERR.MISSING_PARAMETER),
        ({1: 0}, ERR.INVALID_PARAMETER),
        ({1: 0xFF}, ERR.INVALID_PARAMETER),
        ({1: "2"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({1: 3}, ERR.MISSING_PARAMETER),
        ({1: 3, 2: {1: 3}}, ERR.PIN_POLICY_VIOLATION),
        ({1: 3, 2: {1: 64}}, ERR.PIN_POLICY_VIOLATION),
        ({1: 3, 2: {1: -1}}, ERR.PIN_POLICY_VIOLATION),
        ({1: 3, 2: {1: "6"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({1: 3, 2: {2: [b"example.com"]}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({1: 3, 2: {2: "example.com"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({1: 3, 2: {2: ["a"] * 9}}, ERR.KEY_STORE_FULL),
        ({1: 3, 2: {3: True}}, ERR.PIN_NOT_SET),
        ({1: 3, 2: {3: 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({1: 2, 2: [1]}, ERR.CBOR_UNEXPECTED_TYPE),
    ],
)
def test_parameters_are_checked(bench, parameters, code):
    before = bench.device.call(0x10, b"\x04")
    with refused(code):
        bench.ctap.send_cbor(0x0D, parameters)
    assert bench.device.call(0x10, b"\x04") == before


def test_a_reset_ends_all_settings(locked):
    config(locked).enable_enterprise_attestation()
    config(locked).set_min_pin_length(8, ["example.com"])
    before = info(locked)
    assert (before.options["ep"], before.min_pin_length) == (True, 8)
    locked.ctap.reset()
    after = info(locked)
    assert (after.options["ep"], after.min_pin_length, after.force_pin_change) == (False, 4, False)


# Always UV


def test_always_uv_wants_the_pin_for_everything(locked):
    made = locked.make().auth_data.credential_data.credential_id
    config(locked).toggle_always_uv()
    told = info(locked)
    assert told.options["alwaysUv"] is True
    assert told.options["makeCredUvNotRqd"] is False
    assert told.versions == ["FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1", "FIDO_2_2"]
    for how in ({"ids": [made]}, {"ids": [made], "options": {"up": False}}, {}, {"ids": [b"x"]}):
        with refused(ERR.PUAT_REQUIRED):
            locked.get(**how)
    with refused(ERR.PUAT_REQUIRED):
        locked.make(rk=False, pin_uv_param=None)
    assert locked.get(pin=True).auth_data.is_user_verified()
    assert locked.get(pin=True, options={"up": False}).auth_data.is_user_verified()
    locked.make(rk=False)
    config(locked).toggle_always_uv()
    assert info(locked).options["alwaysUv"] is False
    locked.get()


def test_always_uv_without_a_pin_can_be_switched_off_and_nothing_else(bench):
    config(bench).toggle_always_uv()
    with refused(ERR.PUAT_REQUIRED):
        bench.make(rk=False)
    with refused(ERR.PUAT_REQUIRED):
        config(bench).enable_enterprise_attestation()
    with refused(ERR.PUAT_REQUIRED):
        bench.ctap.large_blobs(0, set=bytes(17), length=17)
    config(bench).toggle_always_uv()
    bench.make(rk=False)


def test_always_uv_switches_u2f_off(locked):
    handle = locked.u2f.register(bytes(32), bytes(32)).key_handle
    config(locked).toggle_always_uv()
    assert locked.device.capabilities == 0x0C
    for use in (
        lambda: locked.u2f.register(bytes(32), bytes(32)),
        lambda: locked.u2f.authenticate(bytes(32), bytes(32), handle),
        lambda: locked.u2f.authenticate(bytes(32), bytes(32), handle, check_only=True),
    ):
        with pytest.raises(ApduError) as caught:
            use()
        assert caught.value.code == 0x6986
    card = FidoCard(locked.device)
    card.power_up()
    assert card.transmit(b"\x00\xa4\x04\x00\x08" + FIDO_AID) == b"FIDO_2_0\x90\x00"
    card.power_down()
    config(locked).toggle_always_uv()
    assert locked.device.capabilities == 0x04
    locked.u2f.authenticate(bytes(32), bytes(32), handle)


# Minimum PIN length


def test_the_minimum_pin_length_only_grows(locked):
    config(locked).set_min_pin_length(6)
    assert info(locked).min_pin_length == 6
    with refused(ERR.PIN_POLICY_VIOLATION):
        config(locked).set_min_pin_length(5)
    config(locked).set_min_pin_length()
    with refused(ERR.PIN_POLICY_VIOLATION):
        locked.pin.change_pin(locked.PIN, "12345")
    locked.pin.change_pin(locked.PIN, "123456")
    assert info(locked).force_pin_change is False


def test_a_pin_that_is_too_short_now_has_to_be_changed(locked):
    config(locked).set_min_pin_length(len(locked.PIN) + 1)
    assert info(locked).force_pin_change is True


def test_a_forced_change_leaves_the_pin_good_for_nothing_but_changing_it(locked):
    config(locked).set_min_pin_length(force_change_pin=True)
    locked.replug()
    assert locked.ctap.info.force_pin_change is True
    for permission in (PERMISSION.CREDENTIAL_MGMT, PERMISSION.PERSISTENT_CREDENTIAL_MGMT):
        with refused(ERR.PIN_POLICY_VIOLATION):
            locked.token(permission)
    with refused(ERR.PIN_INVALID):
        locked.pin.get_pin_token(locked.PIN)
    assert locked.pin.get_pin_retries() == (8, False)
    with refused(ERR.PIN_POLICY_VIOLATION):
        locked.pin.change_pin(locked.PIN, locked.PIN)
    locked.pin.change_pin(locked.PIN, "another PIN")
    assert info(locked).force_pin_change is False
    assert locked.pin.get_pin_token("another PIN", PERMISSION.CREDENTIAL_MGMT)


def test_rps_that_may_learn_the_length_are_replaced_as_a_list(bench):
    def told(rp_id: str) -> int | None:
        return (bench.make(rp_id, extensions={"minPinLength": True}).auth_data.extensions or {}).get("minPinLength")

    config(bench).set_min_pin_length(None, ["a.example", "b.example"])
    assert (told("a.example"), told("b.example")) == (4, 4)
    config(bench).set_min_pin_length(5)
    assert (told("a.example"), told("b.example")) == (5, 5)
    config(bench).set_min_pin_length(None, ["b.example"])
    assert (told("a.example"), told("b.example")) == (None, 5)


# Enterprise attestation


def enterprise(bench, rp_id: str, kind: int):
    return bench.make(rp_id, rk=False, enterprise_attestation=kind)


@pytest.mark.parametrize(
    ("rp_id", "kind", "own"),
    [
        ("enterprise.example", 1, True),
        ("example.com", 1, False),
        ("enterprise.example", 2, True),
        ("example.com", 2, True),
    ],
)
def test_enterprise_attestation_tells_one_key_from_another(bench, make_bench, rp_id, kind, own):
    with refused(ERR.INVALID_PARAMETER):
        enterprise(bench, rp_id, kind)
    certificates = []
    for each in (bench, make_bench(), bench):
        config(each).enable_enterprise_attestation()
        config(each).enable_enterprise_attestation()
        made = enterprise(each, rp_id, kind)
        assert made.ep_att is (True if own else None)
        PackedAttestation().verify(made.att_stmt, made.auth_data, CLIENT_DATA_HASH)
        certificates.append(made.att_stmt["x5c"][0])
        each.ctap.reset()
    assert certificates[0] == certificates[2]
    assert (certificates[0] != certificates[1]) is own
    leaf = x509.load_der_x509_certificate(certificates[0])
    leaf.verify_directly_issued_by(x509.load_der_x509_certificate(attestation.root_certificate(bench.folder)))
    assert ("blue" in leaf.subject.rfc4514_string()) is own


def test_unknown_kinds_of_enterprise_attestation_are_refused(bench):
    config(bench).enable_enterprise_attestation()
    for kind in (0, 3, -1):
        with refused(ERR.INVALID_OPTION):
            enterprise(bench, "example.com", kind)
    assert bench.make().ep_att is None


# Long touch


def test_a_long_touch_is_wanted_for_a_reset(bench):
    config(bench)._call(LONG_TOUCH)
    assert info(bench).long_touch_for_reset is True
    bench.make()
    for touch in ("now", "after:1", "never"):
        bench.set(f"touch={touch}")
        bench.device.power_cycle()
        with refused(ERR.USER_ACTION_TIMEOUT):
            bench.ctap.reset()
    assert bench.get(options={"up": False}).user == {"id": b"u1"}
    bench.set("touch=long")
    bench.device.power_cycle()
    seen, start = [], bench.clock.turned_s
    bench.ctap.reset(on_keepalive=seen.append)
    assert seen == [STATUS.UPNEEDED]
    assert 10 <= bench.clock.turned_s - start < 11
    assert info(bench).long_touch_for_reset is False
    bench.make()
    bench.u2f.register(bytes(32), bytes(32))


def test_a_finger_that_slips_begins_anew(bench):
    config(bench)._call(LONG_TOUCH)
    bench.set("touch=long")
    bench.device.power_cycle()
    changes = iter([(5, "touch=now"), (7, "touch=long"), (1e9, "")])
    due = next(changes)

    def pause(_, duration_s: float) -> None:
        nonlocal due
        bench.clock.turned_s += duration_s
        if bench.clock.turned_s > due[0]:
            bench.set(due[1])
            due = next(changes)

    bench.clock.pause = pause
    bench.ctap.reset()
    assert 17 <= bench.clock.turned_s < 18
