"""The draft extension "recovery" and its command on virtual keys, and the attacks on both."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2
from fido2.webauthn import AttestedCredentialData, AuthenticatorData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.core import p256, recovery, recovery_seeds
from keyctl.core.recovery_seeds import SeedForm
from keyctl.virtual import attestation, signing
from keyctl.virtual.profiles import PROFILES
from tests.virtual.recovery_desk import (
    COMMAND,
    EXPORT,
    GET_ALLOWED_ALGS,
    IMPORT,
    LIST,
    PERMISSION,
    RECOVERY,
    REMOVE,
    Desk,
)

if TYPE_CHECKING:
    from fido2.ctap2 import AttestationResponse

ERR = CtapError.ERR
DRAFT = PROFILES["draft"]
PROTOCOLS = [PinProtocolV1(), PinProtocolV2()]


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


@pytest.fixture
def new_desk(make_bench):
    """A function that puts a key with a PIN on the desk."""

    def new(name: str, profile: str = "draft") -> Desk:
        return Desk(make_bench(profile, name=name))

    return new


@pytest.fixture
def primary(new_desk):
    return new_desk("primary")


@pytest.fixture
def backup(new_desk):
    return new_desk("backup")


@pytest.fixture
def paired(primary, backup):
    """Two keys of which one has the other's seed, and a credential of the first."""
    primary.take(backup.export())
    made = primary.bench.make()
    return primary, backup, made.auth_data.credential_data.credential_id


def point_of(credential: AttestedCredentialData) -> bytes:
    return b"\x04" + credential.public_key[-2] + credential.public_key[-3]


def signed_by_recovery_key(made: AttestationResponse, public_key: ES256, client_data_hash: bytes) -> None:
    """The recovery signature is over the authenticator data without extensions, but with their flag."""
    data = made.auth_data
    head = bytes(data)[: 37 + len(data.credential_data)]
    assert data.flags & AuthenticatorData.FLAG.ED
    public_key.verify(head + client_data_hash, data.extensions["recovery"]["sig"])


# Seeds, from key to key.


def test_get_info_tells_the_extension(primary, bench):
    assert "recovery" in primary.ctap.info.extensions
    assert primary.ctap.info.aaguid == DRAFT.aaguid
    assert "recovery" not in bench.ctap.info.extensions


def test_the_allowed_algorithms_need_no_pin(primary):
    assert primary.send(GET_ALLOWED_ALGS) == {2: [0]}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: f"protocol {protocol.VERSION}")
def test_a_seed_goes_from_key_to_key(primary, backup, protocol):
    allowed = primary.send(GET_ALLOWED_ALGS)[2]
    exported = backup.do(EXPORT, {2: allowed}, protocol)[3]
    seed = recovery_seeds.seed_from_map(exported)
    assert seed.form is SeedForm.README
    assert seed.aaguid == DRAFT.aaguid
    root = attestation.root_certificate(backup.bench.folder)
    assert recovery_seeds.is_attested(seed, [root])
    assert primary.listed() == ([], 0)
    assert primary.do(IMPORT, {3: exported}, protocol) == {}
    assert primary.listed() == ([seed.point], 1)
    assert primary.do(LIST)[7] == [{1: 0, 2: DRAFT.aaguid, 0xFF: seed.point}]


def test_the_seed_is_made_once_and_erased_by_a_reset(backup):
    first = backup.export()
    assert backup.export()[0xFF] == first[0xFF]
    backup.bench.replug()
    assert backup.export()[0xFF] == first[0xFF]
    backup.reset()
    assert backup.export()[0xFF] != first[0xFF]


def test_the_prototypes_form_is_taken_too(primary, backup):
    seed = recovery_seeds.seed_from_map(backup.export())
    primary.take({1: 0, 2: list(seed.x5c), 3: seed.aaguid, 4: seed.signature, -1: seed.point})
    assert primary.listed() == ([seed.point], 1)


def test_every_change_of_the_set_of_seeds_is_counted(primary, new_desk):
    seeds = [new_desk(f"backup-{number}").export() for number in range(2)]
    assert primary.state() == 0
    primary.take(seeds[0])
    primary.take(seeds[1])
    assert primary.state() == 2
    # No change: the same seed again, and what fails.
    primary.take(seeds[0])
    with refused(ERR.NO_CREDENTIALS):
        primary.do(REMOVE, {3: {1: 0, 0xFF: p256.base_multiple(7)}})
    assert primary.state() == 2
    primary.do(REMOVE, {3: {1: 0, 0xFF: seeds[0][0xFF]}})
    assert primary.listed() == ([seeds[1][0xFF]], 3)
    primary.take(seeds[0])
    assert primary.listed() == ([seeds[1][0xFF], seeds[0][0xFF]], 4)
    assert primary.state() == 4


def test_a_fifth_seed_is_refused(primary, new_desk):
    seeds = [new_desk(f"backup-{number}").export() for number in range(5)]
    for seed in seeds[:4]:
        primary.take(seed)
    with refused(ERR.KEY_STORE_FULL):
        primary.take(seeds[4])
    assert primary.listed() == ([seed[0xFF] for seed in seeds[:4]], 4)
    primary.take(seeds[0])
    primary.do(REMOVE, {3: {0xFF: seeds[0][0xFF]}})
    primary.take(seeds[4])
    assert primary.state() == 6


def test_a_reset_forgets_the_seeds_and_starts_counting_anew(paired, new_desk):
    primary, _, _ = paired
    assert primary.state() == 1
    primary.take(new_desk("another").export())
    primary.reset()
    assert primary.state() == 0
    assert primary.listed() == ([], 0)


def test_seeds_survive_a_power_cycle(paired):
    primary, backup, credential_id = paired
    primary.bench.replug()
    backup.bench.replug()
    assert primary.listed()[1] == 1
    (credential,) = primary.generated(credential_id)
    assert backup.recover(credential.credential_id).auth_data.extensions["recovery"]["credId"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({1: 1}, ERR.UNSUPPORTED_ALGORITHM),
        ({1: "0"}, ERR.INVALID_PARAMETER),
        ({2: bytes(15)}, ERR.INVALID_PARAMETER),
        ({2: bytes(16)}, ERR.INTEGRITY_FAILURE),
        ({3: b""}, ERR.INVALID_PARAMETER),
        ({3: [b"no certificate"]}, ERR.INTEGRITY_FAILURE),
        ({4: b"no signature"}, ERR.INTEGRITY_FAILURE),
        ({0xFF: p256.base_multiple(5)}, ERR.INTEGRITY_FAILURE),
        ({0xFF: b"\x04" + bytes(64)}, ERR.INVALID_PARAMETER),
        ({0xFF: b"\0"}, ERR.INVALID_PARAMETER),
        ({0xFF: p256.base_multiple(5)[:-1]}, ERR.INVALID_PARAMETER),
    ],
)
def test_a_changed_seed_is_refused_even_when_nobody_has_to_vouch(primary, backup, change, status):
    seed = backup.export() | change
    for more in ({}, {6: True}):
        with refused(status):
            primary.do(IMPORT, {3: seed, **more})
    assert primary.listed() == ([], 0)


def test_an_off_curve_seed_is_refused_though_it_is_signed(primary, backup):
    """Whoever holds a seed's private key learns nothing about others by points off the curve."""
    exported = backup.export()
    off_curve = exported[0xFF][:-1] + bytes([exported[0xFF][-1] ^ 1])
    message = recovery_seeds.signed_bytes(DRAFT.aaguid, off_curve)
    seed = exported | {4: leaf_signature(backup, message), 0xFF: off_curve}
    with refused(ERR.INVALID_PARAMETER):
        primary.take(seed)


def leaf_signature(desk: Desk, message: bytes) -> bytes:
    """By the attestation key of the profile, which no client gets to sign such a thing with."""
    folder = desk.bench.folder
    private_key, _ = attestation._load(folder / ".test-root.json")[DRAFT.aaguid.hex()]
    return signing.sign(-7, private_key, message)


def test_a_seed_signed_by_another_key_is_refused(primary, backup):
    exported = backup.export()
    stranger = ec.generate_private_key(ec.SECP256R1())
    message = recovery_seeds.signed_bytes(DRAFT.aaguid, exported[0xFF])
    seed = exported | {4: stranger.sign(message, ec.ECDSA(SHA256()))}
    for more in ({}, {6: True}):
        with refused(ERR.INTEGRITY_FAILURE):
            primary.do(IMPORT, {3: seed, **more})


def test_a_seed_of_another_maker_takes_a_word_of_its_own(primary, tmp_path):
    """Of a key in another folder, whose test root nobody knows here; its signature is good."""
    seed = Desk(type(primary.bench)(tmp_path / "elsewhere", "backup", "draft")).export()
    with refused(ERR.INTEGRITY_FAILURE):
        primary.take(seed)
    primary.do(IMPORT, {3: seed, 6: True})
    assert primary.listed() == ([seed[0xFF]], 1)


def test_an_unattested_seed_takes_a_word_of_its_own(primary):
    seed = {1: 0, 2: bytes(16), 3: [], 4: b"", 0xFF: p256.base_multiple(9)}
    for more in ({}, {6: False}):
        with refused(ERR.INTEGRITY_FAILURE):
            primary.do(IMPORT, {3: seed, **more})
    primary.do(IMPORT, {3: seed, 6: True})
    assert primary.listed() == ([seed[0xFF]], 1)


@pytest.mark.parametrize(("algs", "status"), [([], 0x26), ([1], 0x26), ([7, 0], None)])
def test_export_takes_the_scheme_that_both_keys_know(backup, algs, status):
    if status is None:
        assert backup.do(EXPORT, {2: algs})[3][1] == 0
    else:
        with refused(status):
            backup.do(EXPORT, {2: algs})


# PIN, touch and MAC.


def test_the_command_needs_the_pin(primary, make_bench):
    for subcommand, parameters in ((EXPORT, {2: [0]}), (IMPORT, {3: {}}), (LIST, {}), (REMOVE, {3: {}})):
        with refused(ERR.PUAT_REQUIRED):
            primary.send(subcommand, parameters)
        fresh = make_bench("draft", name=f"fresh-{subcommand}")
        with refused(ERR.PIN_NOT_SET):
            fresh.ctap.send_cbor(COMMAND, {1: subcommand, **parameters})


@pytest.mark.parametrize(
    "permission", [PERMISSION.MAKE_CREDENTIAL, PERMISSION.CREDENTIAL_MGMT, PERMISSION.LARGE_BLOB_WRITE]
)
def test_another_permission_does_not_do(backup, permission):
    token = backup.token(permission, rp_id="example.com")
    with refused(ERR.PIN_AUTH_INVALID):
        backup.send(EXPORT, {2: [0]}, backup.mac(EXPORT, {2: [0]}, token))


def test_only_keys_with_the_draft_give_its_permission(bench, primary):
    other = Desk(bench)
    with refused(ERR.UNAUTHORIZED_PERMISSION):
        other.token(RECOVERY)
    assert primary.token(RECOVERY | PERMISSION.CREDENTIAL_MGMT)


def test_the_mac_of_another_command_does_not_do(backup):
    """The draft's own MAC is over the subcommand alone, like that of enumerateRPsBegin."""
    token = backup.token(RECOVERY | PERMISSION.CREDENTIAL_MGMT)
    for message in (bytes([EXPORT]), b"\xff" * 32 + bytes([0x0D, EXPORT]), b"\xff" * 32 + bytes([COMMAND, EXPORT])):
        with refused(ERR.PIN_AUTH_INVALID):
            backup.send(EXPORT, {2: [0]}, PinProtocolV2().authenticate(token, message))


def test_a_mac_is_good_for_its_own_parameters_only(primary, new_desk):
    seeds = [new_desk(f"backup-{number}").export() for number in range(2)]
    token = primary.token()
    mac = primary.mac(IMPORT, {3: seeds[0]}, token)
    for subcommand, parameters in ((IMPORT, {3: seeds[1]}), (IMPORT, {3: seeds[0], 6: True}), (REMOVE, {3: seeds[0]})):
        with refused(ERR.PIN_AUTH_INVALID):
            primary.send(subcommand, parameters, mac)
    primary.send(IMPORT, {3: seeds[0]}, mac)
    assert primary.listed() == ([seeds[0][0xFF]], 1)


def test_a_replayed_mac_is_refused(primary, backup):
    token = backup.token()
    mac = backup.mac(EXPORT, {2: [0]}, token)
    seed = backup.send(EXPORT, {2: [0]}, mac)[3]
    with refused(ERR.PIN_AUTH_INVALID):
        backup.send(EXPORT, {2: [0]}, mac)
    token = primary.token()
    mac = primary.mac(IMPORT, {3: seed}, token)
    primary.send(IMPORT, {3: seed}, mac)
    primary.do(REMOVE, {3: {0xFF: seed[0xFF]}})
    with refused(ERR.PIN_AUTH_INVALID):
        primary.send(IMPORT, {3: seed}, mac)
    assert primary.listed() == ([], 2)


@pytest.mark.parametrize("touch", ["refused", "never"])
def test_export_and_import_need_a_touch(primary, backup, touch):
    seed = backup.export()
    for desk in (primary, backup):
        desk.bench.set(f"touch={touch}")
    status = ERR.OPERATION_DENIED if touch == "refused" else ERR.USER_ACTION_TIMEOUT
    with refused(status):
        backup.export()
    with refused(status):
        primary.take(seed)
    # What changes nothing or takes away needs none.
    assert primary.listed() == ([], 0)
    assert backup.listed() == ([], 0)


def test_what_cannot_be_imported_asks_for_no_touch(primary, backup):
    seed = backup.export()
    primary.bench.set("touch=refused")
    with refused(ERR.INVALID_PARAMETER):
        primary.take(seed | {0xFF: b"\0"})
    with refused(ERR.INTEGRITY_FAILURE):
        primary.take(seed | {4: b""})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, ERR.MISSING_PARAMETER),
        ({1: 0}, ERR.INVALID_SUBCOMMAND),
        ({1: 6}, ERR.INVALID_SUBCOMMAND),
        ({1: "1"}, ERR.CBOR_UNEXPECTED_TYPE),
    ],
)
def test_a_malformed_request_is_refused(primary, request_, status):
    with refused(status):
        primary.ctap.send_cbor(COMMAND, request_)


@pytest.mark.parametrize(
    ("subcommand", "parameters", "status"),
    [
        (EXPORT, {}, ERR.MISSING_PARAMETER),
        (EXPORT, {2: 0}, ERR.CBOR_UNEXPECTED_TYPE),
        (EXPORT, {2: [False]}, ERR.CBOR_UNEXPECTED_TYPE),
        (IMPORT, {}, ERR.MISSING_PARAMETER),
        (IMPORT, {3: b""}, ERR.CBOR_UNEXPECTED_TYPE),
        (IMPORT, {3: {}}, ERR.INVALID_PARAMETER),
        (IMPORT, {3: {}, 6: 1}, ERR.CBOR_UNEXPECTED_TYPE),
        (REMOVE, {}, ERR.MISSING_PARAMETER),
        (REMOVE, {3: {}}, ERR.MISSING_PARAMETER),
        (REMOVE, {3: {0xFF: b"\0"}}, ERR.INVALID_LENGTH),
    ],
)
def test_malformed_parameters_are_refused(primary, subcommand, parameters, status):
    with refused(status):
        primary.do(subcommand, parameters)


def test_only_keys_with_the_draft_have_the_command(make_bench):
    for name, profile in PROFILES.items():
        if not profile.ctap2:
            continue
        bench = make_bench(name, name=name)
        status = bench.device.call(0x10, bytes([COMMAND]) + cbor.encode({1: 1}))[0]
        assert (status == ERR.SUCCESS) == (name == "draft")
        assert (status == ERR.INVALID_COMMAND) == (name != "draft")


# The extension.


def test_generate_makes_credentials_that_the_backup_can_use(paired):
    primary, backup, credential_id = paired
    answer = primary.assertion(credential_id, {"action": "generate"})
    output = answer.auth_data.extensions["recovery"]
    assert set(output) == {"action", "state", "creds"}
    (content,) = output["creds"]
    credential, rest = AttestedCredentialData.unpack_from(content)
    assert not rest
    assert credential.aaguid == DRAFT.aaguid
    assert len(credential.credential_id) == 82
    made = backup.recover(credential.credential_id)
    output = made.auth_data.extensions["recovery"]
    assert {name: output[name] for name in ("action", "credId", "state")} == {
        "action": "recover",
        "credId": credential.credential_id,
        "state": 0,
    }
    assert set(output) == {"action", "credId", "state", "sig"}
    signed_by_recovery_key(made, credential.public_key, backup.bench.CLIENT_DATA_HASH)


def test_the_answers_are_signed_with_the_extension(paired):
    primary, backup, credential_id = paired
    public_key = ES256.from_cryptography_key(
        ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), signing.public_point(primary.stored.credentials[0].private_key)
        )
    )
    answer = primary.assertion(credential_id, {"action": "generate"})
    answer.verify(primary.bench.CLIENT_DATA_HASH, public_key)
    (credential,) = primary.generated(credential_id)
    made = backup.recover(credential.credential_id)
    from cryptography import x509

    leaf = x509.load_der_x509_certificate(made.att_stmt["x5c"][0])
    message = bytes(made.auth_data) + backup.bench.CLIENT_DATA_HASH
    leaf.public_key().verify(made.att_stmt["sig"], message, ec.ECDSA(SHA256()))


def test_other_extensions_stand_beside_it(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    made = backup.recover(credential.credential_id, extensions={"credProtect": 2, "hmac-secret": True})
    assert made.auth_data.extensions["credProtect"] == 2
    assert made.auth_data.extensions["hmac-secret"] is True
    signed_by_recovery_key(made, credential.public_key, backup.bench.CLIENT_DATA_HASH)


def test_there_is_one_credential_for_every_seed_and_each_is_new(primary, new_desk):
    backups = [new_desk(f"backup-{number}") for number in range(4)]
    for backup in backups:
        primary.take(backup.export())
    credential_id = primary.bench.make().auth_data.credential_data.credential_id
    credentials = primary.generated(credential_id) + primary.generated(credential_id)
    assert len({credential.credential_id for credential in credentials}) == 8
    assert len({point_of(credential) for credential in credentials}) == 8
    ids = [credential.credential_id for credential in credentials]
    for number, backup in enumerate(backups):
        made = backup.recover(*ids)
        assert made.auth_data.extensions["recovery"]["credId"] == ids[number]
        signed_by_recovery_key(made, credentials[number].public_key, backup.bench.CLIENT_DATA_HASH)


def test_without_seeds_there_are_no_credentials(primary):
    credential_id = primary.bench.make().auth_data.credential_data.credential_id
    assert primary.generated(credential_id) == []


def test_the_state_needs_no_pin(paired):
    primary, _, credential_id = paired
    assert primary.state() == 1
    answer = primary.assertion(credential_id, {"action": "state"}, pin=False)
    assert answer.auth_data.extensions["recovery"] == {"action": "state", "state": 1}


def test_generate_and_recover_need_the_pin(paired):
    primary, backup, credential_id = paired
    with refused(ERR.PUAT_REQUIRED):
        primary.assertion(credential_id, {"action": "generate"}, pin=False)
    (credential,) = primary.generated(credential_id)
    with refused(ERR.PUAT_REQUIRED):
        backup.recover(credential.credential_id, pin=False)


@pytest.mark.parametrize("touch", ["refused", "never"])
def test_recover_needs_a_touch(paired, touch):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    backup.bench.set(f"touch={touch}")
    with refused(ERR.OPERATION_DENIED if touch == "refused" else ERR.USER_ACTION_TIMEOUT):
        backup.recover(credential.credential_id)


@pytest.mark.parametrize(
    ("input_", "status"),
    [
        ({"action": "generate"}, ERR.INVALID_OPTION),
        ({"action": "forget"}, ERR.INVALID_OPTION),
        ({"action": ""}, ERR.INVALID_OPTION),
        ({}, ERR.MISSING_PARAMETER),
        ({"action": 1}, ERR.CBOR_UNEXPECTED_TYPE),
        (True, ERR.CBOR_UNEXPECTED_TYPE),
        ({"action": "recover"}, ERR.MISSING_PARAMETER),
        ({"action": "recover", "allowCredentials": {}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"action": "recover", "allowCredentials": [{}]}, ERR.MISSING_PARAMETER),
        ({"action": "recover", "allowCredentials": []}, ERR.NO_CREDENTIALS),
    ],
)
def test_a_wrong_input_when_making_is_refused(backup, input_, status):
    backup.export()
    with refused(status):
        backup.make(input_)
    assert backup.stored.credentials == ()


@pytest.mark.parametrize(
    ("input_", "status"),
    [
        ({"action": "recover", "allowCredentials": []}, ERR.INVALID_OPTION),
        ({"action": "forget"}, ERR.INVALID_OPTION),
        ({}, ERR.MISSING_PARAMETER),
        (1, ERR.CBOR_UNEXPECTED_TYPE),
    ],
)
def test_a_wrong_input_when_asserting_is_refused(paired, input_, status):
    primary, _, credential_id = paired
    with refused(status):
        primary.assertion(credential_id, input_)


def test_other_keys_ignore_the_extension(bench):
    made = bench.make(extensions={"recovery": {"action": "state"}})
    assert not made.auth_data.extensions


# The attacks.


def test_a_key_without_a_seed_recovers_nothing(paired, new_desk):
    primary, _, credential_id = paired
    (credential,) = primary.generated(credential_id)
    with refused(ERR.NO_CREDENTIALS):
        new_desk("stranger").recover(credential.credential_id)
    stranger = new_desk("stranger-with-a-seed")
    stranger.export()
    with refused(ERR.NO_CREDENTIALS):
        stranger.recover(credential.credential_id)


def test_the_id_of_another_site_recovers_nothing(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    with refused(ERR.NO_CREDENTIALS):
        backup.recover(credential.credential_id, rp_id="evil.example")
    assert backup.recover(credential.credential_id)


def test_a_reset_backup_recovers_nothing(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    backup.reset()
    for _ in range(2):
        with refused(ERR.NO_CREDENTIALS):
            backup.recover(credential.credential_id)
        backup.export()


def changed(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        # Of the MAC, of the scheme; cut to nothing, in the MAC, behind E; longer.
        (lambda id_: changed(id_, 81), ERR.NO_CREDENTIALS),
        (lambda id_: changed(id_, 66), ERR.NO_CREDENTIALS),
        (lambda id_: changed(id_, 0), ERR.NO_CREDENTIALS),
        (lambda id_: id_[1:], ERR.NO_CREDENTIALS),
        (lambda _: b"", ERR.NO_CREDENTIALS),
        (lambda id_: id_[:81], ERR.NO_CREDENTIALS),
        (lambda id_: id_[:66], ERR.NO_CREDENTIALS),
        (lambda id_: id_ + b"\0", ERR.NO_CREDENTIALS),
        # Of E: off the curve, cut, compressed, infinity.
        (lambda id_: changed(id_, 65), ERR.INVALID_PARAMETER),
        (lambda id_: id_[:65], ERR.INVALID_PARAMETER),
        (lambda id_: id_[:1], ERR.INVALID_PARAMETER),
        (lambda id_: id_[:1] + b"\x02" + id_[2:], ERR.INVALID_PARAMETER),
        (lambda id_: id_[:1] + bytes(65) + id_[66:], ERR.INVALID_PARAMETER),
        (lambda id_: id_[:1] + b"\x04" + bytes(64) + id_[66:], ERR.INVALID_PARAMETER),
    ],
)
def test_a_damaged_id_recovers_nothing(paired, damage, status):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    with refused(status):
        backup.recover(damage(credential.credential_id))
    assert backup.stored.credentials == ()


def test_ids_of_other_keys_and_schemes_are_passed_over(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    own = credential.credential_id
    made = backup.recover(b"", b"\x01" + own[1:], changed(own, 80), own)
    assert made.auth_data.extensions["recovery"]["credId"] == own


def test_a_descriptor_of_another_type_is_passed_over(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    descriptors = [{"type": "odd", "id": credential.credential_id}]
    with refused(ERR.NO_CREDENTIALS):
        backup.make({"action": "recover", "allowCredentials": descriptors})


def test_the_negative_of_e_does_not_pass(paired):
    """It shares the x coordinate, and with it everything that is derived from the key agreement; the MAC covers y."""
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    own = credential.credential_id
    y = (2**256 - 2**224 + 2**192 + 2**96 - 1) - int.from_bytes(own[34:66], "big")
    negative = own[:34] + y.to_bytes(32, "big") + own[66:]
    assert p256.on_curve(negative[1:66])
    with refused(ERR.NO_CREDENTIALS):
        backup.recover(negative)


def test_another_accounts_id_is_signed_for_because_an_id_names_no_account(paired):
    """The draft's weakness (Wilson 2023), which only the client's own list of ids and the site can close."""
    primary, backup, credential_id = paired
    user = {"id": b"u2"}
    other = primary.bench.make(user_id=b"u2", user=user).auth_data.credential_data.credential_id
    (ours,), (theirs,) = primary.generated(credential_id), primary.generated(other)
    made = backup.recover(theirs.credential_id)
    assert made.auth_data.extensions["recovery"]["credId"] == theirs.credential_id
    # What comes out does not pass for the account that was asked for.
    with pytest.raises(InvalidSignature):
        signed_by_recovery_key(made, ours.public_key, backup.bench.CLIENT_DATA_HASH)


def test_a_signature_is_good_for_its_own_ceremony_only(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    made = backup.recover(credential.credential_id)
    with pytest.raises(InvalidSignature):
        signed_by_recovery_key(made, credential.public_key, sha256(b"another challenge").digest())


def test_the_key_computes_what_the_arithmetic_says(paired):
    primary, backup, credential_id = paired
    (credential,) = primary.generated(credential_id)
    own = backup.stored.backup_seeds.own
    p = recovery.recover(int.from_bytes(own, "big"), credential.credential_id, "example.com")
    assert p256.base_multiple(p) == point_of(credential)


def test_the_mac_is_the_one_of_the_draft(paired):
    """Protocol one's MAC, written out: 16 bytes of HMAC over 32 x 0xff, command, subcommand and parameters."""
    primary, _, _ = paired
    token = primary.token(protocol=PinProtocolV1())
    message = b"\xff" * 32 + b"\x4b\x04"
    mac = hmac.digest(token, message, "sha256")[:16]
    assert primary.send(LIST, {}, mac, 1)[8] == 1


# Whatever comes.

ANYTHING = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=80) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from([1, 2, 3, 4, 0xFF, -1]), ANYTHING, min_size=1, max_size=2))
def test_no_seed_makes_the_key_stumble(primary, changes):
    good = {1: 0, 2: bytes(16), 3: [], 4: b"", 0xFF: p256.base_multiple(9)}
    token = primary.token()
    parameters = {3: good | changes, 6: True}
    mac = primary.mac(IMPORT, parameters, token)
    status = primary.bench.device.call(0x10, bytes([COMMAND]) + cbor.encode({1: IMPORT, **parameters, 4: 2, 5: mac}))[0]
    assert status in {
        ERR.SUCCESS,
        ERR.INVALID_PARAMETER,
        ERR.UNSUPPORTED_ALGORITHM,
        ERR.INTEGRITY_FAILURE,
        # Arrays too deep.
        ERR.INVALID_CBOR,
    }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.binary(max_size=90) | st.binary(min_size=81, max_size=81).map(b"\0".__add__), max_size=3))
def test_no_id_makes_the_key_stumble(backup, ids):
    backup.export()
    with pytest.raises(CtapError) as caught:
        backup.recover(*ids)
    assert caught.value.code in {ERR.NO_CREDENTIALS, ERR.INVALID_PARAMETER}
