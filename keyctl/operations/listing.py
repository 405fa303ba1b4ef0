"""Every key that is connected or known; one that fails never hides the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core.names import composed
from keyctl.device import choose, connecting, discover
from keyctl.operations import at_once, recognising

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.device.discover import Found
    from keyctl.device.session import Session
    from keyctl.errors import KeyctlError
    from keyctl.model import Key, Role
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.recognising import Known


@dataclass(frozen=True, kw_only=True)
class KeyList:
    """The keys, in a stable order: USB, card readers, virtual, and those that are not connected by name."""

    keys: tuple[Key, ...]
    #: What went wrong with those that could not be opened or read.
    errors: tuple[KeyctlError, ...]
    #: Why keys may be missing: no failure where keys are on USB only, and worth a line where none was found.
    obstacles: tuple[str, ...]
    #: What a person should know of how keys were recognised.
    remarks: tuple[str, ...]
    #: How many keys did not meet the conditions.
    others: int


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which keys to show; None or False: no condition."""

    connected: bool = False
    known: bool = False
    owner: str | None = None
    role: Role | None = None

    def admits(self, key: Key) -> bool:
        """Whether *key* meets all conditions."""
        return (
            (key.connected or not self.connected)
            and (key.id is not None or not self.known)
            and (self.owner is None or composed(self.owner) == composed(key.owner or ""))
            and self.role in {None, key.role}
        )


def list_keys(circumstances: Circumstances, condition: Filter) -> KeyList:
    """Every key that can be found or is known; one that fails is in the list with what is known of it.

    Raises:
        KeyChoiceError: ``--key`` names one that is neither connected nor known.
    """
    known = recognising.known(circumstances)
    wanted = circumstances.wanted
    named = known.inventory.key_named(composed(wanted)) if wanted is not None else None
    discovery = discover.discover(circumstances.home, None if named else wanted)
    found = discovery.found
    if wanted is not None and named is None:
        found = (choose.choose(discovery, wanted),)
    read = _read_all(found, circumstances, known)
    keys = _each_once([entry.key for entry in read])
    present = {key.id for key in keys}
    if wanted is None:
        keys += [recognising.absent(key, known.state) for key in known.inventory.keys if key.id not in present]
    elif named is not None:
        keys = [key for key in keys if key.id == named.id] or [recognising.absent(named, known.state)]
    shown = tuple(key for key in keys if condition.admits(key))
    # Those that failed may be the one that is meant, as long as it was not found.
    failed = [entry for entry in read if entry.error and (named is None or named.id not in present)]
    errors = [entry.error.about(entry.key.label) for entry in failed if entry.error]
    obstacles = [problem for problem in discovery.problems if problem.code in discover.READER_PROBLEMS]
    errors += [problem for problem in discovery.problems if problem not in obstacles]
    remarks = (recognising.remark(key, known.inventory, present) for key in shown if key.connected)
    return KeyList(
        keys=shown,
        errors=(*known.inventory.problems, *errors),
        obstacles=tuple(": ".join(filter(None, (problem.message, problem.hint))) for problem in obstacles),
        remarks=tuple(remark for remark in remarks if remark),
        others=len(keys) - len(shown),
    )


class _Read(NamedTuple):
    """One way to a key, and what came of it."""

    found: Found
    key: Key
    error: KeyctlError | None


def _read_all(found: tuple[Found, ...], circumstances: Circumstances, known: Known) -> list[_Read]:
    """Read all keys at the same time, so that a slow one costs its own time only."""
    results = at_once.each(
        found, lambda own: probe(own, circumstances, lambda session: recognising.recognise(session, known))
    )
    return [_Read(own, *result) for own, result in zip(found, results, strict=True)]


def probe(found: Found, circumstances: Circumstances, ask: Callable[[Session], None]) -> tuple[Key, KeyctlError | None]:
    """One of the keys of a list: opened, asked, closed.

    Args:
        found: Which one.
        circumstances: What the command line says.
        ask: What to ask it while it is open.

    Returns:
        The key, with what could be found out, and why that is not all, or None.
    """
    return connecting.probe(
        found,
        circumstances.home,
        # A list is no reason to touch anything.
        replace(circumstances.waits, touch_s=0.0),
        _traced(found, circumstances),
        ask,
    )


def _each_once(keys: list[Key]) -> list[Key]:
    """One entry for each key, with all ways to it: a key on USB may be a card in a reader too."""
    merged: list[Key] = []
    for key in keys:
        same = next((entry for entry in merged if key.id is not None and entry.id == key.id), None)
        if same is None:
            merged.append(key)
        else:
            merged[merged.index(same)] = replace(same, paths=(*same.paths, *key.paths))
    return merged


def _traced(found: Found, circumstances: Circumstances) -> Callable[[str], None] | None:
    """With several keys at once, every line says which it is about."""
    trace = circumstances.trace
    return (lambda line: trace(f"{found.selector}: {line}")) if trace else None
