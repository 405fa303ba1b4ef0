"""How many commands keyctl sends, as the key counts them, and how much memory it takes: the benchmark without times.

The benchmark runs as a program of its own, as a child never seems smaller than the process that started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.missing import missing

MAX_PEAK_BYTES = 60 * 1024 * 1024
TOKEN = "clientPin getPinUvAuthTokenUsingPinWithPermissions"
LONG_LIST = "passkeys list, 100 at 50 sites"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the benchmark counted."""
    file = tmp_path_factory.mktemp("bench") / "results.json"
    program = [sys.executable, Path(__file__).with_name("bench.py"), "--counts", "--json", file]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


@pytest.fixture
def virtual(results):
    """The counts by operation on keys that are reached directly."""
    return {count["title"]: count for count in results["counts"] if count["where"] == "virtual"}


@pytest.fixture
def on_card(results):
    """The counts by operation on keys that are on a card reader."""
    if results["card_reader"]:
        missing(results["card_reader"])
    return {count["title"]: count for count in results["counts"] if count["where"] == "card reader"}


def test_every_operation_ends_well(results):
    assert [count["title"] for count in results["counts"] if count["exit_status"] != 0] == []


def test_no_count_is_below_what_the_protocol_asks_for(results):
    """Otherwise the key does not count, or the formula is wrong."""
    assert [count["title"] for count in results["counts"] if count["commands"] < count["at_least"]] == []


def test_verbose_tells_every_command_that_the_key_got(results):
    told = [count for count in results["counts"] if count["names"]]
    assert len(told) >= 6
    assert [len(count["names"]) for count in told] == [count["commands"] for count in told]


def test_list_sends_one_command_to_a_key(virtual):
    assert virtual["list"]["commands"] == 1


def test_list_sends_three_commands_at_most_to_the_one_of_twenty_known_keys_that_was_last_seen(virtual):
    assert virtual["list, 20 known keys"]["commands"] <= 3


def test_info_sends_three_commands_at_most(virtual):
    assert virtual["info"]["commands"] <= 3


def test_verifying_a_pin_sends_what_the_protocol_asks_for_and_no_more(virtual):
    assert virtual["pin verify"]["commands"] == virtual["pin verify"]["at_least"]


def test_hundred_passkeys_at_fifty_sites_take_158_commands_at_most(virtual):
    assert virtual[LONG_LIST]["commands"] <= 158


def test_listing_takes_one_token_and_so_one_pin_entry(virtual):
    assert virtual[LONG_LIST]["names"].count(TOKEN) == 1


def test_listing_asks_once_what_the_key_is(virtual):
    assert virtual[LONG_LIST]["names"].count("getInfo") == 1


def test_hundred_passkeys_are_listed_in_sixty_megabytes(virtual):
    assert virtual[LONG_LIST]["peak_bytes"] <= MAX_PEAK_BYTES


def test_listing_over_nfc_asks_twice_at_most_what_the_key_is(on_card):
    """Whether a card speaks CTAP2 shows when it is asked for getInfo."""
    count = on_card[LONG_LIST]
    others = [name for name in count["names"] if name != "getInfo"]
    assert count["commands"] - len(others) <= 2


def test_hundred_passkeys_over_nfc_take_158_commands_at_most(on_card):
    assert on_card[LONG_LIST]["commands"] <= 158


def test_info_over_nfc_sends_three_commands_at_most(on_card):
    assert on_card["info"]["commands"] <= 3


def test_hundred_passkeys_over_nfc_are_listed_in_sixty_megabytes(on_card):
    assert on_card[LONG_LIST]["peak_bytes"] <= MAX_PEAK_BYTES


def test_a_pairing_takes_three_touches_of_the_backup_and_one_of_the_primary(results):
    made = [count for count in results["pairing"] if count["title"] == "pair create"]
    assert {count["key"] for count in made} == {"blue", "green"}
    assert {count["touches"] for count in made} == {4}


def test_deriving_asks_the_primary_and_leaves_the_backup_alone(results):
    commands = {count["key"]: count["commands"] for count in results["pairing"] if count["title"] == "pair derive"}
    # getInfo, the signature that proves which one it is, its copy of the record, and the touch.
    assert commands["blue"] <= 4
    # That of which key it is not.
    assert commands["green"] <= 2


def test_a_drill_leaves_the_primary_alone(results):
    touches = {count["touches"] for count in results["pairing"] if count["title"] == "pair verify"}
    assert touches == {1}
