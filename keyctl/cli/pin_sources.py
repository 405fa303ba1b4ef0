"""Where PINs come from: the terminal, stdin, a file, a command. Never an argument or the environment."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Protocol

from keyctl.core.text import reason_of
from keyctl.errors import Details, PinError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keyctl.cli.options import Settings
    from keyctl.operations.asking import PinRequest

#: Longer lines are no PIN; also the bound on what is read from a pipe that never ends.
_MAX_LINE_BYTES = 1024
#: More than any password manager says of an entry beside the PIN.
_MAX_OUTPUT_BYTES = 256 * 1024
#: Seconds that a PIN command may take: password managers ask people.
COMMAND_LIMIT_S = 120.0


class PinSource(Protocol):
    """Gives the PIN for one request."""

    @property
    def by_key(self) -> bool:
        """Whether it is told, and can tell, which key a PIN is for."""

    def __call__(self, request: PinRequest) -> str:
        """The PIN.

        Raises:
            PinError: There is none.
        """


def source_from(settings: Settings) -> PinSource | None:
    """The source that the options name; None: ask at the terminal.

    Raises:
        UsageError: More than one is named.
    """
    given = [
        name
        for name, value in (
            ("--pin-stdin", settings.pin_stdin),
            ("--pin-file", settings.pin_file),
            ("--pin-command", settings.pin_command),
        )
        if value
    ]
    if len(given) > 1:
        raise UsageError("usage", f"{' and '.join(given)} exclude each other", "give one of them")
    if settings.pin_stdin:
        return _Lines("stdin", _stdin_lines())
    if settings.pin_file is not None:
        return _Lines(settings.pin_file, _file_lines(settings.pin_file))
    if settings.pin_command is not None:
        return _Command(settings.pin_command)
    return None


class _Lines:
    """One PIN a line, in the order in which they are needed."""

    by_key = False

    def __init__(self, name: str, lines: Iterator[bytes]) -> None:
        self._name = name
        self._lines = lines

    def __call__(self, request: PinRequest) -> str:
        return _decoded(next(self._lines, b""), self._name, request)


class _Command:
    """Run anew for every PIN, with what it is for in its environment."""

    by_key = True

    def __init__(self, command: str) -> None:
        import shlex

        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError("usage", f"--pin-command: {str(error).lower()}", "check the quotes") from error
        if not self._words or not self._words[0]:
            raise UsageError("usage", "--pin-command is empty", "give a program and its arguments")

    def __call__(self, request: PinRequest) -> str:
        from subprocess import TimeoutExpired

        environment = os.environ | {"KEYCTL_KEY": request.key, "KEYCTL_PIN_PURPOSE": request.purpose}
        name = self._words[0]
        try:
            status, output = _run(self._words, environment)
        except TimeoutExpired as error:
            raise _missing(f"{name} gave no PIN within {COMMAND_LIMIT_S:g} s", request) from error
        except OSError as error:
            raise _missing(f"cannot run {name}: {reason_of(error)}", request) from error
        except ValueError as error:
            # Names in an inventory may hold anything; a variable takes no NUL.
            raise _missing(f"cannot tell {name} which key it is for: its name has a NUL in it", request) from error
        if len(output) > _MAX_OUTPUT_BYTES:
            raise _missing(f"{name} says more than a PIN and a few lines", request)
        if status != 0:
            raise _missing(f"{name} failed with status {status}", request)
        line = output.split(b"\n", 1)[0][: _MAX_LINE_BYTES + 1]
        return _decoded(line.removesuffix(b"\r"), name, request)


def _run(words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, bytes]:
    """The exit status of a program, and what it printed, of which no more is read than what is too much.

    Raises:
        OSError: It cannot be run.
        ValueError: Something in *environment* cannot be told.
        subprocess.TimeoutExpired: It is not at its end in time.
    """
    import subprocess
    import threading

    end = time.monotonic() + COMMAND_LIMIT_S
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE)  # noqa: S603  # no shell; the words are the user's
    parts: list[bytes] = []

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            parts.append(stream.read(_MAX_OUTPUT_BYTES + 1))

    try:
        # On a thread: what the program has started may keep the pipe open for ever.
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(COMMAND_LIMIT_S)
        if reader.is_alive():
            raise subprocess.TimeoutExpired(words, COMMAND_LIMIT_S)
        status = process.wait(max(0.0, end - time.monotonic()))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return status, b"".join(parts)


def _stdin_lines() -> Iterator[bytes]:
    if sys.stdin is None or sys.stdin.closed:
        raise PinError("pin_required", "stdin is closed, so there is no PIN on it", "give the PIN in another way")
    if sys.stdin.isatty():
        raise UsageError(
            "usage", "--pin-stdin reads a pipe or a file, and stdin is the terminal", "leave it out to be asked"
        )
    while True:
        yield _next_line(sys.stdin.buffer)


def _file_lines(path: str) -> Iterator[bytes]:
    with _private_file(path) as stream:
        while True:
            yield _next_line(stream)


def _private_file(path: str) -> BinaryIO:
    """Open *path*, refusing what others can read: a PIN there is no secret."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        message = f"cannot read {path}: {reason_of(error)}"
        raise UsageError("pin_file_unsafe", message, "check the name", details=Details(file=path)) from error
    status = os.fstat(descriptor)
    # A pipe from process substitution is as private as the processes at its ends.
    usable = stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)
    if not usable or (os.name == "posix" and stat.S_ISREG(status.st_mode) and status.st_mode & 0o077):
        os.close(descriptor)
        reason, hint = (
            ("others can read it", f"make it yours alone: chmod 600 {path}")
            if usable
            else ("it is no file", "give a file with one PIN a line, or --pin-stdin")
        )
        raise UsageError("pin_file_unsafe", f"refusing {path}: {reason}", hint, details=Details(file=path))
    if sys.platform != "win32":
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb", buffering=0)


def _next_line(stream: BinaryIO) -> bytes:
    """Read up to one line and no further, without a buffer that keeps later PINs in memory."""
    line = bytearray()
    while len(line) <= _MAX_LINE_BYTES:
        byte = stream.read(1)
        if not byte:
            break
        line += byte
        if byte == b"\n":
            break
    return bytes(line).removesuffix(b"\n").removesuffix(b"\r")


def _decoded(line: bytes, name: str, request: PinRequest) -> str:
    """The PIN on one line, from which one line end has been taken and nothing else."""
    if not line:
        raise _missing(f"{name} has no line for the {request.purpose} PIN", request)
    if len(line) > _MAX_LINE_BYTES:
        raise PinError("pin_policy", f"the line from {name} is too long for a PIN", "nothing was sent to the key")
    # What is not UTF-8 becomes surrogates, which no PIN may hold: the one check for that is where PINs are normalised.
    return line.decode(errors="surrogateescape")


def _missing(message: str, request: PinRequest) -> PinError:
    return PinError("pin_required", message, "nothing was sent to the key; no try was spent", key=request.key)
