"""Exported seeds as files: written once, read back as they were, and refused where anything is not as it has to be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core.binding import Evidence
from keyctl.core.inventory import KnownKey, RecognitionCredential
from keyctl.core.pairings import Method
from keyctl.errors import StoreError
from keyctl.model import KeyState, Role
from keyctl.store import seed_files
from keyctl.store.seed_files import SeedFile
from tests.derived_parts import MADE_AT, seed

KEY = KnownKey(
    id="00000000000000b2",
    name="green",
    role=Role.BACKUP,
    owner="kim",
    location="the safe",
    note="blue tape",
    state=KeyState.LOST,
    virtual=False,
    aaguid="00112233-4455-6677-8899-aabbccddeeff",
    model="A key",
    serial="1",
    firmware="5.8.0",
    added_at=MADE_AT,
    recognition=RecognitionCredential(
        credential_id=b"id", public_key=b"public", user_id=bytes(32), u2f=False, enrolled_at=MADE_AT
    ),
    passkeys_read_at=MADE_AT,
    passkeys_remaining=3,
    changed={"note": MADE_AT},
)
FILE = SeedFile(
    method=Method.ARKG,
    created_at=MADE_AT,
    fingerprint="HLU2K-BEAEC-LJXQS-L7BJH",
    key=KEY,
    seed=seed(evidence=Evidence(made=b"made", asserted=b"asserted", nonce=bytes(32))),
)
TEXT = seed_files.document(FILE)


def read(content: bytes | str) -> SeedFile:
    return seed_files.seed_file_from(content.encode() if isinstance(content, str) else content, "seed.json")


def test_what_is_written_is_read_without_what_is_nobodys_business():
    found = read(TEXT)
    assert found == replace(FILE, key=seed_files.identity(KEY))
    assert (found.key.name, found.key.recognition, found.key.role) == ("green", KEY.recognition, Role.BACKUP)
    assert (found.key.owner, found.key.location, found.key.note, found.key.state) == (None, None, None, KeyState.ACTIVE)
    assert "the safe" not in TEXT
    assert "kim" not in TEXT


def test_a_seed_without_evidence_is_a_file_too():
    without = replace(FILE, seed=replace(FILE.seed, evidence=None))
    assert read(seed_files.document(without)).seed.evidence is None


@pytest.mark.parametrize("number", ["2", "10", "9" * 5000])
def test_a_file_of_a_newer_keyctl_is_told_as_such(number):
    with pytest.raises(StoreError) as caught:
        read(TEXT.replace("keyctl-seed/1", f"keyctl-seed/{number}"))
    assert caught.value.code == "store_newer"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b" " * (seed_files.MAX_FILE_BYTES + 1),
        b'{"schema": "keyctl-inventory/1"}',
        b'{"schema": "keyctl-seed/01"}',
        b'{"schema": "keyctl-seed/-1"}',
        b'{"schema": 1}',
    ],
)
def test_what_is_no_exported_seed_is_refused(content):
    with pytest.raises(StoreError) as caught:
        read(content)
    assert caught.value.code == "store_unreadable"


@st.composite
def damaged(draw):
    """The document with one value, somewhere in it, that is something else, gone, or new."""
    value = json.loads(TEXT)
    place = value
    while True:
        name = draw(st.sampled_from(sorted(place)))
        if not place[name] or not isinstance(place[name], dict) or draw(st.booleans()):
            break
        place = place[name]
    other = draw(st.sampled_from([None, True, -1, 2**60, "", "zz", "00", [], {}, ["x"], "gone", "new"]))
    if other == "gone":
        del place[name]
    elif other == "new":
        place["new"] = 1
    else:
        place[name] = other
    return value


@given(damaged())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(value):
    try:
        found = read(json.dumps(value))
    except StoreError as error:
        assert error.code in {"store_unreadable", "store_newer"}  # noqa: PT017  # or it is read
    else:
        assert read(seed_files.document(found)) == found
