"""The messages between ssh and its agent (draft-ietf-sshm-ssh-agent), as far as an agent without keys of its own goes.

What the draft calls contents is a message here: without the length that stands before it on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core.ssh_wire import Reader, WireError, string, uint32

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What OpenSSH takes in both directions; the draft leaves it open.
MAX_MESSAGE_BYTES = 256 * 1024
#: Of the number before each message.
LENGTH_BYTES = 4
#: More are nonsense to OpenSSH's clients.
MAX_IDENTITIES = 2048
#: Section 7 of the draft, and PROTOCOL.agent of OpenSSH.
QUERY = "query"
SESSION_BIND = "session-bind@openssh.com"

_REQUEST_IDENTITIES, _SIGN_REQUEST, _EXTENSION = 11, 13, 27
_IDENTITIES_ANSWER, _SIGN_RESPONSE, _EXTENSION_RESPONSE = 12, 14, 29

FAILURE = bytes([5])
SUCCESS = bytes([6])
#: Of an extension that is known.
EXTENSION_FAILURE = bytes([28])


@dataclass(frozen=True)
class ListRequest:
    """Which keys are there?"""


@dataclass(frozen=True, kw_only=True)
class SignRequest:
    """Sign something with one of them."""

    key_blob: bytes
    data: bytes
    #: Which hash an RSA key is to use; means nothing for others.
    flags: int


@dataclass(frozen=True, kw_only=True)
class BindRequest:
    """The host that this connection to the agent is used for (OpenSSH: PROTOCOL.agent, section 1)."""

    host_key: bytes
    session_id: bytes
    #: The host's, over the session id.
    signature: bytes
    is_forwarding: bool


@dataclass(frozen=True)
class QueryRequest:
    """Which extensions are there?"""


@dataclass(frozen=True, kw_only=True)
class OtherRequest:
    """One that this agent does not serve: keys of its own, locking, unknown extensions."""

    #: In words, for people; hostile text where it names an extension.
    what: str


Request = ListRequest | SignRequest | BindRequest | QueryRequest | OtherRequest

_OTHERS = {
    1: "list keys of SSH 1",
    9: "remove all keys",
    17: "take a key in",
    18: "remove a key",
    19: "remove all keys",
    20: "take a smart card in",
    21: "remove a smart card",
    22: "lock",
    23: "unlock",
    25: "take a key in",
    26: "take a smart card in",
}


def read(message: bytes) -> Request:
    """The request in a message.

    Raises:
        WireError: It is none.
    """
    if not message:
        raise WireError("is empty")
    kind, fields = message[0], Reader(message[1:])
    if kind == _REQUEST_IDENTITIES:
        fields.finish()
        return ListRequest()
    if kind == _SIGN_REQUEST:
        request = SignRequest(key_blob=fields.string(), data=fields.string(), flags=fields.uint32())
        fields.finish()
        return request
    if kind == _EXTENSION:
        return _extension(fields)
    return OtherRequest(what=_OTHERS.get(kind, f"do what message {kind} means"))


def _extension(fields: Reader) -> Request:
    name = fields.text()
    if name == QUERY:
        fields.finish()
        return QueryRequest()
    if name == SESSION_BIND:
        request = BindRequest(
            host_key=fields.string(),
            session_id=fields.string(),
            signature=fields.string(),
            is_forwarding=fields.boolean(),
        )
        fields.finish()
        return request
    return OtherRequest(what=f"use the extension {name}")


def identities(keys: Iterable[tuple[bytes, str]]) -> bytes:
    """The answer to :class:`ListRequest`.

    Args:
        keys: Public key and comment of each; what :func:`fitting` left of them.
    """
    entries = [_identity(blob, comment) for blob, comment in keys]
    return bytes([_IDENTITIES_ANSWER]) + uint32(len(entries)) + b"".join(entries)


def fitting(keys: Iterable[tuple[bytes, str]]) -> int:
    """How many of *keys*, from the first on, one answer can list."""
    left = MAX_MESSAGE_BYTES - LENGTH_BYTES - len(identities([]))
    count = 0
    for blob, comment in keys:
        left -= len(_identity(blob, comment))
        if left < 0 or count == MAX_IDENTITIES:
            break
        count += 1
    return count


def signed(signature: bytes) -> bytes:
    """The answer to :class:`SignRequest`.

    Args:
        signature: With its algorithm, as :func:`keyctl.core.sshsig.ecdsa_signature` makes it.
    """
    return bytes([_SIGN_RESPONSE]) + string(signature)


def extensions() -> bytes:
    """The answer to :class:`QueryRequest`."""
    names = (QUERY, SESSION_BIND)
    return bytes([_EXTENSION_RESPONSE]) + string(QUERY.encode()) + b"".join(string(name.encode()) for name in names)


def framed(message: bytes) -> bytes:
    """*message* as it goes over the wire."""
    return string(message)


def _identity(blob: bytes, comment: str) -> bytes:
    return string(blob) + string(comment.encode())
