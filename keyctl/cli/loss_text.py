"""What to do after the loss of a key, for people: as text, and as a list in Markdown to be ticked off."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from keyctl.cli import tables
from keyctl.core import markdown
from keyctl.core.loss_steps import ID_DIGITS, Step, StepKind
from keyctl.core.names import quoted
from keyctl.core.text import visible
from keyctl.model import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keyctl.operations.losing import Found, Loss

_HEADINGS = {
    StepKind.COMPUTER: "The computer that is gone with it",
    StepKind.ORIENT: "First",
    StepKind.RECOVER: "Accounts that no other key opens",
    StepKind.REVOKE: "Accounts that another key opens",
    StepKind.UNLISTED: "Accounts that are on no list",
    StepKind.DERIVED: "Derived keys",
    StepKind.LOCAL: "Computers and servers",
    StepKind.ADMINISTRATOR: "Work and school",
    StepKind.BUY: "The key in its place",
    StepKind.PROMOTE: "The key in its place",
    StepKind.PAIR: "The key in its place",
    StepKind.REGISTER: "The key in its place",
}
#: Where the text of a step begins: behind its box and its id.
_INDENT = " " * (len("[ ] ") + ID_DIGITS + 2)


def text(loss: Loss) -> str:
    """The plan as text."""
    parts = [visible(_first_line(loss))]
    for heading, steps in _sections(loss.steps):
        parts.append("\n".join([heading, *(_step(step, tickable=loss.key is not None) for step in steps)]))
    if loss.key is not None:
        parts.append(visible(_how_to_tick(loss)))
    return "\n\n".join(parts)


def as_markdown(loss: Loss) -> str:
    """The plan in Markdown."""
    title = f"{loss.name} {_state(loss)}: what to do now"
    lines = [f"# {markdown.escaped(title)}", "", markdown.escaped(_first_line(loss))]
    for heading, steps in _sections(loss.steps):
        lines += ["", f"## {heading}", ""]
        for step in steps:
            own_id = f" ({markdown.code(step.id)})" if loss.key is not None else ""
            lines.append(f"- [{'x' if step.done else ' '}] {markdown.escaped(step.text)}{own_id}")
            if step.url is not None and not step.done:
                lines.append(f"  - {markdown.link(step.url)}")
            lines += [f"  - {markdown.code(command)}" for command in step.commands if not step.done]
    if (command := _command(loss)) is not None:
        lines += ["", f"Tick a step off with {markdown.code(command)}."]
    return "\n".join(lines)


def notes(loss: Loss, *, dry_run: bool) -> list[str]:
    """What there is to say beside."""
    said = list(loss.remarks)
    if dry_run and loss.key is not None:
        said.append("nothing was noted: this was a dry run")
    return said


def found(result: Found, *, dry_run: bool) -> str:
    """What came of finding a key again."""
    name = result.key.label
    if not result.changed and result.key.state is not KeyState.LOST:
        return visible(f"nothing to do: {name} is not marked as lost")
    would = "would be" if dry_run else "is"
    lines = [f"{name} {would} lost no more; what it opens counts again"]
    if result.revoked:
        lines.append("this was done in the meantime; where you want the key back, register it anew:")
        lines += [f"  {step.text}" for step in result.revoked]
    if result.retired:
        lines.append(f"retired in the meantime, and staying so: the pairing {' and '.join(result.retired)}")
    if result.primary is not None:
        lines.append(f"{result.primary} took its place as the primary key: `keyctl edit {quoted(name)} --role spare`")
    return "\n".join(visible(line) for line in lines)


def _sections(steps: Sequence[Step]) -> Iterable[tuple[str, list[Step]]]:
    return ((heading, list(own)) for heading, own in groupby(steps, lambda step: _HEADINGS[step.kind]))


def _first_line(loss: Loss) -> str:
    done = sum(step.done for step in loss.steps)
    if loss.key is None:
        return f"{loss.name} is lost, and nothing is noted of it: what to do, in this order"
    since = f" since {loss.lost_at}" if loss.lost_at is not None else ""
    begin = f"{loss.name} {_state(loss)}{since}"
    if done == len(loss.steps):
        return f"{begin}; all {done} steps are done"
    return f"{begin}; {done} of {len(loss.steps)} steps are done, the most urgent come first"


def _state(loss: Loss) -> str:
    reset = loss.key is not None and loss.key.state is KeyState.RESET
    return "was reset" if reset else "is lost"


def _how_to_tick(loss: Loss) -> str:
    back = f"found again: `keyctl found {quoted(loss.name)}`"
    command = _command(loss)
    return back if command is None else f"tick a step off: `{command}`; {back}"


def _command(loss: Loss) -> str | None:
    """What ticks the most urgent step off; None: none is left, or none can be."""
    step = next((step for step in loss.steps if not step.done), None)
    return None if step is None or loss.key is None else f"keyctl lost {quoted(loss.name)} --done {step.id}"


def _step(step: Step, *, tickable: bool) -> str:
    first = f"[{'x' if step.done else ' '}] "
    if tickable:
        first += f"{step.id}  "
    indent = _INDENT if tickable else " " * len(first)
    lines = _wrapped(visible(step.text), first, indent)
    if step.url is not None and not step.done:
        kind = f"{step.url_kind.value}: " if step.url_kind is not None else ""
        lines.append(f"{indent}{kind}{visible(step.url)}")
    if not step.done:
        # Not wrapped: they are to be copied.
        lines += [f"{indent}$ {visible(command)}" for command in step.commands]
    return "\n".join(lines)


def _wrapped(words: str, first: str, indent: str) -> list[str]:
    width = tables.width()
    if width is None:
        return [first + words]
    return textwrap.wrap(
        words,
        max(width, 40),
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
