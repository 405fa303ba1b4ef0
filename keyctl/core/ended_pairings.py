"""What becomes of a pairing when one of its keys loses what it held, or is lost itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core.pairings import Method, without_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.core.pairings import Pairing


@dataclass(frozen=True, kw_only=True)
class Remains:
    """Something of a pairing that a key holds."""

    key_id: str
    #: None: it is no credential.
    credential_id: bytes | None
    #: ``seed`` on the backup key, ``record`` on the primary key, or there ``recovery_seed`` of the WebAuthn draft.
    what: str


def erased(pairing: Pairing, key_id: str, *, now: str) -> Pairing:
    """*pairing* after the key lost everything on it, by a reset or because another key has its name now.

    With the backup key goes the seed, or all that was registered on it, and the pairing is broken. The primary key
    held a copy of the record, which the inventory still has; only by the recovery extension the seed itself is there.

    Args:
        pairing: As it was.
        key_id: The key; a pairing that it has no part in stays as it is.
        now: When that was.
    """
    left = without_copy(pairing, key_id, now=now)
    if not loses_all(pairing, key_id) or pairing.has_lost_seed:
        return left
    return replace(left, broken_at=now)


def loses_all(pairing: Pairing, key_id: str) -> bool:
    """Whether nothing is left of the pairing when the key is erased."""
    if key_id == pairing.backup_id:
        return True
    return key_id == pairing.primary_id and pairing.method is Method.WEBAUTHN_DRAFT


def remains(pairing: Pairing) -> Iterator[Remains]:
    """What was made for *pairing* on its keys and is still there, each once."""
    if pairing.recovery_seed is not None and not pairing.has_lost_seed:
        yield Remains(key_id=pairing.primary_id, credential_id=None, what="recovery_seed")
    if pairing.seed is not None and not pairing.has_lost_seed:
        yield Remains(key_id=pairing.backup_id, credential_id=pairing.seed.credential_id, what="seed")
    for record in pairing.stored_on:
        if record.key_id != pairing.backup_id or pairing.seed is None:
            yield Remains(key_id=record.key_id, credential_id=record.credential_id, what="record")
