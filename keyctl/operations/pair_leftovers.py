"""What a pairing that ended half-way leaves on a key: named, and deleted again.

Keyctl's own discoverable credentials are listed before one is made, and whatever is there beside them afterwards is
left from what went wrong. When the pairing is in the inventory nothing went wrong that counts: it stays whole.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.errors import DeclinedError, KeyChoiceError, KeyctlError, StoreError
from keyctl.operations import leftovers_on_key, opening, pair_unfinished, unlocking
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.operations.pair_views import Remains, Removal
from keyctl.store import blob_keys
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from keyctl.core.inventory import Inventory
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.store.unfinished import Unfinished


def own_on(session: Session) -> tuple[bytes, ...]:
    """The ids of keyctl's own credentials on an unlocked key; empty where it cannot list them."""
    return tuple(map(leftovers_on_key.id_of, leftovers_on_key.listed_on(session)))


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
    with undone(
        session, circumstances, unfinished.pairing_id, before, lambda: ended(circumstances, unfinished, key_id)
    ):
        yield
    ended(circumstances, unfinished, key_id)


@contextlib.contextmanager
def giving_seed(session: Session, circumstances: Circumstances, unfinished: Unfinished) -> Iterator[None]:
    """Around giving an unlocked primary key the seed of its backup key, which it does not hold yet; else as the above.

    Args:
        session: The primary key.
        circumstances: What the command line says.
        unfinished: The note, with the seed.

    Raises:
        KeyctlError: As :func:`undone`.
        StoreError: It cannot be noted.
    """
    from keyctl.operations import pair_draft

    seed = unfinished.recovery_seed
    assert seed is not None

    def undo() -> bool:
        # In one that is not whole, a pairing that goes by the seed may be missing.
        return pair_draft.remove_unused(session, store.read_whole(circumstances.home), seed)

    begun.write(circumstances.state, unfinished)
    with _undoing(
        session,
        circumstances,
        unfinished.pairing_id,
        undo,
        lambda: ended(circumstances, unfinished, unfinished.primary_id),
    ):
        yield


def undone(
    session: Session,
    circumstances: Circumstances,
    pairing_id: str,
    before: Collection[bytes],
    on_undone: Callable[[], None],
) -> contextlib.AbstractContextManager[None]:
    """Around making something on an unlocked key: should it fail, what was made is deleted again.

    Unless the pairing is in the inventory by then, as after an interruption at the very end: then all of it stays.

    Args:
        session: The key.
        circumstances: What the command line says.
        pairing_id: The pairing for which it is made.
        before: What was there before, see :func:`own_on`.
        on_undone: Called when nothing of it is left.

    Raises:
        KeyctlError: What went wrong, with what became of what was made.
    """
    return _undoing(
        session,
        circumstances,
        pairing_id,
        lambda: _delete_new(session, circumstances, pairing_id, before),
        on_undone,
    )


@contextlib.contextmanager
def _undoing(
    session: Session,
    circumstances: Circumstances,
    pairing_id: str,
    undo: Callable[[], bool],
    on_undone: Callable[[], None],
) -> Iterator[None]:
    """As :func:`undone`, with what deletes it and says whether there was anything."""

    def undoing() -> bool | None:
        """Whether anything was deleted; None: the pairing was made."""
        # Where this is not known, the journal stays, and nothing is deleted.
        if store.has_pairing(circumstances.home, pairing_id):
            with contextlib.suppress(StoreError):
                begun.remove(circumstances.state, pairing_id)
            return None
        deleted = undo()
        if session.info.listing:
            on_undone()
        return deleted

    try:
        yield
    except KeyctlError as error:
        label = session.key.label
        try:
            deleted = undoing()
        except KeyctlError:
            raise error.continued(f"what was made on {label} may still be there", CLEAN_UP) from error
        if deleted is None:
            raise error.continued("but the pairing was made: `keyctl pair list` shows it") from error
        if deleted:
            raise error.continued(f"what was made on {label} was deleted again") from error
        raise
    except BaseException:
        # An interruption; the journal tells of what cannot be deleted now.
        with contextlib.suppress(KeyctlError):
            if undoing():
                circumstances.asker.tell(f"what was made on {session.key.label} was deleted again")
        raise


def _delete_new(session: Session, circumstances: Circumstances, pairing_id: str, before: Collection[bytes]) -> bool:
    """Delete keyctl's own credentials that are not among *before*, each with its large blob; whether there were any.

    Raises:
        KeyctlError: The key is gone, or cannot delete them.
    """
    key_id = session.key.id or ""
    # Another process may have paired the same key meanwhile.
    kept = {*before, *leftovers_on_key.of_pairings(store.read(circumstances.home), key_id)}
    # Some keys leave it out of the list. It was kept here before the blob was written, so nobody has to touch the key.
    blob_key = blob_keys.read(circumstances.state, pairing_id, key_id)
    new = [
        replace(listed, large_blob_key=listed.large_blob_key or blob_key)
        for listed in leftovers_on_key.listed_on(session)
        if leftovers_on_key.id_of(listed) not in kept
    ]
    leftovers_on_key.delete(session, new, leftovers_on_key.LEFT)
    blob_keys.forget(circumstances.state, pairing_id, key_id)
    return bool(new)


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
        left = {key_id: leftovers_on_key.find(session, inventory, journal) for key_id, session in sessions.items()}
        told = [f"{sessions[key_id].key.label} still has {found}" for key_id, found in left.items() if found]
        if told:
            circumstances.asker.confirm(
                f"{' and '.join(told)}, made since a pairing was begun here that did not end. A seed that was made on "
                "another computer since then would be among that.\nDelete it?"
            )
            # Whoever was asked may have taken long.
            inventory = store.read_whole(circumstances.home)
        for key_id, session in sessions.items():
            leftovers_on_key.delete_left(session, inventory, left[key_id])
            cleaned.append(session.key.label)
            for unfinished in journal:
                _forget(circumstances, inventory, unfinished, key_id)
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


def _forget(circumstances: Circumstances, inventory: Inventory, unfinished: Unfinished, key_id: str) -> None:
    """Nothing is left of it on that key."""
    pairing_id = unfinished.pairing_id
    noted = next((one for one in begun.read_all(circumstances.state) if one.pairing_id == pairing_id), None)
    if noted is None or key_id not in noted.before:
        return
    ended(circumstances, noted, key_id)
    if inventory.pairing_with_id(pairing_id) is None:
        local_state.forget_seed(circumstances.state, pairing_id)
        blob_keys.forget(circumstances.state, pairing_id, key_id)


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
        left = leftovers_on_key.find(session, inventory, [unfinished])
        if left:
            question = f"{session.key.label} still has {left} from a pairing that did not end. Delete it?"
            try:
                circumstances.asker.confirm(question)
            except DeclinedError:
                # It stays noted, and does not keep anybody from pairing.
                continue
            leftovers_on_key.delete_left(session, store.read_whole(circumstances.home), left)
        ended(circumstances, unfinished, key_id)
