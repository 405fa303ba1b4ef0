"""Drills, restoring and removing: what a pairing is worth, and what is left of it."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from typing import Any

import pytest

from keyctl.core import arkg, fingerprints, key_record, seed_cose, times
from keyctl.core.pairings import Method, PairingState
from keyctl.device import blob_array
from keyctl.errors import Exit
from keyctl.model import Role
from keyctl.operations import (
    key_copies,
    naming,
    pair_choice,
    pair_creating,
    pair_removing,
    pair_restoring,
    pair_verifying,
    pair_views,
)
from keyctl.store import blob_keys
from keyctl.store import state as local_state
from keyctl.virtual import keys
from tests.failing import failing
from tests.operations.pairs import FOREIGN, PIN, Pairs, with_keys


def verify(pairs: Pairs, person: Any = None) -> pair_verifying.Drill:
    return pair_verifying.verify(pairs.circumstances(person or pairs.person()), None)


def restore(pairs: Pairs, name: str, person: Any = None, **more: Any) -> pair_restoring.Restoration:
    options = {"dry_run": False, **more}
    return pair_restoring.restore(pairs.circumstances(person or pairs.person(), f"virtual:{name}"), **options)


def remove(pairs: Pairs, person: Any = None, **more: Any) -> pair_removing.Removal:
    options = {"dry_run": False, **more}
    return pair_removing.remove(pairs.circumstances(person or pairs.person()), None, **options)


def lose_inventory(pairs: Pairs, *, state: bool = True) -> None:
    """A new computer, or one that was set up anew."""
    for name in ("keys", "services", "pairings"):
        shutil.rmtree(pairs.desk.home / name, ignore_errors=True)
    if state:
        shutil.rmtree(pairs.desk.home / "state", ignore_errors=True)


# Which one is meant.


def test_a_pairing_goes_by_its_backup_by_both_names_and_alone(pairs):
    pairing = pairs.paired()
    known = pairs.desk.inventory
    for text in (None, "green", "blue/green", pairing.id):
        assert pair_choice.find(known, text) == pairing
    error = failing(pair_choice.find, known, "blue")
    assert (error.code, error.details.candidates) == ("pairing_not_found", ("blue/green",))


def test_several_pairings_are_listed(pairs):
    pairs.paired()
    pairs.desk.know("red", profile="arkg", pin=True)
    pairs.paired_with("red")
    error = failing(pair_choice.find, pairs.desk.inventory, None)
    assert (error.code, error.exit_status) == ("pairing_ambiguous", Exit.NOT_FOUND)
    assert set(error.details.candidates) == {"blue/green", "blue/red"}


def test_a_pairing_of_keys_with_odd_names_is_told_as_one_word_that_means_it(pairs):
    pairs.paired(method=Method.REGISTRATION)
    for old, new in (("blue", "my blue"), ("green", "it's green")):
        naming.edit(pairs.circumstances(pairs.person()), old, naming.Notes(), new_name=new, dry_run=False)
    circumstances = pairs.circumstances(pairs.person())
    error = failing(pair_creating.create, circumstances, "my blue", "it's green", method=None, store_on_key=True)
    assert error.code == "pairing_exists"
    [command] = [part for part in (error.hint or "").split("`") if part.startswith("keyctl pair verify ")]
    [word] = shlex.split(command)[3:]
    assert pair_choice.find(pairs.desk.inventory, word) == pairs.desk.inventory.pairings[0]


# The drill.


def test_a_drill_is_one_touch_and_remembered(pairs):
    pairs.paired()
    keys.unplug(pairs.desk.folder, "blue")
    drill = verify(pairs)
    assert (drill.verified, drill.reason, drill.target) == (True, None, None)
    assert pairs.touches() == 1
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.VERIFIED
    assert drill.pairing.verified_elsewhere is False


def test_a_drill_also_signs_as_a_recorded_key(pairs):
    pairs.desk.put(with_keys(pairs.paired(), "ssh:server.example.com"))
    drill = verify(pairs)
    assert (drill.verified, drill.target) == (True, "ssh:server.example.com")
    assert pairs.touches() == 2


def test_a_drill_on_another_computer_counts_as_elsewhere(pairs):
    pairs.paired()
    (pairs.desk.home / "state" / "computer.json").unlink()
    assert verify(pairs).pairing.verified_elsewhere is True


def test_a_backup_that_was_reset_fails_and_the_pairing_is_broken(pairs):
    pairs.paired()
    pairs.desk.reset("green")
    pairs.desk.set_pin("green")
    pairs.desk.add("green", "virtual:green", replacing=True)
    drill = verify(pairs)
    assert not drill.verified
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.BROKEN


def test_a_drill_that_succeeds_mends_a_failure_of_the_same_second(pairs):
    pairing = pairs.paired()
    pairs.desk.put(replace(pairing, broken_at="2026-01-01T00:00:00Z"))
    assert pairs.desk.inventory.pairings[0].state is PairingState.BROKEN
    assert verify(pairs).verified
    [mended] = pairs.desk.inventory.pairings
    assert (mended.state, mended.broken_at) == (PairingState.VERIFIED, None)
    # Another computer that only saw the failure learns that it is over.
    assert mended.changed["broken_at"] == mended.verified_at


@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_one_garbled_answer_is_no_verdict(pairs, step):
    pairs.paired()
    pairs.desk.set("green", f"fault={step}:garbage")
    error = failing(verify, pairs)
    assert error.exit_status in {Exit.UNREACHABLE, Exit.NO_KEY}
    assert pairs.desk.inventory.pairings[0].broken_at is None


def test_a_pairing_in_a_damaged_file_is_not_told_as_none(pairs):
    pairing = pairs.paired()
    (pairs.desk.home / "pairings" / f"{pairing.id}.json").write_text("nonsense")
    for text in (None, "green"):
        assert failing(pair_choice.find, pairs.desk.inventory, text).exit_status is Exit.STORE


def test_a_recorded_key_that_does_not_follow_from_the_seed_is_found(pairs):
    foreign = arkg.public_seed(arkg.derive_seed(bytes(32), b"\x01" * 32))
    pairs.desk.put(with_keys(pairs.paired(), "ssh:server.example.com", public_key=foreign.pk_bl))
    drill = verify(pairs)
    assert not drill.verified
    assert "does not follow" in (drill.reason or "")
    assert pairs.touches() == 0


def test_a_record_on_the_backup_that_was_changed_is_found(pairs):
    pairing = pairs.paired()
    known = pairs.desk.record("green")
    key = blob_keys.read(pairs.desk.home / "state", pairing.id, known.id)
    assert key is not None
    array = blob_array.parse(pairs.blobs("green"))
    pairs.keep("green", large_blobs=array.with_content(key, b"\xa1\x01\x01").content.hex())
    drill = verify(pairs)
    assert "record on green" in (drill.reason or "")


def test_a_drill_gives_the_backup_the_copy_that_it_lacks(pairs):
    """As after an import, which the backup key did not see."""
    pairing = pairs.paired()
    known = pairs.desk.record("green")
    pairs.keep("green", large_blobs=blob_array.BlobArray(FOREIGN).content.hex())
    pairs.desk.put(replace(pairing, stored_on=tuple(one for one in pairing.stored_on if one.key_id != known.id)))
    blob_keys.forget(pairs.desk.home / "state", pairing.id, known.id)
    assert verify(pairs).verified
    [pairing] = pairs.desk.inventory.pairings
    assert known.id in {one.key_id for one in pairing.stored_on}
    assert pairs.foreign("green") == FOREIGN
    lose_inventory(pairs)
    assert restore(pairs, "green").changed


def test_a_pairing_that_no_key_is_to_carry_stays_so(pairs):
    pairs.paired(store_on_key=False)
    assert verify(pairs).verified
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.stored_on == ()


def test_a_wrong_pin_at_a_drill_is_no_verdict(pairs):
    pairs.paired()
    error = failing(verify, pairs, pairs.person_class(pins=["654321"]))
    assert error.code == "pin_wrong"
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.NEVER_VERIFIED


def test_a_drill_without_the_backup_key(pairs):
    pairs.paired()
    keys.unplug(pairs.desk.folder, "green")
    assert failing(verify, pairs).code == "no_key"


@pytest.mark.parametrize("step", range(1, 8))
def test_a_backup_that_is_pulled_during_a_drill_breaks_nothing(pairs, step):
    pairs.paired()
    pairs.desk.set("green", f"fault={step}:pulled")
    error = failing(verify, pairs)
    assert error.exit_status in {Exit.UNREACHABLE, Exit.NO_KEY}
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.NEVER_VERIFIED


# Software: the seed out of hmac-secret.


def test_software_pairs_verifies_and_is_called_so(desk, person):
    pairs = Pairs(desk, person, backup="full")
    made = pairs.create(method=Method.SOFTWARE)
    assert made.pairing is not None
    assert made.pairing.method is Method.SOFTWARE
    assert set(made.pairing.stored_on) == {"blue", "green"}
    assert not pairs.unfinished()
    assert verify(pairs).verified


def test_software_that_fails_leaves_nothing(desk, person):
    pairs = Pairs(desk, person, backup="full")
    pairs.desk.set("blue", "touch=refused")
    assert failing(pairs.create, method=Method.SOFTWARE).exit_status is Exit.NO_TOUCH
    assert pairs.own_ids("green") == []
    assert not pairs.unfinished()


def test_software_with_a_refused_touch_on_the_backup_leaves_nothing(desk, person):
    pairs = Pairs(desk, person, backup="full")
    pairs.desk.set("green", "touch=refused")
    assert failing(pairs.create, method=Method.SOFTWARE).exit_status is Exit.NO_TOUCH
    assert pairs.own_ids("green") == []
    assert not pairs.unfinished()


def test_software_with_a_wrong_pin_spends_one_try(desk, person):
    pairs = Pairs(desk, person, backup="full")
    error = failing(pairs.create, pairs.person_class(pins=["654321", PIN]), method=Method.SOFTWARE)
    assert error.code == "pin_wrong"
    assert desk.tries("green") == 7
    assert pairs.own_ids("green") == []


# Restoring.


def test_the_backup_brings_the_pairing_back_and_proves_it(pairs):
    before = pairs.paired()
    lose_inventory(pairs)
    keys.unplug(pairs.desk.folder, "blue")
    done = restore(pairs, "green")
    assert (done.changed, done.enrolled, done.key.name) == (True, True, "green")
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.seed is not None
    assert before.seed is not None
    assert pairing.seed == replace(before.seed, evidence=None)
    assert (pairing.id, pairing.primary_id, pairing.backup_id) == (before.id, before.primary_id, before.backup_id)
    assert pairing.state is PairingState.VERIFIED
    assert done.pairings[0].verified_elsewhere is True
    assert pairs.desk.record("green").role is Role.BACKUP


def test_the_primary_brings_it_back_unproved_after_all_groups_of_the_fingerprint(pairs):
    before = pairs.paired()
    shown = pair_views.view(pairs.desk.inventory, before)
    lose_inventory(pairs)
    person = pairs.person(reads=shown.fingerprint)
    done = restore(pairs, "blue", person)
    assert len(person.compared) == 1
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.NEVER_VERIFIED
    assert done.pairings[0].backup is None
    # The other key finds its place under the number that it had.
    restore(pairs, "green")
    [pairing] = pairs.desk.inventory.pairings
    assert pair_choice.label(pairs.desk.inventory, pairing) == "blue/green"
    assert len(pairing.stored_on) == 2
    assert verify(pairs).verified


def test_keys_that_were_added_anew_keep_their_new_numbers(pairs):
    pairs.paired()
    lose_inventory(pairs)
    for name in ("blue", "green"):
        pairs.desk.add(name, f"virtual:{name}")
    restore(pairs, "green")
    restore(pairs, "blue")
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.primary_id == pairs.desk.record("blue").id
    assert pairing.backup_id == pairs.desk.record("green").id


def test_restoring_what_is_there_changes_nothing(pairs):
    pairs.paired()
    assert not restore(pairs, "blue").changed


def test_a_wrong_fingerprint_restores_nothing(pairs):
    pairs.paired()
    lose_inventory(pairs)
    error = failing(restore, pairs, "blue", pairs.person(reads="AAAAA-AAAAA-AAAAA-AAAAA"))
    assert error.exit_status is Exit.DECLINED
    assert pairs.desk.inventory.pairings == ()


def test_a_fingerprint_ground_to_one_equal_group_restores_nothing(pairs):
    """All four groups are asked for, so one that an attacker found by trying is worth nothing."""
    pairing = pairs.paired()
    assert pairing.seed is not None
    fingerprint = fingerprints.of_seed(seed_cose.read_seed(pairing.seed.public_seed))
    lose_inventory(pairs)
    ground = f"{fingerprint[:5]}-AAAAA-BBBBB-CCCCC"
    assert failing(restore, pairs, "blue", pairs.person(reads=ground)).exit_status is Exit.DECLINED


def test_a_key_that_carries_nothing(pairs):
    error = failing(restore, pairs, "blue")
    assert (error.code, error.exit_status) == ("record_not_found", Exit.NOT_FOUND)


def test_a_primary_with_the_seed_alone_says_where_the_rest_is(desk, person):
    pairs = Pairs(desk, person, primary="fido2.1-pre")
    pairs.paired()
    lose_inventory(pairs)
    error = failing(restore, pairs, "blue")
    assert error.code == "record_not_found"
    assert "carries the seed" in error.message


def planted(pairs: Pairs, name: str, content: bytes) -> None:
    """Put another record in the place of the one on a key, as whoever had its PIN could."""
    [pairing] = pairs.desk.inventory.pairings
    key = blob_keys.read(pairs.desk.home / "state", pairing.id, pairs.desk.record(name).id)
    assert key is not None
    array = blob_array.parse(pairs.blobs(name))
    pairs.keep(name, large_blobs=array.with_content(key, content).content.hex())


def forged_record(pairs: Pairs) -> bytes:
    """A record as the real one, with the attacker's own seed."""
    [pairing] = pairs.desk.inventory.pairings
    record = key_copies.record_of(pairs.desk.inventory, pairing)
    own = arkg.public_seed(arkg.derive_seed(b"\x07" * 32, b"\x08" * 32))
    return key_record.encode(replace(record, seed=replace(record.seed, public_seed=seed_cose.encode_seed(own))))


def test_a_record_planted_on_the_primary_is_betrayed_by_its_hash(pairs):
    pairs.paired()
    planted(pairs, "blue", forged_record(pairs))
    lose_inventory(pairs)
    error = failing(restore, pairs, "blue")
    assert (error.code, error.exit_status) == ("record_changed", Exit.UNREACHABLE)
    assert pairs.desk.inventory.pairings == ()


def test_a_record_planted_on_the_backup_fails_the_drill(pairs):
    pairs.paired()
    planted(pairs, "green", forged_record(pairs))
    lose_inventory(pairs)
    error = failing(restore, pairs, "green")
    assert error.code == "record_changed"
    assert pairs.desk.inventory.pairings == ()


def test_a_record_of_another_seed_than_the_inventorys_is_refused(pairs):
    before = pairs.paired()
    planted(pairs, "green", forged_record(pairs))
    assert failing(restore, pairs, "green").code == "record_changed"
    assert pairs.desk.inventory.pairings == (before,)


def test_a_record_of_a_newer_version_is_left_alone(pairs):
    from fido2 import cbor

    pairs.paired()
    planted(pairs, "blue", cbor.encode({1: 2, 2: "whatever comes"}))
    before = pairs.blobs("blue")
    lose_inventory(pairs)
    error = failing(restore, pairs, "blue")
    assert (error.code, error.exit_status) == ("store_newer", Exit.STORE)
    assert pairs.blobs("blue") == before


@pytest.mark.parametrize("content", [b"\xa0", b"nonsense", b"\xa1\x01\x01", bytes(5000)])
def test_a_damaged_record_is_told(pairs, content):
    pairs.paired()
    planted(pairs, "blue", content)
    lose_inventory(pairs)
    assert failing(restore, pairs, "blue").code == "record_changed"


def test_one_of_several_is_restored_by_its_name(pairs):
    pairs.paired()
    pairs.desk.know("red", profile="arkg", pin=True)
    pairs.paired_with("red")
    lose_inventory(pairs)
    circumstances = pairs.circumstances(pairs.person(), "virtual:blue")
    error = failing(pair_restoring.restore, circumstances, "black", dry_run=False)
    assert (error.code, set(error.details.candidates)) == ("record_not_found", {"blue/green", "blue/red"})
    pair_restoring.restore(pairs.circumstances(pairs.person(), "virtual:blue"), "blue/red", dry_run=False)
    [pairing] = pairs.desk.inventory.pairings
    assert pair_restoring.restore(pairs.circumstances(pairs.person(), "virtual:red"), None, dry_run=False).changed
    assert pair_choice.label(pairs.desk.inventory, pairs.desk.inventory.pairings[0]) == "blue/red"
    assert pairing.id == pairs.desk.inventory.pairings[0].id


def test_a_dry_run_restores_nothing(pairs):
    pairs.paired()
    lose_inventory(pairs)
    assert not restore(pairs, "green", dry_run=True).changed
    assert pairs.desk.inventory.pairings == ()
    assert pairs.desk.inventory.keys == ()


def test_another_key_of_the_name_is_in_the_way(pairs):
    pairs.paired()
    lose_inventory(pairs)
    keys.new(pairs.desk.folder, "red", "full")
    pairs.desk.add("green", "virtual:red")
    error = failing(restore, pairs, "green")
    assert error.code == "name_exists"


def test_software_comes_back_from_the_backup(desk, person):
    pairs = Pairs(desk, person, backup="full")
    pairs.paired(method=Method.SOFTWARE)
    lose_inventory(pairs)
    assert restore(pairs, "green").changed
    [pairing] = desk.inventory.pairings
    assert (pairing.method, pairing.state) == (Method.SOFTWARE, PairingState.VERIFIED)


# Removing.


def test_a_pairing_is_removed_from_both_keys(pairs):
    for name in ("blue", "green"):
        pairs.stock(name)
    pairing = pairs.paired()
    person = pairs.person()
    done = remove(pairs, person)
    assert (done.changed, set(done.removed_from), done.remains) == (True, {"blue", "green"}, ())
    assert pairs.own_ids("blue") == pairs.own_ids("green") == []
    assert pairs.desk.inventory.pairings == ()
    for name in ("blue", "green"):
        assert blob_array.parse(pairs.blobs(name)).entries == FOREIGN
    state = pairs.desk.home / "state"
    assert local_state.read_seed_pin(state, pairing.id) is None
    assert not list(state.glob(f"blob-keys/{pairing.id}*"))


def test_what_remains_on_an_absent_key_is_told(pairs):
    pairing = pairs.paired()
    keys.unplug(pairs.desk.folder, "green")
    done = remove(pairs)
    assert done.removed_from == ("blue",)
    [left] = done.remains
    assert pairing.seed is not None
    assert (left.key, left.credential_id, left.what) == ("green", pairing.seed.credential_id, "seed")


def test_no_removal_without_a_yes(pairs):
    pairs.paired()
    assert failing(remove, pairs, pairs.person(agrees=False)).exit_status is Exit.DECLINED
    assert len(pairs.own_ids("green")) == 1


def test_a_wrong_pin_removes_nothing_from_either_key(pairs):
    pairs.paired()
    error = failing(remove, pairs, pairs.person_class(pins=[PIN, "654321"]))
    assert error.code == "pin_wrong"
    assert len(pairs.own_ids("green")) == len(pairs.own_ids("blue")) == 1
    assert len(pairs.desk.inventory.pairings) == 1


def test_a_key_that_was_handed_over_wants_the_names_typed(pairs):
    pairs.desk.put(with_keys(pairs.paired(), "ssh:server.example.com", handed_over_at=times.now()))
    person = pairs.person()
    remove(pairs, person)
    assert any("ssh:server.example.com" in asked and asked.endswith("blue/green") for asked in person.asked)


def test_a_dry_run_removes_nothing(pairs):
    pairs.paired()
    done = remove(pairs, dry_run=True)
    assert not done.changed
    assert {left.key for left in done.remains} == {"blue", "green"}
    assert len(pairs.own_ids("green")) == 1


def test_removing_a_registration_touches_no_key(pairs):
    pairs.create(pairs.person(pins=0), method=Method.REGISTRATION)
    pairs.trace.clear()
    assert remove(pairs, pairs.person(pins=0)).changed
    assert pairs.trace == []


# Views.


def test_the_files_of_a_pairing_hold_no_private_half(pairs):
    """Nothing that a virtual key keeps to itself is in the inventory."""
    pairs.paired()
    secret = pairs.kept("green")
    texts = "".join(path.read_text() for path in (pairs.desk.home / "pairings").glob("*.json"))
    for kept in secret["credentials"]:
        private = [value for name, value in kept.items() if name in {"private_key", "secret"}]
        assert private
        assert not any(str(value) in texts for value in private)
    assert json.dumps(secret["pin"]) not in texts


def test_a_known_name_keeps_the_pairing_in_words(pairs):
    pairing = pairs.paired()
    naming.edit(pairs.circumstances(pairs.person()), "green", naming.Notes(), new_name="safe", dry_run=False)
    assert pair_views.view(pairs.desk.inventory, pairing).backup == "safe"
    assert pair_choice.find(pairs.desk.inventory, "safe") == pairing


# Keys that say nothing without their PIN.


def test_keys_that_always_want_their_pin_are_named_by_their_path(pairs):
    for name in ("blue", "green"):
        pairs.desk.always_uv(name)
    circumstances = pairs.circumstances(pairs.person())
    made = pair_creating.create(circumstances, "virtual:blue", "virtual:green", method=None, store_on_key=True)
    assert made.pairing is not None
    assert (made.pairing.primary, made.pairing.backup) == ("blue", "green")
    assert any("could not be tried" in remark for remark in made.remarks)
    by_path = pairs.circumstances(pairs.person(), "virtual:green")
    assert pair_verifying.verify(by_path, None).verified


def test_a_path_leads_to_no_other_key(pairs):
    pairs.paired()
    person = pairs.person()
    error = failing(pair_verifying.verify, pairs.circumstances(person, "virtual:blue"), None)
    assert error.code == "wrong_key"
    assert person.requests == []


def test_a_key_without_a_name_is_not_paired(pairs):
    pairs.desk.new("red", "arkg")
    circumstances = pairs.circumstances(pairs.person())
    error = failing(pair_creating.create, circumstances, "blue", "virtual:red", method=None, store_on_key=True)
    assert error.code == "name_not_found"
