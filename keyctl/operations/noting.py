"""Keeping the inventory true to what was just done or seen on a key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.inventory import SeenPasskey
from keyctl.errors import StoreError
from keyctl.model import KeyState
from keyctl.operations import unattended
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pairings import Pairing
    from keyctl.model import Key, Passkey
    from keyctl.operations.asking import Circumstances
    from keyctl.store.inventory import Changes


def seen(passkey: Passkey, now: str) -> SeenPasskey:
    """What the inventory keeps of a passkey that was just listed."""
    return SeenPasskey(
        credential_id=passkey.credential_id,
        rp_id=passkey.rp_id,
        rp_id_hash=passkey.rp_id_hash,
        user_id=passkey.user_id,
        user_name=passkey.user_name,
        display_name=passkey.display_name,
        protection=passkey.protection,
        seen_at=now,
    )


def with_passkeys(inventory: Inventory, key_id: str, passkeys: Iterable[Passkey]) -> Inventory:
    """The inventory, were *passkeys* noted on the key."""
    now = times.now()
    listed = {passkey.credential_id: seen(passkey, now) for passkey in passkeys}
    keys = tuple(
        replace(key, passkeys=tuple({**{kept.credential_id: kept for kept in key.passkeys}, **listed}.values()))
        if key.id == key_id
        else key
        for key in inventory.keys
    )
    return replace(inventory, keys=keys)


def require_writable(circumstances: Circumstances) -> None:
    """Refuse before anything is done to a key where it could not be noted afterwards.

    Raises:
        StoreError: The inventory is not whole, cannot be written, or another process holds it.
    """
    with store.changing(circumstances.home, circumstances.waits.lock_s):
        pass


def deleted(circumstances: Circumstances, key: Key, credential_ids: Collection[bytes]) -> None:
    """Forget passkeys that were deleted from *key*.

    Raises:
        StoreError: The inventory cannot be written.
    """

    def without(known: KnownKey, now: str) -> KnownKey:
        kept = tuple(passkey for passkey in known.passkeys if passkey.credential_id not in credential_ids)
        if kept == known.passkeys:
            return known
        return replace(known, passkeys=kept, changed={**known.changed, "passkeys": now})

    count = len(credential_ids)
    what = "1 passkey was" if count == 1 else f"{count} passkeys were"
    if credential_ids:
        _change(circumstances, key, f"{what} deleted from {key.label}", without)


def renamed(circumstances: Circumstances, key: Key, passkey: Passkey) -> None:
    """Note the names of a passkey that the inventory has.

    Raises:
        StoreError: The inventory cannot be written.
    """

    def with_names(known: KnownKey, now: str) -> KnownKey:
        passkeys = tuple(
            seen(passkey, now) if old.credential_id == passkey.credential_id else old for old in known.passkeys
        )
        if passkeys == known.passkeys:
            return known
        return replace(known, passkeys=passkeys, changed={**known.changed, "passkeys": now})

    _change(circumstances, key, f"the passkey on {key.label} was renamed", with_names)


def was_reset(circumstances: Circumstances, key: Key) -> Key:
    """Note that *key* was erased just now, and return it so.

    Raises:
        StoreError: The inventory cannot be written.
    """

    def erased(known: KnownKey, now: str) -> KnownKey:
        return replace(known, state=KeyState.RESET, changed={**known.changed, "state": now})

    if key.id is None:
        return key
    _change(circumstances, key, f"{key.label} was erased", erased, also=pairings_end)
    unattended.forgotten(circumstances, key.id)
    return replace(key, state=KeyState.RESET)


def pairings_end(changes: Changes, key_id: str, now: str) -> None:
    """Note of every pairing of the key that what the key held of it is gone.

    Raises:
        StoreError: The inventory cannot be written.
    """
    for pairing in changes.inventory.pairings_of(key_id):
        from keyctl.core import ended_pairings

        changes.put_pairing(ended_pairings.erased(pairing, key_id, now=now))


def pairing_removed(circumstances: Circumstances, pairing: Pairing) -> None:
    """Drop what this computer keeps of a pairing that is not in the inventory any more.

    Raises:
        StoreError: A file cannot be deleted.
    """
    from keyctl.store import blob_keys

    local_state.forget_seed(circumstances.state, pairing.id)
    for key_id in (pairing.primary_id, pairing.backup_id):
        blob_keys.forget(circumstances.state, pairing.id, key_id)


def _change(
    circumstances: Circumstances,
    key: Key,
    what: str,
    change: Callable[[KnownKey, str], KnownKey],
    also: Callable[[Changes, str, str], None] = lambda _changes, _key_id, _now: None,
) -> None:
    """Put what *change* makes of the record of *key* and of now into the inventory; *what* was done to the key.

    *also* changes what else belongs to the key, before its own record.
    """
    if key.id is None:
        return
    try:
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            known = changes.inventory.key_with_id(key.id)
            if known is not None:
                now = times.now()
                also(changes, known.id, now)
                changes.put_key(change(known, now))
    except StoreError as error:
        raise StoreError(
            error.code,
            f"{what}, but that could not be noted: {error.message}",
            error.hint,
            key=key.label,
            details=error.details,
        ) from error
