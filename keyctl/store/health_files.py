"""What the health check keeps beside the inventory, and what people tell it there: limits, accepted findings, drills.

All of it may be synced between computers. None of it is secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.health import Acceptance
from keyctl.core.health_limits import LimitError, Limits, limits_from
from keyctl.core.results import CheckResult
from keyctl.core.text import visible
from keyctl.errors import Details, StoreError, UsageError
from keyctl.store import fields, files
from keyctl.store.migrations import newer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIMITS_FILE, ACCEPTED_FILE, DRILLS_FOLDER = "health.toml", "accepted.json", "drills"
_SCHEMA = 1
_MAX_LIMITS_BYTES = 64 * 1024
#: Seconds; another keyctl holds the lock for as long as it takes to write a file.
_LOCK_WAIT_S = 2.0
_RULE_ID = re.compile(r"[a-z0-9_]{1,100}")
_TOKEN = re.compile(r"[0-9a-f]{1,64}")
_ACCEPTANCE: fields.Fields = {
    "id": fields.matching(_RULE_ID),
    "key_id": fields.optional(fields.identity),
    "pairing_id": fields.optional(fields.identity),
    "rp_id": fields.optional(fields.text),
    "account": fields.optional(fields.text),
    "result": CheckResult,
    "severity": fields.count,
    "token": fields.optional(fields.matching(_TOKEN)),
    "accepted_at": fields.time,
    "until": fields.time,
    "reason": fields.optional(fields.text),
}


def read_limits(home: Path) -> Limits:
    """What ``health.toml`` in the home folder says; the defaults where there is none.

    Raises:
        UsageError: It cannot be read or understood (``limits_invalid``).
    """
    path = home / LIMITS_FILE
    try:
        # Not followed: a link planted in a synced folder must not make keyctl show what is in another file.
        if path.is_symlink():
            raise _invalid(path, "is a symbolic link")
        with path.open("rb") as file:
            content = file.read(_MAX_LIMITS_BYTES + 1)
    except FileNotFoundError:
        return Limits()
    except OSError as error:
        raise _invalid(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(content) > _MAX_LIMITS_BYTES:
        raise _invalid(path, "is too large")
    return _limits_in(content, path)


def _limits_in(content: bytes, path: Path) -> Limits:
    import tomllib

    try:
        # With a line end of its own, an error in the last line names it.
        text = content.decode("utf-8") + "\n"
        return limits_from(tomllib.loads(text))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _invalid(path, f"is not UTF-8 in line {line}") from error
    except LimitError as error:
        raise _invalid(path, f"is wrong in line {_line_of(error.name, text)}: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # The library's words end with the line and column.
        reason = str(error) or "it is nested too deep"
        raise _invalid(path, f"is not TOML: {reason[:1].lower()}{reason[1:]}") from error


def _line_of(name: str, text: str) -> int:
    """The line that sets the field, as far as it can be told."""
    lines = text.split("\n")
    written = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(lines, 1) if written.match(line)), 1)


def _invalid(path: Path, what: str) -> UsageError:
    return UsageError(
        "limits_invalid",
        f"{visible(str(path))} {what}",
        "mend it, or move it away and the defaults count; man fido-keyctl-health lists the fields",
        details=Details(file=str(path)),
    )


def read_acceptances(home: Path) -> tuple[Acceptance, ...]:
    """All accepted findings, those whose time has passed among them.

    Raises:
        StoreError: The file cannot be read or understood, or was written by a newer keyctl.
    """
    path = home / ACCEPTED_FILE
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return ()
    schema = value.get("schema")
    if value.get("kind") != "accepted" or type(schema) is not int or schema < 1:
        raise files.unreadable(path, "is damaged: it is no list of accepted findings")
    if schema > _SCHEMA:
        raise newer(str(path))
    decode = fields.objects(Acceptance, _ACCEPTANCE)
    found: tuple[Acceptance, ...] = fields.decoded(_Accepted, _FILE | {"accepted": decode}, value, str(path)).accepted
    return found


class _Accepted:
    """The content of the file."""

    def __init__(self, *, schema: int, kind: str, accepted: tuple[Acceptance, ...]) -> None:
        self.schema, self.kind, self.accepted = schema, kind, accepted


_FILE: dict[str, fields.Decode] = {"schema": fields.count, "kind": fields.text}


def change_acceptances(
    home: Path, drop: Sequence[Acceptance], add: Sequence[Acceptance], *, now: str
) -> tuple[Acceptance, ...]:
    """Take *drop* out of the accepted findings and put *add* in, each in the place of an older one of its subject.

    Those whose time passed go as well.

    Returns:
        All that there are now.

    Raises:
        StoreError: The file cannot be read, understood or written; the old one is still there.
    """
    files.make_private_folder(home, durable=True)
    with files.lock(home / ".lock", _LOCK_WAIT_S):
        subjects = {one.subject for one in add}
        kept = [one for one in read_acceptances(home) if one not in drop and one.subject not in subjects]
        after = sorted((one for one in (*kept, *add) if one.until > now), key=_order)
        content = [fields.plain(one) for one in after]
        files.write_json(home / ACCEPTED_FILE, {"schema": _SCHEMA, "kind": "accepted", "accepted": content})
    return tuple(after)


def _order(acceptance: Acceptance) -> tuple[str, ...]:
    return tuple(part or "" for part in acceptance.subject)


def read_drill(home: Path, key_id: str) -> str | None:
    """When a key last proved itself in a drill, on any computer that shares the folder; None: nobody knows."""
    try:
        value = files.read_json(_drill_path(home, key_id))
        times.parse(value["at"])
    except (FileNotFoundError, StoreError, KeyError, TypeError, ValueError):
        # As good as none: then it is time for another one.
        return None
    return str(value["at"]) if value.get("schema") == _SCHEMA else None


def write_drill(home: Path, key_id: str, at: str) -> None:
    """Note that a key proved itself.

    Raises:
        StoreError: It cannot be written.
    """
    path = _drill_path(home, key_id)
    files.make_private_folder(path.parent, durable=True)
    files.write_json(path, {"schema": _SCHEMA, "kind": "drill", "key_id": key_id, "at": at})


def _drill_path(home: Path, key_id: str) -> Path:
    if not fields.ID_PATTERN.fullmatch(key_id):
        raise ValueError(f"{key_id!r} is no id")
    return home / DRILLS_FOLDER / f"{key_id}.json"
