"""What concerns this computer only: when a key was last seen here, and public keys and seeds as they were first seen.

None of it is synced: whoever can write to the synced inventory could otherwise make one key, or one seed, pass for
another.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from keyctl.core import times
from keyctl.errors import StoreError
from keyctl.store import files
from keyctl.store.fields import ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Fact = TypeVar("_Fact")
_SCHEMA = 1
_MEMORY_FOLDER, _PINS_FOLDER = "keys", "pins"
_SEED_PREFIX = "seed-"
_COMPUTER_FILE = "computer.json"
_HASH_BYTES = 32
#: Seconds; another keyctl holds the lock for as long as it takes to write a file.
_LOCK_WAIT_S = 2.0


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


def read_memory(state: Path, key_id: str) -> KeyMemory:
    """What is remembered; a damaged file is as good as none, as it is only a convenience."""
    path = _path(state, _MEMORY_FOLDER, key_id)
    try:
        value = files.read_json(path)
        memory = KeyMemory(
            last_seen=value["last_seen"],
            selector=value["selector"],
            counter=value["counter"],
            pin_failed_at=value["pin_failed_at"],
        )
        texts = (memory.last_seen, memory.selector, memory.pin_failed_at)
        for moment in (memory.last_seen, memory.pin_failed_at):
            if moment is not None:
                times.parse(moment)
    except (FileNotFoundError, StoreError, KeyError, TypeError, ValueError):
        return KeyMemory()
    is_count = memory.counter is None or (type(memory.counter) is int and memory.counter >= 0)
    sound = value.get("schema") == _SCHEMA and is_count and all(text is None or type(text) is str for text in texts)
    return memory if sound else KeyMemory()


def write_memory(state: Path, key_id: str, memory: KeyMemory) -> None:
    """Remember *memory*; a power cut may undo it.

    Raises:
        StoreError: It cannot be written.
    """
    content = {
        "schema": _SCHEMA,
        "kind": "memory",
        "last_seen": memory.last_seen,
        "selector": memory.selector,
        "counter": memory.counter,
        "pin_failed_at": memory.pin_failed_at,
    }
    _write(state, _path(state, _MEMORY_FOLDER, key_id), content, durable=False)


def read_pin(state: Path, key_id: str) -> bytes | None:
    """The recognition public key as this computer first saw it (COSE_Key in CBOR); None: never seen.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood: then nothing can be trusted.
    """
    return _read_fact(
        _path(state, _PINS_FOLDER, key_id),
        lambda value: _octets(value["public_key"]),
        "hold the public key that was first seen",
        "restore it from a backup; if nobody meddled, move it away, and the key is trusted as it is now",
    )


def write_pin(state: Path, key_id: str, public_key: bytes) -> None:
    """Note *public_key* (COSE_Key in CBOR) as the one that is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    content = {"schema": _SCHEMA, "kind": "pin", "public_key": public_key.hex()}
    _write(state, _path(state, _PINS_FOLDER, key_id), content, durable=True)


def read_name_pin(state: Path, name: str) -> str | None:
    """The id of the key that this computer first knew as *name*; None: none.

    Raises:
        StoreError: There is a file, and it says nothing that can be understood.
    """
    return _read_fact(
        _name_path(state, name),
        lambda value: _id(value["id"]),
        "say which key had a name first",
        "restore it from a backup; if nobody meddled, move it away, and the name is trusted as it is now",
    )


def write_name_pin(state: Path, name: str, key_id: str) -> None:
    """Note *key_id* as the key that is trusted here under *name*.

    Raises:
        StoreError: It cannot be written.
    """
    _write(state, _name_path(state, name), {"schema": _SCHEMA, "kind": "name", "id": key_id}, durable=True)


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
    return _read_fact(
        _seed_path(state, pairing_id),
        lambda value: _octets(value["sha256"], _HASH_BYTES),
        "say which seed was first trusted",
        "restore it from a backup; if nobody meddled, move it away, and compare the fingerprint anew",
    )


def write_seed_pin(state: Path, pairing_id: str, seed_hash: bytes) -> None:
    """Note *seed_hash*, SHA-256 of a pairing's seed, as the one that is trusted here.

    Raises:
        StoreError: It cannot be written.
    """
    if len(seed_hash) != _HASH_BYTES:
        raise ValueError("no SHA-256")
    content = {"schema": _SCHEMA, "kind": "seed", "sha256": seed_hash.hex()}
    _write(state, _seed_path(state, pairing_id), content, durable=True)


def forget_seed(state: Path, pairing_id: str) -> None:
    """Trust no seed of the pairing any more, nor what goes with it (:mod:`keyctl.store.pair_pins`).

    Raises:
        StoreError: A file cannot be deleted.
    """
    for prefix in ("details-", _SEED_PREFIX):
        files.remove(_path(state, _PINS_FOLDER, pairing_id, prefix))


def computer_id(state: Path) -> str:
    """What tells this computer from others in the inventory: 16 hex digits, random, drawn when first asked for.

    Raises:
        StoreError: It can be neither read nor written. A damaged one is not drawn anew, as this computer would count
            as another one from then on.
    """
    path = state / _COMPUTER_FILE
    if (known := _read_computer_id(path)) is not None:
        return known
    files.make_private_folder(state, durable=True)
    with files.lock(state / ".lock", _LOCK_WAIT_S):
        # Another process may have been first: what one has told the inventory has to stay.
        if (known := _read_computer_id(path)) is not None:
            return known
        drawn = secrets.token_hex(8)
        _write(state, path, {"schema": _SCHEMA, "kind": "computer", "id": drawn}, durable=True)
    return drawn


def _read_computer_id(path: Path) -> str | None:
    return _read_fact(
        path,
        lambda value: _id(value["id"]),
        "hold the id of this computer",
        "restore it from a backup, or move it away, and this computer counts as another one from then on",
    )


def forget(state: Path, key_id: str) -> None:
    """Remember nothing of the key any more.

    Raises:
        StoreError: A file cannot be deleted.
    """
    for folder in (_MEMORY_FOLDER, _PINS_FOLDER):
        files.remove(_path(state, folder, key_id))


def _read_fact(path: Path, decode: Callable[[dict[str, Any]], _Fact], purpose: str, cure: str) -> _Fact | None:
    """What a file that guards something says, by *decode*; None: there is no such file.

    Raises:
        StoreError: It does not say it: it does not *purpose*.
    """
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    try:
        fact = decode(value)
    except (KeyError, TypeError, ValueError):
        fact = None
    if fact is None or value.get("schema") != _SCHEMA:
        raise files.unreadable(path, f"is damaged: it does not {purpose}", cure)
    return fact


def _octets(text: str, length: int | None = None) -> bytes:
    octets = bytes.fromhex(text)
    if not octets or length not in {None, len(octets)}:
        raise ValueError("too few or too many")
    return octets


def _id(text: str) -> str:
    if not ID_PATTERN.fullmatch(text):
        raise ValueError("no id")
    return text


def _path(state: Path, folder: str, record_id: str, prefix: str = "") -> Path:
    if not ID_PATTERN.fullmatch(record_id):
        raise ValueError(f"{record_id!r} is no id")
    return state / folder / f"{prefix}{record_id}.json"


def _seed_path(state: Path, pairing_id: str) -> Path:
    return _path(state, _PINS_FOLDER, pairing_id, _SEED_PREFIX)


def _name_path(state: Path, name: str) -> Path:
    # A name may be longer than a file's, and hold anything.
    return state / _PINS_FOLDER / f"name-{sha256(name.encode()).hexdigest()[:32]}.json"


def _write(state: Path, path: Path, content: dict[str, Any], *, durable: bool) -> None:
    files.make_private_folder(path.parent, durable=durable)
    ignore = state / ".gitignore"
    if not ignore.exists():
        # Whoever comes first writes it; where nothing can be written, the file itself will say so.
        with contextlib.suppress(OSError), ignore.open("x", encoding="utf-8") as file:
            file.write("*\n")
    files.write_json(path, content, durable=durable)
