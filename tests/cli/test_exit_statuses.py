"""Every exit status that a script may meet, how it is reached, and what has not happened when it is."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fido2.ctap import CtapError

from keyctl.cli.catalogue import CATALOGUE, KEYUTILS_VERBS
from keyctl.errors import CODES, EXIT_MEANINGS, Exit
from keyctl.virtual.keys import hold

#: A status that no command ends with.
UNUSED = {Exit.BUG}
#: Reached by the tests of terminals and streams, and of `doctor`.
ELSEWHERE = {Exit.INTERRUPTED, Exit.TERMINATED, Exit.BROKEN_PIPE, Exit.FOUND}

WITH_PIN = ("-k", "virtual:blue", "--pin-file", "PIN")
#: code -> what is set on the key before, and a command line that ends with it.
REACHED = {
    "usage": ((), ("list", "--frobnicate")),
    "confirm_required": ((), ("reset",)),
    "pin_file_unsafe": ((), ("pin", "verify", "-k", "virtual:blue", "--pin-file", "missing")),
    "no_key": ((), ("info", "-k", "virtual:red")),
    "several_keys": ((), ("info",)),
    "pin_wrong": ((), ("pin", "verify", "-k", "virtual:blue", "--pin-command", "echo 654321")),
    "pin_required": ((), ("pin", "verify", "-k", "virtual:blue")),
    "pin_already_set": ((), ("pin", "set", *WITH_PIN)),
    "pin_not_set": ((), ("passkeys", "list", "-k", "virtual:green", "--pin-file", "PIN")),
    "pin_policy": ((), ("pin", "verify", "-k", "virtual:blue", "--pin-command", "echo 12")),
    "pin_blocked": (("fault=3:0x32",), ("pin", "verify", *WITH_PIN)),
    "pin_auth_blocked": (("fault=4:0x34",), ("pin", "verify", *WITH_PIN)),
    "no_touch": (("touch=never",), ("reset", "-k", "virtual:blue", "--confirm", "virtual:blue")),
    "touch_refused": (("touch=refused",), ("reset", "-k", "virtual:blue", "--confirm", "virtual:blue")),
    "unsupported": ((), ("passkeys", "list", "-k", "virtual:old", "--pin-file", "PIN")),
    "key_full": (("fault=2:0x28",), ("reset", "-k", "virtual:blue", "--confirm", "virtual:blue")),
    "reset_not_now": (("fault=2:0x30",), ("reset", "-k", "virtual:blue", "--confirm", "virtual:blue")),
    "key_busy": (("fault=1:busy",), ("info", "-k", "virtual:blue")),
    "key_removed": (("fault=1:pulled",), ("info", "-k", "virtual:blue")),
    "key_nonsense": (("fault=1:garbage",), ("info", "-k", "virtual:blue")),
    "key_error": (("fault=1:0x7f",), ("info", "-k", "virtual:blue")),
    "token_refused": (("fault=6:0x33",), ("passkeys", "list", *WITH_PIN)),
    "attach_failed": ((), ("virtual", "attach", "blue", "--nfc", "--port", "PORT")),
    "passkey_not_found": ((), ("passkeys", "show", "12345678", *WITH_PIN)),
    "virtual_not_found": ((), ("virtual", "plug", "red")),
    "virtual_exists": ((), ("virtual", "new", "blue")),
    "declined": ((), ("reset", "-k", "virtual:blue", "--confirm", "virtual:green")),
}


@pytest.fixture
def keys(virtual, pin_file):
    """Blue with a PIN, green without, and one too old to list passkeys."""
    virtual.new("blue")
    virtual.new("green", pin=None)
    virtual.new("old", profile="fido2.0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return {"PIN": pin_file(), "PORT": str(unused.getsockname()[1])}


@pytest.mark.parametrize("code", REACHED)
def test_code_is_reached(run, virtual, keys, code):
    settings, command = REACHED[code]
    virtual.set("blue", *settings)
    done = run(*(keys.get(word, word) for word in command), "--json")
    assert done.code == code
    assert done.status == CODES[code][0]
    assert done.err.startswith(f"keyctl: error: {done.error['message']}\n")
    assert done.error["message"][0] != done.error["message"][0].upper() or not done.error["message"][0].isalpha()


#: code -> a command line that ends with it, where blue and green have names.
REACHED_WITH_NAMES = {
    "name_not_found": ("forget", "red", "--yes"),
    "name_exists": ("edit", "blue", "--name", "green"),
    "key_known": ("add", "red", "-k", "virtual:blue"),
    "name_invalid": ("add", "usb:blue", "-k", "virtual:old"),
    "no_key": ("scan", "-k", "red"),
    "confirm_required": ("forget", "blue"),
    "declined": ("reset", "-k", "green", "--confirm", "virtual:green"),
    "usage": ("edit", "blue"),
}


@pytest.fixture
def named(run, keys):
    """Blue and green have names."""
    for name in ("blue", "green"):
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    return keys


@pytest.mark.parametrize("code", REACHED_WITH_NAMES)
@pytest.mark.usefixtures("named")
def test_code_about_a_name_is_reached(run, code):
    done = run(*REACHED_WITH_NAMES[code], "--json")
    assert done.code == code
    assert done.status == CODES[code][0]


def test_service_of_several_accounts_wants_one_of_them(run):
    for account in ("kim", "lee"):
        assert run("service", "add", "Shop", "--rp", "shop.example", "--account", account).status == 0
    done = run("service", "remove", "Shop", "--yes", "--json")
    assert (done.code, done.status) == ("service_ambiguous", 9)
    assert done.error["details"]["candidates"] == ["kim", "lee"]


def test_pin_that_failed_before_is_not_tried(run, virtual, named):
    assert run("pin", "verify", "-k", "blue", "--pin-command", "echo 654321", "--json").code == "pin_wrong"
    done = run("pin", "verify", "-k", "blue", "--pin-file", named["PIN"], "--json")
    assert done.code == "pin_failed_before"
    assert done.error["key"] == "blue"
    assert virtual.tries() == 7
    assert run("pin", "verify", "-k", "blue", "--pin-file", named["PIN"], "--try-pin-again").status == 0
    assert run("pin", "verify", "-k", "blue", "--pin-file", named["PIN"]).status == 0


def test_record_that_was_changed_gets_no_pin(run, virtual, named, home):
    records = {json.loads(path.read_text())["name"]: path for path in (home / "keys").glob("*.json")}
    first_seen = home / "state" / "pins" / records["blue"].name
    other = home / "state" / "pins" / records["green"].name
    first_seen.write_bytes(other.read_bytes())
    done = run("pin", "verify", "-k", "blue", "--pin-file", named["PIN"], "--json")
    assert done.code == "recognition_changed"
    assert done.status == 6
    assert virtual.tries() == 8


def test_every_status_of_this_version_is_reached():
    reached = {CODES[code][0] for code in REACHED}
    # Done, and what spoils a file under the home folder, have tests of their own.
    assert reached | UNUSED | ELSEWHERE | {Exit.DONE, Exit.STORE} == set(EXIT_MEANINGS)


def test_key_without_a_terminal_asks_for_no_patience(run, virtual):
    virtual.new("blue", "touch=never")
    started = time.monotonic()
    done = run("reset", "--confirm", "virtual:blue", "--json")
    assert done.code == "no_touch"
    assert time.monotonic() - started < 2
    assert done.err.count("\n") == 2
    assert virtual.has_pin()
    virtual.set("blue", "touch=now")
    assert run("reset", "--confirm", "virtual:blue").out == "virtual:blue was erased\n"


def test_patience_that_was_asked_for_is_had(run, virtual):
    virtual.new("blue", "touch=after:0.3")
    done = run("reset", "--confirm", "virtual:blue", "--wait", "9")
    assert done.status == 0
    assert done.err == "touch virtual:blue now (9 s)\n"


@pytest.mark.parametrize(
    "command",
    [
        ("reset",),
        ("passkeys", "delete", "12345678"),
        ("passkeys", "delete", "--rp", "x.example"),
        ("virtual", "remove", "blue"),
    ],
)
def test_confirmation_is_missed_before_a_pin_is_read(child, virtual, blue, command, tmp_path):
    log = tmp_path / "log"
    done = child(*command, "-k", blue, "--pin-command", f"sh -c 'echo >{log}; echo 654321'", "--json")
    assert done.code == "confirm_required"
    assert not log.exists()
    assert virtual.tries() == 8


def contents(folder):
    """Of all files but the locks."""
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.mark.parametrize(
    "command",
    [
        ("pin", "set", "-k", "virtual:green"),
        ("pin", "change", "-k", "virtual:blue"),
        ("reset", "-k", "virtual:blue"),
        ("virtual", "remove", "blue"),
        ("virtual", "unplug", "blue"),
        ("virtual", "new", "pink"),
        ("virtual", "set", "blue", "touch=never"),
        ("add", "blue", "-k", "virtual:blue"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_dry_run_changes_nothing_and_asks_nothing(run, virtual, command):
    before = contents(virtual.folder)
    done = run(*command, "--dry-run", "--json")
    assert done.status == 0
    assert done.document["data"]["changed"] is False
    assert contents(virtual.folder) == before


@pytest.mark.usefixtures("keys", "virtual")
def test_candidates_are_listed(run):
    done = run("info", "--json")
    assert done.code == "several_keys"
    assert done.error["details"]["candidates"] == ["virtual:blue", "virtual:green", "virtual:old"]


def test_several_keys_cost_no_try(run, virtual, keys):
    for command in (("pin", "verify"), ("passkeys", "list"), ("pin", "change")):
        assert run(*command, "--pin-file", keys["PIN"], "--json").code == "several_keys"
    assert virtual.tries() == 8


@pytest.mark.usefixtures("keys")
def test_passkey_ids_that_are_none_cost_no_try(run, virtual):
    for passkey_id in ("1234567", "x2345678", "", "0x123456"):
        done = run("passkeys", "show", passkey_id, "-k", "virtual:blue", "--pin-command", "echo 654321", "--json")
        assert done.code == "usage"
    assert virtual.tries() == 8


def test_ambiguous_passkey_is_9_with_the_candidates(run, virtual, keys):
    path = virtual.folder / "blue.json"
    ids = [virtual.make(f"{number}.example", {"name": "kim"}) for number in range(2)]
    twin = ids[0][:10] + ids[1][10:]
    path.write_text(path.read_text().replace(ids[1], twin))
    command = ("passkeys", "delete", ids[0][:8], "--yes", "-k", "virtual:blue", "--pin-file", keys["PIN"], "--json")
    done = run(*command)
    assert done.code == "passkey_ambiguous"
    assert sorted(done.error["details"]["candidates"]) == sorted([ids[0], twin])


def test_deleting_what_is_not_there_is_no_failure_with_rp(run, keys):
    command = ("passkeys", "delete", "--rp", "x.example", "--yes", "-k", "virtual:blue", "--pin-file", keys["PIN"])
    assert run(*command).status == 0
    assert run(*command, "--json").document["data"]["deleted"] == []


def test_site_of_any_form_is_deleted_as_the_key_has_it(run, virtual, keys):
    """What no browser would give a key may be on it all the same."""
    virtual.make("Not A Domain", {"name": "kim"})
    command = ("passkeys", "delete", "--rp", "Not A Domain", "--yes", "-k", "virtual:blue", "--pin-file", keys["PIN"])
    assert run(*command).out.startswith("deleted: kim at Not A Domain (")
    again = run(*command, "--json").document
    assert (again["exit_status"], again["data"]["matched"]) == (0, [])


def test_deletion_that_ends_half_way_says_what_is_left(run, virtual, keys):
    ids = [virtual.make("bank.example", {"name": name}) for name in ("kim", "lee")]
    command = ("passkeys", "delete", *ids, "--yes", "-k", "virtual:blue", "--pin-file", keys["PIN"], "--json")
    # The second deletion is the last command of all: count them on a copy of the key.
    before = contents(virtual.folder)
    commands = run(*command, "--verbose").err.count(" ms\n")
    for name, content in before.items():
        (virtual.folder / name).write_bytes(content)
    virtual.set("blue", f"fault={commands}:pulled")
    done = run(*command)
    virtual.plug()
    assert done.document["status"] == "partial"
    assert done.document["errors"][0]["code"] == "key_removed"
    assert done.status == 8
    found = done.document["data"]
    assert [passkey["credential_id"] for passkey in found["deleted"]] == ids[:1]
    assert [passkey["credential_id"] for passkey in found["failed"]] == ids[1:]
    left = run("passkeys", "list", "-k", "virtual:blue", "--pin-file", keys["PIN"], "--json").document["data"][
        "passkeys"
    ]
    assert [passkey["credential_id"] for passkey in left] == ids[1:]


def test_key_on_a_reader_is_in_use(run, virtual, blue):
    with hold(virtual.folder, "blue", "nfc"):
        for command in (("attach", "blue", "--nfc"), ("remove", "blue", "--yes")):
            assert run("virtual", *command, "--json").code == "store_locked"
        assert run("info", "-k", blue).status == 3


def test_home_that_cannot_be_written_is_6(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("virtual", "new", "blue", "--home", str(tmp_path / "file"), "--json")
    assert done.code == "store_unwritable"


#: Loads all that is needed and becomes somebody who could not, as the interpreter may lie where only root can read.
AS_NOBODY = """
import contextlib, io, os, sys
from keyctl.cli.main import main

with contextlib.redirect_stdout(io.StringIO()):
    main(["list", "--json"])
for name in sys.argv[1:]:
    os.environ.pop(name, None)
os.setuid(54321)
sys.exit(main(["list", "--json"]))
"""


@pytest.fixture
def as_nobody(environment):
    """Run ``list --json`` as a user without a home folder, and without these variables."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")

    def as_nobody(*removed):
        command = [sys.executable, "-c", AS_NOBODY, *removed]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)

    return as_nobody


def test_home_that_is_not_known_is_asked_for(as_nobody):
    """In containers that run under any number there is no home folder to fall back to."""
    status, found = as_nobody("KEYCTL_HOME", "HOME", "XDG_DATA_HOME")
    assert status == 2
    assert found["errors"][0]["code"] == "usage"
    assert "--home" in found["errors"][0]["hint"]


@pytest.mark.usefixtures("blue")
def test_home_of_somebody_else_is_told(as_nobody, home):
    home.chmod(0o700)
    status, found = as_nobody()
    assert status == 0
    assert found["status"] == "partial"
    # Once for the inventory, once for the virtual keys.
    assert [error["code"] for error in found["errors"]] == ["store_unreadable"] * 2


KEYUTILS = [
    "show @u",
    "show",
    "add user a b @u",
    "padd user a @u",
    "list @u",
    "newring x @u",
    "reset @u",
    "clear @u",
    "unlink 123 @u",
    "revoke 123",
    "session - sh",
    "purge user",
    "print 123",
    "request user a",
    "id %:x",
]


@pytest.mark.parametrize("call", KEYUTILS)
@pytest.mark.usefixtures("blue")
def test_calls_of_the_other_keyctl_change_nothing(run, virtual, call):
    before = contents(virtual.folder)
    for extra in ((), ("--yes",), ("--confirm", "virtual:blue")):
        done = run(*call.split(), *extra)
        assert done.status == 2
        assert done.out == ""
    assert run("--json", *call.split()).code == "usage"
    assert contents(virtual.folder) == before


@pytest.mark.parametrize("verb", sorted(KEYUTILS_VERBS - set(CATALOGUE)))
def test_verb_of_the_other_keyctl_is_explained(run, verb):
    done = run(verb, "x", "@u")
    assert done.status == 2
    assert "keyutils" in done.err


def test_command_that_was_mistyped_is_guessed(run):
    assert "did you mean `passkeys`?" in run("passkey").err
    assert run("--josn", "list").status == 2


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.usefixtures("blue")
def test_too_many_arguments_are_a_usage_error(run, name):
    done = run(name, "x", "y", "z", "--json")
    assert done.code == "usage"


def test_completion_that_no_script_of_ours_asks_for_is_a_usage_error(child):
    assert child(variables={"_KEYCTL_COMPLETE": "garbage"}).status == 2
    done = child(variables={"_KEYCTL_COMPLETE": "bash_complete", "COMP_WORDS": "keyctl\npass", "COMP_CWORD": "1"})
    assert done.out == "plain,passkeys\n"


@pytest.mark.usefixtures("blue")
def test_unknown_ctap_status_is_told_by_its_number(run, virtual):
    virtual.set("blue", "fault=1:0x9a")
    done = run("info", "--json")
    assert done.error["details"]["ctap_status"] == 0x9A
    assert "0x9A" in done.error["message"]
    assert 0x9A not in {int(status) for status in CtapError.ERR}


def test_source_tree_ends_with_no_status_of_its_own():
    """Only the entry point ends the program."""
    root = Path(__file__).parent.parent.parent / "keyctl"
    ending = {
        path.name for path in root.rglob("*.py") if "sys.exit(" in path.read_text() or "os._exit(" in path.read_text()
    }
    assert ending == {"main.py"}


@pytest.mark.parametrize(
    "line",
    [
        "pin verify --pin-command 'echo 12'",
        "pin change --pin-command 'echo 12'",
        "passkeys show 0000000000 --pin-command 'echo 123456'",
        "passkeys delete 0000000000 --yes --pin-command 'echo 123456'",
    ],
)
def test_an_error_about_a_pin_or_a_passkey_names_the_key(run, blue, line):
    assert run(*shlex.split(line), "-k", blue, "--json").error["key"] == blue
