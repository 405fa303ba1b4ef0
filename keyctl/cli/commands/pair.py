"""``keyctl pair``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from keyctl.cli.commands.pair_derive import DERIVE
from keyctl.cli.commands.pair_transfer import EXPORT, IMPORT
from keyctl.cli.completions import known_names
from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import pairing_argument, unicode_text
from keyctl.core.text import visible
from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.operations.asking import Circumstances
    from keyctl.operations.pair_creating import Creation

_METHODS = ("auto", "arkg", "webauthn_draft", "software", "registration")


@click.group(name="pair", cls=Group, short_help="Pair a primary key with a backup key, and keep the pairing in order.")
def COMMAND() -> None:  # noqa: N802  # the name by which the catalogue finds it
    """Pair a primary key with a backup key, so that the backup can take over while it lies in the safe.

    The backup key makes a seed and hands its public half to the primary. From that, public keys are derived for which
    only the backup key can sign. Keys that make no seeds are kept in step by hand instead: keyctl lists what is
    registered on one of them only.
    """


COMMAND.add_command(DERIVE)
COMMAND.add_command(EXPORT)
COMMAND.add_command(IMPORT)


@COMMAND.command(name="create", short_help="Pair two keys.")
@click.argument(
    "primary", metavar="PRIMARY", callback=unicode_text, shell_complete=known_names, help="The key of every day."
)
@click.argument(
    "backup", metavar="BACKUP", callback=unicode_text, shell_complete=known_names, help="The key that is to take over."
)
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default="auto",
    help="How. auto takes the strongest that both keys can do, and never software, which is weaker: there the seed is "
    "in this computer's memory whenever it is used.",
)
@click.option(
    "--no-store-on-key",
    is_flag=True,
    help="Keep the pairing in the inventory only; it does not survive a lost computer then.",
)
@click.option(
    "--allow-unattested", is_flag=True, help="With webauthn_draft: take a seed that no certificate vouches for."
)
@click.option("--dry-run", is_flag=True, help="Check everything that needs no PIN and no touch, change nothing.")
@click.pass_context
def _create(
    context: click.Context,
    *,
    primary: str,
    backup: str,
    method: str,
    no_store_on_key: bool,
    allow_unattested: bool,
    dry_run: bool,
) -> Outcome:
    """Pair two keys that have names.

    Asks for the PIN of both. Plug in both, or one after the other: keyctl says which. With registration neither is
    needed. No web site accepts derived keys as a login today; they are good for SSH and signatures.
    """
    from keyctl.cli import app, pair_text
    from keyctl.core.pairings import Method
    from keyctl.operations import naming, pair_creating

    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    with _left_told(circumstances):
        result = pair_creating.create(
            circumstances,
            primary,
            backup,
            method=None if method == "auto" else Method(method),
            store_on_key=not no_store_on_key,
            allow_unattested=allow_unattested,
            dry_run=dry_run,
        )
    return Outcome(data=result, text=lambda: _created(result, primary, backup), notes=pair_text.after_creating(result))


@COMMAND.command(name="list", short_help="List all pairings.")
@click.pass_context
def _list(context: click.Context) -> Outcome:
    """List all pairings, with the fingerprints of their seeds; no key is needed."""
    from keyctl.cli import app, pair_text
    from keyctl.operations import naming, pair_unfinished, pair_views

    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    pairings = pair_views.every(circumstances)
    notes = pair_unfinished.told(circumstances)
    if not pairings:
        notes.append("no two keys are paired: `keyctl pair create PRIMARY BACKUP`")
    return Outcome(data={"pairings": pairings}, text=lambda: pair_text.table(pairings), notes=notes)


@COMMAND.command(name="show", short_help="Show all that is noted of a pairing.")
@pairing_argument
@click.pass_context
def _show(context: click.Context, *, pairing: str | None) -> Outcome:
    """Show all that is noted of a pairing: its seed, its drills, what was derived, and what only one key opens."""
    from keyctl.cli import app, pair_text
    from keyctl.operations import naming, pair_unfinished, pair_views

    circumstances = app.circumstances(context)
    naming.require_no_key_option(circumstances)
    shown = pair_views.one(circumstances, pairing)
    return Outcome(
        data={"pairings": (shown,)}, text=lambda: pair_text.block(shown), notes=pair_unfinished.told(circumstances)
    )


@COMMAND.command(name="verify", short_help="Have the backup key show that it works.")
@pairing_argument
@click.pass_context
def _verify(context: click.Context, *, pairing: str | None) -> Outcome:
    """Have the backup key show that it works: the drill. Only that key is needed, with its PIN.

    It signs as a key that is derived just now, and as a recorded one; with registration it is read anew, and has to
    open all that the primary opens. The exit status is 10 when it does not. The date is remembered.
    """
    from keyctl.cli import app, pair_text
    from keyctl.operations import pair_verifying

    drill = pair_verifying.verify(app.circumstances(context), pairing)
    return Outcome(
        data=drill,
        text=lambda: pair_text.drill(drill),
        notes=pair_text.after_drill(drill),
        found=not drill.verified,
    )


@COMMAND.command(name="remove", short_help="End a pairing, and delete it from its keys.")
@pairing_argument
@click.option(
    "--leftovers", is_flag=True, help="Instead: delete what a pairing that was interrupted has left on the keys."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--confirm", metavar="TEXT", help="PRIMARY/BACKUP, typed once more: wanted where a key was derived and handed over."
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, delete nothing.")
@click.pass_context
def _remove(
    context: click.Context, *, pairing: str | None, leftovers: bool, yes: bool, confirm: str | None, dry_run: bool
) -> Outcome:
    """End a pairing: delete the seed on the backup key, the record on the primary key, and what is noted here.

    From the keys that are connected; it says what remains on the others. Asks for their PINs. What another pairing uses
    too stays. --leftovers lists what it found, and asks before it deletes it.
    """
    from keyctl.cli import app, pair_text
    from keyctl.operations import naming, pair_leftovers, pair_removing

    circumstances = app.circumstances(context, yes=yes, confirm=confirm)
    naming.require_no_key_option(circumstances)
    if leftovers:
        if pairing is not None:
            raise click.UsageError("--leftovers takes no PAIRING.", context)
        removal = pair_leftovers.clean_up(circumstances, dry_run=dry_run)
    else:
        removal = pair_removing.remove(circumstances, pairing, dry_run=dry_run)
    return Outcome(
        data=removal, text=lambda: pair_text.removed(removal), notes=pair_text.remains(removal, dry_run=dry_run)
    )


@COMMAND.command(name="restore", short_help="Read a pairing back from a key that carries it.")
@click.argument(
    "pairing",
    required=False,
    metavar="[PAIRING]",
    callback=unicode_text,
    help="Only this one of several: the backup key's name, or PRIMARY/BACKUP, as it was.",
)
@click.option(
    "--confirm",
    metavar="FINGERPRINT",
    help="The seed's fingerprint, all four groups, instead of typing it; needed with the primary key. Of several "
    "pairings that want one, this is restored.",
)
@click.option("--dry-run", is_flag=True, help="Read the key, change nothing.")
@click.pass_context
def _restore(context: click.Context, *, pairing: str | None, confirm: str | None, dry_run: bool) -> Outcome:
    """Read a pairing back from the plugged-in key: on a new computer, or when the inventory is lost.

    The backup key proves with a touch that it holds the seed. The primary key only carries a copy, so the fingerprint
    is asked for. A key that is not known here gets the name that it had.
    """
    from keyctl.cli import app, pair_text
    from keyctl.operations import pair_restoring

    restored = pair_restoring.restore(app.circumstances(context, confirm=confirm), pairing, dry_run=dry_run)
    return Outcome(
        data=restored,
        text=lambda: pair_text.restored(restored, dry_run=dry_run),
        notes=() if dry_run else pair_text.after_restoring(restored),
    )


@contextlib.contextmanager
def _left_told(circumstances: Circumstances) -> Iterator[None]:
    """Name what an interrupted pairing leaves on the keys, at once and not only when the next one is begun."""
    from keyctl.operations import pair_unfinished

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        # The latter: a signal to end.
        with contextlib.suppress(KeyctlError):
            for line in pair_unfinished.told(circumstances):
                circumstances.asker.tell(line)
        raise


def _created(result: Creation, primary: str, backup: str) -> str:
    from keyctl.cli import pair_text

    if result.pairing is None:
        return visible(f"{primary} and {backup} could be paired by the method {result.method}; nothing was changed")
    return pair_text.block(result.pairing)
