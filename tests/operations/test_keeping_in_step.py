"""Two keys that are registered side by side: what is missing, and the drill of the backup key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core.inventory import Recovery
from keyctl.core.pairings import Method
from keyctl.core.sites import UrlKind
from keyctl.errors import KeyChoiceError, NotFoundError, PinError, StoreError, TouchError, UnreachableError
from keyctl.model import KeyState, Recognition
from keyctl.operations import keeping_in_step, scanning
from keyctl.store import state as local_state
from keyctl.virtual import keys

from ..core.coverage_parts import (  # noqa: TID252  # found by path: there is no package to name
    SEEN_AT,
    derived,
    inventory_of,
    key,
    pairing,
    passkey,
    registration,
    service,
)

PIN = "123456"
PAIR = pairing("blue", "green", method=Method.REGISTRATION)


def told(*records, pair=PAIR):
    """RP id, which key opens it, and whether nothing can be done."""
    missing = keeping_in_step.missing(inventory_of(*records, pair), pair)
    return [(one.rp_id, one.opened_by, one.missing_on, one.no_backup_possible) for one in missing]


def test_what_only_one_key_opens_is_missing_on_the_other():
    blue = key("blue", passkey("a.example"), passkey("b.example"), passkey("ebay.com"), registration("ssh:"))
    green = key("green", passkey("a.example"), passkey("c.example"))
    assert told(blue, green) == [
        ("b.example", "blue", "green", False),
        ("ssh:", "blue", "green", False),
        ("c.example", "green", "blue", False),
        # The site takes one key.
        ("ebay.com", "blue", "green", True),
    ]
    gaps = keeping_in_step.gaps(inventory_of(blue, green), PAIR)
    assert [one.rp_id for one in gaps] == ["b.example", "ssh:"]


def test_it_ticks_itself_off():
    blue = key("blue", passkey())
    assert told(blue, key("green")) == [("bank.example", "blue", "green", False)]
    assert told(blue, key("green", passkey())) == []
    assert told(blue, key("green"), service(on=["green"])) == []


def test_the_link_is_told():
    [one] = keeping_in_step.missing(inventory_of(key("blue", passkey("github.com")), key("green")), PAIR)
    assert (one.service, one.account, one.url_kind) == ("GitHub", "kim", UrlKind.SETTINGS)
    assert str(one.url).startswith("https://github.com/")


@pytest.mark.parametrize(
    ("owners", "same"), [((None, None), True), (("kim", None), True), ((None, "kim"), True), (("kim", "lee"), False)]
)
def test_the_owner_of_one_key_is_that_of_the_other_unless_it_has_one(owners, same):
    blue, green = key("blue", passkey(), owner=owners[0]), key("green", passkey(), owner=owners[1])
    assert (told(blue, green) == []) is same


def test_other_keys_and_ways_fill_no_gap():
    """Another key or a code opens the account, but not the backup key."""
    records = [key("blue", passkey()), key("green"), key("red", passkey()), service(recovery=[Recovery.CODES])]
    assert told(*records) == [("bank.example", "blue", "green", False)]


def test_keys_for_trying_out_are_kept_in_step_beside_real_ones():
    blue, green = key("blue", passkey(), virtual=True), key("green", virtual=True)
    assert told(blue, green, key("red")) == [("bank.example", "blue", "green", False)]


def test_what_a_lost_key_opened_is_still_missing_and_what_a_reset_key_opened_is_not():
    blue, green = key("blue", passkey(), state=KeyState.LOST), key("green")
    assert len(told(blue, green)) == 1
    assert told(replace(blue, state=KeyState.RESET), green) == []


def test_a_derived_key_opens_a_host_for_the_backup_key():
    other = pairing("red", "green", derived("ssh:home", handed_over_at=SEEN_AT))
    assert told(key("blue", registration("ssh:home", None)), key("green"), other) == []


def test_of_a_key_that_is_not_known_here_nothing_can_be_said():
    assert told(key("blue", passkey())) == []
    assert told(key("green", passkey())) == []


def paired(desk, backup="full", *, pin=True):
    """Blue, which was read, and its backup green, which was not; the pairing is not in the inventory."""
    blue = desk.know("blue", pin=True)
    green = desk.know("green", profile=backup, pin=pin)
    desk.sign_up("blue", "a.example")
    return replace(PAIR, primary_id=blue.id, backup_id=green.id)


def scan(desk, person, name):
    scanning.scan(desk.circumstances(person(pins=[PIN]), name), findings=None, dry_run=False)


def verify(desk, who, pair, wanted=None):
    return keeping_in_step.verify(desk.circumstances(who, wanted), desk.inventory, pair)


def test_the_drill_reads_the_backup_key_anew(desk, person):
    pair = paired(desk)
    scan(desk, person, "blue")
    who = person(pins=[PIN])
    check = verify(desk, who, pair)
    assert (check.key.name, check.key.recognition) == ("green", Recognition.PROVED)
    assert [one.rp_id for one in check.gaps] == ["a.example"]
    assert len(who.requests) == 1
    assert desk.record("green").passkeys_read_at is not None

    desk.sign_up("green", "a.example")
    check = verify(desk, person(pins=[PIN]), pair)
    assert check.gaps == ()
    assert [one.rp_id for one in desk.record("green").passkeys] == ["a.example"]


def test_a_primary_key_that_was_never_read_is_no_reason_to_be_easy(desk, person):
    pair = paired(desk)
    who = person(pins=[PIN])
    assert verify(desk, who, pair).gaps == ()
    assert who.told[-1].endswith("green was compared with nothing: `keyctl scan -k blue`")
    scan(desk, person, "blue")
    who = person(pins=[PIN])
    assert verify(desk, who, pair).gaps
    assert not any("compared with nothing" in line for line in who.told)


@pytest.mark.parametrize("profile", ["u2f", "fido2.0"])
def test_a_backup_key_that_lists_nothing_is_touched_all_the_same(desk, person, profile):
    pair = paired(desk, profile, pin=False)
    who = person()
    check = verify(desk, who, pair)
    assert (check.key.recognition, check.gaps) == (Recognition.PROVED, ())
    assert desk.record("green").passkeys_read_at is None
    assert who.requests == []
    desk.set("green", "touch=refused")
    with pytest.raises(TouchError):
        verify(desk, person(), pair)


def test_a_key_that_nobody_touches_proves_nothing(desk, person):
    pair = paired(desk)
    before = desk.record("green")
    desk.set("green", "touch=refused")
    with pytest.raises(TouchError):
        verify(desk, person(pins=[PIN]), pair)
    assert desk.record("green") == before


def test_a_key_that_always_wants_its_pin_is_named_by_its_path(desk, person):
    pair = paired(desk)
    desk.always_uv("green")
    with pytest.raises(KeyChoiceError):
        verify(desk, person(), pair)
    who = person(pins=[PIN])
    assert verify(desk, who, pair, "virtual:green").gaps == ()
    assert len(who.requests) == 1


def test_another_key_in_that_place_is_not_the_backup_key(desk, person):
    pair = paired(desk)
    with pytest.raises(KeyChoiceError) as caught:
        verify(desk, person(), pair, "virtual:blue")
    assert "is not green" in caught.value.message


def test_without_a_pin_a_key_that_could_tell_is_not_read(desk, person):
    pair = paired(desk, pin=False)
    with pytest.raises(PinError) as caught:
        verify(desk, person(), pair)
    assert caught.value.code == "pin_not_set"


def test_a_wrong_pin_is_spent_once_and_nothing_is_noted(desk, person):
    pair = paired(desk)
    before = desk.files()
    with pytest.raises(PinError):
        verify(desk, person(pins=["654321"]), pair)
    assert desk.tries("green") == 7
    assert desk.files() == before


def test_a_backup_key_that_is_not_there_is_an_error(desk, person):
    pair = paired(desk)
    keys.unplug(desk.folder, "green")
    circumstances = desk.circumstances(person(), turn_s=0)
    with pytest.raises(KeyChoiceError):
        keeping_in_step.verify(circumstances, desk.inventory, pair)


def test_a_primary_key_that_is_not_known_here_is_an_error(desk, person):
    pair = replace(paired(desk), primary_id="0" * 16)
    with pytest.raises(NotFoundError) as caught:
        verify(desk, person(), pair)
    assert caught.value.code == "name_not_found"


def test_a_key_whose_record_was_swapped_needs_a_person(desk, person):
    pair = paired(desk)
    local_state.write_pin(desk.home / "state", pair.backup_id, b"another")
    with pytest.raises(StoreError) as caught:
        verify(desk, person(attended=False), pair)
    assert caught.value.code == "recognition_changed"


def test_a_list_that_breaks_off_is_no_drill(desk, person):
    pair = paired(desk)
    for number in range(3):
        desk.sign_up("green", f"{number}.example")
    desk.set("green", "quirk=rps-break-off")
    with pytest.raises(UnreachableError) as caught:
        verify(desk, person(pins=[PIN]), pair)
    assert caught.value.code == "key_error"
