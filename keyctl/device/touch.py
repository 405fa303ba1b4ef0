"""Choosing among several keys by touching one: all of them blink, and the first that is touched is taken.

A touch chooses a device and identifies none. So the connection on which the key was touched stays the one that is
used: nothing can be put in its place between the touch and the command.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from keyctl.device.choose import several
from keyctl.device.deadline import News, Work
from keyctl.device.guard import CANCEL_S
from keyctl.errors import Details, KeyctlError, TouchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keyctl.device.discover import Found
    from keyctl.device.session import Session

#: How long all keys together have to stop blinking; each is given up by its guard before.
_STOP_S = CANCEL_S + 1.0


def choose_by_touch(
    candidates: Sequence[Found],
    connect: Callable[[Found], Session],
    wait_s: float,
    *,
    ask: Callable[[], None],
    leave_out: Callable[[KeyctlError], None],
) -> Session:
    """The one of several keys that is touched.

    A key that fails is left out as long as there is another; the one that remains is not chosen by that.

    Args:
        candidates: USB keys: cards answer at once.
        connect: Opens one.
        wait_s: How long to wait for the touch.
        ask: Tells the person to touch the key that is meant; called once all keys are open.
        leave_out: Told why a key is left out.

    Returns:
        The touched key, open. All others are closed and do not blink any more.

    Raises:
        TouchError: None was touched in time (``no_touch``).
        KeyChoiceError: One of them would answer without being touched (``several_keys``).
        KeyctlError: All of them failed.
    """
    sessions: list[Session] = []
    failures: list[KeyctlError] = []
    chosen: Session | None = None
    try:
        for found in candidates:
            try:
                sessions.append(connect(found))
            except KeyctlError as error:
                failures.append(error)
        if not sessions:
            raise failures[0].with_details(candidates=_selectors(candidates))
        for failure in failures:
            leave_out(failure)
        if not _tellable_by_touch(sessions):
            raise several(candidates)
        ask()
        chosen = _first_touched(sessions, wait_s, leave_out)
    finally:
        for session in sessions:
            if session is not chosen:
                session.close()
    if chosen is None:
        raise _no_touch(_selectors(candidates))
    return chosen


def _first_touched(
    sessions: Sequence[Session], wait_s: float, leave_out: Callable[[KeyctlError], None]
) -> Session | None:
    """Ask all at the same time; at the end, however it comes, none of them is asked any more."""
    cancel = threading.Event()
    news = News()
    asked: dict[object, Session] = {}
    deadline = time.monotonic() + wait_s
    try:
        for session in sessions:
            work = _asking(session, cancel, news)
            # Before it starts, or an interruption would leave it blinking.
            asked[work] = session
            work.start()
        while asked:
            try:
                ended = news.next(deadline)
            except TimeoutError:
                return None
            assert isinstance(ended, Work)
            session = asked.pop(ended)
            try:
                if ended.result():
                    return session
            except KeyctlError as error:
                if not asked:
                    raise
                leave_out(error)
        return None
    finally:
        cancel.set()
        until = time.monotonic() + _STOP_S
        with contextlib.suppress(TimeoutError):
            while asked:
                asked.pop(news.next(until))


def _asking(session: Session, cancel: threading.Event, news: News) -> Work[bool]:
    """A thread, not started yet, that waits for a touch of one key."""
    return Work(lambda _: session.wait_for_touch(cancel), news)


def _tellable_by_touch(sessions: Sequence[Session]) -> bool:
    """Whether a touch tells them apart: no key without a touch among them, no virtual one beside a physical one."""
    untouchable = any(session.info.options.get("up") is False for session in sessions)
    return not untouchable and len({session.key.virtual for session in sessions}) == 1


def _selectors(candidates: Sequence[Found]) -> tuple[str, ...]:
    return tuple(found.selector for found in candidates)


def _no_touch(selectors: tuple[str, ...]) -> TouchError:
    return TouchError(
        "no_touch",
        f"nobody touched one of {', '.join(selectors)} in time",
        f"run it again and touch the key you mean while it blinks, or choose it with -k, like `-k '{selectors[0]}'`",
        details=Details(candidates=selectors),
    )
