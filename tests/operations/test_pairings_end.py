"""What becomes of pairings when one of their keys is forgotten, reset or replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core import ended_pairings
from keyctl.core.pairings import Method, PairingState, StoredRecord
from keyctl.errors import DeclinedError
from keyctl.model import KeyState
from keyctl.operations import forgetting, naming, resetting
from keyctl.operations.naming import Notes
from keyctl.store import blob_keys
from keyctl.store import state as local_state

from ..core.coverage_parts import NOW, SEEN_AT, derived, pairing  # noqa: TID252  # found by path: no package to name

LATER = "2026-09-01T08:00:00Z"


def real(one):
    """*one* with numbers and bytes as long as files want them."""
    made = tuple(replace(key, public_key=b"\x04" * 65, key_handle=b"h" * 81) for key in one.derived)
    seed = one.seed and replace(one.seed, public_seed=b"s" * 170, user_id=b"u" * 32)
    return replace(one, seed=seed, derived=made)


@pytest.fixture
def paired(desk):
    """Blue and its backup green, with a key for a host that was handed over, and copies of the record on both."""
    blue, green = desk.know("blue"), desk.know("green")
    pair = replace(
        real(pairing("blue", "green", derived("ssh:home.example", handed_over_at=SEEN_AT), method=Method.ARKG)),
        primary_id=blue.id,
        backup_id=green.id,
        stored_on=tuple(
            StoredRecord(key_id=key.id, credential_id=key.name.encode() * 8, user_id=b"u" * 32, at=SEEN_AT)
            for key in (blue, green)
        ),
    )
    desk.put(pair)
    return the_pairing(desk)


def the_pairing(desk):
    [pair] = desk.inventory.pairings
    return pair


@pytest.mark.parametrize("name", ["blue", "green"])
def test_a_forgotten_key_takes_its_pairings_with_it(desk, person, paired, name):
    state = desk.home / "state"
    local_state.write_seed_pin(state, paired.id, bytes(32))
    blob_keys.write(state, paired.id, paired.primary_id, bytes(32))
    who = person()
    result = forgetting.forget(desk.circumstances(who), name, dry_run=False)
    assert (result.changed, result.pairings) == (True, ("blue/green",))
    assert [(left.key, left.what) for left in result.remains] == [("green", "seed"), ("blue", "record")]
    assert desk.inventory.pairings == ()
    assert local_state.read_seed_pin(state, paired.id) is None
    assert not list(state.rglob(f"*{paired.id}*"))
    [question] = who.asked
    assert question.startswith("This account opens with nothing else:\n  ssh:home.example\n")
    assert "The pairing blue/green is forgotten with it" in question
    assert f"on blue: a copy of the pairing's record, credential {b'blueblue'.hex()}" in question
    assert "`keyctl pair remove` does that before" in question
    # Typed back.
    assert question.endswith(f" {name}")


def test_a_dry_run_tells_of_the_pairings_and_keeps_them(desk, person, paired):
    who = person()
    assert not forgetting.forget(desk.circumstances(who), "blue", dry_run=True).changed
    assert "The pairing blue/green is forgotten with it, and with it the keys that were derived." in who.told
    assert who.asked == []
    assert desk.inventory.pairings == (paired,)


def test_without_anything_handed_over_a_yes_is_enough(desk, person, paired):
    desk.put(replace(paired, derived=()))
    who = person()
    forgetting.forget(desk.circumstances(who), "blue", dry_run=False)
    assert who.asked[0].endswith("Forget it?")


def test_a_backup_key_that_is_reset_breaks_its_pairings(desk, person, paired):
    who = person()
    resetting.reset(desk.circumstances(who, "green"), dry_run=False)
    assert "It breaks the pairing blue/green for good." in who.asked[-1]
    assert "This account opens with nothing else:\n  ssh:home.example\n" in who.asked[-1]
    after = the_pairing(desk)
    assert after.state is PairingState.BROKEN
    assert [record.key_id for record in after.stored_on] == [paired.primary_id]


def test_a_primary_key_that_is_reset_leaves_the_pairing_as_it_is_in_the_inventory(desk, person, paired):
    who = person()
    resetting.reset(desk.circumstances(who, "blue"), dry_run=False)
    assert "The pairing blue/green stays." in who.asked[-1]
    after = the_pairing(desk)
    assert after.state is PairingState.NEVER_VERIFIED
    assert [record.key_id for record in after.stored_on] == [paired.backup_id]


def test_another_key_under_the_name_of_the_backup_has_no_seed(desk, person, paired):
    desk.new("red", "small")
    who = person()
    naming.add(desk.circumstances(who, "virtual:red"), "green", Notes(), replacing=True, dry_run=False)
    assert "green is in use" in who.asked[0]
    assert "ssh:home.example" in who.asked[0]
    assert the_pairing(desk).state is PairingState.BROKEN
    assert the_pairing(desk).backup_id == paired.backup_id


def test_a_key_in_use_is_not_replaced_against_the_will_of_a_person(desk, person, paired):
    desk.new("red", "small")
    desk.set("red", "touch=never")
    before = desk.files()
    with pytest.raises(DeclinedError):
        naming.add(
            desk.circumstances(person(agrees=False), "virtual:red"), "green", Notes(), replacing=True, dry_run=False
        )
    assert desk.files() == before
    assert desk.inventory.pairings == (paired,)


def test_the_place_of_a_key_that_was_reset_is_taken_without_a_question(desk, person):
    desk.put(replace(desk.know("green"), state=KeyState.RESET))
    desk.new("red", "small")
    who = person()
    naming.add(desk.circumstances(who, "virtual:red"), "green", Notes(), replacing=True, dry_run=False)
    assert who.asked == []
    assert desk.record("green").state is KeyState.ACTIVE


def test_enrolling_a_key_anew_leaves_its_pairings(desk, person, paired):
    local_state.write_pin(desk.home / "state", paired.backup_id, b"another")
    who = person()
    naming.add(desk.circumstances(who, "virtual:green"), "green", Notes(), replacing=True, dry_run=False)
    assert who.asked == []
    assert the_pairing(desk) == paired


PAIR = pairing("blue", "green", method=Method.ARKG)


def test_a_pairing_that_is_broken_already_keeps_its_date():
    broken = replace(PAIR, broken_at=SEEN_AT)
    assert ended_pairings.erased(broken, PAIR.backup_id, now=NOW) == broken
    assert not list(ended_pairings.remains(broken))


def test_a_pairing_that_was_mended_breaks_anew():
    mended = replace(PAIR, broken_at=SEEN_AT, verified_at=NOW, verified_by="c" * 16)
    assert ended_pairings.erased(mended, PAIR.backup_id, now=LATER).broken_at == LATER


def test_the_recovery_extension_keeps_its_seed_on_the_primary_key():
    draft = replace(pairing("blue", "green", method=Method.WEBAUTHN_DRAFT), recovery_seed=b"seed")
    assert ended_pairings.erased(draft, PAIR.primary_id, now=NOW).broken_at == NOW
    assert ended_pairings.erased(PAIR, PAIR.primary_id, now=NOW) == PAIR
    assert ended_pairings.erased(PAIR, "0" * 16, now=NOW) == PAIR
