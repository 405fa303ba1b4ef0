"""What health checks on this computer saw: the last result, when findings began, records on keys, the last export.

All of it is a convenience: a damaged file is as good as none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyctl.core.health_results import HealthCheck
from keyctl.core.results import CheckResult
from keyctl.store import facts, fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from keyctl.core.health_facts import Finding
    from keyctl.core.health_results import Health

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
    #: Ids of the keys and pairings in it, by what they are called in it; an older keyctl noted none.
    key_ids: Mapping[str, str]
    pairing_ids: Mapping[str, str]


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
    "owner": fields.optional(fields.text),
    "result": CheckResult,
    "message": fields.text,
    "hint": fields.optional(fields.text),
    "since": fields.optional(fields.time),
    "accepted_until": fields.optional(fields.time),
    "reason": fields.optional(fields.text),
}
_COUNTS: fields.Fields = dict.fromkeys(("ok", "warn", "fail", "skip", "accepted"), fields.count)
_LAST: fields.Fields = {
    "at": fields.time,
    "result": CheckResult,
    "counts": lambda value: fields.object_of(CheckCounts, _COUNTS, value),
    "findings": lambda value: fields.objects(HealthCheck, _CHECK)([_with_all_fields(item) for item in value]),
    "key_ids": lambda value: {name: fields.identity(item) for name, item in fields.mapping(value).items()},
    "pairing_ids": lambda value: {name: fields.identity(item) for name, item in fields.mapping(value).items()},
}


def _with_all_fields(value: Any) -> dict[str, Any]:
    """A finding as an older or a newer keyctl noted it, with the fields that it has here."""
    return {name: fields.mapping(value).get(name) for name in _CHECK}


def read_last(state: Path) -> LastCheck | None:
    """The last whole check; None: there was none."""
    return facts.read_or_none(state / _LAST_FILE, _last)


def read_last_time(state: Path) -> str | None:
    """When the last whole check was; None: there was none."""
    return facts.read_or_none(state / _LAST_FILE, _at)


def read_since(state: Path) -> dict[str, str]:
    """When the findings of the last whole check were first found, by :attr:`keyctl.core.health_facts.Finding.mark`."""
    return facts.read_or_none(state / _LAST_FILE, _since) or {}


def write_last(state: Path, health: Health, found: Sequence[Finding], since: Mapping[str, str], *, now: str) -> None:
    """Note the result of a whole check; a power cut may undo it.

    Args:
        state: This computer's own.
        health: The result.
        found: What it was made of, which tells the ids of keys and pairings.
        since: As :func:`read_since` is to return it.
        now: The time.

    Raises:
        StoreError: It cannot be written.
    """
    counting = [check for check in health.checks if check.counts]
    content = {
        "at": now,
        "result": health.result.value,
        "counts": fields.plain(counts_of(health)),
        "findings": [fields.plain(check) for check in counting[:_KEPT_FINDINGS]],
        "since": dict(since),
        "key_ids": {one.key: one.key_id for one in found if one.key is not None and one.key_id is not None},
        "pairing_ids": {
            one.pairing: one.pairing_id for one in found if one.pairing is not None and one.pairing_id is not None
        },
    }
    facts.write(state / _LAST_FILE, "last_check", content, durable=False)


def read_record_seen(state: Path, pairing_id: str) -> str | None:
    """When this computer last saw that a key carries the pairing's record; None: never."""
    return facts.read_or_none(_record_path(state, pairing_id), _at)


def write_record_seen(state: Path, pairing_id: str, at: str) -> None:
    """Note that a key carries it.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(_record_path(state, pairing_id), "record_seen", {"at": at}, durable=False)


def read_export(state: Path) -> tuple[str, str] | None:
    """When the inventory was last exported here, and its digest then; None: never."""
    return facts.read_or_none(state / _EXPORT_FILE, lambda value: (_at(value), fields.text(value["digest"])))


def write_export(state: Path, digest: str, at: str) -> None:
    """Note that the inventory was exported as it is by *digest*.

    Raises:
        StoreError: It cannot be written.
    """
    facts.write(state / _EXPORT_FILE, "export", {"at": at, "digest": digest}, durable=False)


def _last(value: dict[str, Any]) -> LastCheck:
    found: LastCheck = fields.object_in(LastCheck, _LAST, {"key_ids": {}, "pairing_ids": {}, **value})
    return found


def _at(value: Mapping[str, Any]) -> str:
    return fields.time(value["at"])


def _since(value: Mapping[str, Any]) -> dict[str, str]:
    return {mark: fields.time(at) for mark, at in fields.mapping(value["since"]).items()}


def _record_path(state: Path, pairing_id: str) -> Path:
    return facts.path_of(state / _RECORDS_FOLDER, pairing_id)
