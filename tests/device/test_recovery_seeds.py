"""Seeds of the draft extension "recovery" on virtual keys, and what a key could answer instead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from keyctl.core import p256, recovery, recovery_seeds, recovery_signature
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyctlError, NotFoundError, PinError, TouchError, UnreachableError, UnsupportedError
from keyctl.model import OWN_RP_ID, Waits
from keyctl.operations import pair_draft
from keyctl.virtual.device import VirtualDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.device.session import Session as Opened

PIN = "123456"
PATIENT = Waits(touch_s=5, plug_s=0, lock_s=0)
HASH = bytes(range(32))
COMMAND, MAKE_CREDENTIAL = 0x4B, 0x01
TOKEN = ["clientPin getKeyAgreement", "clientPin getPinUvAuthTokenUsingPinWithPermissions"]


@pytest.fixture
def backup(make_bench):
    return make_bench("draft", name="green", pin=PIN)


@pytest.fixture
def primary(make_bench):
    return make_bench("draft", name="blue", pin=PIN)


@pytest.fixture
def seed(backup) -> bytes:
    with backup.open(pin=PIN) as opened:
        return opened.recovery_seeds.export()


def credential_for(seed: bytes, rp_id: str = OWN_RP_ID) -> recovery.RecoveryCredential:
    """As the primary key makes it."""
    made = None
    while made is None:
        e = int.from_bytes(os.urandom(32), "big") % (p256.N - 1) + 1
        made = recovery.generate(recovery_seeds.seed_from_cbor(seed).point, e, rp_id)
    return made


# --- as it should be -------------------------------------------------------------------------------------------------


def test_a_seed_goes_from_key_to_key_and_is_listed_and_removed(backup, primary, seed):
    read = recovery_seeds.seed_from_cbor(seed)
    with primary.open(pin=PIN) as opened:
        commands = opened.recovery_seeds
        assert recovery_seeds.is_attested(read, commands.roots())
        assert commands.list().seeds == ()
        commands.import_seed(read)
        commands.import_seed(read)
        held = commands.list()
        assert [(one.aaguid, one.point) for one in held.seeds] == [(read.aaguid, read.point)]
        assert held.state == 1
        commands.remove(read.point)
        assert (commands.list().seeds, commands.list().state) == ((), 2)
        with pytest.raises(NotFoundError, match="does not hold this seed"):
            commands.remove(read.point)
    with backup.open(pin=PIN) as opened:
        # Signed anew each time.
        assert recovery_seeds.seed_from_cbor(opened.recovery_seeds.export()).point == read.point


def test_the_seed_is_written_in_the_readmes_form(seed):
    assert recovery_seeds.seed_from_cbor(seed).form is recovery_seeds.SeedForm.README
    assert seed == cbor.encode(cbor.decode(seed))


def test_export_and_import_cost_a_touch_each_and_listing_none(backup, primary):
    for bench in (backup, primary):
        bench.set("touch=after:0.02")
    with backup.open(PATIENT, pin=PIN) as opened:
        seed = recovery_seeds.seed_from_cbor(opened.recovery_seeds.export())
    with primary.open(PATIENT, pin=PIN) as opened:
        opened.recovery_seeds.import_seed(seed)
        assert opened.recovery_seeds.list().state == 1
        opened.recovery_seeds.remove(seed.point)
    assert (len(backup.touches), len(primary.touches)) == (1, 1)
    assert backup.sent() == ["getInfo", *TOKEN, "command 0x4B"]


def test_the_backup_recovers_with_a_credential_of_its_seed(backup, seed):
    backup.set("touch=after:0.02")
    made = credential_for(seed)
    with backup.open(PATIENT, pin=PIN) as opened:
        found = opened.recovery_seeds.recover([made.id], HASH)
        assert recovery_signature.verifies(made.public_key, found.auth_data, HASH, found.signature)
        assert found.recovery_id == made.id
        assert found.state == 0
        assert found.client_data_hash == HASH
        assert found.format == "packed"
        # It takes no slot.
        assert opened.list_passkeys().passkeys == ()
    assert len(backup.touches) == 1


def test_the_first_credential_that_is_its_own_signs(backup, primary, seed):
    with primary.open(pin=PIN) as opened:
        foreign = credential_for(opened.recovery_seeds.export())
    made = credential_for(seed, "example.com")
    with backup.open(pin=PIN) as opened:
        found = opened.recovery_seeds.recover([foreign.id, made.id], HASH, rp_id="example.com")
    assert found.recovery_id == made.id


# --- refusals --------------------------------------------------------------------------------------------------------


def test_other_virtual_keys_have_no_draft(make_bench):
    bench = make_bench("full", pin=PIN)
    with bench.open(pin=PIN) as opened:
        assert not opened.recovery_seeds.supported
        with pytest.raises(UnsupportedError, match="does not have the extension"):
            opened.recovery_seeds.export()
    assert bench.sent() == ["getInfo"]


def test_a_key_that_does_not_hold_the_seed_recovers_nothing(primary, seed):
    with primary.open(pin=PIN) as opened:
        for _ in range(2):
            with pytest.raises(NotFoundError, match="does not hold the seed"):
                opened.recovery_seeds.recover([credential_for(seed).id], HASH)
            opened.recovery_seeds.export()


@pytest.mark.parametrize("cut", [1, 16, 81])
def test_a_cut_id_recovers_nothing(backup, seed, cut):
    with backup.open(pin=PIN) as opened, pytest.raises(KeyctlError) as caught:
        opened.recovery_seeds.recover([credential_for(seed).id[:-cut]], HASH)
    assert caught.value.code in {"passkey_not_found", "key_error"}


def test_an_id_with_a_point_beside_the_curve_recovers_nothing(backup, seed):
    good = credential_for(seed).id
    with backup.open(pin=PIN) as opened, pytest.raises(UnreachableError, match="invalid parameter"):
        opened.recovery_seeds.recover([good[:64] + bytes([good[64] ^ 1, good[65] ^ 1]) + good[66:]], HASH)


def test_nothing_goes_without_the_pin(backup, seed):
    with backup.open() as opened:
        for ask in (
            opened.recovery_seeds.export,
            opened.recovery_seeds.list,
            lambda: opened.recovery_seeds.import_seed(recovery_seeds.seed_from_cbor(seed)),
            lambda: opened.recovery_seeds.remove(recovery_seeds.seed_from_cbor(seed).point),
            lambda: opened.recovery_seeds.recover([credential_for(seed).id], HASH),
        ):
            with pytest.raises(PinError, match="wants its PIN"):
                ask()


def test_without_a_touch_nothing_is_exported(backup):
    backup.set("touch=never")
    with backup.open(pin=PIN) as opened, pytest.raises(TouchError):
        opened.recovery_seeds.export()
    assert backup.kept()["backup_seeds"]["own"] is None


def off_curve(seed: bytes) -> bytes:
    told = cbor.decode(seed)
    told[0xFF] = told[0xFF][:-1] + bytes([told[0xFF][-1] ^ 1])
    return cbor.encode(told)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (off_curve, "not on the curve"),
        (lambda seed: seed[:-1], "it is cut"),
        (lambda _: b"", "without a key agreement scheme"),
        (lambda seed: cbor.encode(cbor.decode(seed) | {1: 1}), "key agreement scheme 1"),
        (lambda seed: cbor.encode(cbor.decode(seed) | {3: [5]}), "list of certificates"),
    ],
)
def test_a_seed_that_makes_no_sense_is_never_sent(primary, seed, damage, words):
    with primary.open(pin=PIN) as opened, pytest.raises(UnsupportedError, match=words) as caught:
        pair_draft.import_seed(opened, damage(seed))
    assert caught.value.code == "evidence_refused"
    assert primary.sent() == ["getInfo"]


def test_the_key_itself_takes_no_seed_that_another_key_signed(primary, seed):
    with primary.open(pin=PIN) as opened:
        other = cbor.decode(opened.recovery_seeds.export())
        spliced = recovery_seeds.seed_from_map(cbor.decode(seed) | {0xFF: other[0xFF]})
        for more in ({}, {"allow_unattested": True}):
            with pytest.raises(UnsupportedError, match="another key than its own") as caught:
                opened.recovery_seeds.import_seed(spliced, **more)
            assert caught.value.code == "evidence_refused"
        assert opened.recovery_seeds.list().seeds == ()


def test_a_seed_without_certificate_takes_the_opt_in(primary, seed):
    bare = recovery_seeds.seed_from_map(cbor.decode(seed) | {3: []})
    with primary.open(pin=PIN) as opened:
        with pytest.raises(UnsupportedError, match="nobody vouches") as caught:
            opened.recovery_seeds.import_seed(bare)
        assert caught.value.code == "evidence_refused"
        assert caught.value.details.ctap_status == CtapError.ERR.INTEGRITY_FAILURE
        opened.recovery_seeds.import_seed(bare, allow_unattested=True)
        assert len(opened.recovery_seeds.list().seeds) == 1


def test_the_fifth_seed_has_no_room(make_bench, primary):
    with primary.open(pin=PIN) as opened:
        for number in range(5):
            with make_bench("draft", name=f"backup-{number}", pin=PIN).open(pin=PIN) as backup:
                seed = recovery_seeds.seed_from_cbor(backup.recovery_seeds.export())
            if number < 4:
                opened.recovery_seeds.import_seed(seed)
        with pytest.raises(UnsupportedError, match="no room for another seed") as caught:
            opened.recovery_seeds.import_seed(seed)
    assert caught.value.code == "key_full"


# --- hostile answers -------------------------------------------------------------------------------------------------


class Lying(VirtualDevice):
    """A virtual key that answers one command otherwise."""

    def __init__(self, bench: Any, command: int, change: Callable[[dict[Any, Any]], Any]) -> None:
        super().__init__(bench.folder, bench.name)
        self._command = command
        self._change = change

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        answer = super().call(cmd, data, *more)
        if data[:1] != bytes([self._command]) or answer[:1] != b"\0":
            return answer
        changed = self._change(cbor.decode(answer[1:]))
        return b"\0" + (changed if isinstance(changed, bytes) else cbor.encode(changed))


def lying(bench: Any, command: int, change: Callable[[dict[Any, Any]], Any]) -> Opened:
    guard = GuardedDevice(Lying(bench, command, change), bench.name, touch_s=0, lock_s=0, on_touch=lambda *_: None)
    opened = Session(bench.found(), guard, None, bench.folder)
    opened.use_pin(PIN)
    return opened


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"\xff",
        lambda _: {},
        lambda _: {3: 5},
        lambda answer: {3: answer[3] | {0xFF: b"\x04" + bytes(64)}},
        lambda answer: {3: answer[3] | {0xFF: answer[3][0xFF][:-1]}},
        lambda answer: {3: answer[3] | {1: 7}},
        lambda answer: {3: answer[3] | {2: b"short"}},
        lambda answer: {3: answer[3] | {3: "no list"}},
        lambda answer: {3: answer[3] | {4: None}},
    ],
)
def test_an_exported_seed_that_makes_no_sense_is_refused(backup, change):
    with lying(backup, COMMAND, change) as opened, pytest.raises(UnreachableError) as caught:
        opened.recovery_seeds.export()
    assert caught.value.code == "key_nonsense"


@pytest.mark.parametrize(
    "change",
    [
        lambda _: {},
        lambda _: {7: 1, 8: 1},
        lambda _: {7: [], 8: -1},
        lambda _: {7: [], 8: True},
        lambda _: {7: [], 8: 2**40},
        lambda _: {7: [1], 8: 1},
        lambda _: {7: [{}], 8: 1},
        lambda _: {7: [{2: bytes(16), 0xFF: bytes(65)}], 8: 1},
        lambda _: {7: [{2: b"", 0xFF: p256.base_multiple(1)}], 8: 1},
        lambda _: {7: [{2: bytes(16), 0xFF: p256.base_multiple(1)}] * 17, 8: 1},
    ],
)
def test_a_list_of_seeds_that_makes_no_sense_is_refused(primary, change):
    with lying(primary, COMMAND, change) as opened, pytest.raises(UnreachableError) as caught:
        opened.recovery_seeds.list()
    assert caught.value.code == "key_nonsense"


def with_output(answer: dict[Any, Any], **changes: Any) -> dict[Any, Any]:
    """The answer of makeCredential with another output; what is None is left out."""
    data = answer[2]
    at = data.index(b"\xa1\x68recovery")
    output = {**cbor.decode(data[at:])["recovery"], **changes}
    output = {name: value for name, value in output.items() if value is not None}
    return answer | {2: data[:at] + cbor.encode({"recovery": output})}


@pytest.mark.parametrize(
    "change",
    [
        lambda _: {},
        lambda answer: answer | {2: b""},
        lambda answer: answer | {2: answer[2][:-1]},
        lambda answer: answer | {2: bytes(32) + answer[2][32:]},
        lambda answer: answer | {2: answer[2][:32] + b"\xc0" + answer[2][33:]},
        lambda answer: answer | {1: 5},
        lambda answer: answer | {3: b"no map"},
        lambda answer: with_output(answer, action="state"),
        lambda answer: with_output(answer, action=None),
        lambda answer: with_output(answer, credId=bytes(82)),
        lambda answer: with_output(answer, credId=[]),
        lambda answer: with_output(answer, sig=None),
        lambda answer: with_output(answer, sig=b""),
        lambda answer: with_output(answer, sig=bytes(500)),
        lambda answer: with_output(answer, state="1"),
    ],
)
def test_a_recovery_that_makes_no_sense_is_refused(backup, seed, change):
    with lying(backup, MAKE_CREDENTIAL, change) as opened, pytest.raises(UnreachableError) as caught:
        opened.recovery_seeds.recover([credential_for(seed).id], HASH)
    assert caught.value.code == "key_nonsense"
