"""The JSON document: one per run, the same envelope for results and for failures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from keyctl.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.errors import KeyctlError

SCHEMA = "keyctl/1"


def document(command: str | None, exit_status: int, data: Any, errors: Sequence[KeyctlError]) -> str:
    """The document as one line of ASCII, so that no terminal is fooled by what a key says.

    Args:
        command: The command as far as it was recognised, or None.
        exit_status: What the program ends with.
        data: A dataclass or mapping, or None when there is no result.
        errors: All failures, the one that decides first.
    """
    import json

    if data is None:
        status = "error"
    elif errors:
        status = "partial"
    else:
        status = "found" if exit_status == Exit.FOUND else "ok"
    envelope = {
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "exit_status": int(exit_status),
        "data": data,
        "errors": [error_data(error) for error in errors],
    }
    # The encoder asks for what it does not know, which is faster than walking through everything before.
    # Frozen data has no circles, and looking for them takes a tenth of the time.
    return json.dumps(envelope, default=_simpler, check_circular=False)


def error_data(error: KeyctlError) -> dict[str, Any]:
    """One failure as data."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "key": error.key,
        "details": jsonable(error.details),
    }


def jsonable(value: Any) -> Any:
    """*value* in JSON's types: bytes as lower-case hex, enums as their value, dataclasses by their fields."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    simple = value if isinstance(value, list | tuple | dict) else _simpler(value)
    if isinstance(simple, dict):
        return {str(name): jsonable(item) for name, item in simple.items()}
    return simple if isinstance(simple, str) else [jsonable(item) for item in simple]


def _simpler(value: Any) -> Any:
    """What JSON's encoder asks for: one step nearer to its types, by the rules of :func:`jsonable`."""
    if (names := _field_names(value.__class__)) is not None:
        # Of most, all that they hold are their fields; that is not copied.
        held: dict[str, Any] = getattr(value, "__dict__", {})
        return held if len(held) == len(names) else {name: getattr(value, name) for name in names}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    return list(value)


@functools.cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """The names of a dataclass's fields; None for another type."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None
