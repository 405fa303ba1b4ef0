"""``keyctl recover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.commands.recover_promote import PROMOTE
from keyctl.cli.commands.recover_ssh_agent import SSH_AGENT
from keyctl.cli.completions import files, pairing_names_or_files
from keyctl.cli.frame import Group, Outcome
from keyctl.cli.options import settings_of, unicode_text
from keyctl.core.text import visible

if TYPE_CHECKING:
    from keyctl.operations.recovering import RecoverySignature


@click.group(name="recover", cls=Group, short_help="Sign with the backup key, and make it the new primary.")
def COMMAND() -> None:  # noqa: N802  # the name by which the catalogue finds it
    """Use the backup key after the primary key was lost: sign as the derived keys, log in over SSH, take its place."""


@COMMAND.command(name="sign", short_help="Sign a file with the backup key, as a derived key.")
@click.argument(
    "words",
    metavar="[PAIRING] [FILE]",
    nargs=-1,
    shell_complete=pairing_names_or_files,
    help="The backup key's name, or PRIMARY/BACKUP, needed where there are several; and what to sign, nothing or - for "
    "stdin, at most 1 GiB.",
)
@click.option(
    "--for",
    "target",
    metavar="TARGET",
    required=True,
    callback=unicode_text,
    help="The derived key: sign:LABEL, or with --sshsig also ssh:HOST; recorded or not.",
)
@click.option(
    "--sshsig",
    "namespace",
    metavar="NAMESPACE",
    callback=unicode_text,
    help="Make a signature for ssh-keygen -Y verify, in this namespace: file, git, or another.",
)
@click.option(
    "--output",
    metavar="FILE",
    shell_complete=files,
    help="A new file for the signature; - for stdout, even where that is the terminal.",
)
@click.pass_context
def _sign(
    context: click.Context, *, words: tuple[str, ...], target: str, namespace: str | None, output: str | None
) -> Outcome:
    """Sign a file with the connected backup key, as the key that was derived for TARGET.

    Asks for its PIN and a touch. Without --sshsig the signature is ECDSA in DER, over the SHA-256 of the file, which
    any program that knows the derived public key can verify.
    """
    from pathlib import Path

    from keyctl.cli import app, byte_streams
    from keyctl.core import contexts
    from keyctl.operations import recovering

    settings = settings_of(context)
    circumstances = app.circumstances(context)
    wanted = contexts.parse(target)
    parts = recovering.told_apart(circumstances, words)
    if parts.file in {None, "-"} and settings.pin_stdin:
        raise click.UsageError("--pin-stdin and a message on stdin exclude each other: give FILE.", context)
    prints = namespace is None and output is None and not settings.json and not settings.quiet
    if prints:
        byte_streams.check_not_on_terminal()
    with byte_streams.message(parts.file) as (message, source):
        result = recovering.sign(
            circumstances,
            parts.which,
            wanted,
            message,
            source=source,
            namespace=namespace,
            output=None if output in {None, "-"} else Path(str(output)),
        )
    return Outcome(data=result, text=lambda: _signed(result), notes=_notes(result))


COMMAND.add_command(SSH_AGENT)
COMMAND.add_command(PROMOTE)


def _signed(result: RecoverySignature) -> str:
    """The signature, unless it went to a file; binary has no line end after it."""
    from keyctl.cli import byte_streams

    if result.file is not None:
        return visible(f"wrote the signature by {result.target} to {result.file}")
    if result.sshsig is not None:
        return result.sshsig.removesuffix("\n")
    byte_streams.write(result.signature)
    return ""


def _notes(result: RecoverySignature) -> list[str]:
    notes = [f"signed as {result.target} of {result.pairing}, seed {result.fingerprint}"]
    if not result.recorded:
        notes.append(
            f"no key for {result.target} is recorded here, so whether it is installed anywhere is not known: "
            "it follows from the pairing"
        )
    return notes
