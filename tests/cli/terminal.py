"""A terminal with keyctl in it, as a person has one: a pseudo terminal that is the controlling one of the child."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds; only a program that hangs takes so long.
PATIENCE_S = 60.0
CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """keyctl with *arguments* on a terminal of its own; standard streams that are given go elsewhere."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        columns: int = 80,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._person, self._screen = os.openpty()
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        #: All that was on the screen so far.
        self.text = ""
        self._seen = 0
        # The first terminal that the leader of a session opens becomes its controlling one. It ends by what it is told
        # there, and not by the signal that the terminal is gone: see hang_up.
        opening = ["/bin/sh", "-c", ': <"$0"; trap "" HUP; exec "$@"', os.ttyname(self._screen)]
        self.process = subprocess.Popen(
            [*opening, sys.executable, "-m", "keyctl", *arguments],
            stdin=self._screen if stdin is None else stdin,
            stdout=self._screen if stdout is None else stdout,
            stderr=self._screen if stderr is None else stderr,
            env=environment,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._screen)
        os.close(self._person)

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._screen)[3] & termios.ECHO)

    def expect(self, text: str) -> None:
        """Wait until *text* is on the screen, after what was waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.text.find(text, self._seen)) < 0:
            # What it wrote just before its end is still to be read.
            ended = self.process.poll() is not None
            if not self._read(0.02) and ended:
                raise AssertionError(f"ended with {self.process.returncode} before {text!r}:\n{self.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in:\n{self.text}")
        self._seen = at + len(text)

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        os.write(self._person, text.encode() if isinstance(text, str) else text)

    def hang_up(self) -> None:
        """Close the window, under a program that goes on all the same, as with nohup."""
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), self._person)

    def end(self) -> int:
        """The exit status, when it has ended by itself."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            self._read(0.02)
            if time.monotonic() > deadline:
                raise AssertionError(f"does not end:\n{self.text}")
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._person], [], [], wait_s)[0]:
            return False
        try:
            read = os.read(self._person, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        # Tests type and print ASCII, so that no character is cut in two.
        self.text += read.decode(errors="backslashreplace").replace("\r\n", "\n")
        return bool(read)
