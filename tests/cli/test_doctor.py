"""The diagnosis as people and scripts see it."""

from __future__ import annotations

import os
import sys

import pytest

from keyctl.cli.commands import doctor
from keyctl.core.diagnosis_facts import Check, Diagnosis
from keyctl.core.results import CheckResult
from keyctl.store import pair_pins
from keyctl.store import state as local_state

from ..core import coverage_parts  # noqa: TID252  # found by path: there is no package to name
from .test_start_up import ROOT
from .test_start_up import run as loaded


@pytest.fixture
def calm(monkeypatch, tmp_path):
    """As little as possible of the computer that the test runs on."""
    monkeypatch.delenv("PCSCLITE_CSOCK_NAME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def only(document, identifier):
    [found] = [check for check in document["data"]["checks"] if check["id"] == identifier]
    return found


def test_key_that_is_well_is_status_zero(run, blue):
    done = run("doctor", "--key", blue)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("fine: ")
    assert "virtual:blue is plugged in" in done.out


def test_key_that_is_unplugged_is_a_finding(run, virtual, blue):
    virtual.unplug()
    done = run("doctor", "--key", blue)
    assert done.status == 10
    assert done.out.split("\n")[:2] == [
        "problem: virtual:blue is unplugged",
        "  plug it in with `keyctl virtual plug blue`",
    ]


def test_key_that_is_not_there_is_a_finding_and_no_error(run):
    done = run("doctor", "--key", "virtual:red", "--json")
    assert (done.status, done.err) == (10, "")
    assert (done.document["status"], done.document["errors"]) == ("found", [])
    assert only(done.document, "keys")["key"] == "virtual:red"


def test_quiet_says_it_with_the_exit_status(run):
    done = run("doctor", "--key", "virtual:red", "--quiet")
    assert (done.status, done.out, done.err) == (10, "", "")


@pytest.mark.usefixtures("calm")
def test_everything_is_looked_at_and_told_once(run):
    document = run("doctor", "--json").document
    results = [check["result"] for check in document["data"]["checks"]]
    assert results == sorted(results, key=["fail", "warn", "ok", "skip"].index)
    assert {"keys", "library", "home", "program-name"} <= {check["id"] for check in document["data"]["checks"]}
    assert document["data"]["result"] in {"ok", results[0]}
    if sys.platform == "linux":
        assert {"hidraw", "usb-access", "usb-login", "usb-rule", "usb-group", "reader-service", "reader-card"} <= {
            check["id"] for check in document["data"]["checks"]
        }


@pytest.mark.usefixtures("calm")
def test_a_virtual_key_is_a_key(run, blue):
    assert blue in only(run("doctor", "--json").document, "keys")["message"]


@pytest.mark.usefixtures("calm")
def test_nothing_is_made_or_changed(run, home):
    run("doctor")
    assert not home.exists()


@pytest.mark.usefixtures("calm")
def test_home_that_is_a_file_is_told_and_stops_nothing(run, home):
    home.write_text("")
    document = run("doctor", "--json").document
    assert only(document, "home")["result"] == "fail"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
@pytest.mark.usefixtures("calm")
def test_home_that_others_can_look_into_is_a_warning(run, home):
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    found = only(run("doctor", "--json").document, "home")
    assert (found["result"], found["hint"]) == ("warn", f"make it yours alone: chmod 700 {home}")


@pytest.mark.usefixtures("calm")
def test_a_conflict_copy_of_the_inventory_is_a_problem(run, home):
    (home / "keys").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "keys" / "0123456789abcdef.sync-conflict-20260131-080000-ABCDEFG.json").write_text("{}")
    found = only(run("doctor", "--json").document, "inventory")
    assert found["result"] == "fail"
    assert "second version" in found["message"]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize(
    ("copy", "plain"),
    [
        ("lost/0123456789abcdef.sync-conflict-20260131-080000-ABCDEFG.json", "0123456789abcdef.json"),
        ("drills/0123456789abcdef (Kim's conflicted copy 2026-01-31).json", "0123456789abcdef.json"),
        ("accepted.sync-conflict-20260131-080000-ABCDEFG.json", "accepted.json"),
        ("health (1).toml", "health.toml"),
    ],
)
def test_a_conflict_copy_beside_the_inventory_is_a_warning(run, home, copy, plain):
    (home / copy).parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    home.chmod(0o700)
    (home / copy).write_text("{}")
    contents = {"accepted.json": '{"schema": 1, "kind": "accepted", "accepted": []}', "health.toml": ""}
    (home / plain).write_text(contents.get(plain, "{}"))
    (home / "virtual").mkdir()
    done = run("doctor", "--json").document
    [found] = [check for check in done["data"]["checks"] if check["id"] == "inventory" and check["result"] != "ok"]
    assert found["result"] == "warn"
    assert f"{copy} is a second version of {plain}, " in found["message"]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize(
    ("name", "result"), [("accepted.json", "fail"), ("health.toml", "fail"), ("lost/{}.json", "warn")]
)
def test_what_health_reads_beside_the_inventory_is_looked_at(run, write, home, name, result):
    lost = coverage_parts.key("blue", state="lost")
    write(lost)
    home.chmod(0o700)
    path = home / name.format(lost.id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text("nonsense")
    done = run("doctor", "--json").document
    [found] = [check for check in done["data"]["checks"] if check["id"] == "inventory" and check["result"] != "ok"]
    assert found["result"] == result
    assert str(path) in found["message"]


def _of_a_key(state, keys, _pairing):
    local_state.write_pin(state, keys[0].id, b"key")


def _of_a_name(state, keys, _pairing):
    local_state.write_name_pin(state, keys[0].name, keys[0].id)


def _of_a_seed(state, _keys, pairing):
    local_state.write_seed_pin(state, pairing.id, bytes(32))


def _of_details(state, _keys, pairing):
    pair_pins.write_details(state, pairing.id, bytes(32))


def _of_a_pair(state, keys, pairing):
    pair_pins.write(state, f"numbers {keys[0].id} {keys[1].id}", pairing.id)


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("note", [_of_a_key, _of_a_name, _of_a_seed, _of_details, _of_a_pair])
def test_what_is_trusted_here_is_looked_at(run, write, home, note):
    keys = [coverage_parts.key(name) for name in ("blue", "green")]
    pairing = coverage_parts.pairing("blue", "green")
    write(*keys, pairing)
    home.chmod(0o700)
    note(home / "state", keys, pairing)
    assert only(run("doctor", "--json").document, "state")["result"] == "ok"
    [path] = (home / "state" / "pins").iterdir()
    path.write_text("{")
    done = run("doctor", "--json")
    assert done.status == 10
    found = only(done.document, "state")
    assert found["result"] == "fail"
    assert str(path) in found["message"]


@pytest.mark.usefixtures("calm")
def test_a_clock_that_was_set_back_is_told_as_health_tells_it(run, write, home):
    known = coverage_parts.key("blue")
    write(known)
    local_state.write_memory(home / "state", known.id, local_state.KeyMemory(last_seen="2099-01-01T00:00:00Z"))
    assert "set back" in only(run("doctor", "--json").document, "clock")["message"]


@pytest.mark.usefixtures("calm")
def test_a_weekly_check_that_runs_only_while_somebody_is_logged_in(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert run("health", "timer", "--write").status == 0
    checks = {check["id"] for check in run("doctor", "--json").document["data"]["checks"]}
    assert "timer" in checks


@pytest.mark.usefixtures("calm")
def test_other_program_of_the_name_is_told(run, tmp_path):
    (tmp_path / "keyctl").write_text("\x7fELF")
    (tmp_path / "keyctl").chmod(0o755)
    if sys.platform == "linux":
        assert "`fido-keyctl`" in run("doctor").out


def test_broken_library_does_not_stop_it(child, tmp_path):
    """It is what people run when nothing else works."""
    (tmp_path / "fido2").mkdir()
    (tmp_path / "fido2" / "__init__.py").write_text("raise ImportError('half an installation')")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    for key in ((), ("--key", "12345678")):
        done = child("doctor", "--json", *key, variables={"PYTHONPATH": paths})
        assert done.status == 10
        assert "half an installation" in only(done.document, "library")["message"]
        assert done.err == ""


def test_help_loads_nothing_slow():
    assert loaded([(["doctor", "--help"], {})]) == [[["doctor", "--help"], 0, []]]


def test_hostile_texts_stay_on_their_line(capsys):
    check = Check(id="x", result=CheckResult.WARN, message="a\nb\x1b[2J", hint="do:\n    this\u202e", key=None)
    found = Diagnosis(result=CheckResult.WARN, checks=(check, Check(id="y", result=CheckResult.SKIP, message="c\nd")))
    assert doctor._text(found).split("\n") == [
        "warning: a\\x0ab\\x1b[2J",
        "  do:",
        "      this\\u202e",
        "skipped: c\\x0ad",
    ]
    assert capsys.readouterr() == ("", "")


def test_hint_that_was_given_is_not_given_again():
    checks = tuple(Check(id="x", result=CheckResult.FAIL, message=name, hint="long\nhint") for name in "ab")
    note = Check(id="y", result=CheckResult.OK, message="c", hint="short")
    assert doctor._text(Diagnosis(result=CheckResult.FAIL, checks=(*checks, note))).split("\n") == [
        "problem: a",
        "  long",
        "  hint",
        "problem: b",
        "  (what to do: as above)",
        "note: c",
        "  short",
    ]
