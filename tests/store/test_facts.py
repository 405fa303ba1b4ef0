"""Small files that say one thing each: where they are, and what becomes of those that are damaged."""

from __future__ import annotations

import json
import stat

import pytest

from keyctl.errors import StoreError
from keyctl.store import facts

RECORD_ID = "00000000000000a1"
FAULTS = [KeyError, TypeError, ValueError]


def text(value):
    return value["text"]


def read(path, decode=text):
    return facts.read(path, decode, purpose="say it", cure="say it again")


@pytest.fixture
def path(home):
    return facts.path_of(home / "folder", RECORD_ID)


@pytest.mark.parametrize("record_id", ["", "../../escape", "0" * 15, "0" * 17, "0000000000000B1F", f"{RECORD_ID}\n"])
def test_what_is_no_id_makes_no_path(home, record_id):
    with pytest.raises(ValueError, match="is no id"):
        facts.path_of(home, record_id)


def test_what_comes_before_and_behind_an_id_tells_files_apart(home):
    assert facts.path_of(home, RECORD_ID).name == f"{RECORD_ID}.json"
    assert facts.path_of(home, RECORD_ID, prefix="a-", suffix=".b").name == f"a-{RECORD_ID}.b.json"


@pytest.mark.parametrize("name", ["blue", "../blue", "b" * 900, "\x1b[31m"])
def test_any_name_has_a_file_in_the_folder(home, name):
    path = facts.path_of_name(home, name, prefix="name-")
    assert path.parent == home
    assert path != facts.path_of_name(home, name + "x", prefix="name-")
    facts.write(path, "name", {"text": name})
    assert read(path) == name


def test_without_a_file_nothing_is_said(path):
    assert read(path) is None
    assert facts.read_or_none(path, text) is None


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_is_said(path, durable):
    facts.write(path, "example", {"text": "so"}, durable=durable)
    assert read(path) == "so"
    assert facts.read_or_none(path, text) == "so"
    assert json.loads(path.read_text()) == {"schema": 1, "kind": "example", "text": "so"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2, "text": "so"}', '{"text": "so"}', '{"schema": 1}'])
def test_a_damaged_file_is_an_error_only_where_it_guards_something(path, content):
    facts.write(path, "example", {"text": "so"})
    path.write_text(content)
    assert facts.read_or_none(path, text) is None
    with pytest.raises(StoreError) as caught:
        read(path)
    assert (caught.value.code, caught.value.details.file) == ("store_unreadable", str(path))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_decoded_is_damage(path, fault):
    def decode(value):
        raise fault(value)

    facts.write(path, "example", {"text": "so"})
    assert facts.read_or_none(path, decode) is None
    with pytest.raises(StoreError, match=f"{RECORD_ID}.json is damaged: it does not say it") as caught:
        read(path, decode)
    assert caught.value.hint == "say it again"


def test_git_is_told_to_leave_a_folder_alone_only_where_that_is_wanted(home, path):
    facts.write(path, "example", {})
    assert not list(home.rglob(".gitignore"))
    facts.write(path, "example", {}, unsynced=home)
    assert [(one, one.read_text()) for one in home.rglob(".gitignore")] == [(home / ".gitignore", "*\n")]
    (home / ".gitignore").write_text("mine\n")
    facts.write(path, "example", {}, unsynced=home)
    assert (home / ".gitignore").read_text() == "mine\n"
