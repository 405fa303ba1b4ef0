"""Pairings for people: a line for each, a block for one, and what there is to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli import tables
from keyctl.core import times
from keyctl.core.names import account_label, quoted
from keyctl.core.pairings import Method, PairingState
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.operations.keeping_in_step import MissingAccount
    from keyctl.operations.pair_creating import Creation
    from keyctl.operations.pair_restoring import Restoration
    from keyctl.operations.pair_verifying import Drill
    from keyctl.operations.pair_views import PairingView, Remains, Removal

#: Of a credential's id: enough to tell it from others.
_SHOWN_DIGITS = 16
_METHOD_WORDS = {
    Method.ARKG: "arkg",
    Method.WEBAUTHN_DRAFT: "webauthn_draft (a draft, for trying out)",
    Method.SOFTWARE: "software (weaker)",
    Method.REGISTRATION: "registration",
}
_STATE_WORDS = {
    PairingState.VERIFIED: "verified",
    PairingState.NEVER_VERIFIED: "never verified",
    PairingState.BROKEN: "broken",
    PairingState.RETIRED: "retired",
}
_ENDORSED = {True: "yes", False: "no", None: None}
_SOFTWARE = (
    "software is weaker than the other methods with a seed: whenever it is used, the seed is in this computer's memory"
    ", and any program that gets the PIN and a touch gets it for good"
)


def name(pairing: PairingView) -> str:
    """PRIMARY/BACKUP, as commands take it."""
    return f"{pairing.primary or '?'}/{pairing.backup or '?'}"


def table(pairings: Sequence[PairingView]) -> str:
    """A line for each pairing."""
    if not pairings:
        return ""
    rows = [
        (
            name(pairing),
            _METHOD_WORDS[pairing.method],
            state(pairing),
            pairing.fingerprint,
            str(pairing.derived_count) if pairing.fingerprint is not None else None,
        )
        for pairing in pairings
    ]
    return tables.table(("PAIRING", "METHOD", "STATE", "FINGERPRINT", "DERIVED"), rows)


def block(pairing: PairingView) -> str:
    """All that is noted of one pairing."""
    text = tables.pairs(
        [
            ("primary", pairing.primary or "not known here"),
            ("backup", pairing.backup or "not known here"),
            ("method", _METHOD_WORDS[pairing.method]),
            ("state", state(pairing)),
            *_of_seed(pairing),
            ("paired", pairing.created_at),
            ("last drill", _last_drill(pairing)),
        ]
    )
    if pairing.derived:
        rows = [
            (key.target, _fate(key.handed_over_at, key.replaced_at), _ENDORSED[key.endorsed], key.fingerprint)
            for key in pairing.derived
        ]
        text += "\n\n" + tables.apart(("DERIVED FOR", "HANDED OVER", "ENDORSED", "FINGERPRINT"), rows)
    if pairing.missing:
        text += "\n\n" + _missing(pairing.missing)
    return text


def drill(done: Drill) -> str:
    """How a drill went."""
    backup = visible(done.pairing.backup or "the backup key")
    if not done.verified:
        lines = [visible(f"the drill failed: {done.reason}")]
        if done.pairing.missing:
            lines += ["", _missing(done.pairing.missing)]
        elif done.pairing.method is not Method.REGISTRATION:
            again = f"keyctl pair verify {quoted(name(done.pairing))}"
            lines.append(
                f"plug {backup} in anew and run `{again}` once more; if it fails again, do not rely on {backup} before "
                "it is paired anew"
            )
        return "\n".join(lines)
    if done.pairing.method is Method.REGISTRATION:
        return f"{backup} is itself, and opens all that {visible(done.pairing.primary or 'the primary key')} opens"
    also = f", and as the key of {visible(done.target)}" if done.target is not None else ""
    where = "" if done.pairing.verified_elsewhere else " (on the computer that paired it: try another one some day)"
    return f"{backup} signed as a key that was derived just now{also}: it can take over{where}"


def after_drill(done: Drill) -> list[str]:
    """What there is to compare."""
    fingerprint = done.pairing.fingerprint
    return [f"its seed is {fingerprint}: compare it with the paper"] if fingerprint is not None else []


def removed(removal: Removal) -> str:
    """What became of a pairing, or of what was left of one."""
    if removal.pairing is None:
        return f"nothing is left on {visible(' and '.join(removal.removed_from))}" if removal.changed else ""
    label = visible(name(removal.pairing))
    if not removal.changed:
        return f"{label} would be removed; nothing was changed"
    where = f", also from {visible(' and '.join(removal.removed_from))}" if removal.removed_from else ""
    return f"the pairing {label} is removed{where}"


def remains(removal: Removal, *, dry_run: bool) -> list[str]:
    """What is left on which key."""
    if removal.pairing is None:
        again = "this was a dry run" if dry_run else "plug it in and run this again"
        left = [f"something may be left on {one.key}: {again}" for one in removal.remains]
        return left or ([] if removal.changed else ["nothing is left of any pairing"])
    return [_remaining(one, dry_run=dry_run) for one in removal.remains]


def _remaining(one: Remains, *, dry_run: bool) -> str:
    if one.credential_id is None:
        if dry_run:
            return f"on {one.key}: the seed of its backup key"
        return (
            f"{one.key} was not connected, and keeps the seed of its backup key; to have it forget that, plug both in, "
            "pair them once more, and remove the pairing"
        )
    shown = one.credential_id.hex()[:_SHOWN_DIGITS]
    if dry_run:
        return f"on {one.key}: its {one.what}, {shown}"
    return (
        f"{one.key} was not connected, or cannot delete it, and keeps its {one.what} ({shown}), which takes the room "
        f"of one passkey; to delete it, plug {one.key} in: `keyctl pair restore -k {quoted(one.key)}`, then `keyctl "
        "pair remove`"
    )


def restored(done: Restoration, *, dry_run: bool) -> str:
    """What was read from a key."""
    if dry_run:
        return visible(f"{done.key.label} carries what can be restored; nothing was changed")
    return "\n\n".join(block(pairing) for pairing in done.pairings)


def after_restoring(done: Restoration) -> list[str]:
    """What to do next."""
    notes = []
    for pairing in done.pairings:
        if pairing.state is PairingState.NEVER_VERIFIED:
            notes.append(
                f"{name(pairing)} was restored from the primary key, which proves nothing of the backup key: "
                "`keyctl pair verify` when you have it"
            )
        if pairing.primary is None or pairing.backup is None:
            notes.append(
                f"the other key of {name(pairing)} is not known here yet: plug it in and run `keyctl pair restore`"
            )
        if pairing.derived_count == 0 and pairing.fingerprint is not None:
            notes.append(
                "which keys were derived is in no record: `keyctl pair derive --for TARGET` makes each of them again, "
                "the same as before"
            )
    return notes if done.changed else ["nothing to do: the inventory has it already", *notes]


def after_creating(result: Creation) -> list[str]:
    """What was found out, and what to do next."""
    notes = [f"auto: {reason}" for reason in result.reasons]
    notes += result.remarks
    pairing = result.pairing
    if pairing is None:
        return notes
    backup = quoted(pairing.backup or "BACKUP")
    if result.method is Method.SOFTWARE:
        notes.append(_SOFTWARE)
    if result.method is Method.WEBAUTHN_DRAFT:
        notes.append("this is a draft that no site and no key on sale implements: it runs between virtual keys")
    if result.method is not Method.REGISTRATION:
        notes.append(
            f"no web site accepts derived keys as a login today; register {backup} at each site too: "
            f"`keyctl coverage --missing {backup}`"
        )
    else:
        notes.append(f"`keyctl pair show {backup}` lists what only one of the two opens, until nothing is left")
    if pairing.fingerprint is not None:
        notes += [
            f"write the fingerprint on paper and keep it with {backup}: {pairing.fingerprint}",
            "for SSH it works today: `keyctl pair derive --for ssh:HOST`, with the backup key in the safe",
        ]
    return notes


def _of_seed(pairing: PairingView) -> list[tuple[str, str | None]]:
    if pairing.fingerprint is None:
        return [("draft", pairing.draft)] if pairing.draft is not None else []
    vouched = "none: only its own signature proves it" if pairing.attestation == "none" else pairing.attestation
    if pairing.method is Method.SOFTWARE:
        vouched = "none"
    return [
        ("fingerprint", pairing.fingerprint),
        ("attestation", vouched),
        ("carried by", ", ".join(pairing.stored_on) or "no key: it is in the inventory only"),
        ("draft", pairing.draft),
    ]


def state(pairing: PairingView) -> str:
    """What it is worth, and since when."""
    moment = {
        PairingState.VERIFIED: pairing.verified_at,
        PairingState.BROKEN: pairing.broken_at,
        PairingState.RETIRED: pairing.retired_at,
    }.get(pairing.state)
    word = _STATE_WORDS[pairing.state]
    return f"{word} {times.day(moment)}" if moment is not None else word


def _last_drill(pairing: PairingView) -> str:
    if pairing.verified_at is None:
        return "none yet: `keyctl pair verify`"
    where = "another computer" if pairing.verified_elsewhere else "the computer that paired it"
    return f"{pairing.verified_at}, on {where}"


def _fate(handed_over_at: str | None, replaced_at: str | None) -> str:
    if replaced_at is not None:
        return f"replaced {times.day(replaced_at)}"
    return times.day(handed_over_at) if handed_over_at is not None else "not yet"


def _missing(accounts: Sequence[MissingAccount]) -> str:
    lines = ["only one of the two keys opens:"]
    for one in accounts:
        label = account_label(one.service, one.account or None)
        why = " - the site takes one key only" if one.no_backup_possible else ""
        lines.append(visible(f"  {label}: {one.opened_by} does, {one.missing_on} does not{why}"))
        if one.url is not None and not one.no_backup_possible:
            lines.append(visible(f"    {one.url}"))
    return "\n".join(lines)
