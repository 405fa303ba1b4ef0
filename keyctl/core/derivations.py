"""Public keys made on a backup key's behalf, from what a pairing keeps of its seed.

All of a derived key follows from the seed, the pairing's own secret and the target, so that the same request gives the
same key again on every computer that has the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import arkg, contexts, seed_cose, seed_numbers
from keyctl.core.pairings import DerivedKey
from keyctl.errors import KeyctlError, StoreError

if TYPE_CHECKING:
    from keyctl.core.arkg import Derived, SeedPublicKey
    from keyctl.core.contexts import Target
    from keyctl.core.pairings import Seed


def public_seed(seed: Seed) -> SeedPublicKey:
    """The two points of a stored seed, checked.

    Raises:
        StoreError: It was written with numbers of another draft (``store_newer``), or makes no sense
            (``pairing_changed``).
    """
    if seed.numbers != seed_numbers.CURRENT:
        raise StoreError(
            "store_newer",
            f"the seed was written by {seed.numbers.draft}, and this keyctl knows {seed_numbers.DRAFT}",
            "use the keyctl that made the pairing, or pair the two keys again",
        )
    try:
        return seed_cose.read_seed(seed.public_seed)
    except arkg.ArkgError as error:
        raise StoreError(
            "pairing_changed",
            f"the seed of the pairing makes no sense: {error}",
            "restore the inventory from a backup, or run `keyctl pair restore` with one of the keys",
        ) from error


def derive(seed: Seed, target: Target, *, now: str) -> DerivedKey:
    """The derived key for *target*; the same arguments give the same key.

    Args:
        seed: Of the pairing.
        target: What the key is for.
        now: When it was first asked for, RFC 3339.

    Raises:
        StoreError: The seed cannot be used, see :func:`public_seed`.
    """
    derived = _derived(seed, target)
    return DerivedKey(target=target.text, public_key=derived.public_key, key_handle=derived.key_handle, created_at=now)


def recomputes(seed: Seed, key: DerivedKey) -> bool:
    """Whether a recorded key is the one that follows from the seed; False also where its target makes no sense.

    Raises:
        StoreError: The seed cannot be used, see :func:`public_seed`.
    """
    try:
        target = contexts.parse(key.target)
    except KeyctlError:
        return False
    derived = _derived(seed, target)
    return target.text == key.target and (derived.public_key, derived.key_handle) == (key.public_key, key.key_handle)


def _derived(seed: Seed, target: Target) -> Derived:
    points = public_seed(seed)
    return arkg.derive_public_key(points, contexts.ikm(seed.derivation_secret, target.ctx), target.ctx)
