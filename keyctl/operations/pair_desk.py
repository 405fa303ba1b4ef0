"""Two keys that a command needs both: side by side, or one after the other where there is but one port or reader."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from keyctl.core import pair_methods
from keyctl.core.names import quoted
from keyctl.core.pairings import Method
from keyctl.device.discover import is_selector
from keyctl.errors import KeyChoiceError, NotFoundError, PinError, UnsupportedError
from keyctl.model import Recognition
from keyctl.operations import naming, opening, unlocking

if TYPE_CHECKING:
    import contextlib

    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.core.pair_methods import Choice
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """The two keys as they are known."""

    primary: KnownKey
    backup: KnownKey
    #: Those that were named by their path, open: key id -> connection.
    opened: dict[str, Session] = field(default_factory=dict)


def resolved(
    circumstances: Circumstances, inventory: Inventory, primary: str, backup: str, stack: contextlib.ExitStack
) -> KeyPair:
    """The two keys that a command line names, by name or by path.

    A key that tells nobody who it is without its PIN (alwaysUv) has to be named by its path, and gets its PIN here.

    Raises:
        NotFoundError: One of them is not known.
        KeyChoiceError: It is not at this path.
        PinError: It wants its PIN, and that is wrong, missing or may not be tried.
    """
    opened: dict[str, Session] = {}
    known = [_resolved(circumstances, inventory, text, opened, stack) for text in (primary, backup)]
    return KeyPair(primary=known[0], backup=known[1], opened=opened)


def _resolved(
    circumstances: Circumstances,
    inventory: Inventory,
    text: str,
    opened: dict[str, Session],
    stack: contextlib.ExitStack,
) -> KnownKey:
    if not is_selector(text):
        return naming.find(inventory, text)
    at_path = replace(circumstances, wanted=text)
    session = stack.enter_context(opening.opened(at_path))
    if session.key.recognition is Recognition.LOCKED:
        unlocking.unlock(session, at_path)
    known = inventory.key_with_id(session.key.id or "")
    if known is None:
        raise NotFoundError(
            "name_not_found",
            f"the key at {text} has no name yet",
            f"give it one: `keyctl add NAME -k {quoted(text)}`",
            key=text,
        )
    opened[known.id] = session
    return known


class Desk:
    """The two keys on it, or one after the other where there is but one port."""

    def __init__(self, circumstances: Circumstances, keys: KeyPair, stack: contextlib.ExitStack) -> None:
        self.circumstances = circumstances
        self.keys = keys
        self._stack = stack
        self.backup = keys.opened.get(keys.backup.id) or self._if_connected(keys.backup)
        self.primary = keys.opened.get(keys.primary.id) or self._if_connected(keys.primary)
        for key, session in ((keys.backup, self.backup), (keys.primary, self.primary)):
            if session is None and circumstances.turn_s == 0:
                raise KeyChoiceError(
                    "no_key",
                    f"{key.name} is not connected",
                    "plug in both keys; at a terminal, or with --wait SECONDS, one after the other will do; "
                    "`--method registration` needs neither",
                    key=key.name,
                )

    @property
    def both(self) -> bool:
        """Whether both keys are connected at the same time."""
        return self.primary is not None and self.backup is not None

    def choose(self, wanted: Method | None) -> Choice:
        """The method, after every check that costs nothing; may wait for the backup key."""
        if self.backup is None:
            if self.primary is not None:
                # Its place may be needed; a card that is taken off the reader is gone anyway.
                self.check_able(self.primary, wanted)
                self.primary.close()
                self.primary = None
            self.backup = self._in_turn(self.keys.backup, "the backup key")
        sides = [
            pair_methods.Side(name=key.name, virtual=key.virtual, info=session.info if session is not None else None)
            for key, session in ((self.keys.primary, self.primary), (self.keys.backup, self.backup))
        ]
        if wanted is None:
            choice = pair_methods.strongest(*sides)
        else:
            for role, side in zip(("primary", "backup"), sides, strict=True):
                if side.info is not None or role == "backup":
                    _require(wanted, side, role)
            choice = pair_methods.Choice(method=wanted, reasons=())
        if choice.method is not Method.REGISTRATION:
            for session in (self.backup, self.primary):
                if session is not None:
                    self.check_able(session, choice.method)
        return choice

    def check_able(self, session: Session, method: Method | None) -> None:
        """What speaks against a connected key, without PIN and touch."""
        label = session.key.label
        if session.is_u2f:
            if method in {None, Method.REGISTRATION}:
                return
            raise UnsupportedError(
                "unsupported",
                f"{label} only knows U2F: it has no PIN and can keep nothing of a pairing",
                "pair it with `--method registration`",
                key=label,
            )
        unlocking.require_pin_support(session)
        if not session.info.pin_set and method is not None:
            raise PinError(
                "pin_not_set",
                f"{label} has no PIN yet, and without one anybody who finds it could use it",
                f"give it one with `keyctl pin set -k {quoted(label)}`",
                key=label,
            )

    def turn_of_primary(self) -> Session:
        """The primary key, open; where there is one port it takes the place of the backup key."""
        if self.primary is None:
            name = self.keys.backup.name
            self.circumstances.asker.tell(f"{name} is done: you can put it back into the safe now")
            self.primary = self._in_turn(self.keys.primary, "the primary key")
        return self.primary

    def close_backup(self) -> None:
        """End the connection to the backup key."""
        assert self.backup is not None
        self.backup.close()
        self.backup = None

    def reopened_backup(self) -> Session:
        """The backup key once more, after another process had it."""
        self.backup = self._if_connected(self.keys.backup) or self._in_turn(self.keys.backup, "the backup key")
        return self.backup

    def _if_connected(self, key: KnownKey) -> Session | None:
        try:
            return self._opened(opening.present(self.circumstances, key.name), key)
        except KeyChoiceError:
            return None

    def _in_turn(self, key: KnownKey, what: str) -> Session:
        if self.circumstances.turn_s > 0:
            self.circumstances.asker.tell(f"{what} is next: {key.name}")
        waits = replace(self.circumstances.waits, plug_s=self.circumstances.turn_s)
        return self._opened(replace(self.circumstances, wanted=key.name, waits=waits), key)

    def _opened(self, circumstances: Circumstances, key: KnownKey) -> Session:
        session = self._stack.enter_context(opening.opened(circumstances))
        if session.key.recognition is Recognition.CLAIMED and session.key.id != key.id:
            raise KeyChoiceError("no_key", f"{key.name} is not connected", "plug it in", key=key.name)
        return session


def _require(method: Method, side: pair_methods.Side, role: str) -> None:
    if (why := pair_methods.why_not(method, side, role=role)) is not None:
        raise UnsupportedError(
            "unsupported",
            f"{side.name} cannot be a {role} key by the method {method}: {why}",
            "`--method auto` takes the strongest method that both keys can do",
            key=side.name,
        )
