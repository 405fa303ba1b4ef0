"""What one CTAP command works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.virtual.quirks import Quirk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from keyctl.virtual.clock import Clock
    from keyctl.virtual.files import KeyFiles
    from keyctl.virtual.presence import Presence
    from keyctl.virtual.profiles import Profile
    from keyctl.virtual.settings import Settings
    from keyctl.virtual.state import Credential, State

#: CTAP 2.2, section 6.3: what a "next" command continues is forgotten after this time.
CONTINUATION_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What a "next" command goes on with: the commands that give lists answer with one item at a time.

    It lives in the handle, because it belongs to one client, and any other command of that client ends it, as
    CTAP 2.2, section 6 permits.
    """

    #: Which command may continue.
    kind: str
    #: The items left.
    items: tuple[Any, ...]
    #: How many there were.
    total: int
    #: The credentials it was made from.
    credentials: tuple[Credential, ...]
    #: Seconds since 1970.
    last_used: float
    #: What all items share.
    shared: Any = None


class Context:
    """One command's view of the key; every change of :attr:`state` is followed by :meth:`changed`."""

    def __init__(
        self,
        *,
        profile: Profile,
        settings: Settings,
        state: State,
        files: KeyFiles,
        presence: Presence,
        clock: Clock,
        continuation: Continuation | None,
    ) -> None:
        """Start a command; *continuation* is what the one before left."""
        self.profile = profile.without_large_blobs() if Quirk.PREVIEW_SIGN_NO_LARGE_BLOB in settings.quirks else profile
        self.state = state
        self.presence = presence
        #: Seconds since 1970, when the command started.
        self.now = clock.wall()
        self.powered_at = settings.powered_at
        self.quirks: frozenset[Quirk] = settings.quirks
        #: What this command leaves for the next one.
        self.continuation: Continuation | None = None
        self._before = continuation
        self._files = files
        self._unsaved = False
        self._unsaved_for_good = False

    @property
    def folder(self) -> Path:
        """The folder of virtual keys."""
        return self._files.folder

    @property
    def key_name(self) -> str:
        """The name that the key has in that folder."""
        return self._files.name

    def folder_locked(self) -> AbstractContextManager[None]:
        """Hold what all keys of the folder share, for a moment."""
        return self._files.folder_locked()

    def changed(self, *, durable: bool) -> None:
        """Note that the state changed; *durable* unless it was only what the key keeps in RAM."""
        self._unsaved = True
        self._unsaved_for_good = self._unsaved_for_good or durable

    def flush(self) -> None:
        """Write what changed, now; StoreError when that fails."""
        if self._unsaved:
            self._files.write_state(self.state, durable=self._unsaved_for_good)
        self._unsaved = self._unsaved_for_good = False

    def begin(self, kind: str, items: tuple[Any, ...], shared: Any = None) -> Continuation:
        """Start a list of *items*, of which the first is being answered."""
        return Continuation(
            kind=kind,
            items=items,
            total=len(items),
            credentials=self.state.credentials,
            last_used=self.now,
            shared=shared,
        )

    def resume(self, kind: str) -> Continuation | None:
        """What *kind* continues, or None when there is nothing, it is too old, or the credentials changed."""
        before = self._before
        if before is None or before.kind != kind or not before.items:
            return None
        if not 0 <= self.now - before.last_used <= CONTINUATION_S or before.credentials != self.state.credentials:
            return None
        return before
