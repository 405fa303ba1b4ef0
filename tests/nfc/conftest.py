"""A smart card service of the tests' own: the real pcscd with two readers that virtual keys are put into.

It stands beside whatever the machine runs, needs no root, and each test worker has one.
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
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keyctl.errors import NotFoundError
from keyctl.virtual import keys
from keyctl.virtual.card import FidoCard
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.vpcd import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fido2.pcsc import CtapPcscDevice

DRIVERS = ("/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so")
SLOTS = 2
#: For what takes at most a second or two; reached only when something is broken.
PATIENCE_S = 15.0

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


class InReader:
    """A virtual key in a reader, served by a thread."""

    def __init__(self, folder: Path, name: str, slot: Slot) -> None:
        self.reader = slot.reader
        self._folder = folder
        self._name = name
        self._slot = slot
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"reader of {name}", daemon=True)
        self._thread.start()
        slot.wait(card=True)

    def _serve(self) -> None:
        with VirtualDevice(self._folder, self._name) as device:
            serve(
                FidoCard(device),
                port=self._slot.port,
                stop=self._stop,
                on_connected=lambda: None,
                is_present=self._is_present,
            )

    def _is_present(self) -> bool:
        try:
            return keys.get(self._folder, self._name).plugged
        except NotFoundError:
            return False

    @contextlib.contextmanager
    def open(self) -> Iterator[CtapPcscDevice]:
        """The card as a client sees it."""
        from fido2.pcsc import CtapPcscDevice
        from smartcard.System import readers

        (reader,) = [reader for reader in readers() if reader.name == self.reader]
        connection = reader.createConnection()
        try:
            yield CtapPcscDevice(connection, reader.name)
        finally:
            # Closing the device leaves the context to the garbage collector, which comes after the service has ended.
            connection.release()

    def set(self, *settings: str) -> None:
        """Change what a person sets on the key, like ``touch=never``."""
        keys.configure(self._folder, self._name, settings)

    def pull(self) -> None:
        """Unplug the key, and wait until the reader has noticed."""
        keys.unplug(self._folder, self._name)
        self._slot.wait(card=False)

    def detach(self) -> None:
        """Take the card off the reader, and wait until it has noticed."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._slot.wait(card=False)


@pytest.fixture(scope="session")
def slots() -> Iterator[tuple[Slot, ...]]:
    """The readers of a running pcscd, empty."""
    daemon = shutil.which("pcscd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if daemon is None:
        missing("pcscd")
    driver = next((path for path in DRIVERS if Path(path).exists()), None)
    if driver is None:
        missing("vsmartcard-vpcd")
    try:
        from smartcard import scard
    except ImportError:
        missing("pyscard")
    FOLDER.mkdir(mode=0o700)
    try:
        port = free_ports(SLOTS)
        with running(daemon, driver, port):
            result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
            assert result == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(result) + log()
            result, readers = scard.SCardListReaders(context, [])
            scard.SCardReleaseContext(context)
            assert len(readers) == SLOTS, f"readers: {readers}{log()}"
            yield tuple(Slot(reader, port + number) for number, reader in enumerate(sorted(readers)))
    finally:
        shutil.rmtree(FOLDER)


@pytest.fixture
def attached(slots: tuple[Slot, ...], tmp_path: Path) -> Iterator[Callable[..., InReader]]:
    """A function that makes a virtual key and puts it into reader 0 or 1."""
    folder = tmp_path / "virtual"
    with contextlib.ExitStack() as stack:

        def attach(name: str, slot: int = 0, *, profile: str = "full") -> InReader:
            keys.new(folder, name, profile)
            card = InReader(folder, name, slots[slot])
            stack.callback(card.detach)
            return card

        yield attach


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001  # pytest looks for these names
    """Show what the service said when a test fails."""
    report = yield
    if report.failed:
        report.sections.append(("pcscd", log()))
    return report


@contextlib.contextmanager
def running(daemon: str, driver: str, port: int) -> Iterator[None]:
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
        process = subprocess.Popen(
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
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()


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


def missing(what: str) -> None:
    """Skip, except where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")
