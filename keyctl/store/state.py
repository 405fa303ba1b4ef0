"""What concerns this computer only: when a key was last seen here, and the public keys as they were first seen.

None of it is synced: whoever can write to the synced inventory could otherwise make one key pass for another.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import times
from keyctl.errors import StoreError
from keyctl.store import files
from keyctl.store.records import ID_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_MEMORY_FOLDER, _PINS_FOLDER = "keys", "pins"


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
    path = _path(state, _PINS_FOLDER, key_id)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    try:
        public_key = bytes.fromhex(value["public_key"])
    except (KeyError, TypeError, ValueError):
        public_key = b""
    if value.get("schema") != _SCHEMA or not public_key:
        raise files.unreadable(
            path,
            "is damaged: it does not hold the public key that was first seen",
            "restore it from a backup; if nobody meddled, move it away, and the key is trusted as it is now",
        )
    return public_key


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
    path = _name_path(state, name)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return None
    key_id = value.get("id")
    if value.get("schema") != _SCHEMA or not isinstance(key_id, str) or not ID_PATTERN.fullmatch(key_id):
        raise files.unreadable(
            path,
            "is damaged: it does not say which key had a name first",
            "restore it from a backup; if nobody meddled, move it away, and the name is trusted as it is now",
        )
    return key_id


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


def forget(state: Path, key_id: str) -> None:
    """Remember nothing of the key any more.

    Raises:
        StoreError: A file cannot be deleted.
    """
    for folder in (_MEMORY_FOLDER, _PINS_FOLDER):
        files.remove(_path(state, folder, key_id))


def _path(state: Path, folder: str, key_id: str) -> Path:
    if not ID_PATTERN.fullmatch(key_id):
        raise ValueError(f"{key_id!r} is no id")
    return state / folder / f"{key_id}.json"


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
