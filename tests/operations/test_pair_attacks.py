"""Pairings against somebody who can write to the synced inventory, or hands over keys of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core import arkg, seed_cose
from keyctl.core.contexts import parse
from keyctl.errors import KeyctlError
from keyctl.operations import (
    deriving,
    pair_removing,
    seed_trust,
)
from keyctl.store import inventory
from tests.operations.pairs import Pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.core.pairings import Pairing

HOST = "ssh:server.example.com"


@pytest.fixture
def pairs(desk, person) -> Pairs:
    return Pairs(desk, person)


def failing(call: Callable[..., Any], *args: Any, **more: Any) -> KeyctlError:
    with pytest.raises(KeyctlError) as caught:
        call(*args, **more)
    return caught.value


def put(pairs: Pairs, *pairings: Pairing) -> None:
    """As somebody does who writes to the synced folder."""
    with inventory.changing(pairs.desk.home, 0) as changes:
        for pairing in pairings:
            changes.put_pairing(pairing)


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


# A seed under another number.


@pytest.mark.parametrize("attended", [True, False])
def test_a_seed_that_was_swapped_together_with_the_pairings_number_is_no_new_one(pairs, attended):
    pairing = pairs.paired()
    drop(pairs, pairing)
    put(pairs, swapped(pairing))
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
    put(pairs, pairing)
    seed_trust.require(pairs.circumstances(pairs.person(attended=False)), pairs.desk.inventory, pairing)


# Removing what is another pairing's.


# Leftovers.


# Restoring.


# At the same time.
