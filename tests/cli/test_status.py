"""The first screen: what of the last check it shows, and what it says where nothing is noted."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from keyctl.core import times

from ..core.coverage_parts import key, pairing, passkey, service  # noqa: TID252  # found by path: there is no package to name

FAR = "2099-01-01T00:00:00Z"


@pytest.fixture
def screen(run):
    """What the first screen says for people, its folded lines as one, and for scripts."""

    def screen():
        text = re.sub(r"\n {3,}", " ", run().out)
        return text, run("status", "--json").document["data"]

    return screen


def test_all_findings_are_counted_though_few_are_shown(run, write, screen):
    write(key("blue", *(passkey(f"site{number}.example") for number in range(40))), key("green"))
    assert run("health").status == 10
    text, data = screen()
    counts = data["last_check"]["counts"]
    assert counts["warn"] + counts["fail"] > 40
    assert f"and {counts['warn'] + counts['fail'] - 5} more: `keyctl health`" in text


def test_a_check_of_nothing_is_none_once_keys_are_there(run, write, screen):
    assert run("health").status == 10
    assert "no key is known" in screen()[0]
    write(key("blue"), key("green"))
    text, data = screen()
    assert (data["last_check"], data["findings"]) == (None, [])
    assert "nothing can be checked" not in text


def test_a_check_that_is_still_to_come_is_none(run, write, screen, home):
    write(key("blue"), key("green"))
    assert run("health").status == 10
    path = home / "state" / "last-check.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": FAR}))
    assert screen()[1]["last_check"] is None


def test_what_was_found_goes_with_its_key_and_its_pairing(run, write, screen):
    made = pairing("blue", "green")
    write(key("blue"), key("green"), key("red"), made)
    assert run("health").status == 10
    about = {(one["key"], one["pairing"]) for one in screen()[1]["findings"]}
    assert {("blue", None), ("red", None), (None, "blue/green")} <= about
    before = screen()[1]["last_check"]["counts"]["warn"]
    now = times.now()
    assert run("forget", "red", "--confirm", "red").status == 0
    write(key("blue", state="lost", changed={"state": now}), replace(made, retired_at=now))
    data = screen()[1]
    assert {(one["key"], one["pairing"]) for one in data["findings"]} & about == {("green", None), (None, None)}
    assert data["last_check"]["counts"]["warn"] < before
    # That it is lost is found by the next check, and goes when it is found again.
    assert run("health").status == 10
    assert "lost_key" in {one["id"] for one in screen()[1]["findings"]}
    write(key("blue"))
    assert "lost_key" not in {one["id"] for one in screen()[1]["findings"]}


def test_keys_that_hold_no_passkeys_are_not_to_be_read_again(write, screen):
    write(key("blue"), replace(key("green"), passkeys_read_at=times.now()))
    assert "none noted yet: `keyctl scan`" in screen()[0]
    write(replace(key("blue"), passkeys_read_at=times.now()))
    text, data = screen()
    assert data["scanned"] is True
    assert "your keys hold no passkeys; second factors are noted with `keyctl service add NAME --on KEY`" in text


def test_a_key_that_says_nothing_gets_no_name(run, virtual, blue, screen):
    assert run("add", "blue", "-k", blue).status == 0
    virtual.set("blue", "fault=1:busy")
    text, data = screen()
    assert "virtual:blue: cannot be opened or read" in text
    assert data["next_step"]["command"] != "keyctl add NAME -k virtual:blue"


def test_a_bad_finding_stays_when_its_key_gets_another_name(run, virtual, blue, screen):
    assert run("add", "a", "-k", blue).status == 0
    virtual.spend(2)
    assert run("health").status == 10
    assert run("edit", "a", "--name", "daily").status == 0
    text, data = screen()
    assert data["last_check"]["result"] == "fail"
    [bad] = [one for one in data["findings"] if one["id"] == "pin_tries"]
    assert (bad["key"], bad["message"]) == ("daily", "daily takes only 2 tries at its PIN")
    # It may name the key by its old name.
    assert bad["hint"] == "`keyctl health` says what to do about it"
    assert "1 bad" in text


def test_what_was_found_of_a_pairing_stays_when_a_key_gets_another_name(run, write, screen):
    write(key("blue"), key("green"), pairing("blue", "green"))
    assert run("health").status == 10
    before = screen()[1]
    assert run("edit", "green", "--name", "safe").status == 0
    after = screen()[1]
    assert after["last_check"] == before["last_check"]
    assert {one["pairing"] for one in after["findings"]} == {None, "blue/safe"}
    assert any(one["message"].startswith("blue/safe ") for one in after["findings"])


def test_a_key_that_was_forgotten_is_not_the_next_of_its_name(run, write, screen):
    write(key("blue"), key("green"))
    assert run("health").status == 10
    assert run("forget", "green", "--confirm", "green").status == 0
    write(replace(key("green"), id="00000000000000ff"))
    assert {one["key"] for one in screen()[1]["findings"]} == {None, "blue"}


def test_a_last_check_of_an_older_version_is_read(run, write, screen, home):
    write(key("blue", passkey("github.com"), owner="kim"), key("green"))
    assert run("health").status == 10
    before = screen()[1]
    assert [one["owner"] for one in at_risk(before)] == ["kim"]
    path = home / "state" / "last-check.json"
    content = json.loads(path.read_text())
    for name in ("key_ids", "pairing_ids"):
        del content[name]
    for one in content["findings"]:
        del one["owner"]
        # Nor does what a newer one adds hide anything.
        one["more"] = 1
    path.write_text(json.dumps(content))
    after = screen()[1]
    assert after["last_check"] == before["last_check"]
    assert after["findings"] == [one | {"owner": None} for one in before["findings"]]


def at_risk(document):
    return [one for one in document["findings"] if one["id"] == "account_at_risk"]


def test_an_account_that_was_mended_is_not_bad_any_more(run, write, screen):
    write(key("blue"), key("green"), service("github", "github.com", account="joe"))
    assert run("health").status == 10
    text, data = screen()
    assert "1 bad" in text
    assert len(at_risk(data)) == 1
    assert run("service", "edit", "github", "--on", "blue").status == 0
    # One key is better than none, and not yet what the check said.
    assert at_risk(screen()[1]) == []
    assert run("service", "edit", "github", "--on", "green").status == 0
    text, data = screen()
    assert "bad" not in text
    assert data["last_check"]["counts"]["fail"] == 0


def test_what_was_accepted_or_taken_back_counts_at_once(run, write, screen):
    write(key("blue"), key("green"), service("github", "github.com", account="joe"))
    assert run("health").status == 10
    assert run("health", "accept", "account_at_risk", "--account", "joe").status == 0
    text, data = screen()
    assert "bad" not in text
    assert (at_risk(data), data["last_check"]["counts"]["accepted"]) == ([], 1)
    assert run("health", "accept", "account_at_risk", "--remove").status == 0
    text, data = screen()
    assert "1 bad" in text
    assert len(at_risk(data)) == 1


def test_a_device_that_got_a_name_is_no_stranger_any_more(run, virtual, blue, screen):
    assert run("add", "blue", "-k", blue).status == 0
    virtual.unplug("blue")
    virtual.new("green")
    assert run("health").status == 10
    assert "virtual:green" in {one["key"] for one in screen()[1]["findings"]}
    assert run("add", "green", "-k", "virtual:green").status == 0
    assert "virtual:green" not in {one["key"] for one in screen()[1]["findings"]}


def test_a_key_that_cannot_be_opened_is_not_told_to_be_plugged_in(virtual, blue, screen):
    virtual.set("blue", "fault=1:busy")
    text = screen()[0]
    assert f"{blue}: cannot be opened or read" in text
    assert "a connected key cannot be opened or read: `keyctl doctor`" in text
