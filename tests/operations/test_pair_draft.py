"""Pairing by the WebAuthn draft: what is taken for a seed, and what a drill proves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from fido2 import cbor

from keyctl.core import recovery_seeds
from keyctl.device.discover import discover
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import PinError, TouchError, UnsupportedError
from keyctl.operations import opening, pair_draft
from keyctl.virtual.device import VirtualDevice

if TYPE_CHECKING:
    from collections.abc import Iterator

PIN = "123456"
X5C, SIGNATURE, POINT, AAGUID = 3, 4, 0xFF, 2


@pytest.fixture
def opened(desk, person):
    """A function that opens a virtual key of the profile ``draft``, made when it is not there, with its PIN."""
    made: set[str] = set()

    @contextlib.contextmanager
    def opening_it(name: str, profile: str = "draft", *, pin: bool = True) -> Iterator[Session]:
        if name not in made:
            made.add(name)
            desk.new(name, profile)
            desk.set_pin(name)
        with opening.opened(desk.circumstances(person(), f"virtual:{name}")) as session:
            if pin:
                session.use_pin(PIN)
            yield session

    return opening_it


@pytest.fixture
def seed(opened) -> bytes:
    """Of the backup key green."""
    with opened("green") as backup:
        return pair_draft.export_seed(backup)


def changed(seed: bytes, **parts: object) -> bytes:
    numbers = {"x5c": X5C, "signature": SIGNATURE, "point": POINT, "aaguid": AAGUID}
    return cbor.encode(cbor.decode(seed) | {numbers[name]: value for name, value in parts.items()})


def holds(key: Session, seed: bytes) -> bool:
    """Whether a primary key was given *seed*."""
    return cbor.decode(seed)[POINT] in {held.point for held in key.recovery_seeds.list().seeds}


def is_attested(key: Session, seed: bytes) -> bool:
    """Whether somebody vouches for *seed*, as the home of *key* knows it."""
    return recovery_seeds.is_attested(recovery_seeds.seed_from_cbor(seed), key.recovery_seeds.roots())


def refused(words: str):
    return pytest.raises(UnsupportedError, match=words)


def test_a_pairing_from_the_first_to_the_last(opened, seed):
    with opened("blue") as primary:
        assert is_attested(primary, seed)
        assert not holds(primary, seed)
        pair_draft.import_seed(primary, seed)
        assert holds(primary, seed)
    with opened("green") as backup:
        assert pair_draft.drill(backup, seed)
        # What it holds as a primary key is another matter.
        assert not holds(backup, seed)
    with opened("blue") as primary:
        # The primary makes recovery credentials, and can sign with none.
        assert not pair_draft.drill(primary, seed)
        assert pair_draft.remove_seed(primary, seed)
        assert not pair_draft.remove_seed(primary, seed)
        assert not holds(primary, seed)


def test_the_seed_stays_until_a_reset(desk, opened, seed):
    with opened("green") as backup:
        assert cbor.decode(pair_draft.export_seed(backup))[POINT] == cbor.decode(seed)[POINT]
    desk.reset("green")
    desk.set_pin("green")
    with opened("green") as backup:
        assert not pair_draft.drill(backup, seed)
        assert cbor.decode(pair_draft.export_seed(backup))[POINT] != cbor.decode(seed)[POINT]


def test_another_backup_key_does_not_pass_the_drill(opened, seed):
    with opened("red") as other:
        pair_draft.export_seed(other)
        assert not pair_draft.drill(other, seed)


class Splicing(VirtualDevice):
    """A backup key that signs a recovery with something else."""

    def call(self, cmd: int, data: bytes = b"", *more: object) -> bytes:
        answer = super().call(cmd, data, *more)  # type: ignore[arg-type]  # handed on as they came
        if data[:1] != b"\x01" or answer[:1] != b"\0":
            return answer
        told = cbor.decode(answer[1:])
        at = told[2].index(b"\xa1\x68recovery")
        output = cbor.decode(told[2][at:])["recovery"]
        # The attestation's signature is a good one of the same data, by another key.
        output["sig"] = told[3]["sig"]
        return b"\0" + cbor.encode(told | {2: told[2][:at] + cbor.encode({"recovery": output})})


def test_a_drill_with_a_signature_by_another_key_fails(desk, seed):
    found = next(key for key in discover(desk.home, "virtual:").found if key.path == "green")
    device = Splicing(desk.folder, "green")
    guard = GuardedDevice(device, "green", touch_s=5, lock_s=0, on_touch=lambda *_: None)
    with Session(found, guard, None, desk.folder) as backup:
        backup.use_pin(PIN)
        assert not pair_draft.drill(backup, seed)


# --- what is no seed -------------------------------------------------------------------------------------------------


def test_a_seed_signed_by_another_key_is_refused_even_with_the_opt_in(opened, seed):
    with opened("red") as attacker:
        own = pair_draft.export_seed(attacker)
    spliced = changed(seed, point=cbor.decode(own)[POINT])
    with opened("blue", pin=False) as primary:
        sent = primary.commands_sent
        for opt_in in (False, True):
            with refused("signature does not verify") as caught:
                pair_draft.import_seed(primary, spliced, allow_unattested=opt_in)
            assert caught.value.code == "evidence_refused"
        # Neither a PIN nor a touch was spent on it.
        assert primary.commands_sent == sent


def test_a_seed_of_another_model_is_refused(opened, seed):
    with opened("blue") as primary, refused("the seed for virtual:blue is not taken"):
        pair_draft.import_seed(primary, changed(seed, aaguid=bytes(16)), allow_unattested=True)


def test_an_unattested_seed_is_taken_only_when_that_is_said(opened, seed):
    bare = changed(seed, x5c=[])
    with opened("blue") as primary:
        assert not is_attested(primary, bare)
        sent = primary.commands_sent
        with refused("nobody vouches for it"):
            pair_draft.import_seed(primary, bare)
        assert primary.commands_sent == sent
        pair_draft.import_seed(primary, bare, allow_unattested=True)
        assert holds(primary, bare)


def test_the_virtual_keys_of_another_home_vouch_for_nothing_here(desk, seed, tmp_path, person):
    elsewhere = type(desk)(tmp_path / "elsewhere")
    elsewhere.new("blue", "draft")
    with opening.opened(elsewhere.circumstances(person(), "virtual:blue")) as primary:
        assert not is_attested(primary, seed)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: b"", "not taken"),
        (lambda seed: seed[:-1], "it is cut"),
        (lambda seed: changed(seed, point=b"\x04" + b"\x01" * 64), "not on the curve"),
        (lambda seed: changed(seed, point=bytes(65)), "not on the curve"),
        (lambda seed: changed(seed, x5c=[b"no certificate"]), "makes no sense"),
    ],
)
def test_what_makes_no_sense_costs_nothing(opened, seed, damage, words):
    with opened("blue", pin=False) as primary:
        sent = primary.commands_sent
        with refused(words) as caught:
            pair_draft.import_seed(primary, damage(seed), allow_unattested=True)
        assert caught.value.code == "evidence_refused"
        assert primary.commands_sent == sent


def test_other_profiles_cannot_be_paired_so(opened, seed):
    with opened("plain", profile="full") as other:
        for ask in (
            lambda: pair_draft.require(other),
            lambda: pair_draft.export_seed(other),
            lambda: pair_draft.import_seed(other, seed),
            lambda: pair_draft.drill(other, seed),
            lambda: holds(other, seed),
            lambda: pair_draft.remove_seed(other, seed),
        ):
            with refused("WebAuthn draft") as caught:
                ask()
            assert caught.value.code == "unsupported"


def test_pin_and_touch_are_asked_for(desk, opened, seed):
    with opened("blue", pin=False) as primary:
        for ask in (
            lambda: pair_draft.export_seed(primary),
            lambda: pair_draft.import_seed(primary, seed),
            lambda: holds(primary, seed),
        ):
            with pytest.raises(PinError, match="wants its PIN"):
                ask()
    desk.set("green", "touch=refused")
    with opened("green") as backup:
        with pytest.raises(TouchError):
            pair_draft.drill(backup, seed)
        with pytest.raises(TouchError):
            pair_draft.export_seed(backup)
