"""Resetting a key: everything on it is lost, so its name is typed back first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from keyctl.core.text import visible
from keyctl.device import discover
from keyctl.errors import UnreachableError, UnsupportedError
from keyctl.model import Transport
from keyctl.operations import noting, opening, stranding
from keyctl.operations.pins import KeyChange
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.core.inventory import Inventory
    from keyctl.device.discover import Found
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances

#: Keys accept a reset for 10 s after power-up (CTAP 2.2, section 6.6), some for 5 s: see the key's return at once.
_POLL_S = 0.1


def reset(circumstances: Circumstances, *, dry_run: bool) -> KeyChange:
    """Erase the key: passkeys, registrations and PIN.

    Asks for its name and a touch; where the key refuses because it was plugged in too long ago, and a person is there,
    asks to take it out and put it back. A dry run tells what would be lost.

    Raises:
        DeclinedError: The name was not typed back, or ``--confirm`` says another.
        UnsupportedError: The key does not reset over this transport, or not now (``reset_not_now``).
        UnreachableError: Another key came back than the one that was taken out (``wrong_key``).
    """
    if not dry_run:
        circumstances.asker.check_confirmable()
        store.read_whole(circumstances.home)
    with opening.opened(circumstances) as session:
        key = session.key
        _require_transport(session)
        if dry_run:
            stranding.tell(circumstances.asker, _lost(key, circumstances), "")
            circumstances.asker.check_given(key.label, typed=True)
            return KeyChange(key=key, changed=False)
        if key.id is not None:
            noting.require_writable(circumstances)
        circumstances.asker.confirm_by_typing(_warning(key, circumstances), key.label)
        if _reset_now(session, circumstances):
            return KeyChange(key=noting.was_reset(circumstances, key), changed=True)
    found = _replugged(key, circumstances)
    with opening.connected(found, circumstances) as session:
        _require_same(key, session.key)
        session.reset()
        return KeyChange(key=noting.was_reset(circumstances, session.key), changed=True)


def _reset_now(session: Session, circumstances: Circumstances) -> bool:
    """Whether the key was erased; False: it has to be plugged in anew first, and somebody is there to do it."""
    if session.info.long_touch_for_reset:
        circumstances.asker.tell("this key wants a long touch: keep the finger on it until it stops blinking")
    try:
        session.reset()
    except UnsupportedError as error:
        # A card gets power anew with every connection, so replugging is no cure there.
        replugging_helps = session.key.transport in {Transport.USB, Transport.VIRTUAL}
        if error.code == "reset_not_now" and replugging_helps and circumstances.turn_s > 0:
            return False
        raise
    return True


def _require_transport(session: Session) -> None:
    """Some keys reset over one transport only (getInfo transportsForReset, CTAP 2.2, section 6.4)."""
    allowed = session.info.transports_for_reset
    own = {Transport.NFC: "nfc", Transport.CONTACT: "smart-card"}.get(session.key.transport or Transport.USB, "usb")
    if allowed and own not in allowed:
        label = session.key.label
        raise UnsupportedError(
            "unsupported",
            f"{label} can be reset over {' or '.join(allowed)} only",
            "connect it that way and run the command again",
            key=label,
        )


def _warning(key: Key, circumstances: Circumstances) -> str:
    what = visible(f"{key.label}, {key.model}" if key.model else key.label)
    return (
        f"{_lost(key, circumstances)}This erases {what}: all passkeys, all registrations and the PIN.\n"
        "Accounts that only this key opens are lost to you; nothing can bring them back."
    )


def _lost(key: Key, circumstances: Circumstances) -> str:
    """What else is lost with what is on the key, a line each; empty where that is nothing."""
    inventory = store.read(circumstances.home)
    stranded = stranding.lines(inventory, key.id) if key.id is not None else ""
    return f"{stranded}{_pairings_lost(inventory, key)}"


def _pairings_lost(inventory: Inventory, key: Key) -> str:
    """What becomes of its pairings, a line each; empty where there are none."""
    lines = []
    for pairing in inventory.pairings_of(key.id or ""):
        from keyctl.core import ended_pairings
        from keyctl.operations import pair_choice

        label = visible(pair_choice.label(inventory, pairing))
        broken = ended_pairings.loses_all(pairing, key.id or "")
        lines.append(f"It breaks the pairing {label} for good.\n" if broken else f"The pairing {label} stays.\n")
    return "".join(lines)


def _replugged(key: Key, circumstances: Circumstances) -> Found:
    """The key, found again after it was taken out."""
    tell = circumstances.asker.tell
    others = {found.selector for found in _same_kind(key, circumstances)} - {key.selector}
    if key.transport is Transport.VIRTUAL:
        how = f"in another terminal: `keyctl virtual unplug {key.path}`, then `keyctl virtual plug {key.path}`"
    else:
        how = "take it out now and put it back in"
    tell(f"{key.label} resets only just after it was plugged in: {how} ({circumstances.turn_s:g} s)")
    _wait(
        circumstances,
        lambda: [found for found in _same_kind(key, circumstances) if found.selector == key.selector],
        gone=True,
    )
    tell("put it back in now" if key.transport is not Transport.VIRTUAL else "plug it in now")
    return _wait(
        circumstances, lambda: [found for found in _same_kind(key, circumstances) if found.selector not in others]
    )[0]


def _same_kind(key: Key, circumstances: Circumstances) -> list[Found]:
    scheme = "virtual:" if key.transport is Transport.VIRTUAL else "usb:"
    found = discover.discover(circumstances.home, scheme).found
    return [candidate for candidate in found if candidate.transport is key.transport]


def _wait(circumstances: Circumstances, look: Callable[[], list[Found]], *, gone: bool = False) -> list[Found]:
    deadline = time.monotonic() + circumstances.turn_s
    while bool(seen := look()) is gone:
        if time.monotonic() >= deadline:
            raise UnreachableError(
                "key_silent",
                f"the key was not {'taken out' if gone else 'put back'} within {circumstances.turn_s:g} s",
                "nothing was changed; run the command again, with --wait SECONDS for more time",
            )
        time.sleep(_POLL_S)
    return seen


def _require_same(before: Key, after: Key) -> None:
    if (before.id, before.aaguid, before.serial) != (after.id, after.aaguid, after.serial):
        raise UnreachableError(
            "wrong_key",
            f"another key came back: {after.model or after.label} instead of {before.model or before.label}",
            "nothing was changed; put back the key that you took out",
            key=after.label,
        )
