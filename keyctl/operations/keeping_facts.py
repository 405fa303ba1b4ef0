"""What a diagnosis knows of keyctl's own files, and of what checks without a person need."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.diagnosis_facts import FileProblem, Keeping
from keyctl.device import surroundings
from keyctl.errors import StoreError, UsageError
from keyctl.model import KeyState
from keyctl.operations import check_facts
from keyctl.store import health_files, loss_records, pair_pins, system_keyring, unattended_tokens, unit_files
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    state_problem = _problem(state)
    in_keyring = _in_keyring(circumstances, inventory)
    return Keeping(
        problems=tuple(map(_told, (*inventory.problems, *_obstacles(circumstances)))),
        overlooked=tuple(map(_told, (*store.overlooked(circumstances.home), *_lost_ticks(circumstances, inventory)))),
        state=state.path,
        state_problem=state_problem,
        state_open_to_others=state.open_to_others,
        # Where the folder itself cannot be used, that is what is wrong.
        pin_problems=tuple(map(_told, _damaged_pins(circumstances, inventory))) if state_problem is None else (),
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


def _damaged_pins(circumstances: Circumstances, inventory: Inventory) -> Iterator[StoreError]:
    """Why it cannot be read which keys, names and seeds are trusted here; each reason once."""
    state = circumstances.state
    reads: list[Callable[[], object]] = []
    for key in inventory.keys:
        reads += [partial(local_state.read_pin, state, key.id), partial(local_state.read_name_pin, state, key.name)]
    if inventory.pairings:
        # Loaded only where two keys are paired.
        from keyctl.operations import seed_trust

        for pairing in inventory.pairings:
            reads += [
                partial(local_state.read_seed_pin, state, pairing.id),
                partial(pair_pins.read_details, state, pairing.id),
                partial(seed_trust.in_place_of_another, circumstances, inventory, pairing),
            ]
    seen = set()
    for read in reads:
        try:
            read()
        except StoreError as error:
            # One file may be about several pairings.
            if error.message not in seen:
                yield error
            seen.add(error.message)


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
