"""``keyctl pair export`` and ``keyctl pair import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import files, known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.operations.pair_exporting import SeedExport
    from keyctl.operations.pair_importing import SeedImport

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything that needs no PIN, change nothing.")
_NOTHING = "nothing was changed: this was a dry run"


@click.command(name="export", cls=Command, short_help="Make a seed on a backup key, as a file for another computer.")
@click.argument(
    "backup",
    metavar="BACKUP",
    callback=unicode_text,
    shell_complete=known_names,
    help="The name of the backup key, which makes the seed.",
)
@click.argument(
    "file",
    metavar="[FILE]",
    required=False,
    shell_complete=files,
    help="The file to write, a new one; nothing or - for stdout.",
)
@_DRY_RUN
@click.pass_context
def EXPORT(context: click.Context, *, backup: str, file: str | None, dry_run: bool) -> Outcome:  # noqa: N802  # as the other commands
    """Make a seed on a backup key, and write it as a file for the computer that has the primary key.

    For a backup key that is prepared on a computer of its own. The file holds the proof that the key holds the seed,
    and nothing that could sign. Write down the fingerprint: `pair import` asks for it.
    """
    from pathlib import Path

    from keyctl.cli import app
    from keyctl.operations import pair_exporting

    target = None if file in {None, "-"} else Path(str(file))
    result = pair_exporting.export(app.circumstances(context), backup, target, dry_run=dry_run)
    return Outcome(data=result, text=lambda: _exported(result), notes=_export_notes(result))


@click.command(name="import", cls=Command, short_help="Pair a primary key with the seed in a file.")
@click.argument("file", metavar="FILE", shell_complete=files, help="What `pair export` wrote; - for stdin.")
@click.argument(
    "primary",
    metavar="PRIMARY",
    callback=unicode_text,
    shell_complete=known_names,
    help="The name of the key of every day.",
)
@click.option("--no-store-on-key", is_flag=True, help="Keep the pairing in the inventory only; PRIMARY is not needed.")
@click.option(
    "--confirm", metavar="FINGERPRINT", help="The fingerprint as the other computer shows it, instead of typing it."
)
@_DRY_RUN
@click.pass_context
def IMPORT(  # noqa: N802  # as the other commands
    context: click.Context, *, file: str, primary: str, no_store_on_key: bool, confirm: str | None, dry_run: bool
) -> Outcome:
    """Pair a primary key with the backup key whose seed another computer exported; checks the proof in the file.

    Asks for the fingerprint, which the other computer shows. Then a copy of the pairing is stored on the primary key,
    with its PIN and one touch.
    """
    from keyctl.cli import app, input_files
    from keyctl.operations import pair_importing

    circumstances = app.circumstances(context, confirm=confirm)
    content, source = input_files.content(file, pair_importing.MAX_FILE_BYTES)
    result = pair_importing.import_content(
        circumstances, content, source, primary, store_on_key=not no_store_on_key, dry_run=dry_run
    )
    return Outcome(data=result, text=lambda: _imported(result), notes=_import_notes(result))


def _exported(result: SeedExport) -> str:
    if result.content is not None:
        return result.content
    return visible(f"wrote the seed of {result.key} to {result.file}") if result.changed else _NOTHING


def _export_notes(result: SeedExport) -> list[str]:
    if not result.changed:
        return []
    return [
        f"the fingerprint of the seed is {result.fingerprint}: write it down, `keyctl pair import` asks for it",
        "this computer remembers no pairing; the one that imports the file does",
        *result.remarks,
    ]


def _imported(result: SeedImport) -> str:
    pairing = result.pairing
    if pairing is None:
        return _NOTHING
    said = "paired" if result.changed else "paired already"
    return visible(f"{pairing.primary}/{result.backup}: {said}, method {pairing.method}, seed {pairing.fingerprint}")


def _import_notes(result: SeedImport) -> list[str]:
    if not result.changed:
        return []
    return [
        f"never verified: `keyctl pair verify` with {result.backup} finds out whether it can sign",
        *result.remarks,
    ]
