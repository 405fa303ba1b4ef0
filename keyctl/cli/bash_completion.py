"""Completion in bash, which takes a word apart at each colon and equals sign, and what it is given as it stands."""

from __future__ import annotations

import os
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, split_arg_string

#: Of COMP_WORDBREAKS, those that stand in selectors, names and settings (bash(1), Programmable Completion).
_BREAKS = frozenset(":=")


class WholeWords(BashComplete):
    """Puts words together again as they were typed, and answers with what bash wants in the place of its own part."""

    #: What the line keeps of the word before the part that bash replaces.
    _kept = ""
    _in_quotes = False

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one as far as it goes."""
        parts = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
        current = parts[-1]
        words = _put_together(parts[1:])
        # After a colon bash replaces nothing; the colon itself stays.
        replaced = "" if current and _BREAKS.issuperset(current) else current
        kept = _unquoted(words[-1].removesuffix(replaced)) if words else ""
        # What is offered for --option=VALUE is the value.
        self._kept = kept.partition("=")[2] if kept.startswith("--") else kept
        self._in_quotes = current.startswith(('"', "'"))
        *before, incomplete = [_unquoted(word) for word in words] or [""]
        return before, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """One line for the script, which takes away one backslash of two."""
        text = str(item.value)
        if item.type == "plain":
            text = text.removeprefix(self._kept)
            if not self._in_quotes:
                text = text.replace(" ", r"\\ ")
        return f"{item.type},{text}"


def _put_together(parts: list[str]) -> list[str]:
    words: list[str] = []
    joins = False
    for part in parts:
        is_break = bool(part) and _BREAKS.issuperset(part)
        # An empty part is a word of its own that is about to be typed.
        if words and (is_break or (joins and part)):
            words[-1] += part
        else:
            words.append(part)
        joins = is_break
    return words


def _unquoted(word: str) -> str:
    return "".join(split_arg_string(word))
