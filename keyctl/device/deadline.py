"""Running something that may never come back."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

#: Waiting on a lock cannot be interrupted on Windows, so that Ctrl-C is looked for this often.
_SLICE_S = 0.1


class News:
    """What threads have to say to the one that waits for them."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()

    def tell(self, news: object) -> None:
        """Say something; never waits."""
        self._queue.put(news)

    def next(self, deadline: float, stop: threading.Event | None = None) -> object:
        """The next news.

        Args:
            deadline: When to give up, on the clock of :func:`time.monotonic`.
            stop: Set by another thread when it is not to be waited for any more; seen within 0.1 s.

        Raises:
            TimeoutError: Nothing came until then.
        """
        while True:
            left_s = deadline - time.monotonic()
            try:
                return self._queue.get(timeout=max(0.0, min(left_s, _SLICE_S)))
            except queue.Empty:
                if left_s <= 0 or (stop is not None and stop.is_set()):
                    raise TimeoutError from None


class Work(Generic[_T]):
    """A call on a thread of its own, once started, whose news the starting thread waits for.

    The thread is a daemon: if the call never returns, the program can end all the same.

    Args:
        call: What to run; it is given a function that passes news to :meth:`next`.
        news: Takes the news, this object itself at the end, where several are waited for at once.
    """

    def __init__(self, call: Callable[[Callable[[object], None]], _T], news: News | None = None) -> None:
        """See the class."""
        self._call = call
        self._news = news or News()
        self._result: _T
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        """Start the call; returns itself."""
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self._result = self._call(self._news.tell)
        except BaseException as error:  # noqa: BLE001  # nothing is swallowed: result() raises it
            self._error = error
        self._news.tell(self)

    def next(self, deadline: float, stop: threading.Event | None = None) -> object:
        """The next news, as :meth:`News.next`; this object itself when the call is over."""
        return self._news.next(deadline, stop)

    def over(self, deadline: float) -> bool:
        """Whether the call is over, well or badly, before *deadline*; all news is dropped."""
        try:
            while self.next(deadline) is not self:
                pass
        except TimeoutError:
            return False
        return True

    def result(self) -> _T:
        """What the call returned, or raise what it raised, after it is over."""
        if self._error is not None:
            raise self._error
        return self._result

    def join(self) -> None:
        """Wait until the call is over, however long that takes."""
        self._thread.join()


def bounded(call: Callable[[], _T], seconds: float) -> _T:
    """Run *call*, for at most *seconds*.

    Raises:
        TimeoutError: It was not over by then; it goes on in the background.
    """
    work = Work(lambda _: call()).start()
    if not work.over(time.monotonic() + seconds):
        raise TimeoutError
    return work.result()
