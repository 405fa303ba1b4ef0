"""Bringing two inventories together: laws, and what is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.core.binding import Evidence
from keyctl.core.inventory import (
    FOUND,
    Declaration,
    Inventory,
    KnownKey,
    Origin,
    RecognitionCredential,
    Recovery,
    Registration,
    SeenPasskey,
    Service,
)
from keyctl.core.merging import Offered, merge
from keyctl.core.pairings import DerivedKey, Endorsement, Method, Pairing, Seed, StoredRecord, fault
from keyctl.core.seed_numbers import CURRENT
from keyctl.model import KeyState, Role

FIRST, *_, LAST = TIMES = [f"2026-01-0{day}T00:00:00Z" for day in range(1, 7)]
NOW = "2026-02-01T00:00:00Z"
KEY_IDS = [f"{number:016x}" for number in (1, 2, 3)]
times = st.sampled_from(TIMES)


def optional(strategy):
    return st.none() | strategy


def recognition(number=0, at=FIRST):
    octets = bytes([number])
    return RecognitionCredential(credential_id=octets, public_key=octets, user_id=octets, u2f=False, enrolled_at=at)


def passkey(number, seen_at=FIRST, reset_at=None):
    return SeenPasskey(
        credential_id=bytes([number]),
        rp_id="a.example",
        rp_id_hash=sha256(b"a.example").digest(),
        user_id=None,
        user_name=None,
        display_name=None,
        protection=None,
        seen_at=seen_at,
        reset_at=reset_at,
    )


def registration(number, seen_at=FIRST, reset_at=None, label=None):
    return Registration(
        credential_id=bytes([number]),
        rp_id="ssh:",
        account=None,
        origin=Origin.SSH,
        public_key=None,
        label=label,
        seen_at=seen_at,
        reset_at=reset_at,
    )


def key(number=1, **facts):
    made = KnownKey(
        id=f"{number:016x}",
        name=f"key {number}",
        virtual=False,
        aaguid=None,
        model=None,
        serial=None,
        firmware=None,
        added_at=FIRST,
        recognition=recognition(number),
    )
    return replace(made, **facts)


def service(number=1, **facts):
    return replace(
        Service(id=f"{number:016x}", name="Shop", rp_id="shop.example", account="kim", added_at=FIRST), **facts
    )


SEED = Seed(
    public_seed=b"seed",
    numbers=CURRENT,
    derivation_secret=b"d" * 32,
    key_handle=b"h",
    credential_id=b"c",
    user_id=b"u" * 32,
    attestation="none",
    evidence=None,
)
EVIDENCE = Evidence(made=b"m", asserted=b"a", nonce=b"n" * 32)
FOREIGN = replace(SEED, public_seed=b"foreign")


def pairing(number=1, **facts):
    made = Pairing(
        id=f"{number:016x}",
        primary_id=KEY_IDS[0],
        backup_id=KEY_IDS[1],
        method=Method.ARKG,
        seed=SEED,
        created_at=FIRST,
        paired_by=f"{7:016x}",
    )
    return replace(made, **facts)


def copied(key_id, at=FIRST, number=1):
    return StoredRecord(key_id=key_id, credential_id=bytes([number]), user_id=b"u", at=at)


def derived(target, number=0, **facts):
    key = DerivedKey(target=target, public_key=bytes([number]), key_handle=target.encode(), created_at=FIRST)
    return replace(key, **facts)


@st.composite
def pairings(draw, number, seeds=(SEED,)):
    """One version of a pairing; derived keys follow from the seed."""
    verified = draw(st.just((None, None)) | st.tuples(times, st.sampled_from(KEY_IDS)))
    copies = draw(st.dictionaries(st.sampled_from(KEY_IDS), st.tuples(times, st.integers(1, 2))))
    evidence = draw(optional(st.just(EVIDENCE)))
    targets = draw(st.sets(st.sampled_from(["ssh:a", "ssh:b"])))
    endorsement = Endorsement(credential_id=b"c", auth_data=b"a", client_data_hash=b"h" * 32, signature=b"s")
    fields = ["verified_at", "broken_at", "retired_at", *(f"stored_on:{key_id}" for key_id in KEY_IDS)]
    return pairing(
        number,
        seed=replace(draw(st.sampled_from(seeds)), evidence=evidence),
        stored_on=tuple(copied(key_id, *copies[key_id]) for key_id in sorted(copies)),
        created_at=draw(times),
        paired_by=draw(st.sampled_from(KEY_IDS)),
        verified_at=verified[0],
        verified_by=verified[1],
        broken_at=draw(optional(times)),
        retired_at=draw(optional(times)),
        derived=tuple(
            derived(
                target,
                created_at=draw(times),
                endorsement=draw(optional(st.just(endorsement))),
                handed_over_at=draw(optional(times)),
                replaced_at=draw(optional(times)),
            )
            for target in sorted(targets)
        ),
        changed=draw(st.dictionaries(st.sampled_from(fields), times)),
    )


@st.composite
def keys(draw, key_id):
    """One version of a key; its names are no other key's, and a reset has ended all that was seen before."""
    number = int(key_id, 16)
    read_at = draw(optional(times))
    end = draw(optional(times))
    seen = times.map(lambda at: (at, end if end and at < end else None))
    fields = st.sampled_from(["name", "role", "owner", "location", "note", "state", "passkeys", FOUND])
    return key(
        number,
        name=f"key {number}{draw(st.sampled_from(['', 'a', 'b']))}",
        role=draw(optional(st.sampled_from(Role))),
        owner=draw(optional(st.sampled_from(["kim", "lee"]))),
        location=draw(optional(st.sampled_from(["safe", "ring"]))),
        state=draw(st.sampled_from([KeyState.ACTIVE, KeyState.LOST, KeyState.RESET])),
        model=draw(optional(st.sampled_from(["A", "B"]))),
        added_at=draw(times),
        recognition=recognition(draw(st.integers(0, 2)), draw(times)),
        passkeys=tuple(passkey(one, *draw(seen)) for one in sorted(draw(st.sets(st.integers(0, 3))))),
        passkeys_read_at=read_at,
        passkeys_remaining=draw(optional(st.integers(0, 2))),
        registrations=tuple(
            registration(one, *draw(seen), draw(optional(st.sampled_from("ab"))))
            for one in sorted(draw(st.sets(st.integers(0, 3))))
        ),
        changed=draw(st.dictionaries(fields, times)),
    )


@st.composite
def services(draw, number, person):
    """One version of a service; its accounts are no other person's."""
    on = draw(st.dictionaries(st.sampled_from(KEY_IDS), times))
    fields = ["name", "rp_id", "account", "recovery", *(f"on:{key_id}" for key_id in KEY_IDS)]
    recovery = draw(st.sets(st.sampled_from(Recovery), max_size=2))
    return service(
        number,
        name=draw(st.sampled_from(["Shop", "shop", "Bank"])),
        rp_id=draw(st.sampled_from(["shop.example", "bank.example"])),
        account=draw(st.sampled_from([person, person.upper()])),
        on=tuple(Declaration(key_id=key_id, declared_at=at) for key_id, at in sorted(on.items())),
        recovery=tuple(one for one in Recovery if one in recovery),
        added_at=draw(times),
        changed=draw(st.dictionaries(st.sampled_from(fields), times)),
    )


def inventories(**people):
    """Keys and pairings of a few ids, and services with the id and the account that are given."""
    return st.builds(
        Inventory,
        keys=st.sets(st.sampled_from(KEY_IDS)).flatmap(
            lambda ids: st.tuples(*(keys(key_id) for key_id in sorted(ids)))
        ),
        services=st.sets(st.sampled_from(sorted(people))).flatmap(
            lambda some: st.tuples(*(services(people[person], person) for person in sorted(some)))
        ),
        pairings=st.just(()) | st.tuples(pairings(1)) | st.tuples(pairings(1, (SEED, FOREIGN)), pairings(2)),
    )


def offered(inventory, left_out=None):
    return Offered(
        keys=inventory.keys, services=inventory.services, pairings=inventory.pairings, left_out=left_out or {}
    )


def applied(inventory, result):
    some_keys = {one.id: one for one in inventory.keys} | {one.id: one for one in result.keys}
    some_services = {one.id: one for one in inventory.services} | {one.id: one for one in result.services}
    some_pairings = {one.id: one for one in inventory.pairings} | {one.id: one for one in result.pairings}
    return Inventory(
        keys=tuple(some_keys[one] for one in sorted(some_keys)),
        services=tuple(some_services[one] for one in sorted(some_services)),
        pairings=tuple(some_pairings[one] for one in sorted(some_pairings)),
    )


def merged(inventory, other):
    return applied(inventory, merge(inventory, offered(other), now=NOW))


@settings(max_examples=60)
@given(inventories(kim=1, lee=2), inventories(kim=1, lee=3))
def test_the_same_again_changes_nothing(mine, theirs):
    once = merged(mine, theirs)
    again = merge(once, offered(theirs), now=NOW)
    assert (again.keys, again.services, again.pairings, again.added, again.changed) == ((), (), (), (), ())
    assert again.unchanged == len(theirs.keys) + len(theirs.services) + len(theirs.pairings)


@settings(max_examples=60)
@given(inventories(kim=1, lee=2), inventories(kim=1, lee=2))
def test_both_sides_come_to_the_same_end(mine, theirs):
    assert merged(mine, theirs) == merged(theirs, mine)


@settings(max_examples=60)
@given(inventories(kim=1), inventories(kim=2))
def test_both_sides_come_to_the_same_end_but_for_the_ids_of_services(mine, theirs):
    def contents(inventory):
        return Counter(repr(replace(one, id="", changed=sorted(one.changed.items()))) for one in inventory.services)

    assert contents(merged(mine, theirs)) == contents(merged(theirs, mine))


def said(record, field):
    return record.changed.get(field, record.added_at)


@settings(max_examples=60)
@given(inventories(kim=1, lee=2), inventories(kim=1, lee=2))
def test_nothing_newer_is_ever_lost(mine, theirs):
    result = merged(mine, theirs)
    for side in (mine, theirs):
        for before in side.keys:
            after = result.key_with_id(before.id)
            for field in ("name", "role", "owner", "location", "note", "state"):
                value = getattr(after, field)
                assert said(after, field) >= said(before, field)
                assert value == getattr(before, field) or any(
                    getattr(other.key_with_id(before.id), field, None) == value
                    and said(other.key_with_id(before.id), field) >= said(before, field)
                    for other in (mine, theirs)
                )
            assert after.changed.get(FOUND, "") >= before.changed.get(FOUND, "")
            assert after.recognition.enrolled_at >= before.recognition.enrolled_at
            if not any(one.reset_at for one in (*before.passkeys, *after.passkeys, *after.registrations)):
                assert _known_at(after) >= _known_at(before)
            kept = {one.credential_id: one for one in after.registrations}
            for one in before.registrations:
                assert _last(kept[one.credential_id]) >= _last(one)
        for before in side.services:
            after = next(one for one in result.services if one.id == before.id)
            for field in ("name", "rp_id", "account", "recovery"):
                assert said(after, field) >= said(before, field)
            dates = {one.key_id: one.declared_at for one in after.on}
            for one in before.on:
                assert max(dates.get(one.key_id, ""), after.changed.get(f"on:{one.key_id}", "")) >= one.declared_at
        for before in side.pairings:
            after = result.pairing_with_id(before.id)
            assert fault(after) is None
            if before.seed.public_seed == after.seed.public_seed:
                _check_nothing_lost(before, after)


def _check_nothing_lost(before, after):
    assert after.created_at <= before.created_at
    assert after.seed.evidence or not before.seed.evidence
    for field in ("verified_at", "broken_at", "retired_at"):
        known = max(getattr(after, field) or "", after.changed.get(field, ""))
        assert known >= max(getattr(before, field) or "", before.changed.get(field, ""))
    copies = {one.key_id: one.at for one in after.stored_on}
    for one in before.stored_on:
        assert max(copies.get(one.key_id, ""), after.changed.get(f"stored_on:{one.key_id}", "")) >= one.at
    keys = {one.target: one for one in after.derived}
    for one in before.derived:
        kept = keys[one.target]
        assert kept.endorsement or not one.endorsement
        assert (kept.handed_over_at or "") >= (one.handed_over_at or "")
        assert (kept.replaced_at or "") >= (one.replaced_at or "")


def _last(one):
    return max(one.seen_at, one.reset_at or "")


def _known_at(one):
    return max(one.changed.get("passkeys", ""), one.passkeys_read_at or "")


@settings(max_examples=60)
@given(inventories(kim=1), inventories(kim=2))
def test_what_was_left_out_says_nothing(mine, theirs):
    held_back = {one.id: ("owner", "location") for one in theirs.keys}
    blank = Inventory(
        keys=tuple(replace(one, owner=None, location=None) for one in theirs.keys), services=theirs.services
    )
    result = applied(mine, merge(mine, offered(blank, held_back), now=NOW))
    for before in mine.keys:
        after = result.key_with_id(before.id)
        assert (after.owner, after.location) == (before.owner, before.location)
        for field in ("owner", "location"):
            assert said(after, field) == said(before, field)


@settings(max_examples=60)
@given(inventories(kim=1, lee=2))
def test_what_came_in_new_is_as_it_was(theirs):
    result = merge(Inventory(), offered(theirs), now=NOW)
    assert len(result.added) == len(theirs.keys) + len(theirs.services) + len(theirs.pairings)
    assert [one.name for one in result.keys] == [one.name for one in theirs.keys]
    assert (result.services, result.pairings) == (theirs.services, theirs.pairings)
    assert result.conflicts == ()


def one_of(*some):
    return Inventory(keys=some)


def test_a_newer_word_counts_and_the_dropped_one_is_told():
    mine = key(note="mine", changed={"note": TIMES[1]})
    theirs = key(note="theirs", changed={"note": TIMES[2]})
    for local, other in ((mine, theirs), (theirs, mine)):
        result = merge(one_of(local), offered(one_of(other)), now=NOW)
        (conflict,) = result.conflicts
        assert (conflict.kind, conflict.name, conflict.field) == ("key", "key 1", "note")
        assert (conflict.kept, conflict.kept_at) == ("theirs", TIMES[2])
        assert (conflict.dropped, conflict.dropped_at) == ("mine", TIMES[1])
    result = merge(one_of(mine), offered(one_of(theirs)), now=NOW)
    assert [(change.name, change.fields) for change in result.changed] == [("key 1", ("note",))]
    assert merge(one_of(theirs), offered(one_of(mine)), now=NOW).unchanged == 1


def test_what_nobody_changed_since_it_was_added_is_no_conflict():
    result = merge(one_of(key()), offered(one_of(key(note="new", changed={"note": LAST}))), now=NOW)
    assert result.conflicts == ()
    assert result.keys[0].note == "new"


def test_something_counts_more_than_nothing_said_at_the_same_time():
    for local, other in ((key(), key(owner="kim")), (key(owner="kim"), key())):
        result = merge(one_of(local), offered(one_of(other)), now=NOW)
        assert applied(one_of(local), result).keys[0].owner == "kim"
        assert result.conflicts == ()


def test_another_recognition_credential_is_always_told():
    mine, theirs = key(), key(recognition=recognition(9, LAST), model="Other")
    result = merge(one_of(mine), offered(one_of(theirs)), now=NOW)
    assert [(one.field, one.kept, one.dropped) for one in result.conflicts] == [("recognition", b"\x09", b"\x01")]
    # What belongs to the device comes with it.
    assert result.keys[0].model == "Other"


def test_passkeys_are_taken_as_a_whole_from_where_they_were_read_last():
    old = key(passkeys=(passkey(1), passkey(2)), passkeys_read_at=TIMES[1], passkeys_remaining=8)
    new = key(passkeys=(passkey(2, TIMES[2]), passkey(3, TIMES[2])), passkeys_read_at=TIMES[2], passkeys_remaining=9)
    for local, other in ((old, new), (new, old)):
        after = merged(one_of(local), one_of(other)).keys[0]
        assert after == new
    # Deleted since, without reading everything anew.
    deleted = replace(new, passkeys=new.passkeys[:1], changed={"passkeys": TIMES[3]})
    assert merged(one_of(new), one_of(deleted)).keys[0].passkeys == deleted.passkeys
    assert merged(one_of(deleted), one_of(new)).keys[0].passkeys == deleted.passkeys


def test_a_reset_that_the_other_computer_does_not_know_of_ends_what_it_saw_before():
    seen = key(passkeys=(passkey(1, TIMES[2]),), passkeys_read_at=TIMES[2], registrations=(registration(7, TIMES[2]),))
    reset = key(
        passkeys=(passkey(1, TIMES[1], TIMES[3]),),
        passkeys_read_at=TIMES[1],
        state=KeyState.RESET,
        changed={"state": TIMES[3]},
    )
    for local, other in ((seen, reset), (reset, seen)):
        after = merged(one_of(local), one_of(other)).keys[0]
        assert after.state is KeyState.RESET
        assert [one.reset_at for one in after.passkeys] == [TIMES[3]]
        assert [one.reset_at for one in after.registrations] == [TIMES[3]]


def test_a_name_that_is_taken_comes_in_with_a_number():
    mine = Inventory(keys=(key(1, name="blue"), key(2, name="blue 2")))
    result = merge(mine, offered(one_of(key(3, name="blue"))), now=NOW)
    assert [change.name for change in result.added] == ["blue 3"]
    (conflict,) = result.conflicts
    assert (conflict.name, conflict.field, conflict.kept, conflict.dropped) == ("blue 3", "name", "blue 3", "blue")
    assert result.keys[0].changed["name"] == NOW
    again = merge(applied(mine, result), offered(one_of(key(3, name="blue"))), now=NOW)
    assert (again.keys, again.conflicts) == ((), ())


def test_names_that_changed_hands_are_followed():
    mine = Inventory(keys=(key(1, name="blue"), key(2, name="green")))
    theirs = Inventory(
        keys=(
            key(1, name="green", changed={"name": LAST}),
            key(2, name="blue", changed={"name": LAST}),
        )
    )
    assert {one.id: one.name for one in merged(mine, theirs).keys} == {KEY_IDS[0]: "green", KEY_IDS[1]: "blue"}


def test_a_local_key_keeps_its_name_against_a_rename_from_elsewhere():
    mine = Inventory(keys=(key(1, name="blue"), key(2, name="green")))
    theirs = one_of(key(1, name="green", changed={"name": LAST}))
    result = merged(mine, theirs)
    assert {one.id: one.name for one in result.keys} == {KEY_IDS[0]: "green 2", KEY_IDS[1]: "green"}


@settings(max_examples=60)
@given(inventories(kim=1), st.lists(st.sampled_from(KEY_IDS), unique=True), st.data())
def test_no_two_keys_have_one_name_afterwards(mine, ids, data):
    pool = ["blue", "blue 2", "key 1", "key 2", "key 2a"]
    theirs = Inventory(
        keys=tuple(replace(data.draw(keys(key_id)), name=data.draw(st.sampled_from(pool))) for key_id in ids)
    )
    result = merged(mine, theirs)
    names = [one.name for one in result.keys]
    assert len(set(names)) == len(names)


def test_a_longest_name_still_gets_its_number():
    result = merge(one_of(key(1, name="x" * 1000)), offered(one_of(key(2, name="x" * 1000))), now=NOW)
    assert result.keys[0].name == "x" * 980 + " 2"


def test_services_of_one_name_and_account_are_one():
    mine = Inventory(services=(service(1, recovery=(Recovery.CODES,)),))
    theirs = Inventory(
        services=(
            service(
                2, name="SHOP", account="KIM", on=(Declaration(key_id=KEY_IDS[0], declared_at=LAST),), added_at=LAST
            ),
            service(3, account="lee"),
        )
    )
    result = merge(mine, offered(theirs), now=NOW)
    assert [(one.id, one.name, one.on) for one in result.services] == [
        (mine.services[0].id, "SHOP", theirs.services[0].on),
        (theirs.services[1].id, "Shop", ()),
    ]
    assert [(one.field, one.dropped) for one in result.conflicts] == [("recovery", (Recovery.CODES,))]


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_word_says_whether_a_service_knows_a_key(order):
    declared = service(on=(Declaration(key_id=KEY_IDS[0], declared_at=TIMES[1]),))
    off = service(changed={f"on:{KEY_IDS[0]}": TIMES[2]})
    again = service(on=(Declaration(key_id=KEY_IDS[0], declared_at=TIMES[3]),), changed={f"on:{KEY_IDS[0]}": TIMES[2]})
    for one, other, expected in ((declared, off, ()), (off, again, again.on), (declared, again, again.on)):
        sides = [Inventory(services=(some,)) for some in (one, other)][::order]
        assert merged(*sides).services[0].on == expected


def test_in_doubt_a_service_does_not_know_a_key():
    declared = service(on=(Declaration(key_id=KEY_IDS[0], declared_at=LAST),))
    off = service(changed={f"on:{KEY_IDS[0]}": LAST})
    for one, other in ((declared, off), (off, declared)):
        assert merged(Inventory(services=(one,)), Inventory(services=(other,))).services[0].on == ()


@settings(max_examples=60)
@given(*[st.tuples(pairings(1)).map(lambda some: Inventory(pairings=some))] * 3)
def test_pairings_come_to_the_same_end_in_any_order(one, other, third):
    assert merged(merged(one, other), third) == merged(one, merged(other, third))


def of_pairing(**facts):
    return Inventory(keys=(key(1, name="blue"),), pairings=(pairing(**facts),))


def test_of_two_seeds_the_older_pairing_stays_as_a_whole_and_it_is_told():
    mine = of_pairing(created_at=TIMES[1], derived=(derived("ssh:mine"),))
    theirs = of_pairing(created_at=TIMES[2], derived=(derived("ssh:theirs"),), seed=FOREIGN, verified_at=LAST)
    for local, other in ((mine, theirs), (theirs, mine)):
        result = merge(local, offered(other), now=NOW)
        assert applied(local, result).pairings == mine.pairings
        (conflict,) = result.conflicts
        assert (conflict.kind, conflict.name, conflict.field) == ("pairing", f"blue/{KEY_IDS[1]}", "seed")
        assert (conflict.kept_at, conflict.dropped_at) == (TIMES[1], TIMES[2])
        assert conflict.kept != conflict.dropped
        assert b"d" * 32 not in {conflict.kept, conflict.dropped}


@pytest.mark.parametrize("order", [1, -1])
def test_the_trusted_seed_stays_whatever_the_times_say(order):
    mine, theirs = of_pairing(created_at=LAST), of_pairing(seed=FOREIGN)
    pins = {pairing().id: mine.pairings[0].seed_hash}
    local, other = (mine, theirs)[::order]
    result = merge(local, offered(other), now=NOW, seed_pins=pins)
    assert applied(local, result).pairings == mine.pairings
    assert [one.field for one in result.conflicts] == ["seed"]
    # A pin of neither decides nothing.
    result = merge(local, offered(other), now=NOW, seed_pins={pairing().id: b"p" * 32})
    assert applied(local, result).pairings == theirs.pairings


@pytest.mark.parametrize(
    ("facts", "field", "told"),
    [
        ({"seed": replace(SEED, derivation_secret=b"e" * 32)}, "seed", None),
        ({"seed": replace(SEED, key_handle=b"other")}, "seed", None),
        ({"seed": replace(SEED, key_handle=None), "method": Method.SOFTWARE}, "method", Method.ARKG),
        ({"primary_id": KEY_IDS[2]}, "primary_id", "blue"),
        ({"backup_id": KEY_IDS[2]}, "backup_id", KEY_IDS[1]),
    ],
)
def test_what_makes_it_this_pairing_is_never_mixed(facts, field, told):
    mine, theirs = of_pairing(), of_pairing(created_at=LAST, verified_at=LAST, **facts)
    result = merge(mine, offered(theirs), now=NOW)
    assert (result.pairings, result.unchanged) == ((), 2)
    (conflict,) = [one for one in result.conflicts if one.field == field]
    assert told in {None, conflict.kept}


def test_evidence_comes_along_without_a_conflict():
    proved = replace(SEED, attestation="packed", evidence=EVIDENCE)
    for local, other in ((SEED, proved), (proved, SEED)):
        result = merge(of_pairing(seed=local), offered(of_pairing(seed=other)), now=NOW)
        assert applied(of_pairing(seed=local), result).pairings[0].seed == proved
        assert result.conflicts == ()


def test_derived_keys_are_brought_together_by_target():
    mine = of_pairing(derived=(derived("ssh:a", created_at=TIMES[2]), derived("ssh:b", handed_over_at=TIMES[1])))
    theirs = of_pairing(derived=(derived("ssh:a", replaced_at=TIMES[3]), derived("ssh:c")))
    result = merge(mine, offered(theirs), now=NOW)
    assert result.pairings[0].derived == (
        derived("ssh:a", replaced_at=TIMES[3]),
        derived("ssh:b", handed_over_at=TIMES[1]),
        derived("ssh:c"),
    )
    assert [one.fields for one in result.changed] == [("derived",)]
    assert result.conflicts == ()


def test_another_key_for_a_target_is_told():
    mine = of_pairing(derived=(derived("ssh:a", 1),))
    theirs = of_pairing(derived=(derived("ssh:a", 2, created_at=LAST, handed_over_at=LAST),))
    for local, other in ((mine, theirs), (theirs, mine)):
        result = merge(local, offered(other), now=NOW)
        assert applied(local, result).pairings == mine.pairings
        (conflict,) = result.conflicts
        assert (conflict.field, conflict.kept, conflict.dropped) == ("derived:ssh:a", b"\x01", b"\x02")


@pytest.mark.parametrize("order", [1, -1])
def test_a_copy_that_is_gone_stays_gone_until_it_is_written_anew(order):
    gone = {f"stored_on:{KEY_IDS[0]}": TIMES[2]}
    stored, deleted = {"stored_on": (copied(KEY_IDS[0], TIMES[1]),)}, {"changed": gone}
    anew = {"stored_on": (copied(KEY_IDS[0], TIMES[3]),), "changed": gone}
    for one, other, expected in (
        (stored, deleted, ()),
        (deleted, anew, anew["stored_on"]),
        (stored, anew, anew["stored_on"]),
    ):
        sides = [of_pairing(**some) for some in (one, other)][::order]
        assert merged(*sides).pairings[0].stored_on == expected


def test_the_last_drill_counts_with_the_computer_that_saw_it():
    mine = of_pairing(verified_at=TIMES[1], verified_by=KEY_IDS[0], broken_at=TIMES[3])
    theirs = of_pairing(verified_at=TIMES[2], verified_by=KEY_IDS[1], changed={"broken_at": TIMES[4]})
    for local, other in ((mine, theirs), (theirs, mine)):
        after = merged(local, other).pairings[0]
        assert (after.verified_at, after.verified_by, after.broken_at) == (TIMES[2], KEY_IDS[1], None)
