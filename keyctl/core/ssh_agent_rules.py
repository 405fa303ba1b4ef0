"""What an agent that holds derived keys signs, and for whom: the checks that come before anybody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import ssh_host_keys, ssh_userauth, sshsig
from keyctl.core.contexts import Kind
from keyctl.core.ssh_wire import WireError

if TYPE_CHECKING:
    from keyctl.core.ssh_agent_messages import BindRequest, SignRequest
    from keyctl.core.ssh_userauth import Login

#: The kinds of targets whose keys an agent has.
KINDS = frozenset({Kind.SSH, Kind.SIGN})
_ALGORITHM = "ecdsa-sha2-nistp256"
#: As many hops as OpenSSH's agent follows.
_MAX_SESSIONS = 16


class RefusalError(ValueError):
    """A request that is not granted; the text says why."""


@dataclass(frozen=True, kw_only=True)
class _Session:
    """An SSH session whose host signed for it."""

    session_id: bytes
    host_key: bytes
    is_forwarding: bool


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What a signature is for, after all checks."""

    what: Login | sshsig.Message
    #: Of the host that is logged in to, as its client or the request itself names it; None: neither does.
    host_key: bytes | None
    #: Whether another computer wants it.
    forwarded: bool


class Connection:
    """One connection to the agent: what is known of it, and what follows for what is asked over it.

    Args:
        forwarding_allowed: Whether other computers may ask, through ``ssh -A``.
    """

    def __init__(self, *, forwarding_allowed: bool) -> None:
        self._forwarding_allowed = forwarding_allowed
        self._sessions: list[_Session] = []
        #: Whether it comes, or claims to come, from another computer; for good.
        self._forwarded = False
        #: Whether anything that it said of its session was wrong; for good.
        self._spoiled = False

    def bind(self, request: BindRequest) -> None:
        """Note for which session it is used from now on.

        Raises:
            RefusalError: That is not so, or it is used for another already; then nothing is signed over it any more.
        """
        # Even where the rest of it is wrong: whoever forwards says so honestly.
        self._forwarded = self._forwarded or request.is_forwarding
        try:
            self._bind(request)
        except RefusalError:
            self._spoiled = True
            raise

    def _bind(self, request: BindRequest) -> None:
        if not ssh_userauth.MIN_SESSION_ID_BYTES <= len(request.session_id) <= ssh_userauth.MAX_SESSION_ID_BYTES:
            raise RefusalError(f"a session id of {len(request.session_id)} bytes is none")
        try:
            ssh_host_keys.check_signature(request.host_key, request.signature, request.session_id)
        except WireError as error:
            raise RefusalError(f"the host's key does not vouch for the session: it {error}") from error
        for session in self._sessions:
            if not session.is_forwarding:
                raise RefusalError("the connection is used for another session already")
            if session.session_id == request.session_id:
                if session.host_key == request.host_key:
                    return
                raise RefusalError("the session is one with another host")
        if len(self._sessions) >= _MAX_SESSIONS:
            raise RefusalError(f"the connection goes through more than {_MAX_SESSIONS} hosts")
        self._sessions.append(
            _Session(session_id=request.session_id, host_key=request.host_key, is_forwarding=request.is_forwarding)
        )

    def require_local(self) -> None:
        """Refuse those who ask from another computer, unless they may.

        Raises:
            RefusalError: They may not.
        """
        if self._forwarded and not self._forwarding_allowed:
            raise RefusalError("it comes from another computer, and --allow-forwarded was not given")

    def purpose(self, kind: Kind, request: SignRequest) -> Purpose:
        """What the signature would be for, if it may be made.

        Args:
            kind: Of the target of the key.
            request: What is to be signed with that key.

        Raises:
            RefusalError: It may not.
        """
        self.require_local()
        if self._spoiled:
            raise RefusalError("what it said of its SSH session was wrong")
        try:
            if sshsig.is_signed_data(request.data):
                return self._purpose(sshsig.read_signed_data(request.data), None)
            if kind is not Kind.SSH:
                raise RefusalError(f"a key for {kind}: signs messages in the format of ssh-keygen -Y only")
            return self._log_in(request)
        except WireError as error:
            raise RefusalError(f"what is to be signed {error}") from error

    def _log_in(self, request: SignRequest) -> Purpose:
        login = ssh_userauth.read(request.data)
        if login.key_blob != request.key_blob or login.algorithm != _ALGORITHM:
            raise RefusalError("what is to be signed is a login with another key")
        session = self._sessions[-1] if self._sessions else None
        if session is None:
            return self._purpose(login, login.host_key)
        # The last host of a chain that only forwards is not the one that is logged in to.
        if session.is_forwarding or session.session_id != login.session_id:
            raise RefusalError("what is to be signed is a login in another session than the one it said")
        if login.host_key not in {None, session.host_key}:
            raise RefusalError("what is to be signed is a login at another host than the one it said")
        return self._purpose(login, session.host_key)

    def _purpose(self, what: Login | sshsig.Message, host_key: bytes | None) -> Purpose:
        return Purpose(what=what, host_key=host_key, forwarded=self._forwarded)
