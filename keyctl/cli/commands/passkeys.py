"""``keyctl passkeys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import unicode_text
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.model import Passkey
    from keyctl.operations.passkeys import Deletion, PasskeyList

_ID_HELP = "A passkey's id: all hex digits, or at least the first 8 where no other begins alike."


@click.group(name="passkeys", cls=Group, short_help="List, show, delete and rename the passkeys on a key.")
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """List, show, delete and rename the passkeys on a key.

    A passkey is a credential that the key itself stores. What sites keep on their side (second factors) is on no list
    that a key could print.
    """


@COMMAND.command(name="list", short_help="List all passkeys on a key.")
@click.pass_context
def list_all(context: click.Context) -> Outcome:
    """List all passkeys on a key; asks for its PIN."""
    from keyctl.cli import app
    from keyctl.operations import opening, passkeys

    circumstances = app.circumstances(context)
    with opening.opened(circumstances) as session:
        result = passkeys.list_all(session, circumstances)
    return Outcome(data=result, text=lambda: _table(result), notes=_notes(result))


@COMMAND.command(name="show", short_help="Show all that a key says of one passkey.")
@click.argument("passkey_id", metavar="ID", help=_ID_HELP)
@click.pass_context
def show(context: click.Context, *, passkey_id: str) -> Outcome:
    """Show all that a key says of one passkey."""
    from keyctl.cli import app
    from keyctl.operations import opening, passkeys

    circumstances = app.circumstances(context)
    with opening.opened(circumstances) as session:
        result = passkeys.show(session, circumstances, passkey_id)
    return Outcome(data=result, text=lambda: _block(result.passkey))


@COMMAND.command(name="delete", short_help="Delete passkeys by id, or all of a site.")
@click.argument("passkey_ids", metavar="[ID]...", nargs=-1, help=_ID_HELP)
@click.option(
    "--rp",
    metavar="RP",
    callback=unicode_text,
    help="All passkeys of this site (its whole RP id, for instance example.com).",
)
@click.option(
    "--user", metavar="NAME", callback=unicode_text, help="With --rp: only those of this user name (the whole name)."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--confirm", metavar="TEXT", help="The key's name, typed once more: wanted where nothing else opens an account."
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, delete nothing.")
@click.pass_context
def delete(
    context: click.Context,
    *,
    passkey_ids: tuple[str, ...],
    rp: str | None,
    user: str | None,
    yes: bool,
    confirm: str | None,
    dry_run: bool,
) -> Outcome:
    """Delete passkeys by id, or all of a site.

    They are shown before anything is deleted. An id that fits several passkeys, or none, deletes nothing at all. Where
    nothing else opens an account, the key's name is to be typed back.
    """
    from keyctl.cli import app
    from keyctl.operations import opening, passkeys

    if bool(passkey_ids) == (rp is not None):
        raise click.UsageError("Give the ids of passkeys, or --rp RP.", context)
    if user is not None and rp is None:
        raise click.UsageError("--user goes with --rp.", context)
    circumstances = app.circumstances(context, yes=yes, confirm=confirm)
    selection = passkeys.Selection(ids=passkey_ids, rp=rp, user=user)
    with opening.opened(circumstances) as session:
        result, errors = passkeys.delete(session, circumstances, selection, dry_run=dry_run)
    return Outcome(data=result, text=lambda: _deletion(result, dry_run=dry_run), errors=errors)


@COMMAND.command(name="rename", short_help="Change the names that a passkey shows.")
@click.argument("passkey_id", metavar="ID", help=_ID_HELP)
@click.option(
    "--user-name",
    metavar="NAME",
    callback=unicode_text,
    help="The user name; the site itself goes by another, hidden id.",
)
@click.option("--display-name", metavar="NAME", callback=unicode_text, help="The name for people.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def rename(
    context: click.Context, *, passkey_id: str, user_name: str | None, display_name: str | None, dry_run: bool
) -> Outcome:
    """Change the names that a passkey shows when you sign in, and in lists.

    The account at the site does not change. Keys store 64 bytes of a name; what the key kept is read back and shown.
    """
    from keyctl.cli import app
    from keyctl.operations import opening, passkeys

    if user_name is None and display_name is None:
        raise click.UsageError("Give --user-name or --display-name.", context)
    circumstances = app.circumstances(context)
    with opening.opened(circumstances) as session:
        result = passkeys.rename(
            session, circumstances, passkey_id, user_name=user_name, display_name=display_name, dry_run=dry_run
        )
    wanted = {
        "user name": (user_name, result.passkey.user_name),
        "display name": (display_name, result.passkey.display_name),
    }
    notes = [
        f"the key keeps the {what} as {kept or 'empty'}"
        for what, (asked, kept) in wanted.items()
        if result.changed and asked is not None and (asked or None) != kept
    ]
    return Outcome(data=result, text=lambda: _block(result.passkey), notes=notes)


def _table(result: PasskeyList) -> str:
    from keyctl.cli import tables
    from keyctl.core import passkey_ids

    if not result.passkeys:
        return ""
    short = passkey_ids.short_ids(result.passkeys)
    rows = [
        (_site(passkey), passkey.user_name, passkey.display_name, short[passkey.credential_id])
        for passkey in sorted(result.passkeys, key=lambda passkey: (_site(passkey), passkey.user_name or ""))
    ]
    return tables.table(("SITE", "USER", "DISPLAY NAME", "ID"), rows)


def _notes(result: PasskeyList) -> list[str]:
    notes = []
    if not result.passkeys and result.complete:
        notes.append(f"{result.key.label} holds no passkeys; second factors of sites are not stored on a key")
    if not result.complete:
        notes.append("the list is not complete: the key stopped half-way, or sent a passkey that cannot be understood")
    if result.remaining is not None:
        used = len(result.passkeys) if result.used is None else result.used
        notes.append(f"{used} used, room for {result.remaining} more")
    return notes


def _site(passkey: Passkey) -> str:
    """The site as the key tells it, marked where that is not the whole of it."""
    if passkey.rp_id is None:
        return f"site {passkey.rp_id_hash.hex()[:16]}"
    return passkey.rp_id if passkey.rp_id_exact else f"{passkey.rp_id} (cut by the key)"


def _block(passkey: Passkey) -> str:
    from keyctl.cli import tables

    large_blob = {True: "yes", False: "no", None: None}[passkey.large_blob]
    return tables.pairs(
        [
            ("service", passkey.known_as),
            ("site", _site(passkey)),
            ("site hash", passkey.rp_id_hash.hex()),
            ("user name", passkey.user_name),
            ("display name", passkey.display_name),
            ("user id", passkey.user_id.hex() if passkey.user_id else None),
            ("id", passkey.credential_id.hex()),
            ("algorithm", str(passkey.algorithm) if passkey.algorithm is not None else None),
            ("protection", passkey.protection),
            ("large blob", large_blob),
            ("purpose", passkey.purpose),
        ]
    )


def _deletion(result: Deletion, *, dry_run: bool) -> str:
    from keyctl.core import passkey_ids

    if not result.matched:
        return f"no passkey on {visible(result.key.label)} fits; nothing was deleted"
    word, passkeys = ("would be deleted", result.matched) if dry_run else ("deleted", result.deleted)
    lines = [f"{word}: {passkey_ids.describe(passkey)}" for passkey in passkeys]
    lines += [f"not confirmed: {passkey_ids.describe(passkey)}" for passkey in result.failed]
    return "\n".join(lines)
