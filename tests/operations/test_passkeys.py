"""Passkeys: what is deleted, what is kept, and what is said when it goes wrong half-way."""

import pytest

from keyctl.errors import DeclinedError, NotFoundError, StoreError, UnreachableError, UnsupportedError, UsageError
from keyctl.operations import opening, passkeys, scanning, services
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
    others = [{"rp": text} for text in ("a.exampl", "kim at a.example", "my app")]
    for selection in (*others, {"rp": "a.example", "user": "ki"}):
        deletion, errors = delete(desk, person(pins=[PIN]), **selection)
        assert (deletion.matched, errors) == ((), ())
    deletion, _ = delete(desk, person(pins=[PIN]), rp="a.example", user="kim")
    assert len(deletion.deleted) == 1


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("A.EXAMPLE", "the RP id in it is probably a.example: --rp a.example"),
        ("https://a.example/login", "the RP id in it is probably a.example"),
        ("a.example.", "the RP id in it is probably a.example"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_what_no_site_has_as_its_rp_id_is_refused_instead_of_found_nowhere(desk, person, text, advice, dry_run):
    with pytest.raises(UsageError) as caught:
        delete(desk, person(pins=[PIN]), rp=text, dry_run=dry_run)
    assert (caught.value.hint or "").startswith(advice)
    assert len(left(desk, person)) == 3


def test_a_key_that_refuses_one_passkey_still_loses_the_others(desk, person, filled):
    keys.configure(desk.folder, "blue", [f"fault={BEFORE_DELETE + 1}:0x7f"])
    deletion, errors = delete(desk, person(pins=[PIN]), *filled.values())
    assert [passkey.rp_id for passkey in deletion.failed] == ["a.example"]
    assert [passkey.rp_id for passkey in deletion.deleted] == ["b.example", "c.example"]
    assert [error.code for error in errors] == ["key_error"]


@pytest.mark.parametrize("step", [2, 3])
def test_a_pin_that_did_not_arrive_is_not_missed_anew_for_each_passkey(desk, person, filled, step):
    keys.configure(desk.folder, "blue", [f"fault={BEFORE_DELETE + step}:0x7f"])
    deletion, errors = delete(desk, person(pins=[PIN]), *filled.values())
    assert [passkey.rp_id for passkey in deletion.deleted] == ["a.example"]
    assert [passkey.rp_id for passkey in deletion.failed] == ["b.example", "c.example"]
    assert [error.code for error in errors] == ["key_error"]
    assert desk.tries("blue") == 8


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


@pytest.fixture
def noted(desk, person):
    """Blue and green, known and scanned; both open a.example for kim, only blue opens b.example."""
    for name, sites in (("blue", ("a.example", "b.example")), ("green", ("a.example",))):
        desk.know(name, pin=True)
        for site in sites:
            desk.sign_up(name, site)
    scanning.scan(desk.circumstances(person(pins=[PIN, PIN])), findings=None, dry_run=False)
    return desk


def ids(desk, name="blue"):
    return {passkey.rp_id: passkey.credential_id for passkey in desk.record(name).passkeys}


def delete_noted(desk, who, *own_ids, dry_run=False, **selection):
    circumstances = desk.circumstances(who, "blue")
    with opening.opened(circumstances) as session:
        chosen = Selection(ids=tuple(own_id.hex() for own_id in own_ids), **selection)
        return passkeys.delete(session, circumstances, chosen, dry_run=dry_run)


def test_a_deleted_passkey_is_forgotten_in_the_same_run(noted, person):
    _, errors = delete_noted(noted, person(pins=[PIN]), ids(noted)["a.example"])
    assert errors == ()
    assert set(ids(noted)) == {"b.example"}
    assert "passkeys" in noted.record("blue").changed
    assert set(ids(noted, "green")) == {"a.example"}


def test_what_another_key_opens_wants_a_yes(noted, person):
    who = person(pins=[PIN])
    delete_noted(noted, who, ids(noted)["a.example"])
    assert who.asked[0] == "confirmable"
    assert "nothing else" not in who.asked[1]


@pytest.mark.parametrize("by_site", [False, True])
def test_what_nothing_else_opens_wants_the_name_before_the_pin(noted, person, by_site):
    who = person(pins=[PIN])
    if by_site:
        delete_noted(noted, who, rp="b.example")
    else:
        delete_noted(noted, who, ids(noted)["b.example"])
    assert who.asked[0] == "confirmable by blue"
    assert who.asked[1].startswith("This account opens with nothing else:\n  b.example, kim\n")
    assert who.asked[1].endswith(" blue")


def test_a_dry_run_tells_what_nothing_else_opens_and_compares_the_name(noted, person):
    who = person(pins=[PIN])
    delete_noted(noted, who, rp="b.example", dry_run=True)
    assert who.told[-2:] == ["This account opens with nothing else:", "  b.example, kim"]
    assert (who.asked, who.given) == ([], [("blue", True)])
    who = person(pins=[PIN])
    delete_noted(noted, who, rp="a.example", dry_run=True)
    assert (who.told, who.given) == ([], [("blue", False)])


def test_a_passkey_that_was_not_noted_yet_is_judged_when_it_is_seen(noted, person):
    own = noted.sign_up("blue", "c.example")
    who = person(pins=[PIN])
    delete_noted(noted, who, own)
    assert who.asked[0] == "confirmable"
    assert "  c.example, kim\n" in who.asked[1]
    assert set(ids(noted)) == {"a.example", "b.example"}


def test_what_is_not_deleted_is_still_noted(noted, person):
    before = noted.files()
    with pytest.raises(DeclinedError):
        delete_noted(noted, person(pins=[PIN], agrees=False), ids(noted)["a.example"])
    delete_noted(noted, person(pins=[PIN]), ids(noted)["a.example"], dry_run=True)
    assert noted.files() == before


def test_a_damaged_inventory_is_told_before_the_pin_is_asked_for(noted, person):
    own = ids(noted)["a.example"]
    (noted.home / "keys" / "x.json").write_text("{}")
    who = person(pins=[PIN])
    for dry_run in (True, False):
        circumstances = noted.circumstances(who, "blue")
        with opening.opened(circumstances) as session:
            if dry_run:
                assert passkeys.show(session, circumstances, own.hex()).passkey.rp_id == "a.example"
                who.requests.clear()
                continue
            with pytest.raises(StoreError):
                passkeys.delete(session, circumstances, Selection(ids=(own.hex(),)), dry_run=False)
            with pytest.raises(StoreError):
                passkeys.rename(session, circumstances, own.hex(), user_name="lee", display_name=None, dry_run=False)
    assert who.requests == []


def test_a_deletion_that_could_not_be_noted_is_told_with_its_result(noted, person):
    class Meddling(person):
        def confirm(self, question, text=None):
            super().confirm(question, text)
            (noted.home / "keys" / "x.json").write_text("{}")

    deletion, errors = delete_noted(noted, Meddling(pins=[PIN]), ids(noted)["a.example"])
    assert [passkey.rp_id for passkey in deletion.deleted] == ["a.example"]
    assert [error.code for error in errors] == ["store_unreadable"]
    assert errors[0].message.startswith("1 passkey was deleted from blue, but that could not be noted: ")


def test_a_renamed_passkey_is_noted_with_its_new_names(noted, person):
    own = ids(noted)["a.example"]
    circumstances = noted.circumstances(person(pins=[PIN]), "blue")
    with opening.opened(circumstances) as session:
        passkeys.rename(session, circumstances, own.hex(), user_name="lee", display_name="Lee", dry_run=False)
    names = {passkey.rp_id: (passkey.user_name, passkey.display_name) for passkey in noted.record("blue").passkeys}
    assert names == {"a.example": ("lee", "Lee"), "b.example": ("kim", "Kim")}


def test_a_renamed_passkey_that_was_never_noted_is_left_to_the_next_scan(noted, person):
    own = noted.sign_up("blue", "c.example")
    before = noted.files()
    circumstances = noted.circumstances(person(pins=[PIN]), "blue")
    with opening.opened(circumstances) as session:
        passkeys.rename(session, circumstances, own.hex(), user_name="lee", display_name=None, dry_run=False)
    assert noted.files() == before


def test_a_locked_key_is_noted_too(noted, person):
    noted.always_uv("blue")
    circumstances = noted.circumstances(person(pins=[PIN]), "virtual:blue")
    own = ids(noted)["a.example"]
    with opening.opened(circumstances) as session:
        passkeys.delete(session, circumstances, Selection(ids=(own.hex(),)), dry_run=False)
    assert set(ids(noted)) == {"b.example"}


def test_a_passkey_is_known_by_the_name_of_its_service(desk, person):
    selector = desk.new("blue")
    with opening.opened(desk.circumstances(person(), selector)) as session:
        session.set_pin(PIN)
    for rp_id, user in (("github.com", "kim"), ("shop.example", "kim"), ("shop.example", "lee"), ("x.example", "kim")):
        desk.sign_up("blue", rp_id, user)
    facts = services.Facts(account="Kim", rp_id="shop.example")
    services.add(desk.circumstances(person()), "my shop", facts, dry_run=False)

    circumstances = desk.circumstances(person(pins=[PIN]), selector)
    with opening.opened(circumstances) as session:
        listed = passkeys.list_all(session, circumstances).passkeys

    assert {(passkey.rp_id, passkey.user_name): passkey.known_as for passkey in listed} == {
        ("github.com", "kim"): "GitHub",
        ("shop.example", "kim"): "my shop",
        ("shop.example", "lee"): None,
        ("x.example", "kim"): None,
    }
