"""A throw-away computer with the Linux HID and USB drivers that this one may lack: QEMU, without any virtualisation.

The guest sees the host's files at the same paths, read-only; whatever is written there stays there and is gone with it.
Its processor is 20 to 40 times slower than the host's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from guest_parts import Parts

EMULATOR = "qemu-system-x86_64"
AGENT = Path(__file__).with_name("agent.py")
MEMORY_MB = 512
#: An emulated processor is slow, and a busy machine makes it slower; only what is wrong takes so long.
PATIENCE_S = 180.0
#: On top of every time limit that the guest keeps itself.
GRACE_S = 60.0
KERNEL_OPTIONS = (
    "console=ttyS0 quiet panic=-1 rdinit=/init tsc=reliable no_timer_check nokaslr mitigations=off "
    "random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1 audit=0"
)


class GuestError(Exception):
    """The guest did not boot, died, or did not do as it was told."""


@dataclass(frozen=True)
class Finished:
    """A program that ended; a negative status is a signal."""

    status: int
    stdout: str
    stderr: str


class Job:
    """A program that runs in the guest."""

    def __init__(self, guest: Guest, number: int, argv: Sequence[str]) -> None:
        self._guest = guest
        self._number = number
        self._argv = argv

    def ask(self, line: str, seconds: float = PATIENCE_S) -> str:
        """Write one line to its input; returns the next line of its output.

        Raises:
            GuestError: None came in time.
        """
        answer = self._guest.request("ask", self._number, seconds=seconds, line=line)["line"]
        if answer is None:
            done = self.stop()
            raise GuestError(f"no answer to {line!r}\n{done.stdout}\n{done.stderr}")
        assert isinstance(answer, str)
        return answer

    def await_said(self, text: str, seconds: float = PATIENCE_S) -> None:
        """Wait until it has said *text* to people.

        Raises:
            GuestError: It has not in time.
        """
        if not self._guest.request("listen", self._number, seconds=seconds, text=text)["said"]:
            done = self.stop()
            raise GuestError(f"it never said {text!r}\n{done.stdout}\n{done.stderr}")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it and its children."""
        self._guest.request("kill", self._number, signal=number)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it do nothing meanwhile."""
        self.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(signal.SIGCONT)

    def wait(self, seconds: float = PATIENCE_S) -> Finished:
        """Wait until it ends.

        Raises:
            GuestError: It has not in time, and was killed.
        """
        answer = self._guest.request("wait", self._number, seconds=seconds)
        done = Finished(answer["status"], answer["stdout"], answer["stderr"])
        if answer["expired"]:
            raise GuestError(f"{shlex.join(self._argv)} took over {seconds} s\n{done.stdout}\n{done.stderr}")
        return done

    def stop(self) -> Finished:
        """End it."""
        self.kill()
        return self.wait()


class Guest:
    """A guest that runs as long as the ``with`` block.

    Args:
        parts: Its kernel.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._numbers = itertools.count()
        self._received = b""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyctl-guest-")))
            self._boot(stack)
            self._end = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.close()

    def start(self, *argv: str, stdin: str | None = "", env: Mapping[str, str] | None = None, cwd: str = "/") -> Job:
        """Start a program as root, without terminal.

        Args:
            argv: The program and its arguments.
            stdin: Its input; None: to be asked line by line.
            env: Its environment, beside PATH and LANG.
            cwd: Its folder.
        """
        return self._start(argv, None, stdin, env, cwd, None)

    def call(
        self,
        function: str,
        *argv: str,
        stdin: str | None = "",
        env: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> Job:
        """Run a function of a loaded module in a process of its own, as :meth:`start` runs programs.

        Args:
            function: Like ``module:function``.
            argv: What it finds in ``sys.argv``, the program's name first.
            stdin: As in :meth:`start`.
            env: As there.
            user: Number of the user and group that it runs as; None: root.
        """
        return self._start(argv, function, stdin, env, "/", user)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, in a folder that need not be there yet."""
        self.request("write", -1, path=path, text=text, mode=mode)

    def load(self, folders: Sequence[Path], modules: Sequence[str]) -> None:
        """Load Python modules once and for all, for :meth:`call`.

        Args:
            folders: Where they may lie, beside the usual places.
            modules: Their names.
        """
        self.request("load", -1, seconds=PATIENCE_S, folders=[str(folder) for folder in folders], modules=modules)

    def run(self, *argv: str, seconds: float = PATIENCE_S, **how: Any) -> Finished:
        """As :meth:`start`, and wait until it ends."""
        return self.start(*argv, **how).wait(seconds)

    def _start(
        self,
        argv: Sequence[str],
        function: str | None,
        stdin: str | None,
        env: Mapping[str, str] | None,
        cwd: str,
        user: int | None,
    ) -> Job:
        number = next(self._numbers)
        self.request("start", number, argv=argv, function=function, stdin=stdin, env=env or {}, cwd=cwd, user=user)
        return Job(self, number, argv)

    def request(self, what: str, job: int, *, seconds: float = 0, **parameters: object) -> dict[str, Any]:
        """Have the agent do one thing; returns its answer."""
        line = json.dumps({"do": what, "job": job, "seconds": seconds, **parameters}) + "\n"
        self._line.settimeout(GRACE_S)
        self._line.sendall(line.encode())
        return self._answer(seconds + GRACE_S)

    def _boot(self, stack: contextlib.ExitStack) -> None:
        initramfs = self._folder / "initramfs"
        initramfs.write_bytes(self._parts.initramfs(shlex.join([sys.executable, "-I", str(AGENT)])))
        self._line, theirs = socket.socketpair()
        stack.enter_context(self._line)
        with theirs, (self._folder / "qemu.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    # Die with the tests, however these end.
                    *("setpriv", "--pdeathsig", "KILL", EMULATOR),
                    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                    # Not kvm, even where there is /dev/kvm: on virtual machines it may open and then hang.
                    *("-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB)),
                    *("-kernel", str(self._parts.kernel), "-initrd", str(initramfs), "-append", KERNEL_OPTIONS),
                    *("-serial", f"file:{self._folder / 'console.log'}"),
                    *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
                    *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
                    *("-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,fd={theirs.fileno()}"),
                    *("-device", "virtserialport,chardev=agent,name=agent"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
            stack.callback(process.wait)
            # Nothing in there is worth keeping.
            stack.callback(process.kill)
        self._answer(PATIENCE_S)

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            self._line.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                part = self._line.recv(65536)
            except TimeoutError:
                raise GuestError(f"the guest did not answer in {seconds} s{self._logs()}") from None
            if not part:
                raise GuestError(f"the guest died{self._logs()}")
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise GuestError(answer["error"])
        return answer

    def _logs(self) -> str:
        """The last words of the guest and of its emulator."""
        paths = [path for name in ("console.log", "qemu.log") if (path := self._folder / name).exists()]
        return "".join(f"\n--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in paths)
