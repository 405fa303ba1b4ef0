"""PINs, tries, tokens and their permissions."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2

from keyctl.virtual import keys, pin_protocol
from keyctl.virtual.context import Context
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.tokens import Permission, use_up

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
CLIENT_DATA_HASH = bytes(range(32))
WRONG = "wrong PIN"


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


@pytest.fixture(params=[PinProtocolV1, PinProtocolV2], ids=["one", "two"])
def protocol(request):
    return request.param()


@pytest.fixture
def locked(bench):
    """A key with a PIN."""
    bench.set_pin()
    return bench


def wrong(bench) -> None:
    bench.pin.get_pin_token(WRONG, PERMISSION.CREDENTIAL_MGMT)


def test_setting_and_changing_a_pin(bench, protocol):
    assert bench.ctap.get_info().options["clientPin"] is False
    client = ClientPin(bench.ctap, protocol)
    client.set_pin("1234")
    assert bench.ctap.get_info().options["clientPin"] is True
    with refused(ERR.PIN_AUTH_INVALID):
        client.set_pin("5678")
    client.change_pin("1234", "5678")
    with refused(ERR.PIN_INVALID):
        client.change_pin("1234", "9999")
    assert client.get_pin_token("5678", PERMISSION.CREDENTIAL_MGMT)
    assert client.get_pin_retries() == (8, False)


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "small"])
def test_every_profile_takes_a_pin(make_bench, profile):
    bench = make_bench(profile)
    bench.set_pin()
    assert bench.pin.get_pin_token(bench.PIN, PERMISSION.CREDENTIAL_MGMT)


@pytest.mark.parametrize("pin", ["x" * 64, "ä" * 32, "a" * 63 + "b", "\0\0\0\0", "abc\0"])
def test_pins_out_of_bounds_are_refused(bench, pin):
    with refused(ERR.PIN_POLICY_VIOLATION):
        bench.set_pin(pin)
    assert bench.ctap.get_info().options["clientPin"] is False


@pytest.mark.parametrize("pin", ["x" * 63, "🔑" * 4, "ä" * 31])
def test_pins_are_counted_in_characters_and_limited_in_bytes(bench, pin):
    bench.set_pin(pin)
    assert bench.pin.get_pin_token(pin, PERMISSION.CREDENTIAL_MGMT)


def test_a_pin_that_is_no_text_is_refused(bench, protocol):
    client = ClientPin(bench.ctap, protocol)
    agreement, secret = client._get_shared_secret()
    new_pin_enc = protocol.encrypt(secret, b"\xff\xfe\xfd\xfc\xfb".ljust(64, b"\0"))
    with refused(ERR.PIN_POLICY_VIOLATION):
        bench.ctap.client_pin(
            protocol.VERSION,
            ClientPin.CMD.SET_PIN,
            agreement,
            protocol.authenticate(secret, new_pin_enc),
            new_pin_enc,
        )


@pytest.mark.parametrize("size", [16, 48, 80])
def test_a_pin_has_to_be_padded_to_64_bytes(bench, protocol, size):
    client = ClientPin(bench.ctap, protocol)
    agreement, secret = client._get_shared_secret()
    new_pin_enc = protocol.encrypt(secret, b"1234".ljust(size, b"\0"))
    with refused(ERR.INVALID_PARAMETER):
        bench.ctap.client_pin(
            protocol.VERSION,
            ClientPin.CMD.SET_PIN,
            agreement,
            protocol.authenticate(secret, new_pin_enc),
            new_pin_enc,
        )


def test_wrong_pin_costs_one_try(locked, protocol):
    client = ClientPin(locked.ctap, protocol)
    with refused(ERR.PIN_INVALID):
        client.get_pin_token(WRONG, PERMISSION.CREDENTIAL_MGMT)
    assert client.get_pin_retries() == (7, False)
    client.get_pin_token(locked.PIN, PERMISSION.CREDENTIAL_MGMT)
    assert client.get_pin_retries() == (8, False)


def test_a_wrong_pin_makes_a_new_key_for_key_agreement(locked, protocol):
    def agreement():
        return locked.ctap.client_pin(protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)[1]

    before = agreement()
    assert agreement() == before
    with refused(ERR.PIN_INVALID):
        ClientPin(locked.ctap, protocol).get_pin_token(WRONG, PERMISSION.CREDENTIAL_MGMT)
    assert agreement() != before


def test_the_third_wrong_pin_blocks_until_a_power_cycle(locked):
    for code in (ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED, ERR.PIN_AUTH_BLOCKED):
        with refused(code):
            wrong(locked)
    assert locked.pin.get_pin_retries() == (5, True)
    with refused(ERR.PIN_AUTH_BLOCKED):
        locked.token()
    with refused(ERR.PIN_AUTH_BLOCKED):
        locked.pin.change_pin(locked.PIN, "5678")
    locked.replug()
    assert locked.pin.get_pin_retries() == (5, False)
    locked.token()
    assert locked.pin.get_pin_retries() == (8, False)


def test_the_eighth_wrong_pin_blocks_for_good(locked):
    codes = []
    for _ in range(8):
        with pytest.raises(CtapError) as caught:
            wrong(locked)
        codes.append(caught.value.code)
        if caught.value.code == ERR.PIN_AUTH_BLOCKED:
            locked.replug()
    assert codes == [ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED] * 2 + [ERR.PIN_INVALID, ERR.PIN_BLOCKED]
    assert locked.pin.get_pin_retries()[0] == 0
    for _ in range(2):
        with refused(ERR.PIN_BLOCKED):
            locked.token()
        with refused(ERR.PIN_BLOCKED):
            locked.pin.change_pin(locked.PIN, "5678")
        locked.replug()
    locked.ctap.reset()
    assert locked.ctap.get_info().options["clientPin"] is False
    locked.set_pin()
    assert locked.pin.get_pin_retries() == (8, False)


def test_the_try_is_on_disk_before_the_pin_is_compared(locked, monkeypatch):
    """The key is pulled in the moment of the comparison, as an attacker would."""
    path = locked.folder / "blue.json"

    def pulled(*_args) -> bool:
        raise OSError("pulled")

    monkeypatch.setattr(hmac, "compare_digest", pulled)
    for left in (7, 6):
        with pytest.raises(OSError, match="pulled"):
            wrong(locked)
        assert json.loads(path.read_text())["pin_retries"] == left
    monkeypatch.undo()
    assert locked.pin.get_pin_retries() == (6, False)


def test_without_a_pin_there_is_no_token(bench):
    with refused(ERR.PIN_NOT_SET):
        bench.token()
    with refused(ERR.PIN_NOT_SET):
        bench.pin.change_pin("1234", "5678")
    with refused(ERR.PIN_NOT_SET):
        bench.make(pin_uv_param=bytes(32), pin_uv_protocol=2)


def test_a_token_is_for_its_permission_only(locked):
    mac = locked.pin.protocol.authenticate(locked.token(PERMISSION.GET_ASSERTION, "example.com"), CLIENT_DATA_HASH)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.make(pin_uv_param=mac, pin_uv_protocol=2)
    ctap = Ctap2(locked.device)
    management = CredentialManagement(ctap, locked.pin.protocol, locked.token(PERMISSION.GET_ASSERTION, "example.com"))
    with refused(ERR.PIN_AUTH_INVALID):
        management.get_metadata()


def test_a_token_is_for_its_rp_only(locked):
    mac = locked.pin.protocol.authenticate(locked.token(PERMISSION.MAKE_CREDENTIAL, "example.org"), CLIENT_DATA_HASH)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.make("example.com", pin_uv_param=mac, pin_uv_protocol=2)


def test_a_touch_uses_up_the_token(locked):
    locked.make()
    token = locked.token(PERMISSION.MAKE_CREDENTIAL | PERMISSION.GET_ASSERTION, "example.com")
    mac = locked.pin.protocol.authenticate(token, CLIENT_DATA_HASH)
    for _ in range(2):
        # A silent assertion leaves the token as it is.
        locked.get(pin_uv_param=mac, pin_uv_protocol=2, options={"up": False})
    locked.get(pin_uv_param=mac, pin_uv_protocol=2)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.get(pin_uv_param=mac, pin_uv_protocol=2)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.make(pin_uv_param=mac, pin_uv_protocol=2)


def test_using_up_leaves_only_the_permission_to_write_large_blobs(locked):
    locked.token(PERMISSION.GET_ASSERTION, "example.com")
    state = locked.device._files.state()
    state.ram.token.permissions = Permission.GA | Permission.LBW | Permission.CM
    context = Context(
        profile=PROFILES["full"],
        settings=locked.device._files.settings(),
        state=state,
        files=locked.device._files,
        presence=None,
        clock=locked.clock,
        continuation=None,
    )
    use_up(context)
    assert state.ram.token.permissions == Permission.LBW
    assert not state.ram.token.user_verified


@pytest.mark.parametrize(
    ("permissions", "rp_id", "code"),
    [
        (0, None, ERR.INVALID_PARAMETER),
        (PERMISSION.MAKE_CREDENTIAL, None, ERR.MISSING_PARAMETER),
        (PERMISSION.GET_ASSERTION, None, ERR.MISSING_PARAMETER),
        (PERMISSION.BIO_ENROLL, None, ERR.UNAUTHORIZED_PERMISSION),
        (PERMISSION.PERSISTENT_CREDENTIAL_MGMT | PERMISSION.CREDENTIAL_MGMT, None, ERR.UNAUTHORIZED_PERMISSION),
        (PERMISSION.LARGE_BLOB_WRITE | PERMISSION.MAKE_CREDENTIAL, None, ERR.MISSING_PARAMETER),
    ],
)
def test_permissions_are_checked_before_the_pin(locked, permissions, rp_id, code):
    with refused(code):
        locked.pin.get_pin_token(WRONG, PERMISSION(permissions), rp_id)
    assert locked.pin.get_pin_retries() == (8, False)


def test_a_new_token_ends_the_old_one(locked):
    old = locked.management()
    old.get_metadata()
    locked.management().get_metadata()
    with refused(ERR.PIN_AUTH_INVALID):
        old.get_metadata()


def test_changing_the_pin_ends_the_token(locked):
    management = locked.management()
    locked.pin.change_pin(locked.PIN, "another PIN")
    with refused(ERR.PIN_AUTH_INVALID):
        management.get_metadata()


def test_a_power_cycle_ends_the_token(locked):
    management = locked.management()
    management.get_metadata()
    locked.device.power_cycle()
    with refused(ERR.PIN_AUTH_INVALID):
        management.get_metadata()


def test_an_unused_token_expires_after_thirty_seconds(locked):
    early, late = locked.management(), None
    locked.clock.turned_s += 29
    early.get_metadata()
    late = locked.management()
    locked.clock.turned_s += 31
    with refused(ERR.PIN_AUTH_INVALID):
        late.get_metadata()


def test_a_used_token_expires_after_ten_minutes(locked):
    management = locked.management()
    management.get_metadata()
    locked.clock.turned_s += 599
    management.get_metadata()
    locked.clock.turned_s += 2
    with refused(ERR.PIN_AUTH_INVALID):
        management.get_metadata()


def test_the_old_kind_of_token_is_bound_to_the_first_rp_that_uses_it(locked):
    client = locked.pin
    agreement, secret = client._get_shared_secret()
    pin_hash = sha256(locked.PIN.encode()).digest()[:16]
    arguments = {"key_agreement": agreement, "pin_hash_enc": client.protocol.encrypt(secret, pin_hash)}
    command = ClientPin.CMD.GET_TOKEN_USING_PIN_LEGACY
    with refused(ERR.INVALID_PARAMETER):
        locked.ctap.client_pin(2, command, **arguments, permissions=1)
    locked.make("a.example", user_id=b"a")
    token = client.protocol.decrypt(secret, locked.ctap.client_pin(2, command, **arguments)[2])
    mac = client.protocol.authenticate(token, CLIENT_DATA_HASH)
    locked.get("a.example", pin_uv_param=mac, pin_uv_protocol=2, options={"up": False})
    with refused(ERR.PIN_AUTH_INVALID):
        locked.get("b.example", pin_uv_param=mac, pin_uv_protocol=2, options={"up": False})
    with refused(ERR.PIN_AUTH_INVALID):
        CredentialManagement(Ctap2(locked.device), client.protocol, token).get_metadata()


def test_old_keys_have_one_token_for_everything(make_bench):
    bench = make_bench("fido2.1-pre")
    bench.set_pin()
    token = bench.token()
    assert bench.token() == token
    mac = bench.pin.protocol.authenticate(token, CLIENT_DATA_HASH)
    for rp_id in ("a.example", "b.example"):
        bench.make(rp_id, pin_uv_param=mac, pin_uv_protocol=1)
    assert bench.management().get_metadata()[1] == 2
    bench.replug()
    assert bench.token() != token


@pytest.mark.parametrize(
    ("profile", "subcommand", "code"),
    [
        ("full", 0x06, ERR.INVALID_SUBCOMMAND),
        ("full", 0x07, ERR.INVALID_SUBCOMMAND),
        ("full", 0x63, ERR.INVALID_SUBCOMMAND),
        ("fido2.0", 0x09, ERR.INVALID_PARAMETER),
        ("fido2.0", 0x63, ERR.INVALID_PARAMETER),
    ],
)
def test_unknown_subcommands_are_refused(make_bench, profile, subcommand, code):
    with refused(code):
        make_bench(profile).ctap.client_pin(1, subcommand)


@pytest.mark.parametrize(
    ("number", "code"), [(None, ERR.MISSING_PARAMETER), (3, ERR.INVALID_PARAMETER), (0, ERR.INVALID_PARAMETER)]
)
def test_the_protocol_has_to_be_one_of_the_keys(bench, number, code):
    with refused(code):
        bench.ctap.client_pin(number, ClientPin.CMD.GET_KEY_AGREEMENT)


def test_a_first_generation_key_has_protocol_one_only(make_bench):
    with refused(ERR.INVALID_PARAMETER):
        make_bench("fido2.0").ctap.client_pin(2, ClientPin.CMD.GET_KEY_AGREEMENT)


@pytest.mark.parametrize(
    "peer",
    [
        {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: bytes(32)},  # not on the curve
        {1: 2, 3: -25, -1: 1, -2: b"\xff" * 32, -3: b"\xff" * 32},
        {1: 2, 3: -25, -1: 1, -2: bytes(31), -3: bytes(32)},
        {1: 2, 3: -25, -1: 1, -2: 1, -3: bytes(32)},
        {1: 1, 3: -25, -1: 1, -2: bytes(32), -3: bytes(32)},
        {},
    ],
)
def test_hostile_key_agreement_costs_no_try(locked, peer):
    with refused(ERR.INVALID_PARAMETER):
        locked.ctap.client_pin(2, 9, key_agreement=peer, pin_hash_enc=bytes(32), permissions=4)
    assert locked.pin.get_pin_retries() == (8, False)


def send(bench, protocol, command, *, new_pin=None, old_pin_enc=None, break_mac=False):
    """SetPIN, changePIN or a token, with parts that ClientPin would not send."""
    agreement, secret = ClientPin(bench.ctap, protocol)._get_shared_secret()
    new_pin_enc = None if new_pin is None else new_pin(secret)
    mac = protocol.authenticate(secret, (new_pin_enc or b"") + (old_pin_enc or b""))
    permissions = PERMISSION.CREDENTIAL_MGMT if command == ClientPin.CMD.GET_TOKEN_USING_PIN else None
    return bench.ctap.client_pin(
        protocol.VERSION,
        command,
        key_agreement=agreement,
        pin_uv_param=None if permissions else bytes(len(mac)) if break_mac else mac,
        new_pin_enc=new_pin_enc,
        pin_hash_enc=old_pin_enc,
        permissions=permissions,
    )


def test_a_wrong_mac_sets_no_pin_and_costs_no_try(bench, protocol):
    def padded(secret: bytes) -> bytes:
        return protocol.encrypt(secret, b"5678".ljust(64, b"\0"))

    with refused(ERR.PIN_AUTH_INVALID):
        send(bench, protocol, ClientPin.CMD.SET_PIN, new_pin=padded, break_mac=True)
    assert bench.ctap.get_info().options["clientPin"] is False
    bench.set_pin()
    with refused(ERR.PIN_AUTH_INVALID):
        send(bench, protocol, ClientPin.CMD.CHANGE_PIN, new_pin=padded, old_pin_enc=bytes(32), break_mac=True)
    assert bench.pin.get_pin_retries() == (8, False)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31])
def test_a_pin_hash_that_cannot_be_decrypted_costs_a_try(locked, protocol, size):
    with refused(ERR.PIN_INVALID):
        send(locked, protocol, ClientPin.CMD.GET_TOKEN_USING_PIN, old_pin_enc=bytes(size))
    assert locked.pin.get_pin_retries() == (7, False)


@pytest.mark.parametrize("size", [1, 15, 65])
def test_a_new_pin_that_cannot_be_decrypted_is_refused(bench, protocol, size):
    with refused(ERR.PIN_AUTH_INVALID):
        send(bench, protocol, ClientPin.CMD.SET_PIN, new_pin=lambda _: bytes(size))


def test_a_truncated_mac_is_refused(locked):
    """YSA-2025-02: a key that compares only a part of the MAC of protocol two."""
    token = locked.token()
    mac = locked.pin.protocol.authenticate(token, b"\x01")
    for cut in (mac[:16], mac[:31], mac + b"\0"):
        with refused(ERR.PIN_AUTH_INVALID):
            locked.ctap.send_cbor(0x0A, {1: 1, 3: 2, 4: cut})
    assert locked.ctap.send_cbor(0x0A, {1: 1, 3: 2, 4: mac})[1] == 0


def test_protocol_one_agrees_with_python_fido2_on_a_fixed_key():
    """Both sides of both protocols, from one scalar: ours decapsulates what python-fido2 encapsulates."""
    private_key = (7).to_bytes(32, "big")
    for theirs, ours in (
        (PinProtocolV1(), pin_protocol.PIN_PROTOCOLS[1]),
        (PinProtocolV2(), pin_protocol.PIN_PROTOCOLS[2]),
    ):
        agreement, secret = theirs.encapsulate(pin_protocol.public_key(private_key))
        assert ours.shared_secret(private_key, agreement) == secret
        assert ours.decrypt(secret, theirs.encrypt(secret, b"0123456789abcdef")) == b"0123456789abcdef"
        assert theirs.decrypt(secret, ours.encrypt(secret, b"0123456789abcdef")) == b"0123456789abcdef"
        assert ours.verify(secret, b"message", theirs.authenticate(secret, b"message"))
        assert not ours.verify(secret, b"massage", theirs.authenticate(secret, b"message"))


def test_the_key_never_writes_the_pin(locked):
    assert locked.PIN not in (locked.folder / "blue.json").read_text()
    assert keys.get(locked.folder, "blue").counter == 0
    assert cbor.decode(locked.device.call(0x10, b"\x04")[1:])[4]["clientPin"] is True
