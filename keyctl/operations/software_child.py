"""The process that holds a software seed: it has the key to itself, calculates, and ends.

Its other end is :mod:`keyctl.operations.software_process`. It says nothing but what
:mod:`keyctl.operations.software_messages` describes. Python cannot wipe what it had in memory, so all that protects the
seed is that this ends soon, that no other process of the user may look into it, and that it leaves no core dump.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from keyctl.core import arkg, seed_cose, software_seed
from keyctl.core.arkg import ArkgError
from keyctl.device import choose, errors
from keyctl.device.discover import discover
from keyctl.errors import DeclinedError, Exit, KeyctlError, NotFoundError, StoreError, UnreachableError
from keyctl.model import Recognition
from keyctl.operations import memory, opening, recognising
from keyctl.operations import software_messages as messages
from keyctl.operations.asking import Circumstances
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.operations.software_messages import Failure, Made, Result, Tell, Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from keyctl.core.arkg import PrivateSeed
    from keyctl.device.session import Session
    from keyctl.operations.software_messages import Message, Request, Signing

#: Failures after which the key may have made a credential all the same.
_ANSWER_LOST = frozenset({"key_removed", "key_silent", "key_nonsense"})
_READ_BYTES = 64 * 1024
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Answer the one request on stdin."""
    _shield()
    voice = _own_voice()
    sys.excepthook = voice.tell_of_bug
    for number in _SIGNALS:
        signal.signal(number, _end)
    request = messages.request_from(_request_line())
    threading.Thread(target=_end_with_the_other_end, daemon=True).start()
    try:
        answer(request, voice)
    except KeyctlError as error:
        voice.say(Failure(error.about(request.label)))


class Voice:
    """Says messages to the other end.

    Args:
        write: Takes a line.
        deafen: Makes that nothing interrupts this process any more.
    """

    def __init__(self, write: Callable[[bytes], None], deafen: Callable[[], None] = lambda: None) -> None:
        """See the class."""
        self._write = write
        self._deafen = deafen
        self._ending = False

    def say(self, message: Message) -> None:
        """Say it; where nobody listens any more, end as by a signal."""
        try:
            self._write(messages.line(message))
        except OSError as error:
            if not self._ending:
                raise SystemExit(Exit.TERMINATED) from error

    def conclude(self, result: Result) -> None:
        """Say what came of it. Once it is said, nothing takes it back."""
        self._deafen()
        self.say(result)

    def end(self) -> None:
        """From now on it does not matter whether anybody listens, or wants this to end: it does, without a touch."""
        self._deafen()
        self._ending = True

    def tell(self, text: str) -> None:
        """Something for people."""
        self.say(Tell(text))

    def trace(self, text: str) -> None:
        """A command was sent to the key."""
        self.say(Trace(text))

    def tell_of_bug(self, kind: type[BaseException], _error: BaseException, traceback: TracebackType | None) -> None:
        """Say where this failed, and nothing of what it was working on."""
        place = "?"
        while traceback is not None:
            place = f"{Path(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
            traceback = traceback.tb_next
        self.say(
            Failure(
                KeyctlError("bug", f"keyctl failed: {kind.__name__} in {place}", "please report this with the command")
            )
        )


def answer(request: Request, voice: Voice) -> None:
    """Open the key, see that it is the one that is meant, and do the work.

    Raises:
        KeyctlError: As :func:`keyctl.operations.software_seeds.make` and :func:`~.software_seeds.sign`.
    """
    circumstances = Circumstances(
        home=request.home,
        state=request.state,
        wanted=request.selector,
        waits=request.waits,
        turn_s=0,
        asker=_Nobody(voice, attended=request.attended),
        trace=voice.trace,
    )
    if request.signing is not None:
        _check(request.signing, request.label)
    found = choose.choose(discover(request.home, request.selector), request.selector)
    with opening.connected(found, circumstances) as session:
        _require_same(session, request, circumstances)
        if request.signing is None:
            make(session, voice)
        else:
            voice.conclude(Result({"signature": sign(session, request.signing)}))


def make(session: Session, voice: Voice) -> None:
    """Make a credential, calculate the seed twice, and say the public half of it; else delete the credential again.

    Raises:
        KeyctlError: As :func:`keyctl.operations.software_seeds.make`.
    """
    label = session.key.label
    try:
        # Nothing is excluded: a key may be the backup of several, and a fresh user takes no other credential's place.
        made = session.secrets.make(())
    except KeyctlError as error:
        if error.code not in _ANSWER_LOST:
            raise
        raise error.continued(f"it may have made a credential on {label} before", CLEAN_UP) from error
    try:
        voice.say(Made(made.credential_id))
        seed = _private_seed(session, made.credential_id)
        if seed != _private_seed(session, made.credential_id):
            raise errors.nonsense(label, "with other secrets than the first time")
        result = {
            "public_seed": seed_cose.encode_seed(arkg.public_seed(seed)),
            "credential_id": made.credential_id,
            "user_id": made.user_id,
            "large_blob_key": made.large_blob_key,
        }
        voice.conclude(Result(result))
    except KeyctlError as error:
        voice.end()
        raise _undone(session, made.credential_id, error) from error
    except BaseException:
        voice.end()
        told = _undone(session, made.credential_id, KeyctlError("interrupted", "interrupted"))
        voice.tell(told.message)
        if told.hint:
            voice.tell(told.hint)
        raise


def sign(session: Session, work: Signing) -> bytes:
    """The signature, in DER.

    Raises:
        KeyctlError: As :func:`keyctl.operations.software_seeds.sign`.
    """
    label = session.key.label
    try:
        seed = _private_seed(session, work.credential_id)
    except NotFoundError as error:
        raise NotFoundError(
            error.code,
            f"{label} does not hold the credential of its seed any more",
            "it was deleted, or the key was reset; nothing else can sign for the derived keys",
            key=label,
        ) from error
    if seed_cose.encode_seed(arkg.public_seed(seed)) != work.public_seed:
        raise StoreError(
            "pairing_changed",
            f"{label} has another seed than the pairing says",
            "somebody changed the pairing in the inventory; restore it with `keyctl pair restore`",
            key=label,
        )
    try:
        return software_seed.sign(seed, work.key_handle, work.ctx, work.digest)
    except ArkgError as error:
        raise _refused(label, error) from error


def _check(work: Signing, label: str) -> None:
    """All that can be said without the key."""
    try:
        software_seed.check(work.key_handle, work.ctx, work.digest)
        seed_cose.read_seed(work.public_seed)
    except ArkgError as error:
        raise _refused(label, error) from error


def _refused(label: str, error: ArkgError) -> StoreError:
    return StoreError(
        "pairing_changed",
        f"{label} cannot sign for this derived key: {error}",
        "somebody changed the pairing in the inventory; restore it with `keyctl pair restore`",
        key=label,
    )


def _require_same(session: Session, request: Request, circumstances: Circumstances) -> None:
    """Only the key that was meant is given the PIN, or does anything.

    One that does not say without it which key it is gets it first, as it did from the person before; another model
    does not.
    """
    key = session.key
    may_be = key.recognition is Recognition.LOCKED and key.aaguid == request.aaguid
    if may_be or (key.id == request.key_id and key.recognition in recognising.UNDISPUTED):
        session.use_pin(request.pin)
    if may_be:
        recognising.recognise(session, recognising.known(circumstances), verified=True)
    if session.key.id != request.key_id or session.key.recognition not in recognising.UNDISPUTED:
        raise UnreachableError(
            "wrong_key",
            f"{request.label} is not at {request.selector} any more, or does not prove that it is {request.label}",
            "plug it in and run it again; see `keyctl list`",
            key=request.label,
        )


def _private_seed(session: Session, credential_id: bytes) -> PrivateSeed:
    secrets = session.secrets.two(credential_id, *software_seed.SALTS)
    with errors.understanding(session.key.label):
        return software_seed.private_seed(secrets)


def _undone(session: Session, credential_id: bytes, error: KeyctlError) -> KeyctlError:
    """*error*, with what became of the credential that was made."""
    label = session.key.label
    try:
        session.delete_passkey(credential_id)
    except KeyctlError:
        return error.continued(f"the credential that was made on {label} is still there", CLEAN_UP)
    return error.continued(f"the credential that was made on {label} was deleted again")


def _refuse(*_question: object, **_more: object) -> NoReturn:
    raise DeclinedError("declined", "the process that holds the seed can ask nobody", "run it again")


class _Nobody:
    """Whom this process can ask: nobody. What it tells, it tells the other end."""

    can_choose = False
    pin = passphrase = check_confirmable = check_given = check_pins_for = can_compare = _refuse
    confirm = confirm_by_typing = fingerprint = _refuse

    def __init__(self, voice: Voice, *, attended: bool) -> None:
        #: Whether a person typed the PIN; a wrong one is noted otherwise.
        self.attended = attended
        self.tell = voice.tell


def _shield() -> None:
    """Before there is anything to hide: no core dump, and no other process of this user looks into the memory."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit alone does not hold for a program that the kernel pipes core dumps to.
    if not memory.shield():
        raise OSError("the memory cannot be protected")


def _own_voice() -> Voice:
    """A voice on what was stdout, to which nothing else writes any more."""
    descriptor = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

    def write(line: bytes) -> None:
        while line:
            line = line[os.write(descriptor, line) :]

    return Voice(write, _deaf)


def _request_line() -> bytes:
    content = b""
    while not content.endswith(b"\n"):
        some = os.read(0, _READ_BYTES)
        if not some or len(content) > messages.MAX_REQUEST_BYTES:
            raise SystemExit(Exit.TERMINATED)
        content += some
    return content


def _end_with_the_other_end() -> None:
    """On a thread of its own: as soon as nobody is at the other end, end as by a signal."""
    import _thread

    # Unbuffered: a thread in a buffered read would keep the interpreter from ending.
    with contextlib.suppress(OSError):
        os.read(0, 1)
    _thread.interrupt_main(signal.SIGTERM)


def _end(_number: int, _frame: Any) -> None:
    """End by way of what cancels the key's wait and deletes what was made."""
    raise SystemExit(Exit.TERMINATED)


def _deaf() -> None:
    """From now on nothing tells this process to end; what it still does takes no touch."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
