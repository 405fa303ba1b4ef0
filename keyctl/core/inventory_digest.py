"""Whether an inventory still says what it said: a digest of what would be lost with it.

When something was last seen is no part of it, or every scan would be a change.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey, Service
    from keyctl.core.pairings import Pairing


def digest(inventory: Inventory) -> str:
    """SHA-256 in hex digits; the order of the records has no part in it."""
    records = [
        *map(_key, inventory.keys),
        *map(_service, inventory.services),
        *map(_pairing, inventory.pairings),
    ]
    return sha256("\n".join(sorted(json.dumps(record) for record in records)).encode()).hexdigest()


def _key(key: KnownKey) -> list[Any]:
    return [
        "key",
        key.id,
        key.name,
        key.role,
        key.owner,
        key.location,
        key.note,
        key.state,
        key.recognition.credential_id.hex(),
        sorted(passkey.credential_id.hex() for passkey in key.passkeys if passkey.reset_at is None),
        sorted(entry.credential_id.hex() for entry in key.registrations if entry.reset_at is None),
    ]


def _service(service: Service) -> list[Any]:
    on = sorted(declaration.key_id for declaration in service.on)
    return ["service", service.id, service.name, service.rp_id, service.account, on, service.recovery]


def _pairing(pairing: Pairing) -> list[Any]:
    seed = pairing.seed_hash
    return [
        "pairing",
        pairing.id,
        pairing.method,
        None if seed is None else seed.hex(),
        pairing.retired_at,
        sorted([key.target, key.handed_over_at or "", key.replaced_at or ""] for key in pairing.derived),
    ]
