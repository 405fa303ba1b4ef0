"""``keyctl scan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Command, Outcome
from keyctl.core.names import quoted
from keyctl.core.text import counted, visible
from keyctl.model import Recognition

if TYPE_CHECKING:
    from keyctl.operations.key_reading import ScannedKey
    from keyctl.operations.readings import Entry
    from keyctl.operations.scanning import LocalEntry, Scan


@click.command(name="scan", cls=Command, short_help="Read the plugged-in keys and note what they open.")
@click.option("--local", is_flag=True, help="Look also for the ssh, pam_u2f and LUKS credentials of this computer.")
@click.option("--ask-passphrase", is_flag=True, help="With --local: ask for the passphrases of ssh keys that have one.")
@click.option("--dry-run", is_flag=True, help="Read, and note nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, local: bool, ask_passphrase: bool, dry_run: bool
) -> Outcome:
    """Read the plugged-in keys that have a name, and note what they open; says what is new since the last time.

    Asks for the PIN of each key that can list its passkeys. Registrations that no key can list are asked for by their
    ids, where files of this computer hold these; a key that does not answer is no proof that they are gone.
    """
    from keyctl.cli import app
    from keyctl.operations import local_credentials, scanning

    if ask_passphrase and not local:
        raise click.UsageError("--ask-passphrase goes with --local.", context)
    circumstances = app.circumstances(context)
    findings = None
    if local:
        places = local_credentials.Places.of_this_computer()
        findings = local_credentials.find(circumstances, places, ask_passphrase=ask_passphrase)
    result, errors = scanning.scan(circumstances, findings=findings, dry_run=dry_run)
    return Outcome(data=result, text=lambda: _text(result), notes=_notes(result, dry_run=dry_run), errors=errors)


def _text(result: Scan) -> str:
    blocks = [_key(scanned) for scanned in result.keys]
    if result.local:
        blocks.append(_files(result.local))
    return "\n".join(block for block in blocks if block)


def _key(scanned: ScannedKey) -> str:
    counts = []
    if scanned.passkeys is not None:
        counts.append(counted(scanned.passkeys, "passkey"))
    if scanned.registrations:
        counts.append(counted(scanned.registrations, "registration"))
    first = ", ".join(counts) or "nothing was read"
    if scanned.note:
        first += f"; {scanned.note}"
    if counts and not scanned.added and not scanned.removed:
        first += ", nothing new"
    if scanned.passkeys is not None and not scanned.complete:
        first += "; the list is not complete, so nothing is taken for removed"
    lines = [f"{scanned.key.label}: {first}"]
    lines += [f"  + {_entry(entry)}" for entry in scanned.added]
    lines += [f"  - {_entry(entry)}" for entry in scanned.removed]
    lines += [f"  ? {_entry(entry)} did not answer; it is kept" for entry in scanned.unknown]
    return "\n".join(visible(line) for line in lines)


def _entry(entry: Entry) -> str:
    site = entry.rp_id or "a site without a name"
    kind = "" if entry.kind == "passkey" else f" ({entry.kind})"
    return f"{site}, {entry.account}{kind}" if entry.account else f"{site}{kind}"


def _files(entries: tuple[LocalEntry, ...]) -> str:
    from keyctl.cli import tables

    rows = [(_holder(entry), entry.origin, entry.account or entry.rp_id, entry.file) for entry in entries]
    return tables.table(("KEY", "WHAT", "FOR", "FILE"), rows)


def _holder(entry: LocalEntry) -> str:
    if entry.key is not None:
        return entry.key
    return {
        "locked": "? (locked by a passphrase)",
        "resident": "? (stored on a key)",
    }.get(entry.state, "? (no key answered)")


def _notes(result: Scan, *, dry_run: bool) -> list[str]:
    notes = list(result.remarks)
    notes += [
        f"{key.label} has no name here and was not read; `keyctl add NAME -k {quoted(key.selector or '')}`"
        for key in result.unknown_keys
        # What there is to say of the others is among the remarks.
        if key.recognition not in {Recognition.LOCKED, Recognition.PERHAPS_RESET}
    ]
    if result.local is not None and not result.local:
        notes.append("no file of this computer uses a security key, as far as keyctl may look")
    if dry_run:
        notes.append("nothing was noted: this was a dry run")
    return notes
