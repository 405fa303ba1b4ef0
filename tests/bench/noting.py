"""Note keys and services in an inventory: ``noting.py HOME KEYS PASSKEYS SERVICES PER_ACCOUNT``, each time the same.

Each account is on PER_ACCOUNT of the keys; every service is one of the accounts. All keys are of the model of the
virtual key that is measured, so that nothing but an answer tells which is which.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from keyctl.core.inventory import Declaration, KnownKey, RecognitionCredential, Recovery, SeenPasskey, Service
from keyctl.store import inventory
from keyctl.virtual.identity import AAGUIDS

#: Years ago: what is looked at, and what was said since.
SEEN_AT, SAID_AT = "2024-01-31T08:00:00Z", "2024-02-29T08:00:00Z"
#: As long as the ids of many keys.
ID_BYTES = 96


def main(home: str, keys: str, passkeys: str, services: str, per_account: str) -> None:
    """Write all of it, each a file."""
    count, accounts = int(keys), int(passkeys) // int(per_account)
    held: list[list[SeenPasskey]] = [[] for _ in range(count)]
    for number in range(int(passkeys)):
        # One account after the other, and the keys of one beside each other.
        held[number % count].append(_passkey(number, number // int(per_account)))
    with inventory.changing(Path(home), 0) as changes:
        known = [_key(number, tuple(on_it)) for number, on_it in enumerate(held)]
        for key in known:
            changes.put_key(key)
        for number in range(int(services)):
            changes.put_service(_service(number, number * accounts // int(services), known[number % count]))


def _site(account: int) -> str:
    return f"site{account}.example"


def _key(number: int, passkeys: tuple[SeenPasskey, ...]) -> KnownKey:
    return KnownKey(
        id=f"{number:016x}",
        name=f"another key {number}",
        virtual=True,
        aaguid=str(UUID(bytes=AAGUIDS["full"])),
        model="A Key",
        serial=str(number),
        firmware="5.7.1",
        added_at=SEEN_AT,
        recognition=RecognitionCredential(
            credential_id=_bytes(f"recognition {number}"),
            public_key=_bytes(f"public key {number}"),
            user_id=_bytes(f"user {number}")[:32],
            u2f=False,
            enrolled_at=SEEN_AT,
        ),
        passkeys=passkeys,
        passkeys_read_at=SEEN_AT if passkeys else None,
        passkeys_remaining=10,
    )


def _passkey(number: int, account: int) -> SeenPasskey:
    rp_id = _site(account)
    return SeenPasskey(
        credential_id=_bytes(f"passkey {number}"),
        rp_id=rp_id,
        rp_id_hash=sha256(rp_id.encode()).digest(),
        user_id=_bytes(f"account {account}")[:32],
        user_name=f"user{account}@example.com",
        display_name=f"User {account}",
        protection=None,
        seen_at=SEEN_AT,
    )


def _service(number: int, account: int, key: KnownKey) -> Service:
    return Service(
        id=f"{number:016x}",
        name=f"Service {number}",
        rp_id=_site(account),
        account=f"user{account}@example.com",
        on=(Declaration(key_id=key.id, declared_at=SAID_AT),),
        recovery=(Recovery.CODES,) if number % 2 else (),
        added_at=SAID_AT,
    )


def _bytes(about: str) -> bytes:
    """Ever the same, and like nothing else."""
    return b"".join(sha256(f"{about} {part}".encode()).digest() for part in range(ID_BYTES // 32))


if __name__ == "__main__":
    main(*sys.argv[1:])
