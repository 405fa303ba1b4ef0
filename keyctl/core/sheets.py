"""One page to keep with a key: which it is, and what to do on the day when another one is lost. No secret is on it.

As HTML that prints well on A4 and Letter, loads nothing and runs nothing, or as Markdown. All names are hostile text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from keyctl.core import fingerprints, markdown, times
from keyctl.core.names import account_label, quoted
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, kw_only=True)
class SheetPairing:
    """A pairing that is in force, in which the key has a part."""

    #: Names; None: the key is not known here.
    primary: str | None
    backup: str | None
    #: In words.
    method: str
    #: Of the seed; None: there is none.
    fingerprint: str | None
    #: RFC 3339.
    created_at: str
    verified_at: str | None


@dataclass(frozen=True, kw_only=True)
class SheetAccount:
    """An account that the key opens."""

    service: str
    account: str | None
    rp_id: str
    url: str | None


@dataclass(frozen=True, kw_only=True)
class SheetFacts:
    """What the page tells."""

    name: str
    role: str | None
    owner: str | None
    location: str | None
    model: str | None
    serial: str | None
    aaguid: str | None
    #: ``lost`` or ``reset``; None: it is neither.
    trouble: str | None
    virtual: bool
    pairings: tuple[SheetPairing, ...]
    #: None: they are not to be on it.
    accounts: tuple[SheetAccount, ...] | None
    #: RFC 3339.
    made_at: str


class _Step(NamedTuple):
    text: str
    commands: tuple[str, ...] = ()


def as_html(facts: SheetFacts) -> str:
    """The page as one HTML document."""
    body = [f"<h1>Security key <b>{_shown(facts.name)}</b></h1>"]
    body += [f"<p class=alarm>{_shown(line)}</p>" for line in _alarms(facts)]
    rows = "".join(
        f"<tr><th scope=row>{escape(label)}</th><td>{_shown(value)}</td></tr>" for label, value in _rows(facts)
    )
    body.append(f"<table class=facts>{rows}</table>")
    for pairing in facts.pairings:
        body.append(f"<h2>{_shown(_pairing_title(pairing))}</h2>")
        if pairing.fingerprint is not None:
            groups = "".join(f"<span>{escape(group)}</span>" for group in fingerprints.groups(pairing.fingerprint))
            body.append(f"<p class=fingerprint>{groups}</p>")
        body.append(f"<p>{_shown(_pairing_words(pairing))}</p>")
    body.append(f"<h2>The PIN is not here</h2><p>{escape(_PIN)}</p>")
    for title, steps in _instructions(facts):
        body.append(f"<h2>{_shown(title)}</h2><ol>{''.join(map(_step_as_html, steps))}</ol>")
    if facts.accounts is not None:
        body.append(_accounts_as_html(facts))
    body.append(f"<footer>{escape(_footer(facts))}</footer>")
    return _PAGE.format(title=_shown(f"Security key {facts.name}"), style=_STYLE, body="\n".join(body))


def as_markdown(facts: SheetFacts) -> str:
    """The page in Markdown."""
    lines = [f"# Security key {markdown.escaped(facts.name)}"]
    for alarm in _alarms(facts):
        lines += ["", f"**{markdown.escaped(alarm)}**"]
    lines.append("")
    lines += [f"- {label}: {markdown.escaped(value)}" for label, value in _rows(facts)]
    for pairing in facts.pairings:
        lines += ["", f"## {markdown.escaped(_pairing_title(pairing))}", ""]
        if pairing.fingerprint is not None:
            lines += [f"    {pairing.fingerprint}", ""]
        lines.append(markdown.escaped(_pairing_words(pairing)))
    lines += ["", "## The PIN is not here", "", _PIN]
    for title, steps in _instructions(facts):
        lines += ["", f"## {markdown.escaped(title)}", ""]
        for number, step in enumerate(steps, start=1):
            lines.append(f"{number}. {markdown.escaped(step.text)}")
            lines += [f"   - {markdown.code(command)}" for command in step.commands]
    if facts.accounts is not None:
        lines += ["", f"## {markdown.escaped(_accounts_title(facts))}", ""]
        lines += [
            f"- {markdown.escaped(_account_label(one))}{'' if one.url is None else f': {markdown.link(one.url)}'}"
            for one in facts.accounts
        ]
    return "\n".join([*lines, "", f"*{markdown.escaped(_footer(facts))}*"])


_PIN = (
    "Keep it elsewhere: whoever has the key and its PIN has the accounts. Wrong PINs are counted, and after the last "
    "one the key locks itself for good; most keys take 8."
)


def _rows(facts: SheetFacts) -> Iterable[tuple[str, str]]:
    told = {
        "Role": facts.role,
        "Owner": facts.owner,
        "Kept at": facts.location,
        "Model": facts.model,
        "Serial number": facts.serial,
        "AAGUID": facts.aaguid,
    }
    return [(label, value) for label, value in told.items() if value]


def _alarms(facts: SheetFacts) -> Iterable[str]:
    if facts.trouble == "lost":
        yield "This key is marked as lost."
    if facts.trouble == "reset":
        yield "This key was reset: it opens nothing any more."
    if facts.virtual:
        yield "This is a virtual key, for trying out only."


def _pairing_title(pairing: SheetPairing) -> str:
    return f"Backup key {pairing.backup or _UNKNOWN} stands in for {pairing.primary or _UNKNOWN}"


def _pairing_words(pairing: SheetPairing) -> str:
    drill = f"last drill {times.day(pairing.verified_at)}" if pairing.verified_at is not None else "no drill yet"
    words = f"Paired {times.day(pairing.created_at)}, {drill}, method {pairing.method}."
    if pairing.fingerprint is not None:
        words = f"The fingerprint of its seed. Compare it, group by group, before you trust a pairing. {words}"
    return words


def _instructions(facts: SheetFacts) -> list[tuple[str, list[_Step]]]:
    """Titles and numbered steps."""
    backing = [one for one in facts.pairings if one.backup == facts.name]
    parts = []
    if backing:
        parts.append((f"When {_either(backing)} is lost", _after_loss(facts, backing)))
    elif facts.role != "primary":
        parts.append(("When another key is lost", _after_loss(facts, [])))
    own = [
        _Step("On any computer with keyctl, and best at once:", (f"keyctl lost {quoted(facts.name)}",)),
        _Step("Follow what it prints, from the top; the most urgent comes first."),
    ]
    parts.append(("When this key itself is lost", own))
    return parts


def _either(backing: Sequence[SheetPairing]) -> str:
    return " or ".join(one.primary or _UNKNOWN for one in backing)


def _after_loss(facts: SheetFacts, backing: Sequence[SheetPairing]) -> list[_Step]:
    """What to do when the primary key of one of *backing* is lost; of any other key where there are none."""
    names = [quoted(one.primary) if one.primary is not None else "NAME" for one in backing] or ["NAME"]
    name = quoted(facts.name)
    steps = [
        _Step("Take this key to a computer with keyctl, installed as keyctl's README says, and plug it in."),
        _Step(
            "Have the steps listed, the most urgent first. On a computer that does not know your keys, add the "
            "inventory that you exported.",
            (*(f"keyctl lost {lost}" for lost in names), f"keyctl lost {names[0]} --from FILE"),
        ),
        _Step(
            "Sign in to each account with this key, and remove the lost key there: e-mail first, then what resets "
            "other accounts."
        ),
    ]
    if backing:
        # Of several pairings with this backup key the name of the other one tells which is meant.
        labels = [quoted(f"{one.primary or '?'}/{facts.name}") for one in backing] if len(backing) > 1 else [name]
        steps += [
            _Step(
                "If the computer does not know the pairing, read it from this key, and compare the fingerprint above.",
                (f"keyctl add {name} --role backup", "keyctl pair restore"),
            ),
            _Step(
                "Put this key in the place of the lost one, and see what is left to do.",
                tuple(f"keyctl recover promote {label}" for label in labels),
            ),
        ]
    model = f" than {facts.model}" if facts.model else ""
    steps.append(
        _Step(
            f"Get another key, of another maker or model{model}, pair again, and print a new page.",
            ("keyctl add NEW", f"keyctl pair create {name} NEW", "keyctl sheet NEW > sheet.html"),
        )
    )
    return steps


def _step_as_html(step: _Step) -> str:
    commands = "".join(f"<code>{_shown(command)}</code>" for command in step.commands)
    return f"<li>{_shown(step.text)}{f'<div class=commands>{commands}</div>' if commands else ''}</li>"


def _accounts_title(facts: SheetFacts) -> str:
    if not facts.accounts:
        return f"No account is known that {facts.name} opens"
    count = "The account" if len(facts.accounts) == 1 else f"The {len(facts.accounts)} accounts"
    return f"{count} that {facts.name} opens"


def _accounts_as_html(facts: SheetFacts) -> str:
    title = _shown(_accounts_title(facts))
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{_shown(cell)}</td>" for cell in (one.service, one.account or "", one.url or one.rp_id))
        + "</tr>"
        for one in facts.accounts or ()
    )
    if not rows:
        return f"<h2>{title}</h2>"
    # The head comes again on every page, so that a loose one tells which key it is about.
    head = f"<tr><th colspan=3 class=title>{title}</th></tr><tr><th>Service</th><th>Account</th><th>Where</th></tr>"
    return f"<table class=accounts><col><col><col><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _account_label(account: SheetAccount) -> str:
    label = account_label(account.service, account.account)
    return label if account.service == account.rp_id else f"{label}, {account.rp_id}"


def _footer(facts: SheetFacts) -> str:
    kept = "No PIN and no secret is on this page"
    accounts = ", but the accounts are: keep it where only you find it" if facts.accounts else ""
    return f"{kept}{accounts}. Made by keyctl on {times.day(facts.made_at)}; print it again when something changes."


def _shown(text: str) -> str:
    """*text* in HTML: nothing in it is obeyed, and nothing hidden."""
    return escape(visible(text))


_UNKNOWN = "a key that is not known here"
_STYLE = """
@page { margin: 13mm 16mm }
* { box-sizing: border-box }
body { font: 9.5pt/1.32 system-ui, "Liberation Sans", Arial, sans-serif; color: #000; background: #fff;
  max-width: 178mm; margin: 0 auto; padding: 0; overflow-wrap: anywhere }
h1 { font-size: 17pt; font-weight: 400; margin: 0 0 3mm; padding-bottom: 2mm; border-bottom: 0.6mm solid #000 }
h2 { font-size: 11pt; margin: 4mm 0 0.8mm; break-after: avoid }
p { margin: 0 0 1mm }
ol { margin: 0; padding-left: 6mm }
li { margin: 0 0 1mm; break-inside: avoid }
.commands { display: flex; flex-wrap: wrap; gap: 0.6mm 3mm; margin: 0.5mm 0 1mm }
code { padding: 0 1.5mm; background: #eee; border-left: 0.6mm solid #888; print-color-adjust: exact;
  font: 9pt/1.4 ui-monospace, "Liberation Mono", monospace }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: 0.4mm 3mm 0.4mm 0; border-bottom: 0.15mm solid #999 }
tr { break-inside: avoid }
thead { display: table-header-group }
.facts th { width: 32mm; font-weight: 400; color: #444 }
.accounts { font-size: 9pt; margin-top: 4mm; table-layout: fixed }
.accounts col { width: 25% }
.accounts col:last-of-type { width: 50% }
.accounts .title { font-size: 11pt; border: 0; padding-bottom: 0 }
.fingerprint { font: 700 19pt/1.3 ui-monospace, "Liberation Mono", monospace; letter-spacing: 0.06em; margin: 1mm 0 }
.fingerprint span { display: inline-block; margin-right: 7mm }
.alarm { border: 0.6mm solid #000; padding: 1.5mm 3mm; font-weight: 700 }
footer { margin-top: 5mm; padding-top: 1.5mm; border-top: 0.3mm solid #000; font-size: 8.5pt; color: #333 }
"""
#: The policy is for whoever opens the file: even if something got past the escapes, nothing would run or load.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>"""
