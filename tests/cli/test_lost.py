"""``lost``, ``found`` and ``sheet`` on the terminal, in a pipe and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyctl.core.inventory import Recovery
from keyctl.model import KeyState
from tests.harmless import assert_harmless

from ..core.coverage_parts import key, pairing, passkey, service  # noqa: TID252  # found by path: there is no package to name

HOSTILE = "\x1b[2J[red]x[/red]\u202e\n# keyctl: `error`: <b>no</b>"


@pytest.fixture
def two(write):
    write(
        key("blue", passkey("bank.example"), passkey("github.com")),
        key("green", passkey("github.com")),
        service("Bank", recovery=[Recovery.CODES]),
    )


@pytest.mark.usefixtures("two")
def test_the_steps_stand_under_headings_with_boxes_ids_links_and_commands(run):
    done = run("lost", "blue")
    assert done.status == 0
    assert done.err == ""
    data = run("lost", "blue", "--json").document["data"]
    ids = {step["kind"]: step["id"] for step in data["steps"]}
    lines = done.out.splitlines()
    assert lines[0] == f"blue is lost since {data['lost_at']}; 0 of 7 steps are done, the most urgent come first"
    start = lines.index("Accounts that no other key opens")
    assert lines[start : start + 7] == [
        "Accounts that no other key opens",
        f"[ ] {ids['recover']}  get into Bank (kim) by a recovery code; register another key there, and remove blue",
        "",
        "Accounts that another key opens",
        f"[ ] {ids['revoke']}  sign in to GitHub (kim) with green, and remove blue from its security keys",
        "                settings: https://github.com/settings/security",
        "",
    ]
    assert "                $ keyctl coverage --missing NEW" in lines
    assert lines[-1] == (
        f"tick a step off: `keyctl lost blue --done {ids['recover']}`; found again: `keyctl found blue`"
    )


@pytest.mark.usefixtures("two")
def test_the_document_has_every_field_of_a_step(run):
    document = run("lost", "blue", "--json").document
    assert (document["command"], document["status"]) == ("lost", "ok")
    data = document["data"]
    assert set(data) == {
        "name", "key", "changed", "lost_at", "plugged_in", "with_computer", "read", "steps", "content", "remarks",
    }  # fmt: skip
    assert data["changed"]
    assert data["key"]["state"] == "lost"
    assert set(data["steps"][0]) == {
        "id", "done", "done_at", "kind", "text", "url", "url_kind", "key", "service", "rp_id", "account", "commands",
    }  # fmt: skip
    assert not run("lost", "blue", "--json").document["data"]["changed"]


@pytest.mark.usefixtures("two")
def test_a_step_is_ticked_off_on_the_command_line(run):
    first = run("lost", "blue", "--json").document["data"]["steps"][0]
    out = run("lost", "blue", "--done", first["id"][:6]).out
    assert f"[x] {first['id']}  {first['text']}" in out
    assert "1 of 7 steps are done" in out
    assert "0 of 7" in run("lost", "blue", "--not-done", first["id"]).out
    missing = run("lost", "blue", "--done", "ffffffffff", "--json")
    assert (missing.status, missing.code) == (9, "step_not_found")


@pytest.mark.usefixtures("two")
def test_all_done_is_said(run):
    steps = run("lost", "blue", "--json").document["data"]["steps"]
    out = run("lost", "blue", *(word for step in steps for word in ("--done", step["id"]))).out
    assert "all 7 steps are done" in out
    assert "[ ]" not in out


@pytest.mark.usefixtures("two")
def test_markdown_is_a_list_of_boxes(run):
    out = run("lost", "blue", "--markdown").out
    assert out.startswith("# blue is lost: what to do now\n")
    assert "- [ ] sign in to GitHub (kim) with green, and remove blue from its security keys (`" in out
    assert "  - <https://github.com/settings/security>" in out
    assert run("lost", "blue", "--markdown", "--json").document["data"]["content"] + "\n" == out


@pytest.mark.usefixtures("two")
def test_on_a_terminal_the_text_is_folded_and_commands_are_not(at_terminal):
    screen = at_terminal("lost", "blue", columns=60, variables={"TERM": "xterm", "NO_COLOR": "1"})
    assert screen.end() == 0
    lines = screen.text.replace("\r\n", "\n").splitlines()
    assert (
        max(len(line) for line in lines if "`" not in line and "https" not in line and "blue is lost" not in line) <= 60
    )
    assert any(line == "                its security keys" or line.startswith(" " * 16) for line in lines)


@pytest.mark.parametrize("options", [(), ("--markdown",), ("--json",)])
def test_hostile_names_are_shown_and_not_obeyed(run, write, options):
    blue = replace(key("blue", passkey(HOSTILE, HOSTILE)), name=HOSTILE, serial=HOSTILE, model=HOSTILE)
    green = replace(key("green", passkey(HOSTILE, HOSTILE)), name=f"{HOSTILE} 2")
    write(blue, green, service(HOSTILE, HOSTILE, HOSTILE, on=["blue"]), pairing("blue", "green"))
    done = run("lost", HOSTILE, "--with-computer", *options)
    assert done.status == 0
    assert_harmless(done.out)
    back = run("found", HOSTILE, *(option for option in options if option == "--json"))
    assert back.status == 0
    assert_harmless(back.out)
    assert "<b>no" not in run("sheet", HOSTILE, "--with-accounts").out
    for more in ((), ("--markdown",), ("--json",)):
        page = run("sheet", HOSTILE, "--with-accounts", *more)
        assert page.status == 0
        assert_harmless(page.out)
        assert (
            more == ("--json",) or "<b>no" not in page.out.replace(r"\<", "").replace("`", "") or "--markdown" in more
        )


@pytest.mark.usefixtures("two")
def test_usage_is_told(run):
    unknown = run("lost", "blu", "--json")
    assert (unknown.status, unknown.code) == (9, "name_not_found")
    assert run("lost", "blue", "-k", "green").status == 2
    assert run("found", "blue", "-k", "green").status == 2
    assert run("sheet", "blue", "-k", "green").status == 2
    assert run("sheet", "red").status == 9
    assert run("lost", "blue", "--from", "missing.json", "--json").code == "import_unreadable"
    assert run("lost").status == 2


@pytest.mark.usefixtures("two")
def test_a_dry_run_says_so(run, home):
    before = sorted(path.read_bytes() for path in home.rglob("*.json"))
    done = run("lost", "blue", "--dry-run")
    assert "nothing was noted: this was a dry run" in done.err
    assert sorted(path.read_bytes() for path in home.rglob("*.json")) == before


def test_without_any_key_there_is_a_plan_and_a_hint(run):
    done = run("lost", "blue")
    assert done.status == 0
    assert done.out.startswith("blue is lost, and nothing is noted of it: what to do, in this order\n")
    assert "no key is known here, so blue is marked nowhere" in done.err
    data = run("lost", "blue", "--json").document["data"]
    assert (data["key"], data["changed"], data["lost_at"]) == (None, False, None)
    assert "`" in run("lost", "blue", "--markdown").out


@pytest.mark.usefixtures("two")
def test_an_exported_inventory_comes_from_stdin(run, home):
    content = run("inventory", "export").out
    home.rename(home.with_name("old"))
    done = run("lost", "blue", "--from", "-", stdin=content.encode())
    assert done.status == 0
    assert "sign in to GitHub (kim) with green" in done.out
    assert "blue" in run("list", "--known").out


def test_a_key_that_cannot_be_read_for_its_pin_leaves_the_plan(run, virtual, pin_file):
    selector = virtual.new("green")
    done = run("lost", "blue")
    assert done.status == 0
    assert "no key was read: " in done.err
    wrong = run("lost", "blue", "-k", selector, "--pin-file", pin_file("654321\n"), "--json")
    assert wrong.status == 4
    assert wrong.document["status"] == "partial"
    assert wrong.document["errors"][0]["code"] == "pin_wrong"
    assert wrong.document["data"]["steps"]


def test_the_end_of_input_at_the_pin_prompt_leaves_the_plan(at_terminal, virtual):
    virtual.new("green")
    screen = at_terminal("lost", "blue")
    screen.expect("PIN")
    screen.type(b"\x04")
    assert screen.end() == 0
    assert "virtual:green was not read, as no PIN was given" in screen.text
    assert "Accounts that no other key opens" in screen.text


def test_a_name_that_no_key_can_have_is_wrong_usage(run):
    empty = run("lost", "", "--json")
    assert (empty.status, empty.code) == (2, "name_invalid")


@pytest.mark.usefixtures("two")
def test_the_plan_comes_with_the_error_where_something_cannot_be_read(run, home):
    (home / "services" / "0123456789abcdef.json").write_text("{}")
    for options in ((), ("--dry-run",)):
        done = run("lost", "blue", *options)
        assert done.status == 6
        assert done.out.startswith("blue is lost; 0 of 7 steps are done")
        assert "keyctl: error: " in done.err
        assert "0123456789abcdef.json" in done.err
    document = run("lost", "blue", "--json").document
    assert document["status"] == "partial"
    assert document["data"]["changed"] is False
    assert len(document["data"]["steps"]) == 7
    assert document["errors"][0]["code"] == "store_unreadable"


@pytest.mark.usefixtures("two")
def test_damaged_ticks_stop_no_command(run, home):
    key_id = run("lost", "blue", "--json").document["data"]["key"]["id"]
    path = home / "lost" / f"{key_id}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    done = run("lost", "blue")
    assert done.status == 6
    assert "0 of 7 steps are done" in done.out
    screen = run("status", "--json")
    assert screen.status == 0
    assert [error["details"]["file"] for error in screen.document["errors"]] == [str(path)]
    assert "blue" in screen.document["data"]["next_step"]["text"]
    health = run("health", "--json")
    assert health.status == 10
    [finding] = [one for one in health.document["data"]["checks"] if one["id"] == "lost_key"]
    assert "7 steps are left to do" in finding["message"]
    assert "none counts as ticked off: " in finding["message"]
    assert str(path) in finding["message"]
    back = run("found", "blue", "--json")
    assert back.status == 6
    assert back.document["status"] == "partial"
    assert back.document["data"]["changed"] is True


def test_a_key_that_was_reset_is_not_called_lost(run, write):
    write(key("blue", state=KeyState.RESET))
    done = run("lost", "blue")
    assert done.out.startswith("blue was reset; 0 of ")
    assert run("lost", "blue", "--markdown").out.startswith("# blue was reset: what to do now\n")


@pytest.mark.usefixtures("two")
def test_found_says_what_happened(run):
    for options in ((), ("--dry-run",)):
        assert run("found", "blue", *options).out == "nothing to do: blue is not marked as lost\n"
    steps = run("lost", "blue", "--json").document["data"]["steps"]
    revoke = next(step for step in steps if step["kind"] == "revoke")
    run("lost", "blue", "--done", revoke["id"])
    assert run("found", "blue", "--dry-run").out.startswith("blue would be lost no more")
    done = run("found", "blue")
    assert done.out == (
        "blue is lost no more; what it opens counts again\n"
        "this was done in the meantime; where you want the key back, register it anew:\n"
        "  sign in to GitHub (kim) with green, and remove blue from its security keys\n"
    )
    data = run("found", "green", "--json").document["data"]
    assert (data["changed"], data["revoked"], data["retired"], data["primary"]) == (False, [], [], None)


@pytest.mark.usefixtures("two")
def test_a_sheet_goes_to_stdout_as_it_is(run):
    page = run("sheet", "green")
    assert page.err == ""
    assert page.out.startswith("<!doctype html>")
    assert page.out.endswith("</html>\n")
    assert run("sheet", "green", "--json").document["data"] == {"name": "green", "content": page.out[:-1]}


@pytest.mark.usefixtures("two")
def test_on_a_terminal_a_sheet_says_how_to_print_it(at_terminal):
    screen = at_terminal("sheet", "green")
    assert screen.end() == 0
    assert "`keyctl sheet green > sheet.html`" in screen.text
