"""The socket of an agent, which only its own user gets to, and all who are connected to it at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shutil
import socket
import stat
import struct
import sys
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from keyctl.core.ssh_agent_messages import LENGTH_BYTES, MAX_MESSAGE_BYTES, framed
from keyctl.core.text import visible
from keyctl.errors import Details, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_NAME = "agent.sock"
_PREFIX = "keyctl-"
#: Waiting to be let in.
_BACKLOG = 64
#: At once. Each is a program of the same user.
_MAX_CLIENTS = 128
#: Seconds for the rest of a message, once it was begun, and for taking an answer.
_PATIENCE_S = 10.0
#: Others may write in a folder, or in none of it.
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
#: macOS: sys/un.h, and struct xucred in sys/ucred.h.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_XUCRED_BYTES = 76

_Task = TypeVar("_Task")
#: For what only gives it out.
_Task_co = TypeVar("_Task_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A program that is connected."""

    uid: int
    pid: int
    #: What it is called; hostile text.
    program: str

    @property
    def label(self) -> str:
        """For people, already made visible."""
        return f"{visible(self.program)} (process {self.pid})"


class Talk(Protocol[_Task_co]):
    """What is answered over one connection, in a thread of its own; never waits."""

    def __call__(self, message: bytes) -> bytes | _Task_co:
        """The answer to a message, or what has to be done for it."""


@dataclass(frozen=True)
class Waiting(Generic[_Task]):
    """Somebody who waits for what has to be done."""

    task: _Task
    #: Takes the answer.
    answer: Future[bytes]
    #: Whether nobody waits any more.
    gone: Callable[[], bool]


@contextlib.contextmanager
def listening(path: Path | None) -> Iterator[tuple[socket.socket, Path]]:
    """A socket that only this user can connect to, in a folder of its own unless *path* says where; removed at the end.

    Raises:
        UnsupportedError: This platform has no such sockets, or does not tell who connects.
        UsageError: Somebody else could put something else there, something is there, or it cannot be made.
    """
    if sys.platform not in {"linux", "darwin"}:
        raise UnsupportedError(
            "unsupported", "this platform does not tell who connects to a socket, so there is no agent", None
        )
    with contextlib.ExitStack() as stack:
        if path is None:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_runtime_folder()))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            place = folder / _NAME
        else:
            place = path
            _check_place(place)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        before = os.umask(0o177)
        try:
            listener.bind(str(place))
        except (OSError, ValueError) as error:
            raise _unusable(place, str(error).lower()) from error
        finally:
            os.umask(before)
        stack.callback(_remove, place, os.lstat(place))
        listener.listen(_BACKLOG)
        yield listener, place


class Door(Generic[_Task]):
    """Lets all in who connect, and listens to each until it goes; what has to be done is handed to who made this.

    Args:
        listener: From :func:`listening`.
        meet: Makes what answers over a new connection.
        tell: Takes a line for people.
        patience_s: For the rest of a message.
    """

    def __init__(
        self,
        listener: socket.socket,
        meet: Callable[[Peer], Talk[_Task]],
        tell: Callable[[str], None],
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._listener = listener
        self._meet = meet
        self._tell = tell
        self._patience_s = patience_s
        self._tasks: queue.SimpleQueue[Waiting[_Task] | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._clients: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="agent", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._loop.close()

    def next(self, timeout_s: float | None) -> Waiting[_Task] | None:
        """The next one who waits; None: :meth:`close` was called.

        Raises:
            queue.Empty: Nobody came in time.
        """
        return self._tasks.get(timeout=timeout_s)

    def close(self) -> None:
        """Have :meth:`next` return None; may be called by any thread."""
        self._tasks.put(None)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._accept())

    async def _accept(self) -> None:
        server = await asyncio.start_unix_server(self._welcome, sock=self._listener)
        await self._closing.wait()
        server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        # What happens to the connection, its end by the other side for instance, is only the other side's affair.
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
                await self._attend(reader, writer)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        if peer.uid != os.geteuid():
            self._tell(f"turned away {peer.label}: it runs as another user")
            return
        if len(self._clients) > _MAX_CLIENTS:
            self._tell(f"turned away {peer.label}: {_MAX_CLIENTS} programs are connected already")
            return
        talk = self._meet(peer)
        while True:
            # Whoever says nothing may stay; whoever has begun has to go on.
            first = await reader.readexactly(1)
            async with asyncio.timeout(self._patience_s):
                length = int.from_bytes(first + await reader.readexactly(LENGTH_BYTES - 1), "big")
                if not 0 < length <= MAX_MESSAGE_BYTES:
                    self._tell(f"hung up on {peer.label}: a message of {length} bytes is none of an agent's")
                    return
                message = await reader.readexactly(length)
            answer = talk(message)
            if not isinstance(answer, bytes):
                answer = await self._done(answer, reader)
            writer.write(framed(answer))
            async with asyncio.timeout(self._patience_s):
                await writer.drain()

    async def _done(self, task: _Task, reader: asyncio.StreamReader) -> bytes:
        waiting = Waiting(task, Future[bytes](), reader.at_eof)
        self._tasks.put(waiting)
        return await asyncio.wrap_future(waiting.answer)


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end, as the kernel says.

    Raises:
        OSError: It does not say.
    """
    if sys.platform == "linux":
        content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _gid = struct.unpack("3i", content)
    else:
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        _version, uid = struct.unpack_from("=Ii", credentials)
        pid = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
    try:
        program = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").removesuffix("\n")
    except OSError:
        program = "a program"
    return Peer(uid=uid, pid=pid, program=program)


def _runtime_folder() -> str | None:
    """Where this user's sockets belong; None: there is no such folder that is only theirs."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(folder):  # noqa: PTH117  # an empty text is no path
        return None
    try:
        status = os.stat(folder)  # noqa: PTH116  # as above
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE
    return folder if private else None


def _check_place(place: Path) -> None:
    """Refuse a place where others could put something else, or where something is; a dead socket is removed.

    Raises:
        UsageError: It is such a place.
    """
    try:
        status = place.parent.stat()
    except (OSError, ValueError) as error:
        raise _unusable(place, "its folder does not exist, or cannot be looked into") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        raise _unusable(place, "its folder is not yours alone to write in")
    try:
        there = os.lstat(place)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode) or _is_alive(place):
        raise _unusable(place, "something is there already")
    _remove(place, there)


def _is_alive(place: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(place))
        except ConnectionRefusedError:
            return False
        except OSError:
            pass
    return True


def _remove(place: Path, status: os.stat_result) -> None:
    """Remove the socket, unless something else has taken its place."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(place), status):
            place.unlink()


def _unusable(place: Path, reason: str) -> UsageError:
    return UsageError(
        "usage",
        f"there can be no socket at {visible(str(place))}: {reason}",
        "leave out --socket, or give a new name in a folder of yours",
        details=Details(file=str(place)),
    )
