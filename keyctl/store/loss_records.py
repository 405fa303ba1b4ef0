"""Which steps after the loss of a key are done: one file per lost key, beside the inventory and synced with it.

Which key is lost the inventory says; here is only what was done about it. None of it is secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from keyctl.core.loss_steps import ID_DIGITS
from keyctl.store import facts, fields, files, migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

LOST_FOLDER = "lost"
_STEP_ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


@dataclass(frozen=True, kw_only=True)
class LossRecord:
    """What was done about one lost key."""

    #: :attr:`keyctl.core.inventory.KnownKey.id`
    key_id: str
    #: Whether a computer was lost with it.
    with_computer: bool = False
    #: Step id -> when it was ticked off.
    done: Mapping[str, str] = field(default_factory=dict)


def read(home: Path, key_id: str) -> LossRecord:
    """What was done about the key; nothing where there is no file.

    Raises:
        StoreError: The file cannot be read or understood, or was written by a newer keyctl.
    """
    path = _path(home, key_id)
    try:
        value = files.read_json(path)
    except FileNotFoundError:
        return LossRecord(key_id=key_id)
    record = record_from(value, str(path))
    if record.key_id != key_id:
        raise files.unreadable(path, f"is about the key {record.key_id}, which is not the file's name")
    return record


def record_from(value: dict[str, Any], source: str) -> LossRecord:
    """The record that *value*, the content of the file *source*, describes.

    Raises:
        StoreError: A newer keyctl wrote it, or something in it is not what it has to be.
    """
    record: LossRecord = fields.decoded(LossRecord, _FIELDS, migrations.migrated(value, "loss", source), source)
    return record


def record_to(record: LossRecord) -> dict[str, Any]:
    """*record* as its file holds it."""
    return {"schema": migrations.newest("loss"), "kind": "loss", **fields.plain(record)}


def since(record: LossRecord, moment: str) -> LossRecord:
    """*record* without what was ticked off before *moment*, when the key came back: that was about an earlier loss."""
    return replace(record, done={step: at for step, at in record.done.items() if at >= moment})


def changed(
    record: LossRecord, *, done: Collection[str] = (), not_done: Collection[str] = (), with_computer: bool, now: str
) -> LossRecord:
    """*record* with steps ticked off, or that taken back; what was ticked off before keeps its time.

    Args:
        record: What is noted.
        done: Ids of steps.
        not_done: Ids of steps.
        with_computer: A computer was lost with the key; False leaves it as it is.
        now: The time, RFC 3339.
    """
    ticked = {**dict.fromkeys(done, now), **record.done}
    return replace(
        record,
        with_computer=record.with_computer or with_computer,
        done={step: at for step, at in ticked.items() if step not in not_done},
    )


def change(home: Path, key_id: str, become: Callable[[LossRecord], LossRecord], *, wait_s: float = 0.0) -> LossRecord:
    """Write down what *become* makes of what is noted by now.

    Args:
        home: The inventory's folder.
        key_id: Which key is lost.
        become: Takes the record as it is, and returns it as it is to be.
        wait_s: Seconds to wait for another process; at least 2.

    Returns:
        What is noted now.

    Raises:
        StoreError: The file cannot be read, understood or written; the old one is still there.
    """
    with files.lock_folder(home, wait_s):
        after = become(read(home, key_id))
        path = _path(home, key_id)
        files.make_private_folder(path.parent, durable=True)
        files.write_json(path, record_to(after))
    return after


def forget(home: Path, key_id: str) -> None:
    """Delete what was noted, because the key was found or forgotten.

    Raises:
        StoreError: It cannot be deleted.
    """
    files.remove(_path(home, key_id), durable=True)


def _done(value: Any) -> dict[str, str]:
    for step, at in fields.mapping(value).items():
        if not _STEP_ID.fullmatch(step):
            raise fields.MalformedError(ascii(step), "is no step")
        fields.time(at)
    return dict(value)


_FIELDS: fields.Fields = {"key_id": fields.identity, "with_computer": fields.flag, "done": _done}


def _path(home: Path, key_id: str) -> Path:
    return facts.path_of(home / LOST_FOLDER, key_id)
