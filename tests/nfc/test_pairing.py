"""Pairing with cards on the readers of the real smart card service, by whole command lines.

What is on the cards besides is made, and looked at, by python-fido2's own client.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import keyctl
from keyctl.device import blob_array
from tests.cli.terminal import Terminal
from tests.operations.pairs import FOREIGN

from .browser import blobs, credentials, put_blobs, set_pin, sign_up, tries_left
from .conftest import take_off
from .user import PINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import InReader
    from .user import Desk

#: The array of large blobs before keyctl came, of other sites.
SITES = blob_array.BlobArray(FOREIGN).content
TARGET = "sign:releases"
PROJECT = Path(keyctl.__file__).parents[1]
METHODS = ("arkg", "software")


class Cards:
    """The primary card blue and the backup card green, in use at sites already; both have a name and a PIN."""

    def __init__(self, desk: Desk, blue: InReader, green: InReader) -> None:
        self.desk = desk
        self.blue = blue
        self.green = green
        for name, card in self.both.items():
            assert desk.keyctl("add", name, "-k", card.selector)["changed"]
            set_pin(card, PINS[name])
            sign_up(card, PINS[name], "bank.example", "kim")
            put_blobs(card, PINS[name], SITES)
        self._before = self._on_cards()

    @property
    def both(self) -> dict[str, InReader]:
        return {"blue": self.blue, "green": self.green}

    def lay_both(self) -> None:
        """Each on its own reader again, whatever became of it."""
        take_off([*self.both.values()])
        for number, card in enumerate(self.both.values()):
            card.lay_again(number)

    def carriers(self) -> set[str]:
        """The names of the cards that have something of keyctl's."""
        return {name for name, (passkeys, _) in self._on_cards().items() if passkeys != self._before[name][0]}

    def require_clean(self) -> None:
        """Nothing of keyctl's is left, and what others keep there is as it was, byte for byte."""
        assert self._on_cards() == self._before

    def require_foreign_blobs_kept(self) -> None:
        """What others keep in the array is as it was, byte for byte, and comes first."""
        for card in self.both.values():
            assert blob_array.parse(blobs(card)).entries[: len(FOREIGN)] == FOREIGN

    def _on_cards(self) -> dict[str, tuple[set[Any], bytes]]:
        return {name: (credentials(card, PINS[name]), blobs(card)) for name, card in self.both.items()}


@pytest.fixture
def cards(attached: Callable[..., InReader], desk: Desk) -> Cards:
    return Cards(desk, attached("blue", 0), attached("green", 1, profile="arkg"))


@pytest.mark.parametrize("method", METHODS)
def test_the_backup_card_stands_in_and_either_card_brings_the_pairing_back(cards, desk, home, method):
    blue, green = cards.blue, cards.green
    made = desk.keyctl("pair", "create", "blue", "green", "--method", method)["pairing"]
    assert (made["method"], made["state"], made["stored_on"]) == (method, "never_verified", ["blue", "green"])
    assert sorted(desk.asked_for()) == ["blue", "green"]
    cards.require_foreign_blobs_kept()

    green.detach()
    derived = desk.keyctl("pair", "derive", "--for", TARGET)
    [key] = derived["derived"]
    assert (key["endorsed"], derived["checked_against_key"]) == (True, True)

    # The drill, on the very reader where the primary card was.
    blue.detach()
    green.lay(0)
    drill = desk.keyctl("pair", "verify")
    assert (drill["verified"], drill["target"]) == (True, TARGET)

    # A new computer, and nothing but the backup card.
    shutil.rmtree(home)
    restored = desk.keyctl("pair", "restore", "-k", green.selector, pin_of="green")
    [pairing] = restored["pairings"]
    assert (restored["enrolled"], restored["key"]["name"], pairing["state"]) == (True, "green", "verified")
    assert (pairing["id"], pairing["fingerprint"]) == (made["id"], made["fingerprint"])
    assert desk.keyctl("pair", "derive", "--from-record", "--for", TARGET)["derived"][0]["pem"] == key["pem"]

    # The same, and nothing but the primary card, which proves nothing.
    shutil.rmtree(home)
    green.detach()
    blue.lay(1)
    restore = ("pair", "restore", "-k", blue.selector)
    assert desk.keyctl(*restore, expected=2, pin_of="blue") == ["confirm_required"]
    restored = desk.keyctl(*restore, "--confirm", made["fingerprint"], pin_of="blue")
    [pairing] = restored["pairings"]
    assert (restored["key"]["name"], pairing["state"], pairing["stored_on"]) == ("blue", "never_verified", ["blue"])
    assert desk.keyctl("pair", "derive", "--for", TARGET)["derived"][0]["pem"] == key["pem"]

    # And the other one after it.
    green.lay(0)
    [pairing] = desk.keyctl("pair", "restore", "-k", green.selector, pin_of="green")["pairings"]
    assert (pairing["state"], pairing["stored_on"]) == ("verified", ["blue", "green"])
    cards.require_foreign_blobs_kept()

    removed = desk.keyctl("pair", "remove", "--yes")
    assert (sorted(removed["removed_from"]), removed["remains"]) == (["blue", "green"], [])
    cards.require_clean()


def test_a_card_that_is_away_keeps_its_part_which_is_named(cards, desk):
    """Both were on each other's reader last: while one is open, the other is looked for there too."""
    take_off([*cards.both.values()])
    cards.green.lay(0)
    cards.blue.lay(1)
    assert desk.keyctl("pair", "create", "blue", "green")["pairing"]["stored_on"] == ["blue", "green"]
    cards.green.detach()
    removed = desk.keyctl("pair", "remove", "--yes")
    assert removed["removed_from"] == ["blue"]
    [seed] = removed["remains"]
    assert (seed["key"], seed["what"]) == ("green", "seed")
    cards.green.lay(0)
    assert cards.carriers() == {"green"}
    cards.require_foreign_blobs_kept()


# One reader.


@pytest.fixture
def terminal(cards: Cards) -> Callable[..., Terminal]:
    """Start a command line on a terminal, with both cards off the readers."""
    take_off([*cards.both.values()])
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "TERM": "dumb"}
    return lambda *words: Terminal(*words, environment=environment)


def give_pin(screen: Terminal, name: str) -> None:
    screen.expect(f"PIN for {name} (8 tries left): ")
    screen.type(f"{PINS[name]}\n")


def test_one_reader_is_enough(cards, desk, terminal):
    """The backup card first; each is taken off when keyctl says so."""
    with terminal("pair", "create", "blue", "green") as screen:
        screen.expect("the backup key is next: green\nwaiting for green to be plugged in")
        cards.green.lay(0)
        give_pin(screen, "green")
        screen.expect("green is done: you can put it back into the safe now\nthe primary key is next: blue\n")
        cards.green.detach()
        cards.blue.lay(0)
        give_pin(screen, "blue")
        assert screen.end() == 0, screen.text
    cards.lay_both()
    [pairing] = desk.keyctl("pair", "list")["pairings"]
    assert (pairing["method"], pairing["stored_on"]) == ("arkg", ["blue", "green"])
    assert desk.keyctl("pair", "verify")["verified"]
    cards.require_foreign_blobs_kept()


def test_the_wrong_card_on_the_reader_is_left_alone_until_the_right_one_comes(cards, desk, terminal, attached):
    """The primary card lies there already, and then a stranger of the backup card's model with its PIN."""
    cards.blue.lay(0)
    with terminal("pair", "create", "blue", "green", "--method", "software", "--pin-command", desk.manager) as screen:
        screen.expect("waiting for green to be plugged in")
        cards.blue.detach()
        stranger = attached("stranger", 0, profile="arkg")
        set_pin(stranger, PINS["green"])
        stranger.await_asked()
        stranger.detach()
        assert desk.asked_for() == []
        cards.green.lay(0)
        screen.expect("green is done")
        screen.expect("waiting for blue to be plugged in")
        cards.green.detach()
        cards.blue.lay(0)
        assert screen.end() == 0, screen.text
    assert desk.asked_for() == ["green", "blue"]
    stranger.lay(1)
    assert tries_left(stranger) == 8
    assert not credentials(stranger, PINS["green"])


def test_a_primary_card_that_never_comes_leaves_a_seed_that_is_named_and_cleaned_up(cards, desk):
    cards.blue.detach()
    assert desk.keyctl("pair", "create", "blue", "green", "--wait", "1", expected=3) == ["no_key"]
    assert "green is done: you can put it back into the safe now" in desk.said
    [error] = desk.errors
    assert "the seed on green is left from it" in error["message"]
    require_cleaned_up(cards, desk, {"green"})


# A card that goes.

#: More than any card gets.
MANY = 1000
_counted: dict[str, dict[str, int]] = {}


def commands_of(cards: Cards, desk: Desk, method: str) -> dict[str, int]:
    """How many commands each card gets while they are paired."""
    if method not in _counted:
        for card in cards.both.values():
            card.set(f"fault={MANY}:busy")
        desk.keyctl("pair", "create", "blue", "green", "--method", method)
        _counted[method] = {name: MANY - card.faults()[0] for name, card in cards.both.items()}
        for card in cards.both.values():
            card.set("fault=none")
        desk.keyctl("pair", "remove", "--yes")
    return _counted[method]


@pytest.mark.parametrize(
    ("method", "name", "share"),
    [("arkg", "green", 1.0), ("arkg", "blue", 1.0), ("software", "green", 0.4)],
)
def test_a_card_that_goes_half_way_leaves_nothing_but_what_is_named(cards, desk, method, name, share):
    """After *share* of all commands that it gets: it does the last one, and cannot say so any more."""
    number = round(share * commands_of(cards, desk, method)[name])
    cards.both[name].set(f"fault={number}:pulled-after")
    assert desk.keyctl("pair", "create", "blue", "green", "--method", method, expected=8) == ["key_removed"]
    [error] = desk.errors
    assert error["key"] == name
    assert f"on {name}" in error["message"]
    assert "pair remove --leftovers" in error["hint"]
    cards.lay_both()
    assert desk.keyctl("pair", "list")["pairings"] == []
    assert cards.carriers() == {name}
    require_cleaned_up(cards, desk, {name})


def require_cleaned_up(cards: Cards, desk: Desk, left: set[str]) -> None:
    """What is *left* on the cards is named, and goes, and nothing else does."""
    cards.lay_both()
    tried = desk.keyctl("pair", "remove", "--leftovers", "--dry-run")
    named = {remains["key"] for remains in tried["remains"]}
    assert left <= named
    done = desk.keyctl("pair", "remove", "--leftovers", "--yes")
    assert (set(done["removed_from"]), done["remains"]) == (named, [])
    cards.require_clean()
    assert not desk.keyctl("pair", "remove", "--leftovers", "--yes")["changed"]


def test_a_software_seed_whose_key_goes_before_it_is_opened_again_is_named(cards, desk):
    """The process that made it has ended well, and the key is wanted once more for its copy of the record."""
    step = round(0.7 * commands_of(cards, desk, "software")["green"])
    cards.both["green"].set(f"fault={step}:pulled-after")
    desk.keyctl("pair", "create", "blue", "green", "--method", "software", expected=3)
    [error] = desk.errors
    cards.lay_both()
    assert cards.carriers() == {"green"}
    assert "the seed on green is left" in error["message"]
    assert "--leftovers" in error["hint"]
