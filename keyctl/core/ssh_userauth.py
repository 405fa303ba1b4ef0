"""What a key signs when somebody logs in over SSH (RFC 4252, section 7; OpenSSH: PROTOCOL, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from keyctl.core.ssh_wire import Reader, WireError

_USERAUTH_REQUEST = 50
_SERVICE = "ssh-connection"
_PLAIN = "publickey"
#: Names the host's key as well, so that the signature is worth nothing to another host.
_HOST_BOUND = "publickey-hostbound-v00@openssh.com"
#: A hash, from SHA-1 to SHA-512.
MIN_SESSION_ID_BYTES, MAX_SESSION_ID_BYTES = 20, 64


@dataclass(frozen=True, kw_only=True)
class Login:
    """A request to log in, which is valid in one session with one host only."""

    session_id: bytes
    #: Hostile text.
    user: str
    algorithm: str
    key_blob: bytes
    #: Of the host; None: it is not named.
    host_key: bytes | None


def read(data: bytes) -> Login:
    """The request in what is to be signed.

    Raises:
        WireError: It is none by a public key for a connection, or anything is before or after it.
    """
    fields = Reader(data)
    session_id = fields.string()
    if not MIN_SESSION_ID_BYTES <= len(session_id) <= MAX_SESSION_ID_BYTES:
        raise WireError("begins with no session id")
    if fields.octet() != _USERAUTH_REQUEST:
        raise WireError("is no request to log in")
    user, service, method = fields.text(), fields.text(), fields.text()
    if service != _SERVICE:
        raise WireError(f"asks for another service than {_SERVICE}")
    # Exactly 1, as sshd writes it again where it checks the signature.
    if method not in {_PLAIN, _HOST_BOUND} or fields.octet() != 1:
        raise WireError("asks to log in by something else than a signature")
    login = Login(
        session_id=session_id,
        user=user,
        algorithm=fields.text(),
        key_blob=fields.string(),
        host_key=fields.string() if method == _HOST_BOUND else None,
    )
    fields.finish()
    return login
