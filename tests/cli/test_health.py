"""``health`` and its subcommands: text, JSON, statuses, Nagios, and the units that run it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keyctl.cli import health_text
from keyctl.cli.main import main
from keyctl.core.health_results import Health, HealthCheck
from keyctl.core.inventory import Recovery
from keyctl.core.results import CheckResult
from tests.core.test_timer_units import unit_words

from ..core.coverage_parts import key, passkey, service  # noqa: TID252  # found by path: there is no package to name

HOSTILE = "\x1b[2J[red]x[/red]\u202e\nproblem: no|a"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def well(run, blue):
    """A virtual key about which everything is in order but for what was accepted; its name."""
    assert run("add", "blue", "-k", blue).status == 0
    for arguments in (("two_keys",), ("pin_length",), ("scan",), ("export",)):
        assert run("health", "accept", *arguments, "--reason", "for trying out").status == 0
    return "blue"


def test_an_empty_home_is_a_finding(run, home):
    done = run("health")
    assert done.status == 10
    assert done.out.startswith("warning: no key is known")
    assert done.err == ""
    found = run("health", "--json").document
    assert (found["status"], found["data"]["result"]) == ("found", "warn")
    assert [check["id"] for check in found["data"]["checks"]] == ["nothing_known"]
    assert not (home / "keys").exists()


def test_every_check_has_all_fields(run, well):
    for check in run("health", "--json").document["data"]["checks"]:
        assert list(check) == [
            *("id", "key", "pairing", "rp_id", "account", "owner", "result"),
            *("message", "hint", "since", "accepted_until", "reason"),
        ]
        assert (check["since"] is not None) is (check["result"] in {"warn", "fail"})
    assert well


def test_quiet_says_nothing_where_all_is_well_and_everything_where_it_is_not(run, virtual, well):
    assert run("health", "--quiet") == run("health", "-q")
    done = run("health", "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert run("health", "--json", "--quiet").document["data"]["result"] == "ok"
    virtual.spend(2)
    done = run("health", "--quiet")
    assert done.status == 10
    [line, hint] = done.out.splitlines()
    assert line == f"problem: {well} takes only 2 tries at its PIN [pin_tries]"
    assert hint.startswith("  be sure of the PIN")


def test_fail_on_decides_what_counts(run, write):
    write(key("blue", passkey()), key("green"))
    assert run("health", "--quiet").status == 10
    done = run("health", "--fail-on", "fail", "--quiet")
    assert (done.status, done.out) == (0, "")
    write(key("red", passkey("lost.example"), state="lost"))
    done = run("health", "--fail-on", "fail", "--quiet")
    assert done.status == 10
    assert "problem: red is lost" in done.out


def test_the_worst_comes_first_and_accepted_findings_last(run, write):
    write(key("blue", passkey()), key("green"), key("red", passkey("lost.example"), state="lost"))
    assert run("health", "accept", "account_at_risk", "--account", "bank.example").status == 0
    lines = [line for line in run("health").out.splitlines() if not line.startswith(" ")]
    kinds = [line.split(":")[0].split(" until")[0] for line in lines]
    order = [
        "problem",
        "warning",
        "accepted",
        "not connected, so only looked at by what is noted",
        "not checked",
        "fine",
    ]
    assert [kind for kind in order if kind in kinds] == list(dict.fromkeys(kinds))
    assert {"problem", "warning", "accepted"} <= set(kinds)


def test_sixty_findings_are_sixty_lines_with_their_hints(run, write):
    write(key("blue", *(passkey(f"site{number}.example") for number in range(60))), key("green"))
    done = run("health", "--quiet")
    found = [line for line in done.out.splitlines() if "[account_at_risk]" in line]
    assert len(found) == 60
    assert all(line.startswith("warning: ") for line in found)
    # The same advice is not given sixty times.
    assert done.out.count("(what to do: as above)") >= 50


def test_hostile_text_stays_on_its_line(run, write):
    write(key("blue", passkey("bank.example", HOSTILE)), key("green"), service(HOSTILE, "x.example", HOSTILE))
    write(replace(key("red", passkey("lost.example", HOSTILE)), name="r\x1b[2J\u202e", state="lost"))
    for arguments in (("health",), ("health", "--quiet"), ("health", "--nagios")):
        out = run(*arguments).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert not [line for line in out.splitlines() if line.startswith("problem: no")]
    nagios = run("health", "--nagios").out
    assert nagios.count("|") == 1
    assert nagios.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("--quiet",), ("-v",)])
def test_nagios_gets_one_line_and_its_own_statuses(run, capsys, virtual, well, arguments):
    def nagios():
        """The fixture's result knows keyctl's own statuses only, in which 1 is a bug."""
        status = main(["health", "--nagios", *arguments])
        return status, capsys.readouterr().out

    status, line = nagios()
    assert status == 0
    assert re.fullmatch(
        r"KEYCTL OK - nothing was found \| skip=\d+ ok=\d+ warn=0 fail=0 accepted=4 accounts_at_risk=0\n", line
    )
    virtual.new("green")
    assert run("add", "green", "-k", "virtual:green").status == 0
    status, line = nagios()
    assert (status, line.count("\n")) == (1, 1)
    assert line.startswith("KEYCTL WARNING - green takes PINs of 4 characters; ")
    virtual.spend(1)
    status, line = nagios()
    assert (status, line.count("\n")) == (2, 1)
    assert line.startswith(f"KEYCTL CRITICAL - {well} takes only 1 try at its PIN; ")
    assert "fail=1 " in line


def test_nagios_learns_why_nothing_could_be_checked(run, home, write):
    write(key("blue"))
    (home / "health.toml").write_text("x")
    done = run("health", "--nagios")
    assert done.status == 3
    assert done.out.startswith("KEYCTL UNKNOWN - ")
    (home / "health.toml").unlink()
    assert run("health", "--nagios", "-k", "blue").status == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("timer", "--dry-run"),
        ("accept", "--list", "--dry-run"),
        ("accept", "--list", "--owner", "kim"),
        ("--nagios", "--json"),
        ("--drill", "timer"),
        ("--nagios", "accept", "--list"),
        ("accept",),
        ("accept", "scan", "--list"),
        ("accept", "--list", "--account", "x"),
        ("accept", "scan", "--remove", "--until", "2099-01-01"),
        ("accept", "scan", "--until", "2001-01-01"),
        ("accept", "pin_tries"),
        ("timer", "--cron", "--write"),
        ("timer", "--cron", "--on-plug"),
        ("timer", "--notify-command", "a\nb"),
        ("--drill",),
        ("--fail-on", "ok"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run, arguments):
    assert run("health", *arguments).status == 2


def test_broken_limits_are_a_usage_error_with_line_and_field(run, home, well):
    (home / "health.toml").write_text("scan_days = 30\nmin_pin_length = 2\n")
    done = run("health", "--json")
    assert (done.status, done.code) == (2, "limits_invalid")
    assert "line 2: min_pin_length" in done.error["message"]
    assert done.error["details"]["file"] == str(home / "health.toml")
    assert well


def test_several_keys_may_be_named(run, virtual, well):
    virtual.new("green")
    virtual.new("red")
    for name in ("green", "red"):
        assert run("add", name, "-k", f"virtual:{name}").status == 0
    found = run("health", "--json", "-k", well, "-k", "virtual:red").document["data"]["checks"]
    assert {check["key"] for check in found} == {well, "red"}
    # Elsewhere the last one counts, as ever.
    assert run("-k", "red", "info", "-k", well, "-k", "green", "--json").document["data"]["key"]["name"] == "green"
    virtual.unplug("red")
    assert run("health", "-k", well, "-k", "red").status == 3
    assert run("health", "-k", well, "-k", "nobody").status == 3


def test_an_unreadable_inventory_and_list_are_errors(run, home, well):
    accepted = home / "accepted.json"
    accepted.write_text("{}")
    assert run("health", "--json").code == "store_unreadable"
    assert run("health", "accept", "--list").status == 6
    accepted.unlink()
    next((home / "keys").glob("*.json")).write_text("{}")
    assert run("health").status == 6
    assert well


def test_accepting_and_taking_back(run, well):
    listed = run("health", "accept", "--list", "--json").document["data"]
    assert {entry["id"] for entry in listed["accepted"]} == {"two_keys", "pin_length", "scan", "export"}
    assert listed["changed"] is False
    assert {entry["key"] for entry in listed["accepted"]} == {None, well}
    assert "for trying out" in run("health", "accept", "--list").out
    done = run("health", "accept", "pin_length", "--remove", "-k", well, "--json").document["data"]
    assert done["changed"] is True
    assert run("health", "accept", "pin_length", "--remove", "--json").code == "finding_not_found"
    assert run("health").status == 10
    assert run("health", "accept", "pin_length", "--until", "2099-01-01").status == 0
    [entry] = [
        entry
        for entry in run("health", "accept", "--list", "--json").document["data"]["accepted"]
        if entry["id"] == "pin_length"
    ]
    assert (entry["until"], entry["reason"]) == ("2099-01-01T00:00:00Z", None)
    assert run("health", "accept", "nonsense", "--json").code == "finding_not_found"


def test_a_run_without_a_terminal_asks_nothing_and_waits_for_nothing(child, virtual, well):
    """As from cron: next to no environment, and a key that wants a touch for all that may want one."""
    virtual.set("blue", "touch=never")
    done = child("health", "--quiet")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert well


def test_while_all_keys_lie_in_their_drawers_nothing_slow_is_loaded(write, environment):
    write(*(key(name, passkey(f"{name}.example")) for name in ("blue", "green")))
    script = (
        "import sys; from keyctl.cli.main import main; status = main(['health', '--json', '--quiet']); "
        "slow = {'fido2', 'cryptography', 'rich', 'keyctl.device.session', 'tomllib', 'importlib.metadata'}; "
        "print(int(status), sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "10 []\n"


def test_a_drill_at_a_terminal_asks_for_each_key(at_terminal, run, virtual, well):
    virtual.new("green")
    assert run("add", "green", "-k", "virtual:green").status == 0
    virtual.unplug("green")
    terminal = at_terminal("health", "--drill", "--quiet")
    terminal.expect(f"drill of {well}")
    terminal.expect(f"{well} proved itself")
    terminal.expect("waiting for green to be plugged in")
    virtual.plug("green")
    terminal.expect("green proved itself")
    assert terminal.end() == 10
    assert len(list((virtual.home / "drills").glob("*.json"))) == 2


@pytest.mark.parametrize("touch", ["refused", "never"])
def test_a_drill_of_a_named_key_that_was_not_held_ends_with_what_was_in_the_way(run, virtual, well, touch):
    virtual.set("blue", f"touch={touch}")
    done = run("health", "--drill", "-k", well, "--wait", "0.5", "--json")
    document = done.document
    assert (done.status, document["status"]) == (5, "partial")
    [error] = document["errors"]
    assert error["code"] in {"touch_refused", "no_touch"}
    [drill] = [check for check in document["data"]["checks"] if check["id"] == "key_drill"]
    assert drill["result"] == "skip"
    assert f"drill not held: {error['message']}" in drill["message"]
    # Of all keys, it is no error that one was not there to be touched.
    done = run("health", "--drill", "--wait", "0.5")
    assert done.status == 0
    assert f"not checked: {drill['message']}" in done.out
    done = main(["health", "--drill", "--nagios", "-k", well, "--wait", "0.5"])
    assert done == 3


def test_what_concerns_all_keys_is_accepted_without_one(run, write):
    write(*(replace(key(name), model="Model") for name in ("blue", "green")))
    found = run("health", "accept", "models", "-k", "blue", "--json").error
    assert (found["code"], found["hint"]) == (
        "finding_not_found",
        "it is about all keys together, so leave -k, --account and --owner out",
    )


def test_a_dry_run_of_accepting_changes_nothing(run, well, home):
    before, last = (home / "accepted.json").read_bytes(), (home / "state" / "last-check.json").read_bytes()
    for arguments in (("scan", "--remove"), ("pin_length", "--reason", "another")):
        done = run("health", "accept", *arguments, "--dry-run", "--json").document["data"]
        assert done["changed"] is False
        assert len(done["accepted"]) == (3 if "--remove" in arguments else 4)
    assert done["accepted"][1]["reason"] == "another"
    assert "this was a dry run" in run("health", "accept", "scan", "--remove", "--dry-run").err
    assert (home / "accepted.json").read_bytes() == before
    assert (home / "state" / "last-check.json").read_bytes() == last
    assert well


def test_a_key_without_a_name_is_told_to_accept_nothing(run, virtual, well):
    virtual.new("stranger", profile="full")
    done = run("health", "-k", "virtual:stranger", "--json").document["data"]
    [found] = [check for check in done["checks"] if check["id"] == "pin_length"]
    assert "have one of 6 or more" in found["hint"]
    assert "accept" not in found["hint"]
    [found] = [
        check for check in run("health", "-k", well, "--json").document["data"]["checks"] if check["id"] == "pin_length"
    ]
    assert f"`keyctl health accept pin_length -k {well}`" in found["hint"]


def test_a_named_stranger_is_none_of_the_keys_that_are_there(run, virtual, well):
    virtual.new("stranger")
    results = {}
    for there in (True, False):
        if not there:
            virtual.unplug("blue")
        done = run("health", "-k", "virtual:stranger", "--json").document["data"]
        results[there] = [check["result"] for check in done["checks"] if check["id"] == "recognition"]
    assert results == {True: [], False: ["warn"]}
    assert well


def test_accounts_of_two_owners_are_told_apart(run, write):
    write(*(key(f"{owner}-{number}", owner=owner) for owner in ("kim", "lee") for number in (1, 2)))
    write(*(key(f"{owner}-1", passkey(), owner=owner) for owner in ("kim", "lee")))
    accept = ("health", "accept", "account_at_risk")
    found = run(*accept, "--json").error
    assert found["details"]["candidates"] == ["bank.example/kim of kim", "bank.example/kim of lee"]
    assert found["hint"] == "say which one is meant with --owner OWNER"
    [entry] = run(*accept, "--owner", "lee", "--json").document["data"]["accepted"]
    assert (entry["account"], entry["owner"]) == ("kim", "lee")
    assert "bank.example kim (lee)" in run("health", "accept", "--list").out
    checks = run("health", "--json").document["data"]["checks"]
    risks = {check["owner"]: check["accepted_until"] for check in checks if check["id"] == "account_at_risk"}
    assert (risks["kim"], risks["lee"] is None) == (None, False)


def test_a_folder_that_may_not_be_entered_is_an_error_of_the_inventory(run, home):
    home.write_text("")
    for command in ("health", "status"):
        found = run(command, "--json").error
        assert (found["code"], found["message"]) == ("store_unreadable", f"{home} cannot be read: not a directory")


def test_the_report_shows_notes_and_what_was_not_checked():
    def check(name, result, **facts):
        told = dict.fromkeys(
            ("pairing", "rp_id", "account", "owner", "hint", "since", "accepted_until", "reason", "key")
        )
        return HealthCheck(**(told | {"id": name, "result": result, "message": f"{name} is so"} | facts))

    checks = (
        check("a", CheckResult.FAIL, hint="first\nsecond"),
        check("b", CheckResult.WARN, hint="first\nsecond"),
        check("g", CheckResult.WARN, hint="another"),
        check("h", CheckResult.WARN, hint="first\nsecond"),
        check("c", CheckResult.OK, hint="by the way"),
        check("d", CheckResult.OK),
        check("e", CheckResult.SKIP),
        check("e", CheckResult.SKIP),
        check("f", CheckResult.WARN, accepted_until="2099-01-01T00:00:00Z", reason="old"),
    )
    assert health_text.report(Health(result=CheckResult.FAIL, checks=checks)).splitlines() == [
        "problem: a is so [a]",
        "  first",
        "  second",
        "warning: b is so [b]",
        "  (what to do: as above)",
        "warning: g is so [g]",
        "  another",
        "warning: h is so [h]",
        "  first",
        "  second",
        "note: c is so [c]",
        "  by the way",
        "accepted until 2099-01-01: f is so [f]: old",
        "not checked: e is so",
        "fine: 2 checks",
    ]


# Timers.


def unit_files(content):
    """The files in what ``health timer`` prints, by name."""
    parts = re.split(r"^# (\S+\.(?:service|timer|rules))\n", content, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def value_of(unit, name):
    return re.findall(rf"^{name}=(.*)$", unit, flags=re.MULTILINE)


def started(unit, name, folder, **variables):
    """Run a line of a unit as the user's systemd would: no terminal, no input, its own few variables."""
    [line] = value_of(unit, name)
    words = unit_words(line.removeprefix("-"))
    own = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "LANG": "C.UTF-8"}
    for assignment in value_of(unit, "Environment"):
        name, _, value = shlex.split(assignment)[0].replace("%%", "%").partition("=")
        own[name] = value
    return subprocess.run(
        words,
        env=own | variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def units(run, home, tmp_path, monkeypatch):
    """The units for this home, started by a script as an installation has one; returns a function of more options."""
    program = tmp_path / "bin 100% $x" / "keyctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m keyctl "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def units(*options):
        done = run("health", "timer", *options, "--json").document["data"]
        assert done["content"] == run("health", "timer", *options).out.rstrip("\n") or "--write" in options
        return done

    assert home
    return units


def test_systemd_accepts_what_is_printed(units, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    folder = tmp_path / "units"
    folder.mkdir()
    files = unit_files(units("--on-plug", "--notify-command", "echo \"a b\" '$HOME' 50% \\n; true")["content"])
    assert len(files) == 4
    for name, content in files.items():
        (folder / name).write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *(str(folder / name) for name in files if not name.endswith(".rules"))],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_line_that_systemd_starts_gives_the_documented_statuses(units, virtual, well, tmp_path):
    service = unit_files(units()["content"])["keyctl-health.service"]
    assert value_of(service, "SuccessExitStatus") == ["10"]
    done = started(service, "ExecStart", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    virtual.spend(2)
    done = started(service, "ExecStart", tmp_path)
    assert (done.returncode, done.stderr) == (10, "")
    assert f"{well} takes only 2 tries" in done.stdout
    (virtual.home / "health.toml").write_text("nonsense")
    assert started(service, "ExecStart", tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [("exited", "0", False), ("exited", "10", True), ("exited", "6", True), ("killed", "TERM", False)],
)
def test_the_user_is_told_when_something_was_found(units, tmp_path, code, status, told):
    command = f"echo \"$EXIT_STATUS 50% 'x'\" > {shlex.quote(str(tmp_path))}/told"
    service = unit_files(units("--notify-command", command)["content"])["keyctl-health.service"]
    done = started(service, "ExecStopPost", tmp_path, EXIT_CODE=code, EXIT_STATUS=status)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "told").exists() is told
    if told:
        assert (tmp_path / "told").read_text() == f"{status} 50% 'x'\n"


def test_without_a_command_the_desktop_is_told(units, tmp_path):
    service = unit_files(units()["content"])["keyctl-health.service"]
    desktop = tmp_path / "desktop"
    desktop.mkdir()
    (desktop / "notify-send").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shlex.quote(str(tmp_path / "told"))}\n')
    (desktop / "notify-send").chmod(0o755)
    started(service, "ExecStopPost", tmp_path, EXIT_CODE="exited", EXIT_STATUS="10", PATH=f"{desktop}:/usr/bin:/bin")
    assert "status 10" in (tmp_path / "told").read_text()


def test_a_crontab_line_does_the_same(units, well, virtual, tmp_path):
    line = units("--cron", "--notify-command", f"echo told 50% > {tmp_path}/told")["content"]
    command = line.split(" ", 5)[5].replace("\\%", "%")

    def cron():
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(
            ["/bin/sh", "-c", command], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = cron()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    virtual.spend(2)
    assert well in cron().stdout
    assert (tmp_path / "told").read_text() == "told 50%\n"


def test_units_are_put_in_their_places_once(units, tmp_path):
    folder = tmp_path / "config" / "systemd" / "user"
    done = units("--write")
    assert done["changed"] is True
    assert done["written"] == [str(folder / name) for name in ("keyctl-health.service", "keyctl-health.timer")]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        file["name"]: file["content"] for file in done["files"]
    }
    assert "systemctl --user enable --now keyctl-health.timer" in done["commands"]
    assert any("linger" in command for command in done["commands"])
    assert units("--write")["changed"] is False
    assert sorted(path.name for path in folder.iterdir()) == ["keyctl-health.service", "keyctl-health.timer"]


def test_the_rule_is_written_where_root_can_fetch_it(units, home):
    done = units("--write", "--on-plug")
    rule = home / "state" / "70-keyctl-health.rules"
    assert str(rule) in done["written"]
    assert f"sudo install -m 644 {shlex.quote(str(rule))} /etc/udev/rules.d/" in done["commands"]
    text = rule.read_text()
    assert 'ENV{SYSTEMD_USER_WANTS}+="keyctl-health-plug.service"' in text


def test_a_dry_run_of_the_timer_writes_nothing(units, run, home, tmp_path):
    done = units("--write", "--on-plug", "--dry-run")
    assert done["changed"] is False
    assert len(done["written"]) == 4
    assert run("health", "timer", "--write", "--dry-run").out.startswith("would be written: ")
    assert not (tmp_path / "config").exists()
    assert not (home / "state").exists()


def test_no_unit_is_left_behind_where_the_rule_cannot_be_written(units, run, home, tmp_path):
    assert units()
    home.mkdir(exist_ok=True)
    (home / "state").write_text("")
    assert run("health", "timer", "--write", "--on-plug").status == 6
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_foreign_file_stays(units, run, tmp_path, kind):
    folder = tmp_path / "config" / "systemd" / "user"
    folder.mkdir(parents=True)
    path = folder / "keyctl-health.timer"
    (tmp_path / "own").write_text("mine")
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to(tmp_path / "own")
    else:
        path.mkdir()
    assert units()["written"] == []
    done = run("health", "timer", "--write")
    assert done.status == 2
    assert "not written by keyctl" in done.err
    assert [entry.name for entry in folder.iterdir()] == ["keyctl-health.timer"]
    assert (tmp_path / "own").read_text() == "mine"


def test_a_home_that_was_named_is_in_the_units(units, run, tmp_path, monkeypatch):
    other = tmp_path / "ot her%"
    assert f'Environment="KEYCTL_HOME={tmp_path}/ot her%%"' in run("health", "timer", "--home", str(other)).out
    monkeypatch.delenv("KEYCTL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    content = units()["content"]
    assert "KEYCTL_HOME" not in content
    assert f'Environment="XDG_DATA_HOME={tmp_path}/data"' in content


def test_recovery_methods_move_an_account_out_of_danger(run, write):
    write(key("blue", passkey()), key("green"))
    assert "[account_at_risk]" in run("health").out
    write(service(recovery=[Recovery.CODES]))
    assert "[account_at_risk]" not in run("health").out
