"""``keyctl inventory``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyctl.cli.completions import files
from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import settings_of
from keyctl.core.text import counted, visible

if TYPE_CHECKING:
    from keyctl.core.merged_records import Conflict
    from keyctl.core.merging import Change
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.inventory_files import InventoryExport, InventoryImport

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")


@click.group(name="inventory", cls=Group, short_help="Export and import what is noted of keys and services.")
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """Export and import what is noted of keys and services, and tell where it lies.

    The inventory is private, not secret: it names accounts, and holds no PIN and nothing that opens one.
    """


@COMMAND.command(name="export", short_help="Write the whole inventory as one document.")
@click.argument(
    "file", metavar="[FILE]", required=False, shell_complete=files, help="Where to write; nothing or - for stdout."
)
@click.option("--with-owner", is_flag=True, help="Tell whose the keys are.")
@click.option("--with-location", is_flag=True, help="Tell where the keys lie.")
@click.option("--yes", is_flag=True, help="Replace FILE without asking.")
@_DRY_RUN
@click.pass_context
def export(
    context: click.Context, *, file: str | None, with_owner: bool, with_location: bool, yes: bool, dry_run: bool
) -> Outcome:
    """Write the whole inventory as one document, for another computer or as a backup.

    Owners and locations are left out unless they are asked for. Only you can read FILE.
    """
    from pathlib import Path

    from keyctl.operations import inventory_files

    result = inventory_files.export(
        _circumstances(context, yes=yes),
        None if file in {None, "-"} else Path(str(file)),
        with_owner=with_owner,
        with_location=with_location,
        dry_run=dry_run,
    )
    return Outcome(data=result, text=lambda: _exported(result))


@COMMAND.command(name="import", short_help="Take in what another computer's inventory says.")
@click.argument("file", metavar="FILE", shell_complete=files, help="What `inventory export` wrote; - for stdin.")
@_DRY_RUN
@click.pass_context
def import_file(context: click.Context, *, file: str, dry_run: bool) -> Outcome:
    """Take in what another computer's inventory says, and keep what is noted here.

    Of two words on one thing the newer one counts, and what was dropped is listed. A key whose name is taken here comes
    in as NAME 2.
    """
    from keyctl.cli import input_files
    from keyctl.operations import inventory_files

    circumstances = _circumstances(context)
    content, source = input_files.content(file, inventory_files.MAX_FILE_BYTES)
    result = inventory_files.import_content(circumstances, content, source, dry_run=dry_run)
    return Outcome(data=result, text=lambda: _imported(result), notes=[_counts(result)])


@COMMAND.command(name="path", short_help="Print the folder that holds the inventory.")
@click.pass_context
def path(context: click.Context) -> Outcome:
    """Print the folder that holds the inventory. Its folders keys and services can be synced between computers."""
    from keyctl.operations import inventory_files

    result = inventory_files.places(_circumstances(context))
    return Outcome(data=result, text=lambda: result.home)


def _circumstances(context: click.Context, *, yes: bool | None = None) -> Circumstances:
    from keyctl.cli import app

    if settings_of(context).key is not None:
        raise click.UsageError("Give no --key: this is about all keys.", context)
    return app.circumstances(context, yes=yes)


def _exported(result: InventoryExport) -> str:
    if result.content is not None:
        return result.content
    wrote = "wrote" if result.changed else "would write"
    parts = [counted(result.keys, "key"), counted(result.services, "service"), counted(result.pairings, "pairing")]
    return visible(f"{wrote} {', '.join(parts[:-1])} and {parts[-1]} to {result.file}")


def _imported(result: InventoryImport) -> str:
    would = "would be " if result.dry_run else ""
    lines = [f"{would}added: {_described(change)}" for change in result.added]
    lines += [f"{would}changed: {_described(change)}: {', '.join(change.fields)}" for change in result.changed]
    lines += [_conflict(conflict) for conflict in result.conflicts]
    return "\n".join(map(visible, lines))


def _counts(result: InventoryImport) -> str:
    would = "would be " if result.dry_run else ""
    counts = f"{len(result.added)} {would}added, {len(result.changed)} {would}changed, {result.unchanged} as before"
    return f"{counts}; {counted(len(result.conflicts), 'conflict')}" if result.conflicts else counts


def _described(record: Change | Conflict) -> str:
    return f"{record.kind} {record.name}" + (f" ({record.account})" if record.account is not None else "")


def _conflict(conflict: Conflict) -> str:
    field = conflict.field if conflict.key is None else f"{conflict.field} {conflict.key}"
    kept, dropped = _value(conflict.kept), _value(conflict.dropped)
    return (
        f"conflict: {_described(conflict)}: {field}: "
        f"kept {kept} of {conflict.kept_at}, dropped {dropped} of {conflict.dropped_at}"
    )


def _value(value: Any) -> str:
    if value is None or value == ():
        return "nothing"
    if isinstance(value, bytes):
        return value.hex()[:16]
    return ", ".join(value) if isinstance(value, tuple) else str(value)
