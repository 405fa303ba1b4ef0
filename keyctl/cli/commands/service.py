"""``keyctl service``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import files, known_names, service_names
from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import settings_of, unicode_text
from keyctl.core.inventory import Recovery
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.operations.asking import Circumstances
    from keyctl.operations.service_import import ServiceImport
    from keyctl.operations.services import ServiceChange, ServiceList, ServiceView

_METHODS = click.Choice([method.value for method in Recovery])
_NAME = click.argument(
    "name", callback=unicode_text, shell_complete=service_names, help="The service, in whatever case."
)
_WHICH_ACCOUNT = click.option(
    "--account",
    metavar="ACCOUNT",
    callback=unicode_text,
    help="Which account, where several are noted; '' is the one without a name.",
)
_RP = click.option(
    "--rp",
    metavar="RP",
    callback=unicode_text,
    help="The site's RP id: its domain, or ssh:, pam://HOST, io.systemd.cryptsetup.",
)
_ON = click.option(
    "--on", metavar="KEY", multiple=True, shell_complete=known_names, help="A known key that is registered there."
)
_RECOVERY = click.option(
    "--recovery", type=_METHODS, multiple=True, help="How else the account is opened; none: you made sure of no way."
)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")


@click.group(
    name="service", cls=Group, short_help="Note what no key can tell: services, second factors, recovery methods."
)
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """Note what no key can tell: services, second factors, recovery methods.

    A key lists its passkeys only. Where it is a second factor, and how else an account is opened, you have to say; from
    that, `keyctl coverage` tells what each key is worth. A service is a name plus an account.
    """


@COMMAND.command(name="add", short_help="Note a service and the keys it knows.")
@_NAME
@_RP
@click.option(
    "--account", metavar="ACCOUNT", callback=unicode_text, help="Your user name there; needed where you have several."
)
@_ON
@_RECOVERY
@_DRY_RUN
@click.pass_context
def add(
    context: click.Context,
    *,
    name: str,
    rp: str | None,
    account: str | None,
    on: tuple[str, ...],
    recovery: tuple[str, ...],
    dry_run: bool,
) -> Outcome:
    """Note a service and the keys it knows; --rp is needed unless NAME is one of a well-known site."""
    from keyctl.operations import services

    facts = services.Facts(account=account, rp_id=rp, on=on, recovery=_recovery(recovery))
    result = services.add(_circumstances(context), name, facts, dry_run=dry_run)
    return _outcome(result, dry_run=dry_run)


@COMMAND.command(name="edit", short_help="Change what is noted of a service.")
@_NAME
@_WHICH_ACCOUNT
@click.option("--name", "new_name", metavar="NAME", callback=unicode_text, help="Another name.")
@click.option(
    "--new-account", metavar="ACCOUNT", callback=unicode_text, help="Another name of the account; '' for none."
)
@_RP
@_ON
@click.option(
    "--not-on",
    metavar="KEY",
    multiple=True,
    shell_complete=known_names,
    help="A known key that is not, or no longer, registered there.",
)
@_RECOVERY
@click.option("--no-recovery", type=_METHODS, multiple=True, help="A way that there is not, or no longer.")
@_DRY_RUN
@click.pass_context
def edit(
    context: click.Context,
    *,
    name: str,
    account: str | None,
    new_name: str | None,
    new_account: str | None,
    rp: str | None,
    on: tuple[str, ...],
    not_on: tuple[str, ...],
    recovery: tuple[str, ...],
    no_recovery: tuple[str, ...],
    dry_run: bool,
) -> Outcome:
    """Change what is noted of a service.

    Keys and recovery methods are added to those that are noted. Giving a noted key again with --on confirms it as of
    today.
    """
    from keyctl.operations import services

    facts = services.Facts(
        name=new_name,
        account=new_account,
        rp_id=rp,
        on=on,
        not_on=not_on,
        recovery=_recovery(recovery),
        no_recovery=_recovery(no_recovery),
    )
    if facts == services.Facts():
        raise click.UsageError("Say what to change, for instance with --on KEY.", context)
    result = services.edit(_circumstances(context), name, facts, account=account, dry_run=dry_run)
    return _outcome(result, dry_run=dry_run)


@COMMAND.command(name="remove", short_help="Remove a service from the inventory.")
@_NAME
@_WHICH_ACCOUNT
@click.option("--yes", is_flag=True, help="Do not ask.")
@_DRY_RUN
@click.pass_context
def remove(context: click.Context, *, name: str, account: str | None, yes: bool, dry_run: bool) -> Outcome:
    """Remove a service from the inventory; at the site and on your keys nothing changes."""
    from keyctl.operations import services

    result = services.remove(_circumstances(context, yes=yes), name, account=account, dry_run=dry_run)
    said = f"{'would be removed' if dry_run else 'removed'}: {_described(result.service)}"
    return Outcome(data=result, text=lambda: said)


@COMMAND.command(name="list", short_help="Show all services that are noted.")
@click.pass_context
def list_all(context: click.Context) -> Outcome:
    """Show all services that are noted; what the keys themselves tell is in `keyctl coverage`."""
    from keyctl.operations import services

    result = services.list_all(_circumstances(context))
    notes: tuple[str, ...] = ()
    if not result.services and not result.errors:
        notes = ("no services are noted; note one with `keyctl service add NAME --on KEY`",)
    return Outcome(data={"services": result.services}, text=lambda: _table(result), notes=notes, errors=result.errors)


@COMMAND.command(name="import", short_help="Add services from a file.")
@click.argument("file", shell_complete=files, help="JSON as `service list --json` prints it, or CSV; - is stdin.")
@click.option("--dry-run", is_flag=True, help="Show what would be added and changed, change nothing.")
@click.pass_context
def import_file(context: click.Context, *, file: str, dry_run: bool) -> Outcome:
    """Add services from a file: all of it or, where anything in it is wrong, nothing.

    The first line of a CSV file names its columns: name, and in any order rp_id, account, keys, recovery; keys and
    recovery are lists with semicolons in between. What is noted already stays, so a file can be imported again.
    """
    from keyctl.cli import input_files
    from keyctl.core.service_files import MAX_FILE_BYTES
    from keyctl.operations import service_import

    circumstances = _circumstances(context)
    content, source = input_files.content(file, MAX_FILE_BYTES)
    result = service_import.import_content(circumstances, content, source, dry_run=dry_run)
    notes = [_counts(result)]
    if result.ignored_columns:
        notes.append(f"columns that mean nothing here: {', '.join(result.ignored_columns)}")
    return Outcome(data=result, text=lambda: _imported(result), notes=notes)


def _circumstances(context: click.Context, *, yes: bool | None = None) -> Circumstances:
    from keyctl.cli import app

    if settings_of(context).key is not None:
        raise click.UsageError(
            "Services need no key to be plugged in; which key is meant says --on, not --key.", context
        )
    return app.circumstances(context, yes=yes)


def _recovery(methods: tuple[str, ...]) -> tuple[Recovery, ...]:
    return tuple(Recovery(method) for method in methods)


def _outcome(result: ServiceChange, *, dry_run: bool) -> Outcome:
    notes = []
    if not result.would_change:
        notes.append("nothing to do: it is noted like that already")
    elif dry_run:
        notes.append("nothing was changed: this is how it would be")
    return Outcome(data=result, text=lambda: _block(result.service), notes=notes)


def _block(service: ServiceView) -> str:
    from keyctl.cli import tables

    rows: list[tuple[str, str | None]] = [
        ("service", service.name),
        ("account", service.account),
        ("site", service.rp_id),
        ("keys", ", ".join(service.on)),
        ("recovery", ", ".join(service.recovery)),
    ]
    # The settings are where a key is registered; what the site writes about it is the next best.
    if service.settings_url is not None:
        rows.append(("settings", service.settings_url))
    elif service.documentation_url is not None:
        rows.append(("documentation", service.documentation_url))
    return tables.pairs(rows)


def _table(result: ServiceList) -> str:
    from keyctl.cli import tables

    if not result.services:
        return ""
    rows = [
        (service.name, service.account, service.rp_id, ", ".join(service.on), ", ".join(service.recovery))
        for service in result.services
    ]
    return tables.table(("NAME", "ACCOUNT", "SITE", "KEYS", "RECOVERY"), rows)


def _imported(result: ServiceImport) -> str:
    would = "would be " if result.dry_run else ""
    lines = [f"{would}added: {_described(service)}" for service in result.added]
    lines += [f"{would}changed: {_described(service)}" for service in result.changed]
    return "\n".join(lines)


def _counts(result: ServiceImport) -> str:
    would = "would be " if result.dry_run else ""
    return (
        f"{len(result.added)} {would}added, {len(result.changed)} {would}changed, "
        f"{result.unchanged} noted like that already"
    )


def _described(service: ServiceView) -> str:
    account = f" ({service.account})" if service.account is not None else ""
    return visible(f"{service.name}{account} at {service.rp_id}")
