"""The first screen for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.cli import check_text, pair_text, tables
from keyctl.core import times
from keyctl.core.text import visible
from keyctl.model import Access, KeyState, Recognition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.core.coverage import Summary
    from keyctl.model import Key
    from keyctl.operations.last_result import LastResult
    from keyctl.operations.overview import Overview
    from keyctl.operations.pair_views import PairingView

#: More findings are for `keyctl health`.
_MOST_FINDINGS = 5


def screen(found: Overview) -> str:
    """Keys, pairings, accounts, findings, and what to do next."""
    rows: list[tuple[str, str | None]] = []
    rows += _labelled("keys", [_key(key) for key in found.keys] or ["none"])
    rows += _labelled("pairings", [_pairing_line(pairing) for pairing in found.pairings])
    rows.append(("accounts", _accounts(found.summary, scanned=found.scanned)))
    rows.append(("last check", _check(found.last_check)))
    findings = [f"{check_text.WORDS[check.result]}: {check.message}" for check in found.findings[:_MOST_FINDINGS]]
    more = _count(found.last_check) - len(findings)
    if more > 0:
        findings.append(f"and {more} more: `keyctl health`")
    rows += _labelled("", findings)
    step = found.next_step
    rows.append(("next", step.text if step.command is None else f"{step.text}: `{step.command}`"))
    return tables.pairs(rows)


def _labelled(label: str, lines: Sequence[str]) -> list[tuple[str, str | None]]:
    # A space keeps a line without a label from being shown as unknown.
    return [(label if number == 0 and label else " ", line) for number, line in enumerate(lines)]


def _key(key: Key) -> str:
    facts = [key.role.value if key.role is not None else None]
    if key.state in {KeyState.LOST, KeyState.RESET}:
        facts.append(key.state.value)
    if key.connected:
        facts.append(_connected(key))
    elif key.location:
        facts.append(key.location)
    elif key.last_seen is not None:
        facts.append(f"last seen {times.day(key.last_seen)}")
    told = ", ".join(fact for fact in facts if fact)
    return visible(f"{key.label}: {told}" if told else key.label)


def _connected(key: Key) -> str:
    if key.id is not None:
        return "connected" if key.access is Access.OK else "connected, cannot be read"
    if key.access is not Access.OK:
        return "cannot be opened or read"
    return "wants its PIN first" if key.recognition is Recognition.LOCKED else "no name yet"


def _pairing_line(pairing: PairingView) -> str:
    return f"{pair_text.name(pairing)}: {pair_text.state(pairing)}, {pairing.method}"


def _accounts(summary: Summary, *, scanned: bool) -> str:
    if summary.services == 0 and scanned:
        return "none: your keys hold no passkeys; second factors are noted with `keyctl service add NAME --on KEY`"
    if summary.services == 0:
        return "none noted yet: `keyctl scan` reads them from your keys"
    risk = f"{summary.at_risk} at risk" if summary.at_risk else "none at risk"
    return f"{summary.services}, {risk}: `keyctl coverage`" if summary.at_risk else f"{summary.services}, {risk}"


def _count(last: LastResult | None) -> int:
    """How many findings there are; only the first of them are kept."""
    return 0 if last is None else last.counts.fail + last.counts.warn


def _check(last: LastResult | None) -> str:
    if last is None:
        return "none yet: `keyctl health`"
    counts = [f"{last.counts.fail} bad"] if last.counts.fail else []
    counts += [f"{last.counts.warn} to look at"] if last.counts.warn else []
    return f"{times.day(last.at)}: {', '.join(counts) or 'all well'}"
