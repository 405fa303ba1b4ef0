"""The drill: the backup key proves that it can stand in for the primary key."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import arkg, contexts, derivations, times
from keyctl.core.pairings import Method, with_copy
from keyctl.errors import KeyctlError, NotFoundError, StoreError
from keyctl.operations import backup_signing, key_copies, noting, pair_choice, pair_views, seed_trust, unlocking
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from keyctl.core.arkg import SeedPublicKey
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import DerivedKey, Pairing
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.backup_signing import Signer
    from keyctl.operations.pair_views import PairingView

_DRILL_TEXT = b"keyctl-drill-v1\0"
_ENTROPY_BYTES = 32
#: Failures that say that the backup key cannot do it, and not that it could not be asked.
_FAILURES = frozenset({"passkey_not_found", "signature_wrong", "unsupported", "pairing_changed", "pin_not_set"})


@dataclass(frozen=True, kw_only=True)
class Drill:
    """How a drill went."""

    pairing: PairingView
    verified: bool
    #: What went wrong; None: nothing.
    reason: str | None
    #: For which recorded derived key the backup key signed beside the fresh one; None: none is recorded.
    target: str | None


def verify(circumstances: Circumstances, text: str | None) -> Drill:
    """Have the backup key of a pairing show that it works, and remember the date.

    By a seed: it signs as a key that was derived just now, and as a recorded one where there is any. By
    ``registration``: it proves itself with a touch and is read anew, and opens all that the primary key opens.

    Args:
        circumstances: What the command line says.
        text: Which pairing, see :func:`keyctl.operations.pair_choice.find`.

    Raises:
        NotFoundError: There is no such pairing, or several fit; or its backup key is not known here.
        KeyChoiceError: The backup key is not connected.
        StoreError: The seed is not the one trusted here, or the result cannot be written.
        PinError: The PIN is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
        UnreachableError: It is gone or silent.
    """
    inventory = store.read_whole(circumstances.home)
    pairing = pair_choice.find(inventory, text)
    noting.require_writable(circumstances)
    if pairing.method is Method.REGISTRATION:
        return _kept_in_step(circumstances, inventory, pairing)
    if pairing.method is Method.WEBAUTHN_DRAFT:
        reason, target = _by_draft(circumstances, inventory, pairing), None
    else:
        points = seed_trust.require(circumstances, inventory, pairing)
        reason, target = _by_seed(circumstances, inventory, pairing, points)
    return noted(circumstances, pairing, reason, target)


def noted(circumstances: Circumstances, pairing: Pairing, reason: str | None, target: str | None = None) -> Drill:
    """Write down how a drill went; *reason* is what went wrong.

    Raises:
        NotFoundError: The pairing was removed in the meantime.
        StoreError: The inventory cannot be written.
    """
    now = times.now()
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        known = changes.inventory.pairing_with_id(pairing.id)
        if known is None:
            raise NotFoundError("pairing_not_found", "the pairing was removed in the meantime", "nothing was noted")
        if reason is None:
            verified_by = local_state.computer_id(circumstances.state)
            # Without the failure before: one of the same second would still outweigh it.
            known = replace(known, verified_at=now, verified_by=verified_by, broken_at=None)
            known = replace(known, changed={**known.changed, "broken_at": now})
        else:
            known = replace(known, broken_at=now)
        changes.put_pairing(known)
        shown = pair_views.view(changes.inventory, known)
    return Drill(pairing=shown, verified=reason is None, reason=reason, target=target)


def fresh_signature(signer: Signer, points: SeedPublicKey) -> None:
    """Have the backup key sign as a key that is derived just now from the seed and never again.

    Raises:
        KeyctlError: As :meth:`keyctl.operations.backup_signing.Signer.sign`.
    """
    derived = arkg.derive_public_key(points, os.urandom(_ENTROPY_BYTES), contexts.DRILL_CTX)
    signer.sign_in_context(derived.public_key, derived.key_handle, contexts.DRILL_CTX, _digest(derived.public_key))


def _by_seed(
    circumstances: Circumstances, inventory: Inventory, pairing: Pairing, points: SeedPublicKey
) -> tuple[str | None, str | None]:
    """What went wrong, and the recorded target that was signed for."""
    recorded = next((key for key in pairing.derived if not key.is_replaced), None)
    try:
        if recorded is not None:
            _require_recomputed(pairing, recorded)
        with backup_signing.signing(circumstances, inventory, pairing) as signer:
            label = signer.key.label
            count = "one touch" if recorded is None else "two touches"
            circumstances.asker.tell(f"{label} wants {count}: it signs as a key that was derived just now")
            fresh_signature(signer, points)
            if recorded is not None:
                circumstances.asker.tell(f"and as the key of {recorded.target}")
                signer.sign(recorded, _digest(recorded.public_key))
            reason = _copy_differs(circumstances, pairing, signer)
            if reason is None:
                _complete(circumstances, inventory, pairing, signer)
    except KeyctlError as error:
        if error.code not in _FAILURES:
            raise
        return error.message, None
    return reason, recorded.target if recorded is not None else None


def _copy_differs(circumstances: Circumstances, pairing: Pairing, signer: Signer) -> str | None:
    """What is wrong with the record on the backup key, where it can be compared; None: nothing."""
    session = signer.session
    if session is None or key_copies.matches(session, circumstances, pairing) is not False:
        return None
    return f"the pairing's record on {signer.key.label} is not the inventory's"


def _complete(circumstances: Circumstances, inventory: Inventory, pairing: Pairing, signer: Signer) -> None:
    """Give the backup key its copy of the record, where it is missing; that it could not is no failed drill."""
    session = signer.session
    if session is None:
        return
    try:
        record = key_copies.record_of(inventory, pairing)
        copy = key_copies.missing_on_backup(session, circumstances.state, pairing, record)
    except KeyctlError as error:
        circumstances.asker.tell(f"the pairing could not be stored on {signer.key.label}: {error.message}")
        return
    if copy is None:
        return
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        known = changes.inventory.pairing_with_id(pairing.id)
        if known is not None:
            changes.put_pairing(with_copy(known, copy.stored))
    circumstances.asker.tell(f"{signer.key.label} carries the pairing from now on")


def _require_recomputed(pairing: Pairing, key: DerivedKey) -> None:
    assert pairing.seed is not None
    if not derivations.recomputes(pairing.seed, key):
        raise StoreError("pairing_changed", f"the key of {key.target} does not follow from the pairing's seed")


def _by_draft(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> str | None:
    from keyctl.operations import pair_draft

    assert pairing.recovery_seed is not None
    name = pair_choice.require_name(inventory, pairing.backup_id)
    with backup_signing.opened_by_name(circumstances, name) as session:
        pair_draft.require(session)
        unlocking.require_current_pin_usable(session)
        unlocking.unlock(session, circumstances)
        backup_signing.require_is(session, name)
        if pair_draft.drill(session, pairing.recovery_seed):
            # That would take its PIN, and it need not be here.
            primary = pair_choice.name_of(inventory, pairing.primary_id) or "the primary key"
            circumstances.asker.tell(f"whether {primary} still has the seed of {name} was not looked at")
            return None
        return f"{session.key.label} does not hold the seed of this pairing"


def _kept_in_step(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> Drill:
    from keyctl.operations import keeping_in_step

    result = keeping_in_step.verify(circumstances, inventory, pairing)
    count = len(result.gaps)
    if count == 0:
        return noted(circumstances, pairing, None)
    # Nothing is broken: it is not finished, and what is missing is listed until it is.
    accounts = "an account" if count == 1 else f"{count} accounts"
    reason = f"the primary key opens {accounts} that {result.key.label} does not"
    now_known = store.read(circumstances.home)
    return Drill(pairing=pair_views.view(now_known, pairing), verified=False, reason=reason, target=None)


def _digest(public_key: bytes) -> bytes:
    return sha256(_DRILL_TEXT + os.urandom(_ENTROPY_BYTES) + public_key).digest()
