"""What health checks on this computer saw: the last result, when findings began, records on keys, the last export.

All of it is a convenience: a damaged file is as good as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.core.health import HealthCheck
from keyctl.core.results import CheckResult
from keyctl.errors import StoreError
from keyctl.store import fields, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from keyctl.core.health import Health

_SCHEMA = 1
_KEPT_FINDINGS = 20
_LAST_FILE, _EXPORT_FILE, _RECORDS_FOLDER = "last-check.json", "last-export.json", "records"


@dataclass(frozen=True, kw_only=True)
class CheckCounts:
    """How many checks ended how; accepted findings count as nothing else."""

    ok: int
    warn: int
    fail: int
    skip: int
    accepted: int


@dataclass(frozen=True, kw_only=True)
class LastCheck:
    """What the last whole check on this computer said."""

    at: str
    result: CheckResult
    counts: CheckCounts
    #: Those that count, the worst first, as many as a screen shows.
    findings: tuple[HealthCheck, ...]


def counts_of(health: Health) -> CheckCounts:
    """How many checks ended how."""
    counting = [check.result for check in health.checks if check.accepted_until is None]
    return CheckCounts(
        **{result.value: counting.count(result) for result in CheckResult},
        accepted=len(health.checks) - len(counting),
    )


_CHECK: fields.Fields = {
    "id": fields.text,
    "key": fields.optional(fields.text),
    "pairing": fields.optional(fields.text),
    "rp_id": fields.optional(fields.text),
    "account": fields.optional(fields.text),
    "result": CheckResult,
    "message": fields.text,
    "hint": fields.optional(fields.text),
    "since": fields.optional(fields.time),
    "accepted_until": fields.optional(fields.time),
    "reason": fields.optional(fields.text),
}
_COUNTS: fields.Fields = dict.fromkeys(("ok", "warn", "fail", "skip", "accepted"), fields.count)


def read_last(state: Path) -> LastCheck | None:
    """The last whole check; None: there was none."""
    value = _read(state / _LAST_FILE)
    try:
        return LastCheck(
            at=fields.time(value["at"]),
            result=CheckResult(value["result"]),
            counts=fields.object_of(CheckCounts, _COUNTS, value["counts"]),
            findings=fields.objects(HealthCheck, _CHECK)(value["findings"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_last_time(state: Path) -> str | None:
    """When the last whole check was; None: there was none."""
    return _moment(_read(state / _LAST_FILE))


def read_since(state: Path) -> dict[str, str]:
    """When the findings of the last whole check were first found, by :attr:`keyctl.core.health_facts.Finding.mark`."""
    try:
        return {str(mark): fields.time(at) for mark, at in _read(state / _LAST_FILE)["since"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def write_last(state: Path, health: Health, since: Mapping[str, str], *, now: str) -> None:
    """Note the result of a whole check; a power cut may undo it.

    Args:
        state: This computer's own.
        health: The result.
        since: As :func:`read_since` is to return it.
        now: The time.

    Raises:
        StoreError: It cannot be written.
    """
    counting = [check for check in health.checks if check.counts]
    content = {
        "schema": _SCHEMA,
        "kind": "last_check",
        "at": now,
        "result": health.result.value,
        "counts": fields.plain(counts_of(health)),
        "findings": [fields.plain(check) for check in counting[:_KEPT_FINDINGS]],
        "since": dict(since),
    }
    _write(state / _LAST_FILE, content)


def read_record_seen(state: Path, pairing_id: str) -> str | None:
    """When this computer last saw that a key carries the pairing's record; None: never."""
    return _moment(_read(_record_path(state, pairing_id)))


def write_record_seen(state: Path, pairing_id: str, at: str) -> None:
    """Note that a key carries it.

    Raises:
        StoreError: It cannot be written.
    """
    _write(_record_path(state, pairing_id), {"schema": _SCHEMA, "kind": "record_seen", "at": at})


def read_export(state: Path) -> tuple[str, str] | None:
    """When the inventory was last exported here, and its digest then; None: never."""
    value = _read(state / _EXPORT_FILE)
    at, digest = _moment(value), value.get("digest")
    return (at, digest) if at is not None and isinstance(digest, str) else None


def write_export(state: Path, digest: str, at: str) -> None:
    """Note that the inventory was exported as it is by *digest*.

    Raises:
        StoreError: It cannot be written.
    """
    _write(state / _EXPORT_FILE, {"schema": _SCHEMA, "kind": "export", "at": at, "digest": digest})


def _read(path: Path) -> dict[str, Any]:
    try:
        value = files.read_json(path)
    except (FileNotFoundError, StoreError):
        return {}
    return value if value.get("schema") == _SCHEMA else {}


def _moment(value: Mapping[str, Any]) -> str | None:
    try:
        return fields.time(value["at"])
    except (KeyError, TypeError, ValueError):
        return None


def _record_path(state: Path, pairing_id: str) -> Path:
    if not fields.ID_PATTERN.fullmatch(pairing_id):
        raise ValueError(f"{pairing_id!r} is no id")
    return state / _RECORDS_FOLDER / f"{pairing_id}.json"


def _write(path: Path, content: dict[str, Any]) -> None:
    files.make_private_folder(path.parent)
    files.write_json(path, content, durable=False)
