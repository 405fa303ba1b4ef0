"""The list of keys: one that fails never hides the others."""

import pytest

from keyctl.errors import KeyChoiceError
from keyctl.operations import information, listing, opening
from keyctl.operations.listing import Filter
from keyctl.virtual import keys

EVERYTHING = Filter()


@pytest.mark.parametrize(
    ("fault", "code"),
    [("0x7f", "key_error"), ("garbage", "key_nonsense"), ("pulled", "key_removed"), ("busy", "key_busy")],
)
def test_a_key_that_fails_is_listed_with_the_reason(desk, person, fault, code):
    for name in ("blue", "green"):
        desk.new(name)
    keys.configure(desk.folder, "blue", [f"fault=1:{fault}"])
    found = listing.list_keys(desk.circumstances(person()), EVERYTHING)
    assert [key.selector for key in found.keys] == ["virtual:blue", "virtual:green"]
    assert [error.code for error in found.errors] == [code]
    assert found.keys[1].access == "ok"
    assert found.keys[0].aaguid is None


def test_a_key_whose_file_is_damaged_does_not_hide_the_others(desk, person):
    for name in ("blue", "green"):
        desk.new(name)
    (desk.folder / "blue.json").write_text("{")
    found = listing.list_keys(desk.circumstances(person()), EVERYTHING)
    assert [key.selector for key in found.keys] == ["virtual:green"]
    assert [error.code for error in found.errors] == ["store_unreadable"]


def test_a_named_key_that_is_not_there_is_an_error(desk, person):
    with pytest.raises(KeyChoiceError) as caught:
        listing.list_keys(desk.circumstances(person(), "virtual:red"), EVERYTHING)
    assert caught.value.code == "no_key"


def test_conditions_choose_among_the_keys(desk, person):
    desk.new("blue")
    circumstances = desk.circumstances(person())
    assert len(listing.list_keys(circumstances, Filter(connected=True)).keys) == 1
    for condition in (Filter(known=True), Filter(owner="kim"), Filter(role="backup")):
        assert listing.list_keys(circumstances, condition).keys == ()


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "small"])
def test_information_of_every_profile_needs_no_pin(desk, person, profile):
    desk.new("blue", profile)
    who = person()
    with opening.opened(desk.circumstances(who)) as session:
        info = information.information(session)
    assert who.requests == []
    assert info.key.virtual
    assert (info.passkeys is None) is (profile == "fido2.0")
    assert info.pin is not None
    assert (info.pin.set, info.pin.retries) == (False, None)
    assert info.advisories == ()
