"""What a pairing that ended half-way leaves on a key: named, and deleted again.

Keyctl's own discoverable credentials are listed before one is made, and whatever is there beside them afterwards is
left from what went wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.errors import DeclinedError, KeyChoiceError, KeyctlError
from keyctl.operations import opening, unlocking
from keyctl.operations.pair_views import Remains, Removal
from keyctl.store import inventory as store
from keyctl.store import state as local_state
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.store.unfinished import Unfinished

#: Of a credential's id: enough to tell it from others.
_SHOWN_DIGITS = 16
CLEAN_UP = "`keyctl pair remove --leftovers` deletes it, with the key plugged in"


def own_on(session: Session) -> tuple[bytes, ...]:
    """The ids of keyctl's own credentials on an unlocked key; empty where it cannot list them."""
    if not session.info.listing:
        return ()
    return tuple(listed.passkey.credential_id for listed in session.own_credentials.list())


@contextlib.contextmanager
def undone(session: Session, before: Collection[bytes], on_undone: Callable[[], None] = lambda: None) -> Iterator[None]:
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


def delete_new(session: Session, before: Collection[bytes]) -> tuple[bytes, ...]:
    """Delete keyctl's own credentials that are not among *before*, each with its large blob.

    Returns:
        The ids of those that were deleted.

    Raises:
        KeyctlError: The key is gone, or cannot delete them.
    """
    if not session.info.listing:
        return ()
    deleted = []
    for listed in session.own_credentials.list():
        credential_id = listed.passkey.credential_id
        if credential_id in before:
            continue
        if listed.large_blob_key is not None and session.blobs.supported:
            session.blobs.remove(listed.large_blob_key)
        session.delete_passkey(credential_id)
        deleted.append(credential_id)
    return tuple(deleted)


def ended(circumstances: Circumstances, unfinished: Unfinished, key_id: str) -> None:
    """Note that nothing is left on one key; when that was the last one, the whole is over."""
    before = {one: ids for one, ids in unfinished.before.items() if one != key_id}
    if before:
        begun.write(circumstances.state, replace(unfinished, before=before))
    else:
        begun.remove(circumstances.state, unfinished.pairing_id)


def told(circumstances: Circumstances) -> list[str]:
    """A line for each pairing that was begun on this computer and has not ended."""
    inventory = store.read(circumstances.home)
    lines = []
    for unfinished in begun.read_all(circumstances.state):
        names = [_name(inventory, key_id) for key_id in unfinished.before]
        lines.append(
            f"a pairing that was begun at {unfinished.started_at} has not ended; something may be left of it on "
            f"{' and '.join(names)}: {CLEAN_UP}"
        )
    return lines


def clean_up(circumstances: Circumstances, *, dry_run: bool) -> Removal:
    """Delete what unfinished pairings have left on the connected keys, and say where something remains.

    Raises:
        PinError: A key wants its PIN, and it is wrong, missing or may not be tried.
    """
    inventory = store.read(circumstances.home)
    cleaned: list[str] = []
    remaining: list[str] = []
    for unfinished in begun.read_all(circumstances.state):
        for key_id, before in unfinished.before.items():
            known = inventory.key_with_id(key_id)
            if known is None or dry_run or not _cleaned(circumstances, inventory, known, before):
                remaining.append(_name(inventory, key_id))
                continue
            cleaned.append(known.name)
            ended(circumstances, _again(circumstances, unfinished), key_id)
            local_state.forget_seed(circumstances.state, unfinished.pairing_id)
    return Removal(
        pairing=None,
        changed=bool(cleaned),
        removed_from=tuple(cleaned),
        remains=tuple(Remains(key=name, credential_id=None, what="leftover") for name in remaining),
    )


def offer(session: Session, circumstances: Circumstances) -> None:
    """Offer to delete what an unfinished pairing has left on an unlocked key; nobody is asked where nobody is there.

    Raises:
        KeyctlError: It could not be deleted.
    """
    key_id = session.key.id or ""
    if not circumstances.asker.attended:
        return
    for unfinished in begun.read_all(circumstances.state):
        if key_id not in unfinished.before:
            continue
        kept = {*unfinished.before[key_id], *_of_pairings(store.read(circumstances.home), key_id)}
        left = [one for one in own_on(session) if one not in kept]
        if left:
            shown = ", ".join(one.hex()[:_SHOWN_DIGITS] for one in left)
            question = f"{session.key.label} still has {shown} from a pairing that did not end. Delete it?"
            try:
                circumstances.asker.confirm(question)
            except DeclinedError:
                # It stays noted, and does not keep anybody from pairing.
                continue
            delete_new(session, kept)
        ended(circumstances, unfinished, key_id)


def _cleaned(circumstances: Circumstances, inventory: Inventory, known: KnownKey, before: Collection[bytes]) -> bool:
    """Whether nothing is left on one key; False: it is not connected, or cannot delete a passkey."""
    try:
        with opening.opened(replace(circumstances, wanted=known.name), remarking=False) as session:
            unlocking.require_current_pin_usable(session)
            unlocking.unlock(session, circumstances)
            delete_new(session, {*before, *_of_pairings(inventory, known.id)})
            return session.info.listing
    except KeyChoiceError:
        return False


def _again(circumstances: Circumstances, unfinished: Unfinished) -> Unfinished:
    """As it is noted by now."""
    all_of_them = begun.read_all(circumstances.state)
    return next((one for one in all_of_them if one.pairing_id == unfinished.pairing_id), unfinished)


def _of_pairings(inventory: Inventory, key_id: str) -> set[bytes]:
    """The credentials on a key that belong to pairings which are in the inventory."""
    found = {record.credential_id for one in inventory.pairings for record in one.stored_on if record.key_id == key_id}
    found |= {one.seed.credential_id for one in inventory.pairings if one.seed is not None and one.backup_id == key_id}
    return found


def _name(inventory: Inventory, key_id: str) -> str:
    known = inventory.key_with_id(key_id)
    return known.name if known is not None else f"the key {key_id}"
