"""A backup key takes over: what this makes of the inventory, and what is left to do, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from keyctl.core import coverage
from keyctl.core.accounts import may_share_owner
from keyctl.core.inventory import FOUND
from keyctl.core.key_models import model_of
from keyctl.core.names import quoted
from keyctl.model import KeyState, Role

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import DerivedKey, Method, Pairing, PairingState
    from keyctl.core.sites import UrlKind


class Replacement(StrEnum):
    """What takes the place of a derived key, so that the old pairing is needed no more."""

    #: A passkey or registration of the new primary key at the site.
    PASSKEY = "passkey"
    #: An SSH key made on the new primary key, and beside it a key derived in the next pairing.
    SSH_KEY = "ssh_key"
    #: A key derived in the next pairing.
    NEXT_PAIRING = "next_pairing"


class Concern(StrEnum):
    """How another pairing is concerned by a promotion."""

    #: The lost key is its primary key: its backup key could take over as well, and holds a seed for it.
    LOST_PRIMARY = "lost_primary"
    #: The lost key is its backup key: its primary key has none by it any more.
    LOST_BACKUP = "lost_backup"
    #: It is that of the new primary key, which has a backup key already.
    NEXT = "next"
    #: The new primary key is the backup key of another one as well.
    STILL_BACKUP = "still_backup"


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """An account from which the lost key is to be removed. Every text in it is hostile."""

    service: str
    rp_id: str
    account: str | None
    #: Where to do it, or what the site writes about it.
    url: str | None
    url_kind: UrlKind | None
    #: Whether the new primary key opens it; else something else has to, or it is lost.
    opened_by_new_primary: bool
    #: Names of all keys that are at hand and open it.
    opened_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OtherPairing:
    """A pairing beside the promoted one in which one of its keys has a part."""

    id: str
    #: Names; None: the key is not known here.
    primary: str | None
    backup: str | None
    method: Method
    state: PairingState
    concern: Concern


@dataclass(frozen=True, kw_only=True)
class NextBackup:
    """Which key could be the backup key of the new primary key."""

    #: The name of a known one; None: there is none, so one has to be bought.
    key: str | None
    #: Whether it is of the same model as the new primary key, so that one flaw hits both; None: not known.
    same_model: bool | None
    #: Whether it is paired already, so that there is nothing to do.
    paired: bool
    #: What to type.
    command: str


def replacement_of(derived: DerivedKey) -> Replacement:
    """What takes the place of *derived*."""
    kind = derived.target.partition(":")[0]
    return {"rp": Replacement.PASSKEY, "ssh": Replacement.SSH_KEY}.get(kind, Replacement.NEXT_PAIRING)


def as_lost(key: KnownKey, *, now: str) -> KnownKey:
    """The former primary key, marked as lost; one that was reset stays so, as nothing is left on it."""
    if key.state is not KeyState.ACTIVE:
        return key
    # It came back after an earlier loss.
    back = {FOUND: key.changed["state"]} if "state" in key.changed else {}
    return replace(key, state=KeyState.LOST, changed={**key.changed, **back, "state": now})


def as_primary(key: KnownKey, *, now: str) -> KnownKey:
    """The former backup key, which has just proved that it is at hand."""
    facts = {"role": Role.PRIMARY, "state": KeyState.ACTIVE}
    changed = {name: now for name, value in facts.items() if getattr(key, name) is not value}
    return replace(key, role=Role.PRIMARY, state=KeyState.ACTIVE, changed={**key.changed, **changed})


def revocations(inventory: Inventory, pairing: Pairing) -> tuple[Revocation, ...]:
    """Every account that the lost primary key opens, the worst first: those that nothing else opens."""
    names = {key.id: key.name for key in inventory.keys}
    found = []
    for opening in coverage.openings_of_pair(inventory, pairing):
        if pairing.primary_id not in opening.by:
            continue
        row = opening.row
        found.append(
            Revocation(
                service=row.service,
                rp_id=row.rp_id,
                account=row.account,
                url=row.url,
                url_kind=row.url_kind,
                opened_by_new_primary=pairing.backup_id in opening.by,
                opened_by=tuple(name for name in row.opened_by if name != names.get(pairing.primary_id)),
            )
        )
    return tuple(sorted(found, key=lambda one: (bool(one.opened_by), one.opened_by_new_primary)))


def other_pairings(inventory: Inventory, pairing: Pairing) -> tuple[OtherPairing, ...]:
    """What else the lost key and the new primary key are paired with, save what is retired."""
    names = {key.id: key.name for key in inventory.keys}
    concerns = {
        ("primary_id", pairing.primary_id): Concern.LOST_PRIMARY,
        ("backup_id", pairing.primary_id): Concern.LOST_BACKUP,
        ("primary_id", pairing.backup_id): Concern.NEXT,
        ("backup_id", pairing.backup_id): Concern.STILL_BACKUP,
    }
    return tuple(
        OtherPairing(
            id=other.id,
            primary=names.get(other.primary_id),
            backup=names.get(other.backup_id),
            method=other.method,
            state=other.state,
            concern=concern,
        )
        for other in inventory.pairings
        if other.id != pairing.id and other.retired_at is None
        for (part, key_id), concern in concerns.items()
        if getattr(other, part) == key_id
    )


def next_backup(inventory: Inventory, pairing: Pairing) -> NextBackup:
    """Which key could be the next backup key: a spare of another model before one of the same, else one to be bought.

    Keys of other people, primary keys, lost ones and those that were reset are out of the question, and so is a key for
    trying out beside a real one.
    """
    new = inventory.key_with_id(pairing.backup_id)
    name = quoted(new.name) if new is not None else "PRIMARY"
    if new is None:
        return NextBackup(key=None, same_model=None, paired=False, command=f"keyctl pair create {name} BACKUP")
    for other in inventory.pairings:
        backup = inventory.key_with_id(other.backup_id)
        in_force = other.primary_id == new.id and other.retired_at is None
        if in_force and backup is not None and backup.state is KeyState.ACTIVE:
            return NextBackup(
                key=backup.name,
                same_model=_same_model(new, backup),
                paired=True,
                command=f"keyctl pair verify {quoted(backup.name)}",
            )
    candidates = [key for key in inventory.keys if _could_be(key, new, pairing)]
    candidates.sort(key=lambda key: (_same_model(new, key) is True, key.role is not Role.SPARE, key.name))
    if not candidates:
        return NextBackup(key=None, same_model=None, paired=False, command=f"keyctl pair create {name} BACKUP")
    best = candidates[0]
    command = f"keyctl pair create {name} {quoted(best.name)}"
    return NextBackup(key=best.name, same_model=_same_model(new, best), paired=False, command=command)


def _could_be(key: KnownKey, new: KnownKey, pairing: Pairing) -> bool:
    return (
        key.id not in {pairing.primary_id, pairing.backup_id}
        and key.state is KeyState.ACTIVE
        and key.role is not Role.PRIMARY
        and key.virtual is new.virtual
        and may_share_owner(key, new)
    )


def _same_model(one: KnownKey, other: KnownKey) -> bool | None:
    models = model_of(one), model_of(other)
    return None if None in models else models[0] == models[1]
