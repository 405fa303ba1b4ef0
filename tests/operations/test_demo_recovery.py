"""The story of the draft in the demonstration, scene by scene, and what must not be told when it is not so."""

from __future__ import annotations

import pytest

from keyctl.core.recovery import CREDENTIAL_ID_BYTES
from keyctl.errors import DeclinedError, NotFoundError, PinError, UnreachableError
from keyctl.operations import opening, pair_draft
from keyctl.operations.demo_recovery import SITE, Story
from keyctl.operations.demo_site import RefusedError
from keyctl.virtual import keys

PIN = "123456"


@pytest.fixture
def story(desk) -> Story:
    for name in ("gold", "iron"):
        desk.new(name, "draft")
        desk.set_pin(name)
    return Story(desk.home, PIN)


@pytest.fixture
def pair(desk, person):
    """A function that gives one key the seed of another."""

    def pairing(primary: str, backup: str) -> None:
        sessions = [opening.opened(desk.circumstances(person(), f"virtual:{name}")) for name in (primary, backup)]
        with sessions[0] as to, sessions[1] as of:
            to.use_pin(PIN)
            of.use_pin(PIN)
            pair_draft.import_seed(to, pair_draft.export_seed(of))

    return pairing


@pytest.fixture
def stored(story, pair) -> Story:
    """Paired, and the site has what it needs."""
    story.sign_up("gold")
    pair("gold", "iron")
    story.log_in("gold")
    return story


def test_the_five_steps(desk, story, pair):
    assert story.sign_up("gold")[-1] == f"{SITE}: hello, kim; your key has no backup yet"
    before_pairing = story.log_in("gold")
    assert story.account.recovery == {}

    pair("gold", "iron")
    keys.unplug(desk.folder, "iron")

    storing = story.log_in("gold")
    assert sum("touched" in line for line in storing) == 2
    assert storing[-1] == f"{SITE}: mails kim: 1 recovery credential stored"
    (kept,) = story.account.recovery.values()
    assert [len(one.credential_id) for one in kept.credentials] == [CREDENTIAL_ID_BYTES]
    assert story.log_in("gold") == before_pairing

    keys.unplug(desk.folder, "gold")
    keys.plug(desk.folder, "iron")
    (lost,) = story.account.credentials
    told = story.recover("iron")
    assert "  revoked gold, and all that could replace it" in told
    assert told[-1] == f"{SITE}: mails kim: a lost key was replaced by its backup"
    assert len(story.account.credentials) == 1
    assert lost not in story.account.credentials
    assert story.account.recovery == {}

    assert story.log_in("iron") == [line.replace("gold", "iron") for line in before_pairing]
    keys.plug(desk.folder, "gold")
    assert story.thief("gold")[-1] == f"{SITE}: no; gold was revoked"


def test_a_key_with_a_backup_is_known_for_it_when_it_signs_up(story, pair):
    pair("gold", "iron")
    assert story.sign_up("gold")[-1].endswith("your key has a backup")


def test_a_curious_site_gets_no_answer(stored):
    before = stored.account
    assert stored.linking("iron")[-1].startswith("browser: no")
    assert stored.account is before


def test_nobody_recovers_before_the_site_has_stored_anything(story, pair):
    story.sign_up("gold")
    pair("gold", "iron")
    with pytest.raises(RefusedError, match="no recovery credentials"):
        story.recover("iron")


def test_another_key_does_not_recover(desk, stored):
    desk.new("red", "draft")
    desk.set_pin("red")
    before = stored.account
    with pytest.raises(NotFoundError):
        stored.recover("red")
    assert stored.account is before


def test_a_thief_who_succeeds_is_not_told_as_a_failure(stored):
    with pytest.raises(RuntimeError, match="still opens"):
        stored.thief("gold")


def test_a_key_that_is_out_or_locked_is_a_failure(desk, stored):
    keys.unplug(desk.folder, "gold")
    with pytest.raises(UnreachableError):
        stored.log_in("gold")
    with pytest.raises(PinError, match="wrong PIN"):
        Story(desk.home, "another PIN").sign_up("iron")


def test_a_browser_that_has_no_list_does_not_answer(desk, stored):
    """As on another computer; nobody is there to be asked."""
    other = Story(desk.home, PIN)
    other._site = stored._site
    before = stored.account
    with pytest.raises(DeclinedError):
        other.recover("iron")
    assert stored.account is before
