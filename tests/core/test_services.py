"""Which services are one, and what becomes of their keys and recovery methods."""

import dataclasses
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import services
from keyctl.core.inventory import Declaration, Recovery, Service
from keyctl.errors import UsageError

BLUE, GREEN = "b" * 16, "c" * 16
EARLY, LATE, NOW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"

METHODS = st.sets(st.sampled_from(Recovery)).map(services.with_recovery)


def service(record="a", name="GitHub", **facts):
    facts = {"rp_id": "github.com", "account": None, "added_at": EARLY} | facts
    return Service(id=record * 16, name=name, **facts)


def on(**dates):
    ids = {"blue": BLUE, "green": GREEN}
    return tuple(Declaration(key_id=ids[name], declared_at=date) for name, date in dates.items())


def test_case_and_composition_make_no_other_service():
    assert services.identity("GITHUB", "Zoë") == services.identity("github", "ZOE\u0308")
    assert services.identity("Straße", None) == services.identity("STRASSE", None)
    assert services.identity("a", None) != services.identity("a", "b")


@given(st.text())
def test_a_text_equals_itself_in_any_composition(text):
    assert services.folded(unicodedata.normalize("NFD", text)) == services.folded(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize("text", ["", " ", "\u3000", "a" * 1001, "a\ud800"])
def test_what_cannot_be_a_name_is_refused(text):
    with pytest.raises(UsageError) as failure:
        services.check_name(text, "name")
    assert failure.value.code == "name_invalid"


@pytest.mark.parametrize("text", ["-", "a/b", "..", "a\nb", "\u202e", "a" * 1000, "🔑"])
def test_nearly_everything_can_be_a_name(text):
    assert services.check_name(text, "name") == text


def test_real_method_ends_none_and_none_ends_all():
    assert services.with_recovery({Recovery.NONE}, {Recovery.SMS}) == (Recovery.SMS,)
    assert services.with_recovery({Recovery.SMS, Recovery.CODES}, {Recovery.NONE}) == (Recovery.NONE,)
    assert services.with_recovery({Recovery.SMS, Recovery.CODES}, (), {Recovery.SMS}) == (Recovery.CODES,)


@given(METHODS, METHODS)
def test_adding_methods_twice_is_adding_them_once(methods, added):
    once = services.with_recovery(methods, added)
    assert services.with_recovery(once, added) == once
    assert set(added) <= set(once)


def test_key_that_is_taken_away_leaves_the_date():
    before = service(on=on(blue=EARLY, green=EARLY))
    after = services.with_keys(before, removed=[BLUE], now=NOW)
    assert after.on == on(green=EARLY)
    assert after.changed == {f"on:{BLUE}": NOW}
    # Nothing was declared, so nothing is taken back.
    assert services.with_keys(after, removed=[BLUE], now=LATE) == after
    again = services.with_keys(after, [BLUE], now=NOW)
    assert again.on == on(blue=NOW, green=EARLY)
    assert again.changed == {}


def test_records_of_one_account_are_taken_together():
    first = service("a", on=on(blue=LATE), recovery=(Recovery.NONE,))
    second = service(
        "b",
        "GITHUB",
        on=on(blue=EARLY, green=EARLY),
        recovery=(Recovery.CODES,),
        rp_id="new.example",
        changed={"rp_id": LATE},
    )
    third = service("d", changed={f"on:{GREEN}": LATE})
    [(_, records)] = services.accounts([third, second, first]).items()
    assert records == (first, second, third)
    together = services.joined(records)
    assert together == dataclasses.replace(
        first,
        rp_id="new.example",
        on=on(blue=LATE),
        recovery=(Recovery.CODES,),
        changed={"rp_id": LATE, f"on:{GREEN}": LATE},
    )
    assert services.joined((first,)) is first


def test_accounts_are_in_the_order_of_their_names():
    found = services.accounts(
        [service("c", "b"), service("b", "A", account="z"), service("d", "a"), service("a", "A", account="B")]
    )
    assert [(records[0].name, records[0].account) for records in found.values()] == [
        ("a", None),
        ("A", "B"),
        ("A", "z"),
        ("b", None),
    ]


def test_only_what_is_different_gets_a_new_date():
    before = service(changed={"name": EARLY, "rp_id": EARLY})
    after = dataclasses.replace(before, rp_id="other.example", account="kim")
    assert services.dated(before, after, NOW).changed == {"name": EARLY, "rp_id": NOW, "account": NOW}
