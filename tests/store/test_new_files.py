"""Files that a person wants written somewhere."""

from __future__ import annotations

import os
import stat

import pytest

from keyctl.errors import StoreError, UsageError
from keyctl.store import new_files


@pytest.mark.parametrize(("mode", "made"), [(new_files.PRIVATE, 0o600), (new_files.PUBLIC, 0o644)])
def test_a_new_file_is_for_whom_it_is_meant(tmp_path, mode, made):
    path = tmp_path / "seed.json"
    new_files.check(path)
    before = os.umask(0o022)
    try:
        new_files.write(path, b"content", mode)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == made


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_nothing_is_written_over(tmp_path, kind):
    path = tmp_path / "seed.json"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    for attempt in (new_files.check, lambda where: new_files.write(where, b"", new_files.PUBLIC)):
        with pytest.raises(UsageError) as caught:
            attempt(path)
        assert caught.value.code == "usage"
    assert kind != "file" or path.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_does_not_exist_is_told_before_anything_is_made(tmp_path):
    for attempt in (new_files.check, lambda where: new_files.write(where, b"", new_files.PUBLIC)):
        with pytest.raises(StoreError) as caught:
            attempt(tmp_path / "nowhere" / "seed.json")
        assert caught.value.code == "store_unwritable"
