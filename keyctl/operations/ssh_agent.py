"""An agent for ssh, ssh-keygen and git that signs with the backup key, as the keys that were derived for it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import ssh_agent_messages as messages
from keyctl.core import ssh_host_keys, sshsig
from keyctl.core.ssh_agent_rules import Connection, RefusalError
from keyctl.core.ssh_wire import WireError
from keyctl.core.text import reason_of, visible
from keyctl.errors import KeyctlError, PinError, UsageError
from keyctl.operations import agent_keys, agent_socket, backup_signing, memory, naming
from keyctl.operations.kept_pins import KeptPins
from keyctl.store import inventory as store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from keyctl.core.contexts import Target
    from keyctl.core.inventory import Inventory
    from keyctl.core.ssh_agent_rules import Purpose
    from keyctl.operations.agent_keys import AgentKey, Offer
    from keyctl.operations.agent_socket import Door, Peer, Waiting
    from keyctl.operations.asking import Circumstances

#: Seconds that a command has to end by itself after Ctrl-C, which a terminal sends to it too, and after it was told.
_ENDING_S, _TOLD_S = 1.0, 5.0
#: As shells count: a command that a signal ended.
_BY_SIGNAL = 128


@dataclass(frozen=True, kw_only=True)
class Listening:
    """An agent that is there now."""

    #: Its path.
    socket: str
    keys: tuple[AgentKey, ...]


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How an agent behaves."""

    allow_forwarded: bool = False
    #: For how many seconds a PIN is kept; None: not at all.
    keep_pin_s: float | None = None
    #: Where its socket is to be; None: in a folder of its own.
    place: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A signature that somebody wants and may have, if a person agrees."""

    peer: Peer
    offer: Offer
    purpose: Purpose
    data: bytes


def run(
    circumstances: Circumstances,
    which: str | None,
    targets: Sequence[Target],
    authorized: tuple[bytes, str] | None,
    *,
    manners: Manners,
    command: Sequence[str] = (),
    announce: Callable[[Listening], None],
) -> int:
    """Be an agent until the command ends, or without one until this program is interrupted.

    Args:
        circumstances: What the command line says.
        which: The pairing; None: all that derive keys.
        targets: As :func:`keyctl.operations.agent_keys.offers` takes them.
        authorized: The same.
        manners: How it behaves.
        command: A program and its arguments, which finds the agent in its environment.
        announce: Called once the agent can be used, before the command is started.

    Returns:
        The exit status of the command: 128 and the number of the signal, if one ended it.

    Raises:
        NotFoundError: As :func:`keyctl.operations.agent_keys.offers`.
        UsageError: The same; or the socket cannot be where it is to be, or the command cannot be run.
        UnsupportedError: The pairing has no seed, or this platform is none for an agent.
        StoreError: A seed is not the one trusted here, or the inventory cannot be read.
    """
    naming.require_no_key_option(circumstances)
    inventory = store.read(circumstances.home)
    offers = agent_keys.offers(circumstances, inventory, which, targets, authorized)
    with agent_socket.listening(manners.place) as (listener, path):
        agent = _Agent(circumstances, inventory, offers, manners)
        with agent_socket.Door(listener, agent.meet, circumstances.asker.tell) as door:
            announce(Listening(socket=str(path), keys=tuple(offer.shown for offer in offers)))
            with _running(command, path, door) as process:
                agent.work(door)
                return 0 if process is None else _status(process)


class _Agent:
    """Answers what can be answered at once, and has the backup key sign the rest, one after the other."""

    def __init__(
        self, circumstances: Circumstances, inventory: Inventory, offers: Sequence[Offer], manners: Manners
    ) -> None:
        self._tell = circumstances.asker.tell
        self._inventory = inventory
        self._offers = {offer.blob: offer for offer in offers}
        self._manners = manners
        self._kept: KeptPins | None = None
        if manners.keep_pin_s is not None:
            memory.shield()
            self._kept = KeptPins(circumstances.asker, manners.keep_pin_s)
            circumstances = replace(circumstances, asker=self._kept)
        self._circumstances = circumstances

    def meet(self, peer: Peer) -> agent_socket.Talk[_Task]:
        """What answers over a new connection."""
        connection = Connection(forwarding_allowed=self._manners.allow_forwarded)

        def talk(message: bytes) -> bytes | _Task:
            try:
                return self._answer(messages.read(message), connection, peer)
            except WireError as error:
                self._refused(peer, f"what it sent {error}")
            except RefusalError as error:
                self._refused(peer, str(error))
            return messages.FAILURE

        return talk

    def work(self, door: Door[_Task]) -> None:
        """Sign what is asked for, until the door is closed."""
        while True:
            try:
                waiting = door.next(None if self._kept is None else self._kept.seconds_left)
            except queue.Empty:
                waiting = None
                if self._kept is not None:
                    self._kept.forget_old()
                continue
            if waiting is None:
                return
            self._serve(waiting)

    def _serve(self, waiting: Waiting[_Task]) -> None:
        # Nobody is asked for a PIN and a touch that are of no use any more.
        if waiting.gone() or not waiting.answer.set_running_or_notify_cancel():
            waiting.answer.cancel()
            return
        task = waiting.task
        try:
            answer = messages.signed(sshsig.ecdsa_signature(self._signature(task)))
        except KeyctlError as error:
            self._refused(task.peer, error.message)
            answer = messages.FAILURE
        waiting.answer.set_result(answer)

    def _answer(self, request: messages.Request, connection: Connection, peer: Peer) -> bytes | _Task:
        match request:
            case messages.ListRequest():
                connection.require_local()
                return messages.identities((offer.blob, offer.comment) for offer in self._offers.values())
            case messages.SignRequest():
                offer = self._offers.get(request.key_blob)
                if offer is None:
                    raise RefusalError("it wants a signature by a key that is not offered")
                purpose = connection.purpose(offer.target.kind, request)
                return _Task(peer=peer, offer=offer, purpose=purpose, data=request.data)
            case messages.BindRequest():
                try:
                    connection.bind(request)
                except RefusalError as error:
                    self._refused(peer, str(error))
                    return messages.EXTENSION_FAILURE
                return messages.SUCCESS
            case messages.QueryRequest():
                return messages.extensions()
            case messages.OtherRequest():
                raise RefusalError(f"this agent cannot {request.what}")

    def _signature(self, task: _Task) -> bytes:
        """In DER, after a person has seen what it is for, and gave PIN and touch.

        Raises:
            KeyctlError: There is none.
        """
        self._tell(_told(task))
        kept = self._kept
        try:
            with backup_signing.signing(self._circumstances, self._inventory, task.offer.pairing) as signer:
                signature = signer.sign(task.offer.derived, sha256(task.data).digest())
        except PinError:
            if kept is not None:
                kept.wrong()
            raise
        except BaseException:
            if kept is not None:
                kept.unproved()
            raise
        if kept is not None:
            kept.right()
        return signature

    def _refused(self, peer: Peer, reason: str) -> None:
        self._tell(f"refused {peer.label}: {reason}")


def _told(task: _Task) -> str:
    """What a person should know before the touch."""
    what = task.purpose.what
    if isinstance(what, sshsig.Message):
        wanted = f"sign something in the namespace {visible(what.namespace)}"
    elif task.purpose.host_key is None:
        wanted = f"log in as {visible(what.user)} at a host that it does not name"
    else:
        wanted = f"log in as {visible(what.user)} at the host whose key is {ssh_host_keys.told(task.purpose.host_key)}"
    who = f"{task.peer.label}, for another computer," if task.purpose.forwarded else task.peer.label
    return f"{who} wants to {wanted}, with the key for {task.offer.comment} of {task.offer.shown.pairing}"


@contextlib.contextmanager
def _running(command: Sequence[str], path: Path, door: Door[_Task]) -> Iterator[subprocess.Popen[bytes] | None]:
    """The command, which closes the door when it ends; ended by what ends this program.

    Raises:
        UsageError: It cannot be run.
    """
    if not command:
        yield None
        return
    environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
    # Of another agent, which `ssh-agent -k` would end.
    environment.pop("SSH_AGENT_PID", None)
    process: subprocess.Popen[bytes] | None = None
    try:
        with _signals_later():
            process = _started(command, environment)
        threading.Thread(target=_close_after, args=(process, door), name="command", daemon=True).start()
        yield process
    except KeyboardInterrupt:
        if process is not None:
            _end(process, signal.SIGINT, _ENDING_S)
        raise
    except BaseException:
        if process is not None:
            _end(process, signal.SIGTERM, 0)
        raise


def _started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environment)  # noqa: S603  # no shell; the words are the user's
    except (OSError, ValueError) as error:
        raise UsageError(
            "usage",
            f"cannot run {visible(command[0])}: {reason_of(error)}",
            "after -- comes a program and its arguments",
        ) from error


def _close_after(process: subprocess.Popen[bytes], door: Door[_Task]) -> None:
    process.wait()
    door.close()


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Handle what would end this program afterwards: a command that it just started would be left behind."""
    came: list[int] = []
    handlers = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number: signal.Signals | None = getattr(signal, name, None)
        # One that is ignored, or left to the system, is so in the command too.
        if number is not None and callable(handler := signal.getsignal(number)):
            handlers[number] = handler
            signal.signal(number, lambda received, _frame: came.append(received))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for received in came:
            signal.raise_signal(received)


def _end(process: subprocess.Popen[bytes], how: signal.Signals, patience_s: float) -> None:
    """Tell the command to end, unless it does so by itself."""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TOLD_S)
    finally:
        process.kill()
        process.wait()


def _status(process: subprocess.Popen[bytes]) -> int:
    status = process.wait()
    return status if status >= 0 else _BY_SIGNAL - status
