"""What to do after the loss of a key of which nothing is known: on a new computer, with or without the backup key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import sites
from keyctl.core.inventory import Inventory
from keyctl.core.loss_computer import computer_steps
from keyctl.core.loss_plan import unlisted_step
from keyctl.core.loss_replacement import likeliest_first, steps_among
from keyctl.core.loss_steps import Step, StepKind, Writer
from keyctl.core.names import account_label, quoted
from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.inventory import KnownKey, SeenPasskey
    from keyctl.model import Passkey


@dataclass(frozen=True, kw_only=True)
class OpenedAccount:
    """An account that a key at hand opens. Every text in it is hostile."""

    rp_id: str
    user_id: bytes | None
    account: str | None


def general_plan(
    lost: str,
    opened: Sequence[OpenedAccount] | None,
    backup: str | None,
    *,
    with_computer: bool,
    inventory: Inventory | None = None,
) -> tuple[Step, ...]:
    """The steps; nobody can tick them off, as there is nothing that they could be noted with.

    Args:
        lost: What the person calls the lost key.
        opened: What the key at hand opens; None: it was not read.
        backup: Its name or selector; None: there is none.
        with_computer: Whether a computer was lost with the key.
        inventory: What is known of other keys; None: nothing.
    """
    inventory = inventory or Inventory()
    left = _at_hand(inventory)
    writer = Writer(about=lost)
    steps = computer_steps(writer, lost, (), [key.name for key in left]) if with_computer else []
    steps += _orientation(writer, lost, inventory, left, backup=backup, read=opened is not None)
    text = (
        "get into the accounts that the backup key does not open by recovery codes, an app's codes or a device that "
        "is still signed in; else ask the site to recover the account, today, as it may take days"
    )
    steps.append(writer.step(StepKind.RECOVER, "accounts that no other key opens", text))
    for account, opener in _opened(opened, backup, left):
        steps.append(_account_step(writer, lost, account, opener))
    if opened is None and not any(key.passkeys_read_at is not None for key in left):
        text = (
            "sign in to every account with your backup key, e-mail first, then what resets other accounts, money and "
            f"work, and remove {lost} from its security keys: it is under Security, Passkeys or Two-step verification"
        )
        steps.append(writer.step(StepKind.REVOKE, "every account", text, key=backup))
    else:
        # What a key lists are passkeys: it may be a second factor everywhere, and list nothing.
        steps.append(unlisted_step(writer, lost, read=True))
    steps += _elsewhere(writer, lost)
    steps += steps_among(writer, inventory, left) if left else _replacement(writer, backup)
    return tuple(steps)


def _at_hand(inventory: Inventory) -> list[KnownKey]:
    """The keys that are left, without those for trying out where there are others."""
    keys = [key for key in inventory.keys if key.state is KeyState.ACTIVE]
    return likeliest_first([key for key in keys if not key.virtual] or keys)


def _opened(
    opened: Sequence[OpenedAccount] | None, backup: str | None, left: Sequence[KnownKey]
) -> list[tuple[OpenedAccount, str]]:
    """Every account that a key opens, as it just said or as is noted of it, with the name or selector of the key."""
    told = [(account, backup or "") for account in opened or ()]
    for key in left:
        if opened is None or key.name != backup:
            told += [(opened_account(passkey), key.name) for passkey in key.passkeys if passkey.reset_at is None]
    found: dict[tuple[str, bytes | str | None], tuple[OpenedAccount, str]] = {}
    for account, opener in told:
        found.setdefault((account.rp_id, account.user_id or account.account), (account, opener))
    return sorted(found.values(), key=lambda one: (one[0].rp_id, one[0].account or "", one[0].user_id or b""))


def opened_account(passkey: Passkey | SeenPasskey) -> OpenedAccount:
    """The account that *passkey* opens."""
    return OpenedAccount(
        rp_id=passkey.rp_id or f"site {passkey.rp_id_hash.hex()[:16]}",
        user_id=passkey.user_id,
        account=passkey.user_name or passkey.display_name,
    )


def _orientation(
    writer: Writer, lost: str, inventory: Inventory, left: Sequence[KnownKey], *, backup: str | None, read: bool
) -> list[Step]:
    """How keyctl gets to know more, in an order in which nothing spoils what comes after it."""
    steps = [
        writer.step(
            StepKind.ORIENT,
            "inventory",
            "look for what keyctl noted on another computer: an exported inventory, or keyctl's folder in a backup or "
            "on a synced drive",
            commands=(f"keyctl lost {quoted(lost)} --from FILE",),
        )
    ]
    if not read:
        again = f"keyctl lost {quoted(lost)}"
        text = "fetch your backup key and plug it in: keyctl reads which accounts it opens, and lists them here"
        steps.append(writer.step(StepKind.ORIENT, "backup", text, key=backup, commands=(again,)))
    if backup is None and not left:
        return steps
    names = {key.id: key.name for key in left}
    paired = any(one.backup_id in names for one in inventory.pairings)
    known = bool(left) and backup in {None, *names.values()}
    steps += [
        # Before the key is given a name: from the record it gets the one that exported inventories know it by.
        writer.step(
            StepKind.ORIENT,
            "pairing",
            "read the pairing that the backup key carries, if it was paired: by it the key gets its name back, and can "
            "be put in the place of the lost one",
            settled=paired,
            key=backup,
            commands=("keyctl pair restore",),
        ),
        writer.step(
            StepKind.ORIENT,
            "name",
            f"give the backup key a name, other than {lost}, if it carries no pairing",
            settled=known,
            key=backup,
            commands=("keyctl add NAME --role backup",),
        ),
    ]
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
    computers = f"take {lost} out of the login (pam_u2f) and the disks (systemd-cryptenroll) of your computers"
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
            commands=("cat ~/.config/Yubico/u2f_keys /etc/u2f_mappings", "sudo systemd-cryptenroll DISK"),
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
