"""Whether the inventory's seed of a pairing is the one that this computer trusts.

Whoever can write to a synced inventory could put a seed of their own there, and every key derived from then on would be
theirs. So the seed that was trusted first is pinned in this computer's own state, and a difference stops everything
until a person has compared the fingerprint. The same goes for another pairing in the place of one that is trusted.
"""

from __future__ import annotations

import contextlib
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import arkg, binding, derivations, fingerprints, seed_cose
from keyctl.errors import StoreError, UnsupportedError
from keyctl.operations import pair_choice
from keyctl.store import pair_pins
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from keyctl.core.arkg import SeedPublicKey
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import Pairing, Seed
    from keyctl.operations.asking import Circumstances


def require(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> SeedPublicKey:
    """The seed of a pairing with one, after making sure that it is the one trusted here.

    At first sight on this computer its evidence is checked again, where it has any, and it is pinned; the person is
    told the fingerprint to compare.

    Raises:
        UnsupportedError: The pairing has no seed that this computer derives from.
        StoreError: It is another seed than the one trusted here and nobody confirms it, or it makes no sense
            (``pairing_changed``); or it was written by a newer keyctl.
        DeclinedError: The person does not confirm it.
    """
    name = pair_choice.label(inventory, pairing)
    if pairing.seed is None:
        raise UnsupportedError(
            "unsupported",
            f"the pairing {name} has no seed: its method is {pairing.method}",
            "`keyctl pair list` shows which pairings have one",
        )
    seed = derivations.public_seed(pairing.seed)
    # As it is encoded here, so that two encodings of one seed are no difference.
    seed_hash = sha256(seed_cose.encode_seed(seed)).digest()
    pin = local_state.read_seed_pin(circumstances.state, pairing.id)
    if pin == seed_hash:
        _require_details(circumstances, pairing, name)
        _remember_if_first(circumstances, inventory, pairing)
        return seed
    fingerprint = fingerprints.of_seed(seed)
    if pin is None:
        _check_evidence(pairing, name)
    if pin is None and not in_place_of_another(circumstances, inventory, pairing):
        circumstances.asker.tell(
            f"the seed of {name} is new to this computer: compare its fingerprint {fingerprint} with the one shown "
            "when the keys were paired"
        )
        with contextlib.suppress(StoreError):
            # A state folder on a read-only disk must not keep the backup key from signing.
            local_state.write_seed_pin(circumstances.state, pairing.id, seed_hash)
    else:
        _confirm_changed(circumstances, name, fingerprint)
        local_state.write_seed_pin(circumstances.state, pairing.id, seed_hash)
    remember(circumstances, inventory, pairing)
    return seed


def is_trusted(
    circumstances: Circumstances, inventory: Inventory, pairing: Pairing, seed_hash: bytes | None
) -> bool | None:
    """Whether a pairing is the one trusted here, with nobody to ask and nothing to write.

    Args:
        circumstances: What the command line says.
        inventory: What is known.
        pairing: Which one.
        seed_hash: SHA-256 of its seed as it is encoded here; None: it has none.

    Returns:
        None: neither it nor another in its place has been seen on this computer.

    Raises:
        StoreError: What is trusted here cannot be read.
    """
    pin = local_state.read_seed_pin(circumstances.state, pairing.id)
    if pin is None:
        return False if in_place_of_another(circumstances, inventory, pairing) else None
    return pin == seed_hash and (pairing.seed is None or details_are_trusted(circumstances, pairing))


def in_place_of_another(
    circumstances: Circumstances, inventory: Inventory, pairing: Pairing, names: tuple[str, str] | None = None
) -> bool:
    """Whether this computer trusts another pairing of the same two keys, by their names or their numbers.

    One that was removed or forgotten here is not trusted any more.

    Args:
        circumstances: What the command line says.
        inventory: What is known.
        pairing: Which one.
        names: What its keys are to be called here; None: what they are, where both are known.

    Raises:
        StoreError: What is trusted here cannot be read.
    """
    return any(_trusted(circumstances, keys) not in {None, pairing.id} for keys in _keys(inventory, pairing, names))


def remember(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> None:
    """Note a pairing, whose seed is trusted, as the one of its two keys; where that cannot be written, later."""
    with contextlib.suppress(StoreError):
        for keys in _keys(inventory, pairing):
            if pair_pins.read(circumstances.state, keys) != pairing.id:
                pair_pins.write(circumstances.state, keys, pairing.id)
        details = _details(pairing)
        if pair_pins.read_details(circumstances.state, pairing.id) != details:
            pair_pins.write_details(circumstances.state, pairing.id, details)


def _require_details(circumstances: Circumstances, pairing: Pairing, name: str) -> None:
    """Nobody is asked: none of it ever changes, and none of it is shown."""
    if not details_are_trusted(circumstances, pairing):
        raise StoreError(
            "pairing_changed",
            f"what the inventory says of the seed of {name} is not what this computer trusts",
            "somebody changed the inventory, so that keys are derived for which nobody can sign in the end: restore it "
            "from a backup",
        )


def details_are_trusted(circumstances: Circumstances, pairing: Pairing) -> bool:
    """Whether what goes with the seed of a pairing is what this computer trusts, or nothing of it was ever trusted.

    Raises:
        StoreError: What is trusted here cannot be read.
    """
    return pair_pins.read_details(circumstances.state, pairing.id) in {None, _details(pairing)}


def _details(pairing: Pairing) -> bytes:
    """SHA-256 of what keys are derived with and signed by, beside the seed's public half."""
    seed = pairing.seed
    assert seed is not None
    parts = (seed.derivation_secret, seed.credential_id, seed.user_id, seed.key_handle or b"")
    return sha256(" ".join([pairing.method, *(part.hex() for part in parts)]).encode()).digest()


def _remember_if_first(circumstances: Circumstances, inventory: Inventory, pairing: Pairing) -> None:
    # The pairing that one took the place of is still trusted, and does not take it back.
    if not in_place_of_another(circumstances, inventory, pairing):
        remember(circumstances, inventory, pairing)


def _keys(inventory: Inventory, pairing: Pairing, names: tuple[str, str] | None = None) -> list[str]:
    """How the two keys of a pairing are known: by their numbers, and by their names where both have one."""
    known = [pair_choice.name_of(inventory, key_id) for key_id in (pairing.primary_id, pairing.backup_id)]
    known = known if names is None else list(names)
    by_names = [] if None in known else [f"names {known!r}"]
    return [f"numbers {pairing.primary_id} {pairing.backup_id}", *by_names]


def _trusted(circumstances: Circumstances, keys: str) -> str | None:
    """The pairing that is trusted for two keys."""
    found = pair_pins.read(circumstances.state, keys)
    return None if found is None or local_state.read_seed_pin(circumstances.state, found) is None else found


def _check_evidence(pairing: Pairing, name: str) -> None:
    """Check the proof that the backup key holds the seed, where the pairing keeps any.

    Raises:
        StoreError: It does not hold, or is for another seed (``pairing_changed``).
    """
    assert pairing.seed is not None
    if pairing.seed.evidence is not None and (why := unproved(pairing.seed)) is not None:
        raise _changed(name, why)


def unproved(seed: Seed) -> str | None:
    """Why the evidence of *seed* does not prove that one key holds it; None: it does."""
    if seed.evidence is None:
        return "it holds no evidence that the backup key holds the seed"
    try:
        offer = binding.verify(seed.evidence)
        same = offer.seed == seed_cose.read_seed(seed.public_seed)
    except arkg.ArkgError as error:
        return f"its evidence does not hold: {error}"
    if not same:
        return "its evidence is for another seed"
    if (offer.credential_id, offer.signing_handle) != (seed.credential_id, seed.key_handle):
        return "its evidence is for another credential"
    if seed.attestation != offer.vouched_by:
        return "its evidence has another attestation than it says"
    return None


def _confirm_changed(circumstances: Circumstances, name: str, fingerprint: str) -> None:
    if not circumstances.asker.attended:
        raise _changed(name, f"its fingerprint is {fingerprint} now, which is not the one trusted on this computer")
    circumstances.asker.confirm_by_typing(
        f"The seed of {name} is not the one that this computer trusts. Its fingerprint is {fingerprint} now.\n"
        "That is right only if you paired the two keys again, on another computer that shares the inventory.\n"
        "If you did not, somebody changed the inventory so that keys are derived from a seed of their own.",
        fingerprint,
    )


def _changed(name: str, why: str) -> StoreError:
    return StoreError(
        "pairing_changed",
        f"the inventory's seed of {name} cannot be trusted: {why}",
        "if you paired the keys again elsewhere, run the command at a terminal and confirm it; if not, somebody changed"
        " the inventory: restore it from a backup, or run `keyctl pair restore`",
    )
