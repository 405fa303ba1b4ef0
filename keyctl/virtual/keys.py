"""The folder of virtual keys: making, listing, removing, plugging and setting them."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core.text import reason_of
from keyctl.errors import Details, NotFoundError, StoreError, UsageError
from keyctl.store.files import lock, unreadable
from keyctl.virtual.attachment import attached_to, attachment
from keyctl.virtual.files import SETTINGS_SUFFIX, SHORT_WAIT_S, STATE_SUFFIX, KeyFiles, make_folder
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.settings import BOOT_BYTES, Settings, change
from keyctl.virtual.state import new_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: What names match as a whole. Those ending in .settings are left out because of the files NAME.settings.json.
NAME_PATTERN = re.compile(r"(?!.*\.settings\Z)[a-z0-9][a-z0-9._-]{0,31}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True)
class VirtualKey:
    """One virtual key and how it is set."""

    name: str
    profile: str
    plugged: bool
    #: The bus it is attached to, like ``nfc``, or None.
    attached: str | None
    #: ``now``, ``after:SECONDS``, ``never``, ``refused`` or ``long``.
    touch: str
    delay_ms: int
    #: The signature counter as it is now.
    counter: int
    quirks: tuple[str, ...]
    #: ``N:CODE`` each, N counted from the next command.
    faults: tuple[str, ...]


def new(folder: Path, name: str, profile: str) -> VirtualKey:
    """Make a key, plugged in and touched at once; *folder* is created when it is missing.

    Raises:
        UsageError: The name cannot be one, or there is no such profile.
        NotFoundError: There is a key of this name already (``virtual_exists``).
        StoreError: The files cannot be written.
    """
    check_new(folder, name, profile)
    make_folder(folder)
    files = KeyFiles(folder, name)
    with files.folder_locked():
        check_new(folder, name, profile)
        settings = Settings(boot=bytes(BOOT_BYTES), powered_at=0.0).powered_up(time.time())
        files.create(new_state(profile, settings.boot), settings)
    return get(folder, name)


def check_new(folder: Path, name: str, profile: str) -> None:
    """Refuse what :func:`new` would refuse; makes nothing.

    Raises:
        UsageError: The name cannot be one, or there is no such profile.
        NotFoundError: There is a key of this name already (``virtual_exists``).
    """
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            "usage",
            f"{name!r} cannot be the name of a virtual key",
            "use up to 32 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    if profile not in PROFILES:
        raise UsageError("usage", f"there is no profile {profile!r}", "there are " + ", ".join(PROFILES))
    if KeyFiles(folder, name).exists():
        raise NotFoundError(
            "virtual_exists",
            f"there is a virtual key {name} already",
            "choose another name, or remove it first",
            key=f"virtual:{name}",
        )


def entries(folder: Path) -> tuple[VirtualKey | StoreError, ...]:
    """All keys by name; a key whose files cannot be used is its error. Creates nothing.

    Raises:
        StoreError: The folder itself cannot be read.
    """
    try:
        names = sorted(
            path.name.removesuffix(STATE_SUFFIX)
            for path in folder.iterdir()
            if path.name.endswith(STATE_SUFFIX)
            and not path.name.endswith(SETTINGS_SUFFIX)
            and not path.name.startswith(".")
        )
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise unreadable(folder, reason_of(error)) from error
    found: list[VirtualKey | StoreError] = []
    for name in names:
        try:
            found.append(get(folder, name))
        except StoreError as error:
            found.append(error)
        except NotFoundError:
            # A name that no key can have, or a key removed since.
            if not NAME_PATTERN.fullmatch(name):
                nameless = unreadable(folder / f"{name}{STATE_SUFFIX}", "has no name that a virtual key can have")
                found.append(nameless.about(f"virtual:{name}"))
    return tuple(found)


def get(folder: Path, name: str) -> VirtualKey:
    """The key *name*.

    Raises:
        NotFoundError: There is none (``virtual_not_found``).
        StoreError: Its files cannot be used.
    """
    return describe(open_files(folder, name))


def describe(files: KeyFiles) -> VirtualKey:
    """The key that *files* are of; raises as :func:`get`."""
    with _about(files):
        settings = files.settings()
        state = files.state()
        return VirtualKey(
            name=files.name,
            profile=state.profile,
            plugged=settings.plugged,
            attached=attached_to(files.attached_path),
            touch=settings.touch,
            delay_ms=settings.delay_ms,
            counter=state.counter,
            quirks=tuple(sorted(quirk.value for quirk in settings.quirks)),
            faults=tuple(f"{count}:{code}" for count, code in settings.faults),
        )


def remove(folder: Path, name: str) -> None:
    """Destroy the key *name*; whoever is using it sees it pulled. Damaged files are removed too.

    Raises:
        NotFoundError: There is none (``virtual_not_found``).
        StoreError: It is attached to a bus or busy (``store_locked``), or its files cannot be deleted.
    """
    files = open_files(folder, name)
    with _about(files):
        if attached_to(files.attached_path) is not None:
            raise _attached_already(files)
        with contextlib.suppress(FileNotFoundError, StoreError):
            # Ends a wait for a touch; what is damaged has nobody waiting.
            files.change_settings(lambda settings: replace(settings, plugged=False))
        # In this order, as commands do it: the key's lock first, the folder's inside.
        with lock(files.lock_path, SHORT_WAIT_S), files.folder_locked():
            files.delete()


def plug(folder: Path, name: str) -> VirtualKey:
    """Plug the key *name* in: it powers up and forgets what it had in RAM. A plugged key stays as it is.

    Raises:
        NotFoundError: There is none (``virtual_not_found``).
        StoreError: Its files cannot be used.
    """
    return _set(folder, name, lambda settings: settings if settings.plugged else settings.powered_up(time.time()))


def unplug(folder: Path, name: str) -> VirtualKey:
    """Pull the key *name*, whatever it is doing.

    Raises:
        NotFoundError: There is none (``virtual_not_found``).
        StoreError: Its files cannot be used.
    """
    return _set(folder, name, lambda settings: replace(settings, plugged=False))


def configure(folder: Path, name: str, settings: Sequence[str]) -> VirtualKey:
    """Apply settings like ``touch=never`` to the key *name*, all of them or none.

    Raises:
        UsageError: One of them is wrong.
        NotFoundError: There is no such key (``virtual_not_found``).
        StoreError: Its files cannot be used, or it is busy and the counter cannot be set.
    """
    files = open_files(folder, name)
    with _about(files):
        _, counter = change(files.settings(), settings)
        if counter is not None:
            with lock(files.lock_path, SHORT_WAIT_S):
                state = files.state()
                state.counter = counter
                files.write_state(state, durable=True)
    return _set(folder, name, lambda current: change(current, settings)[0])


def check_settings(folder: Path, name: str, settings: Sequence[str]) -> None:
    """Refuse what :func:`configure` would refuse; changes nothing.

    Raises:
        UsageError: One of *settings* is wrong.
        NotFoundError: There is no such key (``virtual_not_found``).
        StoreError: Its files cannot be used.
    """
    files = open_files(folder, name)
    with _about(files):
        change(files.settings(), settings)


@contextlib.contextmanager
def hold(folder: Path, name: str, bus: str) -> Iterator[None]:
    """Have the key *name* attached to *bus* (a lower-case word like ``nfc``) meanwhile.

    Raises:
        NotFoundError: There is no such key (``virtual_not_found``).
        StoreError: It is attached already (``store_locked``), or its files cannot be used.
    """
    get(folder, name)
    files = open_files(folder, name)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(attachment(files.attached_path, bus))
        except StoreError as error:
            raise (_attached_already(files) if error.code == "store_locked" else error) from error
        yield


def open_files(folder: Path, name: str) -> KeyFiles:
    """The files of the key *name*.

    Raises:
        NotFoundError: There is no such key (``virtual_not_found``).
    """
    files = KeyFiles(folder, name)
    if not NAME_PATTERN.fullmatch(name) or not files.exists():
        raise _not_found(name)
    return files


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(
        "virtual_not_found",
        f"there is no virtual key {name!r}",
        "list them with: keyctl virtual list",
        key=f"virtual:{name}",
    )


def _attached_already(files: KeyFiles) -> StoreError:
    return StoreError(
        "store_locked",
        f"virtual key {files.name} is attached to a bus already",
        "end the program that attached it",
        key=f"virtual:{files.name}",
        details=Details(file=str(files.attached_path)),
    )


def _set(folder: Path, name: str, how: Callable[[Settings], Settings]) -> VirtualKey:
    files = open_files(folder, name)
    with _about(files):
        files.change_settings(how)
    return get(folder, name)


@contextlib.contextmanager
def _about(files: KeyFiles) -> Iterator[None]:
    """Say which key an error is about, and translate files that vanish or lack their other half."""
    try:
        yield
    except FileNotFoundError as error:
        if not files.exists():
            raise _not_found(files.name) from error
        raise unreadable(files.settings_path, "is missing").about(f"virtual:{files.name}") from error
    except StoreError as error:
        raise error.about(f"virtual:{files.name}") from error.__cause__
