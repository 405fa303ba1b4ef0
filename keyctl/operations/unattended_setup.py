"""Making, forgetting and listing the persistent tokens of this computer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.names import composed, quoted
from keyctl.core.text import visible
from keyctl.device import discover
from keyctl.errors import Details, KeyChoiceError, NotFoundError, StoreError, UnsupportedError
from keyctl.model import Recognition
from keyctl.operations import at_once, listing, opening, recognising, unattended, unlocking
from keyctl.operations.pins import KeyChange
from keyctl.store import inventory as store
from keyctl.store import system_keyring, unattended_tokens
from keyctl.store.unattended_tokens import Note, TokenPlace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.recognising import Known


@dataclass(frozen=True, kw_only=True)
class Unattended(KeyChange):
    """The key, whether anything is another than before, and where its token is now."""

    #: None: there is none.
    kept: TokenPlace | None


@dataclass(frozen=True, kw_only=True)
class KeptToken:
    """The token of one key."""

    key: Key
    kept: TokenPlace
    since: str
    #: When the key last took it; None: not since it was made.
    last_used: str | None
    #: Whether the key takes it; None: the key is not connected, or the keyring cannot be used.
    works: bool | None


@dataclass(frozen=True, kw_only=True)
class KeptTokens:
    """All tokens of this computer, by the names of their keys."""

    tokens: tuple[KeptToken, ...]


def on(circumstances: Circumstances, *, to_file: bool, dry_run: bool) -> Unattended:
    """Have a known key make its persistent token, and keep that here; asks for the PIN, unless it has one that works.

    Args:
        circumstances: What the command line says.
        to_file: Whether to keep it in a file instead of the system's keyring.
        dry_run: Check everything that needs no PIN, change nothing.

    Raises:
        UnsupportedError: The key has no such token.
        PinError: It has no PIN, or the PIN is wrong, missing or may not be tried.
        NotFoundError: It has no name here.
        StoreError: The keyring cannot be used, or the file cannot be written.
        DeclinedError: The answer was no.
    """
    place = TokenPlace.FILE if to_file else TokenPlace.KEYRING
    if not dry_run:
        circumstances.asker.check_confirmable()
    with opening.opened(circumstances) as session:
        session.persistent_token.require_support()
        unlocking.require_pin(session)
        unlocking.require_current_pin_usable(session)
        _require_name(session)
        attended = circumstances.asker.attended
        if place is TokenPlace.KEYRING:
            unattended.in_time(lambda: system_keyring.require(unlocking=attended), patient=attended)
        token = _working_token(session, circumstances)
        note = unattended.note_of(circumstances, session.key)
        if token is not None and note is not None and note.kept is place:
            return Unattended(key=session.key, changed=False, kept=place)
        if dry_run:
            if token is None:
                unlocking.check_unlockable(session, circumstances)
            return Unattended(key=session.key, changed=False, kept=note.kept if note is not None else None)
        if place is TokenPlace.FILE:
            unattended_tokens.require_folder(circumstances.state)
        circumstances.asker.confirm(_warning(session.key, place))
        if token is None:
            unlocking.unlock(session, circumstances)
            token = session.persistent_token.issue()
        _keep(circumstances, session.key, place, token)
        return Unattended(key=session.key, changed=True, kept=place)


def off(circumstances: Circumstances, *, dry_run: bool) -> Unattended:
    """Forget the token of a key here; on the key it goes on, so a copy of it works until the PIN changes.

    Without ``--key`` it is that of the only key that has one; the key needs not be connected.

    Raises:
        KeyChoiceError: Several keys have one, or the key that is meant is not there.
        NotFoundError: No key has one, and none or several are connected (``name_not_found``).
        StoreError: The keyring cannot be used.
    """
    key = _meant(circumstances)
    note = unattended.note_of(circumstances, key)
    if note is None:
        return Unattended(key=key, changed=False, kept=None)
    if dry_run:
        return Unattended(key=key, changed=False, kept=note.kept)
    unattended.forget(circumstances, key.id or "", note, unlocking=circumstances.asker.attended)
    return Unattended(key=key, changed=True, kept=None)


def kept_tokens(circumstances: Circumstances) -> KeptTokens:
    """Which known keys have a token here, and whether those that are connected take it.

    Raises:
        NotFoundError: ``--key`` names a key that is not known.
    """
    known = recognising.known(circumstances)
    keys = known.inventory.keys
    if circumstances.wanted is not None:
        keys = (_known_as(known.inventory, circumstances.wanted),)
    noted = unattended_tokens.read_notes(known.state, keys)
    connected = _asked(circumstances, known, {key.id: note for key, note in noted}) if noted else {}
    tokens = []
    for key, note in sorted(noted, key=lambda one: one[0].name):
        there, works = connected.get(key.id, (recognising.absent(key, known.state), None))
        tokens.append(KeptToken(key=there, kept=note.kept, since=note.since, last_used=note.last_used, works=works))
    return KeptTokens(tokens=tuple(tokens))


def _require_name(session: Session) -> None:
    key = session.key
    if key.recognition is Recognition.LOCKED:
        raise UnsupportedError(
            "unsupported",
            f"{key.label} says which key it is only with its PIN, so that it gets no token without it either",
            "this comes of its setting that it always wants the PIN (alwaysUv)",
            key=key.label,
        )
    if key.id is None:
        raise NotFoundError(
            "name_not_found",
            f"{key.label} has no name here, and only keys that are known can be read unattended",
            f"give it one first: `keyctl add NAME -k {quoted(key.selector or '')}`",
            key=key.label,
        )


def _working_token(session: Session, circumstances: Circumstances) -> bytes | None:
    """The token of before, where the key takes it still."""
    if not unattended.may_see_token(session):
        return None
    token = unattended.token_for(circumstances, session.key)
    return token if token is not None and session.persistent_token.works(token) else None


def _warning(key: Key, place: TokenPlace) -> str:
    label = visible(key.label)
    where = "in the system's keyring" if place is TokenPlace.KEYRING else "in a file that only you can read"
    return (
        f"{label} makes a token with which programs of this account read it without its PIN; it is kept {where}.\n"
        "Whoever copies it, or records one exchange of it with the key, can read the sites, names and credential ids\n"
        "on the key, and perhaps its large blobs, until the PIN changes. Nothing can be changed with it, and nobody\n"
        "can sign in.\n"
        f"`keyctl unattended off` forgets it here; `keyctl pin change -k {quoted(label)}` ends it for everybody.\n"
        "Make it?"
    )


def _keep(circumstances: Circumstances, key: Key, place: TokenPlace, token: bytes) -> None:
    """Keep a token there, and nowhere else."""
    assert key.id is not None
    key_id, state, attended = key.id, circumstances.state, circumstances.asker.attended
    before = unattended.note_of(circumstances, key)
    try:
        unattended.in_time(
            lambda: unattended_tokens.write(state, key_id, place, token, unlocking=attended), patient=attended
        )
        unattended_tokens.write_note(state, key_id, Note(kept=place, since=times.now()), durable=True)
        if before is not None and before.kept is not place:
            unattended.in_time(
                lambda: unattended_tokens.delete(state, key_id, before.kept, unlocking=attended), patient=attended
            )
    except StoreError as error:
        raise error.about(key.label) from error


def _meant(circumstances: Circumstances) -> Key:
    """Whose token is to be forgotten: a known key, connected or not."""
    inventory = store.read(circumstances.home)
    wanted = circumstances.wanted
    if wanted is not None and (named := inventory.key_named(composed(wanted))) is not None:
        return recognising.absent(named, circumstances.state)
    if wanted is None:
        noted = [key for key, _ in unattended_tokens.read_notes(circumstances.state, inventory.keys)]
        if len(noted) == 1:
            return recognising.absent(noted[0], circumstances.state)
        if noted:
            raise KeyChoiceError(
                "several_keys",
                f"several keys have a token here: {', '.join(key.name for key in noted)}",
                f"choose one with -k, like `-k {quoted(noted[0].name)}`",
                details=Details(candidates=tuple(key.name for key in noted)),
            )
    try:
        with opening.opened(circumstances) as session:
            return session.key
    except KeyChoiceError as error:
        if wanted is not None:
            raise
        # Another key plugged in, or a choice, would not help.
        hint = "there is nothing to switch off; `keyctl unattended list` shows the keys that have one"
        raise NotFoundError("name_not_found", "no key has a token on this computer", hint) from error


def _known_as(inventory: Inventory, wanted: str) -> KnownKey:
    found = inventory.key_named(composed(wanted))
    if found is None:
        raise NotFoundError(
            "name_not_found", f"no key is called {wanted}", "tokens are kept by name; `keyctl list --known` shows all"
        )
    return found


def _asked(circumstances: Circumstances, known: Known, noted: Mapping[str, Note]) -> dict[str, tuple[Key, bool | None]]:
    """Every connected key with a token, by id, and whether it takes it."""
    told: dict[str, tuple[Key, bool | None]] = {}

    def ask(session: Session) -> None:
        recognising.recognise(session, known)
        key = session.key
        if key.id is None or key.id not in noted or not unattended.may_see_token(session):
            return
        works = None
        with contextlib.suppress(StoreError):
            token = unattended.stored(circumstances, key.id, noted[key.id])
            works = token is not None and session.persistent_token.works(token)
        told[key.id] = (session.key, works)

    at_once.each(discover.discover(circumstances.home).found, lambda found: listing.probe(found, circumstances, ask))
    return told
