"""What to do after the loss of a key of which nothing is known: on a new computer, with or without the backup key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import sites
from keyctl.core.loss_computer import computer_steps
from keyctl.core.loss_steps import Step, StepKind, Writer
from keyctl.core.names import account_label, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class OpenedAccount:
    """An account that a key at hand opens. Every text in it is hostile."""

    rp_id: str
    user_id: bytes | None
    account: str | None


def general_plan(
    lost: str, opened: Sequence[OpenedAccount] | None, backup: str | None, *, with_computer: bool
) -> tuple[Step, ...]:
    """The steps; nobody can tick them off, as there is nothing that they could be noted with.

    Args:
        lost: What the person calls the lost key.
        opened: What the key at hand opens; None: it was not read.
        backup: Its name or selector; None: there is none.
        with_computer: Whether a computer was lost with the key.
    """
    writer = Writer(about=lost)
    steps = computer_steps(writer, lost, (), ()) if with_computer else []
    steps += _orientation(writer, lost, opened, backup)
    for account in sorted(opened or (), key=lambda one: (one.rp_id, one.account or "", one.user_id or b"")):
        steps.append(_account_step(writer, lost, account, backup or ""))
    if opened is None:
        text = (
            "sign in to every account with your backup key, e-mail first, then what resets other accounts, money and "
            f"work, and remove {lost} from its security keys: it is under Security, Passkeys or Two-step verification"
        )
        steps.append(writer.step(StepKind.REVOKE, "every account", text, key=backup))
    text = (
        "get into the accounts that the backup key does not open by recovery codes, an app's codes or a device that "
        "is still signed in; else ask the site to recover the account, today, as it may take days"
    )
    steps.append(writer.step(StepKind.RECOVER, "every account", text))
    steps += _elsewhere(writer, lost)
    steps += _replacement(writer, backup)
    return tuple(steps)


def _orientation(writer: Writer, lost: str, opened: Sequence[OpenedAccount] | None, backup: str | None) -> list[Step]:
    """How keyctl gets to know more."""
    steps = [
        writer.step(
            StepKind.ORIENT,
            "inventory",
            "look for what keyctl noted on another computer: an exported inventory, or keyctl's folder in a backup or "
            "on a synced drive",
            commands=(f"keyctl lost {quoted(lost)} --from FILE",),
        )
    ]
    if opened is None:
        again = f"keyctl lost {quoted(lost)}"
        text = "fetch your backup key and plug it in: keyctl reads which accounts it opens, and lists them here"
        steps.append(writer.step(StepKind.ORIENT, "backup", text, key=backup, commands=(again,)))
    if backup is not None:
        steps.append(
            writer.step(
                StepKind.ORIENT,
                "pairing",
                "read the pairing that the backup key carries, if it was paired: it tells which derived keys it "
                "signs for",
                key=backup,
                commands=("keyctl add NAME --role backup", "keyctl pair restore"),
            )
        )
    return steps


def _account_step(writer: Writer, lost: str, account: OpenedAccount, backup: str) -> Step:
    site = sites.find(account.rp_id)
    url, url_kind = (site.link if site else None) or (None, None)
    service = site.name if site else account.rp_id
    label = account_label(service, account.account)
    return writer.step(
        StepKind.REVOKE,
        f"{account.rp_id} {(account.user_id or b'').hex()}",
        f"sign in to {label} with {backup}, and remove {lost} from its security keys",
        url=url,
        url_kind=url_kind,
        key=backup,
        service=service,
        rp_id=account.rp_id,
        account=account.account,
    )


def _elsewhere(writer: Writer, lost: str) -> list[Step]:
    ssh = (
        f"remove the SSH keys of {lost} from every server's ~/.ssh/authorized_keys and from code hosts: their lines "
        "begin with sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com"
    )
    computers = f"take {lost} out of the log-in (pam_u2f) and the disks (systemd-cryptenroll) of your computers"
    work = (
        f"if work or school manages an account of yours, tell its administrator that {lost} is lost; the serial number "
        "is on the package"
    )
    return [
        writer.step(StepKind.LOCAL, "ssh", ssh, commands=("ssh-keygen -lf ~/.ssh/authorized_keys",), service="~/.ssh"),
        writer.step(
            StepKind.LOCAL,
            "computers",
            computers,
            commands=("cat ~/.config/Yubico/u2f_keys /etc/u2f_mappings", "systemd-cryptenroll DISK"),
        ),
        writer.step(StepKind.ADMINISTRATOR, "administrator", work),
    ]


def _replacement(writer: Writer, backup: str | None) -> list[Step]:
    return [
        writer.step(
            StepKind.BUY,
            "buy",
            "get another key, of another maker or model than the backup key, as one flaw hits all keys of a model",
        ),
        writer.step(
            StepKind.PAIR,
            "pair",
            "give both keys their names, read them, and pair them, so that the next loss is less",
            key=backup,
            commands=("keyctl add NAME", "keyctl scan", "keyctl pair create PRIMARY BACKUP"),
        ),
        writer.step(
            StepKind.REGISTER,
            "register",
            "register the new key at every account, as it opens none yet",
            commands=("keyctl coverage --missing NEW",),
        ),
    ]
