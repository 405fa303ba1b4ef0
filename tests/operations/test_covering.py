"""Coverage as an operation: from the files of the inventory, without a key and without changing anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core.account_rows import Status
from keyctl.errors import NotFoundError, StoreError, UsageError
from keyctl.model import KeyState
from keyctl.operations import covering
from tests.records import put

from ..core.coverage_parts import (  # noqa: TID252  # found by path: there is no package to name
    SEEN_AT,
    key,
    passkey,
    service,
)

BLUE = key("blue", passkey("github.com"), passkey("bank.example"), owner="kim")
RED = key("red", passkey("github.com"), owner="kim")
GREEN = key("green", owner="lee")


@pytest.fixture
def work(desk, person):
    """The circumstances; whoever is asked anything fails, as the plan of the person is empty."""
    return desk.circumstances(person())


def files(home):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}


def test_accounts_are_told_from_the_files(work, home):
    put(home, BLUE, RED, service("Bank"))
    found = covering.survey(work).coverage
    assert found.keys == ("blue", "red")
    assert [(row.service, row.status) for row in found.services] == [
        ("Bank", Status.SINGLE_KEY),
        ("GitHub", Status.COVERED),
    ]


def test_nothing_is_written_and_nobody_is_asked(work, home):
    put(home, BLUE, RED)
    before = files(home)
    covering.survey(work)
    covering.survey(work, without="blue")
    covering.survey(work, missing="red")
    assert files(home) == before
    assert work.asker.asked == work.asker.told == []


def test_a_missing_home_is_not_made(work, home):
    assert covering.survey(work).coverage.services == ()
    assert not home.exists()


def test_an_empty_inventory_means_that_nothing_is_known(work):
    found = covering.survey(work)
    assert found.nothing_known
    assert found.unread == ()


@pytest.mark.parametrize(
    ("records", "nothing_known", "unread"),
    [
        ([GREEN], True, ("green",)),
        ([replace(GREEN, passkeys_read_at=SEEN_AT)], False, ()),
        ([GREEN, BLUE], False, ("green",)),
        ([GREEN, service(on=["green"])], False, ()),
        ([service()], False, ()),
    ],
)
def test_a_key_that_was_never_read_is_named(work, home, records, nothing_known, unread):
    put(home, *records)
    found = covering.survey(work)
    assert (found.nothing_known, found.unread) == (nothing_known, unread)


def test_a_key_is_looked_at_as_if_it_were_lost(work, home):
    put(home, BLUE, RED)
    found = covering.survey(work, without="blue").coverage
    assert found.without == "blue"
    assert [row.rp_id for row in found.lost] == ["bank.example"]
    assert [row.rp_id for row in found.remains] == ["github.com"]


def test_what_a_key_lacks_is_told(work, home):
    put(home, BLUE, RED)
    found = covering.survey(work, missing="red").coverage
    assert found.missing_on == "red"
    assert [row.rp_id for row in found.missing] == ["bank.example"]
    assert len(found.services) == 2


def test_lost_keys_are_named(work, home):
    put(home, replace(BLUE, state=KeyState.LOST), RED)
    assert covering.survey(work).lost == ("blue",)


def test_an_owner_has_only_their_own(work, home):
    put(home, BLUE, RED, GREEN)
    found = covering.survey(work, owner="lee")
    assert found.coverage.keys == ("green",)
    assert found.unread == ("green",)
    assert found.nothing_known
    assert covering.survey(work, owner="nobody").nothing_known


@pytest.mark.parametrize("option", ["without", "missing"])
def test_a_key_of_another_owner_is_refused(work, home, option):
    put(home, BLUE, GREEN)
    with pytest.raises(UsageError, match="blue is no key of lee"):
        covering.survey(work, owner="lee", **{option: "blue"})


@pytest.mark.parametrize("option", ["without", "missing"])
def test_an_unknown_name_is_an_error_with_those_that_are_known(work, home, option):
    put(home, BLUE, RED)
    with pytest.raises(NotFoundError, match="no key pink is known") as caught:
        covering.survey(work, **{option: "pink"})
    assert caught.value.code == "name_not_found"
    assert caught.value.details.candidates == ("blue", "red")
    with pytest.raises(NotFoundError):
        covering.survey(work, **{option: "Blue"})


def test_a_name_is_found_in_whatever_composition_it_was_typed(work, home):
    put(home, key("Ren\u00e9"))
    assert covering.survey(work, without="Rene\u0301").coverage.without == "Ren\u00e9"


def test_a_damaged_file_is_an_error_that_names_it(work, home):
    put(home, BLUE, RED)
    (home / "keys" / f"{RED.id}.json").write_text("{")
    with pytest.raises(StoreError, match=RED.id) as caught:
        covering.survey(work)
    assert caught.value.code == "store_unreadable"
