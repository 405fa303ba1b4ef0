"""``pair derive``, ``export`` and ``import`` as they are typed: what goes to stdout, what to people, the documents."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest

from keyctl.core import fingerprints
from keyctl.core.pairings import Method
from keyctl.store import inventory
from keyctl.store import state as local_state
from tests import derived_parts

HOST = "ssh:server.example.com"
ENTRY = {
    "target",
    "rp_id",
    "account",
    "public_key",
    "key_handle",
    "pem",
    "jwk",
    "cose",
    "ssh",
    "fingerprint",
    "created_at",
    "endorsed",
    "handed_over_at",
}
NOT_TODAY = "no web site accepts a derived key as a login today"


@pytest.fixture
def paired(home, virtual, run, write):
    """Have blue paired with green, which is not plugged in."""

    def paired(**changes):
        for name in ("blue", "green"):
            virtual.new(name, pin=None)
            assert run("add", name, "-k", f"virtual:{name}").status == 0
        virtual.unplug("green")
        known = inventory.read(home)
        ids = [known.key_named(name).id for name in ("blue", "green")]
        record = derived_parts.pairing(*ids, **changes)
        write(record)
        # As where they were paired.
        local_state.write_seed_pin(home / "state", record.id, record.seed_hash)
        return record

    return paired


# --- derive ----------------------------------------------------------------------------------------------------------


def test_the_document_has_every_form_of_each_key(paired, run):
    paired()
    document = run("pair", "derive", "--for", HOST, "--for", "rp:Example.com/Kim", "--json").document
    assert document["command"] == "pair derive"
    data = document["data"]
    assert set(data) == {
        "pairing",
        "method",
        "state",
        "fingerprint",
        "checked_against_key",
        "changed",
        "derived",
    }
    assert (data["pairing"], data["method"], data["state"]) == ("blue/green", "arkg", "never_verified")
    assert (data["checked_against_key"], data["changed"]) == (False, True)
    host, site = data["derived"]
    assert set(host) == set(site) == ENTRY
    assert (host["target"], host["rp_id"], host["account"], host["endorsed"]) == (HOST, None, None, True)
    assert (site["target"], site["rp_id"], site["account"]) == ("rp:example.com/kim", "example.com", "kim")
    assert len(bytes.fromhex(host["public_key"])) == 65
    assert len(bytes.fromhex(host["key_handle"])) == 81
    assert host["pem"].startswith("-----BEGIN PUBLIC KEY-----\n")
    assert host["jwk"]["crv"] == "P-256"


def test_stdout_is_what_a_person_appends_to_authorized_keys(paired, run, tmp_path):
    paired()
    ran = run("pair", "derive", "--for", HOST, "--format", "ssh")
    assert ran.status == 0
    assert ran.out.startswith("ecdsa-sha2-nistp256 ")
    assert ran.out.endswith(f" {HOST}\n")
    file = tmp_path / "authorized_keys"
    file.write_text(ran.out)
    shown = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True).stdout
    fingerprint = run("pair", "derive", "--for", HOST, "--json").document["data"]["derived"][0]["fingerprint"]
    assert shown.split()[1] == fingerprint
    unchecked = "not checked against the key: blue carries no copy of the pairing"
    for note in ("the fingerprint of the seed is ", "was never verified", unchecked):
        assert note in ran.err
    assert NOT_TODAY not in ran.err


def test_each_form_is_printed_alone_one_key_after_the_other(paired, run):
    paired()
    targets = ("--for", "sign:b", "--for", "sign:a")
    pem = run("pair", "derive", *targets, "--format", "pem").out
    assert pem.count("-----BEGIN PUBLIC KEY-----\n") == 2
    assert pem.endswith("-----END PUBLIC KEY-----\n")
    jwks = [json.loads(line) for line in run("pair", "derive", *targets, "--format", "jwk").out.splitlines()]
    assert [jwk["kty"] for jwk in jwks] == ["EC", "EC"]
    first, second = run("pair", "derive", *targets, "--format", "cose").out.splitlines()
    assert (bytes.fromhex(first)[0], first != second) == (0xA5, True)


def test_text_is_a_block_for_each_key_that_says_how_it_was_made(paired, run):
    seed = derived_parts.seed(key_handle=None)
    paired(method=Method.SOFTWARE, seed=seed)
    ran = run("pair", "derive", "--for", HOST, "--for", "rp:example.com", "--from-record")
    head, *lines = ran.out.splitlines()
    assert head.startswith("blue/green, method software, seed ")
    assert [line for line in lines if not line.startswith("  ")] == [HOST, "rp:example.com"]
    assert lines.count("  endorsed     no") == lines.count("  handed over  not yet") == 2
    for note in ("method software: ", "made from the record alone", NOT_TODAY):
        assert ran.err.count(note) == 1


def test_targets_may_follow_one_another_and_come_from_files(paired, run, tmp_path):
    paired()
    file = tmp_path / "hosts"
    file.write_text("# all of them\nssh:c.example\nssh:a.example\n")
    document = run(
        "pair", "derive", "green", "--for", "ssh:a.example", "ssh:b.example", "--for-file", str(file), "--json"
    ).document
    derived = [entry["target"] for entry in document["data"]["derived"]]
    assert derived == ["ssh:a.example", "ssh:b.example", "ssh:c.example"]
    again = run("pair", "derive", "--for-file", "-", "--json", stdin=file.read_bytes()).document
    assert not again["data"]["changed"]


def test_what_was_installed_is_noted(paired, run):
    paired()
    assert run("pair", "derive", "--for", HOST).status == 0
    ran = run("pair", "derive", "--handed-over", HOST, "--dry-run")
    assert "handed over  not yet" in ran.out
    assert "nothing was recorded" in ran.err
    document = run("pair", "derive", "blue/green", "--handed-over", HOST, "--json").document
    [entry] = document["data"]["derived"]
    assert document["data"]["changed"]
    assert entry["handed_over_at"] is not None
    assert f"handed over  {entry['handed_over_at']}" in run("pair", "derive", "--for", HOST).out
    assert run("pair", "derive", "--handed-over", "sign:x", "--json").code == "derived_not_found"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "usage"),
        (("--for", "http://example.com"), "usage"),
        (("--for", "age:kim"), "unsupported"),
        (("--for", "ssh:a.example", "--format", "openssh"), "usage"),
        (("--handed-over", HOST, "--for", HOST), "usage"),
        (("--handed-over", HOST, "--from-record"), "usage"),
        (("--for-file", "/nowhere"), "import_unreadable"),
        (("--for-file", "-"), "usage"),
        (("red", "--for", HOST), "pairing_not_found"),
        (("green", "blue", "--for", HOST), "usage"),
        (("--for", "sign:\udcff"), "usage"),
        (("--for", HOST, "-k", "virtual:nobody"), "no_key"),
    ],
)
def test_what_makes_no_sense_is_told_before_any_touch(paired, run, home, arguments, code):
    paired()
    ran = run("pair", "derive", *arguments, "--json")
    assert ran.code == code
    assert "touch" not in ran.err
    assert derived_parts.get(home).derived == ()


def test_without_a_terminal_nobody_waits_for_a_touch(paired, run, virtual, home):
    paired()
    virtual.set("blue", "touch=never")
    assert run("pair", "derive", "--for", HOST, "--json").code == "no_touch"
    assert derived_parts.get(home).derived == ()


def test_a_swapped_seed_stops_it(paired, run, write):
    record = paired()
    write(derived_parts.pairing(record.primary_id, record.backup_id, seed=derived_parts.seed("x")))
    assert run("pair", "derive", "--for", HOST, "--json").code == "pairing_changed"


# --- export and import -----------------------------------------------------------------------------------------------


@pytest.fixture
def exported(virtual, run, tmp_path, pin_file):
    """The seed of green as a file, from a home of its own; and its fingerprint."""
    offline = tmp_path / "offline"
    other = type(virtual)(offline)
    other.new("green", profile="arkg")
    file = tmp_path / "seed.json"
    at = ("--home", str(offline), "--pin-file", pin_file())
    assert run("add", "green", *at, "-k", "virtual:green").status == 0
    document = run("pair", "export", "green", str(file), *at, "--json").document
    assert set(document["data"]) == {
        "content",
        "file",
        "fingerprint",
        "attestation",
        "key",
        "changed",
        "remarks",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file, document["data"]["fingerprint"]


@pytest.fixture
def blue_named(blue, run, pin_file):
    assert run("add", "blue", "-k", blue, "--pin-file", pin_file()).status == 0


def test_a_seed_on_stdout_is_the_file_itself(virtual, run, pin_file):
    virtual.new("green", profile="arkg")
    assert run("add", "green", "-k", "virtual:green", "--pin-file", pin_file()).status == 0
    ran = run("pair", "export", "green", "--pin-file", pin_file())
    content = json.loads(ran.out)
    assert content["schema"] == "keyctl-seed/1"
    assert f"the fingerprint of the seed is {content['fingerprint']}" in ran.err
    assert run("pair", "export", "green", "-k", "virtual:green", "--json").code == "usage"


@pytest.mark.usefixtures("blue_named")
def test_a_script_gives_the_fingerprint(run, exported, pin_file):
    file, fingerprint = exported
    take = ("pair", "import", str(file), "blue", "--pin-file", pin_file(), "--json")
    assert run(*take).code == "confirm_required"
    assert run(*take, "--confirm", "AAAAA-AAAAA-AAAAA-AAAAA").code == "declined"
    assert run("pair", "import", str(file), "blue", "--dry-run").out == "nothing was changed: this was a dry run\n"
    document = run(*take, "--confirm", fingerprint.lower()).document
    assert set(document["data"]) == {"pairing", "backup", "changed", "remarks"}
    assert (document["data"]["backup"], document["data"]["changed"]) == ("green", True)
    assert document["data"]["pairing"]["fingerprint"] == fingerprint
    assert not run(*take).document["data"]["changed"]
    assert "paired already" in run("pair", "import", str(file), "blue").out


@pytest.mark.usefixtures("blue_named")
def test_a_person_reads_the_groups_off_the_other_screen(at_terminal, virtual, exported):
    file, fingerprint = exported
    screen = at_terminal("pair", "import", str(file), "blue")
    screen.expect("Read the fingerprint off the screen of the computer that exported it\n")
    screen.expect("Type all four groups of it: ")
    assert not any(group in screen.text for group in fingerprints.groups(fingerprint))
    screen.type("AAAAA BBBBB\n")
    screen.expect("that is not it\nType all four groups of it: ")
    groups = fingerprints.groups(fingerprint)
    screen.type(f"{groups[0].lower()} {' '.join(groups[1:])}\n")
    screen.expect("PIN for blue (8 tries left): ")
    screen.type(f"{virtual.PIN}\n")
    assert screen.end() == 0
    assert f"blue/green: paired, method arkg, seed {fingerprint}" in screen.text


@pytest.mark.parametrize("answers", [["\n"], ["AAAAA BBBBB\n"] * 3])
@pytest.mark.usefixtures("blue_named")
def test_who_cannot_read_it_there_pairs_nothing(at_terminal, run, exported, answers):
    file, _ = exported
    screen = at_terminal("pair", "import", str(file), "blue")
    for answer in answers:
        screen.expect(" of it: ")
        screen.type(answer)
    assert screen.end() == 11
    assert "PIN for" not in screen.text
    assert run("pair", "list", "--json").document["data"]["pairings"] == []


@pytest.mark.parametrize("command", [("list",), ("show",), ("show", "green")])
def test_what_needs_no_key_takes_none(paired, run, command):
    paired()
    assert run("pair", *command, "-k", "blue", "--json").code == "usage"
    assert run("pair", *command).status == 0
