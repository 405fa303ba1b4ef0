"""What a diagnosis knows of keyctl's own files, and of what checks without a person need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.diagnosis_facts import FileProblem, Keeping
from keyctl.device import surroundings
from keyctl.errors import StoreError
from keyctl.store import inventory as store
from keyctl.store import system_keyring, unattended_tokens, unit_files

if TYPE_CHECKING:
    from keyctl.core.diagnosis_facts import Home
    from keyctl.core.inventory import Inventory
    from keyctl.operations.asking import Circumstances

#: Where loginctl notes whose units run without a login (systemd-logind(8)).
_LINGER = Path("/var/lib/systemd/linger")


def gather(circumstances: Circumstances) -> Keeping:
    """Look at the files; nothing is changed, and no keyring is asked to unlock."""
    from keyctl.core import health_whole

    inventory = store.read(circumstances.home)
    state = surroundings.home_folder(circumstances.state)
    in_keyring = _in_keyring(circumstances, inventory)
    return Keeping(
        problems=tuple(map(_told, inventory.problems)),
        overlooked=tuple(map(_told, store.overlooked(circumstances.home))),
        state=state.path,
        state_problem=_problem(state),
        state_open_to_others=state.open_to_others,
        now=times.now(),
        newest=max((moment for _, moment in health_whole.moments(inventory)), default=None),
        in_keyring=in_keyring,
        keyring_problem=_keyring_problem() if in_keyring else None,
        timer=_timer(),
        linger=_linger(),
    )


def _told(problem: StoreError) -> FileProblem:
    return FileProblem(message=problem.message, hint=problem.hint)


def _problem(folder: Home) -> str | None:
    """What is wrong with it; None: nothing, as where it is not there yet."""
    if folder.problem is not None or not folder.exists:
        return folder.problem
    if not folder.is_folder:
        return "it is no folder"
    return None if folder.writable else "you may not write to it"


def _in_keyring(circumstances: Circumstances, inventory: Inventory) -> tuple[str, ...]:
    noted = unattended_tokens.read_notes(circumstances.state, inventory.keys)
    return tuple(key.name for key, note in noted if note.kept is unattended_tokens.TokenPlace.KEYRING)


def _keyring_problem() -> str | None:
    try:
        system_keyring.require(unlocking=False)
    except StoreError as error:
        return error.message
    return None


def _timer() -> tuple[str, ...]:
    from keyctl.core import timer_units

    try:
        folder = unit_files.user_units_folder()
        return (timer_units.TIMER,) if (folder / timer_units.TIMER).is_file() else ()
    except (RuntimeError, OSError):
        # A user without a home folder has no units.
        return ()


def _linger() -> bool | None:
    if not _LINGER.is_dir():
        return None
    try:
        import pwd

        return (_LINGER / pwd.getpwuid(os.geteuid()).pw_name).exists()
    except (ImportError, KeyError, OSError):
        return None
