"""A key is lost: it is marked, the steps are told and ticked off, and it may be found again."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import pytest

from keyctl.core.inventory import Recovery
from keyctl.core.loss_steps import StepKind
from keyctl.errors import DeclinedError, NotFoundError, UsageError
from keyctl.model import KeyState, Role
from keyctl.operations import inventory_files, losing, naming, promoting, sheets
from keyctl.operations.unfinished_losses import open_steps
from keyctl.store import files, loss_records
from keyctl.store import inventory as store
from keyctl.virtual import keys

from ..core.coverage_parts import SEEN_AT, key, pairing, passkey, service  # noqa: TID252  # found by path: there is no package to name
from .pairs import with_keys


@pytest.fixture
def two(desk):
    """Two keys that were read; blue opens what green does not."""
    desk.put(
        key("blue", passkey("bank.example"), passkey("github.com")),
        key("green", passkey("github.com")),
        service("Bank", recovery=[Recovery.CODES], on=["blue"]),
    )
    return desk


def lose(desk, person, name="blue", **options):
    return lose_with_errors(desk, person, name, **options)[0]


def lose_with_errors(desk, person, name="blue", **options):
    ticks = losing.Ticks(done=tuple(options.pop("done", ())), not_done=tuple(options.pop("not_done", ())))
    wanted = options.pop("wanted", None)
    return losing.lose(desk.circumstances(person, wanted), name, ticks=ticks, **options)


def of_kind(loss, kind):
    return [step for step in loss.steps if step.kind is kind]


def test_the_key_is_marked_with_the_time_and_the_steps_are_told(two, person):
    loss = lose(two, person())
    record = two.record("blue")
    assert record.state is KeyState.LOST
    assert loss.lost_at == record.changed["state"]
    assert loss.changed
    assert loss.key is not None
    assert loss.key.state is KeyState.LOST
    assert not loss.plugged_in
    [recover] = of_kind(loss, StepKind.RECOVER)
    [revoke] = of_kind(loss, StepKind.REVOKE)
    assert (recover.service, revoke.key) == ("Bank", "green")


def test_once_more_nothing_changes(two, person):
    first = lose(two, person())
    before = two.files()
    again = lose(two, person())
    assert two.files() == before
    assert replace(again, changed=True) == first


def test_a_dry_run_shows_the_same_steps_and_changes_nothing(two, person):
    before = two.files()
    shown = lose(two, person(), dry_run=True, with_computer=True)
    assert two.files() == before
    assert not (two.home / "lost").exists()
    assert not shown.changed
    real = lose(two, person(), with_computer=True)
    assert [step.id for step in shown.steps] == [step.id for step in real.steps]


def test_nothing_is_asked_and_no_key_is_needed(two, person):
    who = person()
    lose(two, who)
    assert not who.asked
    assert not who.requests


def test_a_step_is_ticked_off_and_taken_back(two, person):
    first = lose(two, person())
    step = first.steps[0]
    ticked = lose(two, person(), done=[step.id[:6]])
    assert ticked.changed
    assert ticked.steps[0].done
    assert ticked.steps[0].done_at is not None
    assert loss_records.read(two.home, two.record("blue").id).done == {step.id: ticked.steps[0].done_at}
    assert not lose(two, person(), done=[step.id]).changed
    undone = lose(two, person(), not_done=[step.id])
    assert not undone.steps[0].done


def test_a_tick_in_a_dry_run_is_only_shown(two, person):
    step = lose(two, person()).steps[0]
    assert lose(two, person(), done=[step.id], dry_run=True).steps[0].done
    assert not lose(two, person()).steps[0].done


def test_a_computer_that_is_gone_stays_gone(two, person):
    assert lose(two, person(), with_computer=True).steps[0].kind is StepKind.COMPUTER
    step = lose(two, person()).steps[0]
    assert step.kind is StepKind.COMPUTER
    assert lose(two, person(), done=[step.id]).steps[0].done


def test_a_step_that_is_none_or_several_changes_nothing(two, person):
    lose(two, person())
    before = two.files()
    for text in ("0" * 10, "12345", "", "zzzzzz"):
        with pytest.raises(NotFoundError) as failure:
            lose(two, person(), done=[text])
        assert failure.value.code == "step_not_found"
    step = lose(two, person()).steps[0]
    with pytest.raises(UsageError):
        lose(two, person(), done=[step.id], not_done=[step.id[:7]])
    assert two.files() == before
    assert not (two.home / "lost").exists()


def test_a_wrong_step_is_refused_before_the_key_is_marked(two, person):
    before = two.files()
    with pytest.raises(NotFoundError):
        lose(two, person(), done=["ffffffffff"])
    assert two.files() == before


def test_a_name_that_is_not_known_says_what_to_do(two, person):
    with pytest.raises(NotFoundError) as failure:
        lose(two, person(), "blu")
    assert failure.value.code == "name_not_found"
    assert "known are blue, green" in str(failure.value.hint)
    assert "keyctl lost blu --from FILE" in str(failure.value.hint)


def test_where_keys_are_known_none_is_chosen(two, person):
    with pytest.raises(UsageError):
        lose(two, person(), wanted="green")


def all_files(desk):
    return {path: path.read_bytes() for path in desk.home.rglob("*") if path.is_file() and path.name != ".lock"}


def test_where_what_was_ticked_off_cannot_be_read_the_plan_is_told_without(two, person):
    before = lose(two, person(), with_computer=True)
    step = before.steps[-1]
    lose(two, person(), done=[step.id])
    path = two.home / "lost" / f"{two.record('blue').id}.json"
    path.write_text("{}")
    kept = all_files(two)
    loss, [error] = lose_with_errors(two, person(), done=[step.id], with_computer=True)
    assert (error.code, error.details.file) == ("store_unreadable", str(path))
    assert loss.steps == before.steps
    assert loss.lost_at == before.lost_at
    assert not loss.changed
    assert "nothing was noted" in loss.remarks[0]
    assert all_files(two) == kept
    found, [same] = losing.find_again(two.circumstances(person()), "blue", dry_run=False)
    assert found.changed
    assert same.details.file == str(path)
    assert two.record("blue").state is KeyState.ACTIVE
    assert path.read_text() == "{}"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_damaged_file_of_the_inventory_keeps_nobody_from_the_plan(two, person, dry_run):
    whole = lose(two, person(), dry_run=True)
    path = two.home / "services" / "0123456789abcdef.json"
    path.write_text("{}")
    kept = all_files(two)
    loss, [error] = lose_with_errors(two, person(), dry_run=dry_run, with_computer=True)
    assert error.details.file == str(path)
    assert [step for step in loss.steps if step.kind is not StepKind.COMPUTER] == list(whole.steps)
    assert loss.steps[0].kind is StepKind.COMPUTER
    assert (loss.changed, loss.lost_at) == (False, None)
    assert any("nothing was noted" in remark for remark in loss.remarks) is not dry_run
    with pytest.raises(NotFoundError):
        lose(two, person(), "blu", dry_run=dry_run)
    assert all_files(two) == kept


def test_where_the_record_of_the_lost_key_is_damaged_there_is_a_general_plan(two, person):
    path = two.home / "keys" / f"{two.record('blue').id}.json"
    path.write_text("{}")
    loss, [error] = lose_with_errors(two, person())
    assert error.details.file == str(path)
    assert loss.key is None
    # What is known of the other key is told all the same.
    [github] = [step for step in of_kind(loss, StepKind.REVOKE) if step.rp_id == "github.com"]
    assert github.key == "green"


def test_a_key_is_marked_though_its_ticks_cannot_be_noted_and_that_is_told(two, person):
    step = lose(two, person(), dry_run=True).steps[0]
    (two.home / "lost").symlink_to("nowhere")
    loss, [error] = lose_with_errors(two, person(), done=[step.id])
    assert error.code == "store_unwritable"
    assert loss.steps[0].id == step.id
    assert not loss.steps[0].done
    assert loss.changed
    assert loss.lost_at == two.record("blue").changed["state"]
    assert loss.remarks == ()


def test_while_another_process_writes_the_plan_is_told_and_nothing_is_noted(two, person):
    kept = all_files(two)
    with files.lock_folder(two.home):
        loss, [error] = lose_with_errors(two, person(), with_computer=True)
        assert error.code == "store_locked"
        assert loss.steps[0].kind is StepKind.COMPUTER
        assert (loss.changed, loss.lost_at) == (False, None)
    assert all_files(two) == kept
    lose(two, person())
    with files.lock_folder(two.home):
        # Where there is nothing to note, nobody is in the way.
        assert lose_with_errors(two, person())[1] == ()


def test_where_nothing_can_be_written_the_plan_is_told(two, person):
    # Like a folder on a read-only disk, also for root.
    (two.home / ".lock").unlink(missing_ok=True)
    (two.home / ".lock").mkdir()
    loss, [error] = lose_with_errors(two, person())
    assert error.code == "store_unwritable"
    assert of_kind(loss, StepKind.RECOVER)
    assert two.record("blue").state is KeyState.ACTIVE


def test_a_key_that_was_reset_stays_so(two, person):
    two.put(replace(two.record("blue"), state=KeyState.RESET, changed={"state": SEEN_AT}))
    loss = lose(two, person())
    assert two.record("blue").state is KeyState.RESET
    assert loss.lost_at is None
    assert not loss.changed
    assert "was reset" in loss.remarks[0]


def test_a_lost_key_that_is_plugged_in_is_not_lost(desk, person):
    desk.know("blue")
    loss = lose(desk, person())
    assert loss.plugged_in
    assert loss.key is not None
    assert (loss.key.connected, loss.key.selector, loss.key.state) == (True, "virtual:blue", KeyState.LOST)
    assert loss.remarks == ("blue is plugged in, so it is not lost: `keyctl found blue` takes that back",)
    keys.unplug(desk.folder, "blue")
    assert not lose(desk, person()).plugged_in


def test_health_is_told_what_is_left_to_do(two, person):
    circumstances = two.circumstances(person())
    assert open_steps(circumstances, two.inventory, two.record("blue")) == ((), None)
    loss = lose(two, person(), with_computer=True)
    left = open_steps(circumstances, two.inventory, two.record("blue"))
    assert left == (loss.steps, None)
    lose(two, person(), done=[left.steps[0].id])
    assert open_steps(circumstances, two.inventory, two.record("blue")) == (loss.steps[1:], None)
    assert open_steps(circumstances, two.inventory, two.record("green")) == ((), None)


def test_a_key_that_is_found_counts_again_and_what_was_done_is_told(two, person):
    loss = lose(two, person())
    [revoke] = of_kind(loss, StepKind.REVOKE)
    [buy] = of_kind(loss, StepKind.BUY)
    lose(two, person(), done=[revoke.id, buy.id])
    shown, _ = losing.find_again(two.circumstances(person()), "blue", dry_run=True)
    assert two.record("blue").state is KeyState.LOST
    found, errors = losing.find_again(two.circumstances(person()), "blue", dry_run=False)
    assert two.record("blue").state is KeyState.ACTIVE
    assert two.record("blue").changed["state"] >= str(loss.lost_at)
    assert errors == ()
    assert found.changed
    assert [step.id for step in found.revoked] == [step.id for step in shown.revoked] == [revoke.id]
    assert found.retired == ()
    assert not list((two.home / "lost").iterdir())
    # A second loss begins anew.
    assert not any(step.done_at for step in lose(two, person()).steps)


@pytest.fixture
def other(two, person, tmp_path):
    """Another computer, which has taken in what this one knows."""
    circumstances = replace(two.circumstances(person()), home=tmp_path / "new", state=tmp_path / "new" / "state")
    inventory_files.import_content(circumstances, *exported(two.circumstances(person())), dry_run=False)
    return circumstances


def exported(circumstances):
    made = inventory_files.export(circumstances, None, with_owner=True, with_location=True, dry_run=False)
    assert made.content is not None
    return made.content.encode(), "keys.json"


def test_a_loss_begins_anew_whatever_became_of_the_earlier_one(two, person):
    lose(two, person(), with_computer=True)
    lost = two.record("blue")
    # As another computer says it, which knows nothing of what was done here.
    two.put(replace(lost, state=KeyState.ACTIVE))
    for dry_run in (True, False):
        again = lose(two, person(), dry_run=dry_run)
        assert not again.with_computer
        assert not of_kind(again, StepKind.COMPUTER)
    assert not lose(two, person()).with_computer


def test_ticks_stay_where_another_computer_marks_the_same_loss_later(two, person, other):
    step = lose(two, person()).steps[0]
    lose(two, person(), done=[step.id])
    later = "2999-01-01T00:00:00Z"
    known = store.read(other.home).key_named("blue")
    with store.changing(other.home, 0) as changes:
        changes.put_key(replace(known, state=KeyState.LOST, changed={"state": later}))
    loss, errors = lose_with_errors(two, person(), sources=[exported(other)])
    assert (loss.lost_at, errors) == (later, ())
    assert [one.id for one in loss.steps if one.done] == [step.id]
    assert [one.id for one in lose(two, person()).steps if one.done] == [step.id]


def test_what_was_ticked_off_after_an_earlier_loss_is_not_done_after_this_one(two, person, other):
    step = lose(two, person()).steps[0]
    earlier = loss_records.LossRecord(key_id=two.record("blue").id, done={step.id: SEEN_AT})
    loss_records.change(two.home, earlier.key_id, lambda _record: earlier)
    assert lose(two, person()).steps[0].done
    # Found elsewhere, and lost again, before this computer hears of either.
    losing.lose(other, "blue")
    losing.find_again(other, "blue", dry_run=False)
    losing.lose(other, "blue")
    lose(two, person(), sources=[exported(other)])
    assert not lose(two, person()).steps[0].done
    circumstances = two.circumstances(person())
    assert step.id in [one.id for one in open_steps(circumstances, two.inventory, two.record("blue")).steps]
    assert lose(two, person(), done=[step.id]).steps[0].done


def test_a_tick_counts_where_the_clock_of_the_other_computer_is_ahead(two, person):
    two.put(replace(two.record("blue"), state=KeyState.LOST, changed={"state": "2999-01-01T00:00:00Z"}))
    step = lose(two, person()).steps[0]
    assert lose(two, person(), done=[step.id]).steps[0].done
    assert lose(two, person()).steps[0].done


def test_a_key_that_is_not_lost_is_not_found(two, person):
    before = two.files()
    assert not losing.find_again(two.circumstances(person()), "blue", dry_run=False)[0].changed
    assert two.files() == before
    with pytest.raises(NotFoundError):
        losing.find_again(two.circumstances(person()), "red", dry_run=False)


def test_from_the_loss_of_a_primary_key_to_the_promotion_and_back(pairs, person):
    desk = pairs.desk
    desk.put(with_keys(pairs.paired(), "ssh:home", now=SEEN_AT, handed_over_at=SEEN_AT))
    keys.unplug(desk.folder, "blue")
    loss = lose(desk, person())
    [promote] = of_kind(loss, StepKind.PROMOTE)
    [step] = of_kind(loss, StepKind.DERIVED)
    assert promote.commands == ("keyctl recover promote green",)
    promoting.promote(pairs.circumstances(pairs.person()), "green", dry_run=False)
    promoting.mark_replaced(pairs.circumstances(pairs.person()), "green", ["ssh:home"], dry_run=False)
    after = lose(desk, person())
    assert {one.id for one in after.steps if one.done} == {promote.id, step.id}
    found, _ = losing.find_again(desk.circumstances(person()), "blue", dry_run=False)
    assert found.retired == ("blue/green",)
    assert found.primary == "green"
    assert desk.record("green").role is Role.PRIMARY
    assert desk.inventory.pairings[0].retired_at is not None


def test_on_a_new_computer_an_exported_inventory_is_taken_in(two, person, tmp_path):
    circumstances = two.circumstances(person())
    content = inventory_files.export(circumstances, None, with_owner=True, with_location=True, dry_run=False).content
    assert content is not None
    other = replace(circumstances, home=tmp_path / "new", state=tmp_path / "new" / "state")
    source = [(content.encode(), "keys.json")]
    shown, _ = losing.lose(other, "blue", sources=source, dry_run=True)
    assert not (tmp_path / "new").exists()
    with pytest.raises(NotFoundError):
        losing.lose(other, "red", sources=source)
    assert not (tmp_path / "new").exists()
    loss, errors = losing.lose(other, "blue", sources=source)
    assert errors == ()
    found = store.read(other.home)
    assert [known.name for known in found.keys] == ["blue", "green"]
    assert found.keys[0].state is KeyState.LOST
    # What was ticked off on one computer is the same step on the other.
    assert [step.id for step in loss.steps] == [step.id for step in lose(two, person()).steps]
    assert [step.id for step in shown.steps] == [step.id for step in loss.steps]


def test_what_was_taken_in_is_a_change_though_the_key_was_lost_there_already(two, person, tmp_path):
    step = lose(two, person()).steps[0]
    source = exported(two.circumstances(person()))
    other = replace(two.circumstances(person()), home=tmp_path / "new", state=tmp_path / "new" / "state")
    other.home.mkdir()
    (other.home / "lost").symlink_to("nowhere")
    loss, [error] = losing.lose(other, "blue", sources=[source], ticks=losing.Ticks(done=(step.id,)))
    assert error.code == "store_unwritable"
    assert (loss.changed, loss.remarks) == (True, ())
    assert [known.name for known in store.read(other.home).keys] == ["blue", "green"]
    again, errors = losing.lose(other, "blue", sources=[source])
    assert (again.changed, errors) == (False, ())


def test_where_the_loss_cannot_be_noted_after_a_file_was_taken_in_that_is_told(two, person, tmp_path):
    source = exported(two.circumstances(person()))
    other = replace(two.circumstances(person()), home=tmp_path / "new", state=tmp_path / "new" / "state")

    def stop_writing(_frame, event, function):
        """As soon as the services, which come last, are written, nobody can write any more."""
        if event == "c_return" and function is os.replace and any((other.home / "services").glob("*.json")):
            sys.setprofile(None)
            (other.home / ".lock").unlink()
            (other.home / ".lock").mkdir()

    sys.setprofile(stop_writing)
    try:
        loss, [error] = losing.lose(other, "blue", sources=[source])
    finally:
        sys.setprofile(None)
    assert error.code == "store_unwritable"
    assert (loss.changed, loss.lost_at) == (True, None)
    assert "that blue is lost was not noted; " in loss.remarks[0]
    assert store.read(other.home).key_named("blue").state is KeyState.ACTIVE


def test_a_file_that_makes_no_sense_changes_nothing(two, person):
    before = two.files()
    for content in (b"", b"[]", json.dumps({"schema": "keyctl-inventory/1", "keys": [1]}).encode()):
        with pytest.raises(UsageError) as failure:
            lose(two, person(), sources=[(content, "keys.json")])
        assert failure.value.code == "import_unreadable"
    assert two.files() == before


def test_where_nothing_is_known_the_backup_key_is_read(desk, person):
    selector = desk.new("green", "arkg")
    desk.set_pin("green")
    desk.sign_up("green", "github.com")
    who = person(pins=["123456"])
    loss, errors = losing.lose(desk.circumstances(who), "blue")
    assert errors == ()
    assert loss.key is None
    assert not loss.changed
    assert loss.read == selector
    [revoke] = of_kind(loss, StepKind.REVOKE)
    assert (revoke.service, revoke.account, revoke.key) == ("GitHub", "kim", selector)
    assert not (desk.home / "keys").exists()
    assert not (desk.home / "lost").exists()


def test_a_key_whose_pairing_was_restored_from_the_backup_gets_the_general_plan_too(pairs, person):
    pairs.paired()
    keys.unplug(pairs.desk.folder, "blue")
    with store.changing(pairs.desk.home, 0) as changes:
        changes.remove_key(changes.inventory.key_named("blue").id)
    pairs.desk.sign_up("green", "github.com")
    loss, errors = losing.lose(pairs.desk.circumstances(person(pins=["123456"])), "blue")
    assert errors == ()
    assert (loss.key, loss.changed, loss.read) == (None, False, "green")
    assert [one.service for one in of_kind(loss, StepKind.REVOKE)] == ["GitHub"]
    assert loss.remarks == (
        "no key blue is known here, so it is marked nowhere; this is what to do after any loss",
        "if blue was the primary key of green, put green in its place: `keyctl recover promote green`",
    )
    with pytest.raises(UsageError):
        losing.lose(pairs.desk.circumstances(person()), "blue", ticks=losing.Ticks(done=("0123456789",)))
    keys.unplug(pairs.desk.folder, "green")
    lose(pairs.desk, person(), "green")
    # Nobody puts a key that is lost, too, in the place of another.
    assert not any("recover promote" in remark for remark in lose(pairs.desk, person()).remarks)


def test_where_nothing_is_known_and_no_key_is_there_the_plan_is_told_all_the_same(desk, person):
    loss, errors = losing.lose(desk.circumstances(person()), "blue", with_computer=True)
    assert errors == ()
    assert loss.read is None
    assert loss.steps[0].kind is StepKind.COMPUTER
    assert len({step.id for step in loss.steps}) == len(loss.steps)
    assert len(loss.remarks) == 2
    assert not desk.home.joinpath("keys").exists()


@pytest.mark.parametrize("profile", ["u2f", "fido2.0"])
def test_a_backup_key_that_cannot_list_says_so(desk, person, profile):
    selector = desk.new("green", profile)
    loss, errors = losing.lose(desk.circumstances(person()), "blue")
    assert errors == ()
    assert loss.remarks[1] == f"{selector} cannot list what it opens"
    assert loss.read is None


def test_a_wrong_pin_is_an_error_and_the_plan_is_told_all_the_same(desk, person):
    desk.new("green")
    desk.set_pin("green")
    loss, [error] = losing.lose(desk.circumstances(person(pins=["654321"])), "blue")
    assert error.code == "pin_wrong"
    assert of_kind(loss, StepKind.RECOVER)
    assert desk.tries("green") == 7


def test_after_the_backup_key_got_its_name_on_a_new_computer_the_plan_is_still_there(desk, person):
    selector = desk.new("green")
    desk.set_pin("green")
    desk.sign_up("green", "github.com")
    before, _ = losing.lose(desk.circumstances(person(pins=["123456"])), "blue")
    naming.add(
        desk.circumstances(person(pins=["123456"]), selector),
        "bk",
        naming.Notes(role="backup"),
        replacing=False,
        dry_run=False,
    )
    after, errors = losing.lose(desk.circumstances(person(pins=["123456"])), "blue")
    assert errors == ()
    assert {step.id for step in after.steps} == {step.id for step in before.steps}
    assert {step.kind for step in after.steps if step.done} == {StepKind.ORIENT}
    assert of_kind(after, StepKind.REVOKE)[0].key == "bk"
    assert of_kind(after, StepKind.BUY)[0].text.startswith("bk is the only key left")
    assert of_kind(after, StepKind.PAIR)[0].commands == ("keyctl pair create bk NEW",)
    desk.new("red")
    both, errors = losing.lose(desk.circumstances(person()), "blue")
    assert errors == ()
    assert any("choose one with -k" in remark for remark in both.remarks)
    keys.unplug(desk.folder, "red")
    keys.unplug(desk.folder, "green")
    absent, _ = losing.lose(desk.circumstances(person()), "blue")
    assert of_kind(absent, StepKind.PAIR)


def test_a_typing_error_beside_the_primary_key_or_one_without_a_role_is_no_lost_key(desk, person):
    backup = replace(key("green"), role=Role.BACKUP)
    for other in (
        key("blue"),
        replace(key("blue"), role=Role.PRIMARY),
        replace(key("blue", state=KeyState.LOST, changed={"state": SEEN_AT}), role=Role.SPARE),
    ):
        desk.put(backup, other)
        with pytest.raises(NotFoundError) as failure:
            lose(desk, person(), "bleu")
        assert failure.value.code == "name_not_found"
    desk.put(replace(key("blue"), role=Role.SPARE))
    assert lose(desk, person(), "bleu").key is None
    desk.put(pairing("blue", "green"))
    with pytest.raises(NotFoundError):
        lose(desk, person(), "bleu")


@pytest.mark.parametrize("name", ["", " ", "usb:1"])
def test_a_name_that_no_key_can_have_gets_no_plan(desk, person, name):
    with pytest.raises(UsageError) as failure:
        lose(desk, person(), name)
    assert failure.value.code == "name_invalid"


def test_a_person_without_the_pin_gets_the_plan(desk, person):
    class Without(type(person())):
        def pin(self, _request):
            raise DeclinedError("declined", "nothing was changed")

    selector = desk.new("green")
    desk.set_pin("green")
    loss, errors = losing.lose(desk.circumstances(Without()), "blue")
    assert errors == ()
    assert f"{selector} was not read, as no PIN was given" in loss.remarks
    assert of_kind(loss, StepKind.RECOVER)


def test_without_any_known_key_nothing_can_be_ticked_off(desk, person):
    with pytest.raises(UsageError):
        lose(desk, person(), done=["0123456789"])


def test_a_sheet_tells_what_the_inventory_knows(pairs, person):
    desk = pairs.desk
    pairs.paired()
    naming.edit(
        desk.circumstances(person()),
        "green",
        naming.Notes(role="backup", location="the safe"),
        new_name=None,
        dry_run=False,
    )
    desk.put(replace(desk.record("green"), passkeys=(passkey("github.com"),)))
    before = desk.files()

    def told(name="green", *, markdown=True, with_accounts=False):
        made = sheets.sheet(desk.circumstances(person()), name, markdown=markdown, with_accounts=with_accounts)
        assert made.name == name
        return made.content

    plain = told()
    assert "- Kept at: the safe" in plain
    assert "When blue is lost" in plain
    assert "github" not in plain.lower()
    assert "GitHub (kim), github.com: <https://github.com/settings/security>" in told(with_accounts=True)
    assert told(markdown=False).startswith("<!doctype html>")
    lose(desk, person(), "green")
    assert "**This key is marked as lost.**" in told()
    assert "When green is lost" not in told("blue")
    with pytest.raises(NotFoundError):
        sheets.sheet(desk.circumstances(person()), "red", markdown=True, with_accounts=False)
    assert {name for name, content in desk.files().items() if before[name] != content} == {
        f"keys/{desk.record('green').id}.json"
    }
