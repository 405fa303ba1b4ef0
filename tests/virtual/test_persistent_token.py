"""The persistent token, and the members of getInfo that it opens."""

from __future__ import annotations

from hashlib import sha256

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
RP_ID_HASH = sha256(b"example.com").digest()


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


@pytest.fixture
def locked(bench):
    """A key with a PIN."""
    bench.set_pin()
    return bench


def persistent(bench) -> bytes:
    return bench.token(PERMISSION.PERSISTENT_CREDENTIAL_MGMT)


def reader(bench, token: bytes, protocol=None) -> CredentialManagement:
    return CredentialManagement(Ctap2(bench.device), protocol or bench.pin.protocol, token)


def test_it_survives_a_power_cycle_and_time(locked):
    assert CredentialManagement.is_readonly_supported(locked.ctap.info)
    token = persistent(locked)
    locked.make()
    locked.replug()
    locked.clock.turned_s += 100_000
    assert reader(locked, token).get_metadata()[1] == 1
    assert persistent(locked) == token


def test_it_reads_the_list_and_changes_nothing(locked):
    token = persistent(locked)
    credential_id = locked.make().auth_data.credential_data.credential_id
    for protocol in (PinProtocolV1(), PinProtocolV2()):
        management = reader(locked, token, protocol)
        assert len(management.enumerate_rps()) == 1
        assert management.enumerate_creds(RP_ID_HASH)[0][7]["id"] == credential_id
        descriptor = {"type": "public-key", "id": credential_id}
        with refused(ERR.PIN_AUTH_INVALID):
            management.delete_cred(descriptor)
        with refused(ERR.PIN_AUTH_INVALID):
            management.update_user_info(descriptor, {"id": b"u1", "name": "bob"})
    with refused(ERR.PIN_AUTH_INVALID):
        reader(locked, bytes(32)).get_metadata()
    mac = locked.pin.protocol.authenticate(token, locked.CLIENT_DATA_HASH)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.get(pin_uv_param=mac, pin_uv_protocol=2)
    with refused(ERR.PIN_AUTH_INVALID):
        locked.ctap.config(2, None, 2, mac)


def test_it_lives_beside_the_other_token(locked):
    other = locked.management()
    token = persistent(locked)
    other.get_metadata()
    reader(locked, token).get_metadata()
    other.get_metadata()


@pytest.mark.parametrize("end", ["change", "reset"])
def test_it_ends_with_the_pin(locked, end):
    token = persistent(locked)
    if end == "change":
        locked.pin.change_pin(locked.PIN, "another PIN")
        locked.pin.change_pin("another PIN", locked.PIN)
    else:
        locked.ctap.reset()
        locked.set_pin()
    with refused(ERR.PIN_AUTH_INVALID):
        reader(locked, token).get_metadata()
    assert locked.ctap.get_info().enc_identifier is None
    assert persistent(locked) != token


def test_its_holder_knows_the_key_again(locked, make_bench):
    assert (locked.ctap.info.enc_identifier, locked.ctap.info.enc_cred_store_state) == (None, None)
    token = persistent(locked)
    infos = [locked.ctap.get_info() for _ in range(2)]
    locked.replug()
    infos.append(locked.ctap.info)
    assert len({info.enc_identifier for info in infos}) == 3
    assert len({info.enc_cred_store_state for info in infos}) == 3
    (identifier,) = {info.get_identifier(token) for info in infos}
    assert len(identifier) == 16
    assert len({info.get_cred_store_state(token) for info in infos}) == 1
    assert infos[0].get_identifier(bytes(32)) != identifier
    other = make_bench()
    other.set_pin()
    theirs = persistent(other)
    assert other.ctap.get_info().get_identifier(theirs) != identifier
    locked.ctap.reset()
    locked.set_pin()
    fresh = persistent(locked)
    assert locked.ctap.get_info().get_identifier(fresh) != identifier


def test_the_identifier_outlives_the_pin(locked):
    token = persistent(locked)
    before = locked.ctap.get_info().get_identifier(token)
    locked.pin.change_pin(locked.PIN, "another PIN")
    locked.pin.change_pin("another PIN", locked.PIN)
    again = persistent(locked)
    assert locked.ctap.get_info().get_identifier(again) == before


def test_the_store_state_changes_with_every_change_of_the_passkeys(locked):
    token = persistent(locked)

    def state() -> bytes:
        return locked.ctap.get_info().get_cred_store_state(token)

    states = [state()]
    credential_id = locked.make().auth_data.credential_data.credential_id
    states.append(state())
    descriptor = {"type": "public-key", "id": credential_id}
    locked.management().update_user_info(descriptor, {"id": b"u1", "name": "bob", "displayName": "Bob"})
    states.append(state())
    locked.management().delete_cred(descriptor)
    states.append(state())
    assert len(set(states)) == 4
    locked.make(rk=False)
    locked.ctap.get_info()
    assert state() == states[-1]


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre"])
def test_older_keys_have_none(make_bench, profile):
    assert not CredentialManagement.is_readonly_supported(make_bench(profile).ctap.info)
