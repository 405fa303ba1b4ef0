"""Pairing two keys: complete, or nothing but what is named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from keyctl.core import binding, key_record
from keyctl.core.pairings import Method, PairingState
from keyctl.device import blob_array
from keyctl.errors import Exit, KeyctlError
from keyctl.model import KeyState
from keyctl.operations import (
    key_copies,
    pair_creating,
    pair_leftovers,
    pair_removing,
    pair_unfinished,
    pair_verifying,
    seed_trust,
)
from keyctl.store import blob_keys, inventory, unfinished
from keyctl.store import state as local_state
from keyctl.virtual import keys
from tests.failing import failing
from tests.interruption import interrupted_when
from tests.operations.pairs import FOREIGN, PIN, Pairs, spoiled


def nothing_left(pairs: Pairs) -> bool:
    on_keys = [pairs.own_ids(name) for name in ("blue", "green")]
    return not any(on_keys) and not pairs.unfinished() and not pairs.desk.inventory.pairings


def test_a_seed_is_made_proved_and_kept_in_three_places(pairs):
    pairs.stock("blue")
    pairs.stock("green")
    person = pairs.person()
    made = pairs.create(person)
    assert (made.changed, made.method, made.reasons, made.remarks) == (True, Method.ARKG, (), ())
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.state is PairingState.NEVER_VERIFIED
    assert pairing.seed is not None
    assert pairing.seed.evidence is not None
    offer = binding.verify(pairing.seed.evidence)
    assert offer.credential_id == pairing.seed.credential_id
    assert made.pairing is not None
    assert made.pairing.fingerprint in " ".join(person.told)
    assert set(made.pairing.stored_on) == {"blue", "green"}
    # What the keys carry is the same, and brings the pairing back.
    wanted = key_record.encode(key_copies.record_of(pairs.desk.inventory, pairing))
    for name in ("blue", "green"):
        known = pairs.desk.record(name)
        key = blob_keys.read(pairs.desk.home / "state", pairing.id, known.id)
        assert key is not None
        assert blob_array.parse(pairs.blobs(name)).find(key) == wanted
        assert pairs.foreign(name) == FOREIGN
    assert len(wanted) < 480
    assert local_state.read_seed_pin(pairs.desk.home / "state", pairing.id) == pairing.seed_hash
    assert not pairs.unfinished()


def test_three_touches_on_the_backup_and_one_on_the_primary(pairs):
    pairs.create()
    assert pairs.touches() == 4


def test_the_backups_credential_is_found_without_the_pin_and_the_primarys_is_not(pairs):
    """The policy probe needs the one, and nobody else needs the other."""
    pairs.create()
    levels = {
        name: {kept["protection"] for kept in pairs.kept(name)["credentials"] if kept["rp_id"] == "keyctl.invalid"}
        for name in ("blue", "green")
    }
    assert levels == {"blue": {3}, "green": {2}}


def test_without_a_copy_on_the_keys_the_primary_is_left_alone(pairs):
    made = pairs.create(store_on_key=False)
    assert made.pairing is not None
    assert made.pairing.stored_on == ()
    assert pairs.own_ids("blue") == []
    assert len(pairs.own_ids("green")) == 1
    assert pairs.touches() == 3


def test_one_port_is_enough(pairs):
    """The backup goes back into the safe before the primary is wanted."""
    keys.unplug(pairs.desk.folder, "blue")
    keys.unplug(pairs.desk.folder, "green")

    def acts(text: str) -> None:
        if text.startswith("the backup key is next"):
            keys.plug(pairs.desk.folder, "green")
        elif text.startswith("green is done"):
            keys.unplug(pairs.desk.folder, "green")
            keys.plug(pairs.desk.folder, "blue")

    person = pairs.person(acts=acts)
    made = pairs.create(person, turn_s=10)
    assert made.pairing is not None
    assert set(made.pairing.stored_on) == {"blue", "green"}
    assert not pairs.unfinished()
    assert [request.key for request in person.requests] == ["green", "blue"]


def test_one_port_and_a_primary_that_never_comes_names_the_seed_that_is_left(pairs):
    keys.unplug(pairs.desk.folder, "blue")
    error = failing(pairs.create, pairs.person(), turn_s=0.3)
    assert error.code == "no_key"
    assert "the seed on green is left" in error.message
    assert "--leftovers" in (error.hint or "")
    [left] = pairs.unfinished()
    assert set(left.before) == {pairs.desk.record("green").id}
    assert pairs.desk.inventory.pairings == ()
    assert pair_unfinished.told(pairs.circumstances(pairs.person()))
    done = pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False)
    assert (done.removed_from, done.remains) == (("green",), ())
    assert nothing_left(pairs)


def test_pairing_again_offers_to_delete_what_is_left(pairs):
    keys.unplug(pairs.desk.folder, "blue")
    failing(pairs.create, pairs.person(), turn_s=0.3)
    keys.plug(pairs.desk.folder, "blue")
    [left] = pairs.own_ids("green")
    person = pairs.person()
    pairs.create(person)
    assert any(left.hex()[:16] in asked for asked in person.asked)
    assert left not in pairs.own_ids("green")
    assert not pairs.unfinished()


def test_what_is_left_stays_where_nobody_wants_it_deleted(pairs):
    keys.unplug(pairs.desk.folder, "blue")
    failing(pairs.create, pairs.person(), turn_s=0.3)
    keys.plug(pairs.desk.folder, "blue")
    pairs.create(pairs.person(agrees=False))
    assert len(pairs.own_ids("green")) == 2
    assert len(pairs.unfinished()) == 1


def test_without_a_person_a_missing_key_ends_it_before_anything(pairs):
    keys.unplug(pairs.desk.folder, "blue")
    error = failing(pairs.create)
    assert (error.code, error.key) == ("no_key", "blue")
    assert pairs.touches() == 0
    assert nothing_left(pairs)


# What speaks against it before anybody is asked for anything.


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (KeyState.LOST, "keyctl found green"),
        (KeyState.RESET, "keyctl add green --replace"),
    ],
)
def test_a_key_that_is_not_in_use_and_how_it_is_again(pairs, state, command):
    pairs.desk.put(replace(pairs.desk.record("green"), state=state))
    error = failing(pairs.create)
    assert (error.exit_status, error.key) == (Exit.USAGE, "green")
    assert f"`{command}`" in (error.hint or "")


def test_the_same_key_twice(pairs):
    circumstances = pairs.circumstances(pairs.person())
    error = failing(pair_creating.create, circumstances, "blue", "blue", method=None, store_on_key=True)
    assert error.exit_status is Exit.USAGE


def test_an_unknown_key(pairs):
    circumstances = pairs.circumstances(pairs.person())
    error = failing(pair_creating.create, circumstances, "blue", "red", method=None, store_on_key=True)
    assert error.code == "name_not_found"


def test_a_virtual_key_never_pairs_with_a_physical_one(pairs):
    pairs.desk.put(replace(pairs.desk.record("blue"), virtual=False))
    error = failing(pairs.create)
    assert error.exit_status is Exit.UNSUPPORTED
    assert "virtual" in error.message


@pytest.mark.parametrize("state", [KeyState.LOST, KeyState.RESET])
def test_a_key_that_is_out_of_use(pairs, state):
    pairs.desk.put(replace(pairs.desk.record("green"), state=state))
    error = failing(pairs.create)
    assert error.exit_status is Exit.USAGE
    assert str(state) in error.message


def test_what_is_paired_already(pairs):
    pairs.create()
    error = failing(pairs.create)
    assert error.code == "pairing_exists"
    assert len(pairs.own_ids("green")) == 1


@pytest.mark.parametrize("name", ["blue", "green"])
def test_a_key_without_a_pin_is_refused_before_the_first_touch(desk, person, name):
    pairs = Pairs(desk, person)
    desk.reset(name)
    desk.add(name, f"virtual:{name}", replacing=True)
    pairs.trace.clear()
    error = failing(pairs.create)
    assert (error.code, error.key) == ("pin_not_set", name)
    assert pairs.touches() == 0


@pytest.mark.parametrize(
    ("backup", "method", "why"),
    [
        ("full", Method.ARKG, "makes no seeds"),
        ("fido2.1-pre", Method.SOFTWARE, "no hmac-secret"),
        ("full", Method.WEBAUTHN_DRAFT, "draft"),
        ("u2f", Method.ARKG, "makes no seeds"),
    ],
)
def test_a_backup_that_cannot(desk, person, backup, method, why):
    pairs = Pairs(desk, person, backup=backup)
    error = failing(pairs.create, method=method)
    assert error.exit_status is Exit.UNSUPPORTED
    assert why in error.message
    assert pairs.touches() == 0


def test_auto_falls_back_to_registration_and_says_why(desk, person):
    pairs = Pairs(desk, person, backup="full")
    made = pairs.create(pairs.person(pins=0))
    assert made.method is Method.REGISTRATION
    assert any("green: it makes no seeds" in reason for reason in made.reasons)
    assert pairs.touches() == 0
    [pairing] = desk.inventory.pairings
    assert pairing.seed is None


def test_auto_takes_u2f_keys_for_registration(desk, person):
    pairs = Pairs(desk, person, primary="u2f", backup="u2f")
    assert pairs.create(pairs.person(pins=0)).method is Method.REGISTRATION


def test_auto_never_takes_software(desk, person):
    """Although both keys could."""
    pairs = Pairs(desk, person, primary="full", backup="full")
    assert pairs.create(pairs.person(pins=0)).method is Method.REGISTRATION


def test_registration_needs_no_key(pairs):
    for name in ("blue", "green"):
        keys.unplug(pairs.desk.folder, name)
    assert pairs.create(pairs.person(pins=0), method=Method.REGISTRATION).changed
    assert pairs.trace == []


def test_a_dry_run_asks_and_changes_nothing(pairs):
    made = pairs.create(pairs.person(pins=0), dry_run=True)
    assert (made.pairing, made.changed, made.method) == (None, False, Method.ARKG)
    assert nothing_left(pairs)


def test_a_wrong_pin_of_the_primary_ends_it_before_any_touch(pairs):
    error = failing(pairs.create, pairs.person_class(pins=[PIN, "654321"]))
    assert (error.code, error.key) == ("pin_wrong", "blue")
    assert pairs.desk.tries("blue") == 7
    assert pairs.desk.tries("green") == 8
    assert pairs.touches() == 0
    assert nothing_left(pairs)


def test_a_wrong_pin_of_the_backup(pairs):
    error = failing(pairs.create, pairs.person_class(pins=["654321", PIN]))
    assert (error.code, error.key) == ("pin_wrong", "green")
    assert (pairs.desk.tries("blue"), pairs.desk.tries("green")) == (8, 7)
    assert pairs.touches() == 0
    assert nothing_left(pairs)


# The array of large blobs, which other sites share.


@pytest.mark.parametrize("name", ["blue", "green"])
def test_a_full_array_is_refused_before_any_touch(pairs, name):
    pairs.stock(name, bytes.fromhex("5907d0") + bytes(2000), bytes.fromhex("590600") + bytes(1536))
    size = {"blue": 2048, "green": 4096}[name]
    pairs.stock(name, b"\x59" + (size - 200).to_bytes(2, "big") + bytes(size - 200))
    before = pairs.blobs(name)
    error = failing(pairs.create)
    assert (error.code, error.key) == ("key_full", name)
    assert pairs.touches() == 0
    assert pairs.blobs(name) == before
    assert nothing_left(pairs)


@pytest.mark.parametrize("name", ["blue", "green"])
def test_a_damaged_array_is_never_written_over(pairs, name):
    pairs.stock(name)
    damaged = spoiled(pairs.blobs(name))
    pairs.keep(name, large_blobs=damaged.hex())
    error = failing(pairs.create)
    assert (error.code, error.key) == ("key_nonsense", name)
    assert "checksum" in error.message
    assert pairs.touches() == 0
    assert pairs.blobs(name) == damaged
    assert nothing_left(pairs)


def test_a_primary_without_room_for_passkeys(desk, person):
    pairs = Pairs(desk, person, primary="small")
    for number in range(3):
        desk.sign_up("blue", f"site{number}.example")
    error = failing(pairs.create)
    assert (error.code, error.key) == ("key_full", "blue")
    assert pairs.touches() == 0


def test_a_primary_without_large_blobs_carries_the_seed_alone(desk, person):
    pairs = Pairs(desk, person, primary="fido2.1-pre")
    made = pairs.create()
    assert any("carries the seed only" in remark for remark in made.remarks)
    [pairing] = desk.inventory.pairings
    [kept] = [one for one in pairs.kept("blue")["credentials"] if one["rp_id"] == "keyctl.invalid"]
    assert pairing.seed is not None
    carried = key_record.carried_seed(bytes.fromhex(kept["user_id"]), kept["user_name"])
    assert carried == pairing.seed.public_seed


# What fails half-way.


@pytest.mark.parametrize("name", ["blue", "green"])
def test_a_refused_touch_leaves_nothing(pairs, name):
    for each in ("blue", "green"):
        pairs.stock(each)
    before = {each: pairs.blobs(each) for each in ("blue", "green")}
    pairs.desk.set(name, "touch=refused")
    error = failing(pairs.create)
    assert error.exit_status is Exit.NO_TOUCH
    assert nothing_left(pairs)
    assert {each: pairs.blobs(each) for each in before} == before
    assert ("deleted again" in error.message) is (name == "blue")


#: More than the commands that either key gets.
STEPS = range(1, 46)


@pytest.mark.parametrize("name", ["blue", "green"])
@pytest.mark.parametrize("fault", ["pulled", "pulled-after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_key_that_is_pulled_at_any_command_leaves_all_or_what_is_named(pairs, name, fault, step):
    for each in ("blue", "green"):
        pairs.stock(each)
    pairs.desk.set(name, f"fault={step}:{fault}")
    failed: KeyctlError | None = None
    try:
        pairs.create()
    except KeyctlError as error:
        failed = error
    for each in ("blue", "green"):
        pairs.desk.set(each, "fault=none")
        keys.plug(pairs.desk.folder, each)
    if failed is None:
        [pairing] = pairs.desk.inventory.pairings
        assert len(pairing.stored_on) == 2
        assert not pairs.unfinished()
        return
    assert failed.exit_status in {Exit.UNREACHABLE, Exit.NO_KEY}
    assert pairs.desk.inventory.pairings == ()
    left = {each for each in ("blue", "green") if pairs.own_ids(each)}
    named = {pairs.desk.inventory.key_with_id(key_id).name for one in pairs.unfinished() for key_id in one.before}
    assert left <= named
    done = pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False)
    assert set(done.removed_from) == named
    assert nothing_left(pairs)
    assert {each: pairs.foreign(each) for each in ("blue", "green")} == {"blue": FOREIGN, "green": FOREIGN}


@pytest.mark.parametrize("name", ["blue", "green"])
def test_pulling_a_key_was_tried_at_every_command(pairs, name):
    """The last of the steps comes after all that a pairing sends."""
    pairs.desk.set(name, f"fault={STEPS.stop - 1}:pulled")
    assert pairs.create().changed


@pytest.mark.parametrize("after", ["makeCredential", "getAssertion", "largeBlobs set"])
@pytest.mark.parametrize("nth", [1, 2])
def test_an_interruption_undoes_what_was_made(pairs, after, nth):
    seen = 0

    def interrupt(line: str) -> None:
        nonlocal seen
        pairs.trace.append(line)
        seen += line.startswith(f"{after}:")
        if line.startswith(f"{after}:") and seen == nth:
            raise KeyboardInterrupt

    circumstances = replace(pairs.circumstances(pairs.person()), trace=interrupt)
    with pytest.raises(KeyboardInterrupt):
        pair_creating.create(circumstances, "blue", "green", method=None, store_on_key=True)
    assert nothing_left(pairs)


def test_a_process_that_dies_leaves_a_note_of_what_to_clean_up(pairs):
    """As after a power cut: nothing is undone, and the note was there before the seed."""

    class PowerCut(BaseException):
        pass

    def cut(line: str) -> None:
        if line.startswith("largeBlobs set"):
            raise PowerCut

    [path] = [pairs.desk.home / "state" / "unfinished"]
    notes: list[bytes] = []

    def note(line: str) -> None:
        if line.startswith("makeCredential") and path.exists():
            notes.extend(file.read_bytes() for file in path.glob("*.json"))
        cut(line)

    circumstances = replace(pairs.circumstances(pairs.person()), trace=note)
    with pytest.raises(PowerCut):
        pair_creating.create(circumstances, "blue", "green", method=None, store_on_key=True)
    assert notes


def test_an_inventory_that_cannot_be_written_at_the_end_undoes_both(pairs):
    """It is locked by another process from the moment when the primary is asked."""
    held: list[Any] = []

    def lock(line: str) -> None:
        if line.startswith("makeCredential") and pairs.trace.count("locked") == 0:
            pairs.trace.append("locked")
            context = inventory.changing(pairs.desk.home, 0)
            context.__enter__()
            held.append(context)

    circumstances = replace(pairs.circumstances(pairs.person()), trace=lock)
    error = failing(pair_creating.create, circumstances, "blue", "green", method=None, store_on_key=True)
    held[0].__exit__(None, None, None)
    assert error.code == "store_locked"
    assert nothing_left(pairs)


def test_an_interruption_after_the_pairing_was_recorded_leaves_all_of_it(pairs):
    with interrupted_when(pairs.desk.home / "pairings"):
        pairs.create()
    [pairing] = pairs.desk.inventory.pairings
    assert len(pairing.stored_on) == 2
    assert pairing.seed is not None
    assert pairs.own_ids("green") == [pairing.seed.credential_id]
    assert len(pairs.own_ids("blue")) == 1
    # Nothing is told to be left, and nothing is cleaned up.
    assert not pairs.unfinished()
    assert not pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False).changed
    assert pair_verifying.verify(pairs.circumstances(pairs.person()), None).verified


def test_where_nobody_knows_whether_it_was_recorded_nothing_is_deleted(pairs):
    """The inventory's folder is in the way from the moment when the primary is asked."""
    folder = pairs.desk.home / "pairings"

    def spoil(line: str) -> None:
        if line.startswith("makeCredential") and pairs.own_ids("green"):
            folder.write_text("")

    circumstances = replace(pairs.circumstances(pairs.person()), trace=spoil)
    error = failing(pair_creating.create, circumstances, "blue", "green", method=None, store_on_key=True)
    assert "may still be there" in error.message
    assert error.hint == pair_unfinished.CLEAN_UP
    assert (len(pairs.own_ids("blue")), len(pairs.own_ids("green"))) == (1, 1)
    folder.unlink()
    done = pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False)
    assert set(done.removed_from) == {"blue", "green"}
    assert nothing_left(pairs)


def test_a_pairing_that_was_recorded_is_not_told_as_one_that_has_not_ended(pairs):
    """As when the power is cut before its note is removed."""
    pairing = pairs.paired()
    state = pairs.desk.home / "state"
    note = unfinished.Unfinished(
        pairing_id=pairing.id,
        primary_id=pairing.primary_id,
        backup_id=pairing.backup_id,
        started_at=pairing.created_at,
        before={pairing.backup_id: ()},
    )
    unfinished.write(state, note)
    assert pair_unfinished.told(pairs.circumstances(pairs.person())) == []
    unfinished.write(state, replace(note, pairing_id="00112233445566aa"))
    assert len(pair_unfinished.told(pairs.circumstances(pairs.person()))) == 1


# Keys that leave the key to a large blob out of the list.


@pytest.fixture
def reticent(pairs):
    """Both keys are such, and other sites keep something on them."""
    for name in ("blue", "green"):
        pairs.desk.set(name, "quirk=no-large-blob-key")
        pairs.stock(name)
    return pairs


def untouched(pairs: Pairs) -> bool:
    """Whether the keys hold nothing but what other sites keep there."""
    return all(blob_array.parse(pairs.blobs(name)).entries == FOREIGN for name in ("blue", "green"))


def test_what_is_undone_takes_its_blob_with_it_and_wants_no_touch(reticent):
    seen: list[str] = []

    def interrupt(line: str) -> None:
        seen.append(line)
        # The second array, and not those that undo it.
        if line.startswith("largeBlobs set") and sum(one.startswith("largeBlobs set") for one in seen) == 2:
            raise KeyboardInterrupt

    circumstances = replace(reticent.circumstances(reticent.person()), trace=interrupt)
    with pytest.raises(KeyboardInterrupt):
        pair_creating.create(circumstances, "blue", "green", method=None, store_on_key=True)
    assert nothing_left(reticent)
    assert untouched(reticent)
    # Three for the seed, one for the copy on the primary key.
    assert sum(one.startswith(("makeCredential:", "getAssertion:")) for one in seen) == 4
    assert not list((reticent.desk.home / "state" / "blob-keys").iterdir())


def test_what_is_cleaned_up_takes_its_blob_with_it(reticent):
    pairing = reticent.paired()
    (reticent.desk.home / "pairings" / f"{pairing.id}.json").unlink()
    shutil.rmtree(reticent.desk.home / "state" / "blob-keys")
    unfinished.write(
        reticent.desk.home / "state",
        unfinished.Unfinished(
            pairing_id=pairing.id,
            primary_id=pairing.primary_id,
            backup_id=pairing.backup_id,
            started_at=pairing.created_at,
            before={pairing.primary_id: (), pairing.backup_id: ()},
        ),
    )
    pair_leftovers.clean_up(reticent.circumstances(reticent.person()), dry_run=False)
    assert nothing_left(reticent)
    assert untouched(reticent)


def test_what_is_removed_takes_its_blob_with_it(reticent):
    reticent.paired()
    shutil.rmtree(reticent.desk.home / "state" / "blob-keys")
    pair_removing.remove(reticent.circumstances(reticent.person()), None, dry_run=False)
    assert nothing_left(reticent)
    assert untouched(reticent)


def test_a_pairing_of_another_computer_is_no_leftover_there_either(reticent):
    """Only its record tells it, to which the key does not list the key."""
    pairing = reticent.paired()
    (reticent.desk.home / "pairings" / f"{pairing.id}.json").unlink()
    unfinished.write(
        reticent.desk.home / "state",
        unfinished.Unfinished(
            pairing_id="00112233445566aa",
            primary_id=pairing.primary_id,
            backup_id=pairing.backup_id,
            started_at=pairing.created_at,
            before={pairing.backup_id: ()},
        ),
    )
    before = reticent.own_ids("green")
    pair_leftovers.clean_up(reticent.circumstances(reticent.person()), dry_run=False)
    assert reticent.own_ids("green") == before


def test_a_drill_gives_such_a_key_the_copy_that_it_lacks(reticent):
    pairing = reticent.paired()
    left = tuple(one for one in pairing.stored_on if one.key_id != pairing.backup_id)
    reticent.desk.put(replace(pairing, stored_on=left))
    shutil.rmtree(reticent.desk.home / "state" / "blob-keys")
    assert pair_verifying.verify(reticent.circumstances(reticent.person()), None).verified
    assert len(reticent.desk.inventory.pairings[0].stored_on) == 2


# Trust.


def test_a_seed_that_was_swapped_in_the_inventory_is_refused_until_confirmed(pairs):
    pairing = pairs.paired()
    assert pairing.seed is not None
    swapped = replace(pairing, seed=replace(pairing.seed, public_seed=_another_seed(), evidence=None))
    pairs.desk.put(swapped)
    unattended = pairs.circumstances(pairs.person(attended=False))
    error = failing(seed_trust.require, unattended, pairs.desk.inventory, swapped)
    assert error.code == "pairing_changed"
    declining = pairs.circumstances(pairs.person(agrees=False))
    assert failing(seed_trust.require, declining, pairs.desk.inventory, swapped).code == "declined"
    agreeing = pairs.circumstances(pairs.person())
    seed_trust.require(agreeing, pairs.desk.inventory, swapped)
    seed_trust.require(unattended, pairs.desk.inventory, swapped)


def test_at_first_sight_on_a_computer_the_evidence_is_checked_again(pairs):
    pairing = pairs.paired()
    local_state.forget_seed(pairs.desk.home / "state", pairing.id)
    assert pairing.seed is not None
    assert pairing.seed.evidence is not None
    evidence = replace(pairing.seed.evidence, nonce=bytes(32))
    tampered = replace(pairing, seed=replace(pairing.seed, evidence=evidence))
    circumstances = pairs.circumstances(pairs.person())
    assert failing(seed_trust.require, circumstances, pairs.desk.inventory, tampered).code == "pairing_changed"
    person = pairs.person()
    seed_trust.require(pairs.circumstances(person), pairs.desk.inventory, pairing)
    assert "fingerprint" in person.told[-1]


def test_evidence_for_another_seed_is_no_evidence(pairs):
    pairing = pairs.paired()
    local_state.forget_seed(pairs.desk.home / "state", pairing.id)
    assert pairing.seed is not None
    swapped = replace(pairing, seed=replace(pairing.seed, public_seed=_another_seed()))
    circumstances = pairs.circumstances(pairs.person())
    error = failing(seed_trust.require, circumstances, pairs.desk.inventory, swapped)
    assert error.code == "pairing_changed"
    assert "another seed" in error.message


@pytest.mark.parametrize("changes", [{"key_handle": b"other"}, {"credential_id": b"other"}, {"attestation": "none"}])
def test_evidence_proves_all_that_goes_with_the_seed(pairs, changes):
    pairing = pairs.paired()
    local_state.forget_seed(pairs.desk.home / "state", pairing.id)
    assert pairing.seed is not None
    changed = replace(pairing, seed=replace(pairing.seed, **changes))
    circumstances = pairs.circumstances(pairs.person())
    error = failing(seed_trust.require, circumstances, pairs.desk.inventory, changed)
    assert (error.code, "evidence" in error.message) == ("pairing_changed", True)


def _another_seed() -> bytes:
    from keyctl.core import arkg, seed_cose

    return seed_cose.encode_seed(arkg.public_seed(arkg.derive_seed(bytes(32), b"\x01" * 32)))
