"""keyctl and a person at a terminal: what is asked there, what is shown, and how both end."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import time

import pytest

from keyctl.cli.terminal import Person
from keyctl.errors import DeclinedError, UsageError

from .terminal import CTRL_C, CTRL_D

PROMPT = "PIN for virtual:blue (8 tries left): "
NEW = "New PIN for virtual:blue (at least 4 characters): "


@pytest.mark.usefixtures("blue")
def test_prompt_names_the_key_and_the_tries_and_shows_nothing_typed(at_terminal, virtual):
    screen = at_terminal("pin", "verify")
    screen.expect(PROMPT)
    assert not screen.echoes
    screen.type(f"{virtual.PIN}\n")
    assert screen.end() == 0
    assert screen.text == f"{PROMPT}\nvirtual:blue took the PIN\n"
    assert screen.echoes


def test_new_pin_is_asked_for_twice(at_terminal, virtual):
    virtual.new(pin=None)
    screen = at_terminal("pin", "set")
    screen.expect(NEW)
    screen.type("4711-x\n")
    screen.expect("The same again: ")
    screen.type("4711-x\n")
    assert screen.end() == 0
    assert "4711-x" not in screen.text
    assert virtual.takes("4711-x")


@pytest.mark.usefixtures("blue")
def test_pin_from_a_file_goes_to_a_named_key_only(at_terminal, pin_file):
    screen = at_terminal("pin", "verify", "--pin-file", pin_file(), "--json")
    assert screen.end() == 4
    assert "add --key virtual:blue" in screen.text


def test_two_new_pins_that_differ_are_not_sent(at_terminal, virtual):
    virtual.new(pin=None)
    screen = at_terminal("pin", "set", "--verbose")
    for _ in range(3):
        screen.expect(NEW)
        screen.type("first-1\n")
        screen.expect("The same again: ")
        screen.type("second-2\n")
        screen.expect("the two are not the same; nothing was sent to the key")
    assert screen.end() == 4
    assert "first-1" not in screen.text
    assert not virtual.has_pin()


def test_new_pin_that_the_key_would_refuse_is_asked_for_anew_before_it_is_typed_twice(at_terminal, virtual):
    virtual.new(pin=None)
    screen = at_terminal("pin", "set", "--verbose")
    for pin, told in (("123", "the new PIN has 3 characters, fewer than 4"), ("x" * 64, "more than 63")):
        screen.expect(NEW)
        screen.type(f"{pin}\n")
        screen.expect(f"{told}; nothing was sent to the key\n")
    for prompt in (NEW, "The same again: "):
        screen.expect(prompt)
        screen.type("4711-x\n")
    assert screen.end() == 0
    assert screen.text.count("The same again: ") == 1
    assert virtual.takes("4711-x")


def test_new_pin_that_the_key_would_refuse_is_asked_for_three_times(at_terminal, virtual):
    virtual.new(pin=None)
    screen = at_terminal("pin", "set")
    for _ in range(3):
        screen.expect(NEW)
        screen.type("123\n")
    assert screen.end() == 4
    assert screen.text.count("The same again: ") == 0
    assert screen.text.endswith("characters, and at most 63 bytes in UTF-8\n")
    assert not virtual.has_pin()


@pytest.mark.usefixtures("blue")
def test_changing_asks_for_the_current_pin_and_then_for_the_new_one(at_terminal, virtual):
    screen = at_terminal("pin", "change")
    for prompt, pin in ((PROMPT, virtual.PIN), (NEW, "98765"), ("The same again: ", "98765")):
        screen.expect(prompt)
        screen.type(f"{pin}\n")
    assert screen.end() == 0
    assert virtual.takes("98765")


@pytest.mark.usefixtures("blue")
def test_wrong_pin_at_the_prompt_costs_one_try_and_is_not_asked_for_again(at_terminal, virtual):
    screen = at_terminal("passkeys", "list")
    screen.expect(PROMPT)
    screen.type("654321\n")
    screen.expect("keyctl: error: wrong PIN for virtual:blue (7 tries left)\nkeyctl: hint: ")
    assert screen.end() == 4
    assert virtual.tries() == 7


def test_last_tries_are_spent_by_a_person_only(at_terminal, virtual, blue, pin_file):
    virtual.spend(2)
    # A PIN from a file is nobody's decision, even at a terminal.
    screen = at_terminal("pin", "verify", "-k", blue, "--pin-file", pin_file(), "--json")
    assert screen.end() == 4
    assert '"code": "pin_last_tries"' in screen.text
    screen = at_terminal("pin", "verify")
    screen.expect("PIN for virtual:blue (2 tries left): ")
    screen.type(f"{virtual.PIN}\n")
    assert screen.end() == 0
    assert virtual.tries() == 8


@pytest.mark.parametrize(("keys", "status"), [(CTRL_C, 130), (CTRL_D, 11), ("\n", 4), (b"\xff\xfe12345\n", 4)])
@pytest.mark.usefixtures("blue")
def test_no_pin_at_the_prompt_costs_nothing_and_leaves_the_terminal_as_it_was(at_terminal, virtual, keys, status):
    screen = at_terminal("pin", "verify", "--json")
    screen.expect(PROMPT)
    screen.type(keys)
    assert screen.end() == status
    assert screen.echoes
    # The error is on a line of its own, whatever ended the prompt.
    assert f"{PROMPT}\n" in screen.text
    assert "Traceback" not in screen.text
    [document] = [line for line in screen.text.split("\n") if line.startswith("{")]
    assert json.loads(document)["exit_status"] == status
    assert virtual.tries() == 8


@pytest.mark.usefixtures("blue")
def test_termination_at_the_prompt_restores_the_echo(at_terminal, virtual):
    screen = at_terminal("pin", "verify")
    screen.expect(PROMPT)
    screen.process.send_signal(signal.SIGTERM)
    assert screen.end() == 128 + signal.SIGTERM
    assert screen.echoes
    assert "Traceback" not in screen.text
    assert virtual.tries() == 8


@pytest.mark.parametrize(("command", "question"), [("pin verify", PROMPT), ("reset", "Type virtual:blue to go on: ")])
@pytest.mark.usefixtures("blue")
def test_terminal_that_goes_away_is_no_answer(at_terminal, virtual, command, question):
    screen = at_terminal(*command.split())
    screen.expect(question)
    screen.hang_up()
    assert screen.end() == 11
    assert virtual.tries() == 8


@pytest.mark.usefixtures("home")
def test_name_that_nobody_can_type_is_typed_as_it_is_shown(at_terminal, virtual, run):
    virtual.new("blue", pin=None)
    assert run("add", "a\nb").status == 0
    screen = at_terminal("reset")
    screen.expect("\nType a\\x0ab to go on: ")
    screen.type("a\\x0ab\n")
    assert screen.end() == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_wait_for_a_touch_lets_the_key_go(at_terminal, virtual, run, end):
    virtual.new("blue", "touch=never")
    screen = at_terminal("reset")
    screen.expect("Type virtual:blue to go on: ")
    screen.type("virtual:blue\n")
    screen.expect("touch virtual:blue now (30 s)")
    started = time.monotonic()
    if end == signal.SIGINT:
        screen.type(CTRL_C)
    else:
        screen.process.send_signal(end)
    assert screen.end() == (130 if end == signal.SIGINT else 128 + end)
    assert time.monotonic() - started < 3
    assert screen.echoes
    assert "Traceback" not in screen.text
    assert run("pin", "verify", "-k", "virtual:blue", "--pin-stdin", stdin=b"123456\n").status == 0


def test_touch_is_asked_for_before_it_is_waited_for(at_terminal, virtual):
    virtual.new("blue", "touch=never")
    screen = at_terminal("reset", "--confirm", "virtual:blue")
    screen.expect("touch virtual:blue now (30 s)")
    virtual.set("blue", "touch=now")
    assert screen.end() == 0
    assert not virtual.has_pin()


def test_touch_that_comes_late_is_waited_for(at_terminal, virtual):
    virtual.new("blue", "touch=after:0.5")
    screen = at_terminal("reset", "--confirm", "virtual:blue")
    assert screen.end() == 0
    assert screen.text == "touch virtual:blue now (30 s)\nvirtual:blue was erased\n"


def test_no_input_does_not_forbid_a_touch(at_terminal, virtual):
    virtual.new("blue", "touch=after:0.3")
    screen = at_terminal("reset", "--confirm", "virtual:blue", "--no-input", "--wait", "20")
    screen.expect("touch virtual:blue now (20 s)")
    assert screen.end() == 0


def test_wait_limits_the_wait_for_a_touch(at_terminal, virtual):
    virtual.new("blue", "touch=never")
    screen = at_terminal("reset", "--confirm", "virtual:blue", "--wait", "0.5")
    screen.expect("touch virtual:blue now (0.5 s)")
    started = time.monotonic()
    assert screen.end() == 5
    assert 0.3 < time.monotonic() - started < 3
    assert virtual.has_pin()


def test_no_wait_is_no_wait_at_a_terminal_too(at_terminal, virtual):
    virtual.new("blue", "touch=never")
    screen = at_terminal("reset", "--confirm", "virtual:blue", "--wait", "0")
    assert screen.end() == 5
    assert "touch virtual:blue now" not in screen.text


def test_refused_touch_is_told_from_a_missing_one(at_terminal, virtual):
    virtual.new("blue", "touch=refused")
    screen = at_terminal("reset", "--confirm", "virtual:blue")
    assert screen.end() == 5
    assert "keyctl: error: the touch was refused on virtual:blue\n" in screen.text


@pytest.mark.parametrize(
    ("answer", "status"), [("virtual:blue\n", 0), ("blue\n", 11), ("\n", 11), ("y\n", 11), (CTRL_D, 11), (CTRL_C, 130)]
)
@pytest.mark.usefixtures("blue")
def test_only_the_name_typed_back_erases_a_key(at_terminal, virtual, answer, status):
    screen = at_terminal("reset")
    screen.expect("This erases virtual:blue")
    screen.expect("Type virtual:blue to go on: ")
    assert screen.echoes
    screen.type(answer)
    assert screen.end() == status
    assert virtual.has_pin() is (status != 0)
    if status == 11:
        assert screen.text.endswith("\nkeyctl: error: nothing was changed\n")


@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 11), ("\n", 11), ("yess\n", 11), (CTRL_D, 11)]
)
@pytest.mark.usefixtures("blue")
def test_only_yes_deletes(at_terminal, virtual, answer, status):
    screen = at_terminal("virtual", "remove", "blue")
    screen.expect("Delete the virtual key blue and everything on it? [y/N] ")
    screen.type(answer)
    assert screen.end() == status
    assert (virtual.folder / "blue.json").exists() is (status != 0)


def test_passkeys_are_shown_before_the_question(at_terminal, virtual, blue, run, pin_file):
    first = virtual.make("bank.example", {"name": "kim"})
    screen = at_terminal("passkeys", "delete", "--rp", "bank.example", "--pin-file", pin_file(), "-k", blue)
    screen.expect(f"  kim at bank.example ({first[:16]})\nDelete this passkey from virtual:blue?")
    screen.type("n\n")
    assert screen.end() == 11
    listed = run("passkeys", "list", "-k", blue, "--pin-file", pin_file(), "--json")
    assert [passkey["credential_id"] for passkey in listed.document["data"]["passkeys"]] == [first]


@pytest.mark.parametrize("command", [("pin", "verify"), ("pin", "verify", "-k", "virtual:blue"), ("pin", "change")])
@pytest.mark.usefixtures("blue")
def test_no_input_asks_for_no_pin(at_terminal, virtual, command):
    screen = at_terminal(*command, "--no-input", "--json")
    assert screen.end() == 4
    assert '"code": "pin_required"' in screen.text
    assert "PIN for" not in screen.text
    assert virtual.tries() == 8


@pytest.mark.usefixtures("blue")
def test_no_input_asks_no_question(at_terminal, virtual):
    screen = at_terminal("reset", "--no-input")
    assert screen.end() == 2
    assert "Type" not in screen.text
    assert virtual.has_pin()


@pytest.mark.usefixtures("blue")
def test_prompt_is_there_while_stdout_is_a_pipe(at_terminal, virtual):
    screen = at_terminal("pin", "verify", "--json", stdout=subprocess.PIPE)
    screen.expect(PROMPT)
    screen.type(f"{virtual.PIN}\n")
    assert screen.end() == 0
    assert json.load(screen.process.stdout)["status"] == "ok"
    assert screen.text == f"{PROMPT}\n"


@pytest.mark.usefixtures("blue")
def test_prompt_and_question_are_there_while_stdin_is_elsewhere(at_terminal, virtual):
    screen = at_terminal("passkeys", "delete", "--rp", "bank.example", stdin=subprocess.DEVNULL)
    screen.expect(PROMPT)
    screen.type(f"{virtual.PIN}\n")
    assert screen.end() == 0
    screen = at_terminal("virtual", "remove", "blue", stdin=subprocess.DEVNULL)
    screen.expect("[y/N] ")
    screen.type("y\n")
    assert screen.end() == 0


@pytest.mark.usefixtures("blue")
def test_nobody_is_asked_while_stderr_is_elsewhere(at_terminal):
    """What is written into a file for later is no conversation."""
    for command, status in ((("pin", "verify", "-k", "virtual:blue"), 4), (("reset",), 2)):
        screen = at_terminal(*command, stderr=subprocess.PIPE)
        assert screen.end() == status
        assert screen.text == ""
        assert screen.process.stderr.read().startswith(b"keyctl: error: ")


def test_pin_from_stdin_leaves_the_question_to_the_terminal(at_terminal, virtual, blue):
    virtual.make("bank.example", {"name": "kim"})
    command = ("passkeys", "delete", "--rp", "bank.example", "--pin-stdin", "-k", blue)
    screen = at_terminal(*command, stdin=subprocess.PIPE)
    screen.process.stdin.write(b"123456\n")
    screen.process.stdin.close()
    screen.expect("[y/N] ")
    screen.type("y\n")
    assert screen.end() == 0
    assert "deleted: kim at bank.example" in screen.text


def test_pin_from_stdin_is_not_read_off_the_terminal(at_terminal, blue):
    screen = at_terminal("pin", "verify", "-k", blue, "--pin-stdin")
    assert screen.end() == 2
    assert "stdin is the terminal" in screen.text


@pytest.mark.usefixtures("blue")
def test_reset_that_is_too_late_asks_to_plug_the_key_in_anew(at_terminal, virtual):
    virtual.age()
    screen = at_terminal("reset", "--confirm", "virtual:blue")
    screen.expect("virtual:blue resets only just after it was plugged in: ")
    screen.expect("`keyctl virtual unplug blue`, then `keyctl virtual plug blue` (120 s)")
    virtual.unplug()
    screen.expect("plug it in now")
    virtual.plug()
    assert screen.end() == 0
    assert screen.text.endswith("\nvirtual:blue was erased\n")
    assert not virtual.has_pin()


@pytest.mark.usefixtures("blue")
def test_reset_that_is_too_late_ends_when_nobody_replugs(at_terminal, virtual):
    virtual.age()
    screen = at_terminal("reset", "--confirm", "virtual:blue", "--wait", "0.3", "--json")
    assert screen.end() == 8
    assert '"code": "key_silent"' in screen.text
    assert virtual.has_pin()


@pytest.mark.usefixtures("blue")
def test_waiting_for_the_key_can_be_interrupted(at_terminal, virtual):
    virtual.age()
    screen = at_terminal("reset", "--confirm", "virtual:blue")
    screen.expect("(120 s)")
    screen.type(CTRL_C)
    assert screen.end() == 130
    assert "Traceback" not in screen.text


def test_key_that_is_not_there_is_waited_for_when_told_to(at_terminal, virtual, blue):
    virtual.unplug()
    screen = at_terminal("info", "-k", blue, "--wait", "10")
    screen.expect("waiting for virtual:blue to be plugged in (10 s)")
    virtual.plug()
    assert screen.end() == 0


SITE = "a-very-long-name-of-a-site.with-many.parts-and-words.example.com"
LONG = {"name": "a-user-name-of-more-than-sixty-characters-as-some-companies-have-them", "displayName": "B " * 30}


@pytest.mark.parametrize("columns", [80, 60])
def test_tables_fit_the_terminal_and_cut_nothing(at_terminal, virtual, blue, columns, pin_file):
    first = virtual.make(SITE, LONG)
    command = ("passkeys", "list", "-k", blue, "--pin-file", pin_file())
    screen = at_terminal(*command, columns=columns, variables={"TERM": "xterm"})
    assert screen.end() == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.text).split("\n")
    assert max(map(len, lines)) <= columns
    starts = [lines[0].index(title) for title in ("SITE", "USER", "DISPLAY NAME", "ID")]
    rows = [line for line in lines[1:] if line and " used, " not in line]
    cells = ["".join(line[start:end] for line in rows) for start, end in itertools.pairwise([*starts, columns])]
    # The key cuts names to 64 bytes, and the table nothing.
    expected = [SITE, LONG["name"][:64], LONG["displayName"], first[:8]]
    assert ["".join(cell.split()) for cell in cells] == ["".join(cell.split()) for cell in expected]


def test_a_terminal_too_narrow_for_a_table_gets_a_block_for_each_row(at_terminal, virtual, run):
    virtual.new("blue")
    virtual.new("green")
    assert run("add", "blue", "-k", "virtual:blue").status == 0
    assert run("add", "in-the-safe", "-k", "virtual:green", "--location", "the safe").status == 0
    screen = at_terminal("list", columns=40)
    assert screen.end() == 0
    first, second = ([line.split("  ", 1) for line in block.splitlines()] for block in screen.text.split("\n\n"))
    assert [title for title, _ in first if title] == [title for title, _ in second if title]
    words = {title: text.strip() for title, text in second if title}
    assert (words["NAME"], words["SELECTOR"], words["LOCATION"]) == ("in-the-safe", "virtual:green", "the safe")
    assert max(map(len, screen.text.splitlines())) <= 40


def test_asking_that_is_forbidden_is_not_called_a_missing_terminal(at_terminal, blue):
    screen = at_terminal("pin", "verify", "--no-input", "-k", blue)
    assert screen.end() == 4
    assert f"the PIN of {blue} is needed, and --no-input forbids to ask\n" in screen.text


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TERM": "xterm-256color", "NO_COLOR": "1"}])
@pytest.mark.parametrize("command", [("list",), ("info",), ("virtual", "profiles"), ("--help",), ("reset", "--help")])
@pytest.mark.usefixtures("blue")
def test_plain_terminal_gets_plain_text(at_terminal, command, variables):
    screen = at_terminal(*command, variables=variables)
    assert screen.end() == 0
    assert "\x1b" not in screen.text
    assert max(map(len, screen.text.split("\n"))) <= 80


def test_name_with_a_line_feed_says_nothing_of_its_own(run, virtual):
    """What is told while a command runs is one line each, or a name could pass for a message of keyctl's."""
    virtual.new("blue", "counter=50", pin=None)
    name = "a\nkeyctl: error: b"
    assert run("add", name).status == 0
    virtual.set("blue", "counter=0")
    told = run("info").err
    assert "the signature counter of a\\x0akeyctl: error: b went back" in told
    assert not any(line.startswith("keyctl: error") for line in told.splitlines())


#: Of the seed in the draft's vectors.
FINGERPRINT = "HLU2K-BEAEC-LJXQS-L7BJH"


@pytest.mark.parametrize("given", [FINGERPRINT, "hlu2k beaec ljxqs l7bjh", "hlu2k-8eaec-ljxqs-l7bjh"])
def test_fingerprint_is_given_as_an_option(given):
    person = Person(present=False, terminal=False, confirm=given)
    assert person.fingerprint("Compare.", FINGERPRINT) is None


@pytest.mark.parametrize("given", ["", "BEAEC", "BEAEC L7BJH", "HLU2K BEAEC", "HLU2K-BEAEC-LJXQS-L7BJI", "green"])
def test_other_fingerprint_is_refused_without_showing_the_right_one(given):
    person = Person(present=False, terminal=False, confirm=given)
    with pytest.raises(DeclinedError) as caught:
        person.fingerprint("Compare.", FINGERPRINT)
    told = f"{caught.value.message} {caught.value.hint}"
    assert not any(group in told for group in FINGERPRINT.split("-"))


def test_fingerprint_is_asked_for_by_nobody_where_there_is_no_terminal():
    with pytest.raises(UsageError) as caught:
        Person(present=False, terminal=False).fingerprint("Compare.", FINGERPRINT)
    assert caught.value.code == "confirm_required"
    assert "--confirm FINGERPRINT" in (caught.value.hint or "")
    assert FINGERPRINT not in (caught.value.hint or "")
