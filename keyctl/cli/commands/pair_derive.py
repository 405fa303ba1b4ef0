"""``keyctl pair derive``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import files, pairing_names
from keyctl.cli.frame import Command, Outcome
from keyctl.cli.options import unicode_texts
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from keyctl.core.contexts import Target
    from keyctl.operations.deriving import Derivation, DerivedEntry

_PREFIXES = ("rp:", "ssh:", "sign:")


@click.command(name="derive", cls=Command, short_help="Make public keys on the backup key's behalf, without it.")
@click.argument(
    "words",
    metavar="[PAIRING]",
    nargs=-1,
    callback=unicode_texts,
    shell_complete=pairing_names,
    help="The backup key's name, or PRIMARY/BACKUP; needed where there are several pairings.",
)
@click.option(
    "--for",
    "targets",
    metavar="TARGET",
    multiple=True,
    callback=unicode_texts,
    help="What the key is for: rp:DOMAIN, rp:DOMAIN/ACCOUNT, ssh:HOST or sign:LABEL; may be given several times.",
)
@click.option(
    "--for-file", metavar="FILE", shell_complete=files, help="Read targets from FILE, one a line; - for stdin."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["pem", "jwk", "cose", "ssh"]),
    help="Print nothing but the keys: PEM, one JSON Web Key a line, COSE in hex, or lines for authorized_keys.",
)
@click.option("--from-record", is_flag=True, help="Do without the primary key, and without its endorsement.")
@click.option(
    "--handed-over",
    metavar="TARGET",
    multiple=True,
    callback=unicode_texts,
    help="Note that the key derived for TARGET is installed there; may be given several times. Needs no key.",
)
@click.option("--dry-run", is_flag=True, help="Make the keys, ask no security key, and record nothing.")
@click.pass_context
def DERIVE(  # noqa: N802  # as the other commands
    context: click.Context,
    *,
    words: tuple[str, ...],
    targets: tuple[str, ...],
    for_file: str | None,
    form: str | None,
    from_record: bool,
    handed_over: tuple[str, ...],
    dry_run: bool,
) -> Outcome:
    """Make public keys on the backup key's behalf, while it stays in the safe; only the backup key can sign for them.

    The primary key endorses all that are new with one touch. The same request gives the same key again. Such keys sign;
    they cannot encrypt. No web site accepts them as a login today: what works is SSH, and whatever verifies ECDSA.
    """
    from keyctl.cli import app
    from keyctl.core import contexts
    from keyctl.operations import deriving

    which, more = _sorted(context, words)
    if handed_over:
        if targets or for_file or from_record or form:
            raise click.UsageError("--handed-over goes with no other option than --dry-run.", context)
        installed = [contexts.parse(text) for text in (*handed_over, *more)]
        result = deriving.hand_over(app.circumstances(context), which, installed, dry_run=dry_run)
        return Outcome(data=result, text=lambda: _text(result), notes=_dry(dry_run=dry_run))
    wanted = [*(contexts.parse(text) for text in (*targets, *more)), *_from_file(for_file)]
    if not wanted:
        raise click.UsageError("Say what the keys are for: --for TARGET, or --for-file FILE.", context)
    result = deriving.derive(app.circumstances(context), which, wanted, from_record=from_record, dry_run=dry_run)
    return Outcome(
        data=result,
        text=lambda: _text(result) if form is None else _FORMS[form](result.derived),
        notes=[*_notes(result, from_record=from_record), *_dry(dry_run=dry_run)],
    )


def _sorted(context: click.Context, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The pairing among *words*, and targets that follow ``--for TARGET`` without one of their own."""
    more = [word for word in words if word.lower().startswith(_PREFIXES)]
    which = [word for word in words if word not in more]
    if len(which) > 1:
        raise click.UsageError(f"Got more than one pairing: {', '.join(which)}.", context)
    return which[0] if which else None, more


def _from_file(file: str | None) -> tuple[Target, ...]:
    if file is None:
        return ()
    from keyctl.cli import input_files
    from keyctl.operations import target_files

    return target_files.targets_from(*input_files.content(file, target_files.MAX_FILE_BYTES))


def _text(result: Derivation) -> str:
    head = f"{result.pairing}, method {result.method}, seed {result.fingerprint}"
    return "\n".join([visible(head), *(_block(entry) for entry in result.derived)])


def _block(entry: DerivedEntry) -> str:
    lines = [entry.target, f"  fingerprint  {entry.fingerprint}"]
    if entry.target.startswith("ssh:"):
        lines.append(f"  ssh          {entry.ssh}")
    endorsed = {True: "by the primary key", False: "no", None: "by a key that is not known here"}[entry.endorsed]
    lines.append(f"  endorsed     {endorsed}")
    lines.append(f"  handed over  {entry.handed_over_at or 'not yet'}")
    return "\n".join(map(visible, lines))


def _jwks(entries: Sequence[DerivedEntry]) -> str:
    import json

    return "\n".join(json.dumps(dict(entry.jwk)) for entry in entries)


_FORMS: Mapping[str, Callable[[Sequence[DerivedEntry]], str]] = {
    "pem": lambda entries: "".join(entry.pem for entry in entries).rstrip("\n"),
    "jwk": _jwks,
    "cose": lambda entries: "\n".join(entry.cose.hex() for entry in entries),
    "ssh": lambda entries: "\n".join(entry.ssh for entry in entries),
}


def _notes(result: Derivation, *, from_record: bool) -> list[str]:
    """What a person should know before they install a key."""
    notes = [f"the fingerprint of the seed is {result.fingerprint}"]
    if result.state == "never_verified":
        notes.append(
            f"{result.pairing} was never verified: `keyctl pair verify` finds out whether the backup key can sign"
        )
    if result.method == "software":
        notes.append("method software: any program that gets PIN and touch of the backup key can take the private seed")
    if result.changed and from_record:
        notes.append("made from the record alone: the primary key endorsed nothing, and was not compared with it")
    if any(entry.rp_id for entry in result.derived):
        notes.append("no web site accepts a derived key as a login today: register the backup key there as well")
    return notes


def _dry(*, dry_run: bool) -> list[str]:
    return ["nothing was recorded: this was a dry run"] if dry_run else []
