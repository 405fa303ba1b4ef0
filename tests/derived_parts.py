"""A pairing in the inventory whose seed no key holds, which is all that deriving needs."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.core import arkg, seed_cose, seed_numbers
from keyctl.core.pairings import Method, Pairing, Seed
from keyctl.store import inventory

if TYPE_CHECKING:
    from pathlib import Path

MADE_AT = "2026-01-31T08:00:00Z"
PAIRING_ID = "00000000000000a1"
COMPUTER = "00000000000000e1"


def private_seed(name: str = "green") -> arkg.PrivateSeed:
    return arkg.derive_seed(*(sha256(f"{name} {half}".encode()).digest() for half in ("bl", "kem")))


def seed(name: str = "green", **changes: Any) -> Seed:
    """One with a key handle, as ``arkg`` has it, and without evidence."""
    made = Seed(
        public_seed=seed_cose.encode_seed(arkg.public_seed(private_seed(name))),
        numbers=seed_numbers.CURRENT,
        derivation_secret=sha256(f"{name} drv".encode()).digest(),
        key_handle=b"handle",
        credential_id=b"credential",
        user_id=bytes(32),
        attestation="none",
        evidence=None,
    )
    return replace(made, **changes)


def pairing(primary_id: str, backup_id: str, **changes: Any) -> Pairing:
    made = Pairing(
        id=PAIRING_ID,
        primary_id=primary_id,
        backup_id=backup_id,
        method=Method.ARKG,
        seed=seed(),
        created_at=MADE_AT,
        paired_by=COMPUTER,
    )
    return replace(made, **changes)


def get(home: Path, pairing_id: str = PAIRING_ID) -> Pairing:
    found = inventory.read(home).pairing_with_id(pairing_id)
    assert found is not None
    return found
