"""The files of one virtual key, and who may touch them when.

``NAME.json`` is the key's memory and changes only while ``NAME.lock`` is held, which is for one CTAP command.
``NAME.settings.json`` is what people set on it; it changes while the folder's own lock is held, for a moment, so that
a key that waits for a touch can be told to be touched. Both are replaced as a whole and can be read at any time. Who
needs both locks takes the key's first.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from keyctl.core.text import reason_of
from keyctl.store.files import lock, make_private_folder, read_json, remove, unreadable, write_json
from keyctl.virtual.settings import settings_from_json
from keyctl.virtual.state import Ram, state_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from keyctl.virtual.settings import Settings
    from keyctl.virtual.state import State

STATE_SUFFIX = ".json"
SETTINGS_SUFFIX = ".settings.json"
#: Seconds to wait for a lock that is only ever held for a moment.
SHORT_WAIT_S = 5.0

_T = TypeVar("_T")
_Stamp = tuple[int, int, int, int]


class _Cached(Generic[_T]):
    """A JSON file that is read again only when it was replaced."""

    def __init__(self, path: Path, parse: Callable[[Path, dict[str, Any]], _T]) -> None:
        self.path = path
        self._parse = parse
        self._stamp: _Stamp | None = None
        self._value: _T | None = None

    def _look(self) -> _Stamp:
        status = self.path.lstat()
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def read(self) -> _T:
        """What the file holds now; FileNotFoundError when it is gone."""
        # Looked at before reading, so that a change in between makes the next look read again; noted after parsing,
        # so that a damaged file stays an error.
        stamp = self._look()
        if self._value is None or stamp != self._stamp:
            self._value = self._parse(self.path, read_json(self.path))
            self._stamp = stamp
        return self._value

    def replace(self, value: _T, content: dict[str, Any], *, durable: bool) -> None:
        """Write *value*, which is *content* in JSON."""
        self.forget()
        write_json(self.path, content, durable=durable)
        self._stamp = self._look()
        self._value = value

    def forget(self) -> None:
        """Read the file next time in any case."""
        self._value = None


class KeyFiles:
    """The files of the key *name* in *folder*, neither of which has to exist.

    A missing file raises FileNotFoundError; one that cannot be used or written, StoreError.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """See the class."""
        self.folder = folder
        self.name = name
        self.lock_path = folder / f"{name}.lock"
        self.attached_path = folder / f"{name}.attached"
        self._state_file = _Cached(folder / f"{name}{STATE_SUFFIX}", state_from_json)
        self.settings_path = folder / f"{name}{SETTINGS_SUFFIX}"
        self._settings_file = _Cached(self.settings_path, settings_from_json)

    def exists(self) -> bool:
        """Whether there is such a key: its memory decides.

        Raises:
            StoreError: That cannot be found out.
        """
        path = self._state_file.path
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise unreadable(path, reason_of(error)) from error
        return True

    def settings(self) -> Settings:
        """The settings of now."""
        return self._settings_file.read()

    def change_settings(self, change: Callable[[Settings], Settings]) -> Settings:
        """Replace the settings by what *change* makes of them; nothing is written when that is the same.

        Raises:
            FileNotFoundError: There is no such key.
            StoreError: The files cannot be read, written or locked.
        """
        with self.folder_locked():
            old = self.settings()
            new = change(old)
            if new != old:
                self.write_settings(new)
        return new

    def write_settings(self, settings: Settings) -> None:
        """Replace the settings; the caller holds the folder."""
        self._settings_file.replace(settings, settings.to_json(), durable=False)

    @contextlib.contextmanager
    def folder_locked(self) -> Iterator[None]:
        """Hold what guards the settings of all keys and the list of keys, for a moment."""
        if not self.folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, "No such folder", str(self.folder))
        with lock(self.folder / ".lock", SHORT_WAIT_S):
            yield

    def state(self) -> State:
        """The key's memory of now, without what it lost at the last power-up.

        The object is shared: whoever changes it calls :meth:`write_state` or :meth:`forget`.
        """
        state = self._state_file.read()
        boot = self.settings().boot
        if state.ram.boot != boot:
            state.ram = Ram(boot=boot)
        return state

    def write_state(self, state: State, *, durable: bool) -> None:
        """Replace the key's memory; the caller holds the key's lock, or the folder for a new key."""
        self._state_file.replace(state, state.to_json(), durable=durable)

    def forget(self) -> None:
        """Drop what is cached, because the object given out was changed and not written."""
        self._state_file.forget()

    def create(self, state: State, settings: Settings) -> None:
        """Write a new key; the caller holds the folder."""
        self.write_settings(settings)
        self.write_state(state, durable=True)

    def delete(self) -> None:
        """Remove all files, the memory first: without it there is no key."""
        for path in (self._state_file.path, self.settings_path, self.attached_path, self.lock_path):
            remove(path)


def make_folder(folder: Path) -> None:
    """Create the folder of virtual keys, kept out of version control: it holds private keys.

    Raises:
        StoreError: It cannot be created.
    """
    make_private_folder(folder)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        # Whoever comes first writes it; where nothing can be written, the key itself will say so.
        with contextlib.suppress(OSError), ignore.open("x", encoding="utf-8") as file:
            file.write("*\n")
