"""A seed made on a backup key that never comes to the computer of its primary key, as a file that proves itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyctl.core import fingerprints, times
from keyctl.core.pairings import Method
from keyctl.errors import UsageError
from keyctl.operations import (
    backup_signing,
    key_copies,
    naming,
    pair_leftovers,
    pair_unfinished,
    seed_making,
    unlocking,
)
from keyctl.operations.pair_unfinished import CLEAN_UP
from keyctl.store import inventory as store
from keyctl.store import new_files, seed_files
from keyctl.store import unfinished as begun

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.core.inventory import KnownKey
    from keyctl.device.session import Session
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class SeedExport:
    """A seed that was made for another computer."""

    #: The file; None: it was written to *file*, or nothing was made in a dry run.
    content: str | None
    file: str | None
    #: Of the seed; None in a dry run.
    fingerprint: str | None
    #: Who vouches for the seed: the format of its attestation, or ``none``; None in a dry run.
    attestation: str | None
    #: The backup key's name.
    key: str
    changed: bool
    #: What could not be found out.
    remarks: tuple[str, ...]


def export(circumstances: Circumstances, backup: str, file: Path | None, *, dry_run: bool = False) -> SeedExport:
    """Make a seed on a backup key, for a primary key that is at another computer.

    This computer has no pairing by that: the key knows its seed, and `passkeys list` shows it as one of a pairing.

    Args:
        circumstances: What the command line says.
        backup: The name of the backup key.
        file: Where to write; None: into the result.
        dry_run: Check everything that needs neither PIN nor touch, change nothing.

    Raises:
        NotFoundError: No such key is known.
        UsageError: The file exists, or something is left on the key from a pairing that did not end.
        KeyChoiceError: It is not connected.
        UnsupportedError: It makes no seeds, or a check of the evidence failed (``evidence_refused``).
        PinError: It has no PIN, or that is wrong, missing or may not be tried.
        TouchError: Nobody touched it in time.
        StoreError: The inventory is not whole, or the file cannot be written.
    """
    naming.require_no_key_option(circumstances)
    inventory = store.read_whole(circumstances.home)
    known = naming.find(inventory, backup)
    _require_nothing_left(circumstances, known)
    if file is not None:
        new_files.check(file)
    with backup_signing.opened_by_name(circumstances, known.name) as session:
        session.seeds.require()
        unlocking.require_current_pin_usable(session)
        unlocking.check_unlockable(session, circumstances)
        if dry_run:
            return _exported(known.name, file)
        unlocking.unlock(session, circumstances)
        backup_signing.require_is(session, known.name)
        return _made(circumstances, session, known, file)


def _made(circumstances: Circumstances, session: Session, known: KnownKey, file: Path | None) -> SeedExport:
    """The seed, made on the unlocked backup key and written; it is deleted again should that fail."""
    before = pair_leftovers.own_on(session)
    unfinished = begun.Unfinished(
        pairing_id=store.new_id(),
        primary_id=known.id,
        backup_id=known.id,
        started_at=times.now(),
        before={known.id: before},
    )
    with pair_leftovers.making_on(session, circumstances, unfinished):
        # Nothing is excluded: a key may be the backup of several, each with a seed of its own.
        new = seed_making.make_arkg(session, circumstances)
        key_copies.require_untouched(session, before)
        fingerprint = fingerprints.of_seed(new.points)
        content = seed_files.document(
            seed_files.SeedFile(
                method=Method.ARKG, created_at=times.now(), fingerprint=fingerprint, key=known, seed=new.seed
            )
        )
        if file is not None:
            new_files.write(file, f"{content}\n".encode(), new_files.PRIVATE)
    return replace(
        _exported(known.name, file),
        content=content if file is None else None,
        fingerprint=fingerprint,
        attestation=new.seed.attestation,
        changed=True,
        remarks=(
            f"{known.name} carries no copy of a pairing that is made this way: keep the file, it stands in for one",
            *seed_making.remarks(new, known.name),
        ),
    )


def _require_nothing_left(circumstances: Circumstances, known: KnownKey) -> None:
    """A seed that is made now would be taken for what is left from an earlier pairing, and deleted with it."""
    if any(known.id in one.before for one in pair_unfinished.unended(circumstances)):
        raise UsageError(
            "usage",
            f"something may be left on {known.name} from a pairing that was begun and has not ended",
            CLEAN_UP,
            key=known.name,
        )


def _exported(name: str, file: Path | None) -> SeedExport:
    return SeedExport(
        content=None,
        file=None if file is None else str(file),
        fingerprint=None,
        attestation=None,
        key=name,
        changed=False,
        remarks=(),
    )
