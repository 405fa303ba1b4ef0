"""Reading a key while nobody is there, by the persistent token that is kept on this computer.

It reads sites, names and credential ids, and changes nothing. It ends when the PIN changes, and with a reset.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from keyctl.core import times
from keyctl.core.names import quoted
from keyctl.device import deadline
from keyctl.errors import StoreError
from keyctl.operations import recognising
from keyctl.store import unattended_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.core.inventory import KnownKey
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.store.unattended_tokens import Note

_T = TypeVar("_T")

#: A keyring that does not answer for so long counts as one that cannot be used.
_KEYRING_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Permit:
    """What lets a key be read now: its token, which it takes, or which tells that nothing has changed."""

    token: bytes = field(repr=False)
    #: Whether the key holds what it held when it was last read, so that nothing has to be read.
    unchanged: bool


def token_for(circumstances: Circumstances, key: Key) -> bytes | None:
    """The token of *key*; None: there is none that can be had without asking anybody. Never unlocks a keyring."""
    note = note_of(circumstances, key)
    if note is None:
        return None
    try:
        return stored(circumstances, key.id or "", note)
    except StoreError:
        return None


def unchanged(session: Session, note: Note, token: bytes, record: KnownKey) -> bool | None:
    """Whether the key holds the passkeys that the inventory says; nothing is sent.

    Args:
        session: The key, which has proved which one it is.
        note: What is known of its token.
        token: That token.
        record: What the inventory says of the key.

    Returns:
        None: Not known: the key does not tell, was never read with the token, or the inventory says something else by
        now than it did after that. False may also mean that the token has ended.
    """
    mark = session.persistent_token.store_state(token)
    if mark is None or note.store_state is None or note.passkeys != _digest(record):
        return None
    return mark == note.store_state


def refused(circumstances: Circumstances, key: Key) -> None:
    """Drop the token of *key*, which the key takes no more, and say so."""
    forgotten(circumstances, key.id or "")
    circumstances.asker.tell(
        f"{key.label} takes its unattended token no more, as its PIN was changed or it was reset; it was dropped; "
        f"for a new one run `keyctl unattended on -k {quoted(key.label)}`"
    )


def forgotten(circumstances: Circumstances, key_id: str) -> None:
    """Drop the token of a key that is not known here any more, or has ended it; says what could not be dropped."""
    note = unattended_tokens.read_note(circumstances.state, key_id)
    if note is None:
        return
    try:
        forget(circumstances, key_id, note, unlocking=False)
    except StoreError as error:
        circumstances.asker.tell(f"the unattended token of this key could not be deleted: {error.message}")


def forget(circumstances: Circumstances, key_id: str, note: Note, *, unlocking: bool) -> None:
    """Keep the token no more.

    Args:
        circumstances: What the command line says.
        key_id: Whose token.
        note: What is known of it.
        unlocking: Whether somebody is there whom a locked keyring may ask.

    Raises:
        StoreError: The keyring cannot be used, or the file cannot be deleted.
    """
    state = circumstances.state
    in_time(lambda: unattended_tokens.delete(state, key_id, note.kept, unlocking=unlocking), patient=unlocking)
    unattended_tokens.forget_note(state, key_id)


def permit(session: Session, circumstances: Circumstances, record: KnownKey) -> Permit | None:
    """What lets *session* be read without its PIN; sends one command at most.

    A token that the key refuses is dropped, and that is said, as is why one cannot be had.

    Args:
        session: The key.
        circumstances: What the command line says.
        record: What the inventory says of it.

    Returns:
        None: There is no token, the key does not take it, or has not proved which one it is.

    Raises:
        UnreachableError: The key is gone, silent, or answers nonsense.
    """
    note = note_of(circumstances, session.key)
    if note is None or not may_see_token(session):
        return None
    token = _told_token(circumstances, session.key, note)
    if token is None:
        return None
    same = unchanged(session, note, token, record) is True
    if not same and not session.persistent_token.works(token):
        refused(circumstances, session.key)
        return None
    _note_use(circumstances, session.key)
    return Permit(token=token, unchanged=same)


def was_read(session: Session, circumstances: Circumstances, permitted: Permit, record: KnownKey) -> None:
    """Note that *record* says all that the key held when this connection began."""
    note = note_of(circumstances, session.key)
    if note is None:
        return
    mark = session.persistent_token.store_state(permitted.token)
    with contextlib.suppress(StoreError):
        # Without it, all is read again the next time.
        unattended_tokens.write_note(
            circumstances.state, record.id, replace(note, store_state=mark, passkeys=_digest(record))
        )


def may_see_token(session: Session) -> bool:
    """Whether the key has proved on this very connection which one it is, and has a token at all."""
    # Whoever put another public key into the inventory would get to see what reads the real key.
    return session.key.recognition in recognising.UNDISPUTED and session.info.persistent_token


def note_of(circumstances: Circumstances, key: Key) -> Note | None:
    """What is known of the token of *key*; None: it has none here."""
    return unattended_tokens.read_note(circumstances.state, key.id) if key.id is not None else None


def stored(circumstances: Circumstances, key_id: str, note: Note) -> bytes | None:
    """The token, without asking anybody.

    Raises:
        StoreError: It cannot be had.
    """
    return in_time(lambda: unattended_tokens.read(circumstances.state, key_id, note.kept), patient=False)


def _told_token(circumstances: Circumstances, key: Key, note: Note) -> bytes | None:
    """As :func:`token_for` where there is a *note*; says why it cannot be had."""
    try:
        token = stored(circumstances, key.id or "", note)
    except StoreError as error:
        circumstances.asker.tell(f"the unattended token of {key.label} is left alone: {error.message}")
        return None
    if token is None:
        circumstances.asker.tell(
            f"the unattended token of {key.label} is not in the {note.kept} any more; "
            f"for a new one run `keyctl unattended on -k {quoted(key.label)}`"
        )
    return token


def _note_use(circumstances: Circumstances, key: Key) -> None:
    # Read anew: waiting for the keyring takes time, in which another process may have dropped the token.
    note = note_of(circumstances, key)
    if note is not None and key.id is not None:
        with contextlib.suppress(StoreError):
            # What is only convenient must not keep a read from working.
            unattended_tokens.write_note(circumstances.state, key.id, replace(note, last_used=times.now()))


def _digest(record: KnownKey) -> bytes:
    """What the inventory says of the passkeys on a key, as SHA-256."""
    lines = sorted(
        repr(
            (
                passkey.credential_id,
                passkey.rp_id,
                passkey.rp_id_hash,
                passkey.user_id,
                passkey.user_name,
                passkey.display_name,
                passkey.protection,
            )
        )
        for passkey in record.passkeys
        if passkey.reset_at is None
    )
    return sha256("\n".join(lines).encode(errors="surrogatepass")).digest()


def in_time(use: Callable[[], _T], *, patient: bool) -> _T:
    """What *use* makes of the keyring.

    Args:
        use: Speaks to the keyring.
        patient: Whether to wait as long as it takes, as the keyring may be asking a person for its password.

    Raises:
        StoreError: It cannot be used, or does not answer.
    """
    if patient:
        return use()
    try:
        return deadline.bounded(use, _KEYRING_S)
    except TimeoutError as error:
        raise StoreError(
            "keyring_unusable",
            f"the system's keyring did not answer within {_KEYRING_S:g} s",
            "keep the token in a file instead: `keyctl unattended on --file`",
        ) from error
