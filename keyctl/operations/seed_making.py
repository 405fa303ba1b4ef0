"""A seed on a backup key that makes it itself, with the proof that the key holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.core import arkg, attestation, binding, contexts, seed_cose, seed_numbers
from keyctl.core.pairings import Seed
from keyctl.device.seeds import Enforcement
from keyctl.errors import UnsupportedError

if TYPE_CHECKING:
    from keyctl.core.arkg import SeedPublicKey
    from keyctl.device.seeds import Policy
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class NewSeed:
    """A seed that a key has just made, and proved to hold where it can."""

    points: SeedPublicKey
    seed: Seed
    #: For the record that the key keeps, 32 bytes; None: it has no large blobs.
    large_blob_key: bytes | None = field(repr=False)
    #: What this computer saw of touch and PIN; None where there is nothing to be seen.
    policy: Policy | None


def make_arkg(session: Session, circumstances: Circumstances) -> NewSeed:
    """Make a seed on an unlocked key, and have it prove that it holds it: three touches.

    The caller undoes what was made where this fails (:func:`keyctl.operations.pair_leftovers.undone`).

    Args:
        session: The backup key, with its PIN.
        circumstances: What the command line says.

    Raises:
        UnsupportedError: It has no seeds, or none that can be used; a check of the evidence failed
            (``evidence_refused``), or it signs without touch or PIN.
        PinError: The PIN is wrong, blocked or missing.
        TouchError: Nobody touched it in time.
        UnreachableError: It is gone or silent, or answers nonsense.
    """
    label = session.key.label
    tell = circumstances.asker.tell
    session.seeds.require()
    tell(f"{label} wants three touches; the first makes the seed")
    nonce = os.urandom(binding.NONCE_BYTES)
    # Nothing is excluded: a key may be the backup of several, and a fresh user takes no other credential's place.
    made = session.seeds.make(nonce, ())
    wanted = binding.exercise(made.offer, made.made, nonce)
    tell(f"the second proves that {label} holds it")
    signed = session.seeds.sign(
        made.credential_id, made.offer.signing_handle, wanted.arguments, wanted.tbs, wanted.client_data_hash
    )
    evidence = binding.Evidence(made=made.made, asserted=signed.raw, nonce=nonce)
    try:
        binding.verify(evidence)
    except binding.BindingError as error:
        raise _refused(label, f"{error} (check {error.check})") from error
    tell(f"the third tries whether {label} would sign without its PIN, which it must not")
    policy = session.seeds.policy(made.credential_id, made.offer.signing_handle, wanted.arguments)
    if policy.enforcement is Enforcement.NOT_ENFORCED:
        raise _refused(label, f"{policy.reason} (check policy)")
    return NewSeed(
        points=made.offer.seed,
        seed=Seed(
            public_seed=seed_cose.encode_seed(made.offer.seed),
            numbers=seed_numbers.CURRENT,
            # Drawn only now: the same secret under two seeds would make handles that can be linked.
            derivation_secret=os.urandom(contexts.DRV_BYTES),
            key_handle=made.offer.signing_handle,
            credential_id=made.credential_id,
            user_id=made.user_id,
            attestation=made.offer.vouched_by,
            evidence=evidence,
        ),
        large_blob_key=made.large_blob_key,
        policy=policy,
    )


def make_software(key: Key, pin: str, circumstances: Circumstances) -> NewSeed:
    """Make a seed out of a key's hmac-secret, in a process of its own: three touches.

    Args:
        key: The backup key, which has proved its name; its connection is closed, as the other process opens it.
        pin: Of the key.
        circumstances: What the command line says.

    Raises:
        KeyctlError: As :func:`make_arkg`.
    """
    from keyctl.operations import software_seeds

    circumstances.asker.tell(f"{key.label} wants three touches: the first makes its secret, two more compare it")
    made = software_seeds.make(key, pin, circumstances)
    try:
        points = seed_cose.read_seed(made.public_seed)
    except arkg.ArkgError as error:
        raise _refused(key.label, str(error)) from error
    return NewSeed(
        points=points,
        seed=Seed(
            public_seed=made.public_seed,
            numbers=seed_numbers.CURRENT,
            derivation_secret=os.urandom(contexts.DRV_BYTES),
            key_handle=None,
            credential_id=made.credential_id,
            user_id=made.user_id,
            attestation=attestation.NONE,
            evidence=None,
        ),
        large_blob_key=made.large_blob_key,
        policy=None,
    )


def remarks(new: NewSeed, label: str) -> tuple[str, ...]:
    """What could not be found out about the key called *label* while it made the seed."""
    if new.policy is None or new.policy.reason is None:
        return ()
    return (f"whether {label} would sign without PIN or touch could not be tried: {new.policy.reason}",)


def _refused(label: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        "evidence_refused",
        f"{label} cannot be a backup key: {why}",
        "look for another firmware of it, or pair it by another method",
        key=label,
    )
