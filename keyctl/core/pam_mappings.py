"""What pam_u2f lets people in with: its mapping files, and how the files in ``pam.d`` call it (pam_u2f(8)).

A mapping file has a line for each person, ``USER:CREDENTIAL:CREDENTIAL...``, and each credential is
``HANDLE,KEY,TYPE,OPTIONS``. pamu2fcfg before version 1.1.0 wrote ``HANDLE,KEY``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from keyctl.core import public_keys
from keyctl.core.local_files import LocalFileError, from_base64

_MAX_CREDENTIAL_ID_BYTES = 1023
#: Characters; Linux takes 256 at most. What is noted is compared with other names, which takes time.
_MAX_USER_LENGTH = 1000
#: The handle of a passkey, which the security key finds by itself.
_RESIDENT = "*"
_MODULE = "pam_u2f.so"
#: A word of a line in pam.d; one with spaces stands in brackets, ``\]`` in it for a bracket (pam.conf(5)). What is not
#: closed goes on to the end, as with PAM itself.
_WORD = re.compile(r"\[((?:[^\]\\]|\\.?)*)\]?|(\S+)")
_COMMENT = re.compile(r"(?:^|\s)#")


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One that opens the account *user*."""

    #: Hostile text.
    user: str
    #: Counted from 1.
    line: int
    #: None for a passkey.
    credential_id: bytes | None
    #: COSE_Key in CBOR; None for RSA.
    public_key: bytes | None
    #: Whether every use wants the PIN or a fingerprint.
    verify_required: bool
    #: Whether it is of U2F, registered for the application id and not the origin.
    old_format: bool


@dataclass(frozen=True)
class Broken:
    """A line, or a part of one, that opens nothing."""

    line: int
    #: Completes "line N ...".
    reason: str


@dataclass(frozen=True)
class Mappings:
    """A mapping file."""

    credentials: tuple[Credential, ...]
    broken: tuple[Broken, ...]
    #: Lines that pam_u2f passes over, because a later one is for the same user.
    passed_over: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Module:
    """The arguments of pam_u2f in one place; None: not given."""

    origin: str | None = None
    appid: str | None = None
    authfile: str | None = None
    #: Whether ``%u`` in *authfile* stands for the user.
    expand: bool = False


def read(text: str) -> Mappings:
    """The credentials in a mapping file, in its order."""
    lines: dict[str, tuple[int, list[str]]] = {}
    broken: list[Broken] = []
    passed_over: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        # As strtok does it: separators in a row are one.
        words = [word for word in line.removesuffix("\r").split(":") if word]
        if not line.strip() or line.startswith("#"):
            continue
        user, *parts = words or [""]
        if not parts:
            broken.append(Broken(number, "names no credential"))
            continue
        if len(user) > _MAX_USER_LENGTH:
            broken.append(Broken(number, f"is for a user with a name of {len(user)} characters"))
            continue
        if user in lines:
            passed_over.append(lines[user][0])
        lines[user] = (number, parts)
    credentials: list[Credential] = []
    for user, (number, parts) in lines.items():
        for part in parts:
            try:
                credentials.append(_credential(user, number, part))
            except LocalFileError as error:
                broken.append(Broken(number, str(error)))
    credentials.sort(key=lambda credential: credential.line)
    broken.sort(key=lambda one: one.line)
    return Mappings(tuple(credentials), tuple(broken), tuple(passed_over))


def modules(text: str) -> tuple[Module, ...]:
    """All calls of pam_u2f in a file of ``pam.d``."""
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = [bracketed.replace("\\]", "]") or word for bracketed, word in _WORD.findall(_COMMENT.split(line, 1)[0])]
        # Service type, control, path, arguments.
        for at, word in enumerate(words[2:], 2):
            if word.rpartition("/")[2] == _MODULE:
                found.append(_module(words[at + 1 :]))
                break
    return tuple(found)


def settings(text: str) -> Module:
    """What ``/etc/security/pam_u2f.conf`` says, which holds where a call says nothing else (pam_u2f 1.4)."""
    pairs = [line.partition("#")[0].partition("=") for line in text.splitlines()]
    return _module([f"{name.strip()}{equals}{value.strip()}" for name, equals, value in pairs])


def _module(arguments: list[str]) -> Module:
    given = dict(argument.partition("=")[::2] for argument in arguments)
    return Module(
        origin=given.get("origin") or None,
        appid=given.get("appid") or None,
        authfile=given.get("authfile") or None,
        expand="expand" in given,
    )


def _credential(user: str, line: int, text: str) -> Credential:
    handle, *rest = [word for word in text.strip().split(",") if word] or [""]
    if not rest:
        raise LocalFileError("has a credential without a public key")
    key, *described = rest
    old_format = not described
    kind, options = (*described, "")[:2] if described else ("es256", "+presence")
    credential_id = None if handle == _RESIDENT else from_base64(handle)
    if credential_id is not None and not 0 < len(credential_id) <= _MAX_CREDENTIAL_ID_BYTES:
        raise LocalFileError(f"has a key handle of {len(credential_id)} bytes")
    return Credential(
        user=user,
        line=line,
        credential_id=credential_id,
        public_key=_public_key(key, kind.lower(), old_format=old_format),
        verify_required="+pin" in options or "+verification" in options,
        old_format=old_format,
    )


def _public_key(text: str, kind: str, *, old_format: bool) -> bytes | None:
    try:
        if kind == "es256":
            return public_keys.es256(bytes.fromhex(text) if old_format else from_base64(text))
        if kind == "eddsa":
            return public_keys.ed25519(from_base64(text))
    except ValueError as error:
        raise LocalFileError("has a credential whose public key is wrong") from error
    if kind == "rs256":
        return None
    raise LocalFileError("has a credential of an unknown type")
