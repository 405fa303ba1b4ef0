"""Pairings against somebody who can write to the synced inventory, or hands over keys of their own."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from keyctl.core import arkg, key_record, seed_cose, times
from keyctl.core.contexts import parse
from keyctl.core.pairings import Method, Pairing
from keyctl.errors import KeyctlError
from keyctl.model import KeyState
from keyctl.operations import (
    deriving,
    key_copies,
    opening,
    pair_creating,
    pair_exporting,
    pair_importing,
    pair_leftovers,
    pair_removing,
    pair_restoring,
    pair_verifying,
    seed_trust,
)
from keyctl.store import inventory, unfinished
from keyctl.store import state as local_state
from tests.failing import failing
from tests.operations.pairs import PIN, Pairs, with_keys

HOST = "ssh:server.example.com"


def drop(pairs: Pairs, pairing: Pairing) -> None:
    (pairs.desk.home / "pairings" / f"{pairing.id}.json").unlink()


def another_seed() -> bytes:
    return seed_cose.encode_seed(arkg.public_seed(arkg.derive_seed(b"\x07" * 32, b"\x08" * 32)))


def swapped(pairing: Pairing) -> Pairing:
    """With a seed of somebody else, as a pairing of its own."""
    assert pairing.seed is not None
    return replace(
        pairing, id=inventory.new_id(), seed=replace(pairing.seed, public_seed=another_seed(), evidence=None)
    )


def write_record(pairs: Pairs, name: str, content: bytes, credential_id: bytes | None = None) -> None:
    """What somebody does who has a key and its PIN."""
    with opening.opened(pairs.circumstances(pairs.person(), f"virtual:{name}")) as session:
        session.use_pin(PIN)
        for listed in session.own_credentials.list():
            if listed.large_blob_key is not None and credential_id in {None, listed.passkey.credential_id}:
                session.blobs.write(listed.large_blob_key, content)


# A seed under another number.


@pytest.mark.parametrize("attended", [True, False])
def test_a_seed_that_was_swapped_together_with_the_pairings_number_is_no_new_one(pairs, attended):
    pairing = pairs.paired()
    drop(pairs, pairing)
    pairs.desk.put(swapped(pairing))
    circumstances = pairs.circumstances(pairs.person(attended=attended, agrees=False))
    error = failing(deriving.derive, circumstances, None, [parse(HOST)], from_record=True)
    assert error.code == ("declined" if attended else "pairing_changed")
    assert pairs.desk.inventory.pairings[0].derived == ()


def test_a_seed_that_was_swapped_together_with_the_backup_keys_number_is_no_new_one(pairs):
    pairing = pairs.paired()
    drop(pairs, pairing)
    green = pairs.desk.record("green")
    with inventory.changing(pairs.desk.home, 0) as changes:
        changes.remove_key(green.id)
        changes.put_key(replace(green, id="0123456789abcdef"))
        changes.put_pairing(replace(swapped(pairing), backup_id="0123456789abcdef"))
    circumstances = pairs.circumstances(pairs.person(attended=False))
    assert failing(deriving.derive, circumstances, None, [parse(HOST)], from_record=True).code == "pairing_changed"


def test_a_pairing_that_was_removed_here_stands_in_nobodys_way(pairs):
    pairs.paired()
    pair_removing.remove(pairs.circumstances(pairs.person()), None, dry_run=False)
    pairing = pairs.paired()
    drop(pairs, pairing)
    pairs.desk.put(pairing)
    seed_trust.require(pairs.circumstances(pairs.person(attended=False)), pairs.desk.inventory, pairing)


@pytest.mark.parametrize(
    "changes", [{"derivation_secret": bytes(32)}, {"credential_id": b"another"}, {"key_handle": b"another"}]
)
def test_what_keys_are_derived_with_and_signed_by_is_kept_in_mind_too(pairs, changes):
    pairing = pairs.paired()
    assert pairing.seed is not None
    pairs.desk.put(replace(pairing, seed=replace(pairing.seed, **changes)))
    circumstances = pairs.circumstances(pairs.person())
    assert failing(deriving.derive, circumstances, None, [parse(HOST)], from_record=True).code == "pairing_changed"
    assert failing(pair_verifying.verify, circumstances, None).code == "pairing_changed"
    assert pairs.desk.inventory.pairings[0].broken_at is None


# Removing what is another pairing's.


def two(pairs: Pairs) -> tuple[Pairing, Pairing]:
    """Two pairings with the same backup key."""
    first = pairs.paired()
    pairs.desk.know("red", profile="full", pin=True)
    pair_creating.create(pairs.circumstances(pairs.person()), "red", "green", method=None, store_on_key=True)
    second = next(one for one in pairs.desk.inventory.pairings if one.id != first.id)
    return first, second


def test_removing_deletes_no_seed_of_another_pairing(pairs):
    first, second = two(pairs)
    assert second.seed is not None
    pairs.desk.put(replace(first, seed=replace(first.seed, credential_id=second.seed.credential_id), stored_on=()))
    before = pairs.own_ids("green")
    person = pairs.person()
    pair_removing.remove(pairs.circumstances(person), "blue/green", dry_run=False)
    assert pairs.own_ids("green") == before
    assert f"the seed on green stays there: the pairing red/green ({second.id}) uses it too" in person.told
    assert any("its seed stays on green" in asked for asked in person.asked)


def test_removing_deletes_no_seed_of_a_pairing_that_is_not_in_the_inventory(pairs):
    first, second = two(pairs)
    assert second.seed is not None
    pairs.desk.put(replace(first, seed=replace(first.seed, credential_id=second.seed.credential_id), stored_on=()))
    drop(pairs, second)
    before = pairs.own_ids("green")
    error = failing(pair_removing.remove, pairs.circumstances(pairs.person()), None, dry_run=False)
    assert error.code == "record_changed"
    assert pairs.own_ids("green") == before


def test_removing_a_copy_of_a_pairing_leaves_the_seed_to_the_pairing_itself(desk, person):
    pairs = Pairs(desk, person, backup="arkg")
    pairing = pairs.paired(store_on_key=False)
    pairs.desk.put(replace(pairing, id=inventory.new_id()))
    double = next(one for one in desk.inventory.pairings if one.id != pairing.id)
    before = pairs.own_ids("green")
    pair_removing.remove(pairs.circumstances(pairs.person()), double.id, dry_run=False)
    assert pairs.own_ids("green") == before
    assert desk.inventory.pairings == (pairing,)


def test_removing_opens_no_third_key(pairs):
    first, second = two(pairs)
    red = pairs.desk.record("red")
    [copy] = [one for one in second.stored_on if one.key_id == red.id]
    pairs.desk.put(replace(first, stored_on=(*first.stored_on, replace(copy, credential_id=bytes(32)))))
    person = pairs.person()
    pair_removing.remove(pairs.circumstances(person), "blue/green", dry_run=False)
    assert {request.key for request in person.requests} == {"blue", "green"}


@pytest.mark.parametrize("primary", ["full", "fido2.0", "fido2.1-pre", "small"])
def test_what_can_be_paired_can_be_removed(desk, person, primary):
    pairs = Pairs(desk, person, primary=primary)
    pairs.paired()
    removal = pair_removing.remove(pairs.circumstances(pairs.person()), None, dry_run=False)
    assert desk.inventory.pairings == ()
    # Without credential management nothing can be deleted, which is told.
    assert [one.key for one in removal.remains] == (["blue"] if primary == "fido2.0" else [])


# Leftovers.


def interrupted(pairs: Pairs, before: tuple[bytes, ...] = ()) -> None:
    blue, green = pairs.desk.record("blue"), pairs.desk.record("green")
    unfinished.write(
        pairs.desk.home / "state",
        unfinished.Unfinished(
            pairing_id="00112233445566aa",
            primary_id=blue.id,
            backup_id=green.id,
            started_at=times.now(),
            before={green.id: before},
        ),
    )


def test_leftovers_are_deleted_only_after_a_yes(pairs):
    interrupted(pairs)
    person = pairs.person()
    circumstances = pairs.circumstances(person)
    with opening.opened(pairs.circumstances(pairs.person(), "virtual:green")) as session:
        session.use_pin(PIN)
        session.own_credentials.make(())
    before = pairs.own_ids("green")
    person.agrees = False
    assert failing(pair_leftovers.clean_up, circumstances, dry_run=False).code == "declined"
    assert pairs.own_ids("green") == before
    assert len(pairs.unfinished()) == 1


def test_a_seed_that_another_computer_made_meanwhile_is_no_leftover(pairs):
    pairing = pairs.paired()
    drop(pairs, pairing)
    interrupted(pairs)
    before = pairs.own_ids("green")
    pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False)
    assert pairs.own_ids("green") == before


def test_a_crash_at_the_very_end_leaves_the_seed_trusted(pairs):
    pairing = pairs.paired()
    green = pairs.desk.record("green")
    state = pairs.desk.home / "state"
    unfinished.write(
        state,
        unfinished.Unfinished(
            pairing_id=pairing.id,
            primary_id=pairing.primary_id,
            backup_id=pairing.backup_id,
            started_at=pairing.created_at,
            before={green.id: ()},
        ),
    )
    pair_leftovers.clean_up(pairs.circumstances(pairs.person()), dry_run=False)
    assert local_state.read_seed_pin(state, pairing.id) == pairing.seed_hash
    assert pairs.unfinished() == ()


# Restoring.


def test_the_seed_that_is_trusted_here_outlives_the_inventory(pairs):
    """A key with a record of its own says that it is the backup key of a pairing that this computer knows."""
    pairing = pairs.paired()
    pairs.desk.know("red", profile="full", pin=True)
    pair_creating.create(pairs.circumstances(pairs.person()), "red", "green", method=None, store_on_key=False)
    pairs.desk.know("evil", profile="arkg", pin=True)
    pair_creating.create(pairs.circumstances(pairs.person()), "red", "evil", method=None, store_on_key=True)
    own = next(one for one in pairs.desk.inventory.pairings if one.stored_on and one.id != pairing.id)
    record = replace(key_copies.record_of(pairs.desk.inventory, own), pairing_id=pairing.id)
    write_record(pairs, "evil", key_record.encode(record))
    for name in ("keys", "pairings"):
        shutil.rmtree(pairs.desk.home / name)
    error = failing(pair_restoring.restore, pairs.circumstances(pairs.person(), "virtual:evil"), dry_run=False)
    assert error.code == "record_changed"
    assert local_state.read_seed_pin(pairs.desk.home / "state", pairing.id) == pairing.seed_hash


def test_a_record_that_cannot_be_read_does_not_hide_the_others(pairs):
    first, second = two(pairs)
    write_record(pairs, "green", b"nonsense", second.seed.credential_id)
    drop(pairs, first)
    person = pairs.person()
    pair_restoring.restore(pairs.circumstances(person, "virtual:green"), "blue/green", dry_run=False)
    assert first.id in {one.id for one in pairs.desk.inventory.pairings}


# At the same time.


def test_two_keys_are_paired_once_however_many_try(pairs):
    def create(_number: int) -> str:
        try:
            pairs.create(pairs.person(), method=Method.REGISTRATION)
        except KeyctlError as error:
            return error.code
        return "made"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(create, range(8)))
    assert sorted(results) == ["made", *["pairing_exists"] * 7]


def test_a_key_that_is_swapped_while_somebody_touches_is_not_handed_out(pairs):
    pairing = pairs.paired()
    known = with_keys(pairing, "ssh:old.example.com")
    pairs.desk.put(known)
    forged = replace(known.derived[0], public_key=b"\x04" + bytes(64))

    def swap(text: str) -> None:
        if "one touch" in text:
            pairs.desk.put(replace(pairing, derived=(forged,)))

    person = pairs.person(acts=swap)
    targets = [parse("ssh:old.example.com"), parse(HOST)]
    error = failing(deriving.derive, pairs.circumstances(person), None, targets)
    assert error.code == "pairing_changed"


# A file.


def test_a_backup_key_that_is_marked_as_lost_is_not_paired_by_a_file(pairs):
    exporting = pairs.circumstances(pairs.person())
    exported = pair_exporting.export(exporting, "green", None)
    pairs.desk.put(replace(pairs.desk.record("green"), state=KeyState.LOST))
    importing = pairs.circumstances(pairs.person())
    error = failing(pair_importing.import_content, importing, exported.content.encode(), "seed.json", "blue")
    assert (error.code, error.key) == ("usage", "green")
