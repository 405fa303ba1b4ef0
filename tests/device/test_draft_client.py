"""What a browser gets from a key with the draft extension, and what keys say instead."""

from __future__ import annotations

import pytest
from fido2.webauthn import (
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
)

from keyctl.device import draft_client, virtual_keys
from keyctl.errors import NotFoundError, PinError, TouchError, UnreachableError, UnsupportedError

PIN = "123456"
SITE = "example.com"
ORIGIN = f"https://{SITE}"
KIND = PublicKeyCredentialType.PUBLIC_KEY
STATE = {"recovery": {"action": "state"}}


def creation(extensions: object = None, rp_id: str = SITE) -> PublicKeyCredentialCreationOptions:
    return PublicKeyCredentialCreationOptions(
        rp=PublicKeyCredentialRpEntity(id=rp_id, name=rp_id),
        user=PublicKeyCredentialUserEntity(id=b"kim", name="kim"),
        challenge=bytes(32),
        pub_key_cred_params=[PublicKeyCredentialParameters(type=KIND, alg=-7)],
        extensions=extensions,
    )


def request(credential_id: bytes, extensions: object = None) -> PublicKeyCredentialRequestOptions:
    return PublicKeyCredentialRequestOptions(
        challenge=bytes(32),
        rp_id=SITE,
        allow_credentials=[PublicKeyCredentialDescriptor(type=KIND, id=credential_id)],
        extensions=extensions,
    )


def test_the_sites_input_reaches_the_key_and_its_output_the_site(make_bench):
    bench = make_bench("draft", pin=PIN)
    with draft_client.opened(bench.home, bench.name, ORIGIN, PIN) as client:
        made = client.create(creation(STATE))
        data = made.response.attestation_object.auth_data
        assert data.extensions == {"recovery": {"action": "state", "state": 0}}
        answer = client.get(request(made.raw_id, {"recovery": {"action": "generate"}}))
        assert answer.response.authenticator_data.extensions["recovery"] == {
            "action": "generate",
            "state": 0,
            "creds": [],
        }
        plain = client.get(request(made.raw_id))
        assert plain.response.authenticator_data.extensions is None


def test_keys_without_the_extension_are_not_given_it(make_bench):
    bench = make_bench("full", pin=PIN)
    with draft_client.opened(bench.home, bench.name, ORIGIN, PIN) as client:
        made = client.create(creation(STATE))
        assert made.response.attestation_object.auth_data.extensions is None
        assert client.get(request(made.raw_id, STATE)).response.authenticator_data.extensions is None


@pytest.mark.parametrize(
    ("settings", "pin", "options", "error", "code"),
    [
        ((), PIN, request(bytes(64)), NotFoundError, "passkey_not_found"),
        ((), "wrong", creation(), PinError, "pin_wrong"),
        (("touch=refused",), PIN, creation(), TouchError, "touch_refused"),
        ((), PIN, creation({"recovery": {"action": "erase"}}), UnsupportedError, "unsupported"),
        ((), PIN, creation(rp_id="other.example"), UnsupportedError, "unsupported"),
    ],
)
def test_what_goes_wrong_is_one_of_keyctls_errors(make_bench, settings, pin, options, error, code):
    bench = make_bench("draft", pin=PIN)
    if settings:
        bench.set(*settings)
    with draft_client.opened(bench.home, bench.name, ORIGIN, pin) as client, pytest.raises(error) as caught:
        client.create(options) if isinstance(options, PublicKeyCredentialCreationOptions) else client.get(options)
    assert caught.value.code == code
    assert caught.value.key == f"virtual:{bench.name}"


def test_a_key_without_a_pin_cannot_do_what_wants_it(make_bench):
    bench = make_bench("draft")
    with (
        draft_client.opened(bench.home, bench.name, ORIGIN, PIN) as client,
        pytest.raises(UnsupportedError, match="cannot do what the site asks for"),
    ):
        client.create(creation())


def test_a_key_that_is_not_there_is_an_error(make_bench):
    bench = make_bench("draft", pin=PIN)
    with pytest.raises(NotFoundError), draft_client.opened(bench.home, "nobody", ORIGIN, PIN):
        pass

    virtual_keys.unplug(bench.folder, bench.name)
    with pytest.raises(UnreachableError) as caught, draft_client.opened(bench.home, bench.name, ORIGIN, PIN):
        pass
    assert caught.value.code == "key_removed"
