"""``keyctl unattended`` and a scan from cron, as scripts and people run them."""

from __future__ import annotations

import pytest

PIN = "123456"


@pytest.fixture
def known(run, virtual, blue):
    """Blue is known, and has one passkey."""
    assert run("add", "blue", "-k", blue).status == 0
    virtual.make("a.example", {"name": "kim"})
    return "blue"


@pytest.fixture
def on(run, known, pin_file):
    """Blue has a token in a file."""
    done = run("unattended", "on", "--file", "--yes", "-k", known, "--pin-file", pin_file(), "--json")
    assert done.status == 0
    return done


def secret(home):
    """The token as the virtual key has it."""
    [line] = [
        line.split('"')[3]
        for line in (home / "virtual" / "blue.json").read_text().splitlines()
        if '"persistent_token": "' in line
    ]
    return line


def test_scripts_get_the_key_and_what_was_done(run, on, home):
    data = on.document["data"]
    assert (data["key"]["name"], data["changed"], data["kept"]) == ("blue", True, "file")
    done = run("unattended", "list", "--json")
    [token] = done.document["data"]["tokens"]
    assert (token["key"]["name"], token["kept"], token["last_used"], token["works"]) == ("blue", "file", None, True)
    assert token["since"].endswith("Z")
    done = run("unattended", "off", "--json")
    data = done.document["data"]
    assert (data["key"]["name"], data["changed"], data["kept"]) == ("blue", True, None)
    assert run("unattended", "list", "--json").document["data"] == {"tokens": []}
    assert secret(home)


def test_people_are_told_what_it_reveals_and_how_to_end_it(run, known, pin_file):
    done = run("unattended", "on", "--file", "--yes", "-k", known, "--pin-file", pin_file())
    assert done.out == "blue is read without its PIN from now on; its token is kept in a private file\n"
    for words in ("sites, names and credential ids", "large blobs", "until the PIN changes"):
        assert words in done.err
    assert "`keyctl unattended off -k blue`" in done.err
    assert "`keyctl pin change -k blue`" in done.err
    again = run("unattended", "on", "--file", "--yes", "-k", known)
    assert (again.status, again.out) == (0, "blue has a token already, in a private file, and takes it\n")
    listed = run("unattended", "list").out.splitlines()
    assert listed[0].split("  ")[0] == "KEY"
    assert listed[1].startswith("blue  file     2")
    assert listed[1].endswith("yes")
    off = run("unattended", "off")
    assert off.out == "the token of blue is forgotten on this computer\n"
    assert "only a new PIN ends that: `keyctl pin change -k blue`" in off.err
    assert run("unattended", "off", "-k", "blue").out == "blue has no token on this computer\n"
    assert "no key can be read without its PIN here" in run("unattended", "list").err


def test_what_it_reveals_has_to_be_accepted_before_the_pin(run, virtual, known, pin_file):
    done = run("unattended", "on", "--file", "-k", known, "--pin-file", pin_file("000000\n"), "--json")
    assert (done.status, done.code) == (2, "confirm_required")
    assert virtual.tries() == 8


def test_a_keyring_that_is_not_there_is_told_before_the_pin(child, virtual, known, pin_file):
    arguments = ("unattended", "on", "--yes", "-k", known, "--pin-file", pin_file("000000\n"))
    done = child(*arguments, variables={"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    assert done.status == 6
    assert done.err.splitlines() == [
        "keyctl: error: there is no keyring of the system here",
        "keyctl: hint: keep the token in a private file instead: `keyctl unattended on --file`",
    ]
    assert virtual.tries() == 8


def test_keys_that_cannot_or_have_no_pin(run, virtual, pin_file):
    for name, profile, pin in (("old", "fido2.0", PIN), ("bare", "full", None), ("plain", "u2f", None)):
        virtual.new(name, profile=profile, pin=pin)
        assert run("add", name, "-k", f"virtual:{name}", "--pin-file", pin_file()).status == 0
    codes = {
        name: run("unattended", "on", "--file", "--yes", "-k", f"virtual:{name}", "--json")
        for name in ("old", "bare", "plain")
    }
    assert {name: (done.status, done.code) for name, done in codes.items()} == {
        "old": (7, "unsupported"),
        "bare": (4, "pin_not_set"),
        "plain": (7, "unsupported"),
    }


def test_a_scan_from_cron_asks_nothing(child, on, home):
    assert on.status == 0
    token = secret(home)
    first = child("scan", "--json", "--verbose")
    [key] = first.document["data"]["keys"]
    assert (first.status, key["passkeys"], key["complete"]) == (0, 1, True)
    assert [entry["rp_id"] for entry in key["added"]] == ["a.example"]
    again = child("scan", "--verbose")
    assert (again.status, again.out) == (0, "blue: 1 passkey, nothing new\n")
    commands = [line for line in again.err.splitlines() if "->" in line]
    assert 1 <= len(commands) <= 4
    assert not any(token in text for done in (first, again) for text in (done.out, done.err))


def test_a_token_in_a_file_needs_no_keyring(child, on):
    assert on.status == 0
    assert child("scan", variables={"PYTHON_KEYRING_BACKEND": "nowhere.Broken"}).status == 0


def test_after_a_new_pin_the_token_is_dropped_and_a_new_one_is_proposed(child, virtual, run, on, pin_file, home):
    assert on.status == 0
    assert run("pin", "change", "-k", "blue", "--pin-file", pin_file("123456\n654321\n")).status == 0
    done = child("scan")
    assert done.status == 4
    assert "blue takes its unattended token no more" in done.err
    assert "`keyctl unattended on -k blue`" in done.err
    assert not list((home / "state" / "unattended").iterdir())
    assert virtual.tries() == 8
    assert child("scan").err.count("unattended") == 0


def test_a_token_that_others_may_read_is_not_used(child, on, home):
    assert on.status == 0
    [path] = (home / "state" / "unattended").glob("*.token.json")
    path.chmod(0o644)
    done = child("scan")
    assert done.status == 4
    assert "can be read by others, so the token in it is not used" in done.err


def test_at_a_terminal_it_asks_and_then_for_the_pin_once(at_terminal, virtual, known, run):
    terminal = at_terminal("unattended", "on", "--file", "-k", known)
    terminal.expect("Make it? [y/N] ")
    terminal.type("y\n")
    terminal.expect("PIN for blue (8 tries left): ")
    terminal.type(f"{PIN}\n")
    assert terminal.end() == 0
    assert "until the PIN changes" in terminal.text.replace("\r\n", " ")
    assert PIN not in terminal.text
    scan = at_terminal("scan")
    assert scan.end() == 0
    assert "PIN for" not in scan.text
    assert run("unattended", "list", "--json").document["data"]["tokens"][0]["last_used"] is not None
    assert virtual.tries() == 8
