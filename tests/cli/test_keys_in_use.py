"""Keys in use, and keys in pairings, that are replaced or forgotten from the command line."""

from __future__ import annotations

import pytest


@pytest.fixture
def two(run, virtual):
    """Blue, which is known, and green, which is not."""
    virtual.new("blue")
    assert run("add", "blue", "-k", "virtual:blue").status == 0
    virtual.new("green")
    return run


def test_a_key_in_use_is_replaced_only_when_somebody_says_so(two, virtual):
    virtual.set("green", "touch=never")
    done = two("add", "blue", "--replace", "-k", "virtual:green", "--json")
    assert (done.status, done.code) == (2, "confirm_required")
    assert "give --yes" in done.error["hint"]
    for trial in ((), ("--dry-run",)):
        done = two("add", "blue", "--replace", "-k", "virtual:green", "--confirm", "other", *trial, "--json")
        assert done.code == "declined"
    assert two("add", "blue", "--replace", "-k", "virtual:green", "--dry-run").status == 0
    virtual.set("green", "touch=now")
    done = two("add", "blue", "--replace", "-k", "virtual:green", "--yes", "--json")
    assert (done.status, done.document["data"]["enrolled"]) == (0, True)


def test_where_an_account_is_lost_a_yes_is_not_enough(two):
    assert two("service", "add", "Shop", "--rp", "shop.example", "--account", "kim", "--on", "blue").status == 0
    replacing = ("add", "blue", "--replace", "-k", "virtual:green")
    done = two(*replacing, "--yes", "--json")
    assert done.code == "confirm_required"
    assert "give --confirm blue" in done.error["hint"]
    for trial in ("--yes", "--dry-run"):
        assert "Shop, kim" in two(*replacing, trial).err
    assert two(*replacing, "--confirm", "blue").status == 0


def test_a_pairing_is_removed_by_its_own_name_in_a_dry_run_too(two):
    assert two("add", "green", "-k", "virtual:green").status == 0
    assert two("pair", "create", "blue", "green", "--method", "registration").status == 0
    for trial in ((), ("--dry-run",)):
        assert two("pair", "remove", "--confirm", "green/blue", *trial, "--json").code == "declined"
    assert two("pair", "remove", "--confirm", "blue/green", "--dry-run").status == 0


def test_a_forgotten_key_says_what_its_pairing_leaves(two):
    assert two("add", "green", "-k", "virtual:green").status == 0
    assert two("pair", "create", "blue", "green", "--method", "registration").status == 0
    done = two("forget", "green", "--yes", "--json")
    assert done.document["data"]["pairings"] == ["blue/green"]
    assert done.document["data"]["remains"] == []
    assert two("pair", "list", "--json").document["data"]["pairings"] == []
