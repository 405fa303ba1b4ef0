"""``keyctl service`` as people and scripts meet it."""

from __future__ import annotations

import json

import pytest

from keyctl.core.inventory import KnownKey, RecognitionCredential
from keyctl.store import inventory as store
from tests.harmless import assert_harmless

#: What a service says in the JSON document, at least.
FIELDS = {"name", "rp_id", "account", "on", "recovery", "settings_url", "documentation_url", "max_keys"}
HOSTILE = "\x1b[31m[bold]x[/bold]\u202e\n\x9b"


@pytest.fixture
def known(home):
    """Write known keys."""

    def known(*names):
        with store.changing(home, 0) as changes:
            for name in names:
                recognition = RecognitionCredential(
                    credential_id=name.encode(),
                    public_key=b"k",
                    user_id=b"u",
                    u2f=False,
                    enrolled_at="2026-01-01T00:00:00Z",
                )
                changes.put_key(
                    KnownKey(
                        id=store.new_id(),
                        name=name,
                        virtual=False,
                        aaguid=None,
                        model=None,
                        serial=None,
                        firmware=None,
                        added_at="2026-01-01T00:00:00Z",
                        recognition=recognition,
                    )
                )

    return known


@pytest.fixture
def completed(run, monkeypatch):
    """What a shell offers after a line."""

    def completed(line):
        words = line.split(" ")
        with monkeypatch.context() as patch:
            patch.setenv("_KEYCTL_COMPLETE", "bash_complete")
            patch.setenv("COMP_WORDS", "\n".join(words))
            patch.setenv("COMP_CWORD", str(len(words) - 1))
            done = run()
        assert (done.status, done.err) == (0, "")
        return [item.partition(",")[2] for item in done.out.splitlines() if item]

    return completed


def test_life_of_a_service(run, known):
    known("blue", "green")
    done = run("service", "add", "GitHub", "--account", "kim", "--on", "blue", "--recovery", "codes")
    assert (done.status, done.err) == (0, "")
    assert [line.split() for line in done.out.splitlines()] == [
        ["service", "GitHub"],
        ["account", "kim"],
        ["site", "github.com"],
        ["keys", "blue"],
        ["recovery", "codes"],
        ["settings", "https://github.com/settings/security"],
    ]
    assert run("service", "add", "github", "--account", "KIM", "--json").code == "service_exists"
    done = run("service", "edit", "github", "--on", "green", "--not-on", "blue", "--no-recovery", "codes", "--json")
    data = done.document["data"]
    assert data["changed"] is True
    assert set(data["service"]) >= FIELDS
    assert (data["service"]["on"], data["service"]["recovery"]) == (["green"], [])
    done = run("service", "edit", "github", "--not-on", "blue")
    assert done.err == "nothing to do: it is noted like that already\n"
    done = run("service", "list")
    assert [line.split() for line in done.out.splitlines()] == [
        ["NAME", "ACCOUNT", "SITE", "KEYS", "RECOVERY"],
        ["GitHub", "kim", "github.com", "green", "-"],
    ]
    assert run("service", "remove", "GitHub", "--json").code == "confirm_required"
    assert run("service", "remove", "GitHub", "--dry-run").out == "would be removed: GitHub (kim) at github.com\n"
    assert run("service", "remove", "GitHub", "--yes").out == "removed: GitHub (kim) at github.com\n"
    done = run("service", "list")
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("no services are noted; ")
    assert run("service", "list", "--json").document["data"] == {"services": []}
    assert run("service", "remove", "GitHub", "--yes", "--json").code == "service_not_found"


def test_what_is_printed_can_be_imported(run, known, home, tmp_path):
    known("blue")
    run("service", "add", "GitHub", "--on", "blue", "--recovery", "none")
    run("service", "add", HOSTILE, "--rp", "ssh:", "--account", HOSTILE)
    printed = run("service", "list", "--json").out
    file = tmp_path / "services.json"
    file.write_text(printed)
    done = run("service", "import", str(file), "--json")
    assert done.document["data"] == {
        "added": [],
        "changed": [],
        "unchanged": 2,
        "ignored_columns": [],
        "dry_run": False,
    }
    for path in (home / "services").iterdir():
        path.unlink()
    done = run("service", "import", "-", "--dry-run", stdin=printed.encode())
    assert done.out.count("would be added: ") == 2
    assert done.err == "2 would be added, 0 would be changed, 0 noted like that already\n"
    done = run("service", "import", "-", stdin=printed.encode())
    assert done.err == "2 added, 0 changed, 0 noted like that already\n"
    again = run("service", "list", "--json").document["data"]["services"]
    before = json.loads(printed)["data"]["services"]
    assert [{field: item[field] for field in FIELDS} for item in again] == [
        {field: item[field] for field in FIELDS} for item in before
    ]


def test_import_names_the_line_and_writes_nothing(run, home, tmp_path):
    file = tmp_path / "services.csv"
    file.write_text("name,rp_id,keys,url\nA,a.example,,\nB,b.example,red,\n")
    done = run("service", "import", str(file), "--json")
    assert done.code == "name_not_found"
    assert done.error["message"] == f"{file}: line 3 names the key red, which is not known"
    assert done.error["details"]["file"] == str(file)
    assert not (home / "services").exists()
    file.write_text("name,rp_id,url\nA,a.example,\n")
    done = run("service", "import", str(file))
    assert done.out == "added: A at a.example\n"
    assert "columns that mean nothing here: url" in done.err


@pytest.mark.parametrize("kind", ["missing", "folder", "nul", "denied"])
def test_file_that_cannot_be_read_is_told(run, tmp_path, kind):
    (tmp_path / "folder").mkdir()
    loop = tmp_path / "denied"
    loop.symlink_to(loop)
    file = "a\0b" if kind == "nul" else str(tmp_path / kind)
    assert run("service", "import", file, "--json").code == "import_unreadable"


def test_endless_input_is_refused(child):
    assert child("service", "import", "/dev/zero", "--json").code == "import_unreadable"


def test_closed_stdin_holds_no_services(shell):
    assert shell("$K service import - --json <&-").code == "import_unreadable"


@pytest.mark.parametrize(
    "line",
    [
        "service",
        "service add",
        "service add GitHub --recovery fax",
        "service add GitHub --recovery none --recovery sms",
        "service add GitHub --no-recovery sms",
        "service add GitHub --not-on blue",
        "service add GitHub --on",
        "service add GitHub -k blue",
        "service list -k blue",
        "service -k blue remove GitHub --yes",
        "service add Nowhere",
        "service add Nowhere --rp https://github.com/settings",
        "service edit GitHub",
        "service edit GitHub --account kim",
        "service import",
        "service list GitHub",
    ],
)
def test_wrong_command_line_is_a_usage_error(run, line):
    assert run("--json", *line.split()).code == "usage"


def test_pasted_address_is_answered_with_the_rp_id(run):
    done = run("service", "add", "Shop", "--rp", "https://shop.example/login?next=/")
    assert "keyctl: hint: the RP id in it is probably shop.example" in done.err


def test_hostile_names_are_shown_and_never_obeyed(run, known):
    key = "\x1b]0;t\x07\u202e[red]"
    known(key)
    for command in (
        ("add", HOSTILE, "--rp", "a.example", "--account", HOSTILE, "--on", key),
        ("list",),
        ("edit", HOSTILE, "--recovery", "sms"),
        ("add", HOSTILE, "--rp", "a.example", "--account", HOSTILE),
        ("edit", HOSTILE, "--account", key, "--recovery", "sms"),
        ("remove", HOSTILE, "--yes"),
    ):
        done = run("service", *command)
        text = done.out + done.err
        assert_harmless(text)
        assert r"\x1b[31m[bold]x[/bold]\u202e\x0a\x9b" in text
    run("service", "add", HOSTILE, "--rp", "a.example", "--on", key)
    [service] = run("service", "list", "--json").document["data"]["services"]
    assert (service["name"], service["on"]) == (HOSTILE, [key])


def test_name_that_is_no_unicode_is_refused(run):
    for option in ("--account", "--rp"):
        assert run("service", "add", "GitHub", option, "a\udcff", "--json").code == "usage"
    assert run("service", "add", "a\udcff", "--json").code == "usage"
    assert run("service", "add", "GitHub", "--on", "a\udcff", "--json").code == "name_not_found"


def test_damaged_file_is_told_and_the_others_are_shown(run, home):
    run("service", "add", "GitHub")
    (home / "services" / "0123456789abcdef.json").write_text("{}")
    done = run("service", "list", "--json")
    assert done.status == 6
    assert done.document["status"] == "partial"
    assert [service["name"] for service in done.document["data"]["services"]] == ["GitHub"]
    before = {path: path.read_bytes() for path in home.rglob("*.json")}
    assert run("service", "add", "Google", "--json").code == "store_unreadable"
    assert {path: path.read_bytes() for path in home.rglob("*.json")} == before


def test_list_is_the_same_before_and_after(run, known, home):
    known("blue")
    run("service", "add", "GitHub", "--on", "blue")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*.json")}
    run("service", "list")
    run("service", "add", "Google", "--on", "blue", "--dry-run")
    run("service", "edit", "GitHub", "--on", "blue", "--dry-run")
    run("service", "remove", "GitHub", "--dry-run")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*.json")} == before


def test_shell_offers_names_from_the_inventory(run, known, completed, home):
    known("blue", "blue two", "green", "b;rm", "b\x1b", "b\u202e")
    run("service", "add", "GitHub")
    run("service", "add", "GitHub", "--account", "kim")
    assert completed("keyctl service add GitHub --on b") == ["blue", r"blue\\ two"]
    assert completed("keyctl service edit GitHub --not-on g") == ["green"]
    assert completed("keyctl service edit ") == ["GitHub"]
    assert completed(f"keyctl --home {home}/other service remove ") == []


def test_completion_says_nothing_of_a_damaged_inventory(known, completed, home):
    known("blue")
    (home / "keys" / "0123456789abcdef.json").write_text("{")
    assert completed("keyctl service add GitHub --on ") == ["blue"]
    for path in (home / "keys").iterdir():
        path.unlink()
    (home / "keys").rmdir()
    (home / "keys").write_text("")
    assert completed("keyctl service add GitHub --on ") == []


def test_answer_of_no_keeps_the_service(run, at_terminal):
    run("service", "add", "GitHub")
    terminal = at_terminal("service", "remove", "GitHub")
    terminal.expect("Remove GitHub at github.com")
    terminal.type("n\n")
    assert terminal.end() == 11
    assert run("service", "list", "--json").document["data"]["services"]
