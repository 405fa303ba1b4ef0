"""Keys derived from a stored seed: the same again for the same request, and none from a seed that is not understood."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import arkg, contexts, derivations, p256, seed_numbers
from keyctl.errors import KeyctlError, StoreError
from tests.core.test_key_record import RECORD

SEED = RECORD.seed
PRIVATE = arkg.derive_seed(bytes(32), b"\x01" * 32)
NOW, LATER = "2026-01-31T08:00:00Z", "2026-02-01T08:00:00Z"


def test_the_same_request_gives_the_same_key():
    target = contexts.parse("ssh:server.example.com")
    one, other = (derivations.derive(SEED, target, now=now) for now in (NOW, LATER))
    assert (one.public_key, one.key_handle) == (other.public_key, other.key_handle)
    assert (one.created_at, other.created_at) == (NOW, LATER)


@given(st.text(min_size=1, max_size=80))
def test_the_backup_key_finds_the_private_half_of_every_label(label: str) -> None:
    try:
        target = contexts.parse(f"sign:{label}")
    except KeyctlError:
        # No label; its own tests say which are none.
        return
    key = derivations.derive(SEED, target, now=NOW)
    private = arkg.derive_private_key(PRIVATE, key.key_handle, target.ctx)
    assert p256.base_multiple(private) == key.public_key
    assert derivations.recomputes(SEED, key)


def test_what_was_changed_does_not_recompute():
    key = derivations.derive(SEED, contexts.parse("ssh:a.example"), now=NOW)
    other = derivations.derive(SEED, contexts.parse("ssh:b.example"), now=NOW)
    for changed in (
        replace(key, target="ssh:b.example"),
        replace(key, public_key=other.public_key),
        replace(key, key_handle=other.key_handle),
        replace(key, target="ssh:A.EXAMPLE"),
        replace(key, target="nonsense"),
    ):
        assert not derivations.recomputes(SEED, changed)


def test_another_secret_makes_other_keys():
    target = contexts.parse("sign:release")
    other = replace(SEED, derivation_secret=bytes(32))
    assert derivations.derive(SEED, target, now=NOW) != derivations.derive(other, target, now=NOW)


def test_numbers_of_another_draft_are_refused_by_name():
    newer = replace(SEED, numbers=replace(seed_numbers.CURRENT, draft="draft-99"))
    with pytest.raises(StoreError, match="draft-99") as caught:
        derivations.public_seed(newer)
    assert caught.value.code == "store_newer"


def test_a_seed_that_makes_no_sense_is_refused():
    with pytest.raises(StoreError) as caught:
        derivations.public_seed(replace(SEED, public_seed=b"\xa0"))
    assert caught.value.code == "pairing_changed"
