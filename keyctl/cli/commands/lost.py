"""``keyctl lost``."""

from __future__ import annotations

from dataclasses import replace

import click

from keyctl.cli.completions import files, known_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_text


@click.command(name="lost", cls=Command, short_help="Mark a key as lost, and print what to do now.")
@click.argument(
    "name", metavar="NAME", callback=unicode_text, shell_complete=known_names, help="The name of the lost key."
)
@click.option("--with-computer", is_flag=True, help="A computer on which it was used is gone with it.")
@click.option("--done", metavar="STEP", multiple=True, help="Tick off a step by its id, or the first 6 digits of it.")
@click.option("--not-done", metavar="STEP", multiple=True, help="Take back that a step is done.")
@click.option("--markdown", is_flag=True, help="Print the steps as a list in Markdown.")
@click.option(
    "--from",
    "files",
    metavar="FILE",
    shell_complete=files,
    multiple=True,
    help="Take in what `inventory export` wrote on another computer first; - for stdin.",
)
@click.option("--dry-run", is_flag=True, help="Print the steps, change nothing.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context,
    *,
    name: str,
    with_computer: bool,
    done: tuple[str, ...],
    not_done: tuple[str, ...],
    markdown: bool,
    files: tuple[str, ...],
    dry_run: bool,
) -> Outcome:
    """Mark a key as lost, and print what to do now, the most urgent first; once more, what is left to do.

    No key is needed. On a computer that knows no key at all, plug your backup key in: it is read, and the accounts that
    it opens are listed. What is ticked off is noted beside the inventory; `keyctl found NAME` takes all of it back.
    """
    from keyctl.cli import app, input_files, loss_text
    from keyctl.operations import inventory_files, losing

    circumstances = app.circumstances(context)
    sources = [input_files.content(file, inventory_files.MAX_FILE_BYTES) for file in files]
    result, errors = losing.lose(
        circumstances,
        name,
        sources=sources,
        ticks=losing.Ticks(done=done, not_done=not_done),
        with_computer=with_computer,
        dry_run=dry_run,
    )
    if markdown:
        result = replace(result, content=loss_text.as_markdown(result))
    return Outcome(
        data=result,
        text=lambda: result.content or loss_text.text(result),
        notes=loss_text.notes(result, dry_run=dry_run),
        errors=errors,
    )
