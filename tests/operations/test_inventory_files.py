"""The inventory as a file: out of one home, into another."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from dataclasses import replace

import pytest

from keyctl.cli.main import main
from keyctl.core.inventory import Declaration, KnownKey, RecognitionCredential, Recovery, Service
from keyctl.core.pairings import Method, Pairing
from keyctl.errors import DeclinedError, StoreError, UsageError
from keyctl.operations import inventory_files
from keyctl.store import inventory as store
from keyctl.store import state
from tests.records import put

ADDED_AT = "2026-01-31T08:00:00Z"
LATER = "2026-02-28T08:00:00Z"
BLUE = KnownKey(
    id="00000000000000b1",
    name="blue",
    owner="Kim Secret",
    location="behind the mirror",
    virtual=False,
    aaguid=None,
    model=None,
    serial=None,
    firmware=None,
    added_at=ADDED_AT,
    recognition=RecognitionCredential(
        credential_id=b"c" * 32, public_key=b"p" * 77, user_id=b"u" * 32, u2f=False, enrolled_at=ADDED_AT
    ),
    changed={"owner": LATER, "role": LATER},
)
SHOP = Service(
    id="00000000000000f1",
    name="Shop \x1b[31m\u202e",
    rp_id="shop.example",
    account="kim",
    on=(Declaration(key_id=BLUE.id, declared_at=ADDED_AT),),
    recovery=(Recovery.CODES,),
    added_at=ADDED_AT,
)

PAIR = Pairing(
    id="00000000000000a1",
    primary_id=BLUE.id,
    backup_id="00000000000000b2",
    method=Method.WEBAUTHN_DRAFT,
    recovery_seed=b"seed",
    created_at=ADDED_AT,
    paired_by="00000000000000e1",
)


@pytest.fixture
def here(desk, person):
    """A home with a key and a service."""
    desk.put(BLUE, SHOP)
    return desk.circumstances(person())


@pytest.fixture
def elsewhere(desk, person, tmp_path):
    """An empty home."""
    return replace(desk.circumstances(person()), home=tmp_path / "elsewhere")


def contents(home):
    """All files but those of this computer alone, which notes when the inventory was exported."""
    inventory = (path for path in home.rglob("*") if path.is_file() and home / "state" not in path.parents)
    return {path.name: path.read_bytes() for path in inventory if path.name != ".lock"}


def exported(circumstances, *, with_owner=False, with_location=False):
    result = inventory_files.export(
        circumstances, None, with_owner=with_owner, with_location=with_location, dry_run=False
    )
    return result.content.encode()


def taken_in(circumstances, content, *, dry_run=False):
    return inventory_files.import_content(circumstances, content, "stdin", dry_run=dry_run)


def test_all_that_was_exported_is_there_elsewhere(here, elsewhere):
    result = taken_in(elsewhere, exported(here, with_owner=True, with_location=True))
    assert [(one.kind, one.name) for one in result.added] == [("key", "blue"), ("service", SHOP.name)]
    assert store.read(elsewhere.home) == store.read(here.home)
    again = taken_in(elsewhere, exported(here, with_owner=True, with_location=True))
    assert (again.added, again.changed, again.unchanged, again.conflicts) == ((), (), 2, ())


def test_pairings_are_taken_along(here, elsewhere):
    put(here.home, PAIR)
    result = taken_in(elsewhere, exported(here))
    assert ("pairing", f"blue/{PAIR.backup_id}") in [(one.kind, one.name) for one in result.added]
    assert store.read(elsewhere.home).pairings == (PAIR,)
    assert taken_in(elsewhere, exported(here)).unchanged == 3
    verified = replace(PAIR, verified_at=LATER, verified_by="00000000000000e2")
    put(here.home, verified)
    assert [one.fields for one in taken_in(elsewhere, exported(here)).changed] == [("verified_at", "verified_by")]
    assert store.read(elsewhere.home).pairings == (verified,)
    file = here.home / "export.json"
    assert inventory_files.export(here, file, with_owner=False, with_location=False, dry_run=False).pairings == 1


def test_a_document_from_before_there_were_pairings_is_taken_in(here, elsewhere):
    content = json.loads(exported(here))
    del content["pairings"]
    assert len(taken_in(elsewhere, json.dumps(content).encode()).added) == 2


def swapped(here, **changes):
    """A document in which the pairing has another seed, and claims to be older."""
    pairing = json.loads(exported(here))["pairings"][0]
    return document(here, pairings=[pairing | {"recovery_seed": "ab", "created_at": "2020-01-01T00:00:00Z"} | changes])


def test_another_seed_is_told_and_never_takes_the_place_of_the_trusted_one(here, elsewhere):
    put(here.home, PAIR)
    content = swapped(here)
    for trusted, kept in ((False, b"\xab"), (True, b"seed")):
        put(elsewhere.home, PAIR)
        if trusted:
            state.write_seed_pin(elsewhere.state, PAIR.id, PAIR.seed_hash)
        for dry_run in (True, False):
            (conflict,) = taken_in(elsewhere, content, dry_run=dry_run).conflicts
            assert (conflict.kind, conflict.field) == ("pairing", "recovery_seed")
            assert conflict.kept != conflict.dropped
        assert store.read(elsewhere.home).pairings[0].recovery_seed == kept


def test_nothing_is_taken_in_where_it_is_unclear_which_seed_is_trusted(here, elsewhere):
    put(here.home, PAIR)
    state.write_seed_pin(elsewhere.state, PAIR.id, PAIR.seed_hash)
    next(elsewhere.state.rglob("seed-*.json")).write_text("{}")
    with pytest.raises(StoreError, match="first trusted"):
        taken_in(elsewhere, exported(here))
    assert not (elsewhere.home / "pairings").exists()


def test_owner_and_location_are_told_only_when_asked_for(here):
    content = exported(here).decode()
    assert "Kim Secret" not in content
    assert "mirror" not in content
    assert "Kim Secret" in exported(here, with_owner=True).decode()
    assert "mirror" not in exported(here, with_owner=True).decode()
    assert json.loads(content)["keys"][0]["changed"] == {"role": LATER}
    assert str(here.home) not in content


def test_what_was_left_out_overwrites_nothing(here, elsewhere):
    taken_in(elsewhere, exported(here))
    (key,) = store.read(elsewhere.home).keys
    assert (key.owner, key.location) == (None, None)
    before = contents(here.home)
    assert taken_in(here, exported(elsewhere)).unchanged == 2
    assert contents(here.home) == before
    result = taken_in(elsewhere, exported(here, with_owner=True))
    assert [one.fields for one in result.changed] == [("owner",)]


def test_exporting_changes_no_byte(here):
    before = contents(here.home)
    exported(here)
    assert contents(here.home) == before


def test_a_file_is_private_and_is_replaced_only_after_a_question(here, tmp_path):
    file = tmp_path / "backup.json"
    result = inventory_files.export(here, file, with_owner=False, with_location=False, dry_run=False)
    assert (result.content, result.file, result.keys, result.services) == (None, str(file), 1, 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["schema"] == "keyctl-inventory/1"
    assert here.asker.asked == []
    before = file.read_bytes()
    here.asker.agrees = False
    with pytest.raises(DeclinedError):
        inventory_files.export(here, file, with_owner=True, with_location=False, dry_run=False)
    assert file.read_bytes() == before
    here.asker.agrees = True
    inventory_files.export(here, file, with_owner=True, with_location=False, dry_run=False)
    assert b"Kim Secret" in file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.json", "home"]


def test_a_dry_run_writes_nothing(here, elsewhere, tmp_path):
    file = tmp_path / "backup.json"
    assert not inventory_files.export(here, file, with_owner=False, with_location=False, dry_run=True).changed
    assert not file.exists()
    result = taken_in(elsewhere, exported(here), dry_run=True)
    assert len(result.added) == 2
    assert not elsewhere.home.exists()
    before = contents(here.home)
    other = json.loads(exported(here))
    other["keys"][0] |= {"note": "news", "changed": {"note": LATER}}
    assert [one.fields for one in taken_in(here, json.dumps(other).encode(), dry_run=True).changed] == [("note",)]
    assert contents(here.home) == before


def test_no_device_or_folder_is_replaced_and_a_link_stays_one(here, tmp_path):
    for bad in (tmp_path, tmp_path / "null"):
        if bad.name == "null":
            bad.symlink_to(os.devnull)
        with pytest.raises(UsageError, match="no plain file"):
            inventory_files.export(here, bad, with_owner=False, with_location=False, dry_run=False)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    inventory_files.export(here, tmp_path / "link.json", with_owner=False, with_location=False, dry_run=False)
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["keys"]


def test_a_file_that_cannot_be_written_is_told(here, tmp_path):
    with pytest.raises(StoreError) as caught:
        inventory_files.export(here, tmp_path / "no" / "file", with_owner=False, with_location=False, dry_run=False)
    assert caught.value.code == "store_unwritable"
    assert "--home" not in (caught.value.hint or "")


def test_nothing_less_than_everything_is_exported(here):
    (here.home / "services" / f"{SHOP.id}.json").write_text("{")
    with pytest.raises(StoreError) as caught:
        exported(here)
    assert caught.value.code == "store_unreadable"


def document(here, **changes):
    return json.dumps(json.loads(exported(here)) | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": "keyctl/1", "data": {}}',
        b'{"schema": 1}',
        b'{"schema": "keyctl-inventory"}',
        b'{"schema": "keyctl-inventory/x"}',
        b'{"schema": "keyctl-inventory/0", "keys": [], "services": []}',
        b'{"schema": "keyctl-inventory/1", "services": []}',
        b'{"schema": "keyctl-inventory/1", "keys": {}, "services": []}',
        b'{"schema": "keyctl-inventory/1", "keys": [1], "services": []}',
        b'{"schema": "keyctl-inventory/1", "keys": [{}], "services": []}',
        b" " * (inventory_files.MAX_FILE_BYTES + 1),
    ],
    ids=lambda content: repr(content[:50]),
)
def test_what_is_no_inventory_is_refused(elsewhere, content):
    with pytest.raises(UsageError) as caught:
        taken_in(elsewhere, content)
    assert caught.value.code == "import_unreadable"
    assert "stdin" in caught.value.message
    assert "inventory export" in (caught.value.hint or "")
    assert not elsewhere.home.exists()


def test_one_bad_record_and_nothing_is_taken_in(here, elsewhere):
    keys = json.loads(exported(here))["keys"]
    bad = [
        ([keys[0], keys[0]], "twice"),
        ([keys[0], keys[0] | {"id": "c" * 16, "name": "usb:1"}], "name"),
        ([keys[0] | {"extra": 1}], "extra"),
        ([{name: value for name, value in keys[0].items() if name != "note"}], "note"),
    ]
    for some, named in bad:
        with pytest.raises(UsageError, match=named):
            taken_in(elsewhere, document(here, keys=some))
    put(here.home, PAIR)
    pairing = json.loads(exported(here))["pairings"][0]
    for some, named in (
        ([pairing, pairing], "twice"),
        ([pairing | {"recovery_seed": None}], "recovery_seed"),
        ([pairing | {"primary_id": "blue"}], "primary_id"),
        ({}, "pairings is no list"),
    ):
        with pytest.raises(UsageError, match=named):
            taken_in(elsewhere, document(here, pairings=some))
    assert not elsewhere.home.exists()


@pytest.mark.parametrize("number", ["2", "99", "1" * 5000])
def test_a_document_of_a_newer_keyctl_is_told_apart(here, elsewhere, number):
    with pytest.raises(StoreError) as caught:
        taken_in(elsewhere, document(here, schema=f"keyctl-inventory/{number}"))
    assert caught.value.code == "store_newer"


def test_a_record_of_a_newer_keyctl_is_told_apart(here, elsewhere):
    key = json.loads(exported(here))["keys"][0] | {"schema": 99}
    with pytest.raises(StoreError) as caught:
        taken_in(elsewhere, document(here, keys=[key]))
    assert caught.value.code == "store_newer"


def test_nothing_is_taken_in_where_the_inventory_is_not_whole(here, elsewhere):
    put(elsewhere.home, replace(BLUE, note="here"))
    stray = elsewhere.home / "keys" / f"{BLUE.id}.sync-conflict-20260131-080000-ABCDEFG.json"
    stray.write_text("{}")
    before = contents(elsewhere.home)
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="second version"):
            taken_in(elsewhere, exported(here), dry_run=dry_run)
    assert contents(elsewhere.home) == before


def test_a_name_that_is_taken_and_a_dropped_word_are_told(here, elsewhere):
    put(
        elsewhere.home,
        replace(BLUE, id="00000000000000c2"),
        replace(SHOP, id="00000000000000f2", recovery=(Recovery.SMS,), changed={"recovery": LATER}),
    )
    result = taken_in(elsewhere, exported(here))
    assert [one.name for one in result.added] == ["blue 2"]
    assert [(one.kind, one.field, one.kept, one.dropped) for one in result.conflicts] == [
        ("key", "name", "blue 2", "blue"),
        ("service", "recovery", (Recovery.SMS,), (Recovery.CODES,)),
    ]
    assert [key.name for key in store.read(elsewhere.home).keys] == ["blue", "blue 2"]


def run(capsys, *arguments):
    status = main(arguments)
    return status, capsys.readouterr()


def run_json(capsys, *arguments):
    status, written = run(capsys, *arguments, "--json")
    return status, json.loads(written.out)


@pytest.mark.usefixtures("here")
def test_the_command_exports_to_stdout_and_to_a_file(capsys, tmp_path):
    status, written = run(capsys, "inventory", "export")
    assert status == 0
    assert json.loads(written.out)["schema"] == "keyctl-inventory/1"
    assert written.err == ""
    status, result = run_json(capsys, "inventory", "export", "-")
    assert json.loads(result["data"]["content"])["keys"][0]["name"] == "blue"
    file = tmp_path / "backup.json"
    status, written = run(capsys, "inventory", "export", str(file), "--with-owner")
    assert (status, written.out) == (0, f"wrote 1 key, 1 service and 0 pairings to {file}\n")
    status, result = run_json(capsys, "inventory", "export", str(file))
    assert (status, result["errors"][0]["code"]) == (2, "confirm_required")
    assert b"Kim Secret" in file.read_bytes()
    status, result = run_json(capsys, "inventory", "export", str(file), "--yes")
    assert (status, result["data"]["keys"], result["data"]["content"]) == (0, 1, None)
    assert b"Kim Secret" not in file.read_bytes()


def test_the_command_imports_a_file_and_stdin(here, elsewhere, capsys, tmp_path, monkeypatch):
    file = tmp_path / "backup.json"
    file.write_bytes(exported(here))
    home = ["--home", str(elsewhere.home)]
    status, written = run(capsys, "inventory", "import", str(file), "--dry-run", *home)
    assert (status, written.err) == (0, "2 would be added, 0 would be changed, 0 as before\n")
    assert not elsewhere.home.exists()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    status, result = run_json(capsys, "inventory", "import", "-", *home)
    assert status == 0
    assert [one["name"] for one in result["data"]["added"]] == ["blue", SHOP.name]
    changed = replace(BLUE, note="here [bold]", changed={"note": ADDED_AT})
    put(elsewhere.home, changed)
    put(here.home, replace(BLUE, note="there \x1b[2J", changed={"note": LATER}))
    status, written = run(capsys, "inventory", "export", str(file), "--yes")
    status, written = run(capsys, "inventory", "import", str(file), *home)
    assert status == 0
    assert "changed: key blue: note" in written.out
    assert r"kept there \x1b[2J of" in written.out
    assert "dropped here [bold] of" in written.out
    assert written.err == "0 added, 1 changed, 1 as before; 1 conflict\n"


def test_the_command_tells_what_it_cannot_read(capsys, tmp_path):
    for bad in (tmp_path / "missing", tmp_path, "\0"):
        status, result = run_json(capsys, "inventory", "import", str(bad))
        assert (status, result["errors"][0]["code"]) == (2, "import_unreadable")
        assert result["errors"][0]["details"]["file"] == str(bad)


def test_the_command_prints_the_path_alone(here, capsys):
    status, written = run(capsys, "inventory", "path")
    assert (status, written.out, written.err) == (0, f"{here.home}\n", "")
    status, result = run_json(capsys, "inventory", "path")
    assert result["data"] == {
        "home": str(here.home),
        "state": str(here.home / "state"),
        "files": [str(here.home / "keys" / f"{BLUE.id}.json"), str(here.home / "services" / f"{SHOP.id}.json")],
    }


def test_the_path_is_told_before_there_is_anything(home, capsys):
    status, result = run_json(capsys, "inventory", "path")
    assert (status, result["data"]["files"]) == (0, [])
    assert not home.exists()


@pytest.mark.parametrize("command", [["export"], ["import", "-"], ["path"]])
def test_no_key_can_be_given(capsys, command):
    status, result = run_json(capsys, "inventory", *command, "-k", "blue")
    assert (status, result["errors"][0]["code"]) == (2, "usage")
    assert "give no --key" in result["errors"][0]["message"]
