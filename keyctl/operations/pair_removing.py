"""Ending a pairing: from both keys where they are connected, and from the inventory."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core.ended_pairings import Remains
from keyctl.core.pairings import Method
from keyctl.core.text import visible
from keyctl.errors import KeyChoiceError
from keyctl.operations import key_copies, noting, opening, pair_choice, pair_views, stranding, unlocking
from keyctl.operations.pair_views import Removal
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing
    from keyctl.device.own_credentials import Listed
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances


def remove(circumstances: Circumstances, text: str | None, *, dry_run: bool) -> Removal:
    """Delete a pairing: the seed on the backup key, the record on the primary key, and what the inventory says of it.

    A key that is not connected, or cannot delete passkeys, keeps its part, which is told.

    Raises:
        NotFoundError: There is no such pairing, or several fit.
        DeclinedError: The answer was no.
        PinError: A connected key wants its PIN, and it is wrong, missing or may not be tried.
        UnreachableError: A key is gone or silent, where the command can be run once more; or what would be deleted
            belongs to another pairing (``record_changed``), where nothing was deleted.
        TouchError: A key tells only with a touch to which pairing something belongs, and nobody touched it in time.
    """
    inventory = store.read_whole(circumstances.home)
    pairing = pair_choice.find(inventory, text)
    label = pair_choice.label(inventory, pairing)
    places = _unshared(circumstances, inventory, pairing)
    warning = _warning(inventory, pairing, label, places)
    stranded = stranding.derived_lines(inventory, pairing)
    shown = pair_views.view(inventory, pairing)
    if dry_run:
        stranding.rehearse(circumstances.asker, stranded, warning, label)
        return Removal(pairing=shown, changed=False, removed_from=(), remains=pair_views.remains(inventory, places))
    noting.require_writable(circumstances)
    stranding.confirm(circumstances.asker, stranded, warning, label, "\nRemove it?")
    with contextlib.ExitStack() as stack:
        sessions = _connected(circumstances, inventory, pairing, places, stack)
        circumstances.asker.check_pins_for(len(sessions))
        for session in sessions.values():
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
        for session in sessions.values():
            # Nothing is deleted before every PIN is known to be right.
            session.verify_pin()
        held = {key_id: _held(pairing, places, key_id, session) for key_id, session in sessions.items()}
        removed_from = [
            session.key.label
            for key_id, session in sessions.items()
            if _removed(circumstances, pairing, held[key_id], session)
        ]
    with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
        changes.remove_pairing(pairing.id)
    noting.pairing_removed(circumstances, pairing)
    left = pair_views.remains(inventory, [place for place in places if place.key_id not in sessions])
    return Removal(pairing=shown, changed=True, removed_from=tuple(removed_from), remains=left)


def _warning(inventory: Inventory, pairing: Pairing, label: str, places: tuple[Remains, ...]) -> str:
    label = visible(label)
    backup = visible(pair_choice.name_of(inventory, pairing.backup_id) or "the backup key")
    if pairing.method is Method.REGISTRATION:
        return f"keyctl no longer keeps {label} in step; on the keys nothing changes."
    if pairing.method is Method.WEBAUTHN_DRAFT:
        primary = visible(pair_choice.name_of(inventory, pairing.primary_id) or "the primary key")
        if not places:
            return f"keyctl forgets the pairing {label}; the seed of {backup} stays on {primary}."
        return f"This has {primary} forget the seed of {backup}, so that it makes no more recovery credentials for it."
    if pairing.seed is not None and all(place.what != "seed" for place in places):
        return f"keyctl forgets the pairing {label}; its seed stays on {backup}."
    derived = ""
    if pairing.derived:
        count = len(pairing.derived)
        keys = "the key that was derived" if count == 1 else f"any of the {count} keys that were derived"
        derived = f" Nobody can sign with {keys} any more."
    elif pairing.seed is not None:
        # The inventory may have been lost, or another computer may have derived some.
        derived = " If any key was derived from it that is not noted here, nobody can sign with that any more."
    return f"This deletes the seed that {backup} holds for {label}; nothing brings it back.{derived}"


def _places(pairing: Pairing) -> dict[tuple[str, bytes], Remains]:
    """Where something of it lies, by the key and what tells it from others there.

    The primary key comes first: a seed without a record is better than the reverse.
    """
    found = {
        (record.key_id, record.credential_id): Remains(
            key_id=record.key_id, credential_id=record.credential_id, what="record"
        )
        for record in pairing.stored_on
    }
    if pairing.seed is not None:
        seed = (pairing.backup_id, pairing.seed.credential_id)
        found[seed] = Remains(key_id=seed[0], credential_id=seed[1], what="seed")
    if pairing.recovery_seed is not None:
        from keyctl.operations import pair_draft

        given = (pairing.primary_id, pair_draft.point_of(pairing.recovery_seed))
        found[given] = Remains(key_id=given[0], credential_id=None, what="recovery_seed")
    return dict(sorted(found.items(), key=lambda item: item[1].what))


def _unshared(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> tuple[Remains, ...]:
    """Those places that no other pairing uses, as those do that were made of the same exported seed."""
    used: dict[tuple[str, bytes], Pairing] = {}
    for other in inventory.pairings:
        if other.id != pairing.id:
            used.update(dict.fromkeys(_places(other), other))
    left = []
    for what, place in _places(pairing).items():
        other_user = used.get(what)
        if other_user is None:
            left.append(place)
            continue
        key = pair_choice.name_of(inventory, place.key_id) or place.key_id
        user = f"{pair_choice.label(inventory, other_user)} ({other_user.id})"
        shown = place.what.replace("_", " ")
        circumstances.asker.tell(f"the {shown} on {key} stays there: the pairing {user} uses it too")
    return tuple(left)


def _connected(
    circumstances: Circumstances,
    inventory: Inventory,
    pairing: Pairing,
    places: tuple[Remains, ...],
    stack: contextlib.ExitStack,
) -> dict[str, Session]:
    """Those keys that are connected, hold something of it and can delete it, by id."""
    # Whoever edits the inventory may name any key as one that carries something.
    wanted = {place.key_id for place in places} & {pairing.primary_id, pairing.backup_id}
    sessions = {}
    for key_id in sorted(wanted, key=lambda key_id: key_id != pairing.primary_id):
        name = pair_choice.name_of(inventory, key_id)
        if name is None:
            continue
        with contextlib.suppress(KeyChoiceError):
            session = stack.enter_context(opening.opened(opening.present(circumstances, name)))
            # One that cannot delete a passkey is not asked for its PIN.
            if session.info.listing or pairing.method is Method.WEBAUTHN_DRAFT:
                sessions[key_id] = session
    return sessions


def _held(pairing: Pairing, places: tuple[Remains, ...], key_id: str, session: Session) -> list[Listed]:
    """What is to be deleted from an unlocked key, after a look that it is not another pairing's."""
    ids = [place.credential_id for place in places if place.key_id == key_id and place.credential_id is not None]
    found = (key_copies.own_copy(session, pairing.id, credential_id) for credential_id in ids)
    return [listed for listed in found if listed is not None]


def _removed(circumstances: Circumstances, pairing: Pairing, held: list[Listed], session: Session) -> bool:
    """Whether something was deleted from an unlocked key."""
    if pairing.recovery_seed is not None:
        from keyctl.operations import pair_draft

        # The two may have been paired anew since the question.
        inventory = store.read_whole(circumstances.home)
        others = tuple(other for other in inventory.pairings if other.id != pairing.id)
        return pair_draft.remove_unused(session, replace(inventory, pairings=others), pairing.recovery_seed)
    key_copies.remove(session, held)
    return bool(held)
