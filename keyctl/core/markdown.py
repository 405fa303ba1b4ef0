"""Hostile text in Markdown (CommonMark): shown as it is, never obeyed."""

from __future__ import annotations

import re

from keyctl.core.text import visible

#: What begins or ends something in the middle of a line (CommonMark 0.31, section 2.4).
_OBEYED = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_TICKS = re.compile("`+")


def escaped(text: str) -> str:
    """*text* on one line, in which nothing is obeyed; it must not begin a line."""
    return _OBEYED.sub(r"\\\1", visible(text))


def code(text: str) -> str:
    """*text* as a code span, whatever ticks are in it (CommonMark 0.31, section 6.1)."""
    shown = visible(text)
    longest = max((len(run) for run in _TICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{gap}{shown}{gap}{fence}"


def link(url: str) -> str:
    """*url* as a link that shows where it leads; as code where it is none that a browser should open."""
    plain = url.isascii() and url.isprintable() and not re.search(r"[<>\s]", url)
    return f"<{url}>" if plain and url.startswith("https://") else code(url)
