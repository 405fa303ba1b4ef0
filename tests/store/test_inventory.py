"""The inventory's folder: every bad file is named and hides no other, and no write is ever half done."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import ADDED_AT, BLUE, PAIR, SHOP, deriving, holding, keys, pairings, services

from keyctl.errors import StoreError
from keyctl.store import files, records
from keyctl.store import inventory as store

ROOT = Path(__file__).parent.parent.parent
GREEN = replace(BLUE, id="00000000000000c2", name="green")
BLUE_FILE, SHOP_FILE, PAIR_FILE = f"keys/{BLUE.id}.json", f"services/{SHOP.id}.json", f"pairings/{PAIR.id}.json"


@pytest.fixture
def filled(home):
    """A home with two keys, a service and a pairing."""
    with store.changing(home, 0) as changes:
        changes.put_key(BLUE)
        changes.put_key(GREEN)
        changes.put_service(SHOP)
        changes.put_pairing(PAIR)
    return home


def contents(home):
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def only_problem(home):
    """The one problem there is; everything else is read all the same, and nothing can be changed."""
    inventory = store.read(home)
    (problem,) = inventory.problems
    with pytest.raises(StoreError) as caught, store.changing(home, 0):
        pass
    assert caught.value.message == problem.message
    assert problem.hint
    return problem


@settings(max_examples=25)
@given(
    st.lists(keys, max_size=3, unique_by=(lambda key: key.id, lambda key: key.name)),
    st.lists(services, max_size=3, unique_by=lambda service: service.id),
    st.lists(pairings(), max_size=2, unique_by=lambda pairing: pairing.id),
)
def test_what_is_written_is_read(tmp_path_factory, some_keys, some_services, some_pairings):
    home = tmp_path_factory.mktemp("home")
    with store.changing(home, 0) as changes:
        for key in some_keys:
            changes.put_key(key)
        for service in some_services:
            changes.put_service(service)
        for pairing in some_pairings:
            changes.put_pairing(pairing)
    inventory = store.read(home)
    assert inventory == changes.inventory
    assert {key.id: key for key in inventory.keys} == {key.id: key for key in some_keys}
    assert {service.id: service for service in inventory.services} == {service.id: service for service in some_services}
    assert {pairing.id: pairing for pairing in inventory.pairings} == {pairing.id: pairing for pairing in some_pairings}
    with store.changing(home, 0) as changes:
        for key in some_keys:
            changes.remove_key(key.id)
        for service in some_services:
            changes.remove_service(service.id)
        for pairing in some_pairings:
            changes.remove_pairing(pairing.id)
        assert changes.inventory == store.read(home)
    assert store.read(home) == store.Inventory()


def test_a_missing_folder_is_an_empty_inventory_and_stays_missing(home):
    assert store.read(home) == store.Inventory()
    assert store.record_files(home) == ()
    assert not home.exists()


def test_reading_changes_no_byte(filled):
    before = contents(filled)
    assert len(store.read(filled).keys) == 2
    assert store.record_files(filled) == (BLUE_FILE, f"keys/{GREEN.id}.json", SHOP_FILE, PAIR_FILE)
    with store.changing(filled, 0):
        pass
    assert contents(filled) == before


def test_writing_the_same_again_writes_nothing(filled):
    stamps = {path: path.stat().st_mtime_ns for path in filled.rglob("*.json")}
    with store.changing(filled, 0) as changes:
        changes.put_key(BLUE)
        changes.put_service(SHOP)
        changes.put_pairing(PAIR)
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*.json")} == stamps


def test_files_and_folders_are_private_whatever_the_umask_says(home):
    old_mask = os.umask(0)
    try:
        with store.changing(home, 0) as changes:
            changes.put_key(BLUE)
            changes.put_service(SHOP)
            changes.put_pairing(PAIR)
    finally:
        os.umask(old_mask)
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_no_file_tells_a_path_or_the_name_of_the_computer(filled):
    text = b"".join(contents(filled).values())
    assert str(filled).encode() not in text
    assert os.uname().nodename.encode() not in text


def test_ids_are_checked_before_they_become_file_names(home):
    with store.changing(home, 0) as changes:
        for bad in ("", "../../etc/passwd", "B1".rjust(16, "0"), "0" * 15):
            for put, record in ((changes.put_key, BLUE), (changes.put_pairing, PAIR)):
                with pytest.raises((ValueError, StoreError)):
                    put(replace(record, id=bad))
            for remove in (changes.remove_key, changes.remove_pairing):
                with pytest.raises(ValueError, match="no id"):
                    remove(bad)
    assert re.fullmatch("[0-9a-f]{16}", store.new_id())
    assert store.new_id() != store.new_id()


@pytest.mark.parametrize("name", [BLUE_FILE, SHOP_FILE, PAIR_FILE])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "store_unreadable"),
        (b"{", "store_unreadable"),
        (b"[]", "store_unreadable"),
        (b"\xff\xfe{}", "store_unreadable"),
        (b'{"schema": 1}', "store_unreadable"),
        (b'{"schema": 99, "kind": "key"}', None),
        (b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n", "store_unreadable"),
    ],
)
def test_a_bad_file_is_named_and_hides_no_other(filled, name, content, code):
    if code is None:
        content, code = content.replace(b"key", name.split("/")[0][:-1].encode()), "store_newer"
    (filled / name).write_bytes(content)
    problem = only_problem(filled)
    assert problem.code == code
    assert problem.details.file == str(filled / name)
    assert str(filled / name) in problem.message
    assert (filled / name).read_bytes() == content
    inventory = store.read(filled)
    assert len(inventory.keys) + len(inventory.services) + len(inventory.pairings) == 3


@pytest.mark.parametrize(
    "name",
    [
        f"keys/{BLUE.id}.sync-conflict-20260131-080000-ABCDEFG.json",
        f"keys/{BLUE.id} (Kim's conflicted copy 2026-01-31).json",
        f"services/{SHOP.id} (1).json",
        f"services/{SHOP.id}-DESKTOP.json",
        f"pairings/{PAIR.id}.sync-conflict-20260131-080000-ABCDEFG.json",
        f"keys/{BLUE.id}.json~",
    ],
)
def test_a_second_version_of_a_file_says_how_to_bring_the_two_together(filled, name):
    (filled / name).write_text("{}")
    problem = only_problem(filled)
    plain = name.split("/")[1][:16] + ".json"
    assert plain in problem.message
    assert "newer content" in (problem.hint or "")
    assert problem.details.file == str(filled / name)
    assert len(store.read(filled).keys) == 2


@pytest.mark.parametrize(
    "name", ["keys/blue.json", "keys/notes.txt", "services/\x1b[31mred\nline", "pairings/seed.json", "keys/folder"]
)
def test_a_foreign_file_is_named(filled, name):
    if name.endswith("folder"):
        (filled / name).mkdir()
    else:
        (filled / name).write_text("{}")
    problem = only_problem(filled)
    assert "no file of the inventory" in problem.message
    assert problem.message.isprintable()


@pytest.mark.parametrize("name", ["keys/link.json", f"keys/{'ab' * 8}.json", f"pairings/{'ab' * 8}.json"])
def test_a_link_is_named_and_not_followed(filled, name):
    (filled / name).symlink_to(filled / BLUE_FILE)
    assert "symbolic link" in only_problem(filled).message
    assert len(store.read(filled).keys) == 2


def test_a_folder_that_is_a_link_or_a_file_is_named(filled, tmp_path):
    (filled / "keys").rename(tmp_path / "elsewhere")
    (filled / "keys").symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in only_problem(filled).message
    (filled / "keys").unlink()
    (filled / "keys").write_text("")
    assert str(filled / "keys") in only_problem(filled).message
    assert store.read(filled).services == (SHOP,)


def test_a_folder_in_the_place_of_a_record_is_named(filled):
    (filled / BLUE_FILE).unlink()
    (filled / BLUE_FILE).mkdir()
    assert str(filled / BLUE_FILE) in only_problem(filled).message


@pytest.mark.parametrize(
    "name", [".git/HEAD", ".stfolder/x", ".stignore", ".gitignore", "keys/.stversions/x", "keys/.DS_Store", "notes.txt"]
)
def test_what_other_programs_keep_there_is_none_of_our_business(filled, name):
    (filled / name).parent.mkdir(exist_ok=True)
    (filled / name).write_text("*")
    assert store.read(filled).problems == ()


def test_what_a_killed_process_left_is_ignored_and_cleared_away(filled):
    leftover = filled / "keys" / f".{BLUE.id}.json.4711.tmp"
    leftover.write_text("{")
    assert store.read(filled).problems == ()
    assert leftover.exists()
    with store.changing(filled, 0):
        assert not leftover.exists()


def test_a_record_under_another_name_is_named(filled):
    (filled / BLUE_FILE).rename(filled / "keys" / f"{'ab' * 8}.json")
    problem = only_problem(filled)
    assert f"{'ab' * 8}.json holds the record {BLUE.id}" in problem.message
    assert f"{BLUE.id}.json" in (problem.hint or "")


def test_two_keys_of_one_name_are_both_read_and_both_named(filled):
    path = filled / "keys" / f"{GREEN.id}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"name": BLUE.name}))
    problem = only_problem(filled)
    assert BLUE.id in problem.message
    assert GREEN.id in problem.message
    assert '"name"' in (problem.hint or "")
    assert [key.name for key in store.read(filled).keys] == ["blue", "blue"]


def test_names_are_compared_in_composed_characters(filled):
    for number, name in ((1, "Zo\u00eb"), (2, "Zoe\u0308"), (3, "zo\u00eb")):
        key = replace(BLUE, id=f"{number:016x}")
        path = filled / "keys" / f"{key.id}.json"
        path.write_text(json.dumps(records.key_to(key) | {"name": name}))
    problem = only_problem(filled)
    assert "Zo\u00eb" in problem.message


def test_a_declaration_of_an_unknown_key_is_kept(filled):
    service = replace(SHOP, on=(store.records.Declaration(key_id="f" * 16, declared_at=ADDED_AT),))
    with store.changing(filled, 0) as changes:
        changes.put_service(service)
    assert store.read(filled).services == (service,)
    assert store.read(filled).problems == ()


def test_a_pairing_of_unknown_keys_is_kept(home):
    """A folder that is synced brings one file before the other."""
    with store.changing(home, 0) as changes:
        changes.put_pairing(PAIR)
    inventory = store.read(home)
    assert (inventory.pairings, inventory.problems) == ((PAIR,), ())
    assert inventory.pairing_with_id(PAIR.id) == PAIR
    assert inventory.pairing_with_id(BLUE.id) is None


def test_pairings_are_found_by_either_key(filled):
    other = replace(PAIR, id="00000000000000a0", primary_id=GREEN.id, created_at="2026-01-01T00:00:00Z")
    with store.changing(filled, 0) as changes:
        changes.put_pairing(other)
        assert changes.inventory.pairings == (other, PAIR)
    inventory = store.read(filled)
    assert inventory.pairings_of(BLUE.id) == (PAIR,)
    assert inventory.pairings_of(PAIR.backup_id) == (other, PAIR)
    assert inventory.pairings_of(SHOP.id) == ()


def test_a_pairing_that_contradicts_itself_is_not_written(filled):
    before = contents(filled)
    with store.changing(filled, 0) as changes, pytest.raises(StoreError, match="seed contradicts"):
        changes.put_pairing(replace(PAIR, seed=None))
    assert contents(filled) == before


def test_reading_loads_no_cryptography(filled):
    """Every command reads."""
    done = run(
        "import sys\n"
        "from pathlib import Path\n"
        "from keyctl.store import inventory\n"
        "assert inventory.read(Path(sys.argv[1])).pairings[0].seed.evidence\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'fido2', 'cryptography'})\n",
        filled,
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_service_of_an_older_keyctl_whose_content_is_the_same_is_left_alone(filled):
    """What people reformat is theirs until something is different."""
    path = filled / SHOP_FILE
    compact = json.dumps(json.loads(path.read_text()))
    path.write_text(compact)
    with store.changing(filled, 0) as changes:
        changes.put_service(SHOP)
    assert path.read_text() == compact


def test_somebody_else_who_keeps_the_lock_is_told(filled, monkeypatch):
    monkeypatch.setattr(files, "_SHORT_WAIT_S", 0.0)
    with store.changing(filled, 0), pytest.raises(StoreError) as caught, store.changing(filled, 0):
        pass
    assert caught.value.code == "store_locked"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        check=False,
    )


#: Forks a process for every call that changes something on the disk, and ends it there, before or after the call; then
#: looks what is left. Prints how many calls there were, and a line for everything that is neither old nor new.
KILLED = """
import os, sys
from pathlib import Path
from dataclasses import replace
from inventories import BLUE, PAIR, deriving, holding
from keyctl.store import inventory as store

NAMES = ("open", "fdopen", "fsync", "replace", "unlink", "mkdir", "close")
home, kind, what, over = Path(sys.argv[1]), *sys.argv[2:]
OLD, NEW = {
    "key": (holding(BLUE, 90), replace(holding(BLUE, 90), note="new")),
    "pairing": (deriving(PAIR, 90), replace(deriving(PAIR, 91), retired_at=PAIR.created_at)),
}[kind]

def put(record):
    with store.changing(home, 0) as changes:
        getattr(changes, f"put_{kind}")(record)

def remove():
    with store.changing(home, 0) as changes:
        getattr(changes, f"remove_{kind}")(OLD.id)

def change():
    if what == "put":
        put(NEW)
    else:
        remove()

def begin():
    if over == "over":
        put(OLD)

def found():
    inventory = store.read(home)
    assert not inventory.problems, inventory.problems
    return inventory.keys or inventory.pairings

begin()
old = found()
number = 0
while True:
    number += 1
    child = os.fork()
    if child == 0:
        left = number
        def dying(call):
            def wrapper(*arguments, **options):
                global left
                left -= 1
                if left == 0:
                    os._exit(7)
                result = call(*arguments, **options)
                left -= 1
                if left == 0:
                    os._exit(7)
                return result
            return wrapper
        for name in NAMES:
            setattr(os, name, dying(getattr(os, name)))
        change()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after = found()
    if after not in (old, (NEW,) if what == "put" else ()):
        print("half:", number, after)
    if status == 0:
        break
    if status != 7:
        print("failed:", number, status)
    # From the beginning again, through whatever the dead process left.
    if after != old:
        remove()
        begin()
change()
left = sorted(path.name for path in home.rglob("*") if path.is_file())
expected = [".lock"] + ([f"{OLD.id}.json"] if what == "put" else [])
if left != expected:
    print("left:", left)
print(number)
"""


@pytest.mark.parametrize("kind", ["key", "pairing"])
@pytest.mark.parametrize(("what", "over"), [("put", "over"), ("put", "new"), ("remove", "over")])
def test_a_process_killed_at_any_call_leaves_the_old_or_the_new(home, kind, what, over):
    done = run(KILLED, home, kind, what, over)
    assert done.returncode == 0, done.stderr
    *wrong, calls = done.stdout.splitlines()
    assert wrong == []
    assert int(calls) > (16 if what == "put" else 8)


#: Files of this process cannot grow beyond a limit; the kernel ends the process in the middle of the write, or the
#: write fails as on a full disk.
LIMITED = """
import os, resource, signal, sys
from pathlib import Path
from dataclasses import replace
from inventories import BLUE, PAIR, deriving, holding
from keyctl.errors import StoreError
from keyctl.store import inventory as store

home, kind, how, size = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if how == "killed" else signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
with store.changing(home, 0) as changes:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        if kind == "key":
            changes.put_key(replace(holding(BLUE, 90), note="new"))
        else:
            changes.put_pairing(deriving(PAIR, 91))
    except StoreError as error:
        print(error.code)
    assert changes.inventory == store.read(home)
"""


@pytest.mark.parametrize("kind", ["key", "pairing"])
@pytest.mark.parametrize("how", ["killed", "full"])
@pytest.mark.parametrize("size", [0, 1, 4096, 20_000])
def test_a_disk_that_fills_up_leaves_the_old(home, kind, how, size):
    with store.changing(home, 0) as changes:
        if kind == "key":
            changes.put_key(holding(BLUE, 90))
        else:
            changes.put_pairing(deriving(PAIR, 90))
    file = home / (BLUE_FILE if kind == "key" else PAIR_FILE)
    before = file.read_bytes()
    assert len(before) > 20_000
    done = run(LIMITED, home, kind, how, size)
    if how == "full":
        assert (done.returncode, done.stdout) == (0, "store_unwritable\n"), done.stderr
        assert [path.name for path in file.parent.iterdir()] == [file.name]
    else:
        assert done.returncode < 0
    assert file.read_bytes() == before
    assert store.read(home).problems == ()


def test_a_record_larger_than_what_is_read_is_not_written(filled):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    before = contents(filled)
    with store.changing(filled, 0) as changes, pytest.raises(StoreError, match="too large") as caught:
        changes.put_key(replace(BLUE, note="x" * 17_000_000))
    assert caught.value.code == "store_unwritable"
    assert contents(filled) == before


WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from inventories import BLUE, SHOP
from keyctl.store import inventory as store

home, own = Path(sys.argv[1]), sys.argv[2]
for number in range(5):
    with store.changing(home, 30) as changes:
        changes.put_service(replace(SHOP, id=store.new_id(), account=f"{own}-{number}"))
    with store.changing(home, 30) as changes:
        key = changes.inventory.key_with_id(BLUE.id)
        field = ("owner", "location", "note")[int(own) % 3]
        changes.put_key(replace(key, **{field: f"{getattr(key, field) or ''}x"}))
"""


def test_many_processes_that_write_at_once_lose_nothing(filled):
    """Each adds services of its own, and all change fields of the same key."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(filled), str(number)], env=environment)
        for number in range(8)
    ]
    assert [writer.wait() for writer in writers] == [0] * 8
    inventory = store.read(filled)
    assert inventory.problems == ()
    assert len({service.account for service in inventory.services}) == 8 * 5 + 1
    key = inventory.key_with_id(BLUE.id)
    assert (key.owner, key.location, key.note) == ("x" * 15, "x" * 15, "x" * 10)


def test_readers_see_whole_files_while_another_process_writes(filled):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(filled), "0"], env=environment) as writer:
        while writer.poll() is None:
            assert store.read(filled).problems == ()
    assert writer.returncode == 0
