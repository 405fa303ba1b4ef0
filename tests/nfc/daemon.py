"""A smart card service of the tests' own: the real pcscd with two readers, empty at first.

It stands beside whatever the machine runs and needs no root. Importing this module decides where the service will be
found, for this process and its children.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVERS = ("/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so")
SLOTS = 2
#: For what takes at most a second or two; reached only when something is broken.
PATIENCE_S = 60.0
#: The service looks at its readers at least as often as this.
LOOKS_EVERY_S = 0.5

# The client library reads this at its first use in a process and never again, so it has to be there before any test
# runs. The folder is made with the service.
FOLDER = Path(tempfile.gettempdir()) / f"keyctl-pcscd-{os.getpid()}-{secrets.token_hex(4)}"
os.environ["PCSCLITE_CSOCK_NAME"] = str(FOLDER / "pcscd.comm")

# The service expects the listening socket as descriptor 3, and its own process id beside it.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


class MissingPartError(Exception):
    """Something that the service needs is not installed; the text is its name."""


@dataclass(frozen=True)
class Slot:
    """One reader of the service."""

    reader: str
    port: int

    def wait(self, *, card: bool) -> None:
        """Wait until there is a card in the reader, or none."""
        from smartcard import scard

        result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        assert result == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(result)
        try:
            deadline = time.monotonic() + PATIENCE_S
            known = scard.SCARD_STATE_UNAWARE
            while bool(known & scard.SCARD_STATE_PRESENT) != card or known == scard.SCARD_STATE_UNAWARE:
                left_ms = int((deadline - time.monotonic()) * 1000)
                assert left_ms > 0, f"{self.reader} has {'no' if card else 'still a'} card"
                result, states = scard.SCardGetStatusChange(context, left_ms, [(self.reader, known)])
                assert result in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT), scard.SCardGetErrorMessage(result)
                known = states[0][1]
        finally:
            scard.SCardReleaseContext(context)


@contextlib.contextmanager
def running() -> Iterator[tuple[Slot, ...]]:
    """The readers of a running service; once at a time in a process.

    Raises:
        MissingPartError: pcscd, its driver for virtual readers or pyscard is not installed.
    """
    daemon = shutil.which("pcscd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if daemon is None:
        raise MissingPartError("pcscd")
    driver = next((path for path in DRIVERS if Path(path).exists()), None)
    if driver is None:
        raise MissingPartError("vsmartcard-vpcd")
    try:
        from smartcard import scard
    except ImportError as error:
        raise MissingPartError("pyscard") from error
    FOLDER.mkdir(mode=0o700)
    try:
        port = free_ports(SLOTS)
        with process(daemon, driver, port):
            result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
            assert result == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(result) + log()
            result, readers = scard.SCardListReaders(context, [])
            scard.SCardReleaseContext(context)
            assert len(readers) == SLOTS, f"readers: {readers}{log()}"
            yield tuple(Slot(reader, port + number) for number, reader in enumerate(sorted(readers)))
    finally:
        shutil.rmtree(FOLDER)


@contextlib.contextmanager
def process(daemon: str, driver: str, port: int) -> Iterator[None]:
    """A pcscd with readers on *port* and the next one, and none else: no real reader is taken from its user."""
    no_drivers = FOLDER / "drivers"
    no_drivers.mkdir()
    config = FOLDER / "reader.conf"
    config.write_text(
        f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:{port:#x}\nLIBPATH {driver}\nCHANNELID {port:#x}\n'
    )
    with socket.socket(socket.AF_UNIX) as listener, (FOLDER / "log").open("wb") as output:
        listener.bind(os.environ["PCSCLITE_CSOCK_NAME"])
        listener.listen(16)
        service = subprocess.Popen(
            [
                *(sys.executable, "-c", HAND_OVER, str(listener.fileno())),
                *(daemon, "--foreground", "--info", "--config", str(config)),
            ],
            pass_fds=[listener.fileno()],
            env=os.environ | {"PCSCLITE_HP_DROPDIR": str(no_drivers)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    # The listener is closed on this side, so that clients get an error, and do not wait, when the service has died.
    try:
        yield
    finally:
        service.terminate()
        try:
            service.wait(PATIENCE_S)
        finally:
            service.kill()


def free_ports(count: int) -> int:
    """The first of *count* free TCP ports in a row, below those that the system hands out."""
    while True:
        first = random.randrange(20000, 32000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("", port))
            except OSError:
                continue
        return first


def log() -> str:
    """The last words of the service."""
    path = FOLDER / "log"
    return "\n" + path.read_text(errors="replace")[-4000:] if path.exists() else " (it has not run)"
