"""The one thing to do next, from what is known of keys, pairings and accounts: the first screen ends with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.core.pairings import PairingState
from keyctl.core.results import CheckResult
from keyctl.model import Access, KeyState, Recognition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.coverage import Summary
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.model import Key

#: After so many days without one, a check is what is to be done.
CHECK_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """What to do."""

    text: str
    #: The command line for it; None: there is none.
    command: str | None


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the step follows from."""

    inventory: Inventory
    #: All keys, connected or known.
    keys: Sequence[Key]
    summary: Summary
    #: The worst of the last check, and when it was; None: there was none.
    last_result: CheckResult | None
    checked_at: str | None
    #: Names of lost keys whose list of things to do is not done.
    unfinished_losses: Sequence[str]
    now: str


def next_step(situation: Situation) -> NextStep:
    """The most urgent thing that a person can do."""
    return (
        _loss(situation)
        or _first_keys(situation)
        or _failed(situation)
        or _unclear_key(situation)
        or _unread(situation)
        or _pairing(situation)
        or _accounts(situation)
        or _check(situation)
        or _locked_key(situation)
        or NextStep(text="nothing to do", command=None)
    )


def _loss(situation: Situation) -> NextStep | None:
    if not situation.unfinished_losses:
        return None
    name = situation.unfinished_losses[0]
    return NextStep(text=f"{name} is lost, and not everything is done that it takes", command=_command("lost", name))


def _first_keys(situation: Situation) -> NextStep | None:
    stranger = next((key for key in _strangers(situation) if _is_new(situation, key)), None)
    if stranger is not None:
        assert stranger.selector is not None
        return NextStep(
            text="a connected key has no name yet: with one it is known again, and what it opens is noted",
            command=f"keyctl add NAME -k {quoted(stranger.selector)}",
        )
    if not situation.inventory.keys:
        nothing = NextStep(text="no key is known: plug one in, or try keyctl without one", command="keyctl demo")
        return _unclear_key(situation) or _locked_key(situation) or nothing
    active = [key for key in situation.inventory.keys if key.state is KeyState.ACTIVE]
    if len(active) == 1 and not _unclear_keys(situation):
        return NextStep(
            text=f"{active[0].name} is the only key: get a second one, and plug it in",
            command="keyctl add NAME --role backup",
        )
    return None


def _strangers(situation: Situation) -> list[Key]:
    """The connected keys that answered to no name, perhaps because nothing answered."""
    return [key for key in situation.keys if key.connected and key.id is None and key.selector is not None]


def _is_new(situation: Situation, key: Key) -> bool:
    """Whether a connected key certainly is none of the known ones."""
    if key.access is not Access.OK or key.recognition is Recognition.LOCKED:
        return False
    if key.recognition is not Recognition.PERHAPS_RESET:
        return True
    connected = {one.id for one in situation.keys if one.connected}
    return all(known.id in connected for known in situation.inventory.keys if known.aaguid == key.aaguid)


def _unclear_keys(situation: Situation) -> list[Key]:
    """The connected keys of which nobody knows whether they have a name, save those that only want their PIN."""
    return [
        key
        for key in _strangers(situation)
        if not _is_new(situation, key) and key.recognition is not Recognition.LOCKED
    ]


def _unclear_key(situation: Situation) -> NextStep | None:
    for key in _unclear_keys(situation):
        if key.access is not Access.OK:
            return NextStep(text="a connected key cannot be opened or read", command="keyctl doctor")
        return NextStep(
            text="a connected key is of the model of one with a name: a new one, or that one after a reset",
            command="keyctl list",
        )
    return None


def _locked_key(situation: Situation) -> NextStep | None:
    for key in _strangers(situation):
        if key.recognition is Recognition.LOCKED:
            assert key.selector is not None
            return NextStep(
                text="a connected key wants its PIN before it says which one it is",
                command=f"keyctl pin verify -k {quoted(key.selector)}",
            )
    return None


def _failed(situation: Situation) -> NextStep | None:
    if situation.last_result is not CheckResult.FAIL:
        return None
    return NextStep(text="the last check found something bad", command="keyctl health")


def _unread(situation: Situation) -> NextStep | None:
    declared = {entry.key_id for service in situation.inventory.services for entry in service.on}
    for key in situation.inventory.keys:
        if key.state is KeyState.ACTIVE and key.passkeys_read_at is None and key.id not in declared:
            return NextStep(text=f"what {key.name} opens is not known yet", command=_command("scan -k", key.name))
    return None


def _pairing(situation: Situation) -> NextStep | None:
    inventory = situation.inventory
    in_force = [pairing for pairing in inventory.pairings if pairing.retired_at is None]
    broken = next((pairing for pairing in in_force if pairing.state is PairingState.BROKEN), None)
    if broken is not None:
        return NextStep(text="a pairing is broken: its backup key cannot take over", command=_of(inventory, broken))
    if not in_force and (pair := _unpaired(inventory)) is not None:
        primary, backup = pair
        return NextStep(
            text=f"{backup.name} is not prepared to take over for {primary.name}",
            command=f"keyctl pair create {quoted(primary.name)} {quoted(backup.name)}",
        )
    untried = next((pairing for pairing in in_force if pairing.state is PairingState.NEVER_VERIFIED), None)
    if untried is not None:
        return NextStep(text="a backup key was never tried", command=_of(inventory, untried))
    return None


def _unpaired(inventory: Inventory) -> tuple[KnownKey, KnownKey] | None:
    """A primary and a backup key of one owner."""
    active = [key for key in inventory.keys if key.state is KeyState.ACTIVE]
    primaries = [key for key in active if key.role == "primary"]
    backups = [key for key in active if key.role == "backup"]
    return next(
        (
            (one, other)
            for one in primaries
            for other in backups
            if (one.owner, one.virtual) == (other.owner, other.virtual)
        ),
        None,
    )


def _of(inventory: Inventory, pairing: Pairing) -> str:
    backup = inventory.key_with_id(pairing.backup_id)
    return _command("pair verify", backup.name) if backup is not None else "keyctl pair list"


def _accounts(situation: Situation) -> NextStep | None:
    at_risk = situation.summary.at_risk
    if not at_risk:
        return None
    accounts = "an account is" if at_risk == 1 else f"{at_risk} accounts are"
    return NextStep(text=f"{accounts} at risk", command="keyctl coverage")


def _check(situation: Situation) -> NextStep | None:
    if situation.checked_at is None:
        return NextStep(text="nothing was checked yet", command="keyctl health")
    if times.parse(situation.now) - times.parse(situation.checked_at) > timedelta(days=CHECK_DAYS):
        return NextStep(text=f"the last check is more than {CHECK_DAYS} days old", command="keyctl health")
    if situation.last_result is CheckResult.WARN:
        return NextStep(text="the last check found something", command="keyctl health")
    return None


def _command(words: str, name: str) -> str:
    return f"keyctl {words} {quoted(name)}"
