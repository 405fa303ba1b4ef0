"""What a diagnosis knows of keyctl's own files, and of what checks without a person need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.diagnosis_facts import FileProblem, Keeping
from keyctl.errors import StoreError
from keyctl.store import inventory as store
from keyctl.store import system_keyring, unattended_tokens, unit_files

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.operations.asking import Circumstances

#: Where loginctl notes whose units run without a login (systemd-logind(8)).
_LINGER = Path("/var/lib/systemd/linger")
_OTHERS = 0o077


def gather(circumstances: Circumstances) -> Keeping:
    """Look at the files; nothing is changed, and no keyring is asked to unlock."""
    from keyctl.core import health_whole

    inventory = store.read(circumstances.home)
    in_keyring = _in_keyring(circumstances, inventory)
    return Keeping(
        problems=tuple(FileProblem(message=one.message, hint=one.hint) for one in inventory.problems),
        state=str(circumstances.state),
        state_problem=_state_problem(circumstances.state),
        state_open_to_others=_is_open_to_others(circumstances.state),
        now=times.now(),
        newest=max((moment for _, moment in health_whole.moments(inventory)), default=None),
        in_keyring=in_keyring,
        keyring_problem=_keyring_problem() if in_keyring else None,
        timer=_timer(),
        linger=_linger(),
    )


def _state_problem(state: Path) -> str | None:
    if not state.exists():
        return None
    if not state.is_dir():
        return "it is no folder"
    return None if os.access(state, os.W_OK | os.X_OK) else "you may not write to it"


def _is_open_to_others(state: Path) -> bool:
    try:
        return os.name == "posix" and bool(state.stat().st_mode & _OTHERS)
    except OSError:
        return False


def _in_keyring(circumstances: Circumstances, inventory: Inventory) -> tuple[str, ...]:
    notes = ((key.name, unattended_tokens.read_note(circumstances.state, key.id)) for key in inventory.keys)
    return tuple(name for name, note in notes if note is not None and note.kept is unattended_tokens.TokenPlace.KEYRING)


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
