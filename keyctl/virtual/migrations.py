"""From the files of older keyctl to what this one writes: pure functions on the JSON, one for each schema number."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The schema of the files with a key's memory.
SCHEMA = 3


def migrated(value: dict[str, Any], schema: int) -> dict[str, Any]:
    """The content of a key's file with *schema*, which is at most :data:`SCHEMA`, as the newest schema has it.

    Nothing is checked: what makes no sense stays, for the reader to refuse.
    """
    for number in range(schema, SCHEMA):
        value = _STEPS[number](value) | {"schema": number + 1}
    return value


def _from_1(value: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 has large blobs, the persistent token with what it opens, and the configuration."""
    added: dict[str, Any] = {
        # Reading must not change a file, so what a new key draws by chance is derived here, the same every time.
        "identifier": _derived(value, "identifier"),
        "store_state": _derived(value, "store state"),
        "persistent_token": None,
        # An empty array and its checksum (CTAP 2.2, section 6.10).
        "large_blobs": "8076be8b528d0075f7aae98d6fa57a6d3c",
        "configuration": {
            "always_uv": False,
            "enterprise": False,
            "long_touch_for_reset": False,
            "min_pin_length": None,
            "min_pin_rp_ids": [],
            "force_pin_change": False,
        },
    }
    newer = added | value
    credentials = value.get("credentials")
    if isinstance(credentials, list):
        newer["credentials"] = [_credential_from_1(credential) for credential in credentials]
    return newer


def _from_2(value: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 has the seeds of previewSign and those of the draft extension "recovery"."""
    added: dict[str, Any] = {"signing_seeds": [], "backup_seeds": {"own": None, "given": [], "changes": 0}}
    return added | value


def _credential_from_1(credential: Any) -> Any:
    return {"blob": None, "large_blob_key": None} | credential if isinstance(credential, dict) else credential


def _derived(value: dict[str, Any], what: str) -> str:
    """16 bytes in hexadecimal."""
    return sha256(f"{what} {value.get('secret')}".encode(errors="replace")).hexdigest()[:32]


#: schema -> what makes the next one of it.
_STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
