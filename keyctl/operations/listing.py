"""Every key that is connected; one that fails never hides the others."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.device import choose, discover, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.device.discover import Found
    from keyctl.errors import KeyctlError
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class KeyList:
    """The keys, in a stable order: USB, card readers, virtual."""

    keys: tuple[Key, ...]
    #: What went wrong with those that could not be opened or read.
    errors: tuple[KeyctlError, ...]
    #: Why keys may be missing: no failure where keys are on USB only, and worth a line where none was found.
    obstacles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which keys to show; None or False: no condition."""

    connected: bool = False
    known: bool = False
    owner: str | None = None
    role: str | None = None

    def admits(self, key: Key) -> bool:
        """Whether *key* meets all conditions."""
        return (
            (key.connected or not self.connected)
            and (key.id is not None or not self.known)
            and self.owner in {None, key.owner}
            and self.role in {None, key.role}
        )


def list_keys(circumstances: Circumstances, condition: Filter) -> KeyList:
    """Every key that can be found; a key that fails is in the list with what is known of it.

    Raises:
        KeyChoiceError: ``--key`` names one that is not there.
    """
    discovery = discover.discover(circumstances.home, circumstances.wanted)
    found = discovery.found
    if circumstances.wanted is not None:
        found = (choose.choose(discovery, circumstances.wanted),)
    read = _probe_all(found, circumstances)
    keys = tuple(key for key, _ in read if condition.admits(key))
    errors = [error.about(key.label) for key, error in read if error]
    # A card reader service that is not there concerns nobody who has keys on USB only.
    obstacles = [problem for problem in discovery.problems if problem.code in {"pcsc_stopped", "pcsc_missing"}]
    errors += [problem for problem in discovery.problems if problem not in obstacles]
    return KeyList(
        keys=keys,
        errors=tuple(errors),
        obstacles=tuple(": ".join(filter(None, (problem.message, problem.hint))) for problem in obstacles),
    )


def _probe_all(found: tuple[Found, ...], circumstances: Circumstances) -> list[tuple[Key, KeyctlError | None]]:
    """Read all keys at the same time, so that a slow one costs its own time only."""
    results: dict[int, tuple[Key, KeyctlError | None]] = {}

    def probe(position: int) -> None:
        own = found[position]
        results[position] = session.probe(own, circumstances.home, circumstances.waits, _traced(own, circumstances))

    if len(found) == 1:
        probe(0)
    else:
        threads = [threading.Thread(target=probe, args=(position,), daemon=True) for position in range(len(found))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [results[position] for position in range(len(found))]


def _traced(found: Found, circumstances: Circumstances) -> Callable[[str], None] | None:
    """With several keys at once, every line says which it is about."""
    trace = circumstances.trace
    return (lambda line: trace(f"{found.selector}: {line}")) if trace else None
