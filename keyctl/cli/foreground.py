"""Questions by a program that waits in the background of its own terminal, while a command that it runs has it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from keyctl.errors import DeclinedError
from keyctl.operations.asking_through import Through

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.operations.asking import PinRequest


class InForeground(Through):
    """Takes the terminal for as long as a question takes, and gives it back then.

    A shell that was started by ``recover ssh-agent -- bash`` puts what is typed into the foreground, and whoever else
    reads from the terminal is stopped. Ctrl-C at such a question is a no, as it is not meant for all that runs there.
    """

    def pin(self, request: PinRequest) -> str:
        """Ask in the foreground."""
        with _foreground():
            return super().pin(request)

    def confirm(self, question: str, text: str | None = None) -> None:
        """Ask in the foreground."""
        with _foreground():
            super().confirm(question, text)

    def confirm_by_typing(self, warning: str, text: str) -> None:
        """Ask in the foreground."""
        with _foreground():
            super().confirm_by_typing(warning, text)


@contextlib.contextmanager
def _foreground() -> Iterator[None]:
    """Have the terminal, where there is one and another group of this session has it."""
    if os.name != "posix":
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            stack.callback(os.close, terminal)
            before = os.tcgetpgrp(terminal)
        except OSError:
            before = os.getpgrp()
        if before == os.getpgrp():
            yield
            return
        # Who is in the background may take the terminal only while it does not listen to this signal.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
            yield
        except KeyboardInterrupt as error:
            raise DeclinedError("declined", "nothing was signed", None) from error
        finally:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(terminal, before)
