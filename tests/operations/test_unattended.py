"""Tokens for checks without a PIN: made once, used where nobody is, dropped when the key refuses them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest
from fido2.ctap2 import ClientPin, Ctap2

from keyctl.core import times
from keyctl.errors import (
    DeclinedError,
    KeyChoiceError,
    NotFoundError,
    PinError,
    StoreError,
    UnsupportedError,
)
from keyctl.model import Recognition
from keyctl.operations import opening, recognising, scanning, unattended, unattended_setup
from keyctl.store import state as local_state
from keyctl.store import unattended_tokens
from keyctl.store.unattended_tokens import TokenPlace
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from tests import keyrings

PIN = "123456"
OTHER_PIN = "654321"
EARLIER = "2026-01-31T08:00:00Z"


class Office:
    """A desk with the key blue, which has a PIN and one passkey, and everything that is sent to keys."""

    def __init__(self, desk, person) -> None:
        self.desk = desk
        self.person = person

        class Nobody(person):
            def pin(self, request):
                if not self.pins:
                    raise PinError("pin_required", f"the PIN of {request.key} is needed", key=request.key)
                return super().pin(request)

        self.nobody = Nobody
        self.sent: list[str] = []
        self.who = None

    def circumstances(self, who=None, wanted=None, **more):
        self.who = who or self.person()
        plain = self.desk.circumstances(self.who, wanted)
        return replace(plain, trace=lambda line: self.sent.append(line.partition(":")[0]), **more)

    def alone(self, wanted=None, **more):
        """Circumstances in which nobody is there."""
        pins = more.pop("pins", [])
        circumstances = self.circumstances(self.nobody(pins=pins, attended=False, can_choose=False), wanted, **more)
        return replace(circumstances, waits=replace(circumstances.waits, touch_s=0.0))

    def on(self, *, to_file=True, name="blue"):
        return unattended_setup.on(self.circumstances(self.person(pins=[PIN]), name), to_file=to_file, dry_run=False)

    def scan(self, circumstances):
        self.sent.clear()
        report, errors = scanning.scan(circumstances, findings=None, dry_run=False)
        return report, [error.code for error in errors]

    def note(self, name="blue"):
        return unattended_tokens.read_note(self.desk.home / "state", self.desk.record(name).id)

    def change_pin(self, name="blue"):
        with VirtualDevice(self.desk.folder, name) as device:
            ClientPin(Ctap2(device)).change_pin(PIN, OTHER_PIN)

    def backdate(self):
        """As if the key had been read long ago."""
        record = self.desk.record("blue")
        passkeys = tuple(replace(passkey, seen_at=EARLIER) for passkey in record.passkeys)
        self.desk.put(replace(record, passkeys=passkeys, passkeys_read_at=EARLIER))


@pytest.fixture
def office(desk, person):
    desk.know("blue", pin=True)
    desk.sign_up("blue", "a.example")
    return Office(desk, person)


def failing(kind, call, *arguments, **options):
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return caught.value


def test_one_pin_entry_makes_a_token_in_the_keyring(office, vault):
    result = office.on(to_file=False)
    assert (result.key.name, result.changed, result.kept) == ("blue", True, TokenPlace.KEYRING)
    assert [request.purpose for request in office.who.requests] == ["current"]
    [question] = [text for text in office.who.asked if text != "confirmable"]
    for word in ("sites, names and credential ids", "large blobs", "until the PIN changes", "unattended off"):
        assert word in question.replace("\n", " ")
    [(service, user)] = vault.kept
    assert (service, user) == ("keyctl unattended", office.desk.record("blue").id)
    token = vault.kept[service, user]
    assert unattended.token_for(office.alone(), result.key).hex() == token
    files = [path.read_text() for path in office.desk.home.rglob("*") if path.is_file() and "virtual" not in path.parts]
    assert files
    assert not any(token in content for content in files)


def test_a_token_in_a_file_is_under_state_and_in_no_inventory(office):
    assert office.on().kept is TokenPlace.FILE
    token = unattended.token_for(office.alone(), office.desk.seen("virtual:blue")).hex()
    holding = [
        path.relative_to(office.desk.home).parts[:2]
        for path in office.desk.home.rglob("*")
        if path.is_file() and token in path.read_text()
    ]
    assert sorted(holding) == [("state", "unattended"), ("virtual", "blue.json")]


def test_a_token_that_works_is_not_made_anew_and_may_move(office, vault):
    office.on()
    assert office.on().changed is False
    assert office.who.requests == []
    assert office.on(to_file=False).changed is True
    assert office.who.requests == []
    assert office.note().kept is TokenPlace.KEYRING
    assert len(vault.kept) == 1
    assert not list((office.desk.home / "state" / "unattended").glob("*.token.json"))
    assert office.on().changed is True
    assert vault.kept == {}


def test_a_token_that_ended_is_made_anew(office):
    office.on()
    office.change_pin()
    who = office.person(pins=[OTHER_PIN])
    assert unattended_setup.on(office.circumstances(who), to_file=True, dry_run=False).changed is True
    assert len(who.requests) == 1


@pytest.mark.parametrize("profile", ["fido2.0", "fido2.1-pre", "u2f"])
def test_a_key_without_such_tokens_says_so_before_the_pin(desk, person, profile):
    desk.know("old", profile=profile)
    who = person()
    error = failing(UnsupportedError, unattended_setup.on, desk.circumstances(who), to_file=True, dry_run=False)
    assert error.code == "unsupported"
    assert "has no persistent token" in error.message
    assert who.requests == []


def test_what_is_missing_is_told_before_the_pin(office, person):
    desk = office.desk
    desk.know("green")
    who = person()
    error = failing(PinError, unattended_setup.on, desk.circumstances(who, "green"), to_file=True, dry_run=False)
    assert error.code == "pin_not_set"
    desk.new("red")
    desk.set_pin("red")
    error = failing(
        NotFoundError, unattended_setup.on, desk.circumstances(who, "virtual:red"), to_file=True, dry_run=False
    )
    assert error.code == "name_not_found"
    with keyrings.chosen(keyrings.Plain()):
        error = failing(StoreError, unattended_setup.on, desk.circumstances(who, "blue"), to_file=False, dry_run=False)
    assert (error.code, "--file" in error.hint) == ("keyring_unusable", True)
    desk.force_pin_change("blue")
    error = failing(PinError, unattended_setup.on, desk.circumstances(who, "blue"), to_file=True, dry_run=False)
    assert error.code == "pin_policy"
    assert who.requests == []
    assert office.note() is None


def test_a_key_that_says_nothing_without_its_pin_gets_none(office, person):
    office.desk.always_uv("blue")
    who = person()
    circumstances = office.circumstances(who, "virtual:blue")
    error = failing(UnsupportedError, unattended_setup.on, circumstances, to_file=True, dry_run=False)
    assert "only with its PIN" in error.message
    assert who.requests == []


def test_no_keeps_everything(office):
    who = office.person(agrees=False)
    failing(DeclinedError, unattended_setup.on, office.circumstances(who), to_file=True, dry_run=False)
    assert who.requests == []
    assert office.note() is None


def test_a_dry_run_changes_nothing(office):
    who = office.person()
    result = unattended_setup.on(office.circumstances(who), to_file=True, dry_run=True)
    assert (result.changed, result.kept, who.requests, office.note()) == (False, None, [], None)
    office.on()
    assert unattended_setup.off(office.circumstances(), dry_run=True).kept is TokenPlace.FILE
    assert office.note() is not None


def test_a_scan_without_a_pin_reads_with_the_token(office):
    office.on()
    report, errors = office.scan(office.alone())
    assert errors == []
    [scanned] = report.keys
    assert (scanned.passkeys, scanned.complete, scanned.note) == (1, True, None)
    assert [entry.rp_id for entry in scanned.added] == ["a.example"]
    assert office.desk.record("blue").passkeys_read_at is not None
    assert office.note().last_used is not None
    assert not [name for name in office.sent if "clientPin" in name]


def test_a_key_that_has_not_changed_costs_four_commands_at_most_and_counts_as_read(office):
    office.on()
    office.scan(office.alone())
    office.backdate()
    report, errors = office.scan(office.alone())
    assert errors == []
    assert office.sent == ["getInfo", "getAssertion (silent)"]
    [scanned] = report.keys
    assert (scanned.passkeys, scanned.complete, scanned.added, scanned.removed) == (1, True, (), ())
    record = office.desk.record("blue")
    assert record.passkeys_read_at > EARLIER
    assert [passkey.seen_at for passkey in record.passkeys] == [record.passkeys_read_at]


def test_a_change_on_the_key_is_read(office):
    office.on()
    office.scan(office.alone())
    office.desk.sign_up("blue", "b.example")
    report, _ = office.scan(office.alone())
    assert [entry.rp_id for entry in report.keys[0].added] == ["b.example"]
    assert "credentialManagement enumerateRPsBegin" in office.sent
    office.scan(office.alone())
    assert office.sent == ["getInfo", "getAssertion (silent)"]


def test_an_inventory_that_says_something_else_is_read_again(office):
    """It was restored from a backup, for instance: the key is as it was, and the record is not."""
    office.on()
    office.scan(office.alone())
    office.desk.put(replace(office.desk.record("blue"), passkeys=()))
    report, _ = office.scan(office.alone())
    assert [entry.rp_id for entry in report.keys[0].added] == ["a.example"]


def test_a_list_that_breaks_off_is_read_again(office):
    office.on()
    office.desk.sign_up("blue", "b.example")
    office.desk.set("blue", "quirk=rps-break-off")
    report, _ = office.scan(office.alone())
    assert report.keys[0].complete is False
    assert office.note().store_state is None
    office.desk.set("blue", "quirk=none")
    report, _ = office.scan(office.alone())
    assert report.keys[0].complete is True


def test_a_dry_run_of_a_scan_notes_nothing_as_read(office):
    office.on()
    before = office.desk.files()
    scanning.scan(office.alone(), findings=None, dry_run=True)
    assert office.desk.files() == before
    assert office.note().store_state is None


def test_a_key_that_is_known_anew_after_a_reset_has_no_token(office):
    office.on()
    office.desk.reset("blue")
    office.desk.set_pin("blue")
    office.desk.add("blue", "virtual:blue", replacing=True)
    assert office.note() is None


def test_a_token_that_the_key_refuses_is_dropped_and_no_pin_is_asked_for(office):
    office.on()
    office.scan(office.alone())
    office.change_pin()
    office.sent.clear()
    report, errors = scanning.scan(office.alone(), findings=None, dry_run=False)
    assert office.who.told[0].startswith("blue takes its unattended token no more")
    assert "`keyctl unattended on -k blue`" in office.who.told[0]
    assert office.note() is None
    assert not list((office.desk.home / "state" / "unattended").iterdir())
    assert office.sent.count("credentialManagement getCredsMetadata") == 1
    assert report.keys[0].passkeys is None
    assert errors
    assert office.desk.tries("blue") == 8


def test_at_a_terminal_the_pin_is_asked_for_only_where_no_token_works(office, person):
    office.on()
    who = person()
    office.scan(office.circumstances(who))
    assert (who.requests, who.keys_wanting_pins) == ([], 0)
    office.change_pin()
    who = person(pins=[OTHER_PIN])
    report, errors = office.scan(office.circumstances(who))
    assert (len(who.requests), report.keys[0].passkeys, errors) == (1, 1, [])


def test_a_pin_that_is_given_is_used(office):
    """With it a key answers for more than with the token."""
    office.on()
    office.scan(office.alone("blue", pins=[PIN], pins_given=True))
    assert len(office.who.requests) == 1
    assert office.note().last_used is None


@pytest.mark.parametrize("recognition", [Recognition.CHANGED, Recognition.LOCKED, Recognition.UNKNOWN, None])
def test_only_a_key_that_has_proved_itself_sees_anything_of_the_token(office, recognition):
    office.on()
    circumstances = office.alone()
    record = office.desk.record("blue")
    with opening.opened(circumstances) as session:
        assert unattended.may_see_token(session)
        session.identify(replace(session.key, recognition=recognition))
        sent = session.commands_sent
        assert unattended.permit(session, circumstances, record) is None
        assert session.commands_sent == sent


def test_a_key_whose_public_key_was_exchanged_in_the_inventory_gets_nothing(office):
    office.on()
    local_state.write_pin(office.desk.home / "state", office.desk.record("blue").id, b"another")
    report, errors = office.scan(office.alone())
    assert errors == ["recognition_changed"]
    assert report.keys == ()
    assert not [name for name in office.sent if "credentialManagement" in name]
    [kept] = unattended_setup.kept_tokens(office.circumstances()).tokens
    assert kept.works is None


def test_a_locked_keyring_is_as_good_as_no_token(office, monkeypatch):
    with keyrings.of_gnome(monkeypatch):
        office.on(to_file=False)
        key = office.desk.seen("virtual:blue")
        assert office.scan(office.alone())[1] == []
        keyrings.lock()
        assert unattended.token_for(office.alone(), key) is None
        report, errors = office.scan(office.alone())
        assert report.keys[0].passkeys is None
        assert errors
        assert office.who.told[0] == "the unattended token of blue is left alone: the system's keyring is locked"
        assert [kept.works for kept in unattended_setup.kept_tokens(office.alone()).tokens] == [None]
        error = failing(StoreError, unattended_setup.off, office.alone(), dry_run=False)
        assert error.code == "keyring_unusable"
        assert office.note() is not None


def test_a_token_that_somebody_took_out_of_the_keyring(office, vault):
    office.on(to_file=False)
    vault.kept.clear()
    report, errors = office.scan(office.alone())
    assert (report.keys[0].passkeys, bool(errors)) == (None, True)
    assert office.who.told[0].startswith("the unattended token of blue is not in the keyring any more")
    assert [kept.works for kept in unattended_setup.kept_tokens(office.circumstances()).tokens] == [False]


def test_off_forgets_it_here_and_needs_no_key(office):
    office.on()
    key = office.desk.seen("virtual:blue")
    token = unattended.token_for(office.alone(), key)
    keys.unplug(office.desk.folder, "blue")
    result = unattended_setup.off(office.alone(), dry_run=False)
    assert (result.key.name, result.changed, result.kept) == ("blue", True, None)
    assert unattended.token_for(office.alone(), key) is None
    assert unattended_setup.off(office.alone("blue"), dry_run=False).changed is False
    keys.plug(office.desk.folder, "blue")
    with opening.opened(office.circumstances()) as session:
        assert session.persistent_token.works(token)


def test_off_wants_to_know_which_of_several(office):
    office.on()
    office.desk.know("green", pin=True)
    office.on(name="green")
    error = failing(KeyChoiceError, unattended_setup.off, office.alone(), dry_run=False)
    assert (error.code, error.details.candidates) == ("several_keys", ("blue", "green"))
    assert unattended_setup.off(office.alone("green"), dry_run=False).key.name == "green"
    assert [kept.key.name for kept in unattended_setup.kept_tokens(office.alone()).tokens] == ["blue"]


def test_off_where_there_is_none(office):
    result = unattended_setup.off(office.alone(), dry_run=False)
    assert (result.key.name, result.changed) == ("blue", False)


def test_off_asks_for_no_choice_where_none_has_one(office):
    office.desk.know("green", pin=True)
    error = failing(NotFoundError, unattended_setup.off, office.alone(), dry_run=False)
    assert (error.code, error.message) == ("name_not_found", "no key has a token on this computer")
    keys.unplug(office.desk.folder, "blue")
    keys.unplug(office.desk.folder, "green")
    failing(NotFoundError, unattended_setup.off, office.alone(), dry_run=False)


def test_the_list_says_whether_they_work(office):
    office.desk.know("green", pin=True)
    office.on()
    office.on(name="green")
    keys.unplug(office.desk.folder, "green")
    office.sent.clear()
    blue, green = unattended_setup.kept_tokens(office.alone()).tokens
    assert (blue.key.name, blue.kept, blue.last_used, blue.works) == ("blue", TokenPlace.FILE, None, True)
    assert (green.key.name, green.key.connected, green.works) == ("green", False, None)
    assert times.parse(blue.since) <= times.parse(times.now())
    office.change_pin()
    assert [kept.works for kept in unattended_setup.kept_tokens(office.alone("blue")).tokens] == [False]
    assert office.note() is not None
    assert failing(NotFoundError, unattended_setup.kept_tokens, office.alone("nobody")).code == "name_not_found"


def test_a_list_of_none_opens_no_key(office):
    assert unattended_setup.kept_tokens(office.alone()).tokens == ()
    assert office.sent == []


def test_a_key_that_is_forgotten_leaves_no_token(office, vault):
    office.on(to_file=False)
    unattended.forgotten(office.alone(), office.desk.record("blue").id)
    assert (vault.kept, office.note(), office.who.told) == ({}, None, [])
    unattended.forgotten(office.alone(), office.desk.record("blue").id)
    assert office.who.told == []


def test_a_token_that_cannot_be_deleted_is_told(office, vault):
    office.on(to_file=False)
    with keyrings.chosen(keyrings.Plain()):
        unattended.forgotten(office.alone(), office.desk.record("blue").id)
    assert office.who.told[0].startswith("the unattended token of this key could not be deleted: ")
    assert len(vault.kept) == 1


def test_what_unchanged_says(office):
    office.on()
    circumstances = office.alone()
    known = recognising.known(circumstances)

    def ask(token=None):
        with opening.recognised(next(iter(opening.discover(office.desk.home).found)), circumstances, known) as session:
            sent = session.commands_sent
            told = unattended.unchanged(
                session,
                office.note(),
                token or unattended.token_for(circumstances, session.key),
                office.desk.record("blue"),
            )
            assert session.commands_sent == sent
            return told

    assert ask() is None
    office.scan(office.alone())
    assert ask() is True
    assert ask(bytes(32)) is False
    office.desk.sign_up("blue", "b.example")
    assert ask() is False


def test_nothing_that_is_shown_holds_the_token(office):
    office.on()
    with opening.opened(office.circumstances()) as session:
        permit = unattended.permit(session, office.circumstances(), office.desk.record("blue"))
    assert permit.token.hex() not in repr(permit)
    assert repr(permit.token) not in repr(permit)
    lines = []
    circumstances = replace(office.alone(), trace=lines.append)
    scanning.scan(circumstances, findings=None, dry_run=False)
    told = json.dumps([lines, office.who.told, office.who.asked])
    assert lines
    assert permit.token.hex() not in told
    assert dataclasses.is_dataclass(permit)
