"""``keyctl unattended``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.frame import Group, Outcome
from keyctl.core.names import quoted
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.operations.unattended_setup import KeptToken, KeptTokens

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything that needs no PIN, change nothing.")


@click.group(name="unattended", cls=Group, short_help="Let checks read a key without its PIN.")
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """Let checks read a key without its PIN: `keyctl scan` and `keyctl health` from cron or a timer.

    Newer keys give a token that reads their list of passkeys and changes nothing (CTAP 2.2). It works until the PIN
    changes or the key is reset. Whoever copies it, or records one exchange of it with the key, can read the sites,
    names and credential ids on the key, and perhaps its large blobs, for as long; nobody can sign in with it.
    """


@COMMAND.command(name="on", short_help="Have a key make its token, and keep that on this computer.")
@click.option("--file", "to_file", is_flag=True, help="Keep it in a private file, not in the system's keyring.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_DRY_RUN
@click.pass_context
def on(context: click.Context, *, to_file: bool, yes: bool, dry_run: bool) -> Outcome:
    """Have a known key make its token, and keep that on this computer; asks for the PIN once.

    It is kept in the system's keyring, where that encrypts, and is used only while the keyring is unlocked. A timer
    that runs while nobody has signed in needs --file: a file in the state folder that only you can read.
    """
    from keyctl.cli import app
    from keyctl.operations import unattended_setup

    result = unattended_setup.on(app.circumstances(context, yes=yes), to_file=to_file, dry_run=dry_run)
    label = result.key.label
    where = "a private file" if to_file else "the system's keyring"
    if dry_run:
        said = "nothing was changed: this was a dry run"
    elif result.changed:
        said = f"{label} is read without its PIN from now on; its token is kept in {where}"
    else:
        said = f"{label} has a token already, in {where}, and takes it"
    risk = (
        "whoever copies the token, or records one exchange of it with the key, can read the sites, names and "
        "credential ids on it, and perhaps its large blobs, until the PIN changes"
    )
    end = (
        f"to end it: `keyctl unattended off -k {quoted(label)}` on this computer, "
        f"`keyctl pin change -k {quoted(label)}` for everybody"
    )
    return Outcome(data=result, text=lambda: visible(said), notes=[risk, end] if result.changed else [])


@COMMAND.command(name="off", short_help="Forget the token of a key on this computer.")
@_DRY_RUN
@click.pass_context
def off(context: click.Context, *, dry_run: bool) -> Outcome:
    """Forget the token of a key on this computer; without -k, that of the only key that has one.

    The key need not be plugged in. It cannot be told: a copy of the token, or a recording of its use, works until the
    PIN changes.
    """
    from keyctl.cli import app
    from keyctl.operations import unattended_setup

    result = unattended_setup.off(app.circumstances(context), dry_run=dry_run)
    label = result.key.label
    notes = []
    if dry_run:
        said = "nothing was changed: this was a dry run"
    elif result.changed:
        said = f"the token of {label} is forgotten on this computer"
        left = "who copied it, or recorded its use, can still read the key with it; only a new PIN ends that"
        notes = [f"{left}: `keyctl pin change -k {quoted(label)}`"]
    else:
        said = f"{label} has no token on this computer"
    return Outcome(data=result, text=lambda: visible(said), notes=notes)


@COMMAND.command(name="list", short_help="List the keys that have a token here, and whether they take it.")
@click.pass_context
def list_tokens(context: click.Context) -> Outcome:
    """List the keys that have a token on this computer, where it is kept, and whether the key takes it.

    Only a key that is plugged in can tell that, and only while the system's keyring is unlocked if that has the token.
    """
    from keyctl.cli import app
    from keyctl.operations import unattended_setup

    result = unattended_setup.kept_tokens(app.circumstances(context))
    notes = [_note(token) for token in result.tokens if token.works is False]
    if not result.tokens:
        notes.append("no key can be read without its PIN here; `keyctl unattended on` changes that")
    return Outcome(data=result, text=lambda: _table(result), notes=notes)


def _note(token: KeptToken) -> str:
    label = quoted(token.key.label)
    return (
        f"{token.key.label} does not take its token, as its PIN was changed or it was reset, or the token is gone; "
        f"for a new one run `keyctl unattended on -k {label}`"
    )


def _table(result: KeptTokens) -> str:
    from keyctl.cli import tables

    if not result.tokens:
        return ""
    words = {True: "yes", False: "no", None: "not known"}
    rows = [(token.key.label, token.kept, token.since, token.last_used, words[token.works]) for token in result.tokens]
    return tables.table(("KEY", "KEPT IN", "SINCE", "LAST USED", "WORKS"), rows)
