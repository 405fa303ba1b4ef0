"""A promotion for people: what is done, and what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli import tables
from keyctl.core.names import account_label, quoted
from keyctl.core.promotions import Concern, Replacement
from keyctl.core.text import counted, counted_are, visible

if TYPE_CHECKING:
    from keyctl.core.promotions import NextBackup, OtherPairing, Revocation
    from keyctl.operations.promoting import OldKey, Promotion

_UNKNOWN = "?"
_CONCERNS = {
    Concern.LOST_PRIMARY: "its primary key is the lost one too: promote its backup key instead, or remove it",
    Concern.LOST_BACKUP: "its backup key is the lost one: pair its primary key with another",
    Concern.NEXT: "the next pairing of the new primary key",
    Concern.STILL_BACKUP: "the new primary key is still the backup key here",
}


def text(done: Promotion, *, did: str) -> str:
    """All of it.

    Args:
        done: What came of it.
        did: What happened, in one line.
    """
    parts = [
        [visible(did)],
        _derived(done),
        _revocations(done),
        _others(done.other_pairings),
        _next(done.next_backup, done.primary),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _derived(done: Promotion) -> list[str]:
    left = [key for key in done.derived if key.replaced_at is None]
    if not left:
        return [_all_replaced(done)] if done.pairing.fingerprint is not None else []
    count = counted_are(len(left), "derived key")
    rows = [(key.target, "yes" if key.handed_over_at else "not noted", key.fingerprint) for key in left]
    which = f" {quoted(done.pairing.backup)}" if done.pairing.backup is not None else ""
    until = f"until then {visible(done.primary)} signs for them" if done.signs else "nobody can sign for them any more"
    return [
        f"{count} to be replaced; {until}:",
        tables.apart(("TARGET", "HANDED OVER", "FINGERPRINT"), rows),
        *_how(left, done.primary),
        visible(f"note what is done: `keyctl recover promote{which} --replaced {quoted(left[0].target)}`"),
    ]


def _all_replaced(done: Promotion) -> str:
    command = visible(f"keyctl pair remove {quoted(done.pairing.id)}")
    if done.derived:
        return f"every derived key is replaced, so the old pairing is needed no more: `{command}` deletes the seed"
    # After a restore nothing tells what was derived elsewhere, and without the seed nobody could sign for it.
    return (
        "no derived key is noted here, which proves nothing after a restore: as long as one may be installed "
        f"somewhere, keep the old pairing, as {visible(done.primary)} signs for it; after that `{command}` deletes the "
        "seed"
    )


def _how(left: list[OldKey], primary: str) -> list[str]:
    """What takes their place, a line for each kind."""
    name = visible(primary)
    ways = {
        Replacement.PASSKEY: f"rp: register {name} itself at the site, and remove the derived key there",
        Replacement.SSH_KEY: f"ssh: install a key made on {name} (`ssh-keygen -t ecdsa-sk`) and one of the next "
        "pairing, then remove this",
        Replacement.NEXT_PAIRING: "sign: derive a key in the next pairing, and tell whoever checks the signatures",
    }
    kinds = {key.replacement for key in left}
    return [line for kind, line in ways.items() if kind in kinds]


def _revocations(done: Promotion) -> list[str]:
    if done.lost is None:
        return ["what the lost key opened is not known here; look at every account that you opened with it"]
    lost = visible(done.lost)
    if not done.revoke:
        return [f"nothing is known that {lost} opened"]
    count = counted(len(done.revoke), "account")
    return [f"remove {lost} from {count}:", *(line for one in done.revoke for line in _revocation(one, done.primary))]


def _revocation(one: Revocation, primary: str) -> list[str]:
    label = account_label(one.service, one.account)
    if one.opened_by_new_primary:
        way = f"{primary} opens it"
    elif one.opened_by:
        way = f"{primary} does not open it, {', '.join(one.opened_by)} does: register {primary} too"
    else:
        way = "no key at hand opens it: go through the site's recovery"
    lines = [visible(f"  {label}: {way}")]
    if one.url is not None and one.url_kind is not None:
        lines.append(visible(f"    {one.url_kind.value}: {one.url}"))
    return lines


def _others(pairings: tuple[OtherPairing, ...]) -> list[str]:
    return [
        visible(f"pairing {one.primary or _UNKNOWN}/{one.backup or _UNKNOWN}: {_CONCERNS[one.concern]}")
        for one in pairings
        if one.concern is not Concern.NEXT
    ]


def _next(backup: NextBackup, primary: str) -> list[str]:
    name = visible(primary)
    if backup.key is None:
        return [f"{name} has no backup key now: get one of another model, then `{visible(backup.command)}`"]
    other = visible(backup.key)
    if backup.paired:
        return [f"{other} is the backup key of {name} already: `{visible(backup.command)}`"]
    alike = "; it is of the same model, so that one flaw hits both" if backup.same_model else ""
    return [f"{name} has no backup key now; {other} could be it{alike}: `{visible(backup.command)}`"]
