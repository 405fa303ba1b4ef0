"""Passkeys: what is deleted, what is kept, and what is said when it goes wrong half-way."""

import pytest

from keyctl.errors import DeclinedError, NotFoundError, UnreachableError, UnsupportedError, UsageError
from keyctl.operations import opening, passkeys
from keyctl.operations.passkeys import Selection
from keyctl.virtual import keys

PIN = "123456"
#: Commands before the first delete: getInfo, retries, key agreement, token, metadata, 3 sites, 3 passkeys,
#: key agreement, token.
BEFORE_DELETE = 13


@pytest.fixture
def filled(desk, person):
    """A key with a PIN and one passkey at each of three sites; the ids by site."""
    desk.new("blue")
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        session.set_pin(PIN)
    return {site: desk.sign_up("blue", site) for site in ("a.example", "b.example", "c.example")}


def left(desk, person):
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        return {passkey.rp_id for passkey in passkeys.list_all(session, circumstances).passkeys}


def delete(desk, who, *ids, dry_run=False, **selection):
    circumstances = desk.circumstances(who)
    with opening.opened(circumstances) as session:
        chosen = Selection(ids=tuple(own_id.hex() for own_id in ids), **selection)
        return passkeys.delete(session, circumstances, chosen, dry_run=dry_run)


def test_what_was_confirmed_is_deleted_and_nothing_else(desk, person, filled):
    who = person(pins=[PIN])
    deletion, errors = delete(desk, who, filled["a.example"], filled["c.example"])
    assert [passkey.rp_id for passkey in deletion.deleted] == ["a.example", "c.example"]
    assert (deletion.failed, errors) == ((), ())
    assert left(desk, person) == {"b.example"}
    question = who.asked[-1]
    assert "a.example" in question
    assert "c.example" in question
    assert "b.example" not in question


def test_no_means_no(desk, person, filled):
    with pytest.raises(DeclinedError):
        delete(desk, person(pins=[PIN], agrees=False), filled["a.example"])
    assert len(left(desk, person)) == 3


def test_whether_anybody_can_confirm_is_asked_before_the_pin(desk, person, filled):
    who = person(pins=[PIN])
    delete(desk, who, filled["a.example"])
    assert who.asked[0] == "confirmable"


def test_one_wrong_id_deletes_nothing_at_all(desk, person, filled):
    with pytest.raises(NotFoundError):
        delete(desk, person(pins=[PIN]), filled["a.example"], b"\x01" * 16)
    assert len(left(desk, person)) == 3


def test_the_same_passkey_named_twice_is_deleted_once(desk, person, filled):
    deletion, errors = delete(desk, person(pins=[PIN]), filled["a.example"], filled["a.example"][:8])
    assert len(deletion.matched) == len(deletion.deleted) == 1
    assert errors == ()


def test_a_dry_run_matches_and_keeps(desk, person, filled):
    who = person(pins=[PIN])
    deletion, _ = delete(desk, who, filled["a.example"], dry_run=True)
    assert [passkey.rp_id for passkey in deletion.matched] == ["a.example"]
    assert deletion.deleted == ()
    assert who.asked == []
    assert len(left(desk, person)) == 3


def test_a_site_and_user_are_whole_values(desk, person, filled):
    assert filled
    for selection in ({"rp": "a.exampl"}, {"rp": "a.example", "user": "ki"}, {"rp": "A.EXAMPLE"}):
        deletion, errors = delete(desk, person(pins=[PIN]), **selection)
        assert (deletion.matched, errors) == ((), ())
    deletion, _ = delete(desk, person(pins=[PIN]), rp="a.example", user="kim")
    assert len(deletion.deleted) == 1


def test_a_key_that_refuses_one_passkey_still_loses_the_others(desk, person, filled):
    keys.configure(desk.folder, "blue", [f"fault={BEFORE_DELETE + 1}:0x7f"])
    deletion, errors = delete(desk, person(pins=[PIN]), *filled.values())
    assert [passkey.rp_id for passkey in deletion.failed] == ["a.example"]
    assert [passkey.rp_id for passkey in deletion.deleted] == ["b.example", "c.example"]
    assert [error.code for error in errors] == ["key_error"]


def test_a_key_pulled_while_deleting_says_what_is_known(desk, person, filled):
    keys.configure(desk.folder, "blue", [f"fault={BEFORE_DELETE + 4}:pulled-after"])
    deletion, errors = delete(desk, person(pins=[PIN]), *filled.values())
    assert [passkey.rp_id for passkey in deletion.deleted] == ["a.example"]
    assert [passkey.rp_id for passkey in deletion.failed] == ["b.example", "c.example"]
    assert [error.code for error in errors] == ["key_removed"]
    assert "kim at b.example" in errors[0].message
    assert "may be deleted or not" in errors[0].message
    keys.plug(desk.folder, "blue")
    assert left(desk, person) == {"c.example"}


def test_keyctls_own_records_are_not_deleted_as_passkeys(desk, person, filled):
    assert filled
    own = desk.sign_up("blue", "keyctl.invalid")
    for selection in ({"rp": "keyctl.invalid"}, {}):
        with pytest.raises(UsageError, match="no passkey but keyctl's own record") as caught:
            delete(desk, person(pins=[PIN]), *([] if selection else [own]), **selection)
        assert "pair remove" in str(caught.value.hint)


def test_names_are_read_back_as_the_key_kept_them(desk, person, filled):
    keys.configure(desk.folder, "blue", ["quirk=long-name-63"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        renamed = passkeys.rename(
            session, circumstances, filled["a.example"].hex(), user_name="x" * 70, display_name=None, dry_run=False
        )
    assert renamed.changed
    assert renamed.passkey.user_name == "x" * 63
    assert renamed.passkey.display_name == "Kim"
    assert renamed.passkey.rp_id == "a.example"


def test_a_name_that_is_there_already_is_not_written(desk, person, filled):
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        before = session.commands_sent
        renamed = passkeys.rename(
            session, circumstances, filled["a.example"].hex(), user_name="kim", display_name=None, dry_run=False
        )
        assert not renamed.changed
        # Retries, key agreement, token, metadata, 3 sites, 3 passkeys: nothing was written.
        assert session.commands_sent - before == 10


def test_a_list_that_breaks_off_is_shown_as_far_as_it_goes(desk, person, filled):
    assert filled
    keys.configure(desk.folder, "blue", ["quirk=rps-break-off"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        listing = passkeys.list_all(session, circumstances)
    assert not listing.complete
    assert 0 < len(listing.passkeys) < 3


def test_a_prefix_is_not_trusted_in_a_list_that_broke_off(desk, person, filled):
    keys.configure(desk.folder, "blue", ["quirk=rps-break-off"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        seen = session_passkeys(session, circumstances)
        with pytest.raises(NotFoundError):
            passkeys.show(session, desk.circumstances(person(pins=[PIN])), seen[0].credential_id.hex()[:12])
    assert filled


def session_passkeys(session, circumstances):
    return passkeys.list_all(session, circumstances).passkeys


@pytest.mark.parametrize("quirk", ["rp-id-tail", "rp-id-head", "rp-id-48"])
def test_a_site_whose_name_the_key_cuts_is_found_by_its_hash(desk, person, filled, quirk):
    assert filled
    rp_id = f"{'long-' * 12}.example"
    desk.sign_up("blue", rp_id)
    keys.configure(desk.folder, "blue", [f"quirk={quirk}"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        listing = passkeys.list_all(session, circumstances)
    inexact = [passkey for passkey in listing.passkeys if not passkey.rp_id_exact]
    assert len(listing.passkeys) == 4
    assert len(inexact) == 1
    assert inexact[0].rp_id != rp_id
    deletion, _ = delete(desk, person(pins=[PIN]), rp=rp_id)
    assert len(deletion.deleted) == 1


def test_a_passkey_that_cannot_be_understood_does_not_hide_the_others(desk, person, filled):
    assert filled
    keys.configure(desk.folder, "blue", ["quirk=broken-algorithm"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        listing = passkeys.list_all(session, circumstances)
    assert not listing.complete
    assert len(listing.passkeys) == 2


@pytest.mark.parametrize(
    "quirk", ["empty-rps-map", "metadata-error", "map-order", "name-key-missing", "name-key-empty"]
)
def test_an_empty_key_is_an_empty_list_whatever_it_answers(desk, person, quirk):
    desk.new("blue")
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session:
        session.set_pin(PIN)
    keys.configure(desk.folder, "blue", [f"quirk={quirk}"])
    with opening.opened(circumstances) as session:
        listing = passkeys.list_all(session, circumstances)
    assert (listing.passkeys, listing.complete) == ((), True)


def test_a_key_that_drops_its_token_after_one_use_is_still_told_from_an_empty_one(desk, person, filled):
    assert filled
    keys.configure(desk.folder, "blue", ["quirk=token-once"])
    circumstances = desk.circumstances(person(pins=[PIN]))
    with opening.opened(circumstances) as session, pytest.raises(UnreachableError) as caught:
        passkeys.list_all(session, circumstances)
    assert caught.value.code == "token_refused"


def test_a_key_without_a_list_is_refused_before_its_pin_is_asked_for(desk, person):
    desk.new("old", "fido2.0")
    who = person(pins=[PIN])
    circumstances = desk.circumstances(who)
    with opening.opened(circumstances) as session:
        session.set_pin(PIN)
        with pytest.raises(UnsupportedError):
            passkeys.list_all(session, circumstances)
    assert who.requests == []
