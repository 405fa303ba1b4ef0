"""A pairing's record: what it is worth, and the copies of it on keys."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from keyctl.core import pairings
from keyctl.core.pairings import Method, Pairing, PairingState, StoredRecord

EARLIER, LATER = "2026-01-31T08:00:00Z", "2026-02-28T08:00:00Z"
COPY = StoredRecord(key_id="00000000000000b1", credential_id=b"c", user_id=b"u", at=EARLIER)
OTHER = replace(COPY, key_id="00000000000000b2")
PAIR = Pairing(
    id="00000000000000a1",
    primary_id="00000000000000b1",
    backup_id="00000000000000b2",
    method=Method.WEBAUTHN_DRAFT,
    recovery_seed=b"seed",
    created_at=EARLIER,
    paired_by="00000000000000e1",
)
VERIFIED = {"verified_by": PAIR.paired_by}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, PairingState.NEVER_VERIFIED),
        ({"verified_at": EARLIER, **VERIFIED}, PairingState.VERIFIED),
        ({"broken_at": EARLIER}, PairingState.BROKEN),
        ({"verified_at": EARLIER, **VERIFIED, "broken_at": LATER}, PairingState.BROKEN),
        ({"verified_at": LATER, **VERIFIED, "broken_at": LATER}, PairingState.BROKEN),
        ({"verified_at": LATER, **VERIFIED, "broken_at": EARLIER}, PairingState.VERIFIED),
        ({"verified_at": LATER, **VERIFIED, "retired_at": EARLIER}, PairingState.RETIRED),
        ({"broken_at": LATER, "retired_at": EARLIER}, PairingState.RETIRED),
    ],
)
def test_the_last_drill_says_what_a_pairing_is_worth(facts, state):
    assert replace(PAIR, **facts).state is state


def test_a_pairing_without_a_seed_has_no_hash_of_one():
    assert PAIR.seed_hash == sha256(b"seed").digest()
    assert replace(PAIR, method=Method.REGISTRATION, recovery_seed=None).seed_hash is None


def test_a_key_holds_one_copy():
    both = pairings.with_copy(pairings.with_copy(PAIR, OTHER), COPY)
    assert both.stored_on == (COPY, OTHER)
    anew = replace(COPY, credential_id=b"anew", at=LATER)
    assert pairings.with_copy(both, anew).stored_on == (anew, OTHER)


def test_a_copy_that_is_gone_leaves_a_word():
    both = replace(PAIR, stored_on=(COPY, OTHER))
    left = pairings.without_copy(both, COPY.key_id, now=LATER)
    assert (left.stored_on, left.changed) == ((OTHER,), {f"stored_on:{COPY.key_id}": LATER})
    assert pairings.without_copy(left, COPY.key_id, now=LATER) is left
