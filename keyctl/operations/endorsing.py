"""The primary key's word for new derived keys, and whether its own copy of the pairing is the inventory's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import endorsements
from keyctl.core.pairings import Endorsement
from keyctl.errors import KeyChoiceError, NotFoundError, UnreachableError
from keyctl.model import OWN_RP_ID, Recognition
from keyctl.operations import key_copies, opening, pair_choice, unlocking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import DerivedKey, Pairing
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class Word:
    """What the primary key said."""

    #: For all keys at once; None: it was not asked.
    endorsement: Endorsement | None = None
    #: Whether its copy of the pairing was compared, and is the inventory's.
    checked: bool = False


def ask(circumstances: Circumstances, inventory: Inventory, pairing: Pairing, keys: Sequence[DerivedKey]) -> Word:
    """Have the primary key of *pairing* sign for all of *keys* at once, with one touch; no PIN where it can do without.

    Raises:
        NotFoundError: It is not known here (``name_not_found``).
        KeyChoiceError: It is not connected, or another key is.
        UnreachableError: Its copy of the pairing is another one (``record_changed``), or it is gone or silent.
        TouchError: Nobody touched it in time.
        PinError: It always wants its PIN, and that is wrong, missing or may not be tried.
        StoreError: Its public key is not the one first seen here, and nobody confirms it.
    """
    label = pair_choice.label(inventory, pairing)
    known = inventory.key_with_id(pairing.primary_id)
    if known is None:
        raise NotFoundError(
            "name_not_found",
            f"the primary key of the pairing {label} is not known here, so it cannot endorse anything",
            "plug it in and run `keyctl pair restore`, which knows it by its record; or derive with --from-record",
        )
    with opening.opened(replace(circumstances, wanted=circumstances.wanted or known.name)) as session:
        # One that tells nothing without its PIN may still be the right one.
        if session.key.recognition is not Recognition.LOCKED:
            _require_primary(session, known, label)
        if session.info.options.get("alwaysUv", False):
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
        elif session.key.recognition is Recognition.CHANGED:
            unlocking.require_trust(session, circumstances)
        _require_primary(session, known, label)
        checked = _compared(session, circumstances, pairing)
        count = "the new key" if len(keys) == 1 else f"{len(keys)} new keys"
        circumstances.asker.tell(f"{known.name} endorses {count} with one touch")
        return Word(endorsement=_endorsement(session, known, keys), checked=checked)


def _endorsement(session: Session, known: KnownKey, keys: Sequence[DerivedKey]) -> Endorsement:
    from keyctl.device import errors

    credential_id, public_key = known.recognition.credential_id, known.recognition.public_key
    digest = endorsements.client_data_hash(keys)
    assertion = session.touched(OWN_RP_ID, credential_id, digest, verified=session.has_pin)
    endorsement = Endorsement(
        credential_id=credential_id,
        auth_data=assertion.auth_data,
        client_data_hash=digest,
        signature=assertion.signature,
    )
    if len(endorsements.endorsed([replace(key, endorsement=endorsement) for key in keys], public_key)) != len(keys):
        raise errors.nonsense(session.key.label, f"with a signature that is not that of {known.name}")
    return endorsement


def _require_primary(session: Session, known: KnownKey, label: str) -> None:
    if session.key.id != known.id:
        raise KeyChoiceError(
            "no_key",
            f"{session.key.label} is not {known.name}, the primary key of the pairing {label}",
            f"plug in {known.name}; the backup key can stay where it is",
            key=session.key.label,
        )


def _compared(session: Session, circumstances: Circumstances, pairing: Pairing) -> bool:
    """Whether the copy on the primary key is the inventory's; False: that cannot be said."""
    try:
        same = key_copies.matches(session, circumstances, pairing)
    except UnreachableError as error:
        # What else is in the array, which all sites share, may be damaged.
        if error.code != "key_nonsense":
            raise
        same = None
    if same is None:
        label = session.key.label
        if any(record.key_id == session.key.id for record in pairing.stored_on):
            why = f"the copy of the pairing on {label} cannot be read here without its PIN"
        else:
            why = f"{label} carries no copy of the pairing"
        circumstances.asker.tell(f"not checked against the key: {why}")
    if same is False:
        raise UnreachableError(
            "record_changed",
            f"the record of the pairing on {session.key.label} is not the inventory's",
            "somebody changed one of the two: compare the fingerprint with the one shown when the keys were paired, "
            "and run `keyctl pair verify` with the backup key",
            key=session.key.label,
        )
    return same is True
