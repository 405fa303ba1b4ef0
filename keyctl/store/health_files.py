"""What the health check keeps beside the inventory, and what people tell it there: limits, accepted findings, drills.

All of it may be synced between computers. None of it is secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from keyctl.core.health_limits import LimitError, Limits, limits_from
from keyctl.core.health_results import Acceptance
from keyctl.core.results import CheckResult
from keyctl.core.text import visible
from keyctl.errors import Details, StoreError, UsageError
from keyctl.store import facts, fields, files, migrations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

LIMITS_FILE, ACCEPTED_FILE, DRILLS_FOLDER = "health.toml", "accepted.json", "drills"
_MAX_LIMITS_BYTES = 64 * 1024
#: What Python refuses to make a number of (sys.int_info.default_max_str_digits).
_LONG_NUMBER = re.compile(r"[0-9_]{4301,}")
_RULE_ID = re.compile(r"[a-z0-9_]{1,100}")
_TOKEN = re.compile(r"[0-9a-f]{1,64}")
_ACCEPTANCE: fields.Fields = {
    "id": fields.matching(_RULE_ID),
    "key_id": fields.optional(fields.identity),
    "pairing_id": fields.optional(fields.identity),
    "rp_id": fields.optional(fields.text),
    "account": fields.optional(fields.text),
    "owner": fields.optional(fields.text),
    "result": CheckResult,
    "severity": fields.count,
    "token": fields.optional(fields.matching(_TOKEN)),
    "accepted_at": fields.time,
    "until": fields.time,
    "reason": fields.optional(fields.text),
}
_ACCEPTED: fields.Fields = {"accepted": fields.objects(Acceptance, _ACCEPTANCE)}


def read_limits(home: Path) -> Limits:
    """What ``health.toml`` in the home folder says; the defaults where there is none.

    Raises:
        UsageError: It cannot be read or understood (``limits_invalid``).
    """
    path = home / LIMITS_FILE
    try:
        content = files.read_plain(path, _MAX_LIMITS_BYTES)
    except FileNotFoundError:
        return Limits()
    except StoreError as error:
        raise _invalid(path, error.message.removeprefix(visible(str(path))).lstrip()) from error
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
    except ValueError as error:
        # The library lets this one out of Python through.
        number = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, number.start()) + 1 if number is not None else 1
        raise _invalid(path, f"is wrong in line {line}: the number is too long") from error


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
    return acceptances_from(value, str(path))


def acceptances_from(value: dict[str, Any], source: str) -> tuple[Acceptance, ...]:
    """The accepted findings that *value*, the content of the file *source*, lists.

    Raises:
        StoreError: A newer keyctl wrote it, or something in it is not what it has to be.
    """
    content = migrations.migrated(value, "accepted", source)
    found: tuple[Acceptance, ...] = fields.decoded(dict, _ACCEPTED, content, source)["accepted"]
    return found


def acceptances_to(acceptances: Sequence[Acceptance]) -> dict[str, Any]:
    """*acceptances* as their file holds them."""
    return {"schema": migrations.newest("accepted"), "kind": "accepted", "accepted": fields.plain(list(acceptances))}


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
    with files.lock_folder(home):
        after = changed(read_acceptances(home), drop, add, now=now)
        files.write_json(home / ACCEPTED_FILE, acceptances_to(after))
    return after


def changed(
    before: Sequence[Acceptance], drop: Sequence[Acceptance], add: Sequence[Acceptance], *, now: str
) -> tuple[Acceptance, ...]:
    """What :func:`change_acceptances` makes of the accepted findings."""
    replaced = {(one.subject, one.owner) for one in add}
    kept = [one for one in before if one not in drop and (one.subject, one.owner) not in replaced]
    return tuple(sorted((one for one in (*kept, *add) if one.until > now), key=_order))


def _order(acceptance: Acceptance) -> tuple[str, ...]:
    return tuple(part or "" for part in (*acceptance.subject, acceptance.owner))


def read_drill(home: Path, key_id: str) -> str | None:
    """When a key last proved itself in a drill, on any computer that shares the folder; None: nobody knows."""
    # A damaged file is as good as none: then it is time for another one.
    return facts.read_or_none(_drill_path(home, key_id), lambda value: fields.time(value["at"]))


def write_drill(home: Path, key_id: str, at: str) -> None:
    """Note that a key proved itself.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(_drill_path(home, key_id), "drill", {"key_id": key_id, "at": at})


def _drill_path(home: Path, key_id: str) -> Path:
    return facts.path_of(home / DRILLS_FOLDER, key_id)
