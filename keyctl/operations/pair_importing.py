"""Pairing a primary key with a backup key that is never at the same computer, by the file that has its seed.

The file proves itself: it holds what the backup key signed when it made the seed. That it is the seed of the right
backup key, a person has to see, by its fingerprint on the screen of the other computer.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import derivations, fingerprints, times
from keyctl.core.names import quoted
from keyctl.core.pairings import Method, Pairing, with_copy
from keyctl.core.text import visible
from keyctl.errors import NotFoundError, UnsupportedError, UsageError
from keyctl.model import KeyState
from keyctl.operations import (
    backup_signing,
    import_reading,
    key_copies,
    naming,
    noting,
    pair_choice,
    pair_leftovers,
    pair_recording,
    pair_views,
    seed_trust,
    unlocking,
)
from keyctl.store import inventory as store
from keyctl.store import seed_files
from keyctl.store import state as local_state
from keyctl.store.unfinished import Unfinished

if TYPE_CHECKING:
    from keyctl.core.inventory import Inventory, KnownKey
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.key_copies import Copy
    from keyctl.operations.pair_views import PairingView
    from keyctl.store.seed_files import SeedFile

MAX_FILE_BYTES = seed_files.MAX_FILE_BYTES


@dataclass(frozen=True, kw_only=True)
class SeedImport:
    """A pairing that was made of a file; in a dry run, what there would be to compare."""

    #: None in a dry run.
    pairing: PairingView | None
    #: The backup key's name here.
    backup: str
    changed: bool
    #: What could not be stored.
    remarks: tuple[str, ...]


def import_content(
    circumstances: Circumstances,
    content: bytes,
    source: str,
    primary: str,
    *,
    store_on_key: bool = True,
    dry_run: bool = False,
) -> SeedImport:
    """Pair a primary key with the backup key whose seed is in a file.

    The backup key becomes known here by what the file says of it. The pairing counts as never verified.

    Args:
        circumstances: What the command line says.
        content: The whole file, or its first :data:`keyctl.store.seed_files.MAX_FILE_BYTES` and one more.
        source: What messages call it.
        primary: The name of the primary key.
        store_on_key: Whether the primary key gets a copy of the record; else it need not be connected.
        dry_run: Check everything that needs neither PIN nor touch nor person, change nothing.

    Raises:
        UsageError: The file cannot be understood (``import_unreadable``), it is the same key twice, or nobody can be
            asked for the fingerprint.
        StoreError: A newer keyctl wrote it (``store_newer``), or the inventory cannot be read or written.
        UnsupportedError: The evidence does not prove what the file says (``evidence_refused``), or the primary key
            cannot keep a copy.
        DeclinedError: The fingerprint is another one.
        NotFoundError: The primary key is not known, or the two are paired already by another seed.
        KeyChoiceError: The primary key is not connected.
        PinError: It has no PIN, or that is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
    """
    naming.require_no_key_option(circumstances)
    with import_reading.understanding("keyctl pair export"):
        offered = seed_files.seed_file_from(content, source)
    fingerprint = _proved(offered, source)
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, primary)
    _check_keys(inventory, known, offered, source)
    if (there := _imported_before(inventory, known, offered)) is not None:
        return _imported(inventory, there, changed=False)
    with contextlib.ExitStack() as stack:
        session = None
        if store_on_key:
            session = stack.enter_context(backup_signing.opened_by_name(circumstances, known.name))
            unlocking.require_current_pin_usable(session)
            unlocking.check_unlockable(session, circumstances)
            key_copies.require_room(session)
        if dry_run:
            return SeedImport(pairing=None, backup=offered.key.name, changed=False, remarks=())
        noting.require_writable(circumstances)
        _compare(circumstances, offered, fingerprint)
        return _paired(circumstances, session, known, offered, stack)


def _paired(
    circumstances: Circumstances,
    session: Session | None,
    primary: KnownKey,
    offered: SeedFile,
    careful: contextlib.ExitStack,
) -> SeedImport:
    """The pairing, stored on the primary key where that is open, and written down; *careful* undoes the former."""
    pairing = Pairing(
        id=store.new_id(),
        primary_id=primary.id,
        backup_id=offered.key.id,
        method=Method.ARKG,
        seed=offered.seed,
        created_at=times.now(),
        paired_by=local_state.computer_id(circumstances.state),
    )
    remarks: tuple[str, ...] = ()
    if session is not None:
        copy = _stored(circumstances, session, pairing, offered, careful)
        pairing = with_copy(pairing, copy.stored)
        if copy.blob_key is None:
            remarks = (
                f"{primary.name} has no large blobs: it carries the seed only, and derived keys need the inventory",
            )
    inventory = pair_recording.record(circumstances, pairing, newcomer=offered.key)
    return replace(_imported(inventory, pairing, changed=True), remarks=remarks)


def _proved(offered: SeedFile, source: str) -> str:
    """The fingerprint of the seed that the evidence proves to be held by one key, whosever that is."""
    if offered.method is not Method.ARKG:
        raise _refused(source, f"the method {offered.method} cannot be proved by a file")
    points = derivations.public_seed(offered.seed)
    if (why := seed_trust.unproved(offered.seed)) is not None:
        raise _refused(source, why)
    return fingerprints.of_seed(points)


def _refused(source: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        "evidence_refused",
        f"the seed in {source} is not accepted: {why}",
        "export the seed of the backup key once more; nothing was changed",
    )


def _check_keys(inventory: Inventory, primary: KnownKey, offered: SeedFile, source: str) -> None:
    """What the inventory alone says against pairing the two."""
    backup = offered.key
    if primary.id == backup.id or primary.recognition.credential_id == backup.recognition.credential_id:
        raise UsageError(
            "usage",
            f"{primary.name} cannot be its own backup key",
            "name the key that is to be used with the backup key in the safe",
            key=primary.name,
        )
    if primary.virtual is not backup.virtual:
        raise UnsupportedError(
            "unsupported",
            f"{primary.name} and {backup.name} are a virtual and a physical key, which are never paired",
            "a virtual key is for trying out: its secrets lie in a file",
            key=primary.name,
        )
    if primary.state is not KeyState.ACTIVE:
        raise UsageError(
            "usage", f"{primary.name} is marked as {primary.state}", "name a key that is in use", key=primary.name
        )
    here = inventory.key_with_id(backup.id)
    if here is not None and here.recognition.public_key != backup.recognition.public_key:
        raise _refused(source, f"it says of {here.name} what is not known of it here")
    if here is not None and here.state is not KeyState.ACTIVE:
        raise UsageError(
            "usage",
            f"{here.name} is marked as {here.state}",
            f"a key that is gone can take over nothing; if you have it, run `keyctl found {quoted(here.name)}`",
            key=here.name,
        )


def _imported_before(inventory: Inventory, primary: KnownKey, offered: SeedFile) -> Pairing | None:
    """The pairing that the file would make, where it is there already."""
    for pairing in inventory.pairings_of(primary.id):
        if pairing.primary_id != primary.id or pairing.backup_id != offered.key.id:
            continue
        if pairing.seed is not None and key_copies.same_seed(pairing.seed, offered.seed):
            return pairing
        if pairing.retired_at is None:
            label = pair_choice.label(inventory, pairing)
            raise NotFoundError(
                "pairing_exists",
                f"the two keys are paired already, as {label}, by another seed",
                f"`keyctl pair remove {pair_choice.word(inventory, pairing)}` first, if the file is to take its place",
                key=primary.name,
            )
    return None


def _compare(circumstances: Circumstances, offered: SeedFile, fingerprint: str) -> None:
    # All groups, also where a certificate came along: anybody can make one, and no maker's root is known here by which
    # it could be judged. Two groups are 50 bits, which a key can be ground to.
    circumstances.asker.fingerprint(
        f"The seed of {visible(offered.key.name)} proves that one key made it, but not that it is your key.\n"
        "Read the fingerprint off the screen of the computer that exported it",
        fingerprint,
    )


def _stored(
    circumstances: Circumstances,
    session: Session,
    pairing: Pairing,
    offered: SeedFile,
    careful: contextlib.ExitStack,
) -> Copy:
    """The copy on the primary key, which is deleted again should the rest fail."""
    unlocking.unlock(session, circumstances)
    inventory = pair_recording.with_key(store.read_whole(circumstances.home), offered.key)
    if (primary := pair_choice.name_of(inventory, pairing.primary_id)) is not None:
        backup_signing.require_is(session, primary)
    before = pair_leftovers.own_on(session)
    unfinished = Unfinished(
        pairing_id=pairing.id,
        primary_id=pairing.primary_id,
        backup_id=pairing.backup_id,
        started_at=pairing.created_at,
        before={pairing.primary_id: before},
    )
    careful.enter_context(pair_leftovers.making_on(session, circumstances, unfinished))
    return key_copies.store_on_primary(session, circumstances.state, key_copies.record_of(inventory, pairing), before)


def _imported(inventory: Inventory, pairing: Pairing, *, changed: bool) -> SeedImport:
    return SeedImport(
        pairing=pair_views.view(inventory, pairing),
        backup=pair_choice.name_of(inventory, pairing.backup_id) or pairing.backup_id,
        changed=changed,
        remarks=(),
    )
