"""What to do after the loss of a key, in the order of urgency, from what the inventory knows of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import coverage, loss_replacement
from keyctl.core.account_rows import Sheet, name_order
from keyctl.core.accounts import accounts
from keyctl.core.inventory import Origin, Recovery
from keyctl.core.loss_computer import computer_steps
from keyctl.core.loss_replacement import ROLES
from keyctl.core.loss_steps import Step, StepKind, Writer
from keyctl.core.names import account_label, quoted
from keyctl.core.promotions import as_lost
from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from keyctl.core.account_rows import AccountRow
    from keyctl.core.accounts import Account
    from keyctl.core.inventory import Inventory, KnownKey, Registration
    from keyctl.core.pairings import DerivedKey, Pairing

#: How people say the ways into an account, in the order in which they are tried.
_WAYS = {
    Recovery.CODES: "a recovery code",
    Recovery.TOTP: "a code from your app",
    Recovery.PLATFORM_PASSKEY: "the passkey of a device",
    Recovery.OTHER_KEY: "another key",
    Recovery.EMAIL: "e-mail",
    Recovery.SMS: "a code by SMS",
    Recovery.SUPPORT: "the site's support",
}


def plan(
    inventory: Inventory, key: KnownKey, *, with_computer: bool = False, ticked: Mapping[str, str] | None = None
) -> tuple[Step, ...]:
    """All steps after the loss of *key*, those that are done among them.

    Args:
        inventory: What is known; whether the key is marked as lost there makes no difference.
        key: The lost key.
        with_computer: Whether a computer was lost with it, on which it was used.
        ticked: Step id -> when a person ticked it off.
    """
    # Where it is not marked yet, nothing was added after the loss.
    lost = as_lost(key, now="")
    inventory = replace(inventory, keys=tuple(lost if one.id == key.id else one for one in inventory.keys))
    writer = Writer(about=key.id, ticked=ticked or {})
    inventory = _with_one_owner(inventory, lost)
    steps: list[Step] = []
    if with_computer:
        disks = sorted({one.label or one.account or "?" for one in _local(lost) if one.origin is Origin.LUKS})
        others = [one.name for one in loss_replacement.remaining(inventory, lost)]
        steps += computer_steps(writer, lost.name, disks, others)
    rows = _rows(inventory, lost)
    steps += _account_steps(writer, inventory, lost, rows)
    steps.append(unlisted_step(writer, lost.name, read=lost.passkeys_read_at is not None))
    steps += _derived_steps(writer, inventory, lost, rows)
    steps += _local_steps(writer, lost)
    steps.append(administrator_step(writer, lost))
    steps += loss_replacement.replacement_steps(writer, inventory, lost)
    return tuple(steps)


def _with_one_owner(inventory: Inventory, lost: KnownKey) -> Inventory:
    """*inventory*, in which keys without an owner are of the owner of the lost key: it may be noted of some keys only.

    Of a lost key without one its pairings tell whose it is, or that nobody else has keys.
    """
    paired = {part for one in inventory.pairings_of(lost.id) for part in (one.primary_id, one.backup_id)}
    owners = {key.owner for key in inventory.keys if key.owner}
    owner = lost.owner or next((key.owner for key in inventory.keys if key.id in paired and key.owner), None)
    if not owner and len(owners) == 1:
        [owner] = owners
    keys = (replace(key, owner=owner) if not key.owner else key for key in inventory.keys)
    return replace(inventory, keys=tuple(keys))


def unlisted_step(writer: Writer, lost: str, *, read: bool) -> Step:
    """What no key lists and nobody noted.

    Args:
        writer: Of the lost key.
        lost: Its name.
        read: Whether its passkeys were ever read.
    """
    what = "as a second factor, which is on no list" if read else f"as keyctl never read what is on {lost}"
    text = f"think of accounts that {lost} opens and that are not named here, {what}: e-mail, bank, work, code hosts"
    return writer.step(StepKind.UNLISTED, "unlisted", text)


def administrator_step(writer: Writer, lost: KnownKey) -> Step:
    """What an administrator needs to block the key."""
    what = [f"model {lost.model}" if lost.model else None]
    what += [f"serial number {lost.serial}" if lost.serial else "serial number not noted (it is on the package)"]
    what += [f"AAGUID {lost.aaguid}" if lost.aaguid else None]
    end = "an AAGUID is a whole model, so they remove this key from your account too"
    if not lost.aaguid:
        end = "they remove it from your account"
    return writer.step(
        StepKind.ADMINISTRATOR,
        "administrator",
        f"if work or school manages an account of yours, tell its administrator that {lost.name} is lost: "
        f"{', '.join(filter(None, what))}; {end}",
    )


class _Row(NamedTuple):
    """What the keys that are left have for an account."""

    account: Account
    row: AccountRow
    #: Whether the lost key opens it.
    of_lost: bool


def _rows(inventory: Inventory, lost: KnownKey) -> list[_Row]:
    sheet = Sheet(
        columns=coverage.column_names(inventory),
        blank={},
        # A key for trying out stands in for no real one, and is all that counts for another.
        physical=not lost.virtual,
        without=lost.id,
        stale_before="",
    )
    rows = []
    for account in accounts(inventory):
        own = [held for held in account.holdings if held.key.id == lost.id and held.derived is None]
        of_lost = any(map(sheet.works, own)) and not _is_local(lost, account)
        rows.append(_Row(account, sheet.row(account), of_lost))
    return rows


def _account_steps(writer: Writer, inventory: Inventory, lost: KnownKey, rows: Sequence[_Row]) -> list[Step]:
    """A step for each account of the lost key, first those that no other key opens."""
    order = _preference(inventory, lost, coverage.column_names(inventory))
    found = []
    for account, row, of_lost in rows:
        if of_lost:
            openers = sorted(row.opened_by, key=lambda name: order.get(name, len(order)))
            step = _account_step(writer, lost, account, row, openers)
            found.append(((bool(openers), *name_order(row, account)), step))
    return [step for _, step in sorted(found, key=lambda entry: entry[0])]


def _account_step(writer: Writer, lost: KnownKey, account: Account, row: AccountRow, openers: Sequence[str]) -> Step:
    label = account_label(row.service, row.account)
    if openers:
        kind = StepKind.REVOKE
        others = f" (or {', '.join(openers[1:])})" if len(openers) > 1 else ""
        text = f"sign in to {label} with {openers[0]}{others}, and remove {lost.name} from its security keys"
    else:
        kind = StepKind.RECOVER
        text = f"{_way_in(label, row.recovery)}; register another key there, and remove {lost.name}"
    return writer.step(
        kind,
        _subject(account, lost),
        text,
        url=row.url,
        url_kind=row.url_kind,
        key=openers[0] if openers else None,
        service=row.service,
        rp_id=row.rp_id,
        account=row.account,
    )


def _way_in(label: str, recovery: Sequence[Recovery]) -> str:
    ways = [words for method, words in _WAYS.items() if method in recovery]
    if ways:
        return f"get into {label} by {' or '.join(ways)}"
    if recovery:
        return f"get into {label} from a device that is still signed in, before that ends, as there is no other way"
    return (
        f"get into {label}, though no other way is noted, from a device that is still signed in, else by the site's "
        "account recovery, and begin today, as it may take days"
    )


def _subject(account: Account, lost: KnownKey) -> str:
    """What tells the account from others by the records of the lost key alone, which nobody changes any more."""
    ids = [held.credential_id.hex() for held in account.holdings if held.key.id == lost.id and held.credential_id]
    said = [one.id for one in account.services if any(declared.key_id == lost.id for declared in one.on)]
    return min(ids or said, default=account.mark)


def _preference(inventory: Inventory, lost: KnownKey, columns: Mapping[str, str]) -> dict[str, int]:
    """In which order other keys are proposed: first the backup keys of the lost one, then what is kept at hand."""
    paired = {one.backup_id for one in inventory.pairings_of(lost.id)}
    keys = sorted(inventory.keys, key=lambda key: (key.id not in paired, ROLES.index(key.role), columns[key.id]))
    return {columns[key.id]: position for position, key in enumerate(keys)}


def _is_local(lost: KnownKey, account: Account) -> bool:
    """Whether all that the lost key has for it is in files of computers, of which there are steps of their own."""
    local = {one.credential_id for one in lost.registrations}
    return all(held.credential_id in local for held in account.holdings if held.key.id == lost.id)


def _derived_steps(writer: Writer, inventory: Inventory, lost: KnownKey, rows: Sequence[_Row]) -> Iterator[Step]:
    columns = coverage.column_names(inventory)
    for pairing in inventory.pairings_of(lost.id):
        for derived in pairing.derived:
            opened = _opens_anyway(rows, pairing, derived, columns.get(pairing.backup_id))
            yield _derived_step(writer, inventory, lost, pairing, derived, settled=derived.is_replaced or opened)


def _opens_anyway(rows: Sequence[_Row], pairing: Pairing, derived: DerivedKey, backup: str | None) -> bool:
    """Whether the backup key itself opens the site's account for which a key was derived for it."""
    return derived.target.startswith("rp:") and any(
        held.derived is not None and (held.derived.pairing_id, held.derived.target) == (pairing.id, derived.target)
        for account, row, _ in rows
        if backup in row.opened_by
        for held in account.holdings
    )


def _derived_step(
    writer: Writer, inventory: Inventory, lost: KnownKey, pairing: Pairing, derived: DerivedKey, *, settled: bool
) -> Step:
    kind, _, label = derived.target.partition(":")
    site, _, account = label.partition("/")
    backup = inventory.key_with_id(pairing.backup_id)
    if pairing.backup_id == lost.id:
        text = f"replace the derived key of {derived.target}: only {lost.name} signs for it"
        commands: tuple[str, ...] = ()
    elif backup is None or backup.state is not KeyState.ACTIVE or pairing.has_lost_seed:
        text = f"replace the derived key of {derived.target}: nobody can sign for it any more"
        commands = ()
    else:
        text, commands = _activation(backup.name, kind, label, site)
    if derived.handed_over_at is None and kind != "rp":
        text += " (whether the derived one is installed there was not noted)"
    if pairing.retired_at is not None and backup is not None:
        commands += (f"keyctl recover promote {quoted(backup.name)} --replaced {quoted(derived.target)}",)
    return writer.step(
        StepKind.DERIVED,
        f"{pairing.id} {derived.target}",
        text,
        settled=settled,
        key=backup.name if backup is not None and backup.id != lost.id else None,
        service=label if kind == "ssh" else site if kind == "rp" else None,
        rp_id=site if kind == "rp" else None,
        account=account or None if kind == "rp" else None,
        commands=commands,
    )


def _activation(backup: str, kind: str, label: str, site: str) -> tuple[str, tuple[str, ...]]:
    """How the backup key uses a derived key, and what takes its place."""
    if kind == "ssh":
        text = f"sign in to {label} by the derived key of {backup}, and install a key of {backup} itself there"
        return text, (f"keyctl recover ssh-agent {quoted(backup)} -- ssh {quoted(label)}",)
    if kind == "rp":
        return f"register {backup} itself at {site}: no web site takes its derived key as a login yet", ()
    text = f"{backup} signs for {label} from now on; tell whoever checks the signatures when another key takes over"
    return text, (f"keyctl recover sign {quoted(backup)} FILE --for {quoted(f'{kind}:{label}')}",)


def _local_steps(writer: Writer, lost: KnownKey) -> Iterator[Step]:
    from keyctl.core.local_removal import removal

    for registration in sorted(_local(lost), key=lambda one: (list(Origin).index(one.origin), one.credential_id)):
        text, commands = removal(registration, lost.name)
        yield writer.step(
            StepKind.LOCAL,
            registration.credential_id.hex(),
            text,
            service=registration.label,
            rp_id=registration.rp_id,
            account=registration.account,
            commands=commands,
        )


def _local(lost: KnownKey) -> list[Registration]:
    """What files of computers use the key for, as long as it was not reset."""
    if lost.state is KeyState.RESET:
        return []
    return [one for one in lost.registrations if one.reset_at is None]
