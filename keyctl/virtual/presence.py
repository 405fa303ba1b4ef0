"""Waiting, as a key does it: with keep-alives, until touched, cancelled, timed out or pulled."""

from __future__ import annotations

import errno
from threading import Event
from typing import TYPE_CHECKING

from fido2.ctap import STATUS, CtapError

from keyctl.virtual.quirks import Quirk

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyctl.virtual.clock import Clock
    from keyctl.virtual.files import KeyFiles
    from keyctl.virtual.settings import Settings

ERR = CtapError.ERR
#: How long a key waits for a touch (CTAP 2.2, section 6.1.2 leaves it to the key; 30 s is what they do).
TOUCH_WAIT_S = 30.0
#: How long a key that never answers is waited for.
SILENCE_S = 60.0
_POLL_S = 0.02
#: A client that asks again later than this begins anew.
POLL_GAP_S = 3.0


def pulled() -> OSError:
    """The error for a key that is not there any more."""
    return OSError(errno.ENODEV, "No such device")


class Polls:
    """How long a client has been asking for a touch, where it asks again and again (U2F); lives in its handle."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._first: float | None = None
        self._last = 0.0

    def asked(self, now: float) -> float:
        """Note that the client asks *now* (monotonic seconds); returns since when it has, in seconds."""
        if self._first is None or now - self._last > POLL_GAP_S:
            self._first = now
        self._last = now
        return now - self._first

    def answered(self) -> None:
        """Start anew: the touch is used up."""
        self._first = None


class Presence:
    """The person, the client's cancelling and the power, during one command.

    Args:
        files: The key; its settings say what the person does.
        boot: The power-up in which the command started.
        clock: Measures the waits.
        event: Set by the client to cancel.
        on_keepalive: Told the status whenever it changes.
        closed: Whether the client has closed the handle.
    """

    def __init__(
        self,
        *,
        files: KeyFiles,
        boot: bytes,
        clock: Clock,
        event: Event,
        on_keepalive: Callable[[STATUS], None] | None,
        closed: Event,
    ) -> None:
        """See the class."""
        self._files = files
        self._boot = boot
        self._clock = clock
        self._event = event
        self._on_keepalive = on_keepalive
        self._closed = closed
        self._last_status: STATUS | None = None

    def settings(self) -> Settings:
        """The settings of now.

        Raises:
            OSError: The key was pulled, or power-cycled, or the handle closed since the command started.
        """
        try:
            settings = self._files.settings()
        except FileNotFoundError:
            raise pulled() from None
        if not settings.plugged or settings.boot != self._boot or self._closed.is_set():
            raise pulled()
        return settings

    def touch(self, *, hold_s: float = 0.0) -> None:
        """Wait for a touch; a finger that is there already needs no keep-alive.

        Args:
            hold_s: How long the finger has to stay; 0: it need not.

        Raises:
            CtapError: OPERATION_DENIED, USER_ACTION_TIMEOUT or KEEPALIVE_CANCEL.
            OSError: The key was pulled.
        """
        start = self._clock.monotonic()
        held_since: float | None = None
        while True:
            settings = self.settings()
            if (settings.touched_at_once and not hold_s) or Quirk.NO_TOUCH in settings.quirks:
                return
            self._keep_alive(STATUS.UPNEEDED)
            if self._event.is_set():
                raise CtapError(ERR.KEEPALIVE_CANCEL)
            if settings.touch == "refused":
                raise CtapError(ERR.OPERATION_DENIED)
            waited_s = self._clock.monotonic() - start
            delay_s = settings.touch_delay_s
            if delay_s is not None and waited_s >= delay_s and not hold_s:
                return
            if settings.touch != "long":
                held_since = None
            elif held_since is None:
                held_since = waited_s
            elif waited_s - held_since >= hold_s:
                return
            if waited_s >= TOUCH_WAIT_S:
                raise CtapError(ERR.USER_ACTION_TIMEOUT)
            self._clock.pause(self._event, _POLL_S)

    def touched_now(self, polls: Polls) -> bool:
        """Whether the key is being touched; does not wait.

        A touch that comes late comes that long after the first time of asking.

        Raises:
            OSError: The key was pulled.
        """
        settings = self.settings()
        asked_s = polls.asked(self._clock.monotonic())
        delay_s = settings.touch_delay_s
        touched = settings.touched_at_once or (delay_s is not None and asked_s >= delay_s)
        if touched:
            polls.answered()
        return touched or Quirk.NO_TOUCH in settings.quirks

    def work(self, duration_s: float, *, cancellable: bool) -> None:
        """Take *duration_s* for the command.

        Raises:
            CtapError: KEEPALIVE_CANCEL.
            OSError: The key was pulled.
        """
        # What cannot be cancelled must not wake up all the time because somebody tries.
        event = self._event if cancellable else Event()
        start = self._clock.monotonic()
        while (left_s := start + duration_s - self._clock.monotonic()) > 0:
            self._keep_alive(STATUS.PROCESSING)
            if event.is_set():
                raise CtapError(ERR.KEEPALIVE_CANCEL)
            self._clock.pause(event, min(_POLL_S, left_s))
            self.settings()

    def silence(self) -> None:
        """Answer nothing until the client gives up; always raises.

        Raises:
            CtapError: KEEPALIVE_CANCEL, when the client cancelled.
            OSError: The handle was closed or the key pulled, or nobody gave up in SILENCE_S.
        """
        start = self._clock.monotonic()
        while self._clock.monotonic() - start < SILENCE_S:
            self.settings()
            if self._event.is_set():
                raise CtapError(ERR.KEEPALIVE_CANCEL)
            self._clock.pause(self._event, _POLL_S)
        raise pulled()

    def _keep_alive(self, status: STATUS) -> None:
        if self._on_keepalive is not None and status != self._last_status:
            self._last_status = status
            self._on_keepalive(status)
