"""The inventory as a file: writing it for another computer, taking one in, and telling where it lies."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import inventory_digest, merging, times
from keyctl.core.text import visible
from keyctl.errors import Details, StoreError, UsageError
from keyctl.operations import import_reading
from keyctl.store import check_results, exchange, files
from keyctl.store import inventory as store
from keyctl.store import state as local_state

if TYPE_CHECKING:
    from pathlib import Path

    from keyctl.core.merged_records import Conflict
    from keyctl.core.merging import Change, Offered
    from keyctl.operations.asking import Circumstances

#: Larger files are not imported.
MAX_FILE_BYTES = files.MAX_FILE_BYTES


@dataclass(frozen=True, kw_only=True)
class InventoryExport:
    """The inventory as one document."""

    #: None: it went, or in a dry run would go, to a file.
    content: str | None
    file: str | None
    #: How many are in it.
    keys: int
    services: int
    pairings: int
    #: Whether a file was written.
    changed: bool


@dataclass(frozen=True, kw_only=True)
class InventoryImport:
    """What taking a document in changed; in a dry run, what it would."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    #: How many of its records said nothing new.
    unchanged: int
    conflicts: tuple[Conflict, ...]
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the files are."""

    home: str
    state: str
    #: The files that make up the inventory.
    files: tuple[str, ...]


def export(
    circumstances: Circumstances, file: Path | None, *, with_owner: bool, with_location: bool, dry_run: bool
) -> InventoryExport:
    """Make one document of the inventory; into *file*, which is replaced in one step, after a question.

    Args:
        circumstances: Where the inventory is, and whom to ask.
        file: Where to write; None: into the result.
        with_owner: Whether it tells whose the keys are.
        with_location: Whether it tells where they lie.
        dry_run: Write no file.

    Raises:
        StoreError: The inventory is not whole, or the file cannot be written.
        UsageError: Something that is no plain file is in its place, or the file exists and nobody can be asked.
        DeclinedError: The file exists and is to stay.
    """
    inventory = store.read_whole(circumstances.home)
    wanted = {"owner": with_owner, "location": with_location}
    left_out = [name for name in exchange.PRIVATE_FIELDS if not wanted[name]]
    now = times.now()
    document = exchange.document(inventory, left_out=left_out, exported_at=now)
    if file is not None:
        _write(circumstances, file, document, dry_run=dry_run)
    if not dry_run:
        with contextlib.suppress(StoreError):
            # Only for the health check, which asks for an export now and then.
            check_results.write_export(circumstances.state, inventory_digest.digest(inventory), now)
    return InventoryExport(
        content=json.dumps(document, indent=2, sort_keys=True) if file is None else None,
        file=None if file is None else str(file),
        keys=len(inventory.keys),
        services=len(inventory.services),
        pairings=len(inventory.pairings),
        changed=file is not None and not dry_run,
    )


def import_content(circumstances: Circumstances, content: bytes, source: str, *, dry_run: bool) -> InventoryImport:
    """Take in what another computer's inventory says; of two words on one thing the newer one counts.

    Of two seeds of one pairing the one that is trusted here stays, else that of the older pairing; a pairing that comes
    in new is not trusted by that.

    Nothing is written unless all of it can be understood.

    Args:
        circumstances: Where the inventory is.
        content: The whole document, or its first :data:`MAX_FILE_BYTES` and one more.
        source: What messages call it.
        dry_run: Change nothing.

    Raises:
        UsageError: It cannot be understood (``import_unreadable``).
        StoreError: A newer keyctl wrote it (``store_newer``), or the inventory or a pin here cannot be read or written.
    """
    offering = offered(content, source)
    pins = seed_pins(circumstances, offering)
    if dry_run:
        inventory = store.read_whole(circumstances.home)
        merge = merging.merge(inventory, offering, now=times.now(), seed_pins=pins)
    else:
        with store.changing(circumstances.home, circumstances.waits.lock_s) as changes:
            merge = merging.merge(changes.inventory, offering, now=times.now(), seed_pins=pins)
            for key in merge.keys:
                changes.put_key(key)
            for service in merge.services:
                changes.put_service(service)
            for pairing in merge.pairings:
                changes.put_pairing(pairing)
    return InventoryImport(
        added=merge.added,
        changed=merge.changed,
        unchanged=merge.unchanged,
        conflicts=merge.conflicts,
        dry_run=dry_run,
    )


def offered(content: bytes, source: str) -> Offered:
    """What a document says, as :func:`import_content` takes it.

    Raises:
        UsageError: It cannot be understood (``import_unreadable``).
        StoreError: A newer keyctl wrote it (``store_newer``).
    """
    with import_reading.understanding("keyctl inventory export"):
        return exchange.offered_from(content, source)


def seed_pins(circumstances: Circumstances, offering: Offered) -> dict[str, bytes]:
    """Of the pairings that are offered: id -> SHA-256 of the seed that is trusted here.

    Raises:
        StoreError: A pin cannot be read or understood.
    """
    pins = {pairing.id: local_state.read_seed_pin(circumstances.state, pairing.id) for pairing in offering.pairings}
    return {pairing_id: pin for pairing_id, pin in pins.items() if pin is not None}


def places(circumstances: Circumstances) -> Places:
    """Where the inventory and this computer's own state are, whether or not there is something yet."""
    home = circumstances.home.absolute()
    return Places(
        home=str(home),
        state=str(circumstances.state.absolute()),
        files=tuple(str(home / name) for name in store.record_files(home)),
    )


def _write(circumstances: Circumstances, file: Path, document: dict[str, object], *, dry_run: bool) -> None:
    # A link means the file that it leads to; the write would replace the link.
    target = file.resolve()
    if target.exists():
        if not target.is_file():
            raise UsageError(
                "usage",
                f"{visible(str(file))} is no plain file",
                "give the name of a new file, or none for stdout",
                details=Details(file=str(file)),
            )
        if not dry_run:
            circumstances.asker.confirm(f"Replace {visible(str(file))}?")
    if dry_run:
        return
    try:
        files.write_json(target, document)
    except StoreError as error:
        raise StoreError(
            error.code, error.message, "give a file in a folder that you can write to", details=error.details
        ) from error
