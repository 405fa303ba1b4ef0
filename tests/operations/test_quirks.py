"""What real firmware does, and what keyctl makes of it; each is a virtual key told to behave so."""

import pytest

from keyctl.errors import KeyctlError, PinError, UnreachableError
from keyctl.operations import information, opening, passkeys, pins, resetting
from keyctl.operations.passkeys import Selection
from keyctl.virtual import keys

PIN = "123456"


@pytest.fixture
def blue(desk, person):
    desk.new("blue")
    with opening.opened(desk.circumstances(person())) as session:
        session.set_pin(PIN)
    return desk


def rename(desk, person, own_id, name):
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        return passkeys.rename(
            session, circumstances, own_id.hex(), user_name=name, display_name=None, dry_run=False
        ).passkey.user_name


@pytest.mark.parametrize(
    ("quirk", "kept"),
    [
        ("long-name-63", "x" + "ä" * 31),
        # Cut in the middle of a character: the passkey is listed all the same.
        ("long-name-64", "x" + "ä" * 31 + "\ufffd"),
        ("long-name-dropped", None),
    ],
)
def test_a_long_name_is_shown_as_the_key_kept_it(blue, person, quirk, kept):
    own_id = blue.sign_up("blue", "a.example")
    keys.configure(blue.folder, "blue", [f"quirk={quirk}"])
    assert rename(blue, person, own_id, "x" + "ä" * 40) == kept


def test_a_long_name_that_the_key_refuses_is_an_error_and_changes_nothing(blue, person):
    own_id = blue.sign_up("blue", "a.example")
    keys.configure(blue.folder, "blue", ["quirk=long-name-refused"])
    with pytest.raises(KeyctlError) as caught:
        rename(blue, person, own_id, "x" * 65)
    assert caught.value.code == "key_error"
    assert rename(blue, person, own_id, "kim") == "kim"


def test_no_try_is_spent_on_a_key_that_counts_on_while_it_is_blocked(blue, person):
    keys.configure(blue.folder, "blue", ["quirk=counts-while-blocked"])
    for _ in range(6):
        circumstances = blue.circumstances(person(pins=["wrong pin"]))
        with opening.opened(circumstances) as session, pytest.raises(PinError):
            pins.verify(session, circumstances)
    with opening.opened(blue.circumstances(person())) as session:
        assert session.pin_retries().left == 5


def test_a_key_that_is_dead_after_a_reset_was_reset_and_wants_to_be_plugged_in_anew(blue, person):
    keys.configure(blue.folder, "blue", ["quirk=dead-after-reset"])
    assert resetting.reset(blue.circumstances(person()), dry_run=False).changed
    with pytest.raises(UnreachableError) as caught, opening.opened(blue.circumstances(person())):
        pass
    assert caught.value.code == "key_error"
    assert "plug it in again" in str(caught.value.hint)
    keys.unplug(blue.folder, "blue")
    keys.plug(blue.folder, "blue")
    with opening.opened(blue.circumstances(person())) as session:
        assert not session.info.pin_set


def test_credential_ids_of_any_length_are_listed_and_deleted(blue, person):
    keys.configure(blue.folder, "blue", ["quirk=long-ids"])
    made = [blue.sign_up("blue", f"{site}.example") for site in "abcdef"]
    assert max(len(own_id) for own_id in made) > 64
    circumstances = blue.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        selection = Selection(ids=tuple(own_id.hex() for own_id in made))
        deletion, errors = passkeys.delete(session, circumstances, selection, dry_run=False)
    assert [passkey.credential_id for passkey in deletion.deleted] == made
    assert errors == ()


def test_a_key_that_hides_large_blob_keys_does_not_say_that_there_is_none(blue, person):
    keys.configure(blue.folder, "blue", ["quirk=no-large-blob-key"])
    blue.sign_up("blue", "a.example")
    circumstances = blue.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        listing = passkeys.list_all(session, circumstances)
    assert [passkey.large_blob for passkey in listing.passkeys] == [None]


def test_room_that_the_key_does_not_tell_is_not_made_up(blue, person):
    keys.configure(blue.folder, "blue", ["quirk=remaining-absent"])
    with opening.opened(blue.circumstances(person())) as session:
        told = information.information(session).passkeys
    assert told is not None
    assert (told.used, told.remaining) == (None, None)


def test_a_key_that_cannot_rename_says_so(blue, person):
    own_id = blue.sign_up("blue", "a.example")
    keys.configure(blue.folder, "blue", ["quirk=no-update"])
    with pytest.raises(KeyctlError) as caught:
        rename(blue, person, own_id, "kimberley")
    assert caught.value.code == "unsupported"
