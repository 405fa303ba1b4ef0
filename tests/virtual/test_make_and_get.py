"""makeCredential and getAssertion, driven by python-fido2."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.attestation import PackedAttestation
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.webauthn import AuthenticatorData
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.errors import StoreError
from keyctl.virtual import attestation, credentials
from keyctl.virtual.identity import VIRTUAL_AAGUIDS
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.state import Credential

ERR = CtapError.ERR
FLAG = AuthenticatorData.FLAG
PERMISSION = ClientPin.PERMISSION
CLIENT_DATA_HASH = bytes(range(32))
ID_BYTES = range(64, 101)
CTAP2_PROFILES = [name for name, profile in PROFILES.items() if profile.ctap2]


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


def public_key(made):
    return made.auth_data.credential_data.public_key


@pytest.mark.parametrize("rk", [True, False])
@pytest.mark.parametrize("alg", [-7, -8])
@pytest.mark.parametrize("profile", CTAP2_PROFILES)
def test_assertions_verify_under_the_key_made(make_bench, profile, alg, rk):
    bench = make_bench(profile)
    made = bench.make(alg=alg, rk=rk)
    credential_id = made.auth_data.credential_data.credential_id
    assert public_key(made)[3] == alg
    assert len(credential_id) in ID_BYTES
    answer = bench.get(ids=[credential_id])
    answer.verify(CLIENT_DATA_HASH, public_key(made))
    assert answer.credential["id"] == credential_id
    assert answer.auth_data.rp_id_hash == sha256(b"example.com").digest()
    assert answer.auth_data.flags == FLAG.UP
    assert (answer.user is not None) == rk


def test_discoverable_credentials_are_found_newest_first(bench):
    for number in range(3):
        bench.make(user_id=b"u%d" % number)
    bench.make("other.example", b"u9")
    first = bench.get()
    users = [first.user, *(bench.ctap.get_next_assertion().user for _ in range(2))]
    assert first.number_of_credentials == 3
    assert [user["id"] for user in users] == [b"u2", b"u1", b"u0"]
    with refused(ERR.NOT_ALLOWED):
        bench.ctap.get_next_assertion()


def test_names_are_told_only_with_several_accounts_and_a_verified_user(bench):
    bench.set_pin()
    bench.make(user_id=b"u0")
    assert bench.get(pin=True).user == {"id": b"u0"}
    bench.make(user_id=b"u1")
    assert bench.get().user == {"id": b"u1"}
    assert bench.get(pin=True).user == {"id": b"u1", "name": "alice", "displayName": "Alice"}
    assert bench.ctap.get_next_assertion().user["name"] == "alice"


def test_the_next_assertion_is_forgotten_after_thirty_seconds(bench):
    bench.make(user_id=b"u0")
    bench.make(user_id=b"u1")
    bench.get()
    bench.clock.turned_s += 31
    with refused(ERR.NOT_ALLOWED):
        bench.ctap.get_next_assertion()


def test_another_command_ends_the_list_of_assertions(bench):
    bench.make(user_id=b"u0")
    bench.make(user_id=b"u1")
    bench.get()
    bench.ctap.get_info()
    with refused(ERR.NOT_ALLOWED):
        bench.ctap.get_next_assertion()


def test_a_credential_of_the_same_user_and_rp_replaces_the_old_one(bench):
    old = bench.make().auth_data.credential_data.credential_id
    bench.make(user_id=b"u2")
    new = bench.make().auth_data.credential_data.credential_id
    with refused(ERR.NO_CREDENTIALS):
        bench.get(ids=[old])
    assert bench.get().credential["id"] == new
    assert bench.ctap.get_info().remaining_disc_creds == 126


def test_a_full_key_refuses_new_users_but_replaces_known_ones(make_bench):
    bench = make_bench("small")
    for number in range(3):
        bench.make(user_id=b"u%d" % number)
    with refused(ERR.KEY_STORE_FULL):
        bench.make(user_id=b"u3")
    bench.make(user_id=b"u0")
    bench.make(user_id=b"u3", rk=False)
    assert bench.ctap.get_info().remaining_disc_creds == 0


def test_excluded_credentials_are_refused_after_a_touch(bench):
    for rk in (True, False):
        credential_id = bench.make(rk=rk).auth_data.credential_data.credential_id
        exclude = [{"type": "public-key", "id": b"x" * 64}, {"type": "public-key", "id": credential_id}]
        with refused(ERR.CREDENTIAL_EXCLUDED):
            bench.make(exclude_list=exclude)
        bench.make("other.example", exclude_list=exclude)
    bench.set("touch=refused")
    with refused(ERR.OPERATION_DENIED):
        bench.make(exclude_list=exclude)


@pytest.mark.parametrize(
    ("level", "by_list", "by_list_verified", "silently", "found_verified"),
    [(1, True, True, True, True), (2, True, True, False, True), (3, False, True, False, True)],
)
def test_cred_protect_decides_who_sees_a_credential(bench, level, by_list, by_list_verified, silently, found_verified):
    bench.set_pin()
    made = bench.make(extensions={"credProtect": level})
    ids = [made.auth_data.credential_data.credential_id]
    assert made.auth_data.extensions == {"credProtect": level}

    def sees(**how) -> bool:
        try:
            bench.get(**how)
        except CtapError as error:
            if error.code != ERR.NO_CREDENTIALS:
                raise
            return False
        return True

    assert sees(ids=ids) is by_list
    assert sees(ids=ids, pin=True) is by_list_verified
    assert sees() is silently
    assert sees(pin=True) is found_verified


def test_cred_protect_holds_for_credentials_that_are_not_stored(bench):
    bench.set_pin()
    made = bench.make(rk=False, extensions={"credProtect": 3})
    ids = [made.auth_data.credential_data.credential_id]
    with refused(ERR.NO_CREDENTIALS):
        bench.get(ids=ids)
    bench.get(ids=ids, pin=True).verify(CLIENT_DATA_HASH, public_key(made))


def test_an_excluded_credential_that_needs_the_pin_is_hidden_without_it(bench):
    bench.set_pin()
    made = bench.make(rk=False, extensions={"credProtect": 3})
    exclude = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    bench.make(rk=False, exclude_list=exclude, pin_uv_param=None)
    with refused(ERR.CREDENTIAL_EXCLUDED):
        bench.make(rk=False, exclude_list=exclude)


@pytest.mark.parametrize(("level", "code"), [(0, ERR.INVALID_OPTION), (4, ERR.INVALID_OPTION)])
def test_unknown_levels_of_cred_protect_are_refused(bench, level, code):
    with refused(code):
        bench.make(extensions={"credProtect": level})


def test_unknown_extensions_are_ignored(bench):
    assert bench.make(extensions={"never.heard": {"a": 1}}).auth_data.extensions is None


def test_a_key_without_cred_protect_ignores_it(make_bench):
    assert make_bench("fido2.0").make(extensions={"credProtect": 3}).auth_data.extensions is None


def test_options_are_checked(bench):
    with refused(ERR.INVALID_OPTION):
        bench.ctap.make_credential(
            CLIENT_DATA_HASH,
            {"id": "example.com"},
            {"id": b"u"},
            [{"type": "public-key", "alg": -7}],
            options={"up": False},
        )
    made = bench.make()
    with refused(ERR.INVALID_OPTION):
        bench.get(options={"uv": True})
    with refused(ERR.UNSUPPORTED_OPTION):
        bench.get(options={"rk": True})
    silent = bench.get(options={"up": False})
    assert silent.auth_data.flags == 0
    silent.verify(CLIENT_DATA_HASH, public_key(made))


def test_a_silent_assertion_waits_for_nobody(bench):
    bench.make()
    bench.set("touch=never")
    seen = []
    bench.get(options={"up": False}, on_keepalive=seen.append)
    assert seen == []


def test_the_first_algorithm_offered_that_the_key_has_is_taken(bench):
    made = bench.ctap.make_credential(
        CLIENT_DATA_HASH,
        {"id": "example.com"},
        {"id": b"u"},
        [{"type": "public-key", "alg": alg} for alg in (-257, -8, -7)],
    )
    assert public_key(made)[3] == -8
    with refused(ERR.UNSUPPORTED_ALGORITHM):
        bench.make(alg=-257)


def test_the_counter_grows_by_one_for_all_credentials_together(bench):
    bench.set("counter=41")
    counters = [bench.make(user_id=b"u0").auth_data.counter, bench.make(user_id=b"u1").auth_data.counter]
    counters += [bench.get().auth_data.counter, bench.ctap.get_next_assertion().auth_data.counter]
    assert counters == [42, 43, 44, 45]


def test_a_pin_makes_discoverable_credentials_need_it(bench):
    bench.set_pin()
    with refused(ERR.PUAT_REQUIRED):
        bench.make(pin_uv_param=None)
    bench.make(rk=False, pin_uv_param=None)
    assert bench.make().auth_data.flags == FLAG.UP | FLAG.UV | FLAG.AT


def test_an_old_key_wants_its_pin_for_every_credential(make_bench):
    bench = make_bench("fido2.0")
    bench.set_pin()
    with refused(ERR.PUAT_REQUIRED):
        bench.make(rk=False, pin_uv_param=None)
    assert bench.make(rk=False).auth_data.is_user_verified()


def test_an_empty_pin_parameter_asks_for_a_touch_only(bench):
    for code in (ERR.PIN_NOT_SET, ERR.PIN_INVALID):
        seen = []
        bench.set("touch=after:1")
        with refused(code):
            bench.make(pin_uv_param=b"", pin_uv_protocol=1, on_keepalive=seen.append)
        with refused(code):
            bench.get(pin_uv_param=b"", pin_uv_protocol=1, on_keepalive=seen.append)
        assert seen == [2, 2]
        bench.set("touch=now")
        if code == ERR.PIN_NOT_SET:
            bench.set_pin()


@pytest.mark.parametrize("profile", CTAP2_PROFILES)
def test_the_attestation_verifies_up_to_the_test_root(make_bench, profile):
    bench = make_bench(profile)
    made = bench.make(extensions={"credProtect": 2})
    PackedAttestation().verify(made.att_stmt, made.auth_data, CLIENT_DATA_HASH)
    leaf = x509.load_der_x509_certificate(made.att_stmt["x5c"][0])
    root = x509.load_der_x509_certificate(attestation.root_certificate(bench.folder))
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    aaguid = made.auth_data.credential_data.aaguid
    extension = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(attestation.AAGUID_OID))
    assert extension.value.value == b"\x04\x10" + aaguid
    assert aaguid in VIRTUAL_AAGUIDS
    assert leaf.version is x509.Version.v3
    assert root.subject.rfc4514_string() == "CN=keyctl virtual test root"
    assert "OU=Authenticator Attestation" in leaf.subject.rfc4514_string()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_one_home_folder_has_one_test_root(make_bench, tmp_path):
    first, second = make_bench(name="a"), make_bench("small", name="b")
    issuers = {x509.load_der_x509_certificate(one.make().att_stmt["x5c"][0]).issuer for one in (first, second)}
    assert len(issuers) == 1
    root = attestation.root_certificate(first.folder)
    first.open()
    first.make()
    assert attestation.root_certificate(first.folder) == root
    (tmp_path / "elsewhere").mkdir()
    assert attestation.root_certificate(tmp_path / "elsewhere") != root


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        '{"schema": 2}',
        '{"schema": 1, "pairs": {}}',
        '{"schema": 1, "pairs": {"root": {}}}',
        '{"schema": 1, "pairs": {"root": {"certificate": "00", "private_key": "' + "01" * 32 + '"}}}',
    ],
)
def test_a_damaged_test_root_is_an_error_and_stays(bench, content):
    path = bench.folder / ".test-root.json"
    path.write_text(content)
    with pytest.raises(StoreError):
        bench.make()
    assert path.read_text() == content
    assert bench.ctap.get_info().remaining_disc_creds == 128


def test_names_are_cut_at_a_character(bench):
    bench.make(user={"name": "ä" * 40, "displayName": "x" + "ä" * 40}, rp={"name": "€" * 30})
    (credential,) = bench.device._files.state().credentials
    assert credential.user_name == "ä" * 32
    assert credential.user_display_name == "x" + "ä" * 31
    assert credential.rp_name == "€" * 21


def test_a_wrapped_id_works_for_its_key_and_rp_only(bench, make_bench):
    credential_id = bench.make(rk=False).auth_data.credential_data.credential_id
    with refused(ERR.NO_CREDENTIALS):
        bench.get("evil.example", ids=[credential_id])
    with refused(ERR.NO_CREDENTIALS):
        make_bench().get(ids=[credential_id])
    bench.get(ids=[credential_id])


def test_too_many_ids_in_a_list_are_refused(bench):
    with refused(ERR.LIMIT_EXCEEDED):
        bench.get(ids=[bytes([number]) for number in range(9)])


@given(st.data())
@settings(max_examples=60)
def test_a_changed_wrapped_id_opens_nothing(data):
    secret = bytes(range(32))
    credential = Credential(id=b"", rp_id="example.com", algorithm=-7, private_key=b"k" * 32, protection=2)
    wrapped = credentials.wrap(secret, credential)
    opened = credentials.unwrap(secret, wrapped, "example.com")
    assert opened is not None
    assert (opened.private_key, opened.algorithm, opened.protection) == (b"k" * 32, -7, 2)
    at, flip = data.draw(st.integers(0, len(wrapped) - 1)), data.draw(st.integers(1, 255))
    changed = wrapped[:at] + bytes([wrapped[at] ^ flip]) + wrapped[at + 1 :]
    assert credentials.unwrap(secret, changed, "example.com") is None
    assert credentials.unwrap(secret, wrapped, "example.org") is None
    assert credentials.unwrap(bytes(32), wrapped, "example.com") is None
    assert credentials.unwrap(secret, data.draw(st.binary(max_size=200)), "example.com") is None


def test_get_info_of_every_profile(make_bench):
    for profile in (PROFILES[name] for name in CTAP2_PROFILES):
        info = make_bench(profile.name, name=profile.name).ctap.info
        assert info.versions == list(profile.versions)
        assert info.aaguid == profile.aaguid
        assert ("pinUvAuthToken" in info.options) == profile.permissions
    old, before = PROFILES["fido2.0"], PROFILES["fido2.1-pre"]
    assert (old.pin_protocols, before.pin_protocols) == ((1,), (1,))
    assert {PROFILES[name].aaguid for name in CTAP2_PROFILES} == VIRTUAL_AAGUIDS


def test_answers_are_canonical(bench):
    bench.make()
    request = b"\x02" + cbor.encode({1: "example.com", 2: CLIENT_DATA_HASH})
    for message in (b"\x04", request):
        answer = bench.device.call(0x10, message)
        assert cbor.encode(cbor.decode(answer[1:])) == answer[1:]
    assert Ctap2(bench.device, strict_cbor=True).info.versions
