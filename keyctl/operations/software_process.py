"""Starting the process that holds a software seed, listening to it, and seeing that nothing of it is left."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from keyctl.core.text import reason_of
from keyctl.device.deadline import Work
from keyctl.errors import UnreachableError
from keyctl.operations import software_messages as messages
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.operations.software_messages import Failure, Made, Result, Tell, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from keyctl.operations.asking import Circumstances
    from keyctl.operations.software_messages import Request

#: It says something at each command to the key. Between two of these it waits for a touch or another program at most,
#: and for a slow computer or key.
QUIET_S = 45.0
#: How long it may take to have the key cancel its wait, and to delete what was made.
ENDING_S = 8.0
#: More than the longest talk, with a key that is busy all the time.
_MAX_LINES = 20_000
#: The same modules in the same order as here, wherever keyctl is installed; nothing else of the environment and the
#: current folder counts.
_START = "import sys; sys.path[:] = sys.argv[1:]; from keyctl.operations.software_child import main; main()"
_HINT = "run it again with --verbose; if it stays, report what it says"


def answered(
    request: Request, circumstances: Circumstances, *, quiet_s: float = QUIET_S, ending_s: float = ENDING_S
) -> Mapping[str, bytes | None]:
    """What the process makes of *request*; what it has for people is told at once.

    Args:
        request: What it is asked, with the PIN in it.
        circumstances: What the command line says.
        quiet_s: How long it may say nothing, beside the waits for touch and other programs.
        ending_s: How long it may take to undo what it did, when it is to end.

    Raises:
        KeyctlError: What it reports.
        UnreachableError: It ended without an answer, or did not end (``seed_process_failed``).
    """
    with _Process(request, circumstances, quiet_s, ending_s) as process:
        return process.answer()


@contextlib.contextmanager
def understanding() -> Iterator[None]:
    """Around code that takes its answer apart: what does not fit is a failure of the process."""
    try:
        yield
    except (KeyError, ValueError) as error:
        raise _failed("answered something that cannot be understood") from error


class _Process:
    """The process from its start to its end.

    Args:
        request: What it is asked, with the PIN in it; not kept.
        circumstances: Gets what it has to tell.
        quiet_s: See :func:`answered`.
        ending_s: See :func:`answered`.
    """

    def __init__(self, request: Request, circumstances: Circumstances, quiet_s: float, ending_s: float) -> None:
        self._circumstances = circumstances
        self._label = request.label
        self._ending_s = ending_s
        self._patience_s = quiet_s + request.waits.touch_s + request.waits.lock_s
        self._made: bytes | None = None
        self._answer: Result | Failure | None = None
        self._handed_over = threading.Event()
        self._over = False
        line = messages.request_line(request)
        # Known before anything is started; a longer one could only come from a caller's mistake.
        assert len(line) <= messages.MAX_REQUEST_BYTES
        try:
            self._process = _started()
        except OSError as error:
            raise _failed(f"cannot be started: {reason_of(error)}") from error
        self._work = Work(lambda tell: self._converse(line, tell))

    def __enter__(self) -> Self:
        self._work.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._handed_over.is_set():
                self._take_back()
        finally:
            self._process.kill()
            self._process.wait()
            # Nothing holds the other ends any more, so this is over at once.
            with contextlib.suppress(TimeoutError):
                deadline = time.monotonic() + self._ending_s
                while self._next(deadline) is not None:
                    pass
            self._close(self._process.stdin)
            self._close(self._process.stdout)

    def answer(self) -> Mapping[str, bytes | None]:
        """What it says in the end."""
        try:
            while (said := self._next(time.monotonic() + self._patience_s)) is not None:
                self._heed(said)
            self._process.wait(self._patience_s)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise self._lost("did not answer in time") from error
        except ValueError as error:
            raise self._lost("said something that cannot be understood") from error
        match self._answer:
            case Result(octets):
                return octets
            case Failure(failure):
                raise failure
        raise self._lost(f"ended without an answer ({_how(self._process.returncode)})")

    def _converse(self, line: bytes, tell: Callable[[object], None]) -> None:
        """On a thread of its own: neither pipe is waited for by the one who can be interrupted."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # It may be dead already; then it says no more.
        with contextlib.suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()
            self._handed_over.set()
        for _ in range(_MAX_LINES):
            if not (said := self._process.stdout.readline(messages.MAX_LINE_BYTES + 1)):
                return
            tell(said)
        tell(b"and so on")

    def _next(self, deadline: float) -> bytes | None:
        """The next line; None: there are no more."""
        if self._over:
            return None
        news = self._work.next(deadline)
        self._over = news is self._work
        return news if isinstance(news, bytes) else None

    def _heed(self, said: bytes) -> None:
        match messages.message_from(said):
            case Tell(text):
                self._circumstances.asker.tell(text)
            case Trace(text) if self._circumstances.trace is not None:
                self._circumstances.trace(text)
            case Made(credential_id):
                self._made = credential_id
            case (Result() | Failure()) as answer:
                if self._answer is not None:
                    raise ValueError("two answers")
                self._answer = answer

    def _take_back(self) -> None:
        """Have it end by itself, which it does when nobody is at the other end: it cancels and deletes, and says so."""
        self._close(self._process.stdin)
        deadline = time.monotonic() + self._ending_s
        try:
            while (said := self._next(deadline)) is not None:
                self._heed(said)
        except (TimeoutError, ValueError):
            if self._made is not None:
                self._circumstances.asker.tell(f"a credential that was made may still be on {self._label}: {CLEAN_UP}")

    @staticmethod
    def _close(pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        # What was never read cannot be written any more.
        with contextlib.suppress(OSError):
            pipe.close()

    def _lost(self, what: str) -> UnreachableError:
        error = _failed(what).about(self._label)
        if self._made is None:
            return error
        return error.continued(f"a credential that it made may still be on {self._label}", CLEAN_UP)


def _started() -> subprocess.Popen[bytes]:
    paths = [str(Path(path).absolute()) for path in sys.path if path]
    return subprocess.Popen(  # noqa: S603  # no shell, and our own words
        [sys.executable, "-I", "-c", _START, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A traceback is of no use to people; what failed it says in its answer.
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for this process, which then has that one end properly.
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def _failed(what: str) -> UnreachableError:
    return UnreachableError("seed_process_failed", f"the process that holds the seed {what}", _HINT)
