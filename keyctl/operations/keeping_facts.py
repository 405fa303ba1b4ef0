"""What a diagnosis knows of keyctl's own files, and of what checks without a person need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.diagnosis_facts import FileProblem, Keeping
from keyctl.device import surroundings
from keyctl.errors import StoreError, UsageError
from keyctl.model import KeyState
from keyctl.operations import check_facts
from keyctl.store import health_files, loss_records, system_keyring, unattended_tokens, unit_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.diagnosis_facts import Home
    from keyctl.core.inventory import Inventory
    from keyctl.errors import KeyctlError
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
        problems=tuple(map(_told, (*inventory.problems, *_obstacles(circumstances)))),
        overlooked=tuple(map(_told, (*store.overlooked(circumstances.home), *_lost_ticks(circumstances, inventory)))),
        state=state.path,
        state_problem=_problem(state),
        state_open_to_others=state.open_to_others,
        now=times.now(),
        newest=max((moment for _, moment in health_whole.moments(inventory)), default=None),
        noted=check_facts.latest_note(circumstances, inventory),
        in_keyring=in_keyring,
        keyring_problem=_keyring_problem() if in_keyring else None,
        timer=_timer(),
        linger=_linger(),
    )


def _obstacles(circumstances: Circumstances) -> Iterator[KeyctlError]:
    """What keeps the health check from running."""
    for read in (health_files.read_limits, health_files.read_acceptances):
        try:
            read(circumstances.home)
        except (StoreError, UsageError) as error:
            yield error


def _lost_ticks(circumstances: Circumstances, inventory: Inventory) -> Iterator[StoreError]:
    """Why it cannot be read what was done about the loss of keys."""
    for key in inventory.keys:
        if key.state is KeyState.LOST:
            try:
                loss_records.read(circumstances.home, key.id)
            except StoreError as error:
                yield error


def _told(problem: KeyctlError) -> FileProblem:
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
