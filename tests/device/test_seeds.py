"""Seeds: made, exercised, and probed, on keys that do it right and on keys that do not."""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap2 import ClientPin, Config, Ctap2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.core import arkg, binding, public_keys, seed_cose
from keyctl.core.binding import Check, Evidence
from keyctl.device.exchange import Exchange
from keyctl.device.guard import GuardedDevice
from keyctl.device.key_pin import KeyPin
from keyctl.device.seeds import Enforcement, MadeSeed, Policy, SeedCommands
from keyctl.device.session import Session
from keyctl.errors import KeyctlError, NotFoundError, PinError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import OWN_RP_ID, KeyInfo, Limits, Waits
from keyctl.virtual.device import VirtualDevice
from tests.device.test_hostile_keys import Damaged, damage
from tests.failing import failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import Bench

PIN = "123456"
NONCE = bytes(range(32))
CTX = b"kc1:sign:test"
MESSAGE = b"what is signed"
TOKEN = ["clientPin getKeyAgreement", "clientPin getPinUvAuthTokenUsingPinWithPermissions"]
PATIENT = Waits(touch_s=20, plug_s=0, lock_s=0)


@pytest.fixture
def backup(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench("arkg", pin=PIN)


def proved(opened: Session, made: MadeSeed) -> Evidence:
    """The binding assertion."""
    wanted = binding.exercise(made.offer, made.made, NONCE)
    signed = opened.seeds.sign(
        made.credential_id, made.offer.signing_handle, wanted.arguments, wanted.tbs, wanted.client_data_hash
    )
    return Evidence(made=made.made, asserted=signed.raw, nonce=NONCE)


def probe(opened: Session, made: MadeSeed) -> Policy:
    arguments = binding.exercise(made.offer, made.made, NONCE).arguments
    return opened.seeds.policy(made.credential_id, made.offer.signing_handle, arguments)


def signs(opened: Session, made: MadeSeed) -> bool:
    """Whether the key signs for a fresh derived key."""
    derived = arkg.derive_public_key(made.offer.seed, os.urandom(32), CTX)
    arguments = seed_cose.encode_sign_arguments(derived.key_handle, CTX)
    signed = opened.seeds.sign(
        made.credential_id, made.offer.signing_handle, arguments, sha256(MESSAGE).digest(), bytes(32)
    )
    assert signed.assertion.user_present
    assert signed.assertion.user_verified
    assert public_keys.verifies(made.offer.public_key, signed.assertion.signed, signed.assertion.signature)
    return public_keys.verifies(public_keys.es256(derived.public_key), MESSAGE, signed.signature)


# --- as it should be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quirk",
    [
        None,
        "preview-sign-packed",
        "map-order",
        "token-once",
        "lbw-dropped",
        "long-ids",
        "no-touch",
        "up-flag-always",
        "counter-from-zero",
        "remaining-absent",
        "aaguid-zero",
    ],
)
def test_a_seed_is_made_proved_and_insists_on_touch_and_pin(backup: Bench, quirk: str | None) -> None:
    if quirk is not None:
        backup.set(f"quirk={quirk}")
    with backup.open(pin=PIN) as opened:
        assert opened.seeds.supported
        made = opened.seeds.make(NONCE, [])
        assert binding.verify(proved(opened, made)) == made.offer
        assert probe(opened, made) == Policy(enforcement=Enforcement.ENFORCED)
        assert signs(opened, made)
    assert backup.own_ids() == [made.credential_id]
    assert len(made.user_id) == 32
    assert made.large_blob_key is not None
    assert len(made.large_blob_key) == 32


def test_a_seed_costs_three_touches_and_ten_commands(backup: Bench) -> None:
    backup.set("touch=after:0.02")
    with backup.open(PATIENT, pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        binding.verify(proved(opened, made))
        probe(opened, made)
    assert len(backup.touches) == 3
    assert backup.sent() == [
        "getInfo",
        *TOKEN,
        "makeCredential",
        *TOKEN,
        "getAssertion",
        *TOKEN,
        "getAssertion (silent)",
        "getAssertion",
    ]


def test_the_credential_is_found_by_its_id_only_and_belongs_to_nobody_else(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        first, second = opened.seeds.make(NONCE, []), opened.seeds.make(os.urandom(32), [])
        assert first.user_id != second.user_id
        assert first.offer.seed != second.offer.seed
        assert signs(opened, first)
        assert signs(opened, second)
        (listed, _) = opened.own_credentials.list()
    assert (listed.passkey.rp_id, listed.passkey.protection) == (OWN_RP_ID, "optional_with_list")
    assert listed.passkey.user_id in {first.user_id, second.user_id}


def test_a_seed_is_deleted_with_its_credential(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        made, other = opened.seeds.make(NONCE, []), opened.seeds.make(os.urandom(32), [])
        opened.seeds.delete(made.credential_id)
        error = failing(signs, opened, made)
        assert isinstance(error, NotFoundError)
        assert "does not hold the seed" in error.message
        assert failing(opened.seeds.delete, made.credential_id).code == "passkey_not_found"
        assert signs(opened, other)


def test_nothing_that_is_printed_holds_the_blob_key(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
    assert made.large_blob_key is not None
    assert repr(made.large_blob_key) not in repr(made)
    assert repr(made.large_blob_key)[2:-1] not in repr(made)


# --- checks before pin and touch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "u2f", "draft"])
def test_keys_without_seeds_are_sent_nothing(make_bench: Callable[..., Bench], profile: str) -> None:
    bench = make_bench(profile, pin=None if profile == "u2f" else PIN)
    with bench.open(pin=PIN) as opened:
        before = opened.commands_sent
        assert not opened.seeds.supported
        for attempt in (
            opened.seeds.require,
            lambda: opened.seeds.make(NONCE, []),
            lambda: opened.seeds.sign(bytes(32), bytes(64), b"\xa0", bytes(32), bytes(32)),
            lambda: opened.seeds.policy(bytes(32), bytes(64), b"\xa0"),
        ):
            assert isinstance(failing(attempt), UnsupportedError)
        assert opened.commands_sent == before


@pytest.mark.parametrize(
    ("extensions", "named"),
    [
        (("previewSign5",), "previewSign5"),
        (("previewSign", "previewSign5"), None),
        (("previewSign6", "previewSign5"), "previewSign5 and previewSign6"),
        # Not shown: nobody knows what it does to a terminal.
        (("previewSign\x1b[2J",), "no previewSign"),
        (("previewsign",), "no previewSign"),
        ((), "no previewSign"),
    ],
)
def test_other_versions_are_refused_by_name(scripted: Any, extensions: tuple[str, ...], named: str | None) -> None:
    device = scripted(lambda _: b"\x01")
    exchange = Exchange(device, "blue")
    info = KeyInfo(versions=("FIDO_2_1",), extensions=extensions, limits=Limits(max_message_size=1200))
    seeds = SeedCommands(exchange, KeyPin(exchange, info))
    if named is None:
        seeds.require()
        return
    assert not seeds.supported
    error = failing(seeds.make, NONCE, [])
    assert (error.code, named in error.message, error.message.isprintable()) == ("unsupported", True, True)
    assert device.requests == []


def test_without_a_pin_nothing_is_touched(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench("arkg")
    bench.set("touch=after:0.02")
    with bench.open(PATIENT, pin=PIN) as opened:
        assert failing(opened.seeds.make, NONCE, []).code == "pin_not_set"
        opened.set_pin(PIN)
    with bench.open(PATIENT) as opened:
        for attempt in (
            lambda: opened.seeds.make(NONCE, []),
            lambda: opened.seeds.sign(bytes(32), bytes(64), b"\xa0", bytes(32), bytes(32)),
            lambda: opened.seeds.policy(bytes(32), bytes(64), b"\xa0"),
            lambda: opened.seeds.delete(bytes(32)),
        ):
            assert failing(attempt).code == "pin_required"
    assert bench.touches == []
    assert bench.own_ids() == []


def test_a_wrong_pin_costs_one_try_and_no_touch(backup: Bench) -> None:
    backup.set("touch=after:0.02")
    with backup.open(PATIENT, pin="000000") as opened:
        error = failing(opened.seeds.make, NONCE, [])
        assert (type(error), error.details.tries_left) == (PinError, 7)
        assert failing(opened.seeds.make, NONCE, []).code == "pin_required"
    assert backup.touches == []


@pytest.mark.parametrize(("touch", "code"), [("never", "no_touch"), ("refused", "touch_refused")])
def test_without_a_touch_nothing_is_made_or_signed(backup: Bench, touch: str, code: str) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
    backup.set(f"touch={touch}")
    with backup.open(Waits(touch_s=0.1, plug_s=0, lock_s=0), pin=PIN) as opened:
        for attempt in (
            lambda: opened.seeds.make(os.urandom(32), []),
            lambda: proved(opened, made),
            lambda: probe(opened, made),
        ):
            error = failing(attempt)
            assert (type(error), error.code) == (TouchError, code)
    assert backup.own_ids() == [made.credential_id]


def test_a_credential_that_is_excluded_stops_the_making(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        elsewhere = [os.urandom(32) for _ in range(3)]
        error = failing(opened.seeds.make, os.urandom(32), [*elsewhere, made.credential_id])
        assert isinstance(error, UnsupportedError)
        opened.seeds.make(os.urandom(32), elsewhere)
        assert signs(opened, made)
    assert len(backup.own_ids()) == 2


def test_a_key_full_of_seeds_says_so(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        opened.seeds.make(NONCE, [])
        (seed,) = backup.kept()["signing_seeds"]
        backup.keep(signing_seeds=[seed, *({**seed, "handle": f"{number:0128x}"} for number in range(127))])
        assert failing(opened.seeds.make, os.urandom(32), []).code == "key_full"
    assert len(backup.own_ids()) == 1


# --- keys that do it wrong -------------------------------------------------------------------------------------------

REFUSED = [
    ("preview-sign-omitted", Check.EXTENSION),
    ("preview-sign-self-attested", Check.SELF_ATTESTATION),
    ("preview-sign-flags-0", Check.SEED_POLICY),
    ("preview-sign-wrong-aaguid", Check.SEED_AAGUID),
]


@pytest.mark.parametrize(("quirk", "check"), REFUSED)
def test_a_credential_without_a_proper_seed_is_deleted_again(backup: Bench, quirk: str, check: Check) -> None:
    with backup.open(pin=PIN) as opened:
        earlier = opened.seeds.make(NONCE, [])
        backup.set(f"quirk={quirk}")
        error = failing(opened.seeds.make, os.urandom(32), [])
        assert isinstance(error, UnsupportedError)
        assert binding.MEANINGS[check] in error.message
        assert error.message.endswith("the credential that it made was deleted again")
        assert isinstance(error.__cause__, binding.BindingError)
        assert error.__cause__.check is check
        backup.set("quirk=none")
        assert backup.own_ids() == [earlier.credential_id]
        assert signs(opened, earlier)


@pytest.mark.parametrize("number", [4, 5, 6])
def test_a_credential_that_cannot_be_deleted_again_is_named(backup: Bench, number: int) -> None:
    backup.set("quirk=preview-sign-omitted")
    with backup.open(pin=PIN) as opened:
        backup.set(f"fault={number}:pulled")
        error = failing(opened.seeds.make, NONCE, [])
    (left,) = backup.own_ids()
    assert isinstance(error, UnsupportedError)
    assert f"the credential {left[:8].hex()} that it made is still on it" in error.message


def test_a_seed_that_the_key_does_not_hold_is_not_proved(backup: Bench) -> None:
    backup.set("quirk=preview-sign-foreign-seed")
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        with pytest.raises(binding.BindingError) as caught:
            binding.verify(proved(opened, made))
        assert caught.value.check is Check.SEED_SIGNATURE
        backup.set("quirk=none")
        assert isinstance(failing(proved, opened, made), NotFoundError)


def test_an_assertion_without_the_extension_is_told_as_such(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        backup.set("quirk=preview-sign-omitted")
        error = failing(proved, opened, made)
        assert isinstance(error, UnsupportedError)
        assert "left the extension out" in error.message
        assert probe(opened, made).enforcement is Enforcement.NOT_TESTABLE


def test_another_key_is_told_from_the_backup(backup: Bench, make_bench: Callable[..., Bench]) -> None:
    other = make_bench("arkg", name="red", pin=PIN)
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
    with other.open(pin=PIN) as opened:
        error = failing(signs, opened, made)
        assert (type(error), error.code) == (NotFoundError, "passkey_not_found")
        assert isinstance(failing(probe, opened, made), NotFoundError)


def test_without_large_blobs_a_seed_has_no_key_to_them(backup: Bench) -> None:
    backup.set("quirk=preview-sign-no-large-blob")
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        assert made.large_blob_key is None
        assert signs(opened, made)


# --- the policy ------------------------------------------------------------------------------------------------------


def test_a_seed_that_signs_without_a_touch_is_found_without_one(backup: Bench) -> None:
    backup.set("touch=after:0.02")
    with backup.open(PATIENT, pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        backup.set("quirk=preview-sign-unguarded")
        found = probe(opened, made)
    assert (found.enforcement, found.reason) == (Enforcement.NOT_ENFORCED, "it signs without a touch")
    assert len(backup.touches) == 1


class Trusting(VirtualDevice):
    """A key that asks for the touch but not for the PIN."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.folder, bench.name)
        self._bench = bench

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        without = data[:1] == b"\x02" and 6 not in cbor.decode(data[1:])
        self._bench.set("quirk=preview-sign-unguarded" if without else "quirk=none")
        return super().call(cmd, data, *more)


def test_a_seed_that_signs_without_the_pin_is_found(backup: Bench) -> None:
    guard = GuardedDevice(Trusting(backup), "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(backup.found(), guard) as opened:
        opened.use_pin(PIN)
        found = probe(opened, opened.seeds.make(NONCE, []))
    assert (found.enforcement, found.reason) == (Enforcement.NOT_ENFORCED, "it signs without the PIN")


def test_under_always_uv_the_touch_is_not_asked_for(backup: Bench) -> None:
    with VirtualDevice(backup.folder, backup.name) as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(PIN, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
        Config(ctap, pins.protocol, token).toggle_always_uv()
    backup.set("touch=after:0.02")
    with backup.open(PATIENT, pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        found = probe(opened, made)
        assert found.enforcement is Enforcement.NOT_TESTABLE
        assert "alwaysUv" in str(found.reason)
        assert len(backup.touches) == 1
        backup.set("quirk=preview-sign-unguarded")
        assert probe(opened, made).enforcement is Enforcement.NOT_ENFORCED


def test_a_credential_that_is_hidden_without_the_pin_tells_nothing(backup: Bench) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        (credential,) = backup.kept()["credentials"]
        backup.keep(credentials=[credential | {"protection": 3}])
        found = probe(opened, made)
    assert found.enforcement is Enforcement.NOT_TESTABLE
    assert "credProtect" in str(found.reason)


@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("status", [0x01, 0x2B, 0x2C, 0x30, 0x33, 0x7F])
def test_any_other_refusal_tells_nothing(backup: Bench, number: int, status: int) -> None:
    with backup.open(pin=PIN) as opened:
        made = opened.seeds.make(NONCE, [])
        backup.set(f"fault={number}:{status}")
        found = probe(opened, made)
    assert found == Policy(enforcement=Enforcement.NOT_TESTABLE, reason=f"it refused with the status 0x{status:02X}")


# --- interruptions ---------------------------------------------------------------------------------------------------


def story(opened: Session) -> None:
    """All of a pairing that the backup key takes part in: ten commands."""
    made = opened.seeds.make(NONCE, [])
    binding.verify(proved(opened, made))
    probe(opened, made)


@pytest.mark.parametrize("fault", ["pulled", "pulled-after", "garbage"])
@pytest.mark.parametrize("number", range(1, 11))
def test_a_key_that_is_pulled_loses_nothing_that_it_had(backup: Bench, number: int, fault: str) -> None:
    with backup.open(pin=PIN) as opened:
        earlier = opened.seeds.make(NONCE, [])
        assert earlier.large_blob_key is not None
        opened.blobs.write(earlier.large_blob_key, b"record")
    blobs = backup.large_blobs()
    with backup.open(pin=PIN) as opened:
        backup.set(f"fault={number}:{fault}")
        error = failing(story, opened)
        assert isinstance(error, UnreachableError)
        assert error.code == ("key_nonsense" if fault == "garbage" else "key_removed")
    backup.set("fault=none")
    backup.replug()
    ids = backup.own_ids()
    assert ids[0] == earlier.credential_id
    made_one = number > 3 or (number == 3 and fault == "pulled-after")
    assert len(ids) == 1 + made_one
    assert backup.large_blobs() == blobs
    with backup.open(pin=PIN) as opened:
        assert signs(opened, earlier)
        assert opened.blobs.find(earlier.large_blob_key) == b"record"
        # What was left over can be found, and deleted.
        for listed in opened.own_credentials.list():
            if listed.passkey.credential_id != earlier.credential_id:
                opened.seeds.delete(listed.passkey.credential_id)
    assert backup.own_ids() == [earlier.credential_id]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(2, 12), how=damage)
def test_a_damaged_answer_gives_a_result_or_an_error_of_ours(
    backup: Bench, position: int, how: tuple[str, int, int]
) -> None:
    backup.keep(credentials=[], signing_seeds=[])
    device = Damaged(backup, position, how)
    guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    with Session(backup.found(), guard) as opened:
        opened.use_pin(PIN)
        with contextlib.suppress(KeyctlError, binding.BindingError):
            story(opened)
    # Nothing that changes something is ever sent again by itself.
    assert device.sent.count("makeCredential") <= 1
    assert backup.kept()["pin_retries"] == 8
