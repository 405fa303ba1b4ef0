"""What this computer knows of tokens, and the tokens in files: private, and nothing is taken for one that is none."""

from __future__ import annotations

import json
import os
import stat

import pytest

from keyctl.errors import StoreError
from keyctl.store import unattended_tokens
from keyctl.store.unattended_tokens import Note, TokenPlace
from tests import keyrings

KEY_ID = "00000000000000b1"
TOKEN = bytes(range(32))
NOTE = Note(
    kept=TokenPlace.FILE,
    since="2026-01-31T08:00:00Z",
    last_used="2026-02-01T08:00:00Z",
    store_state=b"s" * 16,
    passkeys=b"h" * 32,
)
FEW = Note(kept=TokenPlace.KEYRING, since="2026-01-31T08:00:00Z")


@pytest.fixture
def state(home):
    return home / "state"


def note_file(state):
    return state / "unattended" / f"{KEY_ID}.json"


def token_file(state):
    return state / "unattended" / f"{KEY_ID}.token.json"


def damage(path, **changes):
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


@pytest.mark.parametrize("note", [NOTE, FEW])
def test_a_note_is_what_was_noted(state, note):
    assert unattended_tokens.read_note(state, KEY_ID) is None
    unattended_tokens.write_note(state, KEY_ID, note)
    assert unattended_tokens.read_note(state, KEY_ID) == note
    unattended_tokens.forget_note(state, KEY_ID)
    assert unattended_tokens.read_note(state, KEY_ID) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"kept": "cloud"},
        {"kept": None},
        {"since": None},
        {"since": "yesterday"},
        {"since": 7},
        {"last_used": "2026-13-01T08:00:00Z"},
        {"last_used": ...},
        {"store_state": "00"},
        {"store_state": 7},
        {"passkeys": "zz" * 32},
        {"passkeys": []},
    ],
)
def test_a_damaged_note_is_none(state, changes):
    unattended_tokens.write_note(state, KEY_ID, NOTE)
    damage(note_file(state), **changes)
    assert unattended_tokens.read_note(state, KEY_ID) is None


@pytest.mark.parametrize("length", [16, 32])
def test_a_token_in_a_file_is_private(state, length):
    token = TOKEN[:length]
    unattended_tokens.write(state, KEY_ID, TokenPlace.FILE, token, unlocking=False)
    assert unattended_tokens.read(state, KEY_ID, TokenPlace.FILE) == token
    assert stat.S_IMODE(token_file(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(state).parent.stat().st_mode) == 0o700
    unattended_tokens.delete(state, KEY_ID, TokenPlace.FILE, unlocking=False)
    assert unattended_tokens.read(state, KEY_ID, TokenPlace.FILE) is None
    assert not token_file(state).exists()


def test_a_token_in_the_keyring_is_in_no_file(state):
    with keyrings.chosen(keyrings.Vault()) as vault:
        unattended_tokens.write(state, KEY_ID, TokenPlace.KEYRING, TOKEN, unlocking=False)
        assert unattended_tokens.read(state, KEY_ID, TokenPlace.KEYRING) == TOKEN
        assert unattended_tokens.read(state, KEY_ID, TokenPlace.FILE) is None
        assert not state.exists()
        unattended_tokens.delete(state, KEY_ID, TokenPlace.KEYRING, unlocking=False)
        assert vault.kept == {}
        assert unattended_tokens.read(state, KEY_ID, TokenPlace.KEYRING) is None


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_that_others_can_read_is_not_used(state, mode):
    unattended_tokens.write(state, KEY_ID, TokenPlace.FILE, TOKEN, unlocking=False)
    token_file(state).chmod(mode)
    with pytest.raises(StoreError, match="can be read by others") as caught:
        unattended_tokens.read(state, KEY_ID, TokenPlace.FILE)
    assert caught.value.details.file == str(token_file(state))


@pytest.mark.parametrize("token", [..., None, "", "00", "zz" * 32, 7, "00" * 33])
def test_a_file_without_a_token_is_told(state, token):
    unattended_tokens.write(state, KEY_ID, TokenPlace.FILE, TOKEN, unlocking=False)
    damage(token_file(state), token=token)
    with pytest.raises(StoreError, match="holds no token") as caught:
        unattended_tokens.read(state, KEY_ID, TokenPlace.FILE)
    assert caught.value.code == "store_unreadable"


def test_a_link_is_not_followed(state, tmp_path):
    unattended_tokens.write(state, KEY_ID, TokenPlace.FILE, TOKEN, unlocking=False)
    elsewhere = tmp_path / "elsewhere"
    token_file(state).rename(elsewhere)
    token_file(state).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        unattended_tokens.read(state, KEY_ID, TokenPlace.FILE)


@pytest.mark.parametrize("text", ["", "00", "no token"])
def test_what_the_keyring_has_may_be_anything(state, text):
    with keyrings.chosen(keyrings.Vault()) as vault:
        vault.kept["keyctl unattended", KEY_ID] = text
        with pytest.raises(StoreError, match="is no token") as caught:
            unattended_tokens.read(state, KEY_ID, TokenPlace.KEYRING)
    assert caught.value.code == "keyring_unusable"


def test_an_id_that_is_none_makes_no_path(state):
    with pytest.raises(ValueError, match="is no id"):
        unattended_tokens.write_note(state, "../keys/x", NOTE)
