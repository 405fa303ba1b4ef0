"""The inventory as one document that another computer takes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyctl.core.merging import Offered
from keyctl.store import pairing_records, records
from keyctl.store.documents import document_from
from keyctl.store.files import MAX_FILE_BYTES, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from keyctl.core.inventory import Inventory

_SCHEMA = "keyctl-inventory/1"
#: What tells where people and keys are: kept back unless it is asked for.
PRIVATE_FIELDS = ("owner", "location")


def document(inventory: Inventory, *, left_out: Collection[str], exported_at: str) -> dict[str, Any]:
    """Everything in *inventory* but the fields *left_out* of :data:`PRIVATE_FIELDS`."""
    keys = [records.key_to(key) for key in inventory.keys]
    for key in keys:
        for name in left_out:
            key.pop(name)
        key["changed"] = {name: at for name, at in key["changed"].items() if name not in left_out}
    return {
        "schema": _SCHEMA,
        "exported_at": exported_at,
        "keys": keys,
        "services": [records.service_to(service) for service in inventory.services],
        "pairings": [pairing_records.pairing_to(pairing) for pairing in inventory.pairings],
    }


def offered_from(content: bytes, source: str) -> Offered:
    """What a document says.

    Args:
        content: The whole of it, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call it.

    Raises:
        StoreError: A newer keyctl wrote it, or it is none, or something in it is not what it has to be.
    """
    value = document_from(content, source, schema=_SCHEMA, what="exported inventory", max_bytes=MAX_FILE_BYTES)
    keys = _records(value, "keys", source)
    # Documents from before there were pairings have none.
    pairings = _records({"pairings": []} | value, "pairings", source)
    return Offered(
        keys=tuple(_read(keys, records.key_from, source, optional=PRIVATE_FIELDS)),
        services=tuple(_read(_records(value, "services", source), records.service_from, source)),
        pairings=tuple(_read(pairings, pairing_records.pairing_from, source)),
        left_out={key["id"]: [name for name in PRIVATE_FIELDS if name not in key] for key in keys},
    )


def _records(value: dict[str, Any], name: str, source: str) -> list[dict[str, Any]]:
    some = value.get(name)
    if not isinstance(some, list) or not all(isinstance(item, dict) for item in some):
        raise unreadable(source, f"is damaged: {name} is no list of records")
    return some


def _read(
    values: list[dict[str, Any]], decode: Callable[..., Any], source: str, **options: Collection[str]
) -> list[Any]:
    found: dict[str, Any] = {}
    for value in values:
        record = decode(value, source, **options)
        if record.id in found:
            raise unreadable(source, f"is damaged: the record {record.id} is in it twice")
        found[record.id] = record
    return list(found.values())
