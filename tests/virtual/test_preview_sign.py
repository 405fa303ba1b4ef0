"""previewSign, driven by python-fido2's client, which derives the public keys by its own ARKG, and by hand."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.attestation import PackedAttestation
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.cose import ARKG_P256_PLACEHOLDER, ES256, CoseKey
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2
from fido2.ctap2.extensions import PreviewSignExtension
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AuthenticatorData,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from hypothesis import given
from hypothesis import strategies as st

from keyctl.virtual import keys
from keyctl.virtual.attestation import root_certificate
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.quirks import Quirk

ERR = CtapError.ERR
FLAG = AuthenticatorData.FLAG
PERMISSION = ClientPin.PERMISSION
CLIENT_DATA_HASH = bytes(range(32))
ESP256_SPLIT = -65539
MESSAGE = b"what is signed"
DIGEST = sha256(MESSAGE).digest()
IKM = bytes(range(32))
CTX = b"kc1:test"
UNATTENDED, TOUCH, TOUCH_AND_PIN = 0b000, 0b001, 0b101
STATUSES = {
    ERR.SUCCESS,
    ERR.CBOR_UNEXPECTED_TYPE,
    ERR.INVALID_CBOR,
    ERR.INVALID_CREDENTIAL,
    ERR.INVALID_LENGTH,
    ERR.INVALID_OPTION,
    ERR.MISSING_PARAMETER,
}


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


@pytest.fixture
def bench(make_bench):
    return make_bench("arkg", name="blue")


@pytest.fixture
def locked(bench):
    bench.set_pin()
    return bench


# python-fido2's client


class Person(UserInteraction):
    """Touches when asked and knows the PIN."""

    def __init__(self, pin: str) -> None:
        self.pin = pin

    def prompt_up(self) -> None:
        pass

    def request_pin(self, *_asked):
        return self.pin

    def request_uv(self, *_asked):
        return True


class Site:
    """example.com in a browser with one key."""

    def __init__(self, bench) -> None:
        collector = DefaultClientDataCollector("https://example.com")
        self.client = Fido2Client(bench.device, collector, Person(bench.PIN), [PreviewSignExtension()])

    def register(self, *, rk: bool = True, uv=UserVerificationRequirement.REQUIRED):
        """The credential's id and the key generated for signing."""
        made = self.client.make_credential(
            PublicKeyCredentialCreationOptions(
                rp=PublicKeyCredentialRpEntity(id="example.com", name="Example"),
                user=PublicKeyCredentialUserEntity(id=b"u1", name="alice", display_name="Alice"),
                challenge=bytes(32),
                pub_key_cred_params=[PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=-7)],
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED if rk else ResidentKeyRequirement.DISCOURAGED,
                    user_verification=uv,
                ),
                extensions={"previewSign": {"generateKey": {"algorithms": [-7, ESP256_SPLIT]}}},
            )
        )
        outputs = made.client_extension_results.preview_sign
        return made.raw_id, None if outputs is None else outputs.generated_key

    def sign(self, credential_id: bytes, key_handle: bytes, arguments: Any) -> bytes:
        """The signature over DIGEST."""
        wish = {
            "keyHandle": websafe_encode(key_handle),
            "tbs": websafe_encode(DIGEST),
            "additionalArgs": websafe_encode(cbor.encode(arguments)),
        }
        answer = self.client.get_assertion(
            PublicKeyCredentialRequestOptions(
                challenge=bytes(32),
                rp_id="example.com",
                allow_credentials=[
                    PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential_id)
                ],
                user_verification=UserVerificationRequirement.REQUIRED,
                extensions={"previewSign": {"signByCredential": {websafe_encode(credential_id): wish}}},
            )
        ).get_response(0)
        return answer.client_extension_results.preview_sign.signature


@pytest.mark.parametrize("rk", [True, False])
def test_a_client_gets_a_seed_and_signatures_by_keys_derived_from_it(locked, rk):
    site = Site(locked)
    credential_id, key = site.register(rk=rk)
    assert key.algorithm == ESP256_SPLIT
    seed = CoseKey.parse(cbor.decode(key.public_key))
    assert isinstance(seed, ARKG_P256_PLACEHOLDER)
    locked.replug()
    for context in (b"", CTX, b"x" * 64):
        public_key, arguments = seed.derive_public_key(IKM, context)
        public_key.verify(MESSAGE, Site(locked).sign(credential_id, key.key_handle, arguments))


@pytest.mark.parametrize(
    ("uv", "flags"),
    [(UserVerificationRequirement.REQUIRED, TOUCH_AND_PIN), (UserVerificationRequirement.PREFERRED, TOUCH)],
)
def test_the_client_asks_for_the_pin_only_where_it_requires_it(locked, uv, flags):
    _, key = Site(locked).register(uv=uv)
    assert key.attestation_object.auth_data.extensions == {"previewSign": {4: flags}}


def test_a_client_that_does_not_ask_for_the_pin_gets_no_seed(locked):
    """The key has a PIN, so nothing but a PIN token brings a seed; the credential is made all the same."""
    credential_id, key = Site(locked).register(rk=False, uv=UserVerificationRequirement.DISCOURAGED)
    assert key is None
    locked.get(ids=[credential_id])


# By hand


class Signer:
    """A credential with a seed, and what a relying party knows of it."""

    def __init__(self, bench, flags: int | None = TOUCH_AND_PIN, **more: Any) -> None:
        self.bench = bench
        wish = {3: [ESP256_SPLIT]} if flags is None else {3: [ESP256_SPLIT], 4: flags}
        self.made = bench.make(extensions={"previewSign": wish, **more.pop("extensions", {})}, **more)
        self.credential_id = self.made.auth_data.credential_data.credential_id
        encoded = self.made.unsigned_extension_outputs["previewSign"][7]
        self.attested = cbor.decode(encoded)
        self.data = AuthenticatorData(self.attested[2])
        self.handle = self.data.credential_data.credential_id
        self.derive()

    def derive(self, ctx: bytes = CTX) -> None:
        """A key for *ctx*, by python-fido2."""
        self.public_key, self.arguments = self.data.credential_data.public_key.derive_public_key(IKM, ctx)

    def inputs(self, **changes: Any):
        """What getAssertion is given; None leaves an entry out."""
        arguments = {**self.arguments, **changes.pop("arguments", {})}
        kept = {number: value for number, value in arguments.items() if value is not None}
        inputs = {"h2": self.handle, "t6": DIGEST, "a7": cbor.encode(kept), **changes}
        return {"previewSign": {int(name[1:]): value for name, value in inputs.items() if value is not None}}

    def sign(self, *, pin: bool = True, up: bool | None = None, ids: Any = (), **changes: Any):
        """The assertion."""
        return self.bench.get(
            ids=[self.credential_id] if ids == () else ids,
            pin=pin,
            options=None if up is None else {"up": up},
            extensions=self.inputs(**changes),
        )

    def verify(self, answer) -> None:
        """Both signatures of *answer*."""
        answer.verify(CLIENT_DATA_HASH, self.made.auth_data.credential_data.public_key)
        self.public_key.verify(MESSAGE, answer.auth_data.extensions["previewSign"][6])


def test_get_info_has_the_extension_only_where_the_profile_does(bench, make_bench):
    info = bench.ctap.info
    assert info.extensions == [*PROFILES["full"].extensions, "previewSign"]
    assert (info.max_large_blob, info.max_cred_blob_length, info.options["largeBlobs"]) == (4096, 32, True)
    full = make_bench("full")
    assert "previewSign" not in full.ctap.info.extensions
    made = full.make(extensions={"previewSign": {3: [ESP256_SPLIT], 4: 0b111}})
    assert (made.auth_data.extensions, made.unsigned_extension_outputs) == (None, {})
    assert full.get(extensions={"previewSign": {}}).auth_data.extensions is None


def test_what_the_seed_is_attested_with(locked):
    signer = Signer(locked)
    outer, inner = signer.made.auth_data, signer.data
    assert outer.extensions == {"previewSign": {3: ESP256_SPLIT}}
    assert (signer.attested[1], signer.attested[3]) == ("none", {})
    assert inner.rp_id_hash == outer.rp_id_hash == sha256(b"example.com").digest()
    assert inner.flags == outer.flags == FLAG.UP | FLAG.UV | FLAG.AT | FLAG.ED
    assert inner.counter == 0
    assert inner.credential_data.aaguid == outer.credential_data.aaguid == PROFILES["arkg"].aaguid
    assert inner.credential_data.credential_id != signer.credential_id
    assert inner.extensions == {"previewSign": {4: TOUCH_AND_PIN}}
    seed = inner.credential_data.public_key
    assert (seed[1], seed[3], seed[-3]) == (-65537, -65700, -9)
    assert (seed[-1][3], seed[-2][3]) == (-7, -25)
    assert bytes(inner) == inner.rp_id_hash + bytes([inner.flags]) + bytes(4) + inner.credential_data + cbor.encode(
        inner.extensions
    )


@pytest.mark.parametrize("flags", [None, UNATTENDED, TOUCH, TOUCH_AND_PIN])
def test_without_a_pin_a_key_makes_seeds_of_every_policy(bench, flags):
    signer = Signer(bench, flags)
    assert signer.data.extensions == {"previewSign": {4: TOUCH if flags is None else flags}}
    if flags == TOUCH_AND_PIN:
        bench.set_pin()
    signer.verify(signer.sign(pin=flags == TOUCH_AND_PIN))


def test_every_seed_is_a_new_one(bench):
    one, other = Signer(bench, TOUCH), Signer(bench, TOUCH, user_id=b"u2")
    assert one.data.credential_data.public_key != other.data.credential_data.public_key
    assert one.handle != other.handle


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (True, ERR.CBOR_UNEXPECTED_TYPE),
        ({3: [ESP256_SPLIT], 4: 0b010}, ERR.INVALID_OPTION),
        ({3: [ESP256_SPLIT], 4: 0b100}, ERR.INVALID_OPTION),
        ({3: [ESP256_SPLIT], 4: 0b111}, ERR.INVALID_OPTION),
        ({3: [ESP256_SPLIT], 4: -1}, ERR.INVALID_OPTION),
        ({3: [1], 4: 0b010}, ERR.INVALID_OPTION),
        ({4: 0b010}, ERR.INVALID_OPTION),
        ({3: [ESP256_SPLIT], 4: True}, ERR.CBOR_UNEXPECTED_TYPE),
        ({4: TOUCH}, ERR.MISSING_PARAMETER),
        ({3: ESP256_SPLIT, 4: TOUCH}, ERR.CBOR_UNEXPECTED_TYPE),
        ({3: [ESP256_SPLIT, 7], 4: TOUCH}, ERR.CBOR_UNEXPECTED_TYPE),
        ({3: ["ESP256"], 4: TOUCH}, ERR.CBOR_UNEXPECTED_TYPE),
        ({3: [], 4: TOUCH}, ERR.UNSUPPORTED_ALGORITHM),
        ({3: [-7, -9, -65700], 4: TOUCH}, ERR.UNSUPPORTED_ALGORITHM),
    ],
)
def test_wrong_wishes_are_refused_before_the_touch(locked, wish, code):
    locked.set("touch=refused")
    with refused(code):
        locked.make(extensions={"previewSign": wish})


def test_with_a_pin_set_a_request_without_it_brings_no_seed(locked):
    made = locked.make(
        rk=False, pin_uv_param=None, extensions={"previewSign": {3: [ESP256_SPLIT], 4: TOUCH}, "hmac-secret": True}
    )
    assert made.auth_data.extensions == {"hmac-secret": True}
    assert made.unsigned_extension_outputs == {}
    assert locked.device._files.state().signing_seeds == ()


@pytest.mark.parametrize("flags", [UNATTENDED, TOUCH, TOUCH_AND_PIN])
def test_a_signature_takes_what_the_policy_says(locked, flags):
    """A touch is checked for before the PIN is; the missing PIN costs a touch."""
    signer = Signer(locked, flags)
    signer.verify(signer.sign())
    locked.set("touch=refused")
    if flags == UNATTENDED:
        for pin in (True, False):
            signer.verify(signer.sign(pin=pin, up=False))
        return
    for pin in (True, False):
        with refused(ERR.UP_REQUIRED):
            signer.sign(pin=pin, up=False)
    with refused(ERR.OPERATION_DENIED):
        signer.sign(pin=False)
    locked.set("touch=now")
    if flags == TOUCH:
        signer.verify(signer.sign(pin=False))
        return
    with refused(ERR.PUAT_REQUIRED):
        signer.sign(pin=False)
    counter = locked.get(ids=[signer.credential_id]).auth_data.counter
    assert signer.sign().auth_data.counter == counter + 1


def test_protection_hides_the_credential_before_the_policy_is_looked_at(locked):
    signer = Signer(locked, extensions={"credProtect": 3})
    for up in (False, True):
        with refused(ERR.NO_CREDENTIALS):
            signer.sign(pin=False, up=up)
    with refused(ERR.UP_REQUIRED):
        signer.sign(up=False)
    signer.verify(signer.sign())


def test_under_always_uv_the_pin_is_asked_for_before_anything_else(locked):
    signer = Signer(locked)
    locked.ctap.config(2, pin_uv_protocol=2, pin_uv_param=config_parameter(locked, 2))
    with refused(ERR.PUAT_REQUIRED):
        signer.sign(pin=False, ids=None)
    with refused(ERR.PUAT_REQUIRED):
        locked.make(rk=False, pin_uv_param=None, extensions={"previewSign": {3: [ESP256_SPLIT]}})
    signer.verify(signer.sign())


def config_parameter(bench, subcommand: int) -> bytes:
    """PinUvAuthParam of authenticatorConfig."""
    message = b"\xff" * 32 + b"\x0d" + bytes([subcommand])
    return bench.pin.protocol.authenticate(bench.token(PERMISSION.AUTHENTICATOR_CFG), message)


@pytest.mark.parametrize("ids", [None, []])
def test_the_credential_must_be_named(locked, ids):
    """Also one that would be found without."""
    signer = Signer(locked)
    locked.set("touch=refused")
    with refused(ERR.INVALID_OPTION):
        signer.sign(ids=ids)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"h2": None}, ERR.INVALID_OPTION),
        ({"t6": None}, ERR.INVALID_OPTION),
        ({"h2": "text"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"t6": 5}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"h2": b""}, ERR.INVALID_CREDENTIAL),
        ({"h2": bytes(64)}, ERR.INVALID_CREDENTIAL),
        ({"h2": bytes(64), "a7": None}, ERR.INVALID_CREDENTIAL),
        ({"a7": None}, ERR.MISSING_PARAMETER),
        ({"a7": {}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"a7": b""}, ERR.INVALID_CBOR),
        ({"a7": b"\x03"}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"a7": b"\xa0\x00"}, ERR.INVALID_CBOR),
        ({"a7": b"\xa2\x03\x00\x03\x00"}, ERR.INVALID_CBOR),
        ({"arguments": {3: -9}}, ERR.INVALID_CREDENTIAL),
        ({"arguments": {3: None}}, ERR.INVALID_CREDENTIAL),
        ({"arguments": {3: "-65539"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"arguments": {-1: None}}, ERR.MISSING_PARAMETER),
        ({"arguments": {-2: None}}, ERR.MISSING_PARAMETER),
        ({"arguments": {-2: "text"}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"t6": DIGEST[:31]}, ERR.INVALID_LENGTH),
        ({"t6": DIGEST + b"\0"}, ERR.INVALID_LENGTH),
        ({"t6": b""}, ERR.INVALID_LENGTH),
    ],
)
def test_wrong_requests_are_refused_before_the_touch_and_the_policy(locked, changes, code):
    signer = Signer(locked)
    locked.set("touch=refused")
    for up in (None, False):
        with refused(code):
            signer.sign(up=up, **changes)


def test_what_is_no_map_is_refused(locked):
    signer = Signer(locked)
    with refused(ERR.CBOR_UNEXPECTED_TYPE):
        locked.get(ids=[signer.credential_id], extensions={"previewSign": True})


def test_a_request_without_handle_or_digest_is_refused_whether_or_not_there_is_a_credential(locked):
    signer = Signer(locked)
    for changes in ({"h2": None}, {"t6": None}):
        with refused(ERR.INVALID_OPTION):
            signer.sign(ids=[bytes(64)], **changes)
    with refused(ERR.NO_CREDENTIALS):
        signer.sign(ids=[bytes(64)])


def test_a_handle_is_of_one_credential(locked):
    one, other = Signer(locked), Signer(locked, user_id=b"u2")
    with refused(ERR.INVALID_CREDENTIAL):
        one.sign(ids=[other.credential_id])
    with refused(ERR.INVALID_CREDENTIAL):
        one.sign(ids=[other.credential_id, one.credential_id])
    with refused(ERR.INVALID_CREDENTIAL):
        one.sign(h2=other.handle)
    plain = locked.make(user_id=b"u3").auth_data.credential_data.credential_id
    with refused(ERR.INVALID_CREDENTIAL):
        one.sign(ids=[plain])


def changed(handle: bytes, at: int) -> bytes:
    return handle[:at] + bytes([handle[at] ^ 1]) + handle[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arguments: {-1: changed(arguments[-1], 0)},
        lambda arguments: {-1: changed(arguments[-1], 16)},
        lambda arguments: {-1: changed(arguments[-1], 80)},
        lambda arguments: {-1: arguments[-1][:-1]},
        lambda _: {-1: b""},
        lambda _: {-2: b"kc1:other"},
        lambda _: {-2: b"x" * 65},
    ],
)
def test_a_key_that_is_not_derived_from_the_seed_is_refused(locked, spoil):
    """After the policy: who may not sign does not learn whether the handle is one."""
    signer = Signer(locked)
    with refused(ERR.INVALID_CREDENTIAL):
        signer.sign(arguments=spoil(signer.arguments))
    with refused(ERR.UP_REQUIRED):
        signer.sign(up=False, arguments=spoil(signer.arguments))
    with refused(ERR.PUAT_REQUIRED):
        signer.sign(pin=False, arguments=spoil(signer.arguments))


ANY = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.booleans() | st.binary(max_size=90) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(-3, 8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """A key, and a request for a signature that it would make; kept whatever the examples do to it."""
    folder = tmp_path_factory.mktemp("victim") / "virtual"
    keys.new(folder, "blue", "arkg")
    ctap = Ctap2(VirtualDevice(folder, "blue"))
    made = ctap.make_credential(
        CLIENT_DATA_HASH,
        {"id": "example.com", "name": "Example"},
        {"id": b"u1", "name": "alice"},
        [{"type": "public-key", "alg": -7}],
        extensions={"previewSign": {3: [ESP256_SPLIT], 4: TOUCH}},
    )
    seed = AuthenticatorData(cbor.decode(made.unsigned_extension_outputs["previewSign"][7])[2]).credential_data
    _, arguments = seed.public_key.derive_public_key(IKM, CTX)
    descriptor = {"type": "public-key", "id": made.auth_data.credential_data.credential_id}
    return ctap, descriptor, {2: seed.credential_id, 6: DIGEST}, arguments


@given(
    st.dictionaries(st.sampled_from([2, 6, 7]), ANY, max_size=2),
    st.dictionaries(st.sampled_from([3, -1, -2]), ANY, max_size=2),
)
def test_random_inputs_get_a_signature_or_a_status(victim, inputs, arguments):
    ctap, descriptor, valid, valid_arguments = victim
    sent = {**valid, 7: cbor.encode({**valid_arguments, **arguments}), **inputs}
    try:
        answer = ctap.get_assertion("example.com", CLIENT_DATA_HASH, [descriptor], {"previewSign": sent})
    except CtapError as error:
        status = error.code
    else:
        status = ERR.SUCCESS
        assert answer.auth_data.extensions["previewSign"][6].startswith(b"\x30")
    assert status in STATUSES


def test_entries_of_the_arguments_that_nobody_knows_are_ignored(locked):
    signer = Signer(locked)
    signer.verify(signer.sign(arguments={42: 1337}))


def test_outputs_stand_beside_those_of_other_extensions(locked):
    signer = Signer(locked, extensions={"credBlob": b"blob", "credProtect": 2, "largeBlobKey": True})
    assert signer.made.auth_data.extensions == {
        "credBlob": True,
        "credProtect": 2,
        "previewSign": {3: ESP256_SPLIT},
    }
    assert len(signer.made.large_blob_key) == 32
    answer = locked.get(
        ids=[signer.credential_id], pin=True, extensions={**signer.inputs(), "credBlob": True, "largeBlobKey": True}
    )
    assert answer.auth_data.extensions["credBlob"] == b"blob"
    assert answer.large_blob_key == signer.made.large_blob_key
    signer.verify(answer)


def test_a_discoverable_credential_is_still_found_without_the_extension(locked):
    signer = Signer(locked)
    assert locked.get(pin=True).credential["id"] == signer.credential_id


# What is kept


def seeds_in_file(bench) -> list[dict[str, Any]]:
    content = json.loads((bench.folder / f"{bench.name}.json").read_text(encoding="utf-8"))
    return content["signing_seeds"]


@pytest.mark.parametrize("rk", [True, False])
def test_a_seed_outlives_the_power(locked, rk):
    signer = Signer(locked, rk=rk)
    locked.replug()
    signer.verify(signer.sign())
    assert [seed["credential_id"] for seed in seeds_in_file(locked)] == [signer.credential_id.hex()]


@pytest.mark.parametrize("rk", [True, False])
def test_a_reset_erases_the_seeds(locked, rk):
    signer = Signer(locked, rk=rk)
    locked.device.power_cycle()
    locked.ctap.reset()
    assert seeds_in_file(locked) == []
    locked.set_pin()
    with refused(ERR.NO_CREDENTIALS):
        signer.sign()


def test_a_seed_dies_with_its_credential(locked):
    signer, other = Signer(locked), Signer(locked, user_id=b"u2")
    locked.management().delete_cred({"type": "public-key", "id": signer.credential_id})
    with refused(ERR.NO_CREDENTIALS):
        signer.sign()
    assert [seed["credential_id"] for seed in seeds_in_file(locked)] == [other.credential_id.hex()]
    other.verify(other.sign())


def test_a_seed_stays_when_its_user_is_renamed(locked):
    signer = Signer(locked)
    descriptor = {"type": "public-key", "id": signer.credential_id}
    locked.management().update_user_info(descriptor, {"id": b"u1", "name": "bob"})
    signer.verify(signer.sign())


def test_a_credential_that_takes_the_place_of_another_ends_its_seed(locked):
    signer, other = Signer(locked), Signer(locked)
    assert [seed["credential_id"] for seed in seeds_in_file(locked)] == [other.credential_id.hex()]
    with refused(ERR.NO_CREDENTIALS):
        signer.sign()
    other.verify(other.sign())


def test_a_key_full_of_seeds_makes_no_more(locked):
    """Those of credentials that are not stored count too."""
    signer = Signer(locked, rk=False)
    path = locked.folder / f"{locked.name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    (seed,) = content["signing_seeds"]
    content["signing_seeds"] = [seed, *({**seed, "handle": f"{number:0128x}"} for number in range(127))]
    path.write_text(json.dumps(content), encoding="utf-8")
    locked.set("touch=refused")
    for rk in (True, False):
        with refused(ERR.KEY_STORE_FULL):
            Signer(locked, rk=rk)
    locked.set("touch=now")
    locked.make()
    signer.verify(signer.sign())


# Quirks


def test_a_seed_can_be_attested_by_the_certificate_of_the_key(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_PACKED}")
    signer = Signer(locked)
    assert signer.attested[1] == "packed"
    statement = signer.attested[3]
    PackedAttestation().verify(statement, signer.data, CLIENT_DATA_HASH)
    assert statement["x5c"] == signer.made.att_stmt["x5c"]
    leaf = x509.load_der_x509_certificate(statement["x5c"][0])
    leaf.verify_directly_issued_by(x509.load_der_x509_certificate(root_certificate(locked.folder)))
    signer.verify(signer.sign())


def test_a_self_attestation_has_no_certificate(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_SELF_ATTESTED}")
    signer = Signer(locked)
    assert (signer.attested[1], signer.attested[3].keys()) == ("packed", {"alg", "sig"})
    blinding = ES256(signer.data.credential_data.public_key[-1])
    blinding.verify(signer.attested[2] + CLIENT_DATA_HASH, signer.attested[3]["sig"])


def test_an_omitted_extension_leaves_a_credential_behind(locked):
    signer = Signer(locked)
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_OMITTED}")
    made = locked.make(user_id=b"u2", extensions={"previewSign": {3: [ESP256_SPLIT], 4: TOUCH_AND_PIN}})
    assert (made.auth_data.extensions, made.unsigned_extension_outputs) == (None, {})
    assert len(locked.management().enumerate_creds(sha256(b"example.com").digest())) == 2
    assert signer.sign().auth_data.extensions is None


def test_flags_0_are_made_and_told_whatever_was_asked(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_FLAGS_0}")
    signer = Signer(locked, TOUCH_AND_PIN)
    assert signer.data.extensions == {"previewSign": {4: UNATTENDED}}
    signer.verify(signer.sign(pin=False, up=False))


def test_an_unguarded_seed_signs_without_touch_and_pin(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_UNGUARDED}")
    signer = Signer(locked)
    assert signer.data.extensions == {"previewSign": {4: TOUCH_AND_PIN}}
    signer.verify(signer.sign(pin=False, up=False))
    signer.verify(signer.sign(pin=False))


def test_another_aaguid_stands_in_the_attestation_of_the_seed_only(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_WRONG_AAGUID}")
    signer = Signer(locked)
    assert signer.made.auth_data.credential_data.aaguid == PROFILES["arkg"].aaguid
    assert signer.data.credential_data.aaguid != PROFILES["arkg"].aaguid


def test_a_foreign_seed_does_not_verify(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_FOREIGN_SEED}")
    signer = Signer(locked)
    answer = signer.sign()
    answer.verify(CLIENT_DATA_HASH, signer.made.auth_data.credential_data.public_key)
    with pytest.raises(InvalidSignature):
        signer.verify(answer)
    locked.set("quirk=none")
    with refused(ERR.INVALID_CREDENTIAL):
        signer.sign()


def test_without_large_blobs_there_is_nothing_of_them(locked):
    locked.set(f"quirk={Quirk.PREVIEW_SIGN_NO_LARGE_BLOB}")
    info = Ctap2(locked.device).info
    assert not info.max_large_blob
    assert "largeBlobs" not in info.options
    assert "largeBlobKey" not in info.extensions
    with refused(ERR.INVALID_COMMAND):
        locked.ctap.large_blobs(0, get=100)
    signer = Signer(locked, extensions={"largeBlobKey": True})
    assert signer.made.large_blob_key is None
    signer.verify(signer.sign())
    listed = locked.management().enumerate_creds(sha256(b"example.com").digest())
    assert CredentialManagement.RESULT.LARGE_BLOB_KEY not in listed[0]
