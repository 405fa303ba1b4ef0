"""What a lost key opens together with a computer that was lost with it, the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.loss_steps import StepKind
from keyctl.core.names import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.loss_steps import Step, Writer


def computer_steps(writer: Writer, lost: str, disks: Sequence[str], others: Sequence[str]) -> list[Step]:
    """The steps.

    Args:
        writer: Of the lost key.
        lost: Its name.
        disks: Names of disks that it unlocks, as far as is known.
        others: Names of the keys that are left.
    """
    unlocks = f"{lost} unlocks {' and '.join(disks)}" if disks else f"{lost} may unlock its disk"

    def step(subject: str, *words: str, commands: tuple[str, ...] = ()) -> Step:
        return writer.step(StepKind.COMPUTER, subject, " ".join(words), commands=commands)

    return [
        step("lock", "lock or wipe the computer from afar, if that was set up, and report it to whoever manages it"),
        step(
            "sessions",
            "sign out everywhere from another device: e-mail first, then what resets other accounts;",
            "the computer may still be signed in, and no key is asked for then",
        ),
        step(
            "pins",
            f"if the PIN of {lost} lay on the computer, in a file for --pin-file, a script for --pin-command",
            "or a note, whoever has both opens all its accounts: do those below at once",
        ),
        step(
            "disk",
            f"{unlocks}, perhaps without a PIN: take what lay on it for read,",
            "and change the passwords and keys that were stored there",
        ),
        step(
            "sudo",
            f"{lost} may log in there and give sudo, so that whoever has both is its administrator:",
            "take the computer out of VPN, Wi-Fi, sync and backups",
        ),
        step(
            "ssh",
            f"remove all SSH keys of that computer from servers and code hosts, not only those of {lost}:",
            "a key file without a passphrase works at once",
        ),
        step(
            "token",
            f"if unattended checks were on there, whoever has both reads from {lost}, without its PIN,",
            "which sites and accounts it opens; other keys whose PIN or token lay there want another PIN",
            commands=tuple(f"keyctl pin change -k {quoted(name)}" for name in others),
        ),
    ]
