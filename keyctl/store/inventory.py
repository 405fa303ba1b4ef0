"""The inventory's folder: one file per key, service and pairing, read as a whole, changed one file at a time."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.core.inventory import Inventory
from keyctl.core.text import reason_of, visible
from keyctl.errors import StoreError
from keyctl.store import facts, files, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from keyctl.core.inventory import KnownKey, Service
    from keyctl.core.pairings import Pairing

KEYS_FOLDER, SERVICES_FOLDER, PAIRINGS_FOLDER = "keys", "services", "pairings"
_RECORD_PATTERN = re.compile(r"([0-9a-f]{16})\.json")
#: What looks like a record's file with something added, as every program that syncs folders does in its own way:
#: ``.sync-conflict-20260131-080000-ABCDEFG.json``, `` (conflicted copy 2026-01-31).json``, `` (1).json``.
_COPY_PATTERN = re.compile(r"([0-9a-f]{16}).+", re.DOTALL)
_LEFTOVER_PATTERN = re.compile(r"\.[0-9a-f]{16}\.json\.[0-9]+\.tmp")
#: Beside names that begin with a dot, what Syncthing writes to on Windows while it fetches a file.
_IGNORED = (".", "~syncthing~")


@dataclass(frozen=True, kw_only=True)
class _Folder:
    """What lies in one of the folders."""

    #: Id and file.
    records: tuple[tuple[str, str], ...] = ()
    #: Our own temporary files, of a process that was killed.
    leftovers: tuple[str, ...] = ()
    problems: tuple[StoreError, ...] = ()


class Changes:
    """The inventory while this process alone may change it; :func:`changing` makes one."""

    def __init__(self, home: Path, inventory: Inventory) -> None:
        """Start with what was read after the lock was taken."""
        self._home = home
        self._keys = {key.id: key for key in inventory.keys}
        self._services = {service.id: service for service in inventory.services}
        self._pairings = {pairing.id: pairing for pairing in inventory.pairings}
        self._inventory: Inventory | None = inventory

    @property
    def inventory(self) -> Inventory:
        """Everything as it is after the changes so far."""
        # Put together when it is asked for: many services may be written one after the other.
        if self._inventory is None:
            self._inventory = _in_order(self._keys.values(), self._services.values(), self._pairings.values())
        return self._inventory

    def put_key(self, key: KnownKey) -> None:
        """Write *key*, new or known; nothing is written when nothing is different.

        Raises:
            StoreError: It cannot be written; the old file is still there.
        """
        content = records.key_to(key)
        path = self._path(KEYS_FOLDER, key.id)
        # What is kept is what would be read.
        kept = records.key_from(content, str(path))
        if self._keys.get(key.id) != kept:
            self._write(path, content)
        self._keys[key.id] = kept
        self._inventory = None

    def remove_key(self, key_id: str) -> None:
        """Delete a key's file; what services and pairings say of the key stays.

        Raises:
            StoreError: It cannot be deleted.
        """
        files.remove(self._path(KEYS_FOLDER, key_id), durable=True)
        self._keys.pop(key_id, None)
        self._inventory = None

    def put_service(self, service: Service) -> None:
        """Write *service*, as :meth:`put_key`.

        Raises:
            StoreError: It cannot be written; the old file is still there.
        """
        content = records.service_to(service)
        path = self._path(SERVICES_FOLDER, service.id)
        kept = records.service_from(content, str(path))
        if self._services.get(service.id) != kept:
            self._write(path, content)
        self._services[service.id] = kept
        self._inventory = None

    def remove_service(self, service_id: str) -> None:
        """Delete a service's file.

        Raises:
            StoreError: It cannot be deleted.
        """
        files.remove(self._path(SERVICES_FOLDER, service_id), durable=True)
        self._services.pop(service_id, None)
        self._inventory = None

    def put_pairing(self, pairing: Pairing) -> None:
        """Write *pairing*, as :meth:`put_key`; whether its keys are known is not looked at.

        Raises:
            StoreError: It contradicts itself, or cannot be written; the old file is still there.
        """
        from keyctl.store import pairing_records

        content = pairing_records.pairing_to(pairing)
        path = self._path(PAIRINGS_FOLDER, pairing.id)
        kept = pairing_records.pairing_from(content, str(path))
        if self._pairings.get(pairing.id) != kept:
            self._write(path, content)
        self._pairings[pairing.id] = kept
        self._inventory = None

    def remove_pairing(self, pairing_id: str) -> None:
        """Delete a pairing's file.

        Raises:
            StoreError: It cannot be deleted.
        """
        files.remove(self._path(PAIRINGS_FOLDER, pairing_id), durable=True)
        self._pairings.pop(pairing_id, None)
        self._inventory = None

    def _path(self, folder: str, record_id: str) -> Path:
        return facts.path_of(self._home / folder, record_id)

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        files.make_private_folder(path.parent, durable=True)
        files.write_json(path, content)


def new_id() -> str:
    """16 hex digits, random."""
    return secrets.token_hex(8)


def read(home: Path) -> Inventory:
    """All keys, services and pairings that can be read; what cannot is in the problems. Nothing is written.

    A folder that does not exist is an empty inventory.
    """
    return _read(home)[0]


def read_whole(home: Path) -> Inventory:
    """All keys, services and pairings, for what must not go by less than everything; else as :func:`read`.

    Raises:
        StoreError: Something cannot be read; the first problem.
    """
    inventory = read(home)
    inventory.require_whole()
    return inventory


def has_pairing(home: Path, pairing_id: str) -> bool:
    """Whether a pairing has a file, be that readable or not.

    Raises:
        StoreError: That cannot be found out.
    """
    path = facts.path_of(home / PAIRINGS_FOLDER, pairing_id)
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise files.unreadable(path, reason_of(error)) from error
    return True


def overlooked(home: Path) -> tuple[StoreError, ...]:
    """What lies beside the inventory in its folder and is not read: copies that a syncing program made, for instance.

    Nothing but reminders hangs on it.
    """
    from keyctl.store.health_files import ACCEPTED_FILE, DRILLS_FOLDER, LIMITS_FILE
    from keyctl.store.loss_records import LOST_FOLDER

    problems = [problem for name in (LOST_FOLDER, DRILLS_FOLDER) for problem in _look_into(home, name).problems]
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            for plain in (ACCEPTED_FILE, LIMITS_FILE):
                stem, _, ending = plain.rpartition(".")
                if entry.name != plain and entry.name.startswith(stem) and entry.name.endswith(f".{ending}"):
                    problems.append(_second_version(entry, plain))
    return tuple(problems)


@contextlib.contextmanager
def changing(home: Path, wait_s: float) -> Iterator[Changes]:
    """Keep other processes from changing the inventory, and change it.

    Args:
        home: The inventory's folder, made where it is missing.
        wait_s: Seconds to wait for another process; at least 2.

    Raises:
        StoreError: It is not whole, its folder cannot be written, or another process holds it (``store_locked``).
    """
    with files.lock_folder(home, wait_s):
        inventory, leftovers = _read(home)
        inventory.require_whole()
        for path in leftovers:
            # Nobody else writes now, so whoever began it is dead.
            files.remove(home / path)
        yield Changes(home, inventory)


def record_files(home: Path) -> tuple[str, ...]:
    """The files that make up the inventory, relative to *home*, in order; nothing is said of what is in them."""
    return tuple(
        os.path.join(name, f"{record_id}.json")  # noqa: PTH118  # a text, not a path
        for name in (KEYS_FOLDER, SERVICES_FOLDER, PAIRINGS_FOLDER)
        for record_id, _ in sorted(_look_into(home, name).records)
    )


def _read(home: Path) -> tuple[Inventory, tuple[str, ...]]:
    """The inventory, and the leftovers to be removed."""
    folders = [_look_into(home, name) for name in (KEYS_FOLDER, SERVICES_FOLDER, PAIRINGS_FOLDER)]
    # A home that nobody may look into is one problem, not one for each folder.
    problems = list({problem.message: problem for folder in folders for problem in folder.problems}.values())
    keys, services, pairings = folders
    read_keys: list[KnownKey] = _records(keys, records.key_from, problems)
    read_services: list[Service] = _records(services, records.service_from, problems)
    read_pairings: list[Pairing] = []
    if pairings.records:
        from keyctl.store import pairing_records

        read_pairings = _records(pairings, pairing_records.pairing_from, problems)
    problems += _name_clashes(read_keys, dict(keys.records))
    whole = _in_order(read_keys, read_services, read_pairings, tuple(problems))
    return whole, tuple(leftover for folder in folders for leftover in folder.leftovers)


def _records(folder: _Folder, decode: Callable[[dict[str, Any], str], Any], problems: list[StoreError]) -> list[Any]:
    """What is in the files of *folder*; what is wrong with the others is added to *problems*."""
    found = []
    for record_id, path in folder.records:
        try:
            record = decode(files.read_json(path), path)
            if record.id != record_id:
                raise files.unreadable(
                    path,
                    f"holds the record {record.id}, which is not the file's name",
                    f"rename it to {record.id}.json if there is no such file, else move it away",
                )
        except FileNotFoundError:
            # Removed by another process since the folder was looked into.
            continue
        except StoreError as problem:
            problems.append(problem)
        else:
            found.append(record)
    return found


def _look_into(home: Path, name: str) -> _Folder:
    """Sort what lies in one folder; nothing is opened."""
    folder = str(home / name)
    found: list[tuple[str, str]] = []
    leftovers, problems = [], []
    try:
        # As with files: a link in a synced folder must not lead elsewhere.
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            return _Folder(problems=(files.unreadable(folder, "is a symbolic link", _MOVE_AWAY),))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if match := _RECORD_PATTERN.fullmatch(entry.name):
                    found.append((match[1], entry.path))
                elif _LEFTOVER_PATTERN.fullmatch(entry.name):
                    leftovers.append(f"{name}/{entry.name}")
                elif not entry.name.startswith(_IGNORED):
                    problems.append(_stranger(entry))
    except FileNotFoundError:
        return _Folder()
    except OSError as error:
        folder = folder if os.access(home, os.X_OK) else str(home)
        problems.append(files.unreadable(folder, f"cannot be read: {reason_of(error)}", "look at its permissions"))
    return _Folder(records=tuple(found), leftovers=tuple(leftovers), problems=tuple(problems))


_MOVE_AWAY = "move it away; keyctl follows no links in its folder"


def _stranger(entry: os.DirEntry[str]) -> StoreError:
    """The error for what keyctl did not put there."""
    if entry.is_symlink():
        return files.unreadable(entry.path, "is a symbolic link", _MOVE_AWAY)
    copied = _COPY_PATTERN.fullmatch(entry.name)
    if copied and entry.is_file():
        return _second_version(entry, f"{copied[1]}.json")
    return files.unreadable(entry.path, "is no file of the inventory", "move it away; keyctl did not make it")


def _second_version(entry: os.DirEntry[str], plain: str) -> StoreError:
    return files.unreadable(
        entry.path,
        f"is a second version of {plain}, made when both were changed before they were synced",
        f"compare the two, keep the newer content under the name {plain}, and delete {visible(entry.name)}",
    )


def _name_clashes(keys: Iterable[KnownKey], paths: dict[str, str]) -> list[StoreError]:
    """One error for each name that two keys have: two computers may have given it before they were synced."""
    problems = []
    first: dict[str, KnownKey] = {}
    for key in keys:
        other = first.setdefault(key.name, key)
        if other is not key:
            problems.append(
                files.unreadable(
                    paths[key.id],
                    f"and {visible(paths[other.id])} are both about a key called {visible(key.name)}",
                    'write another "name" into one of the two files',
                )
            )
    return problems


def _in_order(
    keys: Iterable[KnownKey],
    services: Iterable[Service],
    pairings: Iterable[Pairing],
    problems: tuple[StoreError, ...] = (),
) -> Inventory:
    return Inventory(
        keys=tuple(sorted(keys, key=lambda key: (key.name.casefold(), key.name, key.id))),
        services=tuple(sorted(services, key=lambda one: (one.name.casefold(), one.name, one.account or "", one.id))),
        pairings=tuple(sorted(pairings, key=lambda pairing: (pairing.created_at, pairing.id))),
        problems=problems,
    )
