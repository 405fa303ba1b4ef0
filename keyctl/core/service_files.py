"""The files that ``service import`` takes: the JSON that ``service list --json`` prints, and CSV with a header."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core import rp_ids, services
from keyctl.core.inventory import Recovery
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Larger files are refused: ten thousand services take less.
MAX_FILE_BYTES = 16 * 1024 * 1024
#: Each becomes a file of its own, and every command reads them all.
MAX_SERVICES = 2000
_MAX_LIST = 1000
_SCHEMA = "keyctl/1"
_COMMAND = "service list"
_COLUMNS = ("name", "rp_id", "account", "keys", "recovery")
_METHODS = {method.value: method for method in Recovery}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One account as the file says it."""

    #: For messages: the file and the place in it where the account comes first.
    where: str
    name: str
    #: Checked; None: not said.
    rp_id: str | None
    account: str | None
    #: Names of keys -> the place that names it first.
    keys: Mapping[str, str]
    #: In the order of :class:`Recovery`, each once.
    recovery: tuple[Recovery, ...]


@dataclass(frozen=True, kw_only=True)
class ServiceFile:
    """What a file says."""

    #: Each account once, in the order of the file.
    entries: tuple[Entry, ...]
    #: Columns that mean nothing here.
    ignored: tuple[str, ...] = ()


def parse(content: bytes, source: str) -> ServiceFile:
    """The services in *content*; JSON where it begins like that, else CSV.

    Args:
        content: The whole file, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call the file.

    Raises:
        UsageError: It cannot be understood (``import_unreadable``); the message says where.
    """
    try:
        text = _decoded(content, source)
        if text.lstrip()[:1] in {"{", "["}:
            return ServiceFile(entries=_merged(_json_entries(text, source)))
        ignored, entries = _csv_entries(text, source)
        return ServiceFile(entries=_merged(entries), ignored=ignored)
    except UsageError as error:
        raise error.with_details(file=source) from error.__cause__


def unusable(where: str, reason: str, hint: str | None = None) -> UsageError:
    """The error for a file, or a place in one, that cannot be imported as it is."""
    return UsageError(
        "import_unreadable",
        f"{where} {reason}",
        hint or "correct the file and import it again; nothing was changed",
    )


def _decoded(content: bytes, source: str) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise unusable(source, f"is larger than {MAX_FILE_BYTES // 1024 // 1024} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unusable(_line(source, content[: error.start].count(b"\n") + 1), "is not UTF-8") from error
    if "\0" in text:
        raise unusable(_line(source, text[: text.index("\0")].count("\n") + 1), "holds a NUL character")
    return text


def _line(source: str, number: int) -> str:
    return f"{source}: line {number}"


def _csv_entries(text: str, source: str) -> tuple[tuple[str, ...], Iterator[Entry]]:
    """The columns that mean nothing, and the entries, which are read as they are asked for."""
    rows = _csv_rows(text, source)
    where, header = next(rows, (_line(source, 1), []))
    columns = [column.strip().lower() for column in header]
    for column in _COLUMNS:
        if columns.count(column) > 1:
            raise unusable(where, f"names the column {column} twice")
    if "name" not in columns:
        raise unusable(
            where,
            "has no column name",
            f"the first line names the columns, separated by commas: {','.join(_COLUMNS)}; only name is needed",
        )
    ignored = tuple(column for column in columns if column and column not in _COLUMNS)
    return ignored, (_csv_entry(columns, row, where) for where, row in rows)


def _csv_rows(text: str, source: str) -> Iterator[tuple[str, list[str]]]:
    """All rows that hold something, each with the line on which it begins."""
    import csv

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield _line(source, line), row
            line = reader.line_num + 1
    except csv.Error as error:
        raise unusable(_line(source, line), f"is not CSV: {error}") from error


def _csv_entry(columns: list[str], row: list[str], where: str) -> Entry:
    if len(row) > len(columns):
        raise unusable(where, f"has {len(row)} fields, but there are {len(columns)} columns")
    fields = {column: field.strip() for column, field in zip(columns, row, strict=False)}

    def listed(column: str) -> list[str]:
        return [item.strip() for item in fields.get(column, "").split(";") if item.strip()]

    return _entry(
        where,
        name=fields.get("name", ""),
        rp_id=fields.get("rp_id") or None,
        account=fields.get("account") or None,
        keys=listed("keys"),
        recovery=[method.lower() for method in listed("recovery")],
    )


def _json_entries(text: str, source: str) -> Iterator[Entry]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise unusable(_line(source, error.lineno), f"is not JSON: {error.msg.lower()}") from error
    except (ValueError, RecursionError) as error:
        raise unusable(source, "is not JSON that makes sense") from error
    listed = _services_in(value, source)
    for number, item in enumerate(listed, 1):
        where = f"{source}: service {number}"
        if not isinstance(item, dict):
            raise unusable(where, "is not a JSON object")
        yield _entry(
            where,
            name=_text(item, "name", where) or "",
            rp_id=_text(item, "rp_id", where) or None,
            account=_text(item, "account", where) or None,
            keys=_texts(item, "on", where),
            recovery=_texts(item, "recovery", where),
        )


def _services_in(value: Any, source: str) -> list[Any]:
    hint = "give what `keyctl service list --json` printed, or CSV with a header"
    if isinstance(value, dict) and "schema" in value:
        if value["schema"] != _SCHEMA:
            raise unusable(source, f"has the schema {value['schema']!r}, and this keyctl reads {_SCHEMA}", hint)
        if value.get("command") != _COMMAND:
            raise unusable(source, f"is the output of {value.get('command')!r}, not of {_COMMAND!r}", hint)
        value = value.get("data")
    listed = value.get("services") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise unusable(source, "holds no list of services", hint)
    return listed


def _text(item: Mapping[str, Any], field: str, where: str) -> str | None:
    value = item.get(field)
    if value is not None and not isinstance(value, str):
        raise unusable(where, f"has a field {field!r} that is not a text")
    return value


def _texts(item: Mapping[str, Any], field: str, where: str) -> list[str]:
    value = item.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise unusable(where, f"has a field {field!r} that is not a list of texts")
    return value


def _entry(
    where: str, *, name: str, rp_id: str | None, account: str | None, keys: list[str], recovery: list[str]
) -> Entry:
    if max(len(keys), len(recovery)) > _MAX_LIST:
        raise unusable(where, f"has a list of more than {_MAX_LIST}")
    unknown = next((method for method in recovery if method not in _METHODS), None)
    if unknown is not None:
        raise unusable(where, f"has the unknown recovery method {unknown[:60]!r}", f"known are {', '.join(_METHODS)}")
    methods = {_METHODS[method] for method in recovery}
    try:
        services.check_name(name, "name")
        services.account_of(account)
        services.check_recovery(methods)
        return Entry(
            where=where,
            name=name,
            rp_id=rp_id and rp_ids.parse(rp_id),
            account=account,
            keys=dict.fromkeys(keys, where),
            recovery=services.with_recovery(methods),
        )
    except UsageError as error:
        raise unusable(f"{where}:", error.message, error.hint) from error


def _merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Each account once: what several lines say of one is taken together."""
    found: dict[tuple[str, str | None], Entry] = {}
    for entry in entries:
        identity = services.identity(entry.name, entry.account)
        first = found.get(identity)
        found[identity] = entry if first is None else _joined(first, entry)
        if len(found) > MAX_SERVICES:
            raise unusable(
                entry.where, f"is one service too many: a file may name {MAX_SERVICES}", "import a part of it"
            )
    return tuple(found.values())


def _joined(first: Entry, second: Entry) -> Entry:
    if None not in {first.rp_id, second.rp_id} and first.rp_id != second.rp_id:
        raise unusable(second.where, f"gives {second.name} the RP id {second.rp_id}, and an earlier one {first.rp_id}")
    methods = {*first.recovery, *second.recovery}
    try:
        services.check_recovery(methods)
    except UsageError as error:
        raise unusable(f"{second.where}: with an earlier one,", error.message, error.hint) from error
    return replace(
        first,
        rp_id=first.rp_id or second.rp_id,
        keys={**second.keys, **first.keys},
        recovery=services.with_recovery(methods),
    )
