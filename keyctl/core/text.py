"""Making hostile text harmless before it is put into a sentence or reaches a terminal."""

from __future__ import annotations

#: Control, format (bidi marks among them), surrogates, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """*text* with everything that a terminal would obey, reorder or hide written as an escape, on one line."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    return "".join(
        _escaped(character) if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def is_unicode(text: str) -> bool:
    """Whether *text* is Unicode; arguments and files may hold half characters (surrogates), which nobody can encode."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def tries(count: int | None) -> str:
    """So many PIN tries, in words: ``1 try``, ``2 tries``."""
    return f"{count} {'try' if count == 1 else 'tries'}"


def reason_of(error: Exception) -> str:
    """Why the operating system refused something, in words that follow a colon; also of a name that it cannot have."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def counted_are(count: int, what: str) -> str:
    """The same as a subject with its verb: ``1 step is``, ``2 steps are``."""
    return f"{counted(count, what)} {'is' if count == 1 else 'are'}"


def counted(count: int, what: str) -> str:
    """So many of something whose plural ends with s: ``1 account``, ``2 accounts``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
