"""What the health check says of pairings, accounts, owners and the whole, and what it makes of accepted findings."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import health
from keyctl.core.health import diagnose
from keyctl.core.health_facts import Export, Facts, Finding
from keyctl.core.health_limits import LIMIT_FIELDS, LimitError, Limits, limits_from
from keyctl.core.health_results import Acceptance
from keyctl.core.health_table import RULES, rule_of
from keyctl.core.inventory import Recovery
from keyctl.core.inventory_digest import digest
from keyctl.core.loss_steps import Step, StepKind
from keyctl.core.pairings import Method, StoredRecord
from keyctl.core.results import CheckResult
from keyctl.model import KeyState, Recognition

from .coverage_parts import NOW, derived, inventory_of, key, pairing, passkey, registration, service
from .health_parts import EMPTY, ago, facts, key_facts, known, list_of, one, pairing_facts, results

FRESH = {"verified_at": ago(1), "verified_by": "00000000000000e1"}


def whole(inventory, **more):
    return Facts(**({"now": NOW, "inventory": inventory, "export": Export(exported_at=ago(1), changed=False)} | more))


def pairing_results(record, **told):
    return results(facts(inventory=inventory_of(known(), known("green")), pairings=(pairing_facts(record, **told),)))


# Pairings.


def test_nothing_is_wrong_with_a_pairing_that_is_well():
    assert pairing_results(pairing("blue", "green", **FRESH), seed_trusted=True) == {}


@pytest.mark.parametrize(("trusted", "found"), [(None, "skip"), (False, "fail")])
def test_a_seed_that_is_not_trusted_is_told(trusted, found):
    record = pairing("blue", "green", **FRESH)
    assert pairing_results(record, seed_trusted=trusted) == {"pairing_seed": found}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"verified_at": None, "verified_by": None}, "warn"),
        ({"verified_at": ago(90)}, "warn"),
        ({"verified_at": ago(89)}, None),
        ({"broken_at": ago(0)}, "fail"),
        ({"broken_at": ago(2)}, None),
    ],
)
def test_a_drill_is_due_after_90_days_and_a_broken_pairing_fails(told, found):
    record = replace(pairing("blue", "green", **FRESH), **told)
    assert pairing_results(record, seed_trusted=True).get("pairing_drill") == found


def test_a_drill_that_was_not_held_is_no_success():
    record = pairing("blue", "green", **FRESH)
    assert pairing_results(record, seed_trusted=True, drill_omission="no PIN")["pairing_drill"] == "skip"
    late = replace(record, verified_at=ago(90))
    assert pairing_results(late, seed_trusted=True, drill_omission="no PIN")["pairing_drill"] == "warn"


def test_a_failed_drill_of_just_now_is_told():
    record = pairing("blue", "green", **FRESH)
    assert pairing_results(record, seed_trusted=True, drill_failure="no seed") == {"pairing_drill": "fail"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"records": {"green": True}}, None),
        ({"records": {"green": True, "blue": False}}, "fail"),
        ({}, "warn"),
        ({"record_seen_at": ago(10)}, "skip"),
        ({"record_seen_at": ago(90)}, "warn"),
        ({"record_seen_at": ago(-30)}, "warn"),
    ],
)
def test_the_record_on_a_key_is_compared_or_its_age_is_told(told, found):
    stored = StoredRecord(key_id=key("green").id, credential_id=b"c", user_id=bytes(32), at=ago(200))
    record = replace(pairing("blue", "green", **FRESH), stored_on=(stored,))
    assert pairing_results(record, seed_trusted=True, **told).get("pairing_record") == found


def test_a_pairing_that_no_key_carries_has_no_record_to_compare():
    assert "pairing_record" not in pairing_results(pairing("blue", "green", **FRESH), seed_trusted=True)


def test_derived_keys_follow_from_the_seed():
    record = pairing("blue", "green", derived("ssh:host"), **FRESH)
    assert pairing_results(record, seed_trusted=True) == {}
    wrong = pairing_results(record, seed_trusted=True, not_recomputed=("ssh:host",))
    assert wrong == {"derived_keys": "fail"}
    assert pairing_results(record, seed_trusted=True, seed_problem="a newer draft") == {"derived_keys": "fail"}


def test_the_software_method_is_labelled():
    record = pairing("blue", "green", **FRESH)
    checked = facts(inventory=inventory_of(known()), pairings=(pairing_facts(record, seed_trusted=True),))
    finding = one(checked, "pairing_method")
    assert finding.result is CheckResult.OK
    assert "software" in finding.message
    assert finding.hint


def test_keys_that_are_kept_in_step_by_hand_are_in_step():
    record = pairing("blue", "green", method=Method.REGISTRATION, **FRESH)
    ahead = inventory_of(known(held=[passkey()]), known("green"), record)
    checked = facts(inventory=ahead, pairings=(pairing_facts(record),))
    assert results(checked) == {"pairing_gaps": "warn"}
    level = inventory_of(known(held=[passkey()]), known("green", held=[registration()]), record)
    assert results(replace(checked, inventory=level)) == {}


# Accounts and the whole.


def test_an_empty_inventory_is_a_finding_and_the_only_one():
    assert results(whole(EMPTY, export=None)) == {"nothing_known": "warn"}


def test_each_account_at_risk_is_a_finding():
    inventory = inventory_of(
        key("blue", passkey("one.example")),
        key("green", passkey("weak.example"), passkey("two.example")),
        key("red", passkey("two.example"), passkey("lost.example"), state=KeyState.LOST),
        service("Weak", "weak.example", "kim", recovery=[Recovery.SMS]),
        service("Safe", "safe.example", "kim", on=["blue"], recovery=[Recovery.CODES]),
    )
    found = {
        finding.rp_id: (finding.result.value, finding.severity)
        for finding in health.findings(whole(inventory))
        if finding.id == "account_at_risk"
    }
    assert found == {
        "one.example": ("warn", 1),
        "two.example": ("warn", 1),
        "weak.example": ("warn", 0),
        "lost.example": ("fail", 2),
    }


def test_every_owner_has_two_keys_of_different_models():
    alike = {"aaguid": "2fc0579f-8113-47ea-b116-bb5a8db9202a", "model": "YubiKey 5 Series with NFC"}
    two = [replace(key(name, owner="kim"), **alike) for name in ("blue", "green")]
    single = replace(key("red", owner="lee"), aaguid="73402251-f2a8-4f03-873e-3cb6db604b03")
    found = results(whole(inventory_of(*two, single)))
    assert {name: found[name] for name in ("two_keys", "models")} == {"two_keys": "warn", "models": "warn"}
    assert "lee has one key only" in one(whole(inventory_of(*two, single)), "two_keys").message
    other = replace(two[1], aaguid="73402251-f2a8-4f03-873e-3cb6db604b03", model="uTrust FIDO2 Security Key")
    assert not {"two_keys", "models"} & results(whole(inventory_of(two[0], other))).keys()


def test_lost_reset_and_virtual_keys_are_no_second_key():
    for state, virtual in ((KeyState.LOST, False), (KeyState.RESET, False), (KeyState.ACTIVE, True)):
        inventory = inventory_of(key("blue"), key("green", state=state, virtual=virtual))
        assert "two_keys" in results(whole(inventory)), (state, virtual)


def test_keys_of_one_model_with_two_aaguids_are_of_one_model():
    two = [replace(key(name), model="YubiKey 5", aaguid=name) for name in ("blue", "green")]
    assert results(whole(inventory_of(*two)))["models"] == "warn"
    assert "models" not in results(whole(inventory_of(two[0], replace(two[1], model=None))))


def test_models_that_nobody_knows_are_not_judged():
    assert results(whole(inventory_of(key("blue"), key("green"))))["models"] == "skip"


def test_two_keys_of_one_batch_with_the_same_flaw_are_told():
    batch = {"model": "YubiKey 5 Series with NFC", "aaguid": "2fc0579f-8113-47ea-b116-bb5a8db9202a"}
    blue, green = (replace(key(name), **batch, firmware="5.4.3") for name in ("blue", "green"))
    finding = one(whole(inventory_of(blue, green)), "same_flaw")
    assert finding.result is CheckResult.WARN
    assert "YSA-2024-03" in finding.message
    for other in (replace(green, firmware="5.4.2"), replace(green, owner="lee"), replace(green, state=KeyState.LOST)):
        assert one(whole(inventory_of(blue, other)), "same_flaw").result is CheckResult.OK


@pytest.mark.parametrize(
    ("export", "found"),
    [
        (None, "warn"),
        (Export(exported_at=ago(1), changed=True), "warn"),
        (Export(exported_at=ago(900), changed=False), "ok"),
    ],
)
def test_the_inventory_is_exported_when_it_changed(export, found):
    assert one(whole(inventory_of(key("blue")), export=export), "export").result == found


def test_files_from_the_future_and_a_clock_that_was_set_back_are_told():
    inventory = inventory_of(replace(key("blue"), added_at=ago(-3)), service(at=ago(-0.5)))
    finding = one(whole(inventory), "future")
    assert finding.result is CheckResult.WARN
    assert "blue" in finding.message
    assert "Bank" not in finding.message
    assert one(whole(inventory, noted_at=ago(-3)), "clock").result is CheckResult.WARN
    assert one(whole(inventory, noted_at=ago(-0.5)), "clock").result is CheckResult.OK


def test_named_keys_leave_the_whole_out():
    assert {"two_keys", "export"} & results(whole(inventory_of(key("blue")), export=None)).keys()
    assert results(whole(inventory_of(key("blue")), export=None, whole=False)) == {}


def test_when_something_was_seen_is_no_change_of_the_inventory():
    before = inventory_of(key("blue", passkey()), pairing("blue", "green"))
    seen = replace(before.keys[0], passkeys=(replace(passkey(), seen_at=NOW),), passkeys_read_at=NOW)
    assert digest(replace(before, keys=(seen,))) == digest(before)
    for other in (replace(seen, name="red"), replace(seen, passkeys=()), replace(seen, location="safe")):
        assert digest(replace(before, keys=(other,))) != digest(before)
    assert digest(replace(before, pairings=())) != digest(before)


# The table.


def test_every_rule_is_in_the_table_once_and_described():
    names = [rule.id for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.meaning
        assert rule.action
        assert not rule.meaning.endswith(".")
        assert set(rule.id.removesuffix("ID")) <= set(string.ascii_lowercase + "_")
    assert [rule.id for rule in RULES if not rule.acceptable] == ["pin_tries"]


def test_every_id_of_the_rules_is_in_the_table():
    """Whatever the facts are, the functions know no other names; those of the source are compared, not of a run."""
    import ast
    from pathlib import Path

    told = set()
    for module in ("health_keys", "health_pairings", "health_whole", "health_advisories"):
        path = Path(health.__file__).with_name(f"{module}.py")
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"_finding", "_unseen"}
            if named:
                told.update(word.value for word in node.args[:1] if isinstance(word, ast.Constant))
            if isinstance(node, ast.keyword) and node.arg == "id" and isinstance(node.value, ast.Constant):
                told.add(node.value.value)
    assert told | {"advisory_ID"} == {rule.id for rule in RULES}


def test_an_owner_that_is_no_text_breaks_nothing():
    two = [replace(key(name), owner="\ud800", model="Model") for name in ("blue", "green")]
    assert "\ud800" in one(whole(inventory_of(*two)), "models").message
    assert "\ud800" in one(whole(inventory_of(two[0])), "two_keys").message


# Accepted findings.


def finding(**more):
    told = {"id": "pin_length", "result": CheckResult.WARN, "message": "short", "key": "blue", "key_id": "b" * 16}
    return Finding(**(told | more))


def accepting(found, **more):
    told = {
        "id": found.id,
        "key_id": found.key_id,
        "pairing_id": found.pairing_id,
        "rp_id": found.rp_id,
        "account": found.account,
        "owner": found.owner,
        "result": found.result,
        "severity": found.severity,
        "token": found.token,
        "accepted_at": ago(1),
        "until": ago(-1),
        "reason": "known",
    }
    return Acceptance(**(told | more))


def diagnosed(*found, accepted=(), since=()):
    return diagnose(found, accepted, now=NOW, since=dict(since))


def test_an_accepted_finding_comes_last_and_does_not_count():
    bad, fine = finding(id="scan"), finding(id="counter", result=CheckResult.OK)
    result = diagnosed(finding(), fine, bad, accepted=[accepting(finding())])
    assert [check.id for check in result.checks] == ["scan", "counter", "pin_length"]
    assert (result.checks[-1].accepted_until, result.checks[-1].reason) == (ago(-1), "known")
    assert result.result is CheckResult.WARN
    assert diagnosed(finding(), accepted=[accepting(finding())]).result is CheckResult.OK


@pytest.mark.parametrize(
    "acceptance",
    [
        {"until": NOW},
        {"token": "0a"},
        {"key_id": "c" * 16},
        {"id": "scan"},
        {"account": "kim"},
    ],
)
def test_it_counts_where_the_day_has_come_or_it_is_another_one(acceptance):
    assert diagnosed(finding(), accepted=[accepting(finding(), **acceptance)]).result is CheckResult.WARN


def test_it_counts_again_when_it_gets_worse():
    accepted = [accepting(finding(severity=1))]
    assert diagnosed(finding(severity=0), accepted=accepted).result is CheckResult.OK
    assert diagnosed(finding(severity=2), accepted=accepted).result is CheckResult.WARN
    assert diagnosed(finding(result=CheckResult.FAIL), accepted=accepted).result is CheckResult.FAIL


def test_more_of_the_same_counts_again():
    """Each with what was there when it was accepted, and what is there now."""
    in_step = pairing("blue", "green", method=Method.REGISTRATION, **FRESH)

    def gaps(count):
        held = [passkey(f"{number}.example") for number in range(count)]
        inventory = inventory_of(known(held=held), known("green"), in_step)
        return one(facts(inventory=inventory, pairings=(pairing_facts(in_step),)), "pairing_gaps")

    def wrong(*targets):
        record = pairing("blue", "green", *map(derived, targets), **FRESH)
        return one(facts(pairings=(pairing_facts(record, not_recomputed=targets),)), "derived_keys")

    def ahead(*names):
        return one(whole(inventory_of(*(replace(key(name), added_at=ago(-9)) for name in names))), "future")

    def back(counter):
        told = key_facts(recognition=Recognition.COUNTER_BACK)
        return one(facts(replace(told, highest_counter=counter)), "counter")

    def left(count):
        steps = (Step(id="0" * 10, done=False, done_at=None, kind=StepKind.REVOKE, text="do it"),) * count
        return one(facts(replace(key_facts(known(state=KeyState.LOST)), open_steps=steps)), "lost_key")

    for before, after in (
        (gaps(1), gaps(7)),
        (wrong("ssh:a"), wrong("ssh:b")),
        (ahead("blue"), ahead("blue", "green")),
        (back(9), back(12)),
        (left(2), left(3)),
    ):
        assert diagnosed(before, accepted=[accepting(before)]).result is CheckResult.OK
        assert diagnosed(after, accepted=[accepting(before)]).result is not CheckResult.OK


def test_accounts_of_one_name_are_accepted_for_each_owner():
    keys = [key(f"{owner} key", passkey(), owner=owner) for owner in ("kim", "lee")]
    risks = [risk for risk in list_of(whole(inventory_of(*keys))) if risk.id == "account_at_risk"]
    assert [risk.owner for risk in risks] == ["kim", "lee"]
    assert [risk.message.split(" is ")[0] for risk in risks] == [
        f"bank.example (kim) of {who}" for who in ("kim", "lee")
    ]
    assert len({risk.mark for risk in risks}) == 2
    counting = [check.owner for check in diagnosed(*risks, accepted=[accepting(risks[0])]).checks if check.counts]
    assert counting == ["lee"]
    # An older keyctl told no owners apart: what was accepted then stays so.
    assert diagnosed(*risks, accepted=[accepting(risks[0], owner=None)]).result is CheckResult.OK
    # And nobody's account is not everybody's.
    alone = one(whole(inventory_of(key("blue", passkey()), key("green"))), "account_at_risk")
    assert alone.owner == ""
    assert diagnosed(*risks, accepted=[accepting(alone)]).result is CheckResult.WARN


def test_the_name_of_a_key_may_change():
    accepted = [accepting(finding())]
    assert diagnosed(finding(key="red"), accepted=accepted).result is CheckResult.OK


def test_pin_tries_count_whatever_a_file_says():
    tries = finding(id="pin_tries", result=CheckResult.FAIL)
    assert diagnosed(tries, accepted=[accepting(tries)]).result is CheckResult.FAIL


def test_when_it_began_is_kept_and_else_is_now():
    new, old = finding(), finding(id="scan")
    fine = finding(id="counter", result=CheckResult.OK)
    result = diagnosed(new, old, fine, since={old.mark: ago(9), fine.mark: ago(9)})
    assert {check.id: check.since for check in result.checks} == {"pin_length": NOW, "scan": ago(9), "counter": None}


RESULTS = st.sampled_from(list(CheckResult))
FINDINGS = st.lists(
    st.builds(
        finding,
        id=st.sampled_from(["pin_length", "scan", "pin_tries", "advisory_x"]),
        result=RESULTS,
        severity=st.integers(0, 2),
        token=st.sampled_from([None, "0a"]),
    ),
    max_size=8,
)


@given(FINDINGS, FINDINGS)
def test_the_worst_that_counts_is_the_result_and_comes_first(found, others):
    """Accepting never hides what was not accepted, and never makes anything worse."""
    accepted = [accepting(one) for one in others]
    result = diagnosed(*found, accepted=accepted)
    assert len(result.checks) == len(found)
    counting = [check.result for check in result.checks if check.counts]
    ranks = [list(CheckResult).index(one) for one in counting]
    assert ranks == sorted(ranks, reverse=True)
    assert result.result is (counting[0] if counting else CheckResult.OK)
    for check in result.checks:
        if check.accepted_until is not None:
            assert any(one.id == check.id and one.result in {CheckResult.WARN, CheckResult.FAIL} for one in others)


# Limits.


def test_limits_have_a_description_each_and_their_defaults_are_allowed():
    assert vars(Limits()).keys() == LIMIT_FIELDS.keys()
    assert limits_from(vars(Limits())) == Limits()


@given(st.sampled_from(sorted(LIMIT_FIELDS)), st.one_of(st.integers(), st.booleans(), st.floats(), st.text()))
def test_a_limit_is_a_whole_number_within_its_bounds(name, value):
    field = LIMIT_FIELDS[name]
    if type(value) is int and field.lowest <= value <= field.highest:
        assert getattr(limits_from({name: value}), name) == value
    else:
        with pytest.raises(LimitError, match=name):
            limits_from({name: value})


def test_an_unknown_limit_names_itself():
    with pytest.raises(LimitError, match="drill_days is no field"):
        limits_from({"drill_days": 3})


def test_an_advisory_belongs_to_one_rule():
    assert rule_of("advisory_ysa_2024_03").id == "advisory_ID"
    with pytest.raises(KeyError):
        rule_of("nonsense")
    assert key_facts().label == "blue"
