"""The drill of keys: each is asked for in turn, and proves with a touch that it is there and works."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.errors import DeclinedError, KeyctlError, StoreError, UsageError
from keyctl.model import KeyState, Recognition
from keyctl.operations import check_facts
from keyctl.operations.check_facts import Drills
from keyctl.store import health_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances

#: Answers of a key that does not work; other failures say that there was no drill, and nothing about the key.
_BAD_ANSWERS = frozenset({"key_nonsense", "key_error", "key_silent"})


def hold(circumstances: Circumstances, names: Sequence[str]) -> Drills:
    """Ask for each key in turn, one touch each, and for the backup key of a pairing hold that drill too.

    The dates are noted at once, so that nothing is lost when it is interrupted.

    Args:
        circumstances: What the command line says.
        names: The keys, as ``--key`` takes them; none: all that are in use.

    Raises:
        UsageError: Nobody is there to touch them, or a name is none of a known key.
        DeclinedError: The person wants no more of it.
        StoreError: The inventory is not whole, or a date cannot be noted.
    """
    if circumstances.waits.touch_s <= 0:
        raise UsageError(
            "usage",
            "a drill wants a touch of every key, and there is no terminal",
            "run it at a terminal, or give --wait SECONDS where somebody touches them all the same",
        )
    inventory = store.read_whole(circumstances.home)
    wanted = [_named(circumstances, inventory, name) for name in dict.fromkeys(names)]
    alone = replace(circumstances, wanted=None)
    failed: dict[str, str] = {}
    omitted: dict[str, KeyctlError] = {}
    for key in wanted or check_facts.subjects(inventory):
        if key.state is KeyState.ACTIVE:
            _drills_of(alone, inventory, key, failed, omitted)
    errors = dict.fromkeys(omitted.values()) if names else {}
    return Drills(failed=failed, omitted=omitted, errors=tuple(errors))


def _drills_of(
    circumstances: Circumstances,
    inventory: Inventory,
    key: KnownKey,
    failed: dict[str, str],
    omitted: dict[str, KeyctlError],
) -> None:
    """Hold the drill of a key, and those of the pairings whose backup key it is; put down what went wrong."""
    pairings = _backed_up_by(inventory, key)
    try:
        failure = _key_drill(circumstances, key)
    except _Omitted as omission:
        omitted.update(dict.fromkeys((key.id, *(pairing.id for pairing in pairings)), omission.error))
        return
    if failure is not None:
        failed[key.id] = failure
        return
    for pairing in pairings:
        try:
            reason = _pairing_drill(circumstances, inventory, pairing)
        except _Omitted as omission:
            omitted[pairing.id] = omission.error
            continue
        if reason is not None:
            failed[pairing.id] = reason


class _Omitted(Exception):  # noqa: N818  # no error: it says that there was no drill
    """A drill could not be held."""

    def __init__(self, error: KeyctlError) -> None:
        """*error* is why."""
        super().__init__(error.message)
        self.error = error


def _named(circumstances: Circumstances, inventory: Inventory, name: str) -> KnownKey:
    known = check_facts.known_key(circumstances, inventory, name)
    if known is None:
        raise UsageError(
            "usage",
            f"{name} is no key with a name, and a drill is of keys that have one",
            f"known are {', '.join(key.name for key in inventory.keys)}" if inventory.keys else "`keyctl add NAME`",
        )
    return known


def _backed_up_by(inventory: Inventory, key: KnownKey) -> list[Pairing]:
    return [one for one in inventory.pairings if one.backup_id == key.id and one.retired_at is None]


def _key_drill(circumstances: Circumstances, key: KnownKey) -> str | None:
    """What went wrong with the key; None: nothing.

    Raises:
        _Omitted: The drill could not be held.
    """
    from keyctl.operations import opening, recognising, unlocking

    tell = circumstances.asker.tell
    wanted = opening.patient(circumstances, key.name)
    tell(f"drill of {key.name}: it wants one touch")
    try:
        with opening.opened(wanted, remarking=False) as session:
            known = recognising.known(circumstances)
            if session.key.recognition is Recognition.CHANGED:
                unlocking.require_trust(session, wanted)
            if session.info.options.get("alwaysUv") and session.info.pin_set and not session.has_pin:
                unlocking.unlock(session, wanted)
            recognising.prove_by_touch(session, known)
        health_files.write_drill(circumstances.home, key.id, times.now())
    except (StoreError, DeclinedError):
        raise
    except KeyctlError as error:
        if error.code in _BAD_ANSWERS:
            return error.message
        tell(f"not held: {error.message}")
        raise _Omitted(error) from error
    tell(f"{key.name} proved itself")
    return None


def _pairing_drill(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> str | None:
    """What went wrong; None: nothing. It notes itself how it went.

    Raises:
        _Omitted: The drill could not be held.
    """
    from keyctl.operations import pair_choice, pair_verifying

    label = pair_choice.label(inventory, pairing)
    circumstances.asker.tell(f"drill of the pairing {label}")
    try:
        drill = pair_verifying.verify(circumstances, pairing.id)
    except DeclinedError:
        raise
    except KeyctlError as error:
        # A seed that is not trusted is a finding of its own.
        if error.code in _BAD_ANSWERS:
            return error.message
        circumstances.asker.tell(f"not held: {error.message}")
        raise _Omitted(error) from error
    if drill.verified:
        circumstances.asker.tell(f"the pairing {label} works: its backup key can take over")
    return drill.reason
