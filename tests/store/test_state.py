"""What concerns this computer only: convenient where it is lost, and strict where it guards something."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventories import times

from keyctl.errors import StoreError
from keyctl.store import state
from keyctl.store.state import KeyMemory

KEY_ID = "00000000000000b1"
PAIRING_ID = "00000000000000a1"
SEED_HASH = b"s" * 32
MEMORY = KeyMemory(last_seen="2026-01-31T08:00:00Z", selector="usb:/dev/hidraw3", counter=7)


@pytest.fixture
def folder(home):
    return home / "state"


@given(
    st.builds(
        KeyMemory,
        last_seen=st.none() | times,
        selector=st.none() | st.text(),
        counter=st.none() | st.integers(0, 2**32 - 1),
        pin_failed_at=st.none() | times,
    )
)
def test_what_is_remembered_is_read(tmp_path_factory, memory):
    folder = tmp_path_factory.mktemp("state")
    state.write_memory(folder, KEY_ID, memory)
    assert state.read_memory(folder, KEY_ID) == memory


def test_nothing_is_remembered_where_nothing_was_written(folder):
    assert state.read_memory(folder, KEY_ID) == KeyMemory()
    assert state.read_pin(folder, KEY_ID) is None
    state.forget(folder, KEY_ID)
    assert not folder.exists()


def test_files_are_private_and_stay_out_of_git(folder):
    state.write_memory(folder, KEY_ID, MEMORY)
    state.write_pin(folder, KEY_ID, b"public")
    assert (folder / ".gitignore").read_text() == "*\n"
    assert {path.name for path in folder.iterdir()} == {".gitignore", "keys", "pins"}
    for path in (folder, folder / "keys", folder / "pins"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in folder.rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 1, "last_seen": 1, "selector": null, "counter": 1, "pin_failed_at": null}',
        b'{"schema": 1, "last_seen": "soon", "selector": null, "counter": 1, "pin_failed_at": null}',
        b'{"schema": 1, "last_seen": null, "selector": [], "counter": 1, "pin_failed_at": null}',
        b'{"schema": 1, "last_seen": null, "selector": null, "counter": -1, "pin_failed_at": null}',
        b'{"schema": 1, "last_seen": null, "selector": null, "counter": true, "pin_failed_at": null}',
        b'{"schema": 2, "last_seen": null, "selector": null, "counter": 1, "pin_failed_at": null}',
        b'{"schema": 1, "last_seen": null, "selector": null, "counter": 1, "pin_failed_at": {}}',
    ],
)
def test_a_damaged_memory_is_as_good_as_none(folder, content):
    state.write_memory(folder, KEY_ID, MEMORY)
    path = folder / "keys" / f"{KEY_ID}.json"
    path.write_bytes(content)
    assert state.read_memory(folder, KEY_ID) == KeyMemory()
    assert path.read_bytes() == content
    state.write_memory(folder, KEY_ID, MEMORY)
    assert state.read_memory(folder, KEY_ID) == MEMORY


def test_the_public_key_first_seen_is_read(folder):
    state.write_pin(folder, KEY_ID, b"public")
    assert state.read_pin(folder, KEY_ID) == b"public"
    state.write_pin(folder, KEY_ID, b"another")
    assert state.read_pin(folder, KEY_ID) == b"another"


@pytest.mark.parametrize(
    "change", [{"public_key": ""}, {"public_key": "x"}, {"public_key": None}, {"schema": 2}, {"schema": None}]
)
def test_a_damaged_public_key_is_never_taken_for_none(folder, change):
    state.write_pin(folder, KEY_ID, b"public")
    path = folder / "pins" / f"{KEY_ID}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreError) as caught:
        state.read_pin(folder, KEY_ID)
    assert caught.value.details.file == str(path)


def test_a_link_in_the_place_of_a_public_key_is_refused(folder, tmp_path):
    state.write_pin(folder, KEY_ID, b"public")
    path = folder / "pins" / f"{KEY_ID}.json"
    path.rename(tmp_path / "pin.json")
    path.symlink_to(tmp_path / "pin.json")
    with pytest.raises(StoreError, match="symbolic link"):
        state.read_pin(folder, KEY_ID)


def test_what_is_forgotten_is_gone(folder):
    state.write_memory(folder, KEY_ID, MEMORY)
    state.write_pin(folder, KEY_ID, b"public")
    state.forget(folder, KEY_ID)
    assert state.read_memory(folder, KEY_ID) == KeyMemory()
    assert state.read_pin(folder, KEY_ID) is None


def test_a_state_that_cannot_be_written_is_told(folder):
    folder.parent.mkdir()
    folder.write_text("")
    for write in (
        lambda: state.write_memory(folder, KEY_ID, MEMORY),
        lambda: state.write_pin(folder, KEY_ID, b"public"),
        lambda: state.write_seed_pin(folder, PAIRING_ID, SEED_HASH),
    ):
        with pytest.raises(StoreError) as caught:
            write()
        assert caught.value.code == "store_unwritable"


@pytest.mark.parametrize("key_id", ["", "../pins/0", "0" * 17, "0000000000000B1F"])
def test_ids_are_checked_before_they_become_file_names(folder, key_id):
    for call in (state.read_memory, state.read_pin, state.forget, state.read_seed_pin, state.forget_seed):
        with pytest.raises(ValueError, match="no id"):
            call(folder, key_id)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["blue", "../blue", "b" * 900, "\x1b[31m", "蓝"])
def test_a_name_stays_with_the_key_that_had_it_first(folder, name):
    assert state.read_name_pin(folder, name) is None
    state.write_name_pin(folder, name, KEY_ID)
    assert state.read_name_pin(folder, name) == KEY_ID
    assert state.read_name_pin(folder, name + "x") is None
    assert {path.parent for path in folder.rglob("name-*.json")} == {folder / "pins"}
    state.forget_name(folder, name)
    assert state.read_name_pin(folder, name) is None


DAMAGED = ["{}", '{"schema": 1, "id": "../x"}', '{"schema": 2, "id": "0123456789abcdef"}', "x"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_name_is_not_trusted(folder, content):
    state.write_name_pin(folder, "blue", KEY_ID)
    next(folder.rglob("name-*.json")).write_text(content)
    with pytest.raises(StoreError):
        state.read_name_pin(folder, "blue")


def test_the_seed_first_trusted_is_read(folder):
    assert state.read_seed_pin(folder, PAIRING_ID) is None
    assert not folder.exists()
    state.write_seed_pin(folder, PAIRING_ID, SEED_HASH)
    assert state.read_seed_pin(folder, PAIRING_ID) == SEED_HASH
    # A key's own pin is another file, even under the same id.
    assert state.read_pin(folder, PAIRING_ID) is None
    state.forget(folder, PAIRING_ID)
    assert state.read_seed_pin(folder, PAIRING_ID) == SEED_HASH
    state.forget_seed(folder, PAIRING_ID)
    assert state.read_seed_pin(folder, PAIRING_ID) is None


@pytest.mark.parametrize(
    "change", [{"sha256": ""}, {"sha256": "ab" * 31}, {"sha256": None}, {"sha256": 7}, {"schema": 2}, {"schema": None}]
)
def test_a_damaged_seed_is_never_taken_for_none(folder, change):
    state.write_seed_pin(folder, PAIRING_ID, SEED_HASH)
    path = folder / "pins" / f"seed-{PAIRING_ID}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreError) as caught:
        state.read_seed_pin(folder, PAIRING_ID)
    assert caught.value.details.file == str(path)


def test_only_a_whole_hash_is_noted_as_a_seed(folder):
    with pytest.raises(ValueError, match="no SHA-256"):
        state.write_seed_pin(folder, PAIRING_ID, b"short")
    assert not folder.exists()


def test_a_computer_keeps_its_id(folder, tmp_path):
    drawn = state.computer_id(folder)
    assert re.fullmatch("[0-9a-f]{16}", drawn)
    assert state.computer_id(folder) == drawn
    assert state.computer_id(tmp_path / "other") != drawn
    assert (folder / ".gitignore").read_text() == "*\n"
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (
            0o600 if path.name != ".gitignore" else path.stat().st_mode & 0o777
        )
        assert os.uname().nodename not in path.read_text()


@pytest.mark.parametrize(
    "content", ["", "{}", '{"schema": 1, "id": "my-laptop"}', '{"schema": 1, "id": 7}', '{"schema": 2, "id": "%s"}']
)
def test_a_damaged_id_of_a_computer_is_not_drawn_anew(folder, content):
    drawn = state.computer_id(folder)
    path = folder / "computer.json"
    path.write_text(content.replace("%s", drawn))
    with pytest.raises(StoreError) as caught:
        state.computer_id(folder)
    assert caught.value.details.file == str(path)
    assert path.read_text() == content.replace("%s", drawn)


def test_processes_that_draw_an_id_at_once_agree(folder):
    script = "import sys, pathlib; from keyctl.store import state; print(state.computer_id(pathlib.Path(sys.argv[1])))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    drawing = [
        subprocess.Popen([sys.executable, "-c", script, str(folder)], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({one.communicate()[0] for one in drawing}) == 1


def test_an_id_that_cannot_be_kept_is_told(folder):
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.raises(StoreError) as caught:
        state.computer_id(folder)
    assert caught.value.exit_status == 6
