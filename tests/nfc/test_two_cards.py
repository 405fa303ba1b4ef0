"""The main job on two cards at once: whole command lines on one side, python-fido2's own client on the other.

The cards lie on readers of the real smart card service; after every step both sides have to agree.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.cli.main import main

from .browser import credentials, sign_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PINS = {"blue": "123456", "green": "correct horse"}


@pytest.fixture
def cards(attached: Callable[..., Any]) -> dict[str, Any]:
    return {"blue": attached("blue", 0), "green": attached("green", 1)}


@pytest.fixture
def keyctl(cards: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run keyctl on one of the cards, by the selector that ``list`` gave."""
    for name, pin in PINS.items():
        file = tmp_path / f"{name}.pin"
        file.touch(mode=0o600)
        file.write_text(f"{pin}\n")

    def run(name: str | None, *words: str, expected: int = 0) -> Any:
        arguments = [*words, "--json"]
        if name is not None:
            arguments += ["--key", f"nfc:{cards[name].reader}", "--pin-file", str(tmp_path / f"{name}.pin")]
        capsys.readouterr()
        status = main(arguments)
        document = json.loads(capsys.readouterr().out)
        assert status == document["exit_status"] == expected, document["errors"]
        return document["data"]

    return run


def listed(data: Any) -> set[tuple[str, bytes, str]]:
    return {(found["rp_id"], bytes.fromhex(found["credential_id"]), found["user_name"]) for found in data["passkeys"]}


def test_the_main_job_on_two_cards_with_both_sides_agreeing(cards, keyctl):
    # Listed, and told apart: by name nothing is guessed.
    found = keyctl(None, "list")["keys"]
    assert {key["selector"] for key in found} == {f"nfc:{card.reader}" for card in cards.values()}
    assert {(key["transport"], key["access"], key["virtual"]) for key in found} == {("nfc", "ok", True)}
    keyctl(None, "info", expected=3)

    for name, pin in PINS.items():
        assert keyctl(name, "pin", "set")["changed"]
        assert keyctl(name, "info")["pin"]["set"]
        assert credentials(cards[name], pin) == set()

    made = {
        (name, rp_id, user): sign_up(cards[name], PINS[name], rp_id, user)
        for name, rp_id, user in (
            ("blue", "bank.example", "kim"),
            ("blue", "bank.example", "lee"),
            ("blue", "mail.example", "kim"),
            ("green", "mail.example", "kim"),
        )
    }
    for name, pin in PINS.items():
        seen = listed(keyctl(name, "passkeys", "list"))
        assert seen == credentials(cards[name], pin)
        assert {own_id for _, own_id, _ in seen} == {own_id for (on, *_), own_id in made.items() if on == name}

    kim = made["blue", "bank.example", "kim"].hex()
    assert keyctl("blue", "passkeys", "rename", kim[:16], "--user-name", "kimberley")["changed"]
    assert ("bank.example", bytes.fromhex(kim), "kimberley") in credentials(cards["blue"], PINS["blue"])

    # The other card's passkey is not on this one.
    keyctl("green", "passkeys", "delete", kim, "--yes", expected=9)
    assert len(keyctl("blue", "passkeys", "delete", kim, "--yes")["deleted"]) == 1
    assert {(site, user) for site, _, user in credentials(cards["blue"], PINS["blue"])} == {
        ("bank.example", "lee"),
        ("mail.example", "kim"),
    }
    assert len(credentials(cards["green"], PINS["green"])) == 1

    keyctl("green", "reset", "--confirm", f"nfc:{cards['green'].reader}")
    assert not keyctl("green", "info")["pin"]["set"]
    assert len(credentials(cards["blue"], PINS["blue"])) == 2
