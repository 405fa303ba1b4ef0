"""Restoring: all that speaks against a record comes first, and until then nothing is written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from keyctl.cli.terminal import Person
from keyctl.core import arkg, key_record, seed_cose
from keyctl.core.pairings import Method, Pairing
from keyctl.device import blob_array
from keyctl.errors import Exit, NotFoundError
from keyctl.operations import key_copies, pair_choice, pair_restoring, pair_views
from keyctl.store import blob_keys, pair_pins
from keyctl.store import state as local_state
from tests.failing import failing
from tests.operations.pairs import PIN, Pairs


def restore(pairs: Pairs, name: str, person: Any = None, which: str | None = None) -> pair_restoring.Restoration:
    circumstances = pairs.circumstances(person or pairs.person(), f"virtual:{name}")
    pairs.trace.clear()
    return pair_restoring.restore(circumstances, which, dry_run=False)


def lose_inventory(pairs: Pairs, *, state: bool = True) -> None:
    for name in ("keys", "services", "pairings"):
        shutil.rmtree(pairs.desk.home / name, ignore_errors=True)
    if state:
        shutil.rmtree(pairs.desk.home / "state", ignore_errors=True)


def fingerprint_of(pairing: Pairing) -> str:
    found = pair_views.fingerprint_of(pairing)
    assert found is not None
    return found


def files(pairs: Pairs) -> list[str]:
    """What is in the inventory, and trusted here."""
    folders = ("keys", "pairings", "state/pins", "state/seeds")
    return sorted(str(path) for name in folders for path in (pairs.desk.home / name).rglob("*.json"))


def plant(pairs: Pairs, name: str, **changes: Any) -> None:
    """Put another record in the place of the one on a key, as whoever had its PIN could: with its hash."""
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.seed is not None
    record = key_copies.record_of(pairs.desk.inventory, pairing)
    former, content = (
        key_record.encode(one)
        for one in (record, replace(record, seed=replace(pairing.seed, evidence=None, **changes)))
    )
    key = blob_keys.read(pairs.desk.home / "state", pairing.id, pairs.desk.record(name).id)
    assert key is not None
    credentials = pairs.kept(name)["credentials"]
    for credential in credentials:
        if credential["blob"] == key_record.digest(former).hex():
            credential["blob"] = key_record.digest(content).hex()
    array = blob_array.parse(pairs.blobs(name)).with_content(key, content)
    pairs.keep(name, large_blobs=array.content.hex(), credentials=credentials)


@pytest.fixture
def two(pairs):
    """Blue is the primary key of two pairings, and the inventory is lost; the pairings."""
    first = pairs.paired()
    pairs.desk.know("red", profile="arkg", pin=True)
    second = pairs.paired_with("red")
    lose_inventory(pairs)
    return first, second


# What this computer trusts.


@pytest.mark.parametrize("changes", [{"derivation_secret": b"\x11" * 32}, {"key_handle": b"\x22" * 64}])
def test_a_record_that_was_planted_on_the_primary_says_nothing_new_of_a_trusted_seed(pairs, changes):
    pairing = pairs.paired()
    plant(pairs, "blue", **changes)
    lose_inventory(pairs, state=False)
    state = pairs.desk.home / "state"
    trusted = pair_pins.read_details(state, pairing.id)
    error = failing(restore, pairs, "blue")
    assert (error.code, "other things of its seed" in error.message) == ("record_changed", True)
    assert pair_pins.read_details(state, pairing.id) == trusted
    assert pairs.desk.inventory.pairings == ()
    # The backup key's own record still brings it back.
    assert restore(pairs, "green").changed
    assert pair_pins.read_details(state, pairing.id) == trusted


def test_the_record_of_a_backup_key_that_passed_the_drill_takes_the_place_of_what_was_trusted(pairs):
    pairing = pairs.paired()
    lose_inventory(pairs, state=False)
    state = pairs.desk.home / "state"
    trusted = pair_pins.read_details(state, pairing.id)
    pair_pins.write_details(state, pairing.id, bytes(32))
    assert failing(restore, pairs, "blue").code == "record_changed"
    assert restore(pairs, "green").changed
    assert pair_pins.read_details(state, pairing.id) == trusted


# Nothing is written before.


def test_an_unknown_key_gets_no_name_by_a_record_that_nobody_confirms(pairs):
    pairs.paired()
    lose_inventory(pairs)
    before = files(pairs)
    error = failing(restore, pairs, "blue", pairs.person(reads="AAAAA-AAAAA-AAAAA-AAAAA"))
    assert error.exit_status is Exit.DECLINED
    assert files(pairs) == before == []


def test_a_name_that_is_taken_is_told_before_a_touch_and_before_anything_is_compared(pairs):
    pairs.paired()
    lose_inventory(pairs)
    for name in ("green", "blue"):
        pairs.desk.know(name, f"other-{name}")
        who = pairs.person()
        error = failing(restore, pairs, name, who)
        assert (type(error), error.code) == (NotFoundError, "name_exists")
        assert pairs.touches() == 0
        assert who.compared == []


def test_what_is_to_be_read_off_paper_is_not_on_the_screen(pairs):
    fingerprint = fingerprint_of(pairs.paired())
    lose_inventory(pairs)
    who = pairs.person(reads=fingerprint)
    assert restore(pairs, "blue", who).changed
    assert who.compared == [fingerprint]
    assert not any(fingerprint in line for line in who.told)


def test_a_dry_run_names_what_is_there(pairs):
    pairs.paired()
    lose_inventory(pairs)
    who = pairs.person()
    pair_restoring.restore(pairs.circumstances(who, "virtual:green"), None, dry_run=True)
    assert "virtual:green carries the pairing blue/green" in who.told
    assert files(pairs) == []


def test_an_unknown_backup_key_gets_no_name_by_a_planted_record(pairs):
    pairs.paired()
    plant(pairs, "green", key_handle=b"\x22" * 64)
    lose_inventory(pairs)
    error = failing(restore, pairs, "green")
    assert (error.code, "nothing was changed here" in (error.hint or "")) == ("record_changed", True)
    assert files(pairs) == []


def test_a_record_of_another_known_key_is_refused_before_a_touch_and_before_it_is_trusted(pairs):
    """Blue has another number here, and its old one is now another key's."""
    pairing = pairs.paired()
    blue = pairs.desk.record("blue")
    lose_inventory(pairs)
    pairs.desk.add("blue", "virtual:blue")
    pairs.desk.know("red")
    pairs.desk.put(replace(pairs.desk.record("red"), id=blue.id, name="other"))
    error = failing(restore, pairs, "blue")
    assert (error.code, "another key" in error.message) == ("record_changed", True)
    assert local_state.read_seed_pin(pairs.desk.home / "state", pairing.id) is None
    assert pairs.desk.inventory.pairings == ()


def test_of_several_records_none_is_restored_where_one_was_planted(pairs):
    pairs.paired()
    plant(pairs, "blue", derivation_secret=bytes(32))
    pairs.desk.know("red", profile="arkg", pin=True)
    second = pairs.paired_with("red")
    lose_inventory(pairs, state=False)
    assert failing(restore, pairs, "blue").code == "record_changed"
    assert pairs.desk.inventory.pairings == ()
    assert restore(pairs, "blue", which="blue/red").pairings[0].id == second.id


def test_a_software_backup_that_is_unknown_is_told_to_have_got_its_name(desk, person):
    """The process that holds its seed wants to know whom it talks to."""
    pairs = Pairs(desk, person, backup="full")
    pairs.paired(method=Method.SOFTWARE)
    foreign = seed_cose.encode_seed(arkg.public_seed(arkg.derive_seed(bytes(32), b"\x01" * 32)))
    plant(pairs, "green", public_seed=foreign)
    lose_inventory(pairs)
    error = failing(restore, pairs, "green")
    assert (error.code, (error.hint or "").split(";")[0]) == (
        "record_changed",
        "the key got its name, and nothing else was changed here",
    )
    assert pairs.desk.inventory.pairings == ()


# One fingerprint, given as an option.


def test_of_several_pairings_the_one_is_restored_whose_fingerprint_is_given(pairs, two):
    _first, second = two
    person = pairs.person(confirms=fingerprint_of(second))
    done = restore(pairs, "blue", person)
    assert [one.id for one in done.pairings] == [second.id]
    assert "left out: the pairing blue/green, whose fingerprint is not the one that was given" in person.told
    # Once more is no error, although only the other one wants a comparison now.
    assert not restore(pairs, "blue", pairs.person(confirms=fingerprint_of(second))).changed


def test_a_fingerprint_of_no_pairing_restores_nothing(pairs, two):
    del two
    error = failing(restore, pairs, "blue", pairs.person(confirms="AAAAA-AAAAA-AAAAA-AAAAA"))
    assert error.exit_status is Exit.DECLINED
    assert pairs.touches() == 0
    assert files(pairs) == []


class Given:
    """PINs from an option."""

    by_key = True

    def __call__(self, _request: object) -> str:
        return PIN


def test_without_anybody_to_compare_it_ends_before_a_touch(pairs):
    pairs.paired()
    lose_inventory(pairs)
    nobody = Person(present=False, terminal=False, pin_source=Given())
    error = failing(restore, pairs, "blue", nobody)
    assert (error.code, error.exit_status) == ("confirm_required", Exit.USAGE)
    assert pairs.touches() == 0
    assert files(pairs) == []
    # The backup key proves it by itself.
    assert restore(pairs, "green", nobody).changed
    assert pair_choice.label(pairs.desk.inventory, pairs.desk.inventory.pairings[0]) == "?/green"
