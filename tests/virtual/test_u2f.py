"""U2F, driven by python-fido2, and what it shares with CTAP2."""

from __future__ import annotations

from hashlib import sha256
from threading import Event

import pytest
from cryptography import x509
from fido2.attestation import FidoU2FAttestation
from fido2.client import ClientError, DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.ctap1 import ApduError, Ctap1, RegistrationData, SignatureData
from fido2.ctap2 import Ctap2
from fido2.webauthn import (
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.virtual import attestation, keys
from keyctl.virtual.card import FIDO_AID, FidoCard
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.hid_responder import HidResponder

ERR = CtapError.ERR
MSG = 0x03
CHALLENGE = bytes(range(32))
APPLICATION = sha256(b"example.com").digest()
OTHER_APPLICATION = sha256(b"example.org").digest()


def sw(status: int):
    """The key answers with this status word."""

    class Matches:
        def __enter__(self):
            self.raised = pytest.raises(ApduError)
            self.caught = self.raised.__enter__()

        def __exit__(self, *how) -> bool:
            ended = self.raised.__exit__(*how)
            assert f"{self.caught.value.code:04x}" == f"{status:04x}"
            return ended

    return Matches()


@pytest.fixture(params=["u2f", "full"])
def key(request, make_bench):
    return make_bench(request.param)


def register(bench) -> RegistrationData:
    return bench.u2f.register(CHALLENGE, APPLICATION)


def authenticate(bench, handle: bytes, p1: int = 0x03, application: bytes = APPLICATION) -> SignatureData:
    data = CHALLENGE + application + bytes([len(handle)]) + handle
    return SignatureData(bench.u2f.send_apdu(ins=0x02, p1=p1, data=data))


def test_a_registration_verifies_up_to_the_test_root(key):
    made = register(key)
    made.verify(APPLICATION, CHALLENGE)
    leaf = x509.load_der_x509_certificate(made.certificate)
    root = x509.load_der_x509_certificate(attestation.root_certificate(key.folder))
    leaf.verify_directly_issued_by(root)
    assert register(key).certificate == made.certificate
    assert not [one for one in leaf.extensions if one.oid.dotted_string == attestation.AAGUID_OID]
    FidoU2FAttestation.verify_signature(
        APPLICATION, CHALLENGE, made.key_handle, made.public_key, made.certificate, made.signature
    )


def test_an_authentication_verifies_and_counts(key):
    made = register(key)
    counters = []
    for _ in range(2):
        answer = key.u2f.authenticate(CHALLENGE, APPLICATION, made.key_handle)
        answer.verify(APPLICATION, CHALLENGE, made.public_key)
        assert answer.user_presence == 1
        counters.append(answer.counter)
    assert counters == [1, 2]
    assert keys.get(key.folder, key.name).counter == 2


def test_the_version_is_told_with_and_without_a_length(key):
    assert key.u2f.get_version() == "U2F_V2"
    for apdu in ("00030000", "0003000000", "00030000000000", "000300000000000000"):
        assert key.device.call(MSG, bytes.fromhex(apdu)) == b"U2F_V2\x90\x00"


def test_check_only_says_whose_handle_it_is_without_a_touch(key, make_bench):
    handle = register(key).key_handle
    key.set("touch=never")
    with sw(0x6985):
        key.u2f.authenticate(CHALLENGE, APPLICATION, handle, check_only=True)
    for unknown, application in (
        (handle, OTHER_APPLICATION),
        (bytes(len(handle)), APPLICATION),
        (handle[:-1], APPLICATION),
        (b"", APPLICATION),
        (register(make_bench("u2f", "third")).key_handle, APPLICATION),
    ):
        for p1 in (0x07, 0x03, 0x08):
            with sw(0x6A80):
                authenticate(key, unknown, p1, application)
    assert keys.get(key.folder, key.name).counter == 0


def test_without_a_touch_nothing_is_signed(key):
    handle = register(key).key_handle
    for touch in ("never", "refused"):
        key.set(f"touch={touch}")
        with sw(0x6985):
            register(key)
        with sw(0x6985):
            authenticate(key, handle)


def test_presence_is_reported_where_it_is_not_enforced(key):
    made = register(key)
    for touch, present in (("never", 0), ("now", 1), ("refused", 0)):
        key.set(f"touch={touch}")
        answer = authenticate(key, made.key_handle, 0x08)
        answer.verify(APPLICATION, CHALLENGE, made.public_key)
        assert answer.user_presence == present
    key.set("touch=never", "quirk=up-flag-always")
    assert authenticate(key, made.key_handle, 0x08).user_presence == 1
    key.set("quirk=none", "quirk=no-touch")
    assert authenticate(key, made.key_handle).user_presence == 1


def test_a_late_touch_comes_that_long_after_the_first_time_of_asking(key):
    key.set("touch=after:2")
    for _ in range(4):
        with sw(0x6985):
            register(key)
        key.clock.turned_s += 0.5
    register(key)
    with sw(0x6985):
        register(key)


def test_asking_again_after_a_while_begins_anew(key):
    key.set("touch=after:2")
    with sw(0x6985):
        register(key)
    key.clock.turned_s += 10
    with sw(0x6985):
        register(key)


def test_a_touch_between_two_polls_is_seen(key):
    key.set("touch=never")
    with sw(0x6985):
        register(key)
    key.set("touch=now")
    register(key)


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("", 0x6700),
        ("000300", 0x6700),
        ("00040000", 0x6D00),
        ("80030000", 0x6E00),
        ("10030000", 0x6E00),
        ("0003000001ff", 0x6700),
        ("0001000001ff", 0x6700),
        ("00010000", 0x6700),
        ("000100003f" + "00" * 63, 0x6700),
        ("0001000041" + "00" * 65, 0x6700),
        ("0002030041" + "00" * 64 + "01", 0x6700),
        ("0002030042" + "00" * 66, 0x6700),
        ("0002030040" + "00" * 64, 0x6700),
        ("0002030041" + "00" * 65, 0x6A80),
        ("0002000041" + "00" * 65, 0x6A86),
        ("0001000000ffff" + "00" * 64, 0x6700),
    ],
)
def test_malformed_commands_are_refused(key, apdu, status):
    assert key.device.call(MSG, bytes.fromhex(apdu)) == status.to_bytes(2, "big")


def test_short_lengths_work_as_extended_ones_do(key):
    answer = key.device.call(MSG, bytes.fromhex("0001030040") + CHALLENGE + APPLICATION + b"\0")
    assert answer[-2:] == b"\x90\x00"
    made = RegistrationData(answer[:-2])
    made.verify(APPLICATION, CHALLENGE)
    data = CHALLENGE + APPLICATION + bytes([len(made.key_handle)]) + made.key_handle
    answer = key.device.call(MSG, bytes.fromhex("00020300") + bytes([len(data)]) + data)
    SignatureData(answer[:-2]).verify(APPLICATION, CHALLENGE, made.public_key)


def test_an_endless_message_is_refused(key):
    assert key.device.call(MSG, bytes(100_000)) == b"\x67\x00"


# With CTAP2


def test_a_u2f_registration_is_good_for_ctap2(bench):
    made = register(bench)
    answer = bench.get(ids=[made.key_handle])
    answer.verify(CHALLENGE, ES256.from_ctap1(made.public_key))
    assert answer.user is None
    silent = bench.get(ids=[made.key_handle], options={"up": False})
    assert silent.auth_data.flags == 0
    with pytest.raises(CtapError, match="CREDENTIAL_EXCLUDED"):
        bench.make(exclude_list=[{"type": "public-key", "id": made.key_handle}])
    with pytest.raises(CtapError, match="NO_CREDENTIALS"):
        bench.get("example.org", ids=[made.key_handle])


def test_an_appid_in_place_of_the_rp_id_finds_the_registration(bench):
    app_id = "https://example.com/u2f-app-id.json"
    made = bench.u2f.register(CHALLENGE, sha256(app_id.encode()).digest())
    bench.get(app_id, ids=[made.key_handle]).verify(CHALLENGE, ES256.from_ctap1(made.public_key))


@pytest.mark.parametrize(
    ("more", "works"),
    [
        ({}, True),
        ({"extensions": {"credProtect": 2}}, True),
        ({"extensions": {"credProtect": 3}}, False),
        ({"alg": -8}, False),
        ({"rk": True}, False),
    ],
)
def test_credentials_of_ctap2_that_are_not_stored_are_good_for_u2f(bench, more, works):
    made = bench.make(**{"rk": False, **more}).auth_data.credential_data
    if works:
        answer = bench.u2f.authenticate(CHALLENGE, APPLICATION, made.credential_id)
        assert answer.counter == 2
        made.public_key.verify(APPLICATION + answer[:5] + CHALLENGE, answer.signature)
    else:
        with sw(0x6A80):
            bench.u2f.authenticate(CHALLENGE, APPLICATION, made.credential_id)


def test_a_reset_ends_the_registrations(bench):
    handle = register(bench).key_handle
    bench.ctap.reset()
    with sw(0x6A80):
        authenticate(bench, handle)


def test_a_u2f_key_has_no_ctap2(make_bench):
    bench = make_bench("u2f")
    with pytest.raises(ValueError, match="does not support CTAP2"):
        Ctap2(bench.device)


# Faults, power, buses


def test_faults_strike_u2f_too(key):
    key.set("fault=1:busy", "fault=2:0x7f", "fault=3:garbage", "fault=4:pulled")
    with pytest.raises(CtapError, match="CHANNEL_BUSY"):
        key.u2f.get_version()
    with pytest.raises(CtapError) as caught:
        key.u2f.get_version()
    assert caught.value.code == 0x7F
    with pytest.raises((ApduError, UnicodeDecodeError)):
        key.u2f.get_version()
    with pytest.raises(OSError, match="No such device"):
        key.u2f.get_version()


def test_a_slow_key_cannot_be_cancelled(key):
    key.set("delay-ms=700")
    event = Event()
    event.set()
    seen = []
    key.device.call(MSG, bytes.fromhex("00030000"), event, seen.append)
    assert seen == [1]
    assert key.clock.turned_s >= 0.7


def test_a_card_speaks_u2f(key):
    card = FidoCard(key.device)
    card.power_up()
    assert card.transmit(b"\x00\xa4\x04\x00\x08" + FIDO_AID) == b"U2F_V2\x90\x00"
    assert card.transmit(bytes.fromhex("0003000000")) == b"U2F_V2\x90\x00"
    answer = card.transmit(bytes.fromhex("00010000000040") + CHALLENGE + APPLICATION + b"\0\0")
    RegistrationData(answer[:-2]).verify(APPLICATION, CHALLENGE)
    key.set("touch=never")
    assert card.transmit(bytes.fromhex("00010000000040") + CHALLENGE + APPLICATION + b"\0\0") == b"\x69\x85"
    card.power_down()


def test_usb_frames_carry_u2f(key):
    """INIT tells the capabilities, MSG carries the version."""
    reports = []
    done = Event()
    responder = HidResponder(key.device, reports.append, wake=done.set)
    responder.receive((b"\xff\xff\xff\xff\x86\x00\x08" + bytes(8)).ljust(64, b"\0"))
    assert reports[0][23] == key.device.capabilities
    responder.receive((reports[0][15:19] + b"\x83\x00\x04" + bytes.fromhex("00030000")).ljust(64, b"\0"))
    assert done.wait(5)
    responder.tick()
    assert reports[1][4:15] == b"\x83\x00\x08U2F_V2\x90\x00"


class Person(UserInteraction):
    """Is told to touch."""

    def prompt_up(self) -> None:
        pass


def client(bench) -> Fido2Client:
    collector = DefaultClientDataCollector("https://example.com")
    return Fido2Client(bench.device, client_data_collector=collector, user_interaction=Person())


def test_the_webauthn_client_registers_and_logs_in(make_bench):
    bench = make_bench("u2f")
    browser = client(bench)
    options = PublicKeyCredentialCreationOptions(
        rp=PublicKeyCredentialRpEntity(id="example.com", name="Example"),
        user=PublicKeyCredentialUserEntity(id=b"u1", name="alice", display_name="Alice"),
        challenge=bytes(32),
        pub_key_cred_params=[PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=-7)],
    )
    made = browser.make_credential(options).response.attestation_object
    assert made.fmt == "fido-u2f"
    data = made.auth_data.credential_data
    descriptor = PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=data.credential_id)
    answer = browser.get_assertion(
        PublicKeyCredentialRequestOptions(challenge=bytes(32), rp_id="example.com", allow_credentials=[descriptor])
    ).get_response(0)
    data.public_key.verify(
        answer.response.authenticator_data + answer.response.client_data.hash, answer.response.signature
    )
    with pytest.raises(ClientError):
        browser.make_credential(
            PublicKeyCredentialCreationOptions.from_dict({**dict(options), "excludeCredentials": [descriptor]})
        )


# Anything at all


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("u2f") / "virtual"
    keys.new(folder, "blue", "u2f")
    device = VirtualDevice(folder, "blue")
    return device, Ctap1(device).register(CHALLENGE, APPLICATION).key_handle


HEADERS = st.tuples(
    st.sampled_from([0, 0, 0, 0x10, 0x80]), st.integers(0, 5), st.sampled_from([0, 3, 7, 8]), st.integers(0, 1)
).map(bytes)


@given(data=st.data())
@settings(max_examples=150)
def test_any_bytes_get_a_status_word(victim, data):
    device, handle = victim
    body = data.draw(
        st.binary(max_size=80)
        | st.builds(
            lambda parts, at, flip: bytes([len(parts)]) + parts[:at] + bytes([flip]) + parts[at + 1 :],
            st.just(CHALLENGE + APPLICATION + bytes([len(handle)]) + handle),
            st.integers(0, 65 + len(handle)),
            st.integers(0, 255),
        )
    )
    answer = device.call(MSG, data.draw(HEADERS | st.just(b"")) + body)
    assert len(answer) == 2 or answer[-2:] == b"\x90\x00"
    assert 0x6700 <= int.from_bytes(answer[-2:], "big") <= 0x9000
