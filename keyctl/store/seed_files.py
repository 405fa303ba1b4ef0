"""A backup key's seed as a file: from the computer where it was made to the one that has the primary key.

It holds the evidence that the backup key holds the seed, and by what that key is known again. None of it is secret; who
has it can tell which keys were derived from the seed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.core.pairings import Method, Seed
from keyctl.model import KeyState
from keyctl.store import fields, pairing_records, records
from keyctl.store.documents import document_from

if TYPE_CHECKING:
    from keyctl.core.inventory import KnownKey
    from keyctl.store.fields import Fields

#: Larger ones are none; a seed with its evidence has some 10 kB.
MAX_FILE_BYTES = 1024 * 1024
_SCHEMA = "keyctl-seed/1"


@dataclass(frozen=True, kw_only=True)
class SeedFile:
    """What such a file says; nothing of it is checked but its form."""

    #: By which the seed is said to have been made.
    method: Method
    #: When it was made.
    created_at: str
    #: As it was shown then; for people, who may open the file.
    fingerprint: str
    #: The backup key, see :func:`identity`.
    key: KnownKey
    seed: Seed


def identity(key: KnownKey) -> KnownKey:
    """Of *key* what is needed to know it again, without what is on it and where it lies."""
    return replace(
        key,
        owner=None,
        location=None,
        note=None,
        state=KeyState.ACTIVE,
        passkeys=(),
        passkeys_read_at=None,
        passkeys_remaining=None,
        registrations=(),
        changed={},
    )


def document(content: SeedFile) -> str:
    """The file as text, without a newline at its end."""
    value = {
        "schema": _SCHEMA,
        "method": content.method.value,
        "created_at": content.created_at,
        "fingerprint": content.fingerprint,
        "key": records.key_to(identity(content.key)),
        "seed": fields.plain(content.seed),
    }
    return json.dumps(value, indent=2, sort_keys=True)


def seed_file_from(content: bytes, source: str) -> SeedFile:
    """What a file says.

    Args:
        content: The whole of it, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call it.

    Raises:
        StoreError: A newer keyctl wrote it, or it is none, or something in it is not what it has to be.
    """
    value = document_from(content, source, schema=_SCHEMA, what="exported seed", max_bytes=MAX_FILE_BYTES)

    def key(value: Any) -> KnownKey:
        return identity(records.key_from(fields.mapping(value), source))

    found: SeedFile = fields.decoded(SeedFile, {**_FIELDS, "key": key}, value, source)
    return found


_FIELDS: Fields = {
    "method": Method,
    "created_at": fields.time,
    "fingerprint": fields.some_text,
    "seed": pairing_records.seed_from,
}
