"""What documents that travel between computers have in common: JSON that says which schema it is of."""

from __future__ import annotations

import json
from typing import Any

from keyctl.store import migrations
from keyctl.store.files import unreadable


def document_from(content: bytes, source: str, *, schema: str, what: str, max_bytes: int) -> dict[str, Any]:
    """The fields of a document beside its schema; nothing else of it is checked.

    Args:
        content: The whole of it, or its first *max_bytes* and one more.
        source: What messages call it.
        schema: Such as ``keyctl-seed/1``.
        what: What it should be, such as ``exported seed``.
        max_bytes: Larger ones are none.

    Raises:
        StoreError: A newer keyctl wrote it, or it is none.
    """
    if len(content) > max_bytes:
        raise unreadable(source, f"is too large for an {what}")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable(source, "is not JSON") from error
    wanted, _, known = schema.partition("/")
    name, _, number = str(value.get("schema") if isinstance(value, dict) else None).partition("/")
    if name != wanted or not (number.isascii() and number.isdecimal()) or number.startswith("0"):
        raise unreadable(source, f"is no {what}")
    # Compared as texts: a number of thousands of digits is no number to Python.
    if number != known:
        raise migrations.newer(source)
    del value["schema"]
    fields: dict[str, Any] = value
    return fields
