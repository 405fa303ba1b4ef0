"""What is taken for left over on a key, while the key answers nonsense."""

from __future__ import annotations

import contextlib
import shutil

import pytest

from keyctl.core.pairings import Method
from keyctl.errors import KeyctlError, UnreachableError
from keyctl.operations import pair_leftovers
from keyctl.store import unfinished as begun
from keyctl.virtual.state import NO_LARGE_BLOBS
from tests.derived_parts import MADE_AT
from tests.failing import failing

#: More commands than cleaning up takes.
COMMANDS = 25


@pytest.fixture
def strange(pairs):
    """A key with the seed of a pairing that another computer made since one was begun here."""
    made = pairs.paired(Method.ARKG)
    shutil.rmtree(pairs.desk.home / "pairings")
    state = pairs.circumstances(pairs.person()).state
    unfinished = begun.Unfinished(
        pairing_id="b" * 16,
        primary_id=made.primary_id,
        backup_id=made.backup_id,
        started_at=MADE_AT,
        before={made.backup_id: ()},
    )
    begun.write(state, unfinished)
    return pairs, unfinished, state


def clean_up(pairs):
    return pair_leftovers.clean_up(pairs.circumstances(pairs.person(1)), dry_run=False)


def test_another_pairings_seed_is_no_leftover_whichever_answer_is_garbled(strange):
    pairs, unfinished, state = strange
    before = pairs.own_ids("green")
    assert before
    refused = set()
    for number in range(1, COMMANDS):
        begun.write(state, unfinished)
        pairs.desk.set("green", f"fault={number}:garbage")
        with contextlib.suppress(KeyctlError):
            clean_up(pairs)
            refused.add(number)
        assert pairs.own_ids("green") == before
    # Some answers were needed, and some not any more.
    assert 0 < len(refused) < COMMANDS - 1


def test_what_belongs_to_nobody_is_deleted(strange):
    pairs, _, _ = strange
    # The array with the record is empty again.
    pairs.keep("green", large_blobs=NO_LARGE_BLOBS.hex())
    assert clean_up(pairs).changed
    assert pairs.own_ids("green") == []


def test_an_array_with_a_wrong_checksum_deletes_nothing(strange):
    pairs, _, _ = strange
    before = pairs.own_ids("green")
    array = pairs.kept("green")["large_blobs"]
    pairs.keep("green", large_blobs=array[:-2] + ("00" if array[-2:] != "00" else "11"))
    error = failing(clean_up, pairs)
    assert isinstance(error, UnreachableError)
    assert pairs.own_ids("green") == before
