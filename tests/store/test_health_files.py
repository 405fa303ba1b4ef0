"""What the health check keeps, and what becomes of it when it is damaged."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keyctl.core.health_facts import Finding
from keyctl.core.health_limits import Limits
from keyctl.core.health_results import Acceptance, Health, HealthCheck
from keyctl.core.results import CheckResult
from keyctl.errors import StoreError, UsageError
from keyctl.store import check_results, health_files

if TYPE_CHECKING:
    from pathlib import Path

NOW, LATER = "2026-06-01T08:00:00Z", "2027-06-01T08:00:00Z"
ACCEPTANCE = Acceptance(
    id="pin_length",
    key_id="00000000000000b1",
    pairing_id=None,
    rp_id=None,
    account=None,
    owner=None,
    result=CheckResult.WARN,
    severity=0,
    token=None,
    accepted_at=NOW,
    until=LATER,
    reason="it is \u202e so",
)
CHECK = HealthCheck(
    id="scan",
    key="blue",
    pairing=None,
    rp_id=None,
    account=None,
    owner=None,
    result=CheckResult.WARN,
    message="blue was never read",
    hint="scan it",
    since=NOW,
    accepted_until=None,
    reason=None,
)


def limits_of(home: Path, content: bytes | str) -> Limits:
    home.mkdir(exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    (home / "health.toml").write_bytes(data)
    return health_files.read_limits(home)


def test_without_a_file_the_defaults_count(home):
    assert health_files.read_limits(home) == Limits()


def test_a_file_sets_what_it_names(home):
    assert limits_of(home, "# mine\nscan_days = 30\n") == Limits(scan_days=30)
    assert limits_of(home, "") == Limits()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("scan_days = 30\nmin_pin_length = 'x'\n", r"line 2: min_pin_length is not a whole number from 4 to 63"),
        ("\n\nscan_days = 0", r"line 3: scan_days is not a whole number from 1 to 3650"),
        ("scan_days = true", r"line 1: scan_days"),
        ("scan_days = 30.5", r"line 1: scan_days"),
        ("# scan_days\ndrill = 3", r"line 2: drill is no field of it; there are key_drill_days"),
        ("\n[scan_days]\nx = 1", r"line 2: scan_days is not"),
        ('"scan_days" = 0', r"line 1: scan_days"),
        ("scan_days = 30\nscan_days = 31", r"is not TOML.*line 2"),
        ("scan_days =", r"is not TOML.*line 1"),
        (b"a = 1\n\xff\n", r"is not UTF-8 in line 2"),
        (b"x" * 70_000, r"is not a plain file of reasonable size"),
        (f"\nscan_days = {'7' * 5000}", r"is wrong in line 2: the number is too long"),
        ("a = " + "[" * 20_000, r"is not TOML"),
    ],
)
def test_a_broken_file_names_line_and_field(home, content, told):
    with pytest.raises(UsageError, match=told) as raised:
        limits_of(home, content)
    assert (raised.value.code, raised.value.exit_status) == ("limits_invalid", 2)
    assert "\n" not in raised.value.message
    assert raised.value.details.file == str(home / "health.toml")


def test_a_link_and_a_folder_are_no_limits(home):
    home.mkdir()
    (home / "health.toml").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="symbolic link"):
        health_files.read_limits(home)
    (home / "health.toml").unlink()
    (home / "health.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        health_files.read_limits(home)


def test_a_pipe_in_the_place_of_the_limits_is_not_waited_for(home):
    home.mkdir()
    os.mkfifo(home / "health.toml")
    with pytest.raises(UsageError, match="is not a plain file"):
        health_files.read_limits(home)


def test_accepted_findings_come_back_and_expired_ones_go(home):
    other = replace(ACCEPTANCE, id="scan")
    assert health_files.read_acceptances(home) == ()
    health_files.change_acceptances(home, (), (ACCEPTANCE, other), now=NOW)
    assert health_files.read_acceptances(home) == (ACCEPTANCE, other)
    longer = replace(ACCEPTANCE, until="2028-06-01T08:00:00Z")
    assert health_files.change_acceptances(home, (), (longer,), now=NOW) == (longer, other)
    assert health_files.change_acceptances(home, (other,), (), now=NOW) == (longer,)
    assert health_files.change_acceptances(home, (), (), now="2030-01-01T00:00:00Z") == ()
    assert (home / "accepted.json").stat().st_mode & 0o777 == 0o600


def test_an_acceptance_of_before_there_were_owners_is_of_all_of_them(home):
    home.mkdir()
    content = health_files.acceptances_to((ACCEPTANCE,)) | {"schema": 1}
    del content["accepted"][0]["owner"]
    (home / "accepted.json").write_text(json.dumps(content))
    assert health_files.read_acceptances(home) == (ACCEPTANCE,)
    kim = replace(ACCEPTANCE, owner="kim")
    assert health_files.change_acceptances(home, (), (kim,), now=NOW) == (ACCEPTANCE, kim)
    assert json.loads((home / "accepted.json").read_text())["schema"] == 2


@pytest.mark.parametrize("name", ["lost_key", "pairing_gaps", "future", "counter", "derived_keys"])
def test_an_older_acceptance_that_covers_nothing_any_more_is_not_listed(home, name):
    home.mkdir()
    content = health_files.acceptances_to((replace(ACCEPTANCE, id=name), ACCEPTANCE)) | {"schema": 1}
    for entry in content["accepted"]:
        del entry["owner"]
    (home / "accepted.json").write_text(json.dumps(content))
    assert health_files.read_acceptances(home) == (ACCEPTANCE,)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": 3}, "store_newer"),
        ({"schema": 0}, "store_unreadable"),
        ({"kind": "drill"}, "store_unreadable"),
        ({"accepted": [{}]}, "store_unreadable"),
        ({"accepted": {}}, "store_unreadable"),
        ({"more": 1}, "store_unreadable"),
    ],
)
def test_a_damaged_list_of_accepted_findings_is_an_error(home, change, code):
    health_files.change_acceptances(home, (), (ACCEPTANCE,), now=NOW)
    path = home / "accepted.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = path.read_bytes()
    for use in (
        lambda: health_files.read_acceptances(home),
        lambda: health_files.change_acceptances(home, (), (ACCEPTANCE,), now=NOW),
    ):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == code
    assert path.read_bytes() == before


def test_a_drill_is_noted_by_key_and_a_damaged_one_is_none(home):
    assert health_files.read_drill(home, ACCEPTANCE.key_id) is None
    health_files.write_drill(home, ACCEPTANCE.key_id, NOW)
    assert health_files.read_drill(home, ACCEPTANCE.key_id) == NOW
    for content in ("{}", "nonsense", '{"schema": 1, "at": "yesterday"}', f'{{"schema": 2, "at": "{NOW}"}}'):
        (home / "drills" / f"{ACCEPTANCE.key_id}.json").write_text(content)
        assert health_files.read_drill(home, ACCEPTANCE.key_id) is None
    with pytest.raises(ValueError, match="no id"):
        health_files.write_drill(home, "../escape", NOW)


def test_the_last_result_comes_back_with_counts_and_beginnings(tmp_path):
    accepted = replace(CHECK, id="export", accepted_until=LATER)
    fine = replace(CHECK, id="counter", result=CheckResult.OK, since=None)
    health = Health(result=CheckResult.WARN, checks=(CHECK, *[CHECK] * 59, fine, accepted))
    made_of = (
        Finding(id="scan", result=CheckResult.WARN, message="", key="blue", key_id="00000000000000b1"),
        Finding(id="unreachable", result=CheckResult.WARN, message="", key="usb:/dev/hidraw3"),
        Finding(id="pairing_drill", result=CheckResult.WARN, message="", pairing="a/b", pairing_id="00000000000000c1"),
    )
    check_results.write_last(tmp_path, health, made_of, {"0a": NOW}, now=LATER)
    last = check_results.read_last(tmp_path)
    assert last is not None
    assert (last.at, last.result) == (LATER, "warn")
    assert vars(last.counts) == {"ok": 1, "warn": 60, "fail": 0, "skip": 0, "accepted": 1}
    assert last.findings[0] == CHECK
    assert len(last.findings) == 20
    assert last.key_ids == {"blue": "00000000000000b1"}
    assert last.pairing_ids == {"a/b": "00000000000000c1"}
    assert check_results.read_since(tmp_path) == {"0a": NOW}
    assert check_results.read_last_time(tmp_path) == LATER


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "at": 3, "since": []}', '{"schema": 9}'])
def test_a_damaged_last_result_is_none(tmp_path, content):
    (tmp_path / "last-check.json").write_text(content)
    (tmp_path / "last-export.json").write_text(content)
    assert check_results.read_last(tmp_path) is None
    assert check_results.read_last_time(tmp_path) is None
    assert check_results.read_since(tmp_path) == {}
    assert check_results.read_export(tmp_path) is None


def test_exports_and_records_seen_are_noted(tmp_path):
    assert check_results.read_export(tmp_path) is None
    check_results.write_export(tmp_path, "abc", NOW)
    assert check_results.read_export(tmp_path) == (NOW, "abc")
    assert check_results.read_record_seen(tmp_path, "00000000000000a1") is None
    check_results.write_record_seen(tmp_path, "00000000000000a1", NOW)
    assert check_results.read_record_seen(tmp_path, "00000000000000a1") == NOW
    with pytest.raises(ValueError, match="no id"):
        check_results.write_record_seen(tmp_path, "..", NOW)
