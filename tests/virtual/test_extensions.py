"""Extensions, driven by python-fido2's WebAuthn client and by hand."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.ctap2.extensions import (
    CredBlobExtension,
    CredProtectExtension,
    HmacSecretExtension,
    LargeBlobExtension,
    MinPinLengthExtension,
)
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2
from fido2.webauthn import (
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

from keyctl.virtual.hmac_secret import cred_random

ERR = CtapError.ERR
SALT1, SALT2 = b"\x01" * 32, b"\x02" * 32
EXTENSIONS = [
    HmacSecretExtension(allow_hmac_secret=True),
    LargeBlobExtension(),
    CredBlobExtension(),
    CredProtectExtension(),
    MinPinLengthExtension(),
]


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


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

    def __init__(self, bench, *, pin: bool = True) -> None:
        self.uv = UserVerificationRequirement.REQUIRED if pin else UserVerificationRequirement.DISCOURAGED
        collector = DefaultClientDataCollector("https://example.com")
        self.client = Fido2Client(bench.device, collector, Person(bench.PIN), EXTENSIONS)

    def register(self, *, rk: bool = True, **extensions: Any):
        """The credential's id and what the extensions said."""
        made = self.client.make_credential(
            PublicKeyCredentialCreationOptions(
                rp=PublicKeyCredentialRpEntity(id="example.com", name="Example"),
                user=PublicKeyCredentialUserEntity(id=b"u1", name="alice", display_name="Alice"),
                challenge=bytes(32),
                pub_key_cred_params=[PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=-7)],
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED if rk else ResidentKeyRequirement.DISCOURAGED,
                    user_verification=self.uv,
                ),
                extensions=extensions,
            )
        )
        return made.raw_id, made.client_extension_results, made.response.attestation_object.auth_data

    def log_in(self, credential_id: bytes | None = None, **extensions: Any):
        """What the extensions said."""
        allowed = [PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential_id)]
        answer = self.client.get_assertion(
            PublicKeyCredentialRequestOptions(
                challenge=bytes(32),
                rp_id="example.com",
                allow_credentials=None if credential_id is None else allowed,
                user_verification=self.uv,
                extensions=extensions,
            )
        ).get_response(0)
        return answer.client_extension_results, answer.response.authenticator_data


@pytest.fixture
def locked(bench):
    bench.set_pin()
    return bench


# hmac-secret


@pytest.mark.parametrize("rk", [True, False])
def test_secrets_depend_on_salt_credential_and_verification(locked, rk):
    site, lax = Site(locked), Site(locked, pin=False)
    first, results, _ = site.register(rk=rk, hmacCreateSecret=True)
    assert results["hmacCreateSecret"] is True
    second, _, _ = site.register(rk=False, hmacCreateSecret=True)
    one = site.log_in(first, hmacGetSecret={"salt1": SALT1})[0].hmac_get_secret
    two = site.log_in(first, hmacGetSecret={"salt1": SALT2, "salt2": SALT1})[0].hmac_get_secret
    assert (one.output1, one.output2) == (two.output2, b"")
    assert len({one.output1, two.output1}) == 2
    unverified, data = lax.log_in(first, hmacGetSecret={"salt1": SALT1})
    assert not data.is_user_verified()
    assert unverified.hmac_get_secret.output1 != one.output1
    assert site.log_in(second, hmacGetSecret={"salt1": SALT1})[0].hmac_get_secret.output1 != one.output1


def test_secrets_come_at_registration_too(locked):
    """As prf, which is how web pages ask; the same secrets come later."""
    site = Site(locked)
    salts = {"eval": {"first": b"f", "second": b"s"}}
    credential_id, made, _ = site.register(prf=salts)
    assert made.prf.enabled is True
    assert len(made.prf.results.first) == len(made.prf.results.second) == 32
    assert site.log_in(credential_id, prf=salts)[0].prf.results == made.prf.results


def test_a_credential_made_without_the_extension_has_secrets(locked):
    credential_id, _, _ = Site(locked).register()
    assert Site(locked).log_in(credential_id, hmacGetSecret={"salt1": SALT1})[0].hmac_get_secret.output1


def test_a_first_generation_key_has_one_secret_whoever_is_verified(make_bench):
    bench = make_bench("fido2.0")
    bench.set_pin()
    credential_id, _, _ = Site(bench).register(hmacCreateSecret=True)
    outputs = {
        Site(bench, pin=pin).log_in(credential_id, hmacGetSecret={"salt1": SALT1})[0].hmac_get_secret.output1
        for pin in (True, False)
    }
    assert len(outputs) == 1


def hmac_input(bench, protocol, salts: bytes, **changes):
    agreement, secret = ClientPin(bench.ctap, protocol)._get_shared_secret()
    salt_enc = protocol.encrypt(secret, salts)
    inputs = {1: agreement, 2: salt_enc, 3: protocol.authenticate(secret, salt_enc), 4: protocol.VERSION}
    return {**inputs, **changes}, secret


@pytest.mark.parametrize("protocol", [PinProtocolV1(), PinProtocolV2()], ids=["one", "two"])
def test_the_secret_is_the_hmac_of_the_salt_under_cred_random(bench, protocol):
    """Both protocols; what the key keeps is looked at to compute it anew."""
    bench.make()
    (credential,) = bench.device._files.state().credentials
    inputs, secret = hmac_input(bench, protocol, SALT1 + SALT2)
    answer = bench.get(extensions={"hmac-secret": inputs}).auth_data.extensions["hmac-secret"]
    key = cred_random(credential.private_key, verified=False)
    assert protocol.decrypt(secret, answer) == b"".join(hmac.digest(key, salt, "sha256") for salt in (SALT1, SALT2))


def test_protocol_one_is_taken_where_none_is_named(bench):
    bench.make()
    inputs, _ = hmac_input(bench, PinProtocolV1(), SALT1)
    del inputs[4]
    assert "hmac-secret" in bench.get(extensions={"hmac-secret": inputs}).auth_data.extensions


@pytest.mark.parametrize(
    ("salts", "changes", "code"),
    [
        (SALT1, {3: bytes(32)}, ERR.PIN_AUTH_INVALID),
        (SALT1, {3: b""}, ERR.PIN_AUTH_INVALID),
        (SALT1[:16], {}, ERR.INVALID_PARAMETER),
        (SALT1 * 3, {}, ERR.INVALID_PARAMETER),
        (b"", {}, ERR.INVALID_PARAMETER),
        (SALT1, {4: 3}, ERR.INVALID_PARAMETER),
        (SALT1, {1: {1: 2}}, ERR.INVALID_PARAMETER),
        (SALT1, {2: "text"}, ERR.CBOR_UNEXPECTED_TYPE),
    ],
)
def test_bad_salts_are_refused_before_the_touch(bench, salts, changes, code):
    bench.make()
    bench.set("touch=refused")
    inputs, _ = hmac_input(bench, PinProtocolV2(), salts)
    with refused(code):
        bench.get(extensions={"hmac-secret": {**inputs, **changes}})
    with refused(code):
        bench.make(extensions={"hmac-secret": True, "hmac-secret-mc": {**inputs, **changes}})


@pytest.mark.parametrize("protocol", [PinProtocolV1(), PinProtocolV2()], ids=["one", "two"])
@pytest.mark.parametrize("size", [1, 15, 33])
def test_salts_that_cannot_be_decrypted_are_refused(bench, protocol, size):
    bench.make()
    inputs, secret = hmac_input(bench, protocol, SALT1)
    inputs = {**inputs, 2: bytes(size), 3: protocol.authenticate(secret, bytes(size))}
    with refused(ERR.INVALID_PARAMETER):
        bench.get(extensions={"hmac-secret": inputs})


def test_no_secret_comes_without_a_touch(bench):
    bench.make()
    inputs, _ = hmac_input(bench, PinProtocolV2(), SALT1)
    with refused(ERR.UNSUPPORTED_OPTION):
        bench.get(extensions={"hmac-secret": inputs}, options={"up": False})
    with refused(ERR.MISSING_PARAMETER):
        bench.make(extensions={"hmac-secret-mc": inputs})
    with refused(ERR.CBOR_UNEXPECTED_TYPE):
        bench.get(extensions={"hmac-secret": True})


def test_the_next_assertion_has_its_own_secret(bench):
    for number in range(2):
        bench.make(user_id=b"u%d" % number)
    inputs, secret = hmac_input(bench, PinProtocolV2(), SALT1)
    answers = [bench.get(extensions={"hmac-secret": inputs}), bench.ctap.get_next_assertion()]
    outputs = {PinProtocolV2().decrypt(secret, one.auth_data.extensions["hmac-secret"]) for one in answers}
    assert len(outputs) == 2


# credBlob, largeBlobKey, minPinLength


def test_a_blob_of_32_bytes_is_kept(locked):
    site = Site(locked)
    credential_id, _, data = site.register(credBlob=b"b" * 32)
    assert data.extensions["credBlob"] is True
    locked.open()
    assert site.log_in(getCredBlob=True)[1].extensions == {"credBlob": b"b" * 32}
    assert site.log_in(credential_id)[1].extensions is None


def test_what_has_no_blob_answers_with_an_empty_one(bench):
    assert bench.make(rk=False, extensions={"credBlob": b"b"}).auth_data.extensions == {"credBlob": False}
    assert bench.make(extensions={"credBlob": b"b" * 33}).auth_data.extensions == {"credBlob": False}
    assert bench.get(extensions={"credBlob": True}).auth_data.extensions == {"credBlob": b""}
    assert bench.get(extensions={"credBlob": False}).auth_data.extensions is None
    with refused(ERR.CBOR_UNEXPECTED_TYPE):
        bench.make(extensions={"credBlob": True})


def test_a_large_blob_key_belongs_to_a_stored_credential(bench):
    made = bench.make(extensions={"largeBlobKey": True})
    assert len(made.large_blob_key) == 32
    bench.open()
    asked = bench.get(extensions={"largeBlobKey": True})
    assert asked.large_blob_key == made.large_blob_key
    assert asked.auth_data.extensions is None
    assert bench.get().large_blob_key is None
    assert bench.make(user_id=b"u2").large_blob_key is None
    assert bench.get(extensions={"largeBlobKey": True}).large_blob_key is None
    for rk, wish in ((False, True), (True, False)):
        with refused(ERR.INVALID_OPTION):
            bench.make(rk=rk, extensions={"largeBlobKey": wish})
    with refused(ERR.INVALID_OPTION):
        bench.get(extensions={"largeBlobKey": False})


def test_a_site_stores_a_large_blob(locked):
    site = Site(locked)
    credential_id, results, _ = site.register(largeBlob={"support": "required"})
    assert results.large_blob.supported is True
    assert site.log_in(credential_id, largeBlob={"write": b"note" * 200})[0].large_blob.written is True
    assert site.log_in(credential_id, largeBlob={"read": True})[0].large_blob.blob == b"note" * 200


def test_only_the_chosen_rps_learn_the_minimum_pin_length(bench):
    assert bench.make(extensions={"minPinLength": True}).auth_data.extensions is None
    bench.ctap.config(3, {1: 6, 2: ["example.com"]})
    assert bench.make(extensions={"minPinLength": True}).auth_data.extensions == {"minPinLength": 6}
    assert bench.make(extensions={"minPinLength": False}).auth_data.extensions is None
    assert bench.make("example.org", extensions={"minPinLength": True}).auth_data.extensions is None
    bench.set_pin("123456")
    bench.PIN = "123456"
    assert Site(bench).register(minPinLength=True)[2].extensions == {"minPinLength": 6}


def test_a_site_protects_a_credential(locked):
    credential_id, _, data = Site(locked).register(
        rk=False, credentialProtectionPolicy="userVerificationRequired", enforceCredentialProtectionPolicy=True
    )
    assert data.extensions == {"credProtect": 3}
    assert Site(locked).log_in(credential_id)[1].is_user_verified()
    with refused(ERR.NO_CREDENTIALS):
        locked.get(ids=[credential_id])


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre"])
def test_older_keys_ignore_what_they_do_not_know(make_bench, profile):
    bench = make_bench(profile)
    wishes = {"credBlob": 1, "largeBlobKey": False, "minPinLength": 2, "hmac-secret-mc": 3}
    assert bench.make(extensions=wishes).auth_data.extensions is None
    answer = bench.get(extensions={"credBlob": 1, "largeBlobKey": False})
    assert (answer.large_blob_key, answer.auth_data.extensions) == (None, None)
    assert Ctap2(bench.device).info.max_cred_blob_length == 0
