"""Fingerprints that people compare: the published ones come out, and typing them is easy but not lax."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import fingerprints
from keyctl.core.arkg import SeedPublicKey

from .seed_vectors import load, octets

FIRST = octets(load("arkg_p256.json")["vectors"][0])
SEEDS = load("hmac_secret_seeds.json")
SHOWN = "HLU2K-BEAEC-LJXQS-L7BJH"
GROUPS = ("HLU2K", "BEAEC", "LJXQS", "L7BJH")


def test_the_drafts_seed_has_the_published_fingerprint() -> None:
    seed = SeedPublicKey(FIRST["pk_bl"], FIRST["pk_kem"])
    assert fingerprints.of_seed(seed) == SHOWN == SEEDS["fingerprint_of_draft_seed"]["display"]


@pytest.mark.parametrize("vector", SEEDS["vectors"], ids=lambda vector: str(vector["id"]))
def test_other_seeds_have_theirs(vector: dict[str, Any]) -> None:
    values = octets(vector)
    assert fingerprints.of_seed(SeedPublicKey(values["pk_bl"], values["pk_kem"])) == vector["fingerprint_display"]
    assert fingerprints._compressed(values["pk_bl"]) == values["pk_bl_c"]


def test_the_halves_of_a_seed_are_not_interchangeable() -> None:
    assert fingerprints.of_seed(SeedPublicKey(FIRST["pk_kem"], FIRST["pk_bl"])) != SHOWN


def test_there_are_four_groups() -> None:
    assert fingerprints.groups(SHOWN) == GROUPS
    assert len(GROUPS) == fingerprints.GROUPS


@pytest.mark.parametrize(
    "typed",
    [
        SHOWN,
        "hlu2k-beaec-ljxqs-l7bjh",
        " HLU2K BEAEC  LJXQS L7BJH\n",
        "HLU2KBEAECLJXQSL7BJH",
        "HLU2K\u2013BEAEC\u2014LJXQS\u2212L7BJH",
        "HLU2K-8EAEC-LJXQS-L78JH",
    ],
)
def test_all_groups_may_be_typed_like_this(typed: str) -> None:
    assert fingerprints.typed_groups(typed) == GROUPS
    assert fingerprints.matches(SHOWN, (0, 1, 2, 3), typed)


def test_a_zero_can_only_be_an_o() -> None:
    assert fingerprints.typed_groups("0a0b0") == ("OAOBO",)


@pytest.mark.parametrize(
    "typed", ["", "-", "HLU2", "HLU2K-BEAE", "HLU21", "HLU2K9", "HLU2\u017f", "HLU2\uff2b", "A" * 161]
)
def test_what_cannot_be_groups_is_not_guessed(typed: str) -> None:
    assert fingerprints.typed_groups(typed) is None
    assert not fingerprints.matches(SHOWN, (0,), typed)


def test_the_groups_asked_for_have_to_be_typed_in_their_order() -> None:
    assert fingerprints.matches(SHOWN, (3, 1), "L7BJH BEAEC")
    assert not fingerprints.matches(SHOWN, (1, 3), "L7BJH BEAEC")
    assert not fingerprints.matches(SHOWN, (1, 3), "BEAEC")
    assert not fingerprints.matches(SHOWN, (1,), "BEAEC L7BJH")
    assert not fingerprints.matches(SHOWN, (2,), "BEAEC")


def test_asking_for_nothing_proves_nothing() -> None:
    assert not fingerprints.matches(SHOWN, (), "")
    assert not fingerprints.matches(SHOWN, (), SHOWN)


@given(typed=st.text(max_size=40))
def test_any_text_is_groups_or_not(typed: str) -> None:
    assert fingerprints.matches(SHOWN, (0,), typed) == (fingerprints.typed_groups(typed) == GROUPS[:1])
