"""Keys with names, as people and scripts see them: add, edit, forget, scan and list."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from keyctl.core import advice

HOSTILE = "\x1b[2J[bold red]\u202eevil"


@pytest.fixture
def blue_5c(run, blue):
    """A virtual key with a PIN that is called blue-5c."""
    assert run("add", "blue-5c", "-k", blue).status == 0
    return "blue-5c"


@pytest.fixture
def files(home):
    """What the files of the inventory hold, and when they were written."""

    def files():
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for folder in ("keys", "services")
            for path in (home / folder).glob("*")
        }

    return files


def test_names_are_shown_everywhere_and_select_the_key(run, blue_5c, pin_file):
    assert run("list", "-k", blue_5c).out.splitlines()[1].startswith("blue-5c  -     virtual:blue")
    assert run("info", "-k", blue_5c).out.startswith("key         blue-5c\n")
    for command in (("info",), ("passkeys", "list"), ("pin", "verify")):
        done = run(*command, "-k", blue_5c, "--pin-file", pin_file(), "--json")
        assert done.document["data"]["key"]["name"] == "blue-5c"
        assert done.document["data"]["key"]["recognition"] == "proved"
    assert run("pin", "verify", "-k", blue_5c, "--pin-command", "echo 654321").err.startswith(
        "keyctl: error: wrong PIN for blue-5c (7 tries left)\n"
    )


def test_what_is_noted_is_in_the_list(run, virtual, pin_file):
    virtual.new("blue")
    done = run("add", "blue", "--role", "backup", "--owner", "kim", "--location", "safe", "--note", "n,\n2", "--json")
    key = done.document["data"]["key"]
    assert done.document["data"]["changed"] is True
    assert {name: key[name] for name in ("role", "owner", "location", "note", "state")} == {
        "role": "backup",
        "owner": "kim",
        "location": "safe",
        "note": "n,\n2",
        "state": "active",
    }
    [_, row] = csv.reader(io.StringIO(run("list", "--csv", "--role", "backup").out))
    assert row[:6] == ["blue", "backup", "kim", "safe", "active", "yes"]
    told = dict(line.split(maxsplit=1) for line in run("info").out.splitlines()[:5])
    assert told == {"key": "blue", "role": "backup", "owner": "kim", "location": "safe", "note": "n,\\x0a2"}
    assert run("edit", "blue", "--owner", "", "--role", "spare", "--json").document["data"]["key"]["owner"] is None
    assert run("list", "--owner", "kim", "--json").document["data"]["keys"] == []
    assert pin_file()


def test_columns_of_the_list_are_those_with_something_in_them(run, virtual):
    virtual.new("blue")
    virtual.new("old", profile="fido2.0", pin=None)
    header = ["NAME", "ROLE", "SELECTOR", "MODEL", "FIRMWARE", "STATE"]
    assert run("list").out.splitlines()[0].split() == header
    assert "FIRMWARE" not in run("list", "-k", "virtual:old").out
    assert run("add", "blue", "-k", "virtual:blue", "--owner", "kim", "--location", "the safe").status == 0
    out = run("list", "-k", "blue").out
    assert out.splitlines()[0].split() == [*header[:2], "OWNER", *header[2:-1], "LOCATION", "STATE"]
    assert "  the safe  ok" in out


@pytest.mark.parametrize("condition", [["--owner", "Kim"], ["--role", "spare"], ["--known"]])
def test_a_list_of_none_says_whether_there_are_others(run, virtual, condition):
    nothing = f"no security key found: {advice.NO_KEY}\n"
    assert run("list", *condition).err.startswith(nothing)
    virtual.new("blue")
    assert run("list", *condition).err == "no key meets these conditions; `keyctl list` shows all\n"
    virtual.unplug()
    assert run("list", "--connected").err.startswith(nothing)


def test_keys_that_are_away_are_listed_and_say_when_they_were_seen(run, virtual, blue_5c):
    virtual.unplug()
    done = run("list")
    assert f"\n{blue_5c}  -     -         keyctl virtual key (for trying out)  1         last seen 2" in done.out
    assert run("list", "--connected").err.startswith(f"no security key found: {advice.NO_KEY}\n")
    [key] = run("list", "--known", "--json").document["data"]["keys"]
    assert (key["connected"], key["selector"], key["recognition"]) == (False, None, None)


def test_add_says_what_it_did(run, blue, blue_5c):
    assert run("add", blue_5c).out == "nothing to do: the connected key is blue-5c already\n"
    again = run("add", blue_5c, "--role", "backup")
    assert again.out == "the connected key is blue-5c already; what you said of it is noted\n"
    assert run("add", "other", "--dry-run").status == 9
    assert run("edit", blue_5c, "--name", "b").out == "b is noted\n"
    assert run("edit", "b", "--name", "b").out == "nothing to do: b is noted so\n"
    assert run("edit", "b", "--note", "x", "--dry-run").out == "nothing was changed: this was a dry run\n"
    assert run("forget", "b", "--dry-run").out == "b would be forgotten; nothing was changed\n"
    assert run("forget", "b", "--yes").out == "b is forgotten\n"
    trial = run("add", "new", "-k", blue, "--dry-run")
    assert trial.out == "virtual:blue could be added as new; nothing was changed\n"
    assert run("list", "--known", "--json").document["data"]["keys"] == []


def test_add_asks_for_the_touch_and_waits_for_it(run, virtual):
    virtual.new("blue", "touch=after:0.3")
    done = run("add", "blue", "--wait", "9")
    assert (done.status, done.err) == (0, "touch virtual:blue now (9 s)\n")


def test_the_name_of_a_key_in_the_wrong_place_says_how_to_choose_one(run, blue_5c):
    done = run("info", blue_5c)
    assert (done.status, done.err.splitlines()[1]) == (
        2,
        "keyctl: hint: a key is chosen with -k KEY; see `keyctl info --help`",
    )
    assert "-k KEY" not in run("edit", blue_5c, "other", "--note", "x").err


def test_a_key_is_an_argument_or_an_option(run, blue_5c):
    for command in (("edit", blue_5c, "--note", "x"), ("forget", blue_5c, "--yes")):
        assert run(*command, "-k", blue_5c, "--json").code == "usage"


@pytest.mark.parametrize("name", ["a/../b", "x" * 300, HOSTILE, "line\nbreak", "钥匙", "con.txt", "--help me"])
def test_names_of_any_kind_are_harmless_to_look_at_and_whole_in_json(run, virtual, home, name):
    virtual.new("blue")
    arguments = ("--", name) if name.startswith("-") else (name,)
    done = run("add", "--json", *arguments)
    if name.startswith("-"):
        assert done.code == "name_invalid"
        return
    assert done.document["data"]["key"]["name"] == name
    for command in (("list",), ("info",), ("add", name), ("edit", name, "--note", "n"), ("forget", name, "--dry-run")):
        shown = run(*command)
        assert shown.status == 0
        assert "\x1b" not in shown.out + shown.err
        assert "\u202e" not in shown.out + shown.err
        if command[0] in {"list", "info"}:
            assert len(shown.out.splitlines()) == (2 if command == ("list",) else len(run("info").out.splitlines()))
    assert run("list", "--json").document["data"]["keys"][0]["name"] == name
    [file] = (home / "keys").iterdir()
    assert len(file.name) == 21
    assert run("forget", name, "--confirm", name).status == 0


def test_argument_that_is_not_utf8_is_no_name(child, virtual):
    virtual.new("blue")
    done = child("add", "caf\udce9", "--json")
    assert done.code == "usage"


def test_scan_shows_what_is_new_and_what_went(run, virtual, blue_5c, pin_file):
    pins = ("--pin-file", pin_file())
    assert run("scan", *pins).out == "blue-5c: 0 passkeys, nothing new\n"
    own = virtual.make("bank.example", {"name": "kim"})
    assert run("scan", *pins, "--dry-run").out == "blue-5c: 1 passkey\n  + bank.example, kim\n"
    done = run("scan", *pins, "--json")
    [scanned] = done.document["data"]["keys"]
    assert scanned["key"]["name"] == blue_5c
    assert scanned["added"] == [{"kind": "passkey", "rp_id": "bank.example", "account": "kim", "credential_id": own}]
    assert (scanned["passkeys"], scanned["registrations"], scanned["removed"], scanned["unknown"]) == (1, 0, [], [])
    assert (done.document["data"]["unknown_keys"], done.document["data"]["local"]) == ([], None)
    assert run("passkeys", "delete", own, "-k", blue_5c, "--confirm", blue_5c, *pins).status == 0
    assert run("scan", *pins).out == "blue-5c: 0 passkeys, nothing new\n"


def test_scan_of_several_keys_takes_pins_that_say_whose_they_are(run, virtual, blue_5c, pin_file):
    virtual.new("green")
    assert run("add", "green", "-k", "virtual:green").status == 0
    for source in (("--pin-file", pin_file()), ("--pin-stdin",)):
        done = run("scan", *source, "--json", stdin=b"123456\n123456\n")
        assert done.code == "usage"
        assert "2 keys want their PIN" in done.error["message"]
    assert (virtual.tries("blue"), virtual.tries("green")) == (8, 8)
    # With one key it is clear whose it is.
    assert run("scan", "-k", blue_5c, "--pin-stdin", stdin=b"123456\n").status == 0
    choose = """sh -c 'if [ "$KEYCTL_KEY" = green ]; then echo 654321; else echo 123456; fi'"""
    done = run("scan", "--pin-command", choose, "--json")
    assert (done.status, done.document["status"]) == (4, "partial")
    assert [(error["key"], error["code"]) for error in done.document["errors"]] == [("green", "pin_wrong")]
    assert {key["key"]["name"]: key["passkeys"] for key in done.document["data"]["keys"]} == {blue_5c: 0, "green": None}
    assert (virtual.tries("blue"), virtual.tries("green")) == (8, 7)


def test_scan_without_a_known_key_says_how_to_name_one(run, blue):
    done = run("scan", "--json")
    assert (done.status, done.document["status"]) == (3, "partial")
    assert [key["selector"] for key in done.document["data"]["unknown_keys"]] == [blue]
    assert done.document["errors"][0]["code"] == "no_key"
    assert run("scan").err.splitlines()[0] == (
        "virtual:blue has no name here and was not read; `keyctl add NAME -k virtual:blue`"
    )


def test_scan_of_nothing_is_an_error(run):
    assert run("scan", "--json").code == "no_key"


def test_scan_of_this_computer_works_without_a_key(run, tmp_path, monkeypatch):
    folder = tmp_path / "person" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "id_ecdsa_sk").write_text(
        "-----BEGIN OPENSSH PRIVATE KEY-----\ngarbage\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    done = run("scan", "--local", "--json")
    codes = [error["code"] for error in done.document["errors"]]
    assert codes[0] == "no_key"
    assert "local_unreadable" in codes
    assert done.document["data"]["keys"] == []
    assert run("scan", "--ask-passphrase", "--json").code == "usage"


def test_scan_tells_what_a_site_calls_its_user_harmlessly(run, virtual, blue_5c, pin_file):
    virtual.make("bank.example", {"name": HOSTILE})
    done = run("scan", "-k", blue_5c, "--pin-file", pin_file(), "--dry-run")
    assert done.out == "blue-5c: 1 passkey\n  + bank.example, \\x1b[2J[bold red]\\u202eevil\n"
    done = run("scan", "-k", blue_5c, "--pin-file", pin_file(), "--json")
    assert done.document["data"]["keys"][0]["added"][0]["account"] == HOSTILE


def test_reset_of_a_known_key_wants_its_name(run, virtual, blue_5c):
    assert run("reset", "--confirm", "virtual:blue", "--json").code == "declined"
    done = run("reset", "--confirm", blue_5c, "--json")
    assert done.document["data"]["key"]["state"] == "reset"
    [key, _] = sorted(run("list", "--json").document["data"]["keys"], key=lambda key: key["name"] is None)
    assert (key["name"], key["state"], key["connected"]) == (blue_5c, "reset", False)
    assert "reset, last seen" in run("list").out
    hint = "which was reset; if it is that key, `keyctl add blue-5c --replace -k virtual:blue` names it again"
    assert hint in run("info").err
    assert run("add", blue_5c, "--replace").status == 0
    assert run("info").err == ""
    assert not virtual.has_pin()


def test_passkey_that_nothing_else_opens_wants_the_name_of_the_key(run, virtual, blue_5c, pin_file):
    own = virtual.make("bank.example", {"name": "kim"})
    pins = ("-k", blue_5c, "--pin-file", pin_file())
    run("scan", *pins)
    log = Path(pin_file("", name="log"))
    spying = ("-k", blue_5c, "--pin-command", f"sh -c 'echo >{log}; echo 123456'")
    done = run("passkeys", "delete", own, "--yes", *spying, "--json")
    assert done.code == "confirm_required"
    assert "give --confirm blue-5c," in done.error["hint"]
    assert log.read_text() == ""
    for wrong in (("--confirm", "green"), ("--confirm", "green", "--yes", "--dry-run")):
        assert run("passkeys", "delete", own, *wrong, *pins, "--json").code == "declined"
    trial = run("passkeys", "delete", "--rp", "bank.example", "--dry-run", *pins)
    assert (trial.status, trial.err) == (0, "This account opens with nothing else:\n  bank.example, kim\n")
    assert run("reset", "-k", blue_5c, "--dry-run").err == trial.err
    assert run("reset", "-k", blue_5c, "--dry-run", "--confirm", "green", "--json").code == "declined"
    assert run("passkeys", "delete", own, "--confirm", blue_5c, *pins).status == 0
    assert run("scan", *pins).out == "blue-5c: 0 passkeys, nothing new\n"


def test_forgetting_what_nothing_else_opens_wants_the_name_of_the_key(run, virtual, blue_5c, pin_file):
    virtual.make("bank.example", {"name": "kim"})
    run("scan", "-k", blue_5c, "--pin-file", pin_file())
    done = run("forget", blue_5c, "--yes", "--json")
    assert done.code == "confirm_required"
    stranded = "This account opens with nothing else:\n  bank.example, kim\n"
    for confirmed in ((), ("--yes",), ("--confirm", blue_5c)):
        trial = run("forget", blue_5c, "--dry-run", *confirmed)
        assert (trial.status, trial.err) == (0, stranded)
    for trial in (("--dry-run",), ("--dry-run", "--yes"), ()):
        assert run("forget", blue_5c, "--confirm", "green", *trial, "--json").code == "declined"
    assert run("forget", blue_5c, "--confirm", blue_5c).status == 0


def test_forgotten_key_is_on_no_service(run, blue_5c, home):
    assert run("service", "add", "Shop", "--rp", "shop.example", "--account", "kim", "--on", blue_5c).status == 0
    assert run("forget", blue_5c, "--confirm", blue_5c).status == 0
    [service] = run("service", "list", "--json").document["data"]["services"]
    assert service["on"] == []
    [file] = (home / "services").iterdir()
    assert json.loads(file.read_text())["on"] == []


READING = [
    ("list",),
    ("list", "--json"),
    ("list", "--csv"),
    ("info",),
    ("passkeys", "list"),
    ("passkeys", "show", "ID"),
    ("passkeys", "delete", "ID", "--dry-run"),
    ("passkeys", "rename", "ID", "--user-name", "lee", "--dry-run"),
    ("pin", "verify"),
    ("pin", "change", "--dry-run"),
    ("wink",),
    ("reset", "--dry-run"),
    ("scan", "--dry-run"),
    ("scan", "--local", "--dry-run"),
    ("add", "blue-5c"),
    ("add", "other", "--dry-run"),
    ("edit", "blue-5c", "--note", "n", "--dry-run"),
    ("forget", "blue-5c", "--dry-run"),
    ("service", "list"),
    ("service", "add", "Shop", "--rp", "shop.example", "--dry-run"),
    ("coverage",),
    ("coverage", "--without", "blue-5c"),
    ("coverage", "--missing", "blue-5c"),
    ("doctor",),
    ("virtual", "list"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_leaves_every_byte_of_the_inventory(run, virtual, blue_5c, pin_file, files, command, monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    own = virtual.make("bank.example", {"name": "kim"})
    run("service", "add", "Mail", "--rp", "mail.example", "--on", blue_5c)
    run("scan", "--pin-file", pin_file())
    # So that there is something that a scan would note.
    virtual.make("shop.example", {"name": "kim"})
    before = files()
    assert len(before) == 2
    run(*(own if word == "ID" else word for word in command), "--pin-file", pin_file())
    assert files() == before


def test_person_types_the_name_of_what_is_forgotten(at_terminal, run, virtual, blue_5c, pin_file):
    virtual.make("bank.example", {"name": "kim"})
    run("scan", "--pin-file", pin_file())
    terminal = at_terminal("forget", blue_5c)
    terminal.expect("This account opens with nothing else:\n  bank.example, kim\n")
    terminal.expect("Type blue-5c to go on: ")
    terminal.type("blue\n")
    assert terminal.end() == 11
    terminal = at_terminal("forget", blue_5c)
    terminal.expect("Type blue-5c to go on: ")
    terminal.type("blue-5c\n")
    assert terminal.end() == 0
    assert run("list", "--known", "--json").document["data"]["keys"] == []


def test_person_confirms_a_changed_record_before_the_pin_is_asked_for(at_terminal, virtual, blue_5c, home):
    assert blue_5c
    [first_seen] = (home / "state" / "pins").glob("[0-9a-f]*.json")
    first_seen.write_text(json.dumps(json.loads(first_seen.read_text()) | {"public_key": "00"}))
    terminal = at_terminal("pin", "verify", "-k", blue_5c)
    terminal.expect("is not the one first seen on this computer")
    terminal.expect("Type blue-5c to go on: ")
    terminal.type("blue-5c\n")
    terminal.expect("PIN for blue-5c (8 tries left): ")
    terminal.type("123456\n")
    assert terminal.end() == 0
    assert virtual.tries() == 8


def test_person_is_asked_for_one_pin_after_the_other(at_terminal, run, virtual, blue_5c):
    virtual.new("green")
    assert run("add", "green", "-k", "virtual:green").status == 0
    terminal = at_terminal("scan")
    terminal.expect(f"PIN for {blue_5c} (8 tries left): ")
    terminal.type("123456\n")
    terminal.expect("PIN for green (8 tries left): ")
    terminal.type("123456\n")
    terminal.expect("blue-5c: 0 passkeys, nothing new\ngreen: 0 passkeys, nothing new\n")
    assert terminal.end() == 0
