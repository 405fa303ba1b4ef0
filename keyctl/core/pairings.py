"""What becomes of a pairing's record: pure functions over the inventory's pairings."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from keyctl.core.inventory import Method

if TYPE_CHECKING:
    from keyctl.core.inventory import Pairing, StoredRecord

#: In :attr:`Pairing.changed`, followed by a key's id: when the copy on that key was deleted or found to be gone.
GONE_PREFIX = "stored_on:"
#: The pairings whose seed is :attr:`Pairing.seed`, from which this computer derives keys.
DERIVING = frozenset({Method.ARKG, Method.SOFTWARE})


def fault(pairing: Pairing) -> str | None:
    """The field that contradicts another one; None: no field does."""
    if pairing.backup_id == pairing.primary_id:
        return "backup_id"
    if (pairing.seed is not None) is not (pairing.method in DERIVING):
        return "seed"
    if pairing.seed is not None and (pairing.seed.key_handle is None) is not (pairing.method is Method.SOFTWARE):
        return "seed.key_handle"
    if (pairing.recovery_seed is not None) is not (pairing.method is Method.WEBAUTHN_DRAFT):
        return "recovery_seed"
    if (pairing.verified_at is None) is not (pairing.verified_by is None):
        return "verified_by"
    if pairing.derived and pairing.seed is None:
        return "derived"
    return None


def with_copy(pairing: Pairing, record: StoredRecord) -> Pairing:
    """*pairing* with a copy on that key, in place of an older one there."""
    others = (one for one in pairing.stored_on if one.key_id != record.key_id)
    return replace(pairing, stored_on=tuple(sorted((*others, record), key=attrgetter("key_id"))))


def without_copy(pairing: Pairing, key_id: str, *, now: str) -> Pairing:
    """*pairing* without the copy on that key; another computer that still knows of one learns that it is gone."""
    left = tuple(one for one in pairing.stored_on if one.key_id != key_id)
    if left == pairing.stored_on:
        return pairing
    return replace(pairing, stored_on=left, changed={**pairing.changed, f"{GONE_PREFIX}{key_id}": now})
