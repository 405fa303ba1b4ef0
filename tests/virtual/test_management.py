"""Credential management, by python-fido2's client and by hand."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2 import CredentialManagement

from keyctl.virtual import keys

ERR = CtapError.ERR
RESULT = CredentialManagement.RESULT
CLIENT_DATA_HASH = bytes(range(32))


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


def digest(rp_id: str) -> bytes:
    return sha256(rp_id.encode()).digest()


def descriptor(credential_id: bytes) -> dict:
    return {"type": "public-key", "id": credential_id}


@pytest.fixture(params=["full", "fido2.1-pre"])
def stocked(request, make_bench):
    """A key with three passkeys at two sites, and the ids."""
    bench = make_bench(request.param)
    bench.set_pin()
    bench.ids = [
        bench.make(rp_id, user_id=user_id, alg=alg).auth_data.credential_data.credential_id
        for rp_id, user_id, alg in (("a.example", b"1", -7), ("b.example", b"2", -8), ("a.example", b"3", -7))
    ]
    return bench


def test_metadata_counts_used_and_free(stocked):
    total = 128 if "FIDO_2_1" in stocked.ctap.info.versions else 25
    assert stocked.management().get_metadata() == {1: 3, 2: total - 3}


def test_everything_is_listed(stocked):
    management = stocked.management()
    rps = management.enumerate_rps()
    assert [(rp[RESULT.RP], rp[RESULT.RP_ID_HASH]) for rp in rps] == [
        ({"id": rp_id, "name": "Example"}, digest(rp_id)) for rp_id in ("a.example", "b.example")
    ]
    found = [credential for rp in rps for credential in management.enumerate_creds(rp[RESULT.RP_ID_HASH])]
    assert [one[RESULT.CREDENTIAL_ID]["id"] for one in found] == [stocked.ids[0], stocked.ids[2], stocked.ids[1]]
    assert [one[RESULT.USER]["id"] for one in found] == [b"1", b"3", b"2"]
    assert all(one[RESULT.USER]["name"] == "alice" and one[RESULT.USER]["displayName"] == "Alice" for one in found)
    assert [one[RESULT.CRED_PROTECT] for one in found] == [1, 1, 1]
    for one in found:
        answer = stocked.get(
            "b.example" if one[RESULT.USER]["id"] == b"2" else "a.example", ids=[one[RESULT.CREDENTIAL_ID]["id"]]
        )
        answer.verify(CLIENT_DATA_HASH, CoseKey.parse(one[RESULT.PUBLIC_KEY]))


def test_listing_does_no_writes_after_the_first_answer(stocked):
    management = stocked.management()
    management.get_metadata()
    before = (stocked.folder / f"{stocked.name}.json").stat().st_mtime_ns
    for rp in management.enumerate_rps():
        management.enumerate_creds(rp[RESULT.RP_ID_HASH])
    assert (stocked.folder / f"{stocked.name}.json").stat().st_mtime_ns == before


def test_next_without_begin_is_not_allowed(stocked):
    management = stocked.management()
    for step in (management.enumerate_rps_next, management.enumerate_creds_next):
        with refused(ERR.NOT_ALLOWED):
            step()
    management.enumerate_rps_begin()
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_creds_next()
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_rps_next()


def test_next_after_the_last_one_is_not_allowed(stocked):
    management = stocked.management()
    management.enumerate_rps()
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_rps_next()


def test_a_list_is_forgotten_after_thirty_seconds(stocked):
    management = stocked.management()
    management.enumerate_rps_begin()
    stocked.clock.turned_s += 31
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_rps_next()


def test_a_list_ends_when_another_handle_changes_the_credentials(stocked):
    management = stocked.management()
    management.enumerate_rps_begin()
    first = stocked.device
    stocked.open()
    stocked.make("c.example", user_id=b"9")
    assert stocked.device is not first
    with refused(ERR.NOT_ALLOWED):
        management.enumerate_rps_next()


def test_a_deleted_passkey_is_gone(stocked):
    management = stocked.management()
    management.delete_cred(descriptor(stocked.ids[0]))
    assert management.get_metadata()[1] == 2
    with refused(ERR.NO_CREDENTIALS):
        management.delete_cred(descriptor(stocked.ids[0]))
    with refused(ERR.NO_CREDENTIALS):
        stocked.get("a.example", ids=[stocked.ids[0]])
    stocked.management().delete_cred(descriptor(stocked.ids[1]))
    assert [rp[RESULT.RP]["id"] for rp in stocked.management().enumerate_rps()] == ["a.example"]


def test_what_is_not_stored_is_not_managed(stocked):
    wrapped = stocked.make(rk=False).auth_data.credential_data.credential_id
    management = stocked.management()
    assert management.get_metadata()[1] == 3
    with refused(ERR.NO_CREDENTIALS):
        management.delete_cred(descriptor(wrapped))


def test_an_empty_key_has_nothing_to_list(bench):
    bench.set_pin()
    with refused(ERR.NO_CREDENTIALS):
        bench.management().enumerate_rps_begin()
    with refused(ERR.NO_CREDENTIALS):
        bench.management().enumerate_creds_begin(digest("a.example"))


def test_user_information_is_updated(bench):
    bench.set_pin()
    credential_id = bench.make().auth_data.credential_data.credential_id
    management = bench.management()

    def user():
        return management.enumerate_creds(digest("example.com"))[0][RESULT.USER]

    management.update_user_info(descriptor(credential_id), {"id": b"u1", "name": "bob", "displayName": "ä" * 60})
    assert user() == {"id": b"u1", "name": "bob", "displayName": "ä" * 32}
    # Not by update_user_info: python-fido2 turns an empty name into an empty array.
    management._call(7, {2: descriptor(credential_id), 3: {"id": b"u1", "name": "", "displayName": "Bob"}})
    assert user() == {"id": b"u1", "displayName": "Bob"}
    with refused(ERR.INVALID_PARAMETER):
        management.update_user_info(descriptor(credential_id), {"id": b"u2", "name": "eve", "displayName": "e"})
    with refused(ERR.NO_CREDENTIALS):
        management.update_user_info(descriptor(b"x" * 64), {"id": b"u1", "name": "eve", "displayName": "e"})


def test_the_preview_has_no_update(make_bench):
    bench = make_bench("fido2.1-pre")
    bench.set_pin()
    bench.make()
    with refused(ERR.INVALID_COMMAND):
        bench.management()._call(7, {2: descriptor(b"x"), 3: {"id": b"u1"}})


def test_a_token_of_one_rp_manages_that_rp_only(bench):
    bench.set_pin()
    ours = bench.make("a.example").auth_data.credential_data.credential_id
    theirs = bench.make("b.example").auth_data.credential_data.credential_id
    management = bench.management("a.example")
    assert len(management.enumerate_creds(digest("a.example"))) == 1
    for forbidden in (
        management.get_metadata,
        management.enumerate_rps_begin,
        lambda: management.enumerate_creds(digest("b.example")),
        lambda: management.delete_cred(descriptor(theirs)),
    ):
        with refused(ERR.PIN_AUTH_INVALID):
            forbidden()
    management.delete_cred(descriptor(ours))


def test_without_a_token_nothing_is_managed(bench):
    for parameters, code in (
        ({1: 1}, ERR.PUAT_REQUIRED),
        ({1: 1, 4: bytes(32)}, ERR.MISSING_PARAMETER),
        ({1: 1, 3: 2, 4: bytes(32)}, ERR.PIN_AUTH_INVALID),
        ({1: 1, 3: 7, 4: bytes(32)}, ERR.INVALID_PARAMETER),
        ({1: 99}, ERR.INVALID_SUBCOMMAND),
        ({1: 4, 3: 2, 4: bytes(32)}, ERR.MISSING_PARAMETER),
        ({}, ERR.MISSING_PARAMETER),
    ):
        with refused(code):
            bench.ctap.send_cbor(0x0A, parameters)


@pytest.mark.parametrize(
    ("profile", "there"),
    [
        ("full", {0x0A, 0x0B, 0x0C, 0x0D, 0x41}),
        ("small", {0x0A, 0x0B, 0x0C, 0x0D, 0x41}),
        ("fido2.1-pre", {0x41}),
        ("fido2.0", set()),
    ],
)
def test_every_profile_has_its_commands(make_bench, profile, there):
    bench = make_bench(profile)
    for command in (0x0A, 0x0B, 0x41, 0x09, 0x0C, 0x0D, 0x40, 0x03, 0x05, 0xFF):
        status = bench.device.call(0x10, bytes([command]))[0]
        assert (status != ERR.INVALID_COMMAND) == (command in there)


def test_a_hundred_passkeys_are_listed(folder, bench):
    """By credentials written in one go: making them one by one is what takes the time."""
    bench.set_pin()
    bench.make()
    files = bench.device._files
    state = files.state()
    (one,) = state.credentials
    state.credentials = tuple(
        replace(one, id=bytes([number]) * 64, user_id=bytes([number]), rp_id=f"{number // 2}.example")
        for number in range(100)
    )
    files.write_state(state, durable=False)
    management = bench.management()
    rps = management.enumerate_rps()
    assert len(rps) == 50
    assert sum(len(management.enumerate_creds(rp[RESULT.RP_ID_HASH])) for rp in rps) == 100
    assert keys.get(folder, "blue").counter == 1
