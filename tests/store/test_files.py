"""Files that are old or new, never something between, and that no link or lock can fool."""

import json
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import StoreError
from keyctl.store import files, paths

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=st.dictionaries(st.text(), JSON_VALUES))
def test_what_is_written_is_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("store") / "key.json"
    files.write_json(path, value)
    assert files.read_json(path) == value


def test_a_file_is_private_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "key.json"
    old_mask = os.umask(0)
    try:
        files.write_json(path, {"a": 1})
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.json"]


def test_a_new_folder_and_what_is_missing_above_it_are_private(tmp_path):
    for _ in range(2):
        files.make_private_folder(tmp_path / "a" / "b")
        for folder in (tmp_path / "a", tmp_path / "a" / "b"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(StoreError) as caught:
            files.make_private_folder(folder)
        assert caught.value.code == "store_unwritable"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_understood_is_named_and_left_alone(tmp_path, content, reason):
    path = tmp_path / "key.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=reason) as caught:
        files.read_json(path)
    assert caught.value.details.file == str(path)
    assert path.read_bytes() == content


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "key.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(StoreError, match="symbolic link"):
        files.read_json(tmp_path / "key.json")


def test_a_pipe_or_a_huge_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(StoreError, match="plain file"):
        files.read_json(tmp_path / "pipe.json")
    with (tmp_path / "huge.json").open("wb") as huge:
        huge.truncate(files.MAX_FILE_BYTES + 1)
    with pytest.raises(StoreError, match="reasonable size"):
        files.read_json(tmp_path / "huge.json")


def test_a_failed_write_keeps_the_old_content(tmp_path):
    """The folder is gone, so that the temporary file cannot be made, whoever runs the test."""
    path = tmp_path / "gone" / "key.json"
    with pytest.raises(StoreError) as caught:
        files.write_json(path, {"a": 1})
    assert caught.value.code == "store_unwritable"
    kept = tmp_path / "key.json"
    files.write_json(kept, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(kept, {"a": object()})
    assert json.loads(kept.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.json"]


def test_a_process_killed_while_writing_leaves_the_old_or_the_new(tmp_path):
    """Kill a child that writes for ever, at whatever point it is, a few times."""
    path = tmp_path / "key.json"
    script = (
        "import sys, pathlib; from keyctl.store import files\n"
        "path = pathlib.Path(sys.argv[1]); number = 0\n"
        "while True:\n"
        "    number += 1; files.write_json(path, {'number': number, 'text': 'x' * 50000}, durable=False)\n"
        "    if number == 3: print('ready', flush=True)\n"
    )
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.kill()
        child.wait()
        child.stdout.close()
        assert len(files.read_json(path)["text"]) == 50000


def test_a_lock_keeps_others_out_and_dies_with_its_owner(tmp_path):
    path = tmp_path / "key.lock"
    with files.lock(path), pytest.raises(StoreError) as caught, files.lock(path):
        pass
    assert caught.value.code == "store_locked"
    script = (
        "import sys, pathlib, time; from keyctl.store import files\n"
        "with files.lock(pathlib.Path(sys.argv[1])):\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    with pytest.raises(StoreError), files.lock(path):
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    with files.lock(path, wait_s=5):
        assert path.exists()


def test_the_home_follows_the_xdg_specification(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert paths.default_home() == tmp_path / "keyctl"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.default_home() == tmp_path / ".local" / "share" / "keyctl"
