"""A virtual key as python-fido2 sees a key."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from fido2.ctap import CtapDevice, CtapError

from keyctl.errors import NotFoundError, StoreError
from keyctl.store.files import lock
from keyctl.store.paths import default_home, virtual_keys_folder
from keyctl.virtual import keys
from keyctl.virtual.clock import Clock
from keyctl.virtual.context import Context
from keyctl.virtual.engine import cancellable, execute
from keyctl.virtual.presence import Polls, Presence, pulled
from keyctl.virtual.profiles import PROFILES
from keyctl.virtual.settings import count_down, fault_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fido2.ctap import STATUS

    from keyctl.virtual.context import Continuation
    from keyctl.virtual.settings import Settings

# Commands and capabilities of CTAPHID (CTAP 2.2, section 11.2.9). Importing fido2.hid for them would double the time
# that listing keys takes.
_MSG = 0x03
_CBOR = 0x10
_CAPABILITY_CBOR = 0x04
_CAPABILITY_NMSG = 0x08
_GARBAGE_BYTES = 47


class VirtualDevice(CtapDevice):
    """A handle on one virtual key, as good as one on a USB device.

    Processes and handles may share a key: one command at a time, the others get CHANNEL_BUSY at once. When the key is
    pulled, the handle is dead even if the key comes back, like a file of the kernel's would be. A key that is attached
    to a bus can be opened; who lists keys decides to leave it alone.

    Args:
        folder: The folder of virtual keys.
        name: The key's name.
        clock: Measures waits, time limits and windows.

    Raises:
        NotFoundError: There is no such key.
        StoreError: Its files cannot be used.
        OSError: It is unplugged (ENODEV).
    """

    def __init__(self, folder: Path, name: str, *, clock: Clock | None = None) -> None:
        """See the class."""
        self._files = keys.open_files(folder, name)
        self._clock = clock or Clock()
        self._closed = Event()
        self._continuation: Continuation | None = None
        # Reads both files, so that a damaged one is known now.
        key = keys.describe(self._files)
        if not key.plugged:
            raise pulled()
        self._boot = self._files.settings().boot
        self._profile = PROFILES[key.profile]
        self._polls = Polls()

    def __repr__(self) -> str:
        """As python-fido2 does it for its devices."""
        return f"VirtualDevice({self._files.name!r})"

    @property
    def name(self) -> str:
        """The key's name."""
        return self._files.name

    @property
    def capabilities(self) -> int:
        """Capability flags as CTAPHID has them: whether it speaks CTAP2, and whether it does not speak U2F now."""
        u2f = self._profile.u2f
        # A key that is gone or damaged is as it was bought; what is wrong with it the next command says.
        with contextlib.suppress(FileNotFoundError, StoreError):
            u2f = u2f and not self._files.state().configuration.always_uv
        return (_CAPABILITY_CBOR if self._profile.ctap2 else 0) | (0 if u2f else _CAPABILITY_NMSG)

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Run one command of CTAP2 or U2F.

        Args:
            cmd: 0x10 for CTAP2, 0x03 for U2F, as far as the key speaks them.
            data: Command byte and parameters, or an APDU.
            event: Cancels a command that waits for a person.
            on_keepalive: Told when the key starts to work slowly, and when it starts to wait for a touch.

        Returns:
            The status byte and the answer; errors of the key are such answers too. For U2F, data and status word.

        Raises:
            CtapError: INVALID_COMMAND for another *cmd*; CHANNEL_BUSY while another command runs; for U2F, which has
                no status byte, also the status that a fault makes.
            OSError: The key was pulled, or the handle is closed (ENODEV).
            StoreError: The key's files were damaged since, or cannot be written.
        """
        if not (self._profile.ctap2 if cmd == _CBOR else self._profile.u2f and cmd == _MSG):
            raise CtapError(CtapError.ERR.INVALID_COMMAND)
        presence = Presence(
            files=self._files,
            boot=self._boot,
            clock=self._clock,
            event=event or Event(),
            on_keepalive=on_keepalive,
            closed=self._closed,
        )
        presence.settings()
        with self._one_at_a_time():
            try:
                return self._run(cmd, bytes(data), presence)
            except FileNotFoundError:
                raise pulled() from None

    def power_cycle(self) -> None:
        """Lose power and get it back, as a card does between two sessions: this handle stays, all others die.

        Raises:
            OSError: The key was pulled (ENODEV).
            StoreError: The settings cannot be written.
        """
        now = self._clock.wall()
        try:
            settings = self._files.change_settings(
                lambda settings: settings.powered_up(now) if settings.plugged else settings
            )
        except FileNotFoundError:
            raise pulled() from None
        if not settings.plugged:
            raise pulled()
        self._boot = settings.boot
        self._continuation = None

    def close(self) -> None:
        """Close the handle; a command that is waiting ends with OSError."""
        self._closed.set()

    @classmethod
    def list_devices(cls) -> Iterator[VirtualDevice]:
        """Open the plugged keys of the home folder, except those attached to a bus and those with damaged files."""
        home = os.environ.get("KEYCTL_HOME")
        folder = virtual_keys_folder(Path(home) if home else default_home())
        for entry in keys.entries(folder):
            if isinstance(entry, StoreError) or not entry.plugged or entry.attached:
                continue
            # Pulled or removed this moment.
            with contextlib.suppress(OSError, NotFoundError, StoreError):
                yield cls(folder, entry.name)

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock(self._files.lock_path))
            except StoreError as error:
                if error.code != "store_locked":
                    raise
                raise CtapError(CtapError.ERR.CHANNEL_BUSY) from None
            yield

    def _run(self, cmd: int, message: bytes, presence: Presence) -> bytes:
        settings = presence.settings()
        fault = None
        if settings.faults:
            fault = self._count_down()
        match fault:
            case "pulled":
                self._pull()
            case "silence":
                presence.silence()
            case "busy":
                raise CtapError(CtapError.ERR.CHANNEL_BUSY)
            case "garbage":
                # A success that no decoder can make sense of.
                return b"\0" + os.urandom(_GARBAGE_BYTES)
            case str() if (status := fault_status(fault)) is not None:
                if cmd == _MSG:
                    raise CtapError(status)
                return bytes([status])
            case _:
                pass
        try:
            presence.work(settings.delay_ms / 1000, cancellable=cmd == _CBOR and cancellable(message))
        except CtapError as error:
            return bytes([error.code])
        answer = self._execute(cmd, message, settings, presence)
        if fault == "pulled-after":
            self._pull()
        return answer

    def _execute(self, cmd: int, message: bytes, settings: Settings, presence: Presence) -> bytes:
        state = self._files.state()
        context = Context(
            profile=self._profile,
            settings=settings,
            state=state,
            files=self._files,
            presence=presence,
            clock=self._clock,
            continuation=self._continuation,
        )
        self._continuation = None
        with contextlib.ExitStack() as failure:
            # What was changed and not written must not be seen by the next command.
            failure.callback(self._files.forget)
            answer = execute(context, message) if cmd == _CBOR else self._execute_u2f(context, message)
            failure.pop_all()
        self._continuation = context.continuation
        return answer

    def _execute_u2f(self, context: Context, apdu: bytes) -> bytes:
        from keyctl.virtual import u2f

        return u2f.execute(context, apdu, self._polls)

    def _count_down(self) -> str | None:
        due: str | None = None

        def count(settings: Settings) -> Settings:
            nonlocal due
            settings, due = count_down(settings)
            return settings

        self._files.change_settings(count)
        return due

    def _pull(self) -> None:
        keys.unplug(self._files.folder, self._files.name)
        raise pulled()
