"""Keys and services as an inventory has them, in few words."""

from __future__ import annotations

from hashlib import sha256

from keyctl.core.inventory import (
    Declaration,
    Inventory,
    KnownKey,
    Origin,
    RecognitionCredential,
    Registration,
    SeenPasskey,
    Service,
)
from keyctl.core.pairings import DerivedKey, Method, Pairing, Seed
from keyctl.core.seed_numbers import CURRENT
from keyctl.model import KeyState

NOW = "2026-06-01T08:00:00Z"
SEEN_AT = "2026-05-01T08:00:00Z"
LONG_AGO = "2025-05-01T08:00:00Z"


def passkey(rp_id="bank.example", user="kim", *, user_id=None, text=..., reset_at=None, display_name=None):
    """A passkey; *text* is what the key says instead of the RP id."""
    if user_id is None:
        user_id = f"{rp_id} {user}".encode()
    shown = rp_id if text is ... else text
    return SeenPasskey(
        credential_id=sha256(repr((rp_id, user, user_id, shown, reset_at)).encode()).digest(),
        rp_id=shown,
        rp_id_hash=sha256(rp_id.encode()).digest(),
        user_id=user_id,
        user_name=user,
        display_name=display_name,
        protection=None,
        seen_at=SEEN_AT,
        reset_at=reset_at,
    )


def registration(rp_id="bank.example", account="kim", *, reset_at=None):
    return Registration(
        credential_id=sha256(f"registration {rp_id} {account}".encode()).digest(),
        rp_id=rp_id,
        account=account,
        origin=Origin.SSH,
        public_key=None,
        label=None,
        seen_at=SEEN_AT,
        reset_at=reset_at,
    )


def key(name, *held, owner=None, state=KeyState.ACTIVE, virtual=False, changed=(), replaced_at=None):
    return KnownKey(
        id=sha256(name.encode()).hexdigest()[:16],
        name=name,
        owner=owner,
        state=state,
        virtual=virtual,
        aaguid=None,
        model=None,
        serial=None,
        firmware=None,
        added_at=LONG_AGO,
        recognition=RecognitionCredential(
            credential_id=name.encode(),
            public_key=b"public",
            user_id=bytes(32),
            u2f=False,
            enrolled_at=replaced_at or LONG_AGO,
        ),
        passkeys=tuple(record for record in held if isinstance(record, SeenPasskey)),
        registrations=tuple(record for record in held if isinstance(record, Registration)),
        changed=dict(changed),
    )


def service(name="Bank", rp_id="bank.example", account="kim", *, on=(), recovery=(), at=SEEN_AT, changed=()):
    """A service; *on* are names of keys."""
    return Service(
        id=sha256(f"{name} {rp_id} {account}".encode()).hexdigest()[:16],
        name=name,
        rp_id=rp_id,
        account=account,
        on=tuple(Declaration(key_id=key(who).id, declared_at=at) for who in on),
        recovery=tuple(recovery),
        added_at=at,
        changed=dict(changed),
    )


def inventory_of(*records):
    return Inventory(
        keys=tuple(record for record in records if isinstance(record, KnownKey)),
        services=tuple(record for record in records if isinstance(record, Service)),
        pairings=tuple(record for record in records if isinstance(record, Pairing)),
    )


def derived(target, *, handed_over_at=None, replaced_at=None):
    return DerivedKey(
        target=target,
        public_key=sha256(target.encode()).digest(),
        key_handle=target.encode(),
        created_at=LONG_AGO,
        handed_over_at=handed_over_at,
        replaced_at=replaced_at,
    )


def pairing(primary, backup, *made, method=Method.SOFTWARE, **facts):
    """A pairing of two keys, by name; *made* are its derived keys."""
    seed = Seed(
        public_seed=f"{primary} {backup}".encode(),
        numbers=CURRENT,
        derivation_secret=bytes(32),
        key_handle=None if method is Method.SOFTWARE else b"handle",
        credential_id=f"seed {primary} {backup}".encode(),
        user_id=bytes(32),
        attestation="none",
        evidence=None,
    )
    return Pairing(
        id=sha256(f"{primary} {backup} {method}".encode()).hexdigest()[:16],
        primary_id=key(primary).id,
        backup_id=key(backup).id,
        method=method,
        seed=seed if method in {Method.ARKG, Method.SOFTWARE} else None,
        created_at=LONG_AGO,
        paired_by="00000000000000e1",
        derived=tuple(made),
        **facts,
    )
