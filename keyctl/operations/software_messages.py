"""What the process that holds a software seed is told, and what it says: JSON, a line each.

It is told one request. It says, one object with one member per line: ``tell`` (for people, at once), ``trace`` (for
``--verbose``), ``made`` (the id of a credential that there is from now on), and at the end ``result`` or ``error``.
None of these holds a secret of the seed; only the request holds the PIN.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keyctl.errors import CODES, Details, KeyctlError
from keyctl.model import Waits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Of one request; every system's pipe takes so much in time, and none is nearly as long.
MAX_REQUEST_BYTES = 1 << 20
#: Of one line that it says.
MAX_LINE_BYTES = 64 * 1024
_MAX_CANDIDATES = 64
_FAMILIES = {kind.family: kind for kind in KeyctlError.__subclasses__() if kind.family is not None}


@dataclass(frozen=True, kw_only=True)
class Signing:
    """A digest is to be signed as a derived key."""

    credential_id: bytes
    #: COSE_Key as :func:`keyctl.core.seed_cose.encode_seed` writes it.
    public_seed: bytes
    #: 81 bytes.
    key_handle: bytes
    ctx: bytes
    #: 32 bytes.
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that the process has to know."""

    home: Path
    state: Path
    waits: Waits
    #: Whether PINs are typed in by a person at a terminal.
    attended: bool
    #: Where the key was, and which one it has to be.
    selector: str
    key_id: str
    aaguid: str | None
    #: What people call it.
    label: str
    pin: str = field(repr=False)
    #: None: a seed is to be made.
    signing: Signing | None


@dataclass(frozen=True)
class Tell:
    """Something for people, now."""

    text: str


@dataclass(frozen=True)
class Trace:
    """A line for ``--verbose``."""

    text: str


@dataclass(frozen=True)
class Made:
    """A credential is on the key from now on."""

    credential_id: bytes


@dataclass(frozen=True)
class Result:
    """What came of it; all of it public but the key to a large blob."""

    octets: Mapping[str, bytes | None] = field(repr=False)


@dataclass(frozen=True)
class Failure:
    """Why nothing came of it."""

    error: KeyctlError


Message = Tell | Trace | Made | Result | Failure


def request_line(request: Request) -> bytes:
    """The request as it is sent."""
    content = asdict(request) | {"home": str(request.home), "state": str(request.state)}
    if request.signing is not None:
        content["signing"] = {name: value.hex() for name, value in asdict(request.signing).items()}
    return json.dumps(content).encode() + b"\n"


def request_from(line: bytes) -> Request:
    """The request in a line that :func:`request_line` made."""
    content = json.loads(line)
    if content["signing"] is not None:
        content["signing"] = Signing(**{name: bytes.fromhex(value) for name, value in content["signing"].items()})
    for name in ("home", "state"):
        content[name] = Path(content[name])
    return Request(**content | {"waits": Waits(**content["waits"])})


def line(message: Message) -> bytes:
    """The message as it is said."""
    match message:
        case Tell(text):
            content: dict[str, Any] = {"tell": text}
        case Trace(text):
            content = {"trace": text}
        case Made(credential_id):
            content = {"made": credential_id.hex()}
        case Result(octets):
            content = {"result": {name: None if value is None else value.hex() for name, value in octets.items()}}
        case Failure(error):
            told = {name: getattr(error, name) for name in ("code", "message", "hint", "key")}
            content = {"error": told | {"details": asdict(error.details)}}
    return json.dumps(content).encode() + b"\n"


def message_from(said: bytes) -> Message:
    """The message in a line, of which nothing is believed.

    Raises:
        ValueError: It is none, is too long, or nobody would say it.
    """
    if len(said) > MAX_LINE_BYTES or not said.endswith(b"\n"):
        raise ValueError("no whole line")
    try:
        content = json.loads(said)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError("no object with one member")
    ((kind, value),) = content.items()
    match kind:
        case "tell":
            return Tell(_text(value))
        case "trace":
            return Trace(_text(value))
        case "made":
            return Made(_octets(value))
        case "result" if isinstance(value, dict):
            return Result({name: None if text is None else _octets(text) for name, text in value.items()})
        case "error" if isinstance(value, dict):
            return Failure(_error(value))
    raise ValueError("no message of this kind")


def _error(value: dict[str, Any]) -> KeyctlError:
    if set(value) != {"code", "message", "hint", "key", "details"}:
        raise ValueError("no error")
    code = _text(value["code"])
    if code not in CODES:
        raise ValueError("no code of ours")
    kind = _FAMILIES.get(CODES[code][0], KeyctlError)
    return kind(
        code,
        _text(value["message"]),
        _optional_text(value["hint"]),
        key=_optional_text(value["key"]),
        details=_details(value["details"]),
    )


def _details(value: object) -> Details:
    names = {one.name for one in fields(Details)}
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError("no details")
    candidates: Sequence[object] = value["candidates"]
    if not isinstance(candidates, list) or len(candidates) > _MAX_CANDIDATES:
        raise ValueError("no candidates")
    power_cycle_needed = value["power_cycle_needed"]
    if power_cycle_needed is not None and not isinstance(power_cycle_needed, bool):
        raise ValueError("no yes or no")
    return Details(
        tries_left=_small(value["tries_left"]),
        power_cycle_needed=power_cycle_needed,
        ctap_status=_small(value["ctap_status"]),
        candidates=tuple(_text(one) for one in candidates),
        file=_optional_text(value["file"]),
    )


def _small(value: object) -> int | None:
    """A number that fits a byte, as all of a key's do."""
    if value is None or (type(value) is int and 0 <= value <= 0xFF):
        return value
    raise ValueError("no number of a key")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004  # one kind of error for all that is wrong
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _octets(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("no octets")  # noqa: TRY004  # one kind of error for all that is wrong
    return bytes.fromhex(value)
