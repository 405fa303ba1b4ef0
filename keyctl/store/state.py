"""What concerns this computer only: when a key was last seen here, and public keys and seeds as they were first seen.

None of it is synced: whoever can write to the synced inventory could otherwise make one key, or one seed, pass for
another.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.store import facts, fields, files, pair_pins

if TYPE_CHECKING:
    from pathlib import Path

_MEMORY_FOLDER, _PINS_FOLDER = "keys", "pins"
_COMPUTER_FILE = "computer.json"
_HASH_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class KeyMemory:
    """What this computer remembers of one known key; None: nothing."""

    last_seen: str | None = None
    #: Where it was, as ``--key`` takes it.
    selector: str | None = None
    #: The signature counter.
    counter: int | None = None
    #: When an unattended PIN was last wrong, until a right one came from a person.
    pin_failed_at: str | None = None


_MEMORY: fields.Fields = {
    "last_seen": fields.optional(fields.time),
    "selector": fields.optional(fields.text),
    "counter": fields.optional(fields.count),
    "pin_failed_at": fields.optional(fields.time),
}


def read_memory(state: Path, key_id: str) -> KeyMemory:
    """What is remembered; a damaged file is as good as none, as it is only a convenience."""
    path = facts.path_of(state / _MEMORY_FOLDER, key_id)
    return facts.read_or_none(path, lambda value: fields.object_in(KeyMemory, _MEMORY, value)) or KeyMemory()


def write_memory(state: Path, key_id: str, memory: KeyMemory) -> None:
    """Remember *memory*; a power cut may undo it.

    Raises:
        StoreError: It cannot be written.
    """
    path = facts.path_of(state / _MEMORY_FOLDER, key_id)
    facts.write(path, "memory", fields.plain(memory), durable=False, unsynced=state)


def read_pin(state: Path, key_id: str) -> bytes | None:
    """The recognition public key as this computer first saw it (COSE_Key in CBOR); None: never seen.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood: then nothing can be trusted.
    """
    return facts.read(
        facts.path_of(state / _PINS_FOLDER, key_id),
        lambda value: fields.octets(value["public_key"]),
        purpose="hold the public key that was first seen",
        cure="restore it from a backup; if nobody meddled, move it away, and the key is trusted as it is now",
    )


def write_pin(state: Path, key_id: str, public_key: bytes) -> None:
    """Note *public_key* (COSE_Key in CBOR) as the one that is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    path = facts.path_of(state / _PINS_FOLDER, key_id)
    facts.write(path, "pin", {"public_key": public_key.hex()}, unsynced=state)


def read_name_pin(state: Path, name: str) -> str | None:
    """The id of the key that this computer first knew as *name*; None: none.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    return facts.read(
        _name_path(state, name),
        lambda value: fields.identity(value["id"]),
        purpose="say which key had a name first",
        cure="restore it from a backup; if nobody meddled, move it away, and the name is trusted as it is now",
    )


def write_name_pin(state: Path, name: str, key_id: str) -> None:
    """Note *key_id* as the key that is trusted here under *name*.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(_name_path(state, name), "name", {"id": key_id}, unsynced=state)


def forget_name(state: Path, name: str) -> None:
    """Any key may have *name* from now on.

    Raises:
        StoreError: A file cannot be deleted.
    """
    files.remove(_name_path(state, name))


def read_seed_pin(state: Path, pairing_id: str) -> bytes | None:
    """SHA-256 of the pairing's seed as this computer first trusted it; None: it never did.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood: then nothing can be trusted.
    """
    return facts.read(
        _seed_path(state, pairing_id),
        lambda value: fields.exactly(_HASH_BYTES)(value["sha256"]),
        purpose="say which seed was first trusted",
        cure="restore it from a backup; if nobody meddled, move it away, and compare the fingerprint anew",
    )


def write_seed_pin(state: Path, pairing_id: str, seed_hash: bytes) -> None:
    """Note *seed_hash*, SHA-256 of a pairing's seed, as the one that is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    if len(seed_hash) != _HASH_BYTES:
        raise ValueError("no SHA-256")
    facts.write(_seed_path(state, pairing_id), "seed", {"sha256": seed_hash.hex()}, unsynced=state)


def forget_seed(state: Path, pairing_id: str) -> None:
    """Trust no seed of the pairing any more, nor what goes with it (:mod:`keyctl.store.pair_pins`).

    Raises:
        StoreError: A file cannot be deleted.
    """
    pair_pins.forget_details(state, pairing_id)
    files.remove(_seed_path(state, pairing_id))


def computer_id(state: Path) -> str:
    """What tells this computer from others in the inventory: 16 hex digits, random, drawn when first asked for.

    Raises:
        StoreError: It can be neither read nor written. A damaged one is not drawn anew, as this computer would count
            as another one from then on.
    """
    path = state / _COMPUTER_FILE
    if (known := _read_computer_id(path)) is not None:
        return known
    with files.lock_folder(state):
        # Another process may have been first: what one has told the inventory has to stay.
        if (known := _read_computer_id(path)) is not None:
            return known
        drawn = secrets.token_hex(8)
        facts.write(path, "computer", {"id": drawn}, unsynced=state)
    return drawn


def _read_computer_id(path: Path) -> str | None:
    return facts.read(
        path,
        lambda value: fields.identity(value["id"]),
        purpose="hold the id of this computer",
        cure="restore it from a backup, or move it away, and this computer counts as another one from then on",
    )


def forget(state: Path, key_id: str) -> None:
    """Remember nothing of the key any more.

    Raises:
        StoreError: A file cannot be deleted.
    """
    for folder in (_MEMORY_FOLDER, _PINS_FOLDER):
        files.remove(facts.path_of(state / folder, key_id))


def _seed_path(state: Path, pairing_id: str) -> Path:
    return facts.path_of(state / _PINS_FOLDER, pairing_id, prefix="seed-")


def _name_path(state: Path, name: str) -> Path:
    return facts.path_of_name(state / _PINS_FOLDER, name, prefix="name-")
