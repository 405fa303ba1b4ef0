"""``keyctl health``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import owners
from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import settings_of, unicode_text

if TYPE_CHECKING:
    from keyctl.cli.options import Settings
    from keyctl.core.health_results import Health
    from keyctl.operations.accepting import AcceptedFindings
    from keyctl.operations.timers import TimerFiles

#: What else says where keyctl keeps its files.
_XDG = ("XDG_DATA_HOME", "XDG_STATE_HOME")


@click.group(
    name="health",
    cls=Group,
    invoke_without_command=True,
    short_help="Check keys, pairings and accounts, and tell what is wrong.",
)
@click.option(
    "--fail-on",
    type=click.Choice(("warn", "fail")),
    default="warn",
    help="End with 10 for warnings too, or only for what failed.",
)
@click.option("--drill", is_flag=True, help="First ask for each key in turn, to prove itself with a touch.")
@click.option("--nagios", is_flag=True, help="One line with performance data, and Nagios' own exit statuses.")
@click.pass_context
def COMMAND(context: click.Context, *, fail_on: str, drill: bool, nagios: bool) -> Outcome | None:  # noqa: N802  # as in the catalogue
    """Check keys, pairings and accounts, and tell what is wrong.

    Looks at the connected keys and at all that is noted; a key that lies in a drawer is no error. Asks nothing and
    touches nothing, except in a drill. -k may be given several times, and leaves only those keys. The exit status is
    10 when something was found. With --quiet nothing is printed where all is well.
    """
    from keyctl.cli import app

    settings = settings_of(context)
    if context.invoked_subcommand is not None:
        if drill or nagios:
            raise click.UsageError("--drill and --nagios go with no subcommand.", context)
        return None
    if nagios and settings.json:
        raise click.UsageError("Give --nagios or --json, not both.", context)
    if nagios:
        return _for_nagios(context, drill=drill)
    from keyctl.operations import checking

    checked = checking.check(app.circumstances(context), settings.keys, drill=drill)
    health = checked.health
    found = _is_found(health, fail_on)
    return Outcome(data=health, text=lambda: _text(health, settings), errors=checked.errors, found=found, insists=found)


def _is_found(health: Health, fail_on: str) -> bool:
    return health.result == "fail" or (fail_on == "warn" and health.result == "warn")


def _text(health: Health, settings: Settings) -> str:
    from keyctl.cli import health_text

    return health_text.report(health, quiet=settings.quiet)


def _for_nagios(context: click.Context, *, drill: bool) -> Outcome:
    """Nagios reads the first line of stdout, also where the check failed."""
    from keyctl.cli import app, health_text
    from keyctl.errors import KeyctlError
    from keyctl.operations import checking

    try:
        checked = checking.check(app.circumstances(context), settings_of(context).keys, drill=drill)
    except KeyctlError as error:
        health, (line, status) = None, health_text.nagios_failure(error.message)
    else:
        health = checked.health
        failure = next((error.message for error in checked.errors), None)
        line, status = health_text.nagios(health) if failure is None else health_text.nagios_failure(failure)
    return Outcome(data=health, text=lambda: line, insists=True, foreign_status=status)


@COMMAND.command(name="accept", short_help="Accept a finding that cannot be mended.")
@click.argument("finding", required=False, metavar="[ID]", callback=unicode_text, help="As `health` shows it.")
@click.option(
    "--account",
    metavar="ACCOUNT",
    callback=unicode_text,
    help="Where several accounts have it: the account, its RP id, or RP/ACCOUNT.",
)
@click.option(
    "--owner",
    metavar="OWNER",
    shell_complete=owners,
    callback=unicode_text,
    help="Whose account; '' for those without an owner.",
)
@click.option("--until", metavar="DATE", callback=unicode_text, help="Like 2027-01-31; without it, for a year.")
@click.option("--reason", metavar="TEXT", callback=unicode_text, help="Why, for those who read it later.")
@click.option("--list", "listing", is_flag=True, help="Show what is accepted.")
@click.option("--remove", is_flag=True, help="Let it count again.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.pass_context
def _accept(
    context: click.Context,
    *,
    finding: str | None,
    account: str | None,
    owner: str | None,
    until: str | None,
    reason: str | None,
    listing: bool,
    remove: bool,
    dry_run: bool,
) -> Outcome:
    """Accept a finding that cannot be mended, like a flaw of a firmware that is fixed for ever, until a day.

    It is then shown last and does not count. It counts again when it gets worse, when its advisory changes, and when
    the day has come. Where several keys or pairings have the finding, -k says which one is meant: a key, a key of the
    pairing, or PRIMARY/BACKUP.
    """
    from keyctl.cli import app
    from keyctl.operations import accepting

    if listing is (finding is not None):
        raise click.UsageError("Give a finding's ID, or --list.", context)
    if (listing or remove) and (until is not None or reason is not None):
        raise click.UsageError("--until and --reason go with accepting only.", context)
    if listing and (remove or dry_run or account is not None or owner is not None):
        raise click.UsageError("--list goes alone.", context)
    circumstances = app.circumstances(context)
    if finding is None:
        result = accepting.every(circumstances)
    else:
        choice = accepting.Choice(id=finding, key=circumstances.wanted, account=account, owner=owner)
        if remove:
            result = accepting.remove(circumstances, choice, dry_run=dry_run)
        else:
            result = accepting.accept(circumstances, choice, until=until, reason=reason, dry_run=dry_run)
    notes = ["nothing was changed: this was a dry run, and that is what would be accepted"] if dry_run else []
    return Outcome(data=result, text=lambda: _accepted(result), notes=notes)


def _accepted(result: AcceptedFindings) -> str:
    from keyctl.cli import health_text

    return health_text.accepted(result.accepted)


@COMMAND.command(name="timer", short_help="Print what makes the computer check by itself every week.")
@click.option("--cron", is_flag=True, help="A line for crontab instead of systemd units.")
@click.option("--on-plug", is_flag=True, help="Check a key when it is plugged in, too.")
@click.option("--write", is_flag=True, help="Put the units in place, and say how to switch them on.")
@click.option("--dry-run", is_flag=True, help="With --write: check everything, write nothing.")
@click.option(
    "--notify-command",
    metavar="CMD",
    callback=unicode_text,
    help="A line of sh that is run when something was found, instead of a notification on the desktop.",
)
@click.pass_context
def _timer(
    context: click.Context, *, cron: bool, on_plug: bool, write: bool, dry_run: bool, notify_command: str | None
) -> Outcome:
    """Print a systemd user service and its weekly timer, which check the keys and tell you when something is wrong.

    A weekly check nearly always misses the key: with --on-plug one is made whenever a key is plugged in. systemd and
    cron have no seat, so a key that is plugged in may be closed to them while nobody is logged in.
    """
    from keyctl.cli import app
    from keyctl.operations import timers

    if cron and (on_plug or write):
        raise click.UsageError("--cron prints a line and nothing else.", context)
    if dry_run and not write:
        raise click.UsageError("--dry-run goes with --write.", context)
    settings = settings_of(context)
    if settings.key is not None:
        raise click.UsageError("No key is needed here.", context)
    program, environment = _own_program(), _environment(settings)
    if cron:
        files = timers.cron(program, environment, notify=notify_command)
    else:
        writing = timers.Writing.NOT if not write else timers.Writing.DRY if dry_run else timers.Writing.DONE
        files = timers.systemd(
            app.circumstances(context), program, environment, on_plug=on_plug, notify=notify_command, writing=writing
        )
    return Outcome(data=files, text=lambda: _written(files, dry_run=dry_run) if write else files.content)


def _written(files: TimerFiles, *, dry_run: bool) -> str:
    written, then = ("would be written", "then run") if dry_run else ("written", "now run")
    return "\n".join(
        [*(f"{written}: {path}" for path in files.written), f"{then}:", *(f"  {one}" for one in files.commands)]
    )


def _own_program() -> tuple[str, ...]:
    """How this very program is started, from any folder."""
    started = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if started is not None and started.name in {"keyctl", "fido-keyctl"} and os.access(started, os.X_OK):
        # Not resolved: installers put links in place that outlive updates.
        return (os.path.abspath(started),)  # noqa: PTH100  # Path.absolute keeps the dots
    return (sys.executable, "-m", "keyctl")


def _environment(settings: Settings) -> dict[str, str]:
    """What says where the files are, as timers start with next to no environment."""
    home = settings.home or os.environ.get("KEYCTL_HOME")
    if home:
        return {"KEYCTL_HOME": os.path.abspath(home)}  # noqa: PTH100  # as above
    return {name: os.environ[name] for name in _XDG if os.environ.get(name, "").startswith("/")}
