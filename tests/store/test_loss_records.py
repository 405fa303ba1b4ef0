"""What was done about a lost key: kept in one file per key, read strictly, in nobody's way."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyctl.errors import StoreError
from keyctl.store import inventory, loss_records
from keyctl.store.loss_records import LossRecord

KEY = "00000000000000b1"
NOW, LATER = "2026-01-31T08:00:00Z", "2026-02-01T08:00:00Z"
STEP, OTHER = "0123456789", "abcdef0123"


def note(home, **facts):
    options = {"with_computer": False, "now": NOW, **facts}
    return loss_records.change(home, KEY, lambda record: loss_records.changed(record, **options))


def path(home):
    return home / "lost" / f"{KEY}.json"


def test_without_a_file_nothing_is_done(tmp_path):
    assert loss_records.read(tmp_path, KEY) == LossRecord(key_id=KEY)


def test_what_is_ticked_off_stays_with_its_first_time_until_it_is_taken_back(tmp_path):
    assert note(tmp_path, done=[STEP]).done == {STEP: NOW}
    assert note(tmp_path, done=[STEP, OTHER], now=LATER).done == {STEP: NOW, OTHER: LATER}
    assert loss_records.read(tmp_path, KEY).done == {STEP: NOW, OTHER: LATER}
    assert note(tmp_path, not_done=[STEP]).done == {OTHER: LATER}
    assert note(tmp_path, with_computer=True).with_computer
    assert note(tmp_path).with_computer


def test_the_file_is_private_and_no_file_of_the_inventory(tmp_path):
    note(tmp_path, done=[STEP])
    assert path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert path(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    assert inventory.read(tmp_path) == inventory.Inventory()
    assert inventory.record_files(tmp_path) == ()
    assert [name.name for name in path(tmp_path).parent.iterdir()] == [path(tmp_path).name]


def test_what_is_forgotten_is_gone(tmp_path):
    note(tmp_path, done=[STEP])
    loss_records.forget(tmp_path, KEY)
    loss_records.forget(tmp_path, KEY)
    assert loss_records.read(tmp_path, KEY).done == {}


GOOD = {"schema": 1, "kind": "loss", "key_id": KEY, "with_computer": False, "done": {STEP: NOW}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": 2}, "store_newer"),
        ({"schema": 0}, "store_unreadable"),
        ({"schema": True}, "store_unreadable"),
        ({"kind": "key"}, "store_unreadable"),
        ({"key_id": "00000000000000b2"}, "store_unreadable"),
        ({"with_computer": 1}, "store_unreadable"),
        ({"done": []}, "store_unreadable"),
        ({"done": {"x": NOW}}, "store_unreadable"),
        ({"done": {STEP: "yesterday"}}, "store_unreadable"),
        ({"done": {STEP: None}}, "store_unreadable"),
        ({"more": 1}, "store_unreadable"),
    ],
)
def test_what_is_not_exactly_right_is_refused_by_the_name_of_its_file(tmp_path, change, code):
    path(tmp_path).parent.mkdir()
    path(tmp_path).write_text(json.dumps(GOOD))
    assert loss_records.read(tmp_path, KEY).done == {STEP: NOW}
    path(tmp_path).write_text(json.dumps(GOOD | change))
    before = path(tmp_path).read_bytes()
    with pytest.raises(StoreError) as failure:
        note(tmp_path, done=[OTHER])
    assert failure.value.code == code
    assert failure.value.details.file == str(path(tmp_path))
    assert path(tmp_path).read_bytes() == before


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / "elsewhere.json"
    target.write_text(json.dumps(GOOD))
    path(tmp_path).parent.mkdir()
    path(tmp_path).symlink_to(target)
    with pytest.raises(StoreError) as failure:
        loss_records.read(tmp_path, KEY)
    assert failure.value.code == "store_unreadable"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(max_size=5) | st.integers(), st.lists).map(
    lambda value: json.dumps({**GOOD, "done": value}).encode()
))  # fmt: skip
def test_no_content_is_more_than_an_error(tmp_path, content):
    path(tmp_path).parent.mkdir(exist_ok=True)
    path(tmp_path).write_bytes(content)
    with contextlib.suppress(StoreError):
        assert loss_records.read(tmp_path, KEY).key_id == KEY


def test_an_id_that_is_none_names_no_file(tmp_path):
    with pytest.raises(ValueError, match="no id"):
        loss_records.read(tmp_path, "../keys/x")


def test_two_at_a_time_lose_nothing(tmp_path):
    ids = [f"{number:010x}" for number in range(8)]
    threads = [threading.Thread(target=note, args=(tmp_path,), kwargs={"done": [step]}) for step in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(loss_records.read(tmp_path, KEY).done) == ids
