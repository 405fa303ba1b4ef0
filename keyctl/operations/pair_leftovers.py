"""What a pairing that ended half-way leaves on a key: named, and deleted again.

Keyctl's own discoverable credentials are listed before one is made, and whatever is there beside them afterwards is
left from what went wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.errors import DeclinedError, KeyChoiceError, KeyctlError, NotFoundError, UnreachableError
from keyctl.operations import opening, pair_unfinished, record_reading, unlocking
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.operations.pair_views import Remains, Removal
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from keyctl.core.inventory import Inventory
    from keyctl.device.own_credentials import Listed
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.store.unfinished import Unfinished

#: Of a credential's id: enough to tell it from others.
_SHOWN_DIGITS = 16
_LEFT = "what was left of a pairing"


def own_on(session: Session) -> tuple[bytes, ...]:
    """The ids of keyctl's own credentials on an unlocked key; empty where it cannot list them."""
    return tuple(_id(listed) for listed in _listed(session))


@contextlib.contextmanager
def making_on(session: Session, circumstances: Circumstances, unfinished: Unfinished) -> Iterator[None]:
    """Around making something on one unlocked key and writing it down, as :func:`undone`; it is noted until it ends.

    Args:
        session: The key.
        circumstances: What the command line says.
        unfinished: The note, of this key alone.

    Raises:
        KeyctlError: As :func:`undone`.
        StoreError: It cannot be noted.
    """
    [(key_id, before)] = unfinished.before.items()
    begun.write(circumstances.state, unfinished)
    with undone(session, before, lambda: ended(circumstances, unfinished, key_id)):
        yield
    ended(circumstances, unfinished, key_id)


@contextlib.contextmanager
def undone(session: Session, before: Collection[bytes], on_undone: Callable[[], None]) -> Iterator[None]:
    """Around making something on an unlocked key: should it fail, what was made is deleted again.

    Args:
        session: The key.
        before: What was there before, see :func:`own_on`.
        on_undone: Called when nothing of it is left.

    Raises:
        KeyctlError: What went wrong, with what became of what was made.
    """
    try:
        yield
    except KeyctlError as error:
        try:
            deleted = delete_new(session, before)
        except KeyctlError:
            raise error.continued(f"what was made on {session.key.label} may still be there", CLEAN_UP) from error
        if session.info.listing:
            on_undone()
        if deleted:
            raise error.continued(f"what was made on {session.key.label} was deleted again") from error
        raise
    except BaseException:
        # An interruption; the journal tells of what cannot be deleted now.
        with contextlib.suppress(KeyctlError):
            delete_new(session, before)
            on_undone()
        raise


def delete_new(session: Session, before: Collection[bytes]) -> bool:
    """Delete keyctl's own credentials that are not among *before*, each with its large blob.

    Returns:
        Whether there were any.

    Raises:
        KeyctlError: The key is gone, or cannot delete them.
    """
    new = [listed for listed in _listed(session) if _id(listed) not in before]
    delete(session, new, _LEFT)
    return bool(new)


def delete(session: Session, own: Collection[Listed], what: str) -> None:
    """Delete some of keyctl's own credentials from an unlocked key, each after its large blob; see that they are gone.

    Args:
        session: The key.
        own: As it listed them.
        what: What goes with them, as messages call it.

    Raises:
        UnreachableError: The key says that it did, and still has one (``key_nonsense``), or it is gone or silent.
    """
    if not own:
        return
    for listed in own:
        if listed.large_blob_key is not None and session.blobs.supported:
            session.blobs.remove(listed.large_blob_key)
        # Whether it is gone is seen below, whatever the key says now.
        with contextlib.suppress(NotFoundError):
            session.delete_passkey(_id(listed))
    if {_id(listed) for listed in own}.intersection(own_on(session)):
        label = session.key.label
        raise UnreachableError(
            "key_nonsense",
            f"{label} says that it deleted {what}, but still has it",
            "unplug it and try again",
            key=label,
        )


def ended(circumstances: Circumstances, unfinished: Unfinished, key_id: str) -> None:
    """Note that nothing is left on one key; when that was the last one, the whole is over."""
    before = {one: ids for one, ids in unfinished.before.items() if one != key_id}
    if before:
        begun.write(circumstances.state, replace(unfinished, before=before))
    else:
        begun.remove(circumstances.state, unfinished.pairing_id)


def clean_up(circumstances: Circumstances, *, dry_run: bool) -> Removal:
    """Delete what unfinished pairings have left on the connected keys, and say where something remains.

    Raises:
        StoreError: The inventory is not whole, so that what belongs to a pairing is not known.
        DeclinedError: The answer was no.
        PinError: A key wants its PIN, and it is wrong, missing or may not be tried.
    """
    inventory = store.read_whole(circumstances.home)
    cleaned: list[str] = []
    with contextlib.ExitStack() as stack:
        journal = begun.read_all(circumstances.state)
        if not dry_run:
            journal = _without_ended(circumstances, inventory, journal)
        key_ids = tuple(dict.fromkeys(key_id for unfinished in journal for key_id in unfinished.before))
        sessions = {} if dry_run else _connected(circumstances, inventory, key_ids, stack)
        _unlock(circumstances, sessions)
        left = {key_id: _left(session, inventory, journal) for key_id, session in sessions.items()}
        told = [f"{sessions[key_id].key.label} still has {_shown(own)}" for key_id, own in left.items() if own]
        if told:
            circumstances.asker.confirm(
                f"{' and '.join(told)}, made since a pairing was begun here that did not end. A seed that was made on "
                "another computer since then would be among that.\nDelete it?"
            )
        for key_id, session in sessions.items():
            delete(session, left[key_id], _LEFT)
            cleaned.append(session.key.label)
            for unfinished in begun.read_all(circumstances.state):
                if key_id in unfinished.before:
                    ended(circumstances, unfinished, key_id)
                    local_state.forget_seed(circumstances.state, unfinished.pairing_id)
    return Removal(
        pairing=None,
        changed=bool(cleaned),
        removed_from=tuple(cleaned),
        remains=tuple(
            Remains(key=pair_unfinished.name_of(inventory, key_id), credential_id=None, what="leftover")
            for key_id in key_ids
            if key_id not in sessions
        ),
    )


def _without_ended(
    circumstances: Circumstances, inventory: Inventory, journal: Collection[Unfinished]
) -> tuple[Unfinished, ...]:
    """Those that did not end; one that is in the inventory did, whatever cut off its last step."""
    for unfinished in journal:
        if inventory.pairing_with_id(unfinished.pairing_id) is not None:
            begun.remove(circumstances.state, unfinished.pairing_id)
    return begun.read_all(circumstances.state)


def _connected(
    circumstances: Circumstances, inventory: Inventory, key_ids: Collection[str], stack: contextlib.ExitStack
) -> dict[str, Session]:
    """Those keys that are connected and can delete a passkey, by id."""
    sessions = {}
    for key_id in key_ids:
        known = inventory.key_with_id(key_id)
        if known is None:
            continue
        with contextlib.suppress(KeyChoiceError):
            present = opening.present(circumstances, known.name)
            session = stack.enter_context(opening.opened(present, remarking=False))
            if session.info.listing:
                sessions[key_id] = session
    return sessions


def _unlock(circumstances: Circumstances, sessions: Mapping[str, Session]) -> None:
    if sessions:
        circumstances.asker.check_confirmable()
    circumstances.asker.check_pins_for(len(sessions))
    for session in sessions.values():
        unlocking.require_current_pin_usable(session)
        unlocking.unlock(session, circumstances)


def _left(session: Session, inventory: Inventory, journal: Collection[Unfinished]) -> tuple[Listed, ...]:
    """What unfinished pairings have left on an unlocked key.

    Not what was there before they were begun, and not what belongs to a pairing, here or by its record.
    """
    key_id = session.key.id or ""
    begun_here = [unfinished for unfinished in journal if key_id in unfinished.before]
    pairing_ids = {unfinished.pairing_id for unfinished in begun_here}
    kept = _of_pairings(inventory, key_id)
    return tuple(
        listed
        for listed in session.own_credentials.list()
        if _id(listed) not in kept
        and any(_id(listed) not in unfinished.before[key_id] for unfinished in begun_here)
        and _pairing_of(session, listed) in {None, *pairing_ids}
    )


def _pairing_of(session: Session, listed: Listed) -> str | None:
    """The id of the pairing whose record goes with a credential; None: that is not known."""
    record = record_reading.record_under(session, listed.large_blob_key)
    return None if record is None else record.pairing_id


def _listed(session: Session) -> tuple[Listed, ...]:
    return session.own_credentials.list() if session.info.listing else ()


def _id(listed: Listed) -> bytes:
    return listed.passkey.credential_id


def _shown(own: Collection[Listed]) -> str:
    return ", ".join(_id(listed).hex()[:_SHOWN_DIGITS] for listed in own)


def offer(session: Session, circumstances: Circumstances) -> None:
    """Offer to delete what an unfinished pairing has left on an unlocked key; nobody is asked where nobody is there.

    Raises:
        KeyctlError: It could not be deleted.
    """
    key_id = session.key.id or ""
    if not circumstances.asker.attended:
        return
    begun_here = [unfinished for unfinished in begun.read_all(circumstances.state) if key_id in unfinished.before]
    if not begun_here:
        return
    inventory = store.read(circumstances.home)
    for unfinished in begun_here:
        left = _left(session, inventory, [unfinished])
        if left:
            question = f"{session.key.label} still has {_shown(left)} from a pairing that did not end. Delete it?"
            try:
                circumstances.asker.confirm(question)
            except DeclinedError:
                # It stays noted, and does not keep anybody from pairing.
                continue
            delete(session, left, _LEFT)
        ended(circumstances, unfinished, key_id)


def _of_pairings(inventory: Inventory, key_id: str) -> set[bytes]:
    """The credentials on a key that belong to pairings which are in the inventory."""
    found = {record.credential_id for one in inventory.pairings for record in one.stored_on if record.key_id == key_id}
    found |= {one.seed.credential_id for one in inventory.pairings if one.seed is not None and one.backup_id == key_id}
    return found
