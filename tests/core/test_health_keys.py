"""What the health check says of one key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core.advisories import Identity
from keyctl.core.health_facts import KeyFacts, Unreachable
from keyctl.core.health_limits import Limits
from keyctl.core.loss_steps import Step, StepKind
from keyctl.core.results import CheckResult
from keyctl.model import KeyState, Recognition, Role

from .coverage_parts import NOW, inventory_of, passkey
from .health_parts import ago, facts, key_facts, known, list_of, one, reading, results

YK5 = {"model": "YubiKey 5 Series with NFC", "aaguid": "2fc0579f-8113-47ea-b116-bb5a8db9202a"}


def test_nothing_is_wrong_with_a_key_that_is_well():
    assert results(facts(key_facts())) == {}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"recognition": Recognition.COUNTER_BACK}, {"counter": "fail"}),
        ({"recognition": Recognition.CHANGED}, {"recognition": "fail", "counter": "skip"}),
        ({"recognition": Recognition.CLAIMED}, {"recognition": "skip", "counter": "skip"}),
        ({"pin_set": False, "tries_left": None}, {"pin_set": "warn", "scan": "skip"}),
        ({"tries_left": 3}, {}),
        ({"tries_left": 2}, {"pin_tries": "fail"}),
        ({"tries_left": 0}, {"pin_tries": "fail"}),
        ({"tries_left": 5, "power_cycle_needed": True}, {"pin_tries": "warn"}),
        ({"change_required": True}, {"pin_change": "warn"}),
        ({"min_pin_length": 5}, {"pin_length": "warn"}),
        ({"remaining": 0}, {"passkey_slots": "warn"}),
        ({"enterprise_attestation": True}, {"enterprise_attestation": "warn"}),
        ({"pin_supported": False, "pin_set": False, "tries_left": None, "listing": False, "remaining": None}, {}),
    ],
)
def test_what_a_connected_key_says_is_judged(said, found):
    assert results(facts(key_facts(**said))) == found


def test_no_tries_left_is_worse_than_few():
    severities = [one(facts(key_facts(tries_left=left)), "pin_tries").severity for left in (0, 1, 2, 8)]
    assert severities == [2, 1, 1, 0]


def test_of_a_key_in_a_drawer_only_what_is_noted_is_judged():
    found = results(facts(key_facts(connected=False)))
    assert set(found.values()) == {"skip"}
    assert {"recognition", "counter", "pin_set", "pin_tries", "pin_change", "pin_length"} <= found.keys()
    assert not {"key_drill", "scan", "firmware"} & found.keys()


@pytest.mark.parametrize(("days", "late"), [(89, False), (90, True), (400, True)])
def test_drill_and_scan_are_due_after_90_days(days, late):
    record = known(enrolled_at=ago(days), passkeys_read_at=ago(days))
    found = results(facts(key_facts(record)))
    assert found == ({"key_drill": "warn", "scan": "warn"} if late else {})


def test_a_later_drill_counts_and_a_failed_one_is_told():
    record = known(enrolled_at=ago(400))
    assert results(facts(key_facts(record, drilled_at=ago(3)))) == {}
    assert results(facts(key_facts(record, drilled_at=ago(3), drill_failure="nonsense"))) == {"key_drill": "fail"}


def test_a_time_that_has_not_come_counts_as_never():
    record = known(enrolled_at=ago(400), passkeys_read_at=ago(-30))
    assert results(facts(key_facts(record, drilled_at=ago(-30)))) == {"key_drill": "warn", "scan": "warn"}
    # A clock that is a little fast is nothing to speak of.
    assert results(facts(key_facts(known(passkeys_read_at=ago(-0.5))))) == {}


def test_a_key_that_was_never_read_wants_a_scan_unless_it_has_nothing_to_list():
    assert results(facts(key_facts(known(passkeys_read_at=None)))) == {"scan": "warn", "passkey_slots": "skip"}
    assert "scan" not in results(facts(key_facts(known(passkeys_read_at=None), listing=False)))
    assert "scan" not in results(facts(key_facts(known(passkeys_read_at=None, u2f=True), connected=False)))


def test_limits_move_the_line():
    limits = Limits(scan_days=400, key_drill_days=400, min_pin_length=4, passkeys_percent=100)
    record = known(enrolled_at=ago(300), passkeys_read_at=ago(300), held=[passkey(user=str(n)) for n in range(19)])
    tight = facts(key_facts(record, min_pin_length=4, remaining=1))
    assert results(replace(tight, limits=limits)) == {}
    assert results(tight) == {"scan": "warn", "key_drill": "warn", "pin_length": "warn", "passkey_slots": "warn"}


@pytest.mark.parametrize(("used", "remaining", "full"), [(17, 3, False), (18, 2, True), (20, 0, True)])
def test_a_key_is_nearly_full_at_90_percent(used, remaining, full):
    record = known(held=[passkey(user=str(number)) for number in range(used)])
    assert ("passkey_slots" in results(facts(key_facts(record, remaining=remaining)))) is full


def test_how_many_fit_is_known_of_some_models_that_do_not_say_it():
    held = [passkey(user=str(number)) for number in range(24)]
    record = known(held=held, model="YubiKey 5 Series with NFC", firmware="5.4.3")
    assert one(facts(key_facts(record, remaining=None)), "passkey_slots").result is CheckResult.WARN
    newer = replace(record, firmware="5.7.1")
    assert one(facts(key_facts(newer, remaining=None)), "passkey_slots").result is CheckResult.OK
    stranger = replace(record, model="Acme One")
    assert one(facts(key_facts(stranger, remaining=None)), "passkey_slots").result is CheckResult.SKIP


def test_passkeys_that_a_reset_ended_take_no_room():
    held = [passkey(user=str(number), reset_at=NOW) for number in range(24)]
    assert results(facts(key_facts(known(held=held), remaining=2))) == {}


def test_an_advisory_is_found_on_a_key_that_lies_in_a_drawer():
    record = known(**YK5, firmware="5.4.3")
    found = results(facts(key_facts(record, connected=False)))
    assert found["advisory_ysa_2024_03"] == "warn"
    assert found["advisory_ysa_2024_02"] == "warn"
    assert "firmware" not in found


def test_a_grave_advisory_is_a_failure():
    record = known(model="Somu Secp256R1 FIDO2 CTAP2 Authenticator", firmware="4.0.0")
    assert results(facts(key_facts(record, connected=False)))["advisory_cve_2020_27208"] == "warn"
    neo = Identity(product="Yubico Yubikey NEO U2F", vendor_id="1050", firmware="3.4.9")
    found = results(facts(key_facts(known(u2f=True), identity=neo, recognition=Recognition.CLAIMED)))
    assert found["advisory_cve_2021_3011"] == "fail"


def test_a_firmware_that_nobody_knows_is_a_finding_of_its_own():
    record = known(model="YubiKey 5 FIPS Series with NFC", aaguid="fcc0118f-cd45-435b-8da1-9782b2da0715")
    finding = one(facts(key_facts(record, connected=False)), "firmware")
    assert finding.result is CheckResult.WARN
    assert "YSA-2024-03" in finding.message
    assert not any(name.startswith("advisory_") for name in results(facts(key_facts(record, connected=False))))


def test_what_the_key_itself_says_of_its_firmware_counts_more():
    record = known(**YK5, firmware="5.4.3")
    updated = Identity(**YK5, firmware="5.7.4")
    assert not any(name.startswith("advisory_") for name in results(facts(key_facts(record, identity=updated))))


def test_a_key_for_trying_out_has_no_advisories():
    record = known(**YK5, firmware="5.4.3", virtual=True)
    assert not any(name.startswith("advisory_") for name in results(facts(key_facts(record, connected=False))))


def test_a_backup_key_has_a_place():
    record = known(role=Role.BACKUP)
    assert results(facts(key_facts(record))) == {"location": "warn"}
    assert results(facts(key_facts(replace(record, location="safe")))) == {}


def step(kind):
    return Step(id="0" * 10, done=False, done_at=None, kind=kind, text="do it")


def test_a_lost_key_is_a_finding_until_all_is_done():
    lost = key_facts(known("red", state=KeyState.LOST), connected=False)
    assert results(facts(lost)) == {}
    assert results(facts(replace(lost, open_steps=(step(StepKind.BUY),)))) == {"lost_key": "warn"}
    urgent = replace(lost, open_steps=(step(StepKind.REVOKE), step(StepKind.BUY)))
    assert results(facts(urgent)) == {"lost_key": "fail"}
    assert "2 steps are left to do: do it" in one(facts(urgent), "lost_key").message


def test_a_reset_key_is_one_finding():
    gone = known("red", state=KeyState.RESET)
    assert results(facts(key_facts(gone, connected=False))) == {"key_reset": "warn"}


def test_a_stranger_is_told_only_where_it_may_be_a_known_key():
    stranger = KeyFacts(label="usb:/dev/hidraw3", known=None, reading=reading(recognition=Recognition.UNKNOWN))
    inventory = inventory_of(known(), known("green"))
    whole = facts(stranger, inventory=inventory, whole=True)
    assert stranger.label not in {finding.key for finding in list_of(whole)}
    perhaps = replace(stranger, reading=reading(recognition=Recognition.PERHAPS_RESET, remark="or blue after a reset"))
    [finding] = [one for one in list_of(facts(perhaps, inventory=inventory, whole=True)) if one.key == stranger.label]
    assert (finding.id, finding.result, finding.hint) == ("recognition", "warn", "or blue after a reset")


def test_a_stranger_that_was_named_is_looked_at():
    stranger = KeyFacts(
        label="usb:/dev/hidraw3", known=None, reading=reading(recognition=Recognition.UNKNOWN, tries_left=1)
    )
    assert results(facts(stranger)) == {"pin_tries": "fail", "passkey_slots": "skip"}


@pytest.mark.parametrize(("code", "result"), [("access_denied", "warn"), ("key_busy", "warn"), ("key_silent", "fail")])
def test_a_key_that_cannot_be_opened_is_unreachable(code, result):
    device = Unreachable(selector="usb:/dev/hidraw3", code=code, message="it does not answer", hint=None)
    finding = one(facts(unreachable=(device,)), "unreachable")
    assert (finding.result, finding.key) == (result, "usb:/dev/hidraw3")
    assert finding.hint


def test_a_drill_that_was_not_held_is_no_success():
    told = replace(key_facts(), drill_omission="the touch was refused")
    assert results(facts(told)) == {"key_drill": "skip"}
    assert one(facts(told), "key_drill").message.endswith("; drill not held: the touch was refused")
    late = replace(key_facts(known(enrolled_at=ago(90))), drill_omission="the touch was refused")
    assert results(facts(late)) == {"key_drill": "warn"}


def test_a_drill_that_never_was_is_told_in_words():
    told = one(facts(key_facts(known(enrolled_at=ago(-9)))), "key_drill").message
    assert told == "blue never proved itself with a touch"


def test_a_locked_stranger_shows_its_tries():
    locked = reading(recognition=Recognition.LOCKED, tries_left=1, change_required=True)
    stranger = KeyFacts(label="usb:x", known=None, reading=locked)
    found = results(facts(stranger, inventory=inventory_of(known()), whole=True))
    assert (found["recognition"], found["pin_tries"], found["pin_change"]) == ("skip", "fail", "warn")


def test_before_a_reset_comes_what_would_be_lost():
    hint = one(facts(key_facts(known("my key"), tries_left=0)), "pin_tries").hint
    assert hint.index("`keyctl coverage --without 'my key'`") < hint.index("`keyctl reset -k 'my key'`")
    stranger = KeyFacts(label="usb:x", known=None, reading=reading(tries_left=0))
    assert one(facts(stranger), "pin_tries").hint.startswith("only `keyctl reset -k usb:x`")


def test_a_short_pin_length_is_told_to_be_the_keys_own():
    hint = one(facts(key_facts(min_pin_length=4)), "pin_length").hint
    assert "`keyctl health accept pin_length -k blue`" in hint
    assert "pin change" not in hint
