"""What OpenSSH's programs said to an agent once, and messages that nobody has recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keyctl.core import key_formats
from keyctl.core import ssh_agent_messages as messages
from keyctl.core.ssh_wire import string

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "ssh" / "recorded.json").read_text())
BLOB = key_formats.openssh_blob(bytes.fromhex(RECORDED["key"]))
KINDS = ("ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521", "certificate")
SESSION_ID = bytes(range(32))


def recorded(name: str) -> list[messages.Request]:
    return [messages.read(bytes.fromhex(message)) for message in RECORDED["requests"][name]]


def bind(name: str) -> messages.BindRequest:
    """The first one for a session."""
    return next(one for one in recorded(name) if isinstance(one, messages.BindRequest))


def sign(name: str) -> messages.SignRequest:
    return next(one for one in recorded(name) if isinstance(one, messages.SignRequest))


def login(
    *,
    blob: bytes = BLOB,
    user: bytes = b"kim",
    service: bytes = b"ssh-connection",
    method: bytes = b"publickey",
    algorithm: bytes = b"ecdsa-sha2-nistp256",
    session_id: bytes = SESSION_ID,
    flag: bytes = b"\x01",
    host_key: bytes | None = None,
) -> bytes:
    """What a client has signed to log in (RFC 4252, section 7)."""
    parts = [string(session_id), b"\x32", string(user), string(service), string(method), flag]
    parts += [string(algorithm), string(blob)]
    if host_key is not None:
        parts.append(string(host_key))
    return b"".join(parts)
