"""The health check on virtual keys: what it reads, what it never does, and what it remembers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keyctl.cli import health_text
from keyctl.core import times
from keyctl.core.pairings import Method
from keyctl.core.results import CheckResult
from keyctl.errors import KeyChoiceError, NotFoundError, PinError, StoreError, UsageError
from keyctl.model import Waits
from keyctl.operations import accepting, checking, inventory_files, pair_verifying, unattended_setup
from keyctl.operations.accepting import Choice
from keyctl.store import check_results, health_files
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.virtual import keys

PIN = "123456"
LONG_AGO, FAR = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.fixture
def check(desk, person):
    """Check, as without a terminal; returns the checks by (id, key)."""

    def check(*names, who=None, drill=False, touch_s=0.0, trace=None):
        who = person(attended=False, can_choose=False) if who is None else who
        circumstances = replace(
            desk.circumstances(who, turn_s=0.0), waits=Waits(touch_s=touch_s, plug_s=0.0, lock_s=0.0), trace=trace
        )
        checked = checking.check(circumstances, names, drill=drill)
        if not drill:
            assert not who.requests
            assert not who.asked
        return checked.health

    return check


def by_key(health):
    return {(one.id, one.key): one.result.value for one in health.checks}


def found(health):
    return {(one.id, one.key) for one in health.checks if one.counts}


@pytest.fixture
def two(desk):
    """Blue with a PIN, and green in a drawer."""
    desk.know("blue", pin=True)
    desk.know("green", pin=True)
    keys.unplug(desk.folder, "green")
    return desk


@pytest.mark.usefixtures("two")
def test_an_absent_key_is_skipped_and_a_connected_one_read(check):
    results = by_key(check())
    for rule in ("recognition", "pin_set", "pin_tries", "pin_change", "pin_length", "enterprise_attestation"):
        assert results[rule, "green"] == "skip"
        assert results[rule, "blue"] != "skip"
    assert results["recognition", "blue"] == "ok"
    assert results["pin_length", "blue"] == "warn"


def test_nothing_known_is_a_finding_and_no_key_is_opened(desk, check):
    desk.new("blue", "full")
    assert found(check()) == {("nothing_known", None)}


def test_an_unreadable_inventory_is_an_error(two, check):
    [file, *_] = (two.home / "keys").iterdir()
    file.write_text("{}")
    with pytest.raises(StoreError):
        check()


def give_wrong_pin(desk, name):
    """As somebody else does, who plugs the key in for it."""
    from fido2.ctap import CtapError
    from fido2.ctap2 import ClientPin, Ctap2

    from keyctl.virtual.device import VirtualDevice

    with VirtualDevice(desk.folder, name) as device, pytest.raises(CtapError):
        ClientPin(Ctap2(device)).get_pin_token("000000", ClientPin.PERMISSION.CREDENTIAL_MGMT)
    keys.unplug(desk.folder, name)
    keys.plug(desk.folder, name)


def test_few_tries_are_a_failure_and_none_is_spent(two, check):
    while (left := two.tries("blue")) > 0:
        assert (("pin_tries", "blue") in found(check())) is (left <= 2)
        assert two.tries("blue") == left
        give_wrong_pin(two, "blue")
    health = check()
    [tries] = [one for one in health.checks if (one.id, one.key) == ("pin_tries", "blue")]
    assert tries.result is CheckResult.FAIL
    assert "no tries" in tries.message


def test_a_counter_that_went_back_is_a_failure(two, check):
    check()
    record = two.record("blue")
    state = two.home / "state"
    memory = local_state.read_memory(state, record.id)
    local_state.write_memory(state, record.id, replace(memory, counter=10**6))
    assert ("counter", "blue") in found(check())


def test_a_key_with_another_public_key_than_before_is_a_failure(two, check):
    check()
    local_state.write_pin(two.home / "state", two.record("blue").id, b"another")
    assert {("recognition", "blue")} <= found(check())


def test_a_key_that_was_reset_is_perhaps_a_known_one(two, check):
    two.reset("blue")
    health = check()
    assert ("recognition", "virtual:blue") in found(health)
    assert by_key(health)["recognition", "blue"] == "skip"


def test_a_new_key_of_the_same_model_is_nobodys_business_while_the_known_ones_are_there(two, check):
    keys.plug(two.folder, "green")
    two.new("other", "full")
    assert not [one for one in check().checks if one.key == "virtual:other"]


def test_a_key_that_cannot_be_opened_is_unreachable(two, check):
    two.set("blue", "fault=1:0x7f")
    health = check()
    assert ("unreachable", "virtual:blue") in found(health)
    assert by_key(health)["recognition", "blue"] == "skip"


def test_u2f_keys_are_no_finding_by_that(desk, check):
    desk.know("old", profile="u2f")
    results = by_key(check())
    assert (results["recognition", "old"], results["counter", "old"]) == ("skip", "skip")
    assert ("pin_set", "old") not in results
    assert ("scan", "old") not in results


def test_a_key_that_wants_its_pin_first_may_be_a_known_one(desk, check):
    desk.know("strict", pin=True)
    desk.always_uv("strict")
    health = check()
    results = by_key(health)
    assert (results["recognition", "strict"], results["recognition", "virtual:strict"]) == ("skip", "skip")
    told = {one.message for one in health.checks if one.key == "strict" and one.id == "recognition"}
    assert told == {"strict may be virtual:strict, which wants its PIN before it says so"}


@pytest.mark.usefixtures("two")
def test_a_named_key_that_is_absent_is_an_error(check):
    with pytest.raises(KeyChoiceError):
        check("green")
    with pytest.raises(KeyChoiceError):
        check("blue", "nobody")


def test_named_keys_leave_the_rest_out_and_are_not_the_last_result(two, check):
    keys.plug(two.folder, "green")
    health = check("blue", "virtual:green")
    assert {one.key for one in health.checks} == {"blue", "green"}
    assert check_results.read_last(two.home / "state") is None
    check()
    assert check_results.read_last(two.home / "state") is not None


def test_virtual_keys_are_left_out_where_there_are_others(two, check):
    two.put(replace(two.record("green"), virtual=False))
    assert {one.key for one in check().checks} == {"green", None}


def test_a_finding_keeps_the_time_when_it_began(two, check):
    began = {(one.id, one.key): one.since for one in check().checks if one.counts}
    state = two.home / "state"
    path = state / "last-check.json"
    path.write_text(path.read_text().replace(began["pin_length", "blue"], LONG_AGO))
    again = {(one.id, one.key): one.since for one in check().checks if one.counts}
    assert again["pin_length", "blue"] == LONG_AGO
    # In a drawer in the meantime, it is not seen and not forgotten.
    keys.unplug(two.folder, "blue")
    assert ("pin_length", "blue") not in found(check())
    keys.plug(two.folder, "blue")
    assert {(one.id, one.key): one.since for one in check().checks}["pin_length", "blue"] == LONG_AGO


def test_the_inventory_is_not_changed_by_a_check(two, check):
    before = two.files()
    check()
    assert two.files() == before


def test_a_result_that_cannot_be_noted_is_told_all_the_same(two, check):
    wanted = by_key(check())
    (two.home / "state" / "last-check.json").unlink()
    (two.home / "state" / "last-check.json").mkdir()
    assert by_key(check()) == wanted


def test_an_export_is_noted_until_the_inventory_changes(two, check, person):
    circumstances = two.circumstances(person())
    assert ("export", None) in found(check())
    inventory_files.export(circumstances, None, with_owner=False, with_location=False, dry_run=True)
    assert ("export", None) in found(check())
    inventory_files.export(circumstances, None, with_owner=False, with_location=False, dry_run=False)
    assert ("export", None) not in found(check())
    two.put(replace(two.record("green"), location="safe"))
    assert ("export", None) in found(check())


def test_a_clock_that_was_set_back_is_told(two, check):
    record = two.record("green")
    local_state.write_memory(two.home / "state", record.id, local_state.KeyMemory(last_seen=FAR))
    assert ("clock", None) in found(check())


# Unattended keys.


@pytest.fixture
def with_token(two, person):
    two.sign_up("blue", "one.example")
    who = person(pins=[PIN])
    unattended_setup.on(two.circumstances(who, "blue"), to_file=True, dry_run=False)
    return two


def test_a_key_with_a_token_is_read_and_then_costs_four_commands_at_most(with_token, check):
    check()
    assert [entry.rp_id for entry in with_token.record("blue").passkeys] == ["one.example"]
    lines = []
    health = check(trace=lines.append)
    assert by_key(health)["scan", "blue"] == "ok"
    assert 0 < len(lines) <= 4, lines
    with_token.sign_up("blue", "two.example")
    check()
    assert {entry.rp_id for entry in with_token.record("blue").passkeys} == {"one.example", "two.example"}


# Pairings and drills.


@pytest.fixture
def pairs(pairs):
    """Paired already."""
    pairs.create()
    return pairs


def pairing_results(health):
    return {one.id: one.result.value for one in health.checks if one.pairing == "blue/green"}


def test_a_pairing_is_compared_with_its_pin_and_its_records(pairs, check):
    assert pairing_results(check()) == {
        "pairing_seed": "ok",
        "pairing_record": "ok",
        "pairing_drill": "warn",
        "pairing_method": "ok",
    }
    [pairing] = pairs.desk.inventory.pairings
    state = pairs.desk.home / "state"
    assert check_results.read_record_seen(state, pairing.id) is not None
    local_state.write_seed_pin(state, pairing.id, bytes(32))
    assert pairing_results(check())["pairing_seed"] == "fail"
    next((state / "pins").glob("seed-*.json")).write_text("nonsense")
    assert pairing_results(check())["pairing_seed"] == "fail"
    local_state.forget_seed(state, pairing.id)
    assert pairing_results(check())["pairing_seed"] == "skip"


def test_a_record_that_is_another_one_fails(pairs, check):
    [pairing] = pairs.desk.inventory.pairings
    assert pairing.seed is not None
    other = replace(pairing, seed=replace(pairing.seed, derivation_secret=b"x" * 32))
    pairs.desk.put(other)
    results = pairing_results(check())
    assert results["pairing_record"] == "fail"
    assert results["pairing_seed"] == "fail"


def test_another_pairing_in_the_place_of_one_that_is_trusted_fails(pairs, check):
    [pairing] = pairs.desk.inventory.pairings
    with store.changing(pairs.desk.home, 0) as changes:
        changes.remove_pairing(pairing.id)
        changes.put_pairing(replace(pairing, id="0123456789abcdef"))
    assert pairing_results(check())["pairing_seed"] == "fail"


def test_records_in_drawers_are_skipped(pairs, check):
    for name in ("blue", "green"):
        keys.unplug(pairs.desk.folder, name)
    assert pairing_results(check())["pairing_record"] == "skip"


def test_a_drill_proves_every_key_and_the_pairing_of_the_backup(pairs, check, person):
    who = person(pins=[PIN])
    before = times.now()
    health = check(drill=True, who=who, touch_s=5.0)
    assert pairing_results(health)["pairing_drill"] == "ok"
    assert [request.key for request in who.requests] == ["green"]
    assert who.told[-1] == "the pairing blue/green works: its backup key can take over"
    for name in ("blue", "green"):
        at = health_files.read_drill(pairs.desk.home, pairs.desk.record(name).id)
        assert at is not None
        assert at >= before
    assert pairs.desk.inventory.pairings[0].verified_at is not None


@pytest.mark.usefixtures("pairs")
def test_a_drill_without_a_person_is_refused_before_anything(check):
    with pytest.raises(UsageError):
        check(drill=True)


def test_a_drill_goes_on_after_a_key_that_is_not_there_or_not_touched(two, check, person):
    two.know("red", pin=True)
    two.set("blue", "touch=never")
    who = person()
    check(drill=True, who=who, touch_s=0.3)
    dates = {name: health_files.read_drill(two.home, two.record(name).id) for name in ("blue", "green", "red")}
    assert (dates["blue"], dates["green"]) == (None, None)
    assert dates["red"] is not None
    assert sum(text.startswith("not held") for text in who.told) == 2


def test_only_named_keys_are_drilled(two, check, person):
    two.know("red", pin=True)
    check("red", drill=True, who=person(), touch_s=5.0)
    assert health_files.read_drill(two.home, two.record("blue").id) is None
    assert health_files.read_drill(two.home, two.record("red").id) is not None


@pytest.mark.parametrize("name", ["nobody", "virtual:other"])
def test_a_drill_is_of_keys_with_names(two, check, person, name):
    two.new("other", "fido2.0")
    with pytest.raises(UsageError):
        check(name, drill=True, who=person(), touch_s=5.0)


def test_a_drill_of_the_key_at_a_place_is_of_the_key_that_is_there(two, check, person):
    check("virtual:blue", drill=True, who=person(), touch_s=5.0)
    assert health_files.read_drill(two.home, two.record("blue").id) is not None


def test_a_drill_by_hand_counts(pairs, check):
    pair_verifying.verify(pairs.circumstances(pairs.person()), None)
    assert pairing_results(check())["pairing_drill"] == "ok"


# Accepting.


@pytest.fixture
def accept(desk, person):
    def accept(name, key=None, account=None, owner=None, until=None, reason=None, dry_run=False):
        circumstances = desk.circumstances(person(attended=False))
        choice = Choice(id=name, key=key, account=account, owner=owner)
        return accepting.accept(circumstances, choice, until=until, reason=reason, dry_run=dry_run).accepted

    return accept


def test_an_accepted_finding_counts_again_when_it_is_taken_back(two, check, accept, person):
    assert ("pin_length", "blue") in found(check())
    [entry] = accept("pin_length", reason="it is old")
    assert (entry.id, entry.key, entry.reason) == ("pin_length", "blue", "it is old")
    assert times.parse(entry.until) > times.parse(times.now())
    assert ("pin_length", "blue") not in found(check())
    circumstances = two.circumstances(person())
    assert accepting.every(circumstances).accepted == (entry,)
    assert accepting.remove(circumstances, Choice(id="pin_length"), dry_run=False).accepted == ()
    assert ("pin_length", "blue") in found(check())
    with pytest.raises(NotFoundError):
        accepting.remove(circumstances, Choice(id="pin_length"), dry_run=False)


def test_of_several_the_one_that_is_meant_has_to_be_named(two, accept):
    keys.plug(two.folder, "green")
    with pytest.raises(NotFoundError) as raised:
        accept("pin_length")
    assert raised.value.code == "finding_ambiguous"
    assert raised.value.details.candidates == ("blue", "green")
    [entry] = accept("pin_length", key="green")
    assert entry.key == "green"


@pytest.mark.parametrize(
    ("name", "key", "code"),
    [
        ("nonsense", None, "finding_not_found"),
        ("pin_set", None, "finding_not_found"),
        ("pin_length", "green", "finding_not_found"),
        ("advisory_ysa_2024_03", None, "finding_not_found"),
    ],
)
def test_what_is_not_found_cannot_be_accepted(two, accept, name, key, code):
    with pytest.raises(NotFoundError) as raised:
        accept(name, key)
    assert raised.value.code == code
    assert not (two.home / "accepted.json").exists()


@pytest.mark.usefixtures("two")
def test_tries_cannot_be_accepted(accept):
    with pytest.raises(UsageError, match="pin_tries cannot be accepted"):
        accept("pin_tries", "blue")


@pytest.mark.parametrize("until", ["2020-01-01", "tomorrow", "2027-02-30", "2027-01-01T00:00:00Z", ""])
def test_a_day_is_a_day_to_come(two, accept, until):
    assert two.inventory.keys
    with pytest.raises(UsageError):
        accept("pin_length", until=until)


def test_an_advisory_counts_again_when_it_changes(two, check, accept):
    two.put(replace(two.record("green"), virtual=False, model="YubiKey 5 Series with NFC", firmware="5.4.3"))
    accept("advisory_ysa_2024_03", reason="no update")
    assert ("advisory_ysa_2024_03", "green") not in found(check())
    path = Path(two.home / "accepted.json")
    content = json.loads(path.read_text())
    content["accepted"][0]["token"] = "0a"
    path.write_text(json.dumps(content))
    assert ("advisory_ysa_2024_03", "green") in found(check())


def test_an_account_is_chosen_by_its_site_and_name(desk, check, accept):
    desk.know("blue", pin=True)
    for site in ("one.example", "two.example"):
        desk.sign_up("blue", site)
    record = desk.record("blue")
    from tests.core.coverage_parts import passkey

    desk.put(replace(record, passkeys=(passkey("one.example"), passkey("two.example"))))
    with pytest.raises(NotFoundError):
        accept("account_at_risk")
    accept("account_at_risk", account="one.example/kim")
    at_risk = {one.rp_id for one in check().checks if one.id == "account_at_risk" and one.counts}
    assert at_risk == {"two.example"}


def test_what_pairings_have_is_accepted_for_one_of_them(desk, accept, person):
    records = {name: desk.know(name, pin=True) for name in ("one", "two", "three")}
    from tests.core.coverage_parts import pairing

    for backup in ("two", "three"):
        made = pairing("one", backup, method=Method.REGISTRATION)
        desk.put(replace(made, primary_id=records["one"].id, backup_id=records[backup].id))
    for meant in (None, "one"):
        with pytest.raises(NotFoundError) as raised:
            accept("pairing_drill", meant)
        assert raised.value.code == "finding_ambiguous"
        assert set(raised.value.details.candidates) == {"one/two", "one/three"}
        assert "-k one/" in raised.value.hint
    assert [entry.pairing for entry in accept("pairing_drill", "two")] == ["one/two"]
    assert {entry.pairing for entry in accept("pairing_drill", "one/three")} == {"one/two", "one/three"}
    circumstances = desk.circumstances(person())
    left = accepting.remove(circumstances, Choice(id="pairing_drill", key="one/two"), dry_run=False)
    assert [entry.pairing for entry in left.accepted] == ["one/three"]
    with pytest.raises(NotFoundError):
        accepting.remove(circumstances, Choice(id="pairing_drill", key="two"), dry_run=False)
    assert not accepting.remove(circumstances, Choice(id="pairing_drill", key="one"), dry_run=False).accepted


def test_a_key_is_meant_by_its_place_too(two, accept, person):
    keys.plug(two.folder, "green")
    [entry] = accept("pin_length", "virtual:green")
    assert entry.key == "green"
    circumstances = two.circumstances(person())
    assert not accepting.remove(circumstances, Choice(id="pin_length", key="virtual:green"), dry_run=False).accepted


def test_a_drill_without_the_pin_is_none_of_the_pairing(pairs, check, person):
    who = person(attended=False)
    who.pin = _no_pin
    health = check(drill=True, who=who, touch_s=5.0)
    [drill] = [one for one in health.checks if one.id == "pairing_drill"]
    assert drill.result is CheckResult.WARN
    assert drill.message.endswith("never had a drill; drill not held: no PIN")
    assert pairs.desk.inventory.pairings[0].verified_at is None


def _no_pin(_request):
    raise PinError("pin_required", "no PIN")


def test_a_locked_key_with_one_try_left_is_told(desk, check):
    desk.know("strict", pin=True)
    desk.always_uv("strict")
    while desk.tries("strict") > 1:
        give_wrong_pin(desk, "strict")
    health = check()
    assert ("pin_tries", "virtual:strict") in found(health)
    report = health_text.report(health)
    assert report.count("strict may be virtual:strict, which wants its PIN before it says so") == 1
