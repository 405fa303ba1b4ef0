"""A key that cannot make keyctl wait for ever: around any ``CtapDevice``, on any transport and platform."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fido2.ctap import STATUS, CtapDevice, CtapError

from keyctl.device import commands, errors
from keyctl.device.deadline import Work
from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A command that waits for nobody is answered within this time.
ANSWER_S = 10.0
#: How long a key has to acknowledge that a command was cancelled.
CANCEL_S = 1.5
_BUSY_POLL_S = 0.05
#: How often a key is asked whether it was touched that does not wait for that by itself.
_TOUCH_POLL_S = 0.2


@runtime_checkable
class Labelled(Protocol):
    """A device that names the key in errors of its own."""

    label: str


class GuardedDevice(CtapDevice):
    """Passes commands on with a deadline, counts them, and tells when the key asks for a touch.

    The real call runs on a daemon thread while this one waits in small slices, so that Ctrl-C works on every
    transport and platform. A key that did not answer in time is not spoken to again.

    Args:
        device: The real one; closed together with this.
        label: The word people know it by.
        touch_s: How long to wait for a touch; 0 cancels as soon as the key asks for one.
        lock_s: How long to ask again while another program keeps the key busy; only what reads is sent again.
        on_touch: Called with label and seconds when the key asks for a touch and waiting starts.
        trace: Gets one line per command: name, sizes, outcome and time, never content.
        answer_s: How long a command may take that waits for nobody.
    """

    def __init__(
        self,
        device: CtapDevice,
        label: str,
        *,
        touch_s: float,
        lock_s: float,
        on_touch: Callable[[str, float], None],
        trace: Callable[[str], None] | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        """See the class."""
        self._device = device
        self._label = label
        self._touch_s = touch_s
        self._lock_s = lock_s
        self._on_touch = on_touch
        self._trace = trace
        self._answer_s = answer_s
        self._unusable: KeyctlError | None = None
        self._stuck: Work[bytes] | None = None
        self.commands_sent = 0
        self.bytes_sent = 0
        self.bytes_received = 0

    @property
    def label(self) -> str:
        """What messages call the key; it changes when the key is recognised."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = label
        if isinstance(self._device, Labelled):
            self._device.label = label

    @property
    def capabilities(self) -> int:
        """Those of the real device."""
        return self._device.capabilities

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """None: a guard is put around one device that was found before."""
        return iter(())

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: threading.Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send one command and return the answer.

        Args:
            cmd: Command of the USB framing.
            data: What to send.
            event: Of a caller who has asked for the touch himself, so that nobody is told here; he sets it to cancel.
            on_keepalive: Told when the key says that it still works, or waits for a touch.

        Raises:
            CtapError: The key reported a failure.
            TouchError: Nobody touched it in time (``no_touch``).
            UnreachableError: It is silent, busy or gone, or answers nonsense.
        """
        if self._unusable is not None:
            raise self._unusable
        command = commands.describe(cmd, data)
        busy_until = time.monotonic() + self._lock_s
        while True:
            try:
                return self._send(command.name, cmd, data, event, on_keepalive)
            except CtapError as error:
                if error.code != CtapError.ERR.CHANNEL_BUSY:
                    raise
                if not command.read or time.monotonic() >= busy_until:
                    raise errors.busy(self._label) from error
            time.sleep(_BUSY_POLL_S)

    def call_until_touched(self, cmd: int, data: bytes, untouched: Callable[[bytes], bool]) -> bytes:
        """Send one command again and again until the key was touched, as U2F wants it.

        Args:
            cmd: Command of the USB framing.
            data: What to send.
            untouched: Whether an answer says that the touch is missing.

        Raises:
            CtapError: The key reported a failure.
            TouchError: Nobody touched it in time (``no_touch``).
            UnreachableError: It is silent, busy or gone, or answers nonsense.
        """
        deadline = time.monotonic() + self._touch_s
        told = False

        def tell(status: STATUS) -> None:
            nonlocal told
            if status is STATUS.UPNEEDED and self._touch_s > 0 and not told:
                told = True
                self._on_touch(self._label, self._touch_s)

        while True:
            # With an event of its own, as call would tell the person each time. Some keys do wait by themselves.
            answer = self.call(cmd, data, threading.Event(), tell)
            if not untouched(answer):
                return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise errors.no_touch(self._label)
            tell(STATUS.UPNEEDED)
            time.sleep(min(_TOUCH_POLL_S, left_s))

    def close(self) -> None:
        """Close the real device; one that is stuck in a command is closed when it comes back."""
        stuck = self._stuck

        def close(_: object) -> None:
            if stuck is not None:
                stuck.join()
            self._device.close()

        closing = Work(close).start()
        if stuck is None:
            # How it ends does not matter: a key that was pulled has nothing left to close.
            closing.over(time.monotonic() + CANCEL_S)

    def _send(
        self,
        name: str,
        cmd: int,
        data: bytes,
        event: threading.Event | None,
        on_keepalive: Callable[[STATUS], None] | None,
    ) -> bytes:
        self.commands_sent += 1
        self.bytes_sent += len(data)
        started = time.monotonic()
        outcome = "failed"
        received = 0
        try:
            answer = self._wait(cmd, data, event, on_keepalive)
            received = len(answer)
            self.bytes_received += received
            outcome = _outcome(cmd, answer)
        except CtapError as error:
            outcome = str(error.code)
            raise
        except KeyctlError as error:
            outcome = error.code
            raise
        finally:
            if self._trace is not None:
                took_ms = (time.monotonic() - started) * 1000
                self._trace(f"{name}: {len(data)} bytes -> {outcome}, {received} bytes, {took_ms:.0f} ms")
        return answer

    def _wait(
        self, cmd: int, data: bytes, event: threading.Event | None, on_keepalive: Callable[[STATUS], None] | None
    ) -> bytes:
        cancel = event or threading.Event()

        def run(tell: Callable[[object], None]) -> bytes:
            try:
                return self._device.call(cmd, data, cancel, tell)
            except OSError as error:
                raise errors.error_from_os(error, self._label) from error

        work = Work(run)
        deadline = time.monotonic() + self._answer_s
        touch_deadline: float | None = None
        touch_wanted = False
        try:
            # In here, so that an interruption from now on takes the command back.
            work.start()
            while True:
                try:
                    news = work.next(deadline, cancel)
                except TimeoutError as error:
                    if touch_wanted or cancel.is_set():
                        return self._cancelled(work, cancel)
                    self._give_up(work, cancel)
                    raise errors.silent(self._label) from error
                if news is work:
                    return work.result()
                assert isinstance(news, STATUS)
                status = news
                if on_keepalive is not None:
                    on_keepalive(status)
                touch_wanted = status is STATUS.UPNEEDED
                if cancel.is_set() or (touch_wanted and self._touch_s <= 0):
                    return self._cancelled(work, cancel)
                if touch_wanted and touch_deadline is None:
                    touch_deadline = time.monotonic() + self._touch_s
                    if event is None:
                        self._on_touch(self._label, self._touch_s)
                if touch_deadline is not None:
                    # After the touch it may work on; going to and fro gains no more than that.
                    deadline = touch_deadline + (0.0 if touch_wanted else self._answer_s)
        except (KeyboardInterrupt, SystemExit):
            # The latter is how a signal to end arrives.
            cancel.set()
            if not work.over(time.monotonic() + CANCEL_S):
                self._give_up(work, cancel)
            raise

    def _cancelled(self, work: Work[bytes], cancel: threading.Event) -> bytes:
        """Take the command back; if the key did it all the same, that is what counts."""
        cancel.set()
        if not work.over(time.monotonic() + CANCEL_S):
            self._give_up(work, cancel)
            raise errors.no_touch(self._label)
        return work.result()

    def _give_up(self, work: Work[bytes], cancel: threading.Event) -> None:
        """Never use the device again: its late answer would be taken for that of the next command."""
        cancel.set()
        self._stuck = work
        self._unusable = errors.silent(self._label)


def _outcome(cmd: int, answer: bytes) -> str:
    if cmd != commands.Hid.CBOR or not answer:
        return "ok"
    status = answer[0]
    return "ok" if status == CtapError.ERR.SUCCESS else str(CtapError(status).code)
