"""The one next thing to do, the most urgent first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keyctl.core import coverage
from keyctl.core.inventory import Inventory, KnownKey, RecognitionCredential
from keyctl.core.next_step import Situation, next_step
from keyctl.core.pairings import Method, Pairing
from keyctl.core.results import CheckResult
from keyctl.model import Access, Key, KeyState, Recognition, Role

NOW, EARLIER, LONG_AGO = "2026-06-01T08:00:00Z", "2026-05-31T08:00:00Z", "2026-01-01T08:00:00Z"


def known(name: str, **facts: Any) -> KnownKey:
    recognition = RecognitionCredential(
        credential_id=name.encode(), public_key=b"x", user_id=b"x", u2f=False, enrolled_at=EARLIER
    )
    options: dict[str, Any] = {
        "virtual": False,
        "aaguid": None,
        "model": None,
        "serial": None,
        "firmware": None,
        "passkeys_read_at": EARLIER,
        **facts,
    }
    return KnownKey(
        id=(name.encode().hex() + "0" * 16)[:16], name=name, added_at=EARLIER, recognition=recognition, **options
    )


BLUE, GREEN = known("blue", role=Role.PRIMARY), known("green", role=Role.BACKUP)
PAIRING = Pairing(
    id="0" * 16,
    primary_id=BLUE.id,
    backup_id=GREEN.id,
    method=Method.REGISTRATION,
    created_at=EARLIER,
    paired_by="1" * 16,
    verified_at=EARLIER,
    verified_by="1" * 16,
)


def situation(*keys: KnownKey, pairings: tuple[Pairing, ...] = (), **facts: Any) -> Situation:
    inventory = Inventory(keys=keys, pairings=pairings)
    options: dict[str, Any] = {
        "keys": (),
        "summary": coverage.coverage(inventory, now=NOW).summary,
        "last_result": CheckResult.OK,
        "checked_at": EARLIER,
        "unfinished_losses": (),
        "now": NOW,
        **facts,
    }
    return Situation(inventory=inventory, **options)


WELL = situation(BLUE, GREEN, pairings=(PAIRING,))
STRANGER = Key(connected=True, selector="usb:/dev/hidraw3", transport=None, path="/dev/hidraw3", access=Access.OK)
AT_RISK = replace(WELL.summary, services=3, at_risk=2)


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (WELL, None),
        (replace(WELL, unfinished_losses=("old key",)), "keyctl lost 'old key'"),
        (replace(WELL, keys=(STRANGER,)), "keyctl add NAME -k usb:/dev/hidraw3"),
        (situation(), "keyctl demo"),
        (situation(BLUE), "keyctl add NAME --role backup"),
        (situation(BLUE, replace(GREEN, state=KeyState.LOST)), "keyctl add NAME --role backup"),
        (replace(WELL, last_result=CheckResult.FAIL), "keyctl health"),
        (situation(BLUE, replace(GREEN, passkeys_read_at=None)), "keyctl scan -k green"),
        (situation(BLUE, GREEN), "keyctl pair create blue green"),
        (situation(replace(BLUE, owner="kim"), GREEN), None),
        (situation(BLUE, GREEN, pairings=(replace(PAIRING, broken_at=NOW),)), "keyctl pair verify green"),
        (
            situation(BLUE, GREEN, pairings=(replace(PAIRING, verified_at=None, verified_by=None),)),
            "keyctl pair verify green",
        ),
        (situation(BLUE, GREEN, pairings=(replace(PAIRING, retired_at=NOW),)), "keyctl pair create blue green"),
        (replace(WELL, summary=AT_RISK), "keyctl coverage"),
        (replace(WELL, checked_at=None, last_result=None), "keyctl health"),
        (replace(WELL, checked_at=LONG_AGO), "keyctl health"),
        (replace(WELL, last_result=CheckResult.WARN), "keyctl health"),
    ],
)
def test_what_is_to_be_done(found: Situation, command: str | None) -> None:
    assert next_step(found).command == command


def test_a_lost_key_comes_before_everything():
    found = replace(WELL, unfinished_losses=("blue",), keys=(STRANGER,), last_result=CheckResult.FAIL, summary=AT_RISK)
    assert next_step(found).command == "keyctl lost blue"


def test_what_is_bad_comes_before_what_is_missing():
    found = replace(situation(BLUE, replace(GREEN, passkeys_read_at=None)), last_result=CheckResult.FAIL)
    assert next_step(found).command == "keyctl health"


KNOWN_MODEL = replace(GREEN, aaguid="0" * 8)
PERHAPS = replace(STRANGER, recognition=Recognition.PERHAPS_RESET, aaguid="0" * 8)
LOCKED = replace(STRANGER, recognition=Recognition.LOCKED)


@pytest.mark.parametrize(
    ("stranger", "command"),
    [
        (replace(STRANGER, access=Access.BUSY), "keyctl doctor"),
        (replace(STRANGER, access=Access.DENIED), "keyctl doctor"),
        (replace(STRANGER, access=None), "keyctl doctor"),
        (PERHAPS, "keyctl list"),
        (replace(STRANGER, recognition=Recognition.UNKNOWN), "keyctl add NAME -k usb:/dev/hidraw3"),
        (LOCKED, "keyctl pin verify -k usb:/dev/hidraw3"),
    ],
)
def test_a_name_is_for_keys_that_are_certainly_new(stranger: Key, command: str) -> None:
    well = situation(BLUE, KNOWN_MODEL, pairings=(PAIRING,), keys=(stranger,))
    assert next_step(well).command == command


@pytest.mark.parametrize("stranger", [replace(STRANGER, access=Access.BUSY), PERHAPS, LOCKED])
def test_a_key_that_says_nothing_hides_no_check_that_failed(stranger: Key) -> None:
    found = situation(BLUE, KNOWN_MODEL, keys=(stranger,), last_result=CheckResult.FAIL)
    assert next_step(found).command == "keyctl health"


def test_a_key_of_the_model_of_one_that_is_connected_is_another_one():
    there = replace(STRANGER, id=KNOWN_MODEL.id, name="green", aaguid=KNOWN_MODEL.aaguid)
    found = situation(BLUE, KNOWN_MODEL, keys=(there, PERHAPS))
    assert next_step(found).command == "keyctl add NAME -k usb:/dev/hidraw3"


@pytest.mark.parametrize(
    ("stranger", "command"),
    [
        (replace(STRANGER, access=Access.BUSY), "keyctl doctor"),
        (replace(STRANGER, access=Access.DENIED), "keyctl doctor"),
        (LOCKED, "keyctl pin verify -k usb:/dev/hidraw3"),
        (STRANGER, "keyctl add NAME -k usb:/dev/hidraw3"),
    ],
)
def test_where_no_key_is_known_a_connected_one_is_not_overlooked(stranger: Key, command: str) -> None:
    assert next_step(situation(keys=(stranger,))).command == command


def test_the_only_key_is_no_reason_to_add_one_that_may_be_it():
    assert next_step(situation(KNOWN_MODEL, keys=(PERHAPS,))).command == "keyctl list"
