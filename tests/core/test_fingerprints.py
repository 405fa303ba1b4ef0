"""Fingerprints that people compare: the published ones come out, and typing them is easy but not lax."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import fingerprints, p256
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
    assert p256.compressed(values["pk_bl"]) == values["pk_bl_c"]


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
    assert fingerprints.matches(SHOWN, typed)


def test_a_zero_can_only_be_an_o() -> None:
    assert fingerprints.typed_groups("0a0b0") == ("OAOBO",)


@pytest.mark.parametrize(
    "typed", ["", "-", "HLU2", "HLU2K-BEAE", "HLU21", "HLU2K9", "HLU2\u017f", "HLU2\uff2b", "A" * 161]
)
def test_what_cannot_be_groups_is_not_guessed(typed: str) -> None:
    assert fingerprints.typed_groups(typed) is None
    assert not fingerprints.matches(SHOWN, typed)


@pytest.mark.parametrize(
    "typed", ["", "BEAEC L7BJH", "HLU2K-BEAEC-LJXQS", f"{SHOWN}-{SHOWN}", "BEAEC-HLU2K-LJXQS-L7BJH", f"{SHOWN[:-1]}I"]
)
def test_it_has_to_be_typed_whole_and_in_its_order(typed: str) -> None:
    assert not fingerprints.matches(SHOWN, typed)


@given(typed=st.text(max_size=40))
def test_any_text_is_groups_or_not(typed: str) -> None:
    assert fingerprints.matches(SHOWN, typed) == (fingerprints.typed_groups(typed) == GROUPS)
