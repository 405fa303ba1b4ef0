"""Giving keys names: what is checked before a touch, what is left when something fails, and what is forgotten."""

from __future__ import annotations

import os
from dataclasses import replace
from threading import Thread

import pytest

from keyctl.core.inventory import Declaration, Origin, Registration, Service
from keyctl.errors import (
    DeclinedError,
    KeyctlError,
    NotFoundError,
    PinError,
    StoreError,
    TouchError,
    UsageError,
)
from keyctl.model import KeyState, Recognition, Role
from keyctl.operations import forgetting, losing, naming, opening, resetting, scanning
from keyctl.operations.naming import Notes
from keyctl.store import inventory
from keyctl.store import state as local_state
from keyctl.virtual import keys

PIN = "123456"
ADDED_AT = "2026-01-31T08:00:00Z"
NOTHING = Notes()


def add(desk, who, name, wanted=None, *, notes=NOTHING, replacing=False, dry_run=False):
    return naming.add(desk.circumstances(who, wanted), name, notes, replacing=replacing, dry_run=dry_run)


def everything(desk):
    """All files below the home, the virtual keys' own apart."""
    return {
        path: path.read_bytes()
        for path in desk.home.rglob("*")
        if path.is_file() and desk.folder not in path.parents and path.name != ".lock"
    }


@pytest.mark.parametrize("profile", ["full", "fido2.0", "fido2.1-pre", "small", "u2f"])
def test_a_key_of_any_kind_can_have_a_name(desk, person, profile):
    selector = desk.new("blue", profile)
    who = person()
    done = add(desk, who, "blue-5c", notes=Notes(role="primary", owner="kim", location="desk", note="scratched"))
    assert done.changed
    assert (done.key.name, done.key.recognition, done.key.selector) == ("blue-5c", Recognition.PROVED, selector)
    record = desk.record("blue-5c")
    assert (record.role, record.owner, record.location, record.note) == (Role.PRIMARY, "kim", "desk", "scratched")
    assert (record.virtual, record.recognition.u2f) == (True, profile == "u2f")
    assert (record.aaguid is None) is (profile == "u2f")
    assert who.requests == []
    assert local_state.read_pin(desk.home / "state", record.id) == record.recognition.public_key
    assert desk.seen("blue-5c").name == "blue-5c"


@pytest.mark.parametrize(("profile", "asks"), [("full", False), ("fido2.0", True), ("fido2.1-pre", True)])
def test_the_pin_is_asked_for_where_the_key_wants_it(desk, person, profile, asks):
    desk.new("blue", profile)
    desk.set_pin("blue")
    who = person(pins=[PIN])
    assert add(desk, who, "blue").changed
    assert bool(who.requests) is asks


def test_a_wrong_pin_adds_nothing(desk, person):
    desk.new("blue", "fido2.0")
    desk.set_pin("blue")
    with pytest.raises(PinError) as caught:
        add(desk, person(pins=["wrong pin"]), "blue")
    assert caught.value.code == "pin_wrong"
    assert desk.files() == {}
    assert desk.tries("blue") == 7


def test_without_a_person_an_unknown_key_gets_its_pin_only_by_its_path(desk, person):
    selector = desk.new("blue", "fido2.0")
    desk.set_pin("blue")
    with pytest.raises(PinError) as caught:
        add(desk, person(pins=[PIN], attended=False), "blue")
    assert caught.value.code == "pin_required"
    assert add(desk, person(pins=[PIN], attended=False), "blue", selector).changed


def test_a_key_that_always_wants_its_pin_can_have_a_name(desk, person):
    desk.new("blue")
    desk.set_pin("blue")
    desk.always_uv("blue")
    assert add(desk, person(pins=[PIN]), "blue").key.recognition is Recognition.PROVED
    # Only its PIN tells that it is known.
    assert desk.seen("virtual:blue").recognition is Recognition.LOCKED
    who = person(pins=[PIN])
    assert not add(desk, who, "blue").changed
    assert len(who.requests) == 1
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(pins=[PIN]), "green")
    assert caught.value.code == "key_known"
    assert "it is blue" in caught.value.message


@pytest.mark.parametrize(("touch", "code"), [("never", "no_touch"), ("refused", "touch_refused")])
def test_without_the_touch_nothing_is_left(desk, person, touch, code):
    desk.new("blue")
    desk.set("blue", f"touch={touch}")
    circumstances = desk.circumstances(person())
    hasty = replace(circumstances, waits=replace(circumstances.waits, touch_s=0.2))
    with pytest.raises(TouchError) as caught:
        naming.add(hasty, "blue", NOTHING, replacing=False, dry_run=False)
    assert caught.value.code == code
    assert everything(desk) == {}


def test_a_u2f_key_that_nobody_touches_is_not_added(desk, person):
    desk.new("old", "u2f")
    desk.set("old", "touch=never")
    circumstances = desk.circumstances(person())
    hasty = replace(circumstances, waits=replace(circumstances.waits, touch_s=0.2))
    with pytest.raises(TouchError):
        naming.add(hasty, "old", NOTHING, replacing=False, dry_run=False)
    assert everything(desk) == {}


def test_a_dry_run_writes_nothing_at_all(desk, person):
    desk.new("blue", "fido2.0")
    desk.set_pin("blue")
    desk.set("blue", "touch=never")
    who = person()
    done = add(desk, who, "blue", dry_run=True)
    assert (done.changed, done.key.name) == (False, None)
    assert (who.requests, who.asked) == ([], [])
    assert everything(desk) == {}


@pytest.mark.parametrize("profile", ["full", "u2f"])
def test_a_key_that_has_the_name_already_is_left_as_it_is(desk, person, profile):
    desk.know("blue", profile=profile)
    desk.set("blue", "touch=never")
    before = desk.files()
    for replacing in (False, True):
        done = add(desk, person(), "blue", replacing=replacing)
        assert (done.changed, done.key.name) == (False, "blue")
    assert desk.files() == before


def test_what_is_said_of_a_key_that_has_the_name_already_is_noted(desk, person):
    desk.know("blue")
    desk.set("blue", "touch=never")
    said = naming.Notes(role="backup", location="the safe")

    before = desk.files()
    assert not add(desk, person(), "blue", notes=said, dry_run=True).changed
    assert desk.files() == before
    done = add(desk, person(), "blue", notes=said)
    assert (done.changed, done.enrolled, done.key.role, done.key.location) == (True, False, "backup", "the safe")
    assert (desk.inventory.keys[0].role, desk.inventory.keys[0].location) == ("backup", "the safe")
    assert not add(desk, person(), "blue", notes=said).changed


@pytest.mark.parametrize("profile", ["full", "u2f"])
def test_a_key_known_under_another_name_is_told_by_it(desk, person, profile):
    desk.know("it's blue", "blue", profile)
    desk.set("blue", "touch=never")
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "green")
    assert caught.value.code == "key_known"
    assert caught.value.message == "the connected key is known already: it is it's blue"
    assert caught.value.hint == """rename it with `keyctl edit 'it'"'"'s blue' --name green`"""
    assert [key.name for key in desk.inventory.keys] == ["it's blue"]


def test_a_name_that_is_taken_is_refused_before_the_touch(desk, person):
    desk.know("blue")
    desk.new("green")
    desk.set("green", "touch=never")
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "blue", "virtual:green")
    assert caught.value.code == "name_exists"
    assert "--replace" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("-k", "begins with -"),
        ("usb:1", "begins with usb:"),
        ("nfc:reader", "begins with nfc:"),
        ("virtual:blue", "begins with virtual:"),
        ("x" * 1001, "has more than 1000 characters"),
        # One character, which is two when composed.
        ("\u0958" * 600, "has more than 1000 characters"),
        ("\ud800", "is not Unicode"),
    ],
)
def test_what_could_be_taken_for_something_else_is_no_name(desk, person, name, reason):
    desk.new("blue")
    desk.set("blue", "touch=never")
    with pytest.raises(UsageError, match=f"the name {reason}") as caught:
        add(desk, person(), name)
    assert caught.value.code == "name_invalid"
    assert everything(desk) == {}


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a/b",
        ".",
        "..",
        ".hidden",
        "con",
        "x" * 300,
        "line\nbreak\t\x1b[31m\x7f",
        "\u202eevil[bold]",
        "ключ 钥匙 مفتاح",
        " blue ",
        "12345678",
        'quo"te\\',
    ],
)
def test_nearly_anything_is_a_name(desk, person, name):
    desk.new("blue")
    assert add(desk, person(), name).key.name == name
    assert desk.seen(name).name == name
    [file] = (desk.home / "keys").iterdir()
    assert file.name == f"{desk.record(name).id}.json"
    assert forgetting.forget(desk.circumstances(person()), name, dry_run=False).changed
    assert desk.inventory.keys == ()


def test_names_that_differ_in_case_are_two(desk, person):
    desk.know("blue", "one")
    desk.know("Blue", "two")
    assert desk.seen("blue").selector == "virtual:one"
    assert desk.seen("Blue").selector == "virtual:two"
    with pytest.raises(NotFoundError):
        naming.edit(desk.circumstances(person()), "BLUE", Notes(note="x"), new_name=None, dry_run=False)


def test_a_name_is_the_same_from_every_keyboard(desk, person):
    desk.know("cafe\u0301", "blue")
    assert desk.record("caf\u00e9").name == "caf\u00e9"
    for typed in ("cafe\u0301", "caf\u00e9"):
        assert desk.seen(typed).name == "caf\u00e9"
        assert not add(desk, person(), typed).changed
    naming.edit(desk.circumstances(person()), "cafe\u0301", Notes(note="x"), new_name=None, dry_run=False)
    assert desk.record("caf\u00e9").note == "x"


def test_a_damaged_inventory_is_told_before_any_touch(desk, person):
    desk.know("blue")
    desk.new("green")
    desk.set("green", "touch=never")
    [file] = (desk.home / "keys").iterdir()
    file.write_text("{")
    with pytest.raises(StoreError) as caught:
        add(desk, person(), "green", "virtual:green")
    assert caught.value.code == "store_unreadable"


def test_a_home_that_cannot_be_written_is_told_before_any_touch(desk, person):
    desk.new("blue")
    desk.set("blue", "touch=never")
    (desk.home / ".lock").mkdir()
    with pytest.raises(StoreError) as caught:
        add(desk, person(), "blue")
    assert caught.value.code == "store_unwritable"


def test_a_state_that_cannot_be_written_leaves_the_inventory_alone(desk, person):
    desk.new("blue")
    (desk.home / "state").write_text("")
    with pytest.raises(StoreError) as caught:
        add(desk, person(), "blue")
    assert caught.value.code == "store_unwritable"
    assert desk.files() == {}


def test_a_failure_between_touch_and_writing_leaves_the_old_state(desk, person):
    """The key makes the credential, and is pulled before it can answer."""
    desk.know("blue")
    desk.reset("blue")
    before = everything(desk)
    desk.set("blue", "fault=3:pulled-after")
    with pytest.raises(KeyctlError) as caught:
        add(desk, person(), "blue", replacing=True)
    assert caught.value.code == "key_removed"
    assert everything(desk) == before
    keys.plug(desk.folder, "blue")
    assert add(desk, person(), "blue", replacing=True).changed


def test_two_that_take_one_name_at_once_do_not_both_get_it(desk, person):
    for name in ("one", "two"):
        desk.new(name)
        desk.set(name, "touch=after:0.3")
    outcomes = {}

    def take(name):
        try:
            outcomes[name] = add(desk, person(), "blue", f"virtual:{name}").changed
        except KeyctlError as error:
            outcomes[name] = error.code

    threads = [Thread(target=take, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes.values())) == ["True", "name_exists"]
    assert [key.name for key in desk.inventory.keys] == ["blue"]
    assert desk.inventory.problems == ()


@pytest.fixture
def filled(desk, person):
    """Blue with a PIN, a passkey, a registration and a declaration, scanned."""
    record = desk.know("blue", pin=True)
    desk.sign_up("blue", "a.example")
    scanning.scan(desk.circumstances(person(pins=[PIN])), findings=None, dry_run=False)
    registration = Registration(
        credential_id=b"r" * 32,
        rp_id="ssh:",
        account=None,
        origin=Origin.SSH,
        public_key=None,
        label="id_ecdsa_sk",
        seen_at=ADDED_AT,
    )
    shop = Service(
        id=inventory.new_id(),
        name="Shop",
        rp_id="shop.example",
        account="kim",
        added_at=ADDED_AT,
        on=(Declaration(key_id=record.id, declared_at=ADDED_AT),),
    )
    desk.put(replace(desk.record("blue"), registrations=(registration,)), shop)
    return desk


def test_a_reset_key_is_enrolled_again_under_its_old_name(filled, person):
    desk, record = filled, filled.record("blue")
    resetting.reset(desk.circumstances(person()), dry_run=False)
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "blue")
    assert caught.value.code == "name_exists"
    done = add(desk, person(), "blue", replacing=True, notes=Notes(location="safe"))
    assert (done.changed, done.key.recognition) == (True, Recognition.PROVED)
    new = desk.record("blue")
    assert (new.id, new.state, new.location, new.added_at) == (record.id, KeyState.ACTIVE, "safe", record.added_at)
    assert new.recognition.user_id != record.recognition.user_id
    assert all(entry.reset_at is not None for entry in (*new.passkeys, *new.registrations))
    assert (new.passkeys_read_at, new.passkeys_remaining) == (None, None)
    assert desk.seen("blue").recognition is Recognition.PROVED


def test_a_new_key_may_take_the_place_of_an_old_one(filled, person):
    desk, record = filled, filled.record("blue")
    desk.new("green", "small")
    add(desk, person(), "blue", "virtual:green", replacing=True)
    new = desk.record("blue")
    assert (new.id, new.aaguid != record.aaguid) == (record.id, True)
    assert all(entry.reset_at is not None for entry in (*new.passkeys, *new.registrations))
    [service] = desk.inventory.services
    assert service.on == ()
    assert desk.seen("virtual:green").name == "blue"
    assert desk.seen("virtual:blue").name is None


def test_a_known_key_does_not_take_the_name_of_another(desk, person):
    desk.know("blue")
    desk.know("green")
    before = desk.files()
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "blue", "virtual:green", replacing=True)
    assert caught.value.code == "key_known"
    assert caught.value.hint == "to have it take the place of blue, forget its own name first: `keyctl forget green`"
    assert desk.files() == before
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "blue", "virtual:green")
    assert caught.value.hint == "plug in the other one, or choose it with -k: blue is another known key"
    assert desk.files() == before


def test_what_was_done_about_the_loss_of_the_old_key_is_nothing_about_the_new_one(filled, person):
    desk, record = filled, filled.record("blue")
    steps = losing.lose(desk.circumstances(person()), "blue", with_computer=True)[0].steps
    ticks = losing.Ticks(done=tuple(step.id for step in steps))
    losing.lose(desk.circumstances(person()), "blue", ticks=ticks)
    desk.new("green", "small")
    add(desk, person(), "blue", "virtual:green", replacing=True)
    assert not (desk.home / "lost" / f"{record.id}.json").exists()
    again, errors = losing.lose(desk.circumstances(person()), "blue")
    assert (again.with_computer, errors) == (False, ())
    assert not any(step.done_at for step in again.steps)


def test_a_name_that_is_not_known_cannot_be_replaced(desk, person):
    desk.know("blue")
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "red", replacing=True)
    assert caught.value.code == "name_not_found"
    assert caught.value.details.candidates == ("blue",)


def test_a_key_whose_counter_went_back_is_enrolled_anew_and_keeps_what_is_on_it(filled, person):
    desk, record = filled, filled.record("blue")
    desk.set("blue", "counter=50")
    desk.seen("blue")
    desk.set("blue", "counter=0")
    who = person()
    assert not add(desk, who, "blue").changed
    assert "went back" in who.told[0]
    assert add(desk, person(), "blue", replacing=True).changed
    new = desk.record("blue")
    assert new.recognition != record.recognition
    assert (new.passkeys, new.registrations, new.passkeys_read_at) == (
        record.passkeys,
        record.registrations,
        record.passkeys_read_at,
    )
    assert [len(service.on) for service in desk.inventory.services] == [1]
    assert desk.seen("blue").recognition is Recognition.PROVED


def test_enrolling_anew_forgets_no_wrong_pin(filled, person):
    desk, record = filled, filled.record("blue")
    desk.set("blue", "counter=50")
    desk.seen("blue")
    desk.set("blue", "counter=0")
    memory = local_state.read_memory(desk.home / "state", record.id)
    local_state.write_memory(desk.home / "state", record.id, replace(memory, pin_failed_at=ADDED_AT))
    assert add(desk, person(), "blue", replacing=True).changed
    memory = local_state.read_memory(desk.home / "state", record.id)
    assert (memory.pin_failed_at, memory.counter < 50) == (ADDED_AT, True)


def test_a_key_whose_record_was_changed_is_enrolled_anew(desk, person):
    record = desk.know("blue")
    local_state.write_pin(desk.home / "state", record.id, b"another")
    assert desk.seen("blue").recognition is Recognition.CHANGED
    assert add(desk, person(), "blue", replacing=True).changed
    assert desk.seen("blue").recognition is Recognition.PROVED


def test_a_key_whose_record_is_wrong_is_told_by_its_credential(desk, person):
    """It holds the credential of the record, and the record has another public key."""
    record = desk.know("blue", pin=True)
    other = replace(record.recognition, public_key=b"p" * 77)
    desk.put(replace(record, recognition=other))
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(), "green")
    assert caught.value.code == "key_known"
    assert "holds the credential of blue" in caught.value.message
    assert "keyctl add blue --replace" in str(caught.value.hint)
    assert add(desk, person(), "blue", replacing=True).changed
    assert desk.seen("blue").recognition is Recognition.PROVED


def edit(desk, who, name, notes=NOTHING, *, new_name=None, dry_run=False):
    return naming.edit(desk.circumstances(who), name, notes, new_name=new_name, dry_run=dry_run)


def test_what_is_noted_can_be_changed_without_the_key(desk, person):
    record = desk.know("blue")
    keys.unplug(desk.folder, "blue")
    done = edit(desk, person(), "blue", Notes(role="backup", owner="kim", location="safe", note="n"), new_name="b")
    assert (done.changed, done.key.name, done.key.connected) == (True, "b", False)
    new = desk.record("b")
    assert (new.id, new.role, new.owner, new.location, new.note) == (record.id, Role.BACKUP, "kim", "safe", "n")
    assert set(new.changed) == {"role", "owner", "location", "note", "name"}
    keys.plug(desk.folder, "blue")
    assert desk.seen("b").name == "b"


def test_an_empty_text_takes_a_fact_away(desk, person):
    desk.know("blue")
    edit(desk, person(), "blue", Notes(owner="kim", note="n"))
    assert edit(desk, person(), "blue", Notes(owner="", location="")).changed
    record = desk.record("blue")
    assert (record.owner, record.location, record.note) == (None, None, "n")


def test_what_is_noted_so_already_is_not_written(desk, person):
    desk.know("blue")
    edit(desk, person(), "blue", Notes(owner="kim"))
    before = desk.files()
    assert not edit(desk, person(), "blue", Notes(owner="kim"), new_name="blue").changed
    assert desk.files() == before


def test_an_edit_in_a_dry_run_checks_and_writes_nothing(desk, person):
    desk.know("blue")
    desk.know("green")
    before = everything(desk)
    assert not edit(desk, person(), "blue", Notes(owner="kim"), new_name="b", dry_run=True).changed
    for name, new_name, code in (("red", None, "name_not_found"), ("blue", "green", "name_exists")):
        with pytest.raises(NotFoundError) as caught:
            edit(desk, person(), name, Notes(owner="kim"), new_name=new_name, dry_run=True)
        assert caught.value.code == code
    assert everything(desk) == before


def test_an_edit_of_nothing_makes_no_folder(desk, person):
    with pytest.raises(NotFoundError):
        edit(desk, person(), "blue", Notes(owner="kim"), dry_run=True)
    assert not desk.home.exists()


def test_a_name_that_is_taken_is_not_given_twice(desk, person):
    desk.know("blue")
    desk.know("green")
    before = desk.files()
    with pytest.raises(NotFoundError) as caught:
        edit(desk, person(), "blue", new_name="green")
    assert caught.value.code == "name_exists"
    with pytest.raises(UsageError):
        edit(desk, person(), "blue", new_name="usb:x")
    assert desk.files() == before


def forget(desk, who, name, *, dry_run=False):
    return forgetting.forget(desk.circumstances(who), name, dry_run=dry_run)


def test_a_forgotten_key_is_a_stranger(desk, person):
    record = desk.know("blue", pin=True)
    who = person()
    assert forget(desk, who, "blue").key.name == "blue"
    assert "on the key itself nothing changes" in who.asked[0]
    assert desk.files() == {}
    assert desk.seen("virtual:blue").name is None
    assert local_state.read_pin(desk.home / "state", record.id) is None
    assert not list((desk.home / "state").rglob(f"{record.id}*"))
    desk.add("blue again", "virtual:blue")


def test_no_means_that_nothing_is_forgotten(desk, person):
    desk.know("blue")
    before = everything(desk)
    with pytest.raises(DeclinedError):
        forget(desk, person(agrees=False), "blue")
    assert everything(desk) == before


def test_accounts_that_only_this_key_opens_are_listed_and_want_its_name(filled, person):
    who = person()
    assert forget(filled, who, "blue").changed
    [question] = who.asked
    assert question.startswith("These 3 accounts open with nothing else:\n")
    for site in ("a.example", "Shop", "ssh:"):
        assert site in question
    # Typed back.
    assert question.endswith(" blue")


def test_a_forgotten_key_is_declared_nowhere(filled, person):
    desk = filled
    key_id = desk.record("blue").id
    forget(desk, person(), "blue")
    [service] = desk.inventory.services
    assert service.on == ()
    assert f"on:{key_id}" in service.changed


def test_forgetting_in_a_dry_run_tells_what_would_be_lost(filled, person):
    before = everything(filled)
    who = person()
    assert not forget(filled, who, "blue", dry_run=True).changed
    assert who.asked == []
    assert "These 3 accounts open with nothing else" in who.told[0]
    assert everything(filled) == before


def test_what_is_not_known_cannot_be_forgotten(desk, person):
    with pytest.raises(NotFoundError) as caught:
        forget(desk, person(), "blue")
    assert caught.value.code == "name_not_found"
    assert "keyctl add NAME" in str(caught.value.hint)


def test_a_key_that_is_an_argument_takes_no_option(desk, person):
    with pytest.raises(UsageError):
        naming.require_no_key_option(desk.circumstances(person(), "blue"))
    naming.require_no_key_option(desk.circumstances(person()))


def test_many_names_are_not_all_in_the_hint(desk, person):
    record = desk.know("blue")
    others = [
        replace(
            record,
            id=inventory.new_id(),
            name=f"key {number}",
            recognition=replace(record.recognition, credential_id=os.urandom(32)),
        )
        for number in range(50)
    ]
    desk.put(*others)
    with pytest.raises(NotFoundError) as caught:
        forget(desk, person(), "red")
    assert len(str(caught.value.hint)) < 200
    assert len(caught.value.details.candidates) == 51


def test_the_handle_is_closed_whatever_happens(desk, person):
    desk.know("blue")
    with opening.opened(desk.circumstances(person())) as session:
        pass
    with pytest.raises(KeyctlError):
        session.pin_retries()


def test_a_role_can_be_taken_away(desk, person):
    desk.know("blue")
    edit(desk, person(), "blue", Notes(role="spare"), new_name=None)
    assert desk.record("blue").role is Role.SPARE
    edit(desk, person(), "blue", Notes(role="none"), new_name=None)
    assert desk.record("blue").role is None


@pytest.fixture
def lost(desk, person):
    """A lost key that opens an account, and one that is to take its name."""
    desk.know("blue", pin=True)
    desk.sign_up("blue", "github.com")
    scanning.scan(desk.circumstances(person(pins=[PIN]), "blue"), findings=None, dry_run=False)
    keys.unplug(desk.folder, "blue")
    losing.lose(desk.circumstances(person()), "blue")
    return desk.new("red")


def test_the_name_of_a_lost_key_stays_with_what_is_left_to_do_about_it(desk, person, lost):
    before = everything(desk)
    for dry_run in (True, False):
        who = person()
        with pytest.raises(NotFoundError) as caught:
            add(desk, who, "blue", lost, replacing=True, dry_run=dry_run)
        assert caught.value.code == "name_exists"
        assert "blue is lost, and 6 steps are left to do" in caught.value.message
        assert "`keyctl add NEW`" in str(caught.value.hint)
        assert "`keyctl lost blue`" in str(caught.value.hint)
        assert not who.asked
    assert everything(desk) == before


def test_a_lost_key_about_which_all_is_done_gives_its_name_away_after_a_question(desk, person, lost):
    loss, _ = losing.lose(desk.circumstances(person()), "blue")
    ticks = losing.Ticks(done=tuple(step.id for step in loss.steps))
    losing.lose(desk.circumstances(person()), "blue", ticks=ticks)
    who = person(agrees=False)
    with pytest.raises(DeclinedError):
        add(desk, who, "blue", lost, replacing=True)
    assert "blue is lost; nothing that is noted of it counts any more" in who.asked[0]
    assert desk.record("blue").state is KeyState.LOST
    assert add(desk, person(), "blue", lost, replacing=True).changed
    assert desk.record("blue").state is KeyState.ACTIVE


def test_a_lost_key_that_wants_its_pin_first_is_not_taken_for_another(desk, person):
    for name in ("blue", "red"):
        desk.new(name)
        desk.set_pin(name)
        desk.always_uv(name)
    desk.add("blue", "virtual:blue")
    losing.lose(desk.circumstances(person()), "blue")
    keys.unplug(desk.folder, "blue")
    with pytest.raises(NotFoundError) as caught:
        add(desk, person(pins=[PIN]), "blue", "virtual:red", replacing=True)
    assert caught.value.code == "name_exists"


@pytest.mark.usefixtures("lost")
def test_forgetting_a_lost_key_says_how_much_is_left_to_do(desk, person):
    shown = person()
    forgetting.forget(desk.circumstances(shown), "blue", dry_run=True)
    assert any("blue is lost, and 6 steps are left to do" in line for line in shown.told)
    who = person(agrees=False)
    with pytest.raises(DeclinedError):
        forgetting.forget(desk.circumstances(who), "blue", dry_run=False)
    assert "blue is lost, and 6 steps are left to do, which nobody will be reminded of" in who.asked[0]
    assert desk.record("blue").state is KeyState.LOST
