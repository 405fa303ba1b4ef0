"""Pairing by the WebAuthn draft extension "recovery": a draft, which only keyctl's own virtual keys have.

The backup key exports its seed, the primary key imports it, and from then on makes recovery credentials for the sites
by itself: this computer keeps no part of it that anything depends on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from keyctl.core import recovery_seeds
from keyctl.core.attestation import AttestationError
from keyctl.errors import NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.core.recovery_seeds import RecoverySeed
    from keyctl.device.session import Session

_HASH_BYTES = 32
#: More than a private key has, so that the remainder is as good as evenly spread.
_ENTROPY_BYTES = 40


def require(session: Session) -> None:
    """Refuse keys that cannot be paired so; nothing is sent.

    Raises:
        UnsupportedError: It is no virtual key of this process, or has no draft extension.
    """
    session.recovery_seeds.require()


def export_seed(session: Session) -> bytes:
    """The seed of a backup key, with the PIN and a touch; it is made when it was never exported before.

    Returns:
        As :attr:`keyctl.core.pairings.Pairing.recovery_seed` keeps it.

    Raises:
        UnsupportedError: As :func:`require`, or the seed is signed by another key (``evidence_refused``).
        PinError: The PIN is wrong, blocked or missing.
        TouchError: Nobody touched the key in time.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    require(session)
    seed = session.recovery_seeds.export()
    read = _read(session, seed)
    if read.aaguid != session.info.aaguid:
        raise _refused(session, "it is of another model than the key that exported it")
    _check_attestation(session, read)
    return seed


def import_seed(session: Session, seed: bytes, *, allow_unattested: bool = False) -> None:
    """Give a primary key the seed of its backup key, with the PIN and a touch; what was refused asked for neither.

    Args:
        session: The primary key, unlocked.
        seed: From :func:`export_seed`, perhaps of another computer.
        allow_unattested: Whether a person takes one that no certificate vouches for.

    Raises:
        UnsupportedError: As :func:`require`; the seed is signed by another key, or nobody vouches for it
            (``evidence_refused``); there is no room (``key_full``).
        PinError: The PIN is wrong, blocked or missing.
        TouchError: Nobody touched the key in time.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    require(session)
    read = _read(session, seed)
    if not (_check_attestation(session, read) or allow_unattested):
        raise _refused(session, "nobody vouches for it")
    session.recovery_seeds.import_seed(read, allow_unattested=allow_unattested)


def remove_seed(session: Session, seed: bytes) -> bool:
    """Have a primary key forget *seed*, with the PIN; False: it did not hold it.

    Raises:
        UnsupportedError: As :func:`require`.
        PinError: The PIN is wrong, blocked or missing.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    require(session)
    try:
        session.recovery_seeds.remove(_read(session, seed).point)
    except NotFoundError:
        return False
    return True


def remove_unused(session: Session, inventory: Inventory, seed: bytes) -> bool:
    """Have a primary key forget *seed*, unless a pairing goes by it.

    Args:
        session: The primary key, unlocked.
        inventory: Read just now, with all pairings; the one that ends is not among them.
        seed: Of the backup key.

    Returns:
        Whether it was forgotten.

    Raises:
        KeyctlError: As :func:`remove_seed`.
    """
    return not users(inventory, session.key.id or "", seed) and remove_seed(session, seed)


def holds(session: Session, seed: bytes) -> bool:
    """Whether a primary key was given *seed*; needs the PIN.

    Raises:
        KeyctlError: As :func:`remove_seed`, or it is no seed.
    """
    require(session)
    point = _read(session, seed).point
    return any(held.point == point for held in session.recovery_seeds.list().seeds)


def users(inventory: Inventory, primary_id: str, seed: bytes) -> tuple[Pairing, ...]:
    """The pairings of a primary key that go by *seed*: a backup key has but one, until it is reset."""
    point = point_of(seed)
    return tuple(
        pairing
        for pairing in inventory.pairings
        if pairing.primary_id == primary_id
        and pairing.recovery_seed is not None
        and point_of(pairing.recovery_seed) == point
    )


def point_of(seed: bytes) -> bytes:
    """What tells *seed* from others, however it is attested; of what is no seed, all of it."""
    try:
        return recovery_seeds.seed_from_cbor(seed).point
    except ValueError:
        return seed


def drill(session: Session, seed: bytes) -> bool:
    """Have a backup key prove that it can recover with the private half of *seed*, with the PIN and a touch.

    The recovery credential is made here, as a primary key would make it, for a site that is none.

    Returns:
        False: the key does not hold the seed, or what it signed does not verify.

    Raises:
        UnsupportedError: As :func:`require`.
        PinError: The PIN is wrong, blocked or missing.
        TouchError: Nobody touched the key in time.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    from keyctl.core import p256, recovery, recovery_signature
    from keyctl.model import OWN_RP_ID

    require(session)
    point = _read(session, seed).point
    made = None
    while made is None:
        e = 1 + int.from_bytes(os.urandom(_ENTROPY_BYTES), "big") % (p256.N - 1)
        made = recovery.generate(point, e, OWN_RP_ID)
    client_data_hash = os.urandom(_HASH_BYTES)
    try:
        recovered = session.recovery_seeds.recover([made.id], client_data_hash)
    except NotFoundError:
        return False
    return recovery_signature.verifies(made.public_key, recovered.auth_data, client_data_hash, recovered.signature)


def _read(session: Session, seed: bytes) -> RecoverySeed:
    try:
        return recovery_seeds.seed_from_cbor(seed)
    except ValueError as error:
        raise _refused(session, f"it is {error}") from error


def _check_attestation(session: Session, seed: RecoverySeed) -> bool:
    """Whether a trusted certificate vouches for *seed*; raises where one does for another seed or model."""
    try:
        return recovery_seeds.is_attested(seed, session.recovery_seeds.roots())
    except AttestationError as error:
        raise _refused(session, str(error)) from error


def _refused(session: Session, why: str) -> UnsupportedError:
    label = session.key.label
    return UnsupportedError(
        "evidence_refused",
        f"the seed for {label} is not taken: {why}",
        "export it again from the backup key itself, on a computer that you trust",
        key=label,
    )
