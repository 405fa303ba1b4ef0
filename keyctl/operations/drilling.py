"""The drill of keys: each is asked for in turn, and proves with a touch that it is there and works."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import composed
from keyctl.errors import KeyChoiceError, KeyctlError, NotFoundError, PinError, StoreError, TouchError, UsageError
from keyctl.model import KeyState, Recognition
from keyctl.operations import check_facts
from keyctl.store import health_files
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.operations.asking import Circumstances

#: Failures that say that a drill could not be held, and nothing about the key.
_NOT_HELD = (KeyChoiceError, TouchError, PinError)


@dataclass(frozen=True, kw_only=True)
class Drills:
    """Which drills failed, and why."""

    #: By key id.
    keys: Mapping[str, str] = field(default_factory=dict)
    #: By pairing id.
    pairings: Mapping[str, str] = field(default_factory=dict)


def hold(circumstances: Circumstances, names: Sequence[str]) -> Drills:
    """Ask for each key in turn, one touch each, and for the backup key of a pairing hold that drill too.

    The dates are noted at once, so that nothing is lost when it is interrupted.

    Args:
        circumstances: What the command line says.
        names: The keys; none: all that are in use.

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
    wanted = [_named(inventory, name) for name in dict.fromkeys(names)] or check_facts.subjects(inventory)
    keys = [key for key in wanted if key.state is KeyState.ACTIVE]
    alone = replace(circumstances, wanted=None)
    failed_keys: dict[str, str] = {}
    failed_pairings: dict[str, str] = {}
    for key in keys:
        failure, held = _key_drill(alone, key)
        if failure is not None:
            failed_keys[key.id] = failure
        elif held:
            for pairing in _backed_up_by(inventory, key):
                if (reason := _pairing_drill(alone, inventory, pairing)) is not None:
                    failed_pairings[pairing.id] = reason
    return Drills(keys=failed_keys, pairings=failed_pairings)


def _named(inventory: Inventory, name: str) -> KnownKey:
    known = inventory.key_named(composed(name))
    if known is None:
        raise UsageError(
            "usage",
            f"{name} is no name of a known key, and a drill is of keys by their names",
            f"known are {', '.join(key.name for key in inventory.keys)}" if inventory.keys else "`keyctl add NAME`",
        )
    return known


def _backed_up_by(inventory: Inventory, key: KnownKey) -> list[Pairing]:
    return [one for one in inventory.pairings if one.backup_id == key.id and one.retired_at is None]


def _key_drill(circumstances: Circumstances, key: KnownKey) -> tuple[str | None, bool]:
    """What went wrong with the key, and whether the drill was held."""
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
    except _NOT_HELD as error:
        tell(f"not held: {error.message}")
        return None, False
    except StoreError:
        raise
    except KeyctlError as error:
        if error.code not in {"key_nonsense", "key_error", "key_silent"}:
            tell(f"not held: {error.message}")
            return None, False
        return error.message, True
    tell(f"{key.name} proved itself")
    return None, True


def _pairing_drill(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> str | None:
    """What went wrong; it notes itself how it went."""
    from keyctl.operations import pair_choice, pair_verifying

    label = pair_choice.label(inventory, pairing)
    circumstances.asker.tell(f"drill of the pairing {label}")
    try:
        drill = pair_verifying.verify(circumstances, pairing.id)
    except (*_NOT_HELD, NotFoundError) as error:
        circumstances.asker.tell(f"not held: {error.message}")
        return None
    except StoreError as error:
        # A seed that is not trusted is a finding of its own.
        circumstances.asker.tell(f"not held: {error.message}")
        return None
    if drill.verified:
        circumstances.asker.tell(f"the pairing {label} works: its backup key can take over")
    return drill.reason
