"""Pairings as they are shown: in words that people know the keys by, and with what has to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import arkg, endorsements, fingerprints, key_formats, seed_cose
from keyctl.core.pairings import Method
from keyctl.operations import pair_choice
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from keyctl.core import ended_pairings
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing, PairingState
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.keeping_in_step import MissingAccount

#: What the draft extension is called where it is shown.
_RECOVERY_DRAFT = "WebAuthn extension recovery (Yubico's draft)"


@dataclass(frozen=True, kw_only=True)
class DerivedView:
    """A key that was derived in a pairing."""

    target: str
    #: As ``ssh-keygen -l`` shows it.
    fingerprint: str
    #: Whether the primary key's signature for it holds; None: that key is not known here.
    endorsed: bool | None
    created_at: str
    handed_over_at: str | None
    #: None: nothing took its place, or it was handed over again after that.
    replaced_at: str | None


@dataclass(frozen=True, kw_only=True)
class PairingView:
    """One pairing."""

    id: str
    #: Names; None: the key is not known here.
    primary: str | None
    backup: str | None
    method: Method
    state: PairingState
    #: Of the seed; None: there is none.
    fingerprint: str | None
    #: Who vouches for the seed: the format of its attestation, or ``none``; None: there is no seed.
    attestation: str | None
    #: Names of the keys that carry the pairing's record.
    stored_on: tuple[str, ...]
    created_at: str
    verified_at: str | None
    #: Whether the last drill was on another computer than the pairing; None: there was no drill.
    verified_elsewhere: bool | None
    broken_at: str | None
    retired_at: str | None
    #: The draft that the seed's formats are from; None: there is no seed.
    draft: str | None
    derived_count: int
    derived: tuple[DerivedView, ...]
    #: Accounts that only one of both keys opens, with the method ``registration``.
    missing: tuple[MissingAccount, ...]


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What is left on a key that was not connected."""

    #: Its name, or its number where it is not known here.
    key: str
    #: None: it is none, or it is not known which, as the pairing was interrupted.
    credential_id: bytes | None
    #: ``seed`` on the backup key, ``record`` on the primary key or there ``recovery_seed`` (WebAuthn draft),
    #: ``leftover`` of a pairing that was interrupted.
    what: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What came of removing a pairing, or what was left of one."""

    #: None: it was about leftovers.
    pairing: PairingView | None
    changed: bool
    #: Names of the keys from which it was deleted.
    removed_from: tuple[str, ...]
    remains: tuple[Remains, ...]


def view(inventory: Inventory, pairing: Pairing) -> PairingView:
    """*pairing* for people and for JSON."""
    missing: tuple[MissingAccount, ...] = ()
    if pairing.method is Method.REGISTRATION and pairing.retired_at is None:
        from keyctl.operations import keeping_in_step

        missing = keeping_in_step.missing(inventory, pairing)
    primary = inventory.key_with_id(pairing.primary_id)
    endorsed: Collection[str] | None = None
    if primary is not None and pairing.derived:
        endorsed = endorsements.endorsed(pairing.derived, primary.recognition.public_key)
    draft = pairing.seed.numbers.draft if pairing.seed is not None else None
    return PairingView(
        id=pairing.id,
        primary=pair_choice.name_of(inventory, pairing.primary_id),
        backup=pair_choice.name_of(inventory, pairing.backup_id),
        method=pairing.method,
        state=pairing.state,
        fingerprint=fingerprint_of(pairing),
        attestation=pairing.seed.attestation if pairing.seed is not None else None,
        stored_on=tuple(
            pair_choice.name_of(inventory, record.key_id) or record.key_id
            for record in sorted(pairing.stored_on, key=lambda record: record.key_id != pairing.primary_id)
        ),
        created_at=pairing.created_at,
        verified_at=pairing.verified_at,
        verified_elsewhere=None if pairing.verified_by is None else pairing.verified_by != pairing.paired_by,
        broken_at=pairing.broken_at,
        retired_at=pairing.retired_at,
        draft=_RECOVERY_DRAFT if pairing.method is Method.WEBAUTHN_DRAFT else draft,
        derived_count=len(pairing.derived),
        derived=tuple(
            DerivedView(
                target=key.target,
                fingerprint=_fingerprint(key.public_key),
                endorsed=key.target in endorsed if endorsed is not None else None,
                created_at=key.created_at,
                handed_over_at=key.handed_over_at,
                replaced_at=key.replaced_at if key.is_replaced else None,
            )
            for key in pairing.derived
        ),
        missing=missing,
    )


def remains(inventory: Inventory, places: Iterable[ended_pairings.Remains]) -> tuple[Remains, ...]:
    """*places* in words that people know the keys by."""
    return tuple(
        Remains(
            key=pair_choice.name_of(inventory, place.key_id) or place.key_id,
            credential_id=place.credential_id,
            what=place.what,
        )
        for place in places
    )


def fingerprint_of(pairing: Pairing) -> str | None:
    """The fingerprint of the pairing's seed; None: it has none, or one that makes no sense."""
    if pairing.seed is None:
        return None
    try:
        return fingerprints.of_seed(seed_cose.read_seed(pairing.seed.public_seed))
    except arkg.ArkgError:
        return None


def _fingerprint(point: bytes) -> str:
    try:
        return key_formats.openssh_fingerprint(point)
    except arkg.ArkgError:
        return "damaged"


def every(circumstances: Circumstances) -> tuple[PairingView, ...]:
    """All pairings, the oldest first.

    Raises:
        StoreError: A file of the inventory cannot be read or understood.
    """
    inventory = store.read_whole(circumstances.home)
    return tuple(view(inventory, pairing) for pairing in inventory.pairings)


def one(circumstances: Circumstances, text: str | None) -> PairingView:
    """The pairing that is meant, see :func:`keyctl.operations.pair_choice.find`.

    Raises:
        NotFoundError: There is none, or several fit.
        StoreError: A file of the inventory cannot be read or understood.
    """
    inventory = store.read_whole(circumstances.home)
    return view(inventory, pair_choice.find(inventory, text))
