"""Reading the known keys: what is noted, what is kept when a key fails, and which PINs are asked for."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier

import pytest

from keyctl.core.inventory import Origin, Registration
from keyctl.errors import DeclinedError, KeyChoiceError, PinError, StoreError, UsageError
from keyctl.model import KeyState, Recognition
from keyctl.operations import forgetting, naming, opening, scanning
from keyctl.operations.local_credentials import LocalCredential, LocalFindings
from keyctl.store import inventory
from keyctl.store import state as local_state
from keyctl.virtual import keys

PIN = "123456"
SEEN_AT = "2026-01-31T08:00:00Z"
REQUIRED = 3


@pytest.fixture
def scan(desk):
    """Scan, and return the report and the codes of the errors."""

    def scan(who, wanted=None, *, findings=None, dry_run=False, touch_s=5.0):
        circumstances = desk.circumstances(who, wanted)
        circumstances = replace(circumstances, waits=replace(circumstances.waits, touch_s=touch_s))
        report, errors = scanning.scan(circumstances, findings=findings, dry_run=dry_run)
        return report, [(error.key, error.code) for error in errors]

    return scan


@pytest.fixture
def two(desk):
    """Blue and green, known, each with a PIN and a passkey."""
    for name in ("blue", "green"):
        desk.know(name, pin=True)
        desk.sign_up(name, f"{name}.example")
    return desk


def from_file(credential_id, public_key=None, *, rp_ids=("ssh:",), verify_required=False):
    return LocalCredential(
        origin=Origin.SSH,
        file="/home/kim/.ssh/id_ecdsa_sk",
        label="id_ecdsa_sk",
        rp_ids=rp_ids,
        account=None,
        credential_id=credential_id,
        public_key=public_key,
        verify_required=verify_required,
        state="readable",
    )


def found(*credentials, problems=(), remarks=()):
    return LocalFindings(credentials=credentials, problems=problems, remarks=remarks)


def sites(entries):
    return [(entry.kind, entry.rp_id, entry.account) for entry in entries]


def test_two_keys_are_read_after_both_pins_were_asked_for(two, person, scan):
    who = person(pins=[PIN, PIN])
    report, errors = scan(who)
    assert errors == []
    assert [request.key for request in who.requests] == ["blue", "green"]
    assert who.keys_wanting_pins == 2
    assert [key.key.name for key in report.keys] == ["blue", "green"]
    for scanned in report.keys:
        assert (scanned.passkeys, scanned.complete, scanned.note) == (1, True, None)
        assert sites(scanned.added) == [("passkey", f"{scanned.key.name}.example", "kim")]
        record = two.record(scanned.key.name)
        [passkey] = record.passkeys
        assert (passkey.rp_id, passkey.user_name, passkey.display_name) == (
            f"{scanned.key.name}.example",
            "kim",
            "Kim",
        )
        assert record.passkeys_read_at == passkey.seen_at
        assert record.passkeys_remaining == 127


def test_keys_are_read_at_the_same_time(two, person):
    """Each waits for the other in the middle of its list."""
    meeting = Barrier(2, timeout=10)

    def trace(line):
        if "enumerateRPsBegin" in line:
            meeting.wait()

    circumstances = replace(two.circumstances(person(pins=[PIN, PIN])), trace=trace)
    report, errors = scanning.scan(circumstances, findings=None, dry_run=True)
    assert ([key.passkeys for key in report.keys], errors) == ([1, 1], ())


def test_what_came_and_what_went_since_the_last_time_is_told(desk, person, scan):
    desk.know("blue", pin=True)
    first, _ = (desk.sign_up("blue", "a.example"), desk.sign_up("blue", "b.example"))
    scan(person(pins=[PIN]))
    with opening.opened(desk.circumstances(person())) as session:
        session.use_pin(PIN)
        session.delete_passkey(first)
    desk.sign_up("blue", "c.example")
    report, _ = scan(person(pins=[PIN]))
    [scanned] = report.keys
    assert (sites(scanned.added), sites(scanned.removed)) == (
        [("passkey", "c.example", "kim")],
        [("passkey", "a.example", "kim")],
    )
    assert [passkey.rp_id for passkey in desk.record("blue").passkeys] in (
        ["b.example", "c.example"],
        ["c.example", "b.example"],
    )
    report, _ = scan(person(pins=[PIN]))
    assert (report.keys[0].added, report.keys[0].removed) == ((), ())


def test_a_dry_run_tells_and_notes_nothing(two, person, scan):
    before = two.files()
    report, errors = scan(person(pins=[PIN, PIN]), dry_run=True)
    assert [sites(key.added) for key in report.keys] == [
        [("passkey", "blue.example", "kim")],
        [("passkey", "green.example", "kim")],
    ]
    assert errors == []
    assert two.files() == before


@pytest.mark.parametrize("quirk", ["rps-break-off", "creds-break-off", "broken-algorithm"])
def test_a_list_that_is_not_complete_removes_nothing(desk, person, scan, quirk):
    desk.know("blue", pin=True)
    for site in ("a.example", "b.example", "c.example"):
        desk.sign_up("blue", site)
        desk.sign_up("blue", site, "lee")
    scan(person(pins=[PIN]))
    before = desk.record("blue")
    desk.set("blue", f"quirk={quirk}")
    report, errors = scan(person(pins=[PIN]))
    [scanned] = report.keys
    assert (scanned.complete, scanned.removed, errors) == (False, (), [])
    after = desk.record("blue")
    assert {passkey.credential_id for passkey in after.passkeys} == {
        passkey.credential_id for passkey in before.passkeys
    }
    assert after.passkeys_read_at == before.passkeys_read_at


def commands_of(desk, person, name):
    """How many commands a scan of this key alone sends."""
    lines = []
    circumstances = replace(desk.circumstances(person(pins=[PIN]), name), trace=lines.append)
    scanning.scan(circumstances, findings=None, dry_run=True)
    return len(lines)


@pytest.mark.parametrize(
    ("fault", "code"), [("pulled", "key_removed"), ("pulled-after", "key_removed"), ("0x7f", "key_error")]
)
def test_a_key_that_fails_half_way_leaves_its_record_and_the_other_keys_results(two, person, scan, fault, code):
    before = two.files()
    name_of = {f"keys/{two.record(name).id}.json": name for name in ("blue", "green")}
    # In the middle of its list.
    two.set("blue", f"fault={commands_of(two, person, 'blue') - 1}:{fault}")
    report, errors = scan(person(pins=[PIN, PIN]))
    assert errors == [("blue", code)]
    assert [(key.key.name, key.passkeys) for key in report.keys] == [("green", 1)]
    after = two.files()
    assert {name_of[path] for path in after if after[path] != before[path]} == {"green"}


@pytest.mark.parametrize("position", range(1, 11))
def test_wherever_a_key_is_pulled_its_record_stays_as_it_was(two, person, scan, position):
    scan(person(pins=[PIN, PIN]))
    two.sign_up("blue", "new.example")
    before = two.files()[f"keys/{two.record('blue').id}.json"]
    two.set("blue", f"fault={position}:pulled")
    report, errors = scan(person(pins=[PIN, PIN]))
    assert errors == [("virtual:blue" if position <= 2 else "blue", "key_removed")]
    assert [key.key.name for key in report.keys] == ["green"]
    assert two.files()[f"keys/{two.record('blue').id}.json"] == before


def test_a_wrong_pin_for_one_key_costs_it_one_try_and_the_others_nothing(two, person, scan):
    before = two.files()
    report, errors = scan(person(pins=["wrong pin", PIN]))
    assert errors == [("blue", "pin_wrong")]
    assert [(key.key.name, key.passkeys) for key in report.keys] == [("blue", None), ("green", 1)]
    assert (two.tries("blue"), two.tries("green")) == (7, 8)
    path = f"keys/{two.record('blue').id}.json"
    assert two.files()[path] == before[path]


def test_a_key_whose_pin_nobody_has_is_still_asked_for_its_registrations(two, person, scan):
    own, key = two.register("blue", "ssh:")

    class Forgetful(person):
        def pin(self, request):
            if request.key == "blue":
                raise PinError("pin_required", "no PIN was typed")
            return super().pin(request)

    report, errors = scan(Forgetful(pins=[PIN]), findings=found(from_file(own, key)))
    assert errors == [("blue", "pin_required")]
    assert [(one.key.name, one.passkeys, one.registrations) for one in report.keys] == [
        ("blue", None, 1),
        ("green", 1, 0),
    ]
    assert [entry.key for entry in report.local] == ["blue"]


def test_who_wants_no_more_of_it_ends_it(two, person, scan):
    class Leaving(person):
        def pin(self, request):
            raise DeclinedError("declined", f"no PIN for {request.key}")

    before = two.files()
    with pytest.raises(DeclinedError):
        scan(Leaving())
    assert two.files() == before


def test_pins_that_do_not_say_whose_they_are_are_refused_before_any_touch(two, person, scan):
    two.know("old", profile="u2f")
    own, _ = two.register("old", "ssh:")
    two.put(replace(two.record("old"), registrations=(registration(own),)))

    class Lines(person):
        def check_pins_for(self, keys):
            raise UsageError("usage", f"{keys} keys want their PIN")

    who = Lines()
    with pytest.raises(UsageError, match="2 keys"):
        scan(who)
    assert who.told == []


@pytest.mark.usefixtures("two")
def test_the_key_that_was_named_is_read_alone(person, scan):
    who = person(pins=[PIN])
    report, _ = scan(who, "green")
    assert [key.key.name for key in report.keys] == ["green"]
    assert (who.keys_wanting_pins, report.unknown_keys) == (1, ())


def registration(credential_id, rp_id="ssh:", public_key=None):
    return Registration(
        credential_id=credential_id,
        rp_id=rp_id,
        account=None,
        origin=Origin.SSH,
        public_key=public_key,
        label="id_ecdsa_sk",
        seen_at=SEEN_AT,
    )


NO_PIN = "it has no PIN, and without one a key does not tell its passkeys; give it one with `keyctl pin set -k blue`"


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        ("full", NO_PIN),
        ("fido2.0", "it cannot list its passkeys"),
        ("fido2.1-pre", NO_PIN),
        ("u2f", "it only knows U2F, so it has no passkeys; what else is on it, it tells after a touch only"),
    ],
)
def test_a_key_without_a_list_is_told_why_and_asked_for_no_pin(desk, person, scan, profile, note):
    desk.know("blue", profile=profile)
    who = person()
    before = desk.files()
    report, errors = scan(who)
    [scanned] = report.keys
    assert (scanned.passkeys, scanned.note, errors, who.requests) == (None, note, [], [])
    assert desk.files() == before


def test_the_preview_of_the_list_is_read_too(desk, person, scan):
    desk.know("blue", profile="fido2.1-pre", pin=True)
    desk.sign_up("blue", "a.example")
    report, _ = scan(person(pins=[PIN]))
    assert sites(report.keys[0].added) == [("passkey", "a.example", "kim")]


def test_registrations_are_noted_for_the_key_that_answers(two, person, scan):
    own, key = two.register("blue", "ssh:")
    nobodys = b"n" * 64
    report, errors = scan(person(pins=[PIN, PIN]), findings=found(from_file(own, key), from_file(nobodys)))
    assert errors == []
    blue, green = report.keys
    assert ("registration", "ssh:", "id_ecdsa_sk") in sites(blue.added)
    assert (blue.registrations, green.registrations) == (1, 0)
    assert [(entry.credential_id, entry.key) for entry in report.local] == [(own, "blue"), (nobodys, None)]
    assert [entry.label for entry in two.record("blue").registrations] == ["id_ecdsa_sk"]
    # From now on it is asked about without the file.
    report, _ = scan(person(pins=[PIN, PIN]))
    assert (report.keys[0].registrations, report.keys[0].added, report.local) == (1, (), None)


def test_a_registration_that_does_not_answer_is_kept(desk, person, scan):
    desk.know("blue", pin=True)
    gone = registration(b"g" * 64)
    desk.put(replace(desk.record("blue"), registrations=(gone,)))
    report, errors = scan(person(pins=[PIN]))
    [scanned] = report.keys
    assert (sites(scanned.unknown), scanned.removed, errors) == (
        [("registration", "ssh:", "id_ecdsa_sk")],
        (),
        [],
    )
    assert desk.record("blue").registrations == (gone,)


def test_a_registration_that_wants_the_pin_is_found_with_it_and_kept_without(desk, person, scan):
    desk.know("blue", pin=True)
    own, key = desk.register("blue", "ssh:", REQUIRED)
    entry = from_file(own, key, verify_required=True)
    report, errors = scan(person(pins=["wrong pin"]), findings=found(entry))
    assert (report.keys[0].registrations, report.local[0].key, errors) == (0, None, [("blue", "pin_wrong")])
    report, _ = scan(person(pins=[PIN]), findings=found(entry))
    assert (report.keys[0].registrations, report.local[0].key) == (1, "blue")
    before = desk.files()
    report, _ = scan(person(pins=["wrong pin"]))
    assert sites(report.keys[0].unknown) == [("registration", "ssh:", "id_ecdsa_sk")]
    assert desk.files() == before


def test_a_wrong_public_key_in_the_file_is_no_hit(desk, person, scan):
    desk.know("blue", pin=True)
    own, _ = desk.register("blue", "ssh:")
    _, other_key = desk.register("blue", "ssh:")
    report, _ = scan(person(pins=[PIN]), findings=found(from_file(own, other_key)))
    assert (report.keys[0].registrations, report.local[0].key) == (0, None)


def test_a_u2f_key_is_touched_once_to_prove_itself_and_once_for_what_it_holds(desk, person, scan):
    desk.know("old", profile="u2f")
    own, key = desk.register("old", "ssh:")
    who = person()
    report, errors = scan(who, findings=found(from_file(own, key)))
    assert errors == []
    assert (report.keys[0].registrations, report.local[0].key) == (1, "old")
    assert report.keys[0].key.recognition is Recognition.PROVED
    assert report.keys[0].note == "it only knows U2F, so it has no passkeys"
    assert report.remarks == ()


def test_a_u2f_key_is_asked_nothing_where_nobody_can_touch_it(desk, person, scan):
    desk.know("old", profile="u2f")
    own, key = desk.register("old", "ssh:")
    desk.put(replace(desk.record("old"), registrations=(registration(own, public_key=key),)))
    before = desk.files()
    report, errors = scan(person(), touch_s=0.0)
    [scanned] = report.keys
    assert (scanned.key.recognition, errors) == (Recognition.CLAIMED, [])
    assert sites(scanned.unknown) == [("registration", "ssh:", "id_ecdsa_sk")]
    assert desk.files() == before


def test_a_u2f_key_that_nobody_touches_is_an_error_and_changes_nothing(desk, person, scan):
    desk.know("old", profile="u2f")
    own, key = desk.register("old", "ssh:")
    desk.put(replace(desk.record("old"), registrations=(registration(own, public_key=key),), state=KeyState.RESET))
    desk.set("old", "touch=never")
    before = desk.files()
    report, errors = scan(person(), touch_s=0.1)
    assert errors == [("old", "no_touch")]
    assert [key.registrations for key in report.keys] == [1]
    assert desk.files() == before


def test_a_u2f_impostor_is_not_read(desk, person, scan):
    old, other = desk.know("old", profile="u2f"), desk.know("other", profile="u2f")
    own, key = desk.register("other", "ssh:")
    stolen = replace(old.recognition, credential_id=other.recognition.credential_id)
    desk.put(replace(old, recognition=stolen))
    with inventory.changing(desk.home, 0) as changes:
        changes.remove_key(other.id)
    keys.unplug(desk.folder, "old")
    report, errors = scan(person(), findings=found(from_file(own, key)))
    assert (report.keys, errors) == ((), [("old", "key_nonsense")])


def test_keys_without_a_name_are_told(two, person, scan):
    two.new("red", "small")
    report, errors = scan(person(pins=[PIN, PIN]))
    assert [key.selector for key in report.unknown_keys] == ["virtual:red"]
    assert (len(report.keys), errors) == (2, [])


def test_where_no_key_is_known_nothing_is_read(desk, person, scan):
    desk.new("red")
    report, errors = scan(person())
    assert (report.keys, [key.selector for key in report.unknown_keys]) == ((), ["virtual:red"])
    assert errors == [(None, "no_key")]


def test_without_any_key_there_is_nothing_to_scan(desk, person, scan):
    with pytest.raises(KeyChoiceError):
        scan(person())
    desk.know("blue")
    with pytest.raises(KeyChoiceError):
        scan(person(), "green")


def test_without_any_key_what_the_files_use_is_told_all_the_same(desk, person, scan):
    problem = StoreError("local_unreadable", "a file makes no sense")
    report, errors = scan(person(), findings=found(from_file(b"x" * 64), problems=(problem,), remarks=("a disk",)))
    assert [entry.key for entry in report.local] == [None]
    assert errors == [(None, "no_key"), (None, "local_unreadable")]
    assert report.remarks == ("a disk",)
    assert not desk.home.exists()


def test_a_key_that_was_reset_is_no_longer_known_and_its_record_stays(two, person, scan):
    scan(person(pins=[PIN, PIN]))
    before = two.files()
    two.reset("blue")
    report, errors = scan(person(pins=[PIN]), dry_run=True)
    assert [key.key.name for key in report.keys] == ["green"]
    assert [(key.selector, key.recognition) for key in report.unknown_keys] == [
        ("virtual:blue", Recognition.PERHAPS_RESET)
    ]
    assert "of the model of blue" in report.remarks[0]
    assert "green" not in report.remarks[0]
    assert errors == []
    assert two.files() == before


def test_what_a_reset_ended_is_a_reminder_until_the_account_is_on_the_key_again(desk, person, scan):
    desk.know("blue", pin=True)
    for site in ("a.example", "b.example"):
        desk.sign_up("blue", site)
    scan(person(pins=[PIN]))
    desk.reset("blue")
    desk.set_pin("blue")
    desk.add("blue", "virtual:blue", replacing=True)
    desk.sign_up("blue", "a.example")
    report, _ = scan(person(pins=[PIN]))
    [scanned] = report.keys
    assert (sites(scanned.added), scanned.removed) == ([("passkey", "a.example", "kim")], ())
    left = {passkey.rp_id: passkey.reset_at is not None for passkey in desk.record("blue").passkeys}
    assert left == {"a.example": False, "b.example": True}


def test_a_key_that_answers_was_not_reset_after_all(desk, person, scan):
    record = desk.know("blue", pin=True)
    desk.put(replace(record, state=KeyState.RESET))
    scan(person(pins=[PIN]))
    after = desk.record("blue")
    assert after.state is KeyState.ACTIVE
    assert "state" in after.changed


def test_a_lost_key_stays_lost_until_a_person_says_otherwise(desk, person, scan):
    desk.put(replace(desk.know("blue", pin=True), state=KeyState.LOST))
    scan(person(pins=[PIN]))
    assert desk.record("blue").state is KeyState.LOST


def test_a_locked_key_is_read_when_its_pin_has_said_which_one_it_is(desk, person, scan):
    desk.know("blue", pin=True)
    desk.sign_up("blue", "a.example")
    desk.always_uv("blue")
    who = person(pins=[PIN])
    report, errors = scan(who)
    assert [request.key for request in who.requests] == ["virtual:blue"]
    assert [(key.key.name, key.passkeys) for key in report.keys] == [("blue", 1)]
    assert (report.unknown_keys, errors) == ((), [])


def test_a_locked_key_whose_pin_is_wrong_stays_unknown(desk, person, scan):
    desk.know("blue", pin=True)
    desk.always_uv("blue")
    before = desk.files()
    report, errors = scan(person(pins=["wrong pin"]))
    assert (report.keys, [key.selector for key in report.unknown_keys]) == ((), ["virtual:blue"])
    assert errors == [("virtual:blue", "pin_wrong")]
    assert desk.files() == before


def test_a_key_whose_record_was_changed_is_read_when_a_person_confirms_it(desk, person, scan):
    record = desk.know("blue", pin=True)
    local_state.write_pin(desk.home / "state", record.id, b"another")
    before = desk.files()
    who = person(pins=[PIN], attended=False)
    report, errors = scan(who)
    assert (report.keys, errors, who.requests) == ((), [("blue", "recognition_changed")], [])
    assert desk.files() == before
    who = person(pins=[PIN])
    report, errors = scan(who)
    assert "is not the one first seen on this computer" in who.asked[0]
    assert ([key.passkeys for key in report.keys], errors) == ([0], [])


def test_a_changed_record_of_a_key_without_a_pin_wants_confirming_too(desk, person, scan):
    record = desk.know("blue")
    local_state.write_pin(desk.home / "state", record.id, b"another")
    report, errors = scan(person(attended=False))
    assert (report.keys, errors) == ((), [("blue", "recognition_changed")])
    report, errors = scan(person())
    assert (len(report.keys), errors) == (1, [])


def test_a_changed_record_of_a_u2f_key_shows_with_the_touch(desk, person, scan):
    record = desk.know("old", profile="u2f")
    own, key = desk.register("old", "ssh:")
    local_state.write_pin(desk.home / "state", record.id, b"another")
    before = desk.files()
    report, errors = scan(person(attended=False), findings=found(from_file(own, key)))
    assert (report.keys, errors) == ((), [("old", "recognition_changed")])
    assert desk.files() == before
    report, errors = scan(person(), findings=found(from_file(own, key)))
    assert ([one.registrations for one in report.keys], errors) == ([1], [])


def test_one_key_in_two_places_is_read_once(desk, person, scan):
    desk.know("blue", "one", pin=True)
    desk.new("two")
    (desk.folder / "two.json").write_bytes((desk.folder / "one.json").read_bytes())
    who = person(pins=[PIN])
    report, errors = scan(who)
    assert ([key.key.selector for key in report.keys], errors) == (["virtual:one"], [])
    assert (who.keys_wanting_pins, len(who.requests)) == (1, 1)


def test_a_counter_that_went_back_is_said_and_the_key_read(desk, person, scan):
    desk.know("blue", pin=True)
    desk.set("blue", "counter=50")
    desk.seen("blue")
    desk.set("blue", "counter=0")
    report, errors = scan(person(pins=[PIN]))
    assert "went back" in report.remarks[0]
    assert (len(report.keys), errors) == (1, [])


def test_keyctls_own_credentials_are_no_passkeys_of_a_site(desk, person, scan):
    desk.know("blue", pin=True)
    desk.sign_up("blue", "keyctl.invalid")
    report, _ = scan(person(pins=[PIN]))
    [scanned] = report.keys
    assert (scanned.passkeys, scanned.added) == (0, ())
    assert desk.record("blue").passkeys == ()


def test_a_damaged_inventory_is_told_before_any_key_is_asked(two, person, scan):
    (two.home / "keys" / "x.json").write_text("{}")
    two.set("blue", "fault=1:pulled")
    with pytest.raises(StoreError):
        scan(person())
    assert keys.get(two.folder, "blue").plugged


def test_a_key_that_is_renamed_while_it_is_read_keeps_what_was_found(two, person, scan):
    who = person(pins=[PIN, PIN])

    class Renaming(person):
        def pin(self, request):
            if request.key == "blue":
                notes = naming.Notes()
                naming.edit(two.circumstances(who), "blue", notes, new_name="blau", dry_run=False)
            else:
                forgetting.forget(two.circumstances(who), "green", dry_run=False)
            return PIN

    report, errors = scan(Renaming())
    assert errors == [("green", "name_not_found")]
    assert [key.passkeys for key in report.keys] == [1]
    assert len(two.record("blau").passkeys) == 1
    assert [key.name for key in two.inventory.keys] == ["blau"]


def test_an_inventory_that_is_damaged_while_keys_are_read_is_an_error_for_each(two, person, scan):
    class Meddling(person):
        def pin(self, request):
            (two.home / "keys" / f"{request.key}.json").write_text("{}")
            return PIN

    before = two.files()
    report, errors = scan(Meddling())
    assert (report.keys, errors) == ((), [("blue", "store_unreadable"), ("green", "store_unreadable")])
    assert {path: content for path, content in two.files().items() if path in before} == before


def test_no_key_is_asked_for_anything_after_its_turn(two, person, scan):
    """A scan asks nothing of keys without a name but who they are."""
    two.new("red", "small")
    two.set("red", "fault=3:pulled")
    scan(person(pins=[PIN, PIN]))
    assert keys.get(two.folder, "red").plugged


def test_a_key_that_is_replaced_while_it_is_read_is_not_noted_for_the_new_one(desk, person, scan):
    """Another process gives its name, and with it its record, to another key."""
    desk.know("blue", pin=True)
    desk.sign_up("blue", "example.com")

    class Replacing(person):
        def pin(self, request):
            assert request.key == "blue"
            desk.add("blue", desk.new("other"), replacing=True)
            return PIN

    report, errors = scan(Replacing())
    assert (report.keys, errors) == ((), [("blue", "name_not_found")])
    assert desk.record("blue").passkeys == ()
