"""The folder of virtual keys."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fido2.ctap2 import ClientPin, Ctap2, LargeBlobs
from hypothesis import given
from hypothesis import strategies as st

from keyctl.core import p256
from keyctl.errors import NotFoundError, StoreError, UsageError
from keyctl.store.files import lock
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.migrations import SCHEMA
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.quirks import QUIRKS, Quirk
from keyctl.virtual.settings import FAULT_WORDS, Settings, change, settings_from_json
from keyctl.virtual.state import new_state, state_from_json

GOOD_NAMES = ["a", "0", "blue-5c", "A.b_c-d", "x" * 32, "settings", "a.json", "a.lock"]
BAD_NAMES = [
    "",
    "x" * 33,
    "-a",
    ".a",
    "_a",
    "a/b",
    "../a",
    "a b",
    "ä",
    "a\n",
    "a.settings",
    "A.SETTINGS",
    "a\0",
    "\u017f",
    "\u212a",
]


def test_a_new_key_is_plugged_and_touched(folder):
    key = keys.new(folder, "blue", "full")
    assert key == keys.get(folder, "blue")
    assert key == keys.VirtualKey(
        name="blue",
        profile="full",
        plugged=True,
        attached=None,
        touch="now",
        delay_ms=0,
        counter=0,
        quirks=(),
        faults=(),
    )


def test_the_files_are_private_and_kept_out_of_version_control(folder):
    keys.new(folder, "blue", "full")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("blue.json", "blue.settings.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(folder, name):
    keys.new(folder, name, "small")
    assert [entry.name for entry in keys.entries(folder)] == [name]
    keys.remove(folder, name)
    assert keys.entries(folder) == ()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(folder, name):
    with pytest.raises(UsageError):
        keys.new(folder, name, "full")
    assert not folder.exists()
    with pytest.raises(NotFoundError):
        keys.get(folder, name)
    with pytest.raises(NotFoundError):
        keys.remove(folder, name)


def test_keys_with_names_like_files_do_not_mix(folder):
    for name in ("a", "a.json", "a.lock", "a.attached"):
        keys.new(folder, name, "full")
    keys.configure(folder, "a", ["touch=never"])
    keys.remove(folder, "a.json")
    assert [(entry.name, entry.touch) for entry in keys.entries(folder)] == [
        ("a", "never"),
        ("a.attached", "now"),
        ("a.lock", "now"),
    ]


def test_an_unknown_profile_is_refused_with_a_list(folder):
    with pytest.raises(UsageError) as caught:
        keys.new(folder, "blue", "solid")
    assert all(profile in caught.value.hint for profile in PROFILES)


def test_a_name_is_taken_once(folder):
    keys.new(folder, "blue", "full")
    with pytest.raises(NotFoundError) as caught:
        keys.new(folder, "blue", "small")
    assert (caught.value.code, caught.value.key) == ("virtual_exists", "virtual:blue")
    assert keys.get(folder, "blue").profile == "full"


def test_listing_creates_nothing(folder):
    assert keys.entries(folder) == ()
    assert not folder.exists()
    keys.new(folder, "blue", "full")
    before = sorted(path.name for path in folder.iterdir())
    keys.entries(folder)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_one_damaged_file_hides_no_other_key(folder):
    for name in ("a", "b", "c", "d"):
        keys.new(folder, name, "full")
    (folder / "b.json").write_text("nonsense")
    (folder / "c.settings.json").unlink()
    (folder / "a copy.json").write_text("{}")
    (folder / "e.json").symlink_to(folder / "a.json")
    listed = keys.entries(folder)
    assert [entry.key if isinstance(entry, StoreError) else entry.name for entry in listed] == [
        "a",
        "virtual:a copy",
        "virtual:b",
        "virtual:c",
        "d",
        "virtual:e",
    ]
    assert {entry.code for entry in listed if isinstance(entry, StoreError)} == {"store_unreadable"}


def test_a_folder_that_is_none_is_an_error(tmp_path):
    (tmp_path / "virtual").write_text("")
    with pytest.raises(StoreError):
        keys.entries(tmp_path / "virtual")


@pytest.mark.parametrize("damage", ["{}", "nonsense", '{"schema": 2}'])
def test_a_damaged_key_can_be_removed(folder, damage):
    keys.new(folder, "blue", "full")
    (folder / "blue.json").write_text(damage)
    (folder / "blue.settings.json").write_text(damage)
    keys.remove(folder, "blue")
    assert keys.entries(folder) == ()


@pytest.mark.parametrize("name", ["blue.json", "blue.settings.json"])
def test_newer_files_are_left_alone(folder, name):
    keys.new(folder, "blue", "full")
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    before = path.read_text()
    for use in (keys.get, keys.plug, lambda *key: keys.configure(*key, ["counter=1"])):
        with pytest.raises(StoreError) as caught:
            use(folder, "blue")
        assert (caught.value.code, caught.value.key) == ("store_newer", "virtual:blue")
    assert path.read_text() == before


def test_plugging_is_a_power_cycle_only_after_unplugging(folder):
    keys.new(folder, "blue", "full")
    path = folder / "blue.settings.json"
    before = path.read_text()
    assert keys.plug(folder, "blue").plugged
    assert path.read_text() == before
    assert not keys.unplug(folder, "blue").plugged
    assert not keys.unplug(folder, "blue").plugged
    assert keys.plug(folder, "blue").plugged
    assert json.loads(path.read_text())["boot"] != json.loads(before)["boot"]


def test_settings_are_kept(folder):
    keys.new(folder, "blue", "full")
    key = keys.configure(
        folder,
        "blue",
        [
            "touch=long",
            "touch=after:2.50",
            "delay-ms=250",
            "counter=4294967295",
            "quirk=no-touch",
            "quirk=map-order",
            "fault=1:pulled",
            "fault=3:0x31",
        ],
    )
    assert key == keys.get(folder, "blue")
    assert (key.touch, key.delay_ms, key.counter) == ("after:2.5", 250, 4294967295)
    assert key.quirks == ("map-order", "no-touch")
    assert key.faults == ("1:pulled", "3:0x31")
    key = keys.configure(folder, "blue", ["quirk=none", "fault=none", "quirk=aaguid-zero"])
    assert (key.quirks, key.faults, key.delay_ms) == (("aaguid-zero",), (), 250)


@pytest.mark.parametrize(
    "setting",
    [
        "touch",
        "touch=",
        "touch=later",
        "touch=after:",
        "touch=after:-1",
        "touch=after:nan",
        "touch=after:inf",
        "touch=after:86401",
        "delay-ms=-1",
        "delay-ms=1.5",
        "delay-ms=600001",
        "delay-ms=" + "9" * 5000,
        "counter=4294967296",
        "counter=²",
        "counter=٣",
        "quirk=",
        "quirk=odd",
        "fault=",
        "fault=pulled",
        "fault=0:pulled",
        "fault=1:",
        "fault=1:0",
        "fault=1:256",
        "fault=1:0x100",
        "fault=1:0x",
        "fault=1:odd",
        "fault=-1:pulled",
        "fault=" + "9" * 5000 + ":pulled",
        "colour=blue",
        "",
    ],
)
def test_a_bad_setting_changes_nothing(folder, setting):
    keys.new(folder, "blue", "full")
    before = keys.get(folder, "blue")
    with pytest.raises(UsageError) as caught:
        keys.configure(folder, "blue", ["counter=7", "touch=never", setting])
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert keys.get(folder, "blue") == before


def test_an_unknown_quirk_is_answered_with_all_there_are(folder):
    keys.new(folder, "blue", "full")
    with pytest.raises(UsageError) as caught:
        keys.configure(folder, "blue", ["quirk=odd"])
    assert all(quirk in caught.value.hint for quirk in QUIRKS)


def test_every_quirk_has_a_description():
    assert set(QUIRKS) == {quirk.value for quirk in Quirk}
    assert all(text and "\n" not in text for text in [*QUIRKS.values(), *FAULT_WORDS.values()])


def test_the_counter_waits_for_a_command_to_end_and_the_rest_does_not(folder):
    keys.new(folder, "blue", "full")
    command = contextlib.ExitStack()
    command.enter_context(lock(folder / "blue.lock"))
    assert keys.configure(folder, "blue", ["touch=never"]).touch == "never"
    end = threading.Timer(0.05, command.close)
    end.start()
    assert keys.configure(folder, "blue", ["counter=1"]).counter == 1
    end.join()


def test_a_key_is_attached_while_it_is_held(folder):
    keys.new(folder, "blue", "full")
    with keys.hold(folder, "blue", "nfc"):
        assert keys.get(folder, "blue").attached == "nfc"
        for refused in (lambda: keys.hold(folder, "blue", "hid").__enter__(), lambda: keys.remove(folder, "blue")):
            with pytest.raises(StoreError) as caught:
                refused()
            assert (caught.value.code, caught.value.key) == ("store_locked", "virtual:blue")
    assert keys.get(folder, "blue").attached is None
    with pytest.raises(NotFoundError):
        keys.hold(folder, "red", "nfc").__enter__()
    with pytest.raises(ValueError, match="no name of a bus"):
        keys.hold(folder, "blue", "USB bus").__enter__()


def test_an_attachment_ends_with_its_process(folder):
    keys.new(folder, "blue", "full")
    program = (
        "import sys, pathlib\n"
        "from keyctl.virtual import keys\n"
        "with keys.hold(pathlib.Path(sys.argv[1]), 'blue', 'hid'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout.readline() == b"held\n"
        assert keys.get(folder, "blue").attached == "hid"
        process.kill()
    assert (folder / "blue.attached").read_text() == "hid"
    assert keys.get(folder, "blue").attached is None


def test_a_pipe_in_place_of_a_file_hangs_nobody(folder):
    keys.new(folder, "blue", "full")
    os.mkfifo(folder / "blue.attached")
    assert keys.get(folder, "blue").attached is None
    with pytest.raises(StoreError, match="not a plain file"):
        keys.hold(folder, "blue", "nfc").__enter__()
    (folder / "blue.settings.json").unlink()
    os.mkfifo(folder / "blue.settings.json")
    with pytest.raises(StoreError):
        keys.get(folder, "blue")


# Hostile files


def read(reader, path, content):
    """What *reader* makes of *content*, or its error."""
    try:
        return reader(path, content)
    except StoreError as error:
        return error


def test_every_file_that_is_written_can_be_read(tmp_path):
    settings = change(Settings(boot=bytes(8), powered_at=1.5), ["quirk=no-touch", "fault=2:busy", "touch=after:1"])[0]
    assert settings_from_json(tmp_path, json.loads(json.dumps(settings.to_json()))) == settings
    state = new_state("full", bytes(8))
    assert state_from_json(tmp_path, json.loads(json.dumps(state.to_json()))) == state


def paths_in(value, at=()):
    """Where every value inside a JSON value is."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*at, key))


BASE_POINT = p256.base_multiple(1).hex()
FULL_STATE = {
    "schema": 3,
    "profile": "full",
    "secret": "00" * 32,
    "counter": 5,
    "pin": {"hash": "11" * 16, "length": 4},
    "pin_retries": 8,
    "credentials": [
        {
            "id": "22" * 64,
            "rp_id": "example.com",
            "rp_name": None,
            "algorithm": -7,
            "private_key": "33" * 32,
            "protection": 1,
            "user_id": "44",
            "user_name": "caf\udcc3",
            "user_display_name": None,
            "blob": "99",
            "large_blob_key": "aa" * 32,
        }
    ],
    "identifier": "bb" * 16,
    "store_state": "cc" * 16,
    "persistent_token": "dd" * 32,
    "large_blobs": "8076be8b528d0075f7aae98d6fa57a6d3c",
    "configuration": {
        "always_uv": True,
        "enterprise": False,
        "long_touch_for_reset": False,
        "min_pin_length": 6,
        "min_pin_rp_ids": ["example.com"],
        "force_pin_change": False,
    },
    "signing_seeds": [
        {
            "credential_id": "22" * 64,
            "handle": "66" * 64,
            "algorithm": -65539,
            "flags": 5,
            "sk_bl": "44" * 32,
            "sk_kem": "55" * 32,
        }
    ],
    "backup_seeds": {
        "own": "33" * 32,
        "given": [{"aaguid": "ee" * 16, "point": BASE_POINT}],
        "changes": 3,
    },
    "ram": {
        "boot": "55" * 8,
        "wrong_pins": 0,
        "agreement": {"1": "66" * 32, "2": "77" * 32},
        "token": {
            "value": "88" * 32,
            "protocol": 2,
            "permissions": 4,
            "rp_id": None,
            "issued_at": 1.5,
            "used": True,
            "user_verified": True,
        },
        "dead": False,
    },
}
#: The id of a credential at example.com that is in no file, made with the secret in vectors/virtual/v1.json.
WRAPPED_BY_SCHEMA_1 = (
    "01910e39d7101019821a6d55791762b6137b331be2b203b4cc657a32d01fbc56"
    "e9a2bde34ac11918d43241cea27aadcc572a8de87bfdacfc3de86385e6c74c81"
)
PLACES = list(paths_in(FULL_STATE))[1:]
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(PLACES), ANY_JSON, st.sampled_from(["replace", "remove", "add"]))
def test_a_damaged_state_is_a_store_error_or_a_state(tmp_path_factory, place, value, how):
    """Whatever is accepted can be written again and is the same then."""
    damaged = json.loads(json.dumps(FULL_STATE))
    parent = damaged
    for key in place[:-1]:
        parent = parent[key]
    if how == "remove":
        del parent[place[-1]]
    elif how == "add" and isinstance(parent, dict):
        parent["extra"] = value
    else:
        parent[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "blue.json"
    state = read(state_from_json, path, damaged)
    if isinstance(state, StoreError):
        assert state.code in {"store_unreadable", "store_newer"}
        assert "\n" not in state.message
    else:
        assert state_from_json(path, state.to_json()) == state


def old_states():
    """The stored examples: of each schema before the newest, what that keyctl wrote."""
    return sorted((Path(__file__).parent.parent / "vectors" / "virtual").glob("v*.json"))


def test_there_is_an_example_of_every_older_schema():
    assert [path.name for path in old_states()] == [f"v{schema}.json" for schema in range(1, SCHEMA)]


@pytest.mark.parametrize("path", old_states(), ids=lambda path: path.stem)
def test_a_file_of_an_older_keyctl_is_read_and_written_anew(folder, path):
    """Reading leaves it alone and is the same every time; the first command that changes something migrates it."""
    keys.new(folder, "blue", "full")
    old = path.read_bytes()
    (folder / "blue.json").write_bytes(old)
    content = json.loads(old)
    state = state_from_json(path, content)
    assert state == state_from_json(path, json.loads(old))
    assert content == json.loads(old)
    assert keys.get(folder, "blue").counter == content["counter"]
    assert (folder / "blue.json").read_bytes() == old
    keys.configure(folder, "blue", ["counter=70"])
    written = json.loads((folder / "blue.json").read_text())
    assert (written["schema"], written["counter"]) == (SCHEMA, 70)
    assert all(written[name] == content[name] for name in ("secret", "pin", "pin_retries", "profile"))
    assert [one["id"] for one in written["credentials"]] == [one["id"] for one in content["credentials"]]
    assert [one["user_name"] for one in written["credentials"]] == [one["user_name"] for one in content["credentials"]]


def test_a_migrated_key_still_opens_what_it_made(folder):
    """The PIN, a stored credential and a wrapped one, made by the keyctl that wrote schema 1."""
    keys.new(folder, "blue", "full")
    (folder / "blue.json").write_bytes(old_states()[0].read_bytes())
    ctap = Ctap2(VirtualDevice(folder, "blue"))
    assert ctap.get_assertion("names.example", bytes(32)).auth_data.counter == 6
    wrapped = bytes.fromhex(WRAPPED_BY_SCHEMA_1)
    allow_list = [{"type": "public-key", "id": wrapped}]
    assert ctap.get_assertion("example.com", bytes(32), allow_list).credential["id"] == wrapped
    assert ClientPin(ctap).get_pin_token("1234-äöü", ClientPin.PERMISSION.CREDENTIAL_MGMT)


def test_a_key_migrated_from_schema_2_still_has_its_blobs(folder):
    """The PIN, credBlob, a large blob, and the persistent token."""
    keys.new(folder, "blue", "full")
    (folder / "blue.json").write_bytes(old_states()[1].read_bytes())
    ctap = Ctap2(VirtualDevice(folder, "blue"))
    allow_list = [
        {"type": "public-key", "id": bytes.fromhex(json.loads(old_states()[1].read_text())["credentials"][0]["id"])}
    ]
    answer = ctap.get_assertion(
        "example.com", bytes(32), allow_list, extensions={"credBlob": True, "largeBlobKey": True}
    )
    assert answer.auth_data.extensions == {"credBlob": b"blob"}
    assert LargeBlobs(ctap).get_blob(answer.large_blob_key) == b"a note"
    assert ClientPin(ctap).get_pin_token("1234-äöü", ClientPin.PERMISSION.PERSISTENT_CREDENTIAL_MGMT)
    assert ctap.get_info().min_pin_length == 6


@pytest.mark.parametrize("path", old_states(), ids=lambda path: path.stem)
@given(data=st.data())
def test_a_damaged_file_of_an_older_keyctl_is_a_store_error_or_a_state(path, data):
    damaged = json.loads(path.read_text())
    place = data.draw(st.sampled_from(list(paths_in(damaged))[1:]))
    parent = damaged
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = data.draw(ANY_JSON)
    state = read(state_from_json, path, damaged)
    if isinstance(state, StoreError):
        assert state.code in {"store_unreadable", "store_newer"}
    else:
        assert state_from_json(path, state.to_json()) == state


def test_the_sample_state_is_accepted(tmp_path):
    assert state_from_json(tmp_path, FULL_STATE).to_json() == FULL_STATE


@pytest.mark.parametrize(
    "change_one",
    [
        {"touch": "later"},
        {"touch": 5},
        {"quirks": ["odd"]},
        {"quirks": [5]},
        {"quirks": "no-touch"},
        {"faults": ["1:odd"]},
        {"plugged": 1},
        {"boot": "zz"},
        {"boot": "00"},
        {"boot": None},
        {"powered_at": True},
        {"powered_at": "now"},
        {"delay_ms": 600001},
        {"delay_ms": True},
        {"schema": 0},
        {"schema": "1"},
    ],
)
def test_settings_are_checked_field_by_field(folder, change_one):
    keys.new(folder, "blue", "full")
    path = folder / "blue.settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change_one}))
    with pytest.raises(StoreError) as caught:
        keys.get(folder, "blue")
    assert (caught.value.code, caught.value.key) == ("store_unreadable", "virtual:blue")


@given(st.dictionaries(st.sampled_from([*Settings(boot=bytes(8), powered_at=0.0).to_json(), "x"]), ANY_JSON))
def test_damaged_settings_are_a_store_error(tmp_path_factory, changes):
    content = {**Settings(boot=bytes(8), powered_at=0.0).to_json(), **changes}
    settings = read(settings_from_json, tmp_path_factory.getbasetemp(), content)
    if isinstance(settings, StoreError):
        assert settings.code in {"store_unreadable", "store_newer"}
    else:
        assert settings_from_json(tmp_path_factory.getbasetemp(), settings.to_json()) == settings
