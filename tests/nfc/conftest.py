"""Virtual keys in the readers of a smart card service of the tests' own; each test worker has one."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from keyctl.errors import NotFoundError
from keyctl.virtual import keys
from keyctl.virtual.card import FidoCard
from keyctl.virtual.device import VirtualDevice
from keyctl.virtual.vpcd import serve
from tests.missing import missing

from . import daemon
from .user import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fido2.pcsc import CtapPcscDevice


class InReader:
    """A virtual key in a reader, served by a thread."""

    def __init__(self, folder: Path, name: str, slots: Sequence[daemon.Slot], number: int) -> None:
        self._folder = folder
        self._name = name
        self._slots = slots
        self._lies = False
        self.lay(number)

    def lay(self, number: int) -> None:
        """Lay the card on a reader, where none lies, and wait until it has noticed."""
        self._slot = self._slots[number]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"reader of {self._name}", daemon=True)
        self._thread.start()
        self._lies = True
        self._slot.wait(card=True)

    @property
    def reader(self) -> str:
        """The name of the reader that it lies on, or lay on last."""
        return self._slot.reader

    @property
    def selector(self) -> str:
        """What ``--key`` takes for it."""
        return f"nfc:{self.reader}"

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

    def faults(self) -> list[int]:
        """In how many commands each fault is due that is set."""
        return [int(fault.partition(":")[0]) for fault in keys.get(self._folder, self._name).faults]

    def await_asked(self) -> None:
        """Wait until some program has asked the key something."""
        self.set("fault=none", "fault=1000:busy")
        deadline = time.monotonic() + daemon.PATIENCE_S
        while self.faults() == [1000]:
            assert time.monotonic() < deadline, f"nobody asks {self._name}"
            time.sleep(0.02)
        self.set("fault=none")

    def pull(self) -> None:
        """Unplug the key, and wait until the reader has noticed."""
        keys.unplug(self._folder, self._name)
        self._slot.wait(card=False)

    def lay_again(self, number: int) -> None:
        """Lay the card on a reader, wherever it is, also when it was pulled."""
        self.detach()
        if not keys.get(self._folder, self._name).plugged:
            # Where a command found out that the card is gone, the service has not looked itself yet; another card that
            # came before would never be noticed.
            time.sleep(daemon.LOOKS_EVERY_S)
            keys.plug(self._folder, self._name)
        self.lay(number)

    def leave(self) -> None:
        """Begin to take the card off the reader."""
        self._stop.set()

    def detach(self) -> None:
        """Take the card off the reader, if it lies on one, and wait until it has noticed."""
        if not self._lies:
            return
        self._lies = False
        self.leave()
        self._thread.join(daemon.PATIENCE_S)
        assert not self._thread.is_alive()
        self._slot.wait(card=False)


@pytest.fixture(scope="session")
def slots() -> Iterator[tuple[daemon.Slot, ...]]:
    """The readers of a running pcscd, empty."""
    with contextlib.ExitStack() as stack:
        try:
            readers = stack.enter_context(daemon.running())
        except daemon.MissingPartError as error:
            missing(f"{error} is not installed")
        yield readers


@pytest.fixture
def attached(slots: tuple[daemon.Slot, ...], tmp_path: Path) -> Iterator[Callable[..., InReader]]:
    """A function that makes a virtual key and puts it into reader 0 or 1."""
    cards: list[InReader] = []

    def attach(name: str, slot: int = 0, *, profile: str = "full", folder: Path = tmp_path / "virtual") -> InReader:
        keys.new(folder, name, profile)
        cards.append(InReader(folder, name, slots, slot))
        return cards[-1]

    try:
        yield attach
    finally:
        take_off(cards)


def take_off(cards: Sequence[InReader]) -> None:
    """Take all off the readers, which is faster than one after the other."""
    for card in cards:
        card.leave()
    for card in cards:
        card.detach()


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # noqa: ARG001  # pytest looks for these names
    """Show what the service said when a test fails."""
    report = yield
    if report.failed:
        report.sections.append(("pcscd", daemon.log()))
    return report
