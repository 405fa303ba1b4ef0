"""Which key opens what: a new user with two cards on the readers of the real smart card service.

Passkeys are made by python-fido2's own WebAuthn client; everything else is whole command lines.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core.inventory import KnownKey, RecognitionCredential
from keyctl.store import inventory as store

from .browser import set_pin, sign_up, tries_left
from .user import PINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import InReader
    from .user import Desk

KIM_AT_GITHUB, KIM_AT_THE_BANK, LEE_AT_MAIL = (
    ("github.com", "kim"),
    ("bank.example", "kim"),
    ("mail.example", "lee"),
)


@pytest.fixture
def cards(attached: Callable[..., InReader], desk: Desk) -> dict[str, InReader]:
    """Two cards with a name and a PIN each."""
    cards = {"blue": attached("blue", 0), "green": attached("green", 1)}
    for name, card in cards.items():
        assert desk.keyctl("add", name, "-k", card.selector)["changed"]
        assert desk.keyctl("pin", "set", "-k", name)["key"]["path"] == card.reader
    return cards


@pytest.fixture
def scanned(cards: dict[str, InReader], desk: Desk) -> dict[str, InReader]:
    """The same with passkeys on them, which keyctl has read."""
    for name, account in (
        ("blue", KIM_AT_GITHUB),
        ("green", KIM_AT_GITHUB),
        ("blue", KIM_AT_THE_BANK),
        ("green", LEE_AT_MAIL),
    ):
        sign_up(cards[name], PINS[name], *account)
    desk.keyctl("scan")
    desk.asked_for()
    return cards


@pytest.fixture
def stranger(scanned: dict[str, InReader], attached: Callable[..., InReader]) -> InReader:
    """A card of the same model in the reader of the blue one, which is away; it has the blue one's PIN, of all PINs."""
    scanned["blue"].detach()
    card = attached("stranger", 0)
    set_pin(card, PINS["blue"])
    return card


def test_scan_reads_both_cards_and_says_what_is_new(cards, desk):
    for name, pin in PINS.items():
        sign_up(cards[name], pin, *KIM_AT_GITHUB)
    sign_up(cards["blue"], PINS["blue"], *KIM_AT_THE_BANK)
    desk.asked_for()

    first = desk.keyctl("scan")["keys"]
    assert {entry["key"]["name"]: accounts(entry["added"]) for entry in first} == {
        "blue": {KIM_AT_GITHUB, KIM_AT_THE_BANK},
        "green": {KIM_AT_GITHUB},
    }
    assert sorted(desk.asked_for()) == ["blue", "green"]

    sign_up(cards["green"], PINS["green"], *LEE_AT_MAIL)
    second = desk.keyctl("scan")["keys"]
    assert {entry["key"]["name"]: accounts(entry["added"]) for entry in second} == {
        "blue": set(),
        "green": {LEE_AT_MAIL},
    }


@pytest.mark.usefixtures("scanned")
def test_coverage_tells_which_accounts_only_one_card_opens(desk):
    rows = desk.rows()
    assert {account: row["status"] for account, row in rows.items()} == {
        KIM_AT_GITHUB: "covered",
        KIM_AT_THE_BANK: "single_key",
        LEE_AT_MAIL: "single_key",
    }
    cells = rows[KIM_AT_THE_BANK]["keys"]
    assert (cells["blue"]["how"], cells["blue"]["evidence"], cells["green"]["how"]) == ("passkey", "seen", "none")
    # keyctl's own credentials, one on each card, are nobody's account.
    assert desk.keyctl("coverage", "--check", expected=10)["summary"] == {
        "services": 3,
        "covered": 1,
        "at_risk": 2,
        "no_backup_possible": 0,
        "declared_only": 0,
    }
    assert accounts(desk.keyctl("coverage", "--missing", "green")["missing"]) == {KIM_AT_THE_BANK}
    assert accounts(desk.keyctl("coverage", "--without", "blue")["lost"]) == {KIM_AT_THE_BANK}


def test_missing_says_where_to_register_the_other_card(cards, desk):
    sign_up(cards["blue"], PINS["blue"], *KIM_AT_GITHUB)
    desk.keyctl("scan")
    [row] = desk.keyctl("coverage", "--missing", "green")["missing"]
    assert (row["service"], row["account"]) == ("GitHub", "kim")
    assert row["url"].startswith("https://")
    assert "github.com" in row["url"]


def test_card_that_was_reset_opens_nothing_more(scanned, desk):
    desk.keyctl("reset", "-k", "green", "--confirm", "green")
    assert desk.listed()["green"]["state"] == "reset"
    rows = desk.rows()
    assert {account: row["status"] for account, row in rows.items()} == {
        KIM_AT_GITHUB: "single_key",
        KIM_AT_THE_BANK: "single_key",
        LEE_AT_MAIL: "uncovered",
    }
    cell = rows[LEE_AT_MAIL]["keys"]["green"]
    assert (cell["how"], cell["evidence"]) == ("none", "reset")
    # It does not answer to its name any more.
    assert desk.keyctl("info", "-k", "green", expected=3) == ["no_key"]

    assert desk.keyctl("add", "green", "--replace", "-k", scanned["green"].selector)["changed"]
    assert desk.listed()["green"]["state"] == "active"
    assert desk.rows()[LEE_AT_MAIL]["keys"]["green"]["evidence"] == "reset"


def test_everything_is_told_with_both_cards_away(scanned, desk):
    before = desk.rows()
    for card in scanned.values():
        card.detach()
    assert desk.rows() == before
    listed = desk.listed()
    assert {name: (key["connected"], key["state"]) for name, key in listed.items()} == {
        "blue": (False, "active"),
        "green": (False, "active"),
    }
    assert all(key["last_seen"] for key in listed.values())
    assert desk.keyctl("scan", expected=3) == ["no_key"]


def test_names_follow_the_cards_to_each_other_s_reader(scanned, desk):
    for card in scanned.values():
        card.detach()
    scanned["blue"].lay(1)
    scanned["green"].lay(0)
    for name, card in scanned.items():
        assert desk.keyctl("pin", "verify", "-k", name)["key"]["path"] == card.reader
        assert tries_left(card) == 8
    assert desk.asked_for() == ["blue", "green"]
    assert {name: key["path"] for name, key in desk.listed().items()} == {
        name: card.reader for name, card in scanned.items()
    }
    assert [(entry["added"], entry["removed"]) for entry in desk.keyctl("scan")["keys"]] == [([], [])] * 2


def test_two_cards_in_turn_on_one_reader_are_told_apart(scanned, desk):
    blue, green = scanned.values()
    for card in (green, blue):
        card.detach()
    for card, name, other in ((green, "green", "blue"), (blue, "blue", "green")):
        card.lay(0)
        assert desk.keyctl("pin", "verify", "-k", other, expected=3) == ["no_key"]
        assert desk.keyctl("pin", "verify", "-k", name)["key"]["path"] == card.reader
        assert desk.asked_for() == [name]
        card.detach()


def test_stranger_in_a_known_card_s_place_gets_no_pin(stranger, desk):
    assert desk.keyctl("pin", "verify", "-k", "blue", expected=3) == ["no_key"]
    assert desk.asked_for() == []
    assert tries_left(stranger) == 8

    listed = desk.listed()
    assert listed[stranger.selector]["name"] is None
    assert not listed["blue"]["connected"]
    assert listed["green"]["connected"]

    [entry] = desk.keyctl("scan")["keys"]
    assert entry["key"]["name"] == "green"
    assert desk.asked_for() == ["green"]
    assert desk.rows()[KIM_AT_THE_BANK]["status"] == "single_key"


def test_stranger_named_by_its_path_gets_no_pin_of_a_known_card(stranger, desk):
    """The password manager knows none for it."""
    assert desk.keyctl("pin", "verify", "-k", stranger.selector, expected=4) == ["pin_required"]
    assert desk.asked_for() == [stranger.selector]
    assert tries_left(stranger) == 8


def test_card_that_is_there_in_two_ways_is_one(attached, home, desk):
    """As card and, since it is in keyctl's own folder too, as virtual key; asked one after the other, it answers."""
    card = attached("blue", folder=home / "virtual")
    assert desk.keyctl("info", expected=3) == ["several_keys"]
    assert desk.keyctl("add", "blue", "-k", card.selector)["changed"]
    assert desk.keyctl("info")["key"]["selector"] == card.selector
    assert desk.keyctl("info", "-k", "blue")["key"]["selector"] == card.selector


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre"])
def test_one_of_a_hundred_is_known_on_a_card_that_takes_1200_bytes_at_a_time(attached, home, desk, profile):
    """One takes as many ids as fit the message, the other eight at most; nothing tells which of its model it is."""
    card = attached("blue", profile=profile)
    key = desk.keyctl("add", "blue", "-k", card.selector)["key"]
    with store.changing(home, 0) as changes:
        for number in range(99):
            changes.put_key(same_model(f"another {number}", key["aaguid"], 32 + number))
    shutil.rmtree(home / "state")

    [key] = desk.keyctl("list", "--connected", "--verbose")["keys"]
    assert (key["name"], key["path"]) == ("blue", card.reader)
    sizes = [int(found) for found in re.findall(r"getAssertion \(silent\): (\d+) bytes", desk.said)]
    assert max(sizes) <= 1200
    assert len(sizes) <= 13

    # From now on it is the last one that was seen there.
    assert desk.keyctl("info", "-k", "blue", "--verbose")["key"]["name"] == "blue"
    assert desk.said.count("getAssertion") == 1


def accounts(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Site and account of each."""
    return {(entry["rp_id"], entry["account"]) for entry in entries}


def same_model(name: str, aaguid: str, id_bytes: int) -> KnownKey:
    """Another key of the same model, which is elsewhere; the ids of some are that long."""
    return KnownKey(
        id=store.new_id(),
        name=name,
        virtual=True,
        aaguid=aaguid,
        model=None,
        serial=None,
        firmware=None,
        added_at="2026-01-31T08:00:00Z",
        recognition=RecognitionCredential(
            credential_id=os.urandom(id_bytes),
            public_key=b"\xa0",
            user_id=os.urandom(32),
            u2f=False,
            enrolled_at="2026-01-31T08:00:00Z",
        ),
    )
