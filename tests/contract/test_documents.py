"""The JSON documents that scripts rely on: which fields there are, and of which type.

One golden file per command. A field may be added; ``pytest --accept`` writes the files, and a field that is gone or of
another type shows up there as a diff that wants the schema's number raised.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keyctl.cli.main import main
from keyctl.device import registration

GOLDEN = Path(__file__).parent
PIN = "123456"
SITE = registration.Site(rp_id="bank.example", user_name="kim", display_name="Kim")
WITH_PIN = ("--key", "virtual:blue", "--pin-file", "pin")
BY_COMMAND = ("--pin-command", "cat pin")

#: golden file -> command line; ID stands for the passkey.
COMMANDS = {
    "list": ("list",),
    "status": ("status",),
    "list-broken-key": ("list",),
    "info": ("info",),
    "pin-verify": ("pin", "verify", *WITH_PIN),
    "pin-set": ("pin", "set", "--dry-run", "--key", "virtual:fresh", "--pin-file", "pin"),
    "pin-change": ("pin", "change", "--dry-run", *WITH_PIN),
    "passkeys-list": ("passkeys", "list", *WITH_PIN),
    "passkeys-show": ("passkeys", "show", "ID", *WITH_PIN),
    "passkeys-rename": ("passkeys", "rename", "ID", "--user-name", "lee", *WITH_PIN),
    "passkeys-delete": ("passkeys", "delete", "ID", "--yes", *WITH_PIN),
    "list-known": ("list",),
    "add": ("add", "blue-5c", "--role", "primary"),
    "edit": ("edit", "known", "--location", "the safe"),
    "forget": ("forget", "known", "--confirm", "known"),
    "scan": ("scan", "--pin-file", "pin", "--try-pin-again"),
    "service-add": ("service", "add", "PayPal", "--account", "kim", "--on", "known", "--recovery", "sms"),
    "service-edit": ("service", "edit", "shop", "--recovery", "codes"),
    "service-remove": ("service", "remove", "shop", "--yes"),
    "service-list": ("service", "list"),
    "service-import": ("service", "import", "accounts.csv"),
    "coverage": ("coverage",),
    "coverage-missing": ("coverage", "--missing", "other"),
    "coverage-without": ("coverage", "--without", "known"),
    "pair-create": ("pair", "create", "known", "safe", *BY_COMMAND),
    "pair-list": ("pair", "list"),
    "pair-show": ("pair", "show", "safe"),
    "pair-verify": ("pair", "verify", *BY_COMMAND),
    "pair-remove": ("pair", "remove", "--yes", *BY_COMMAND),
    "pair-restore": ("pair", "restore", "--key", "safe", *BY_COMMAND),
    "pair-derive": ("pair", "derive", "--for", "rp:bank.example/kim"),
    "pair-export": ("pair", "export", "safe", *BY_COMMAND),
    "pair-import": ("pair", "import", "seed.json", "known", "--dry-run"),
    "recover-sign": ("recover", "sign", "--for", "sign:release", "pin", "--pin-file", "pin"),
    "recover-promote": ("recover", "promote", "--confirm", "known", *BY_COMMAND),
    "unattended-on": ("unattended", "on", "--file", "--yes", "--key", "known", *BY_COMMAND),
    "unattended-off": ("unattended", "off", "--key", "known"),
    "unattended-list": ("unattended", "list"),
    "health": ("health",),
    "health-accept": ("health", "accept", "pin_length", "--key", "known", "--reason", "a test"),
    "health-timer": ("health", "timer", "--on-plug"),
    "lost": ("lost", "known"),
    "found": ("found", "known"),
    "sheet": ("sheet", "known"),
    "inventory-export": ("inventory", "export"),
    "inventory-import": ("inventory", "import", "export.json"),
    "inventory-path": ("inventory", "path"),
    "reset": ("reset", "--dry-run"),
    "wink": ("wink",),
    "doctor": ("doctor", "--key", "virtual:red"),
    "virtual-new": ("virtual", "new", "green"),
    "virtual-list": ("virtual", "list"),
    "virtual-profiles": ("virtual", "profiles"),
    "virtual-set": ("virtual", "set", "blue", "touch=never", "quirk=no-touch", "fault=9:1"),
    "completion": ("completion", "fish"),
    "help": ("list", "--help"),
    "version": ("--version",),
    "no-key": ("info", "--key", "virtual:red"),
    "usage": ("list", "--frobnicate"),
    "pin-wrong": ("pin", "verify", "--key", "virtual:blue", "--pin-file", "wrong"),
}
LATER = {"unattended", "health", "lost", "found", "sheet"}
#: Those for which the key was given a name and read before, and an account noted.
KNOWN = {
    name
    for name, words in COMMANDS.items()
    if words[0] in {"edit", "forget", "scan", "service", "coverage", "inventory", *LATER} or name == "list-known"
}
#: Those for which there is a backup key, and mostly a pairing.
PAIRED = {name for name, words in COMMANDS.items() if words[0] in {"pair", "recover"}}
UNPAIRED = {"pair-create", "pair-export", "pair-import"}


def shape(value: object) -> object:
    """The fields and the types of *value*; a list is as its first element."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


@pytest.mark.parametrize("name", COMMANDS)
def test_the_document_is_as_promised(name, home, tmp_path, monkeypatch, capsys, request):
    monkeypatch.chdir(tmp_path)
    for file, pin in (("pin", PIN), ("wrong", "654321")):
        Path(file).touch(mode=0o600)
        Path(file).write_text(f"{pin}\n")
    assert main(["virtual", "new", "blue"]) == 0
    assert main(["pin", "set", *WITH_PIN]) == 0
    passkey_id = registration.register(home / "virtual", "blue", SITE, PIN).hex()
    if name in KNOWN:
        get_to_know(home)
    if name in PAIRED:
        pair(name)
    if name in {"unattended-off", "unattended-list"}:
        assert main(["unattended", "on", "--file", "--yes", "--key", "known", *BY_COMMAND]) == 0
    if name == "found":
        assert main(["lost", "known"]) == 0
    if name == "pin-set":
        main(["virtual", "new", "fresh"])
    if name == "list-broken-key":
        main(["virtual", "set", "blue", "fault=1:garbage"])
    capsys.readouterr()

    status = main([passkey_id if word == "ID" else word for word in COMMANDS[name]] + ["--json"])

    document = json.loads(capsys.readouterr().out)
    assert document["exit_status"] == status
    told = {
        name: value if name in {"schema", "command", "status", "exit_status"} else shape(value)
        for name, value in document.items()
    }
    golden = GOLDEN / f"{name}.json"
    if request.config.getoption("--accept"):
        golden.write_text(json.dumps(told, indent=2) + "\n")
    assert json.loads(golden.read_text()) == told


def get_to_know(home: Path) -> None:
    """The key, and another one that lacks what it opens."""
    assert main(["add", "known", *WITH_PIN[:2]]) == 0
    assert main(["scan", "--key", "known", *WITH_PIN[2:]]) == 0
    assert main(["virtual", "new", "other"]) == 0
    assert main(["add", "other", "--key", "virtual:other"]) == 0
    assert main(["virtual", "unplug", "other"]) == 0
    assert main(["service", "add", "shop", "--rp", "shop.example", "--on", "known"]) == 0
    assert main(["inventory", "export", "export.json"]) == 0
    Path("accounts.csv").write_text("name,rp_id,account,keys,recovery\nMail,mail.example,kim,known;other,codes\n")
    assert main(["edit", "known", "--note", "newer than the export"]) == 0
    registration.register(home / "virtual", "blue", replace(SITE, rp_id="new.example"), PIN)


def pair(name: str) -> None:
    """A primary and a backup key, as far as the command needs them."""
    assert main(["virtual", "new", "green", "--profile", "arkg"]) == 0
    assert main(["pin", "set", "--key", "virtual:green", "--pin-file", "pin"]) == 0
    assert main(["add", "known", "--key", "virtual:blue"]) == 0
    assert main(["add", "safe", "--key", "virtual:green"]) == 0
    if name == "pair-import":
        assert main(["pair", "export", "safe", "seed.json", *BY_COMMAND]) == 0
    if name not in UNPAIRED:
        assert main(["pair", "create", "known", "safe", *BY_COMMAND]) == 0
        assert main(["pair", "derive", "--for", "ssh:server.example.com"]) == 0


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(COMMANDS)
