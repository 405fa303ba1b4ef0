"""What a key may be called: nearly everything, as long as it cannot be taken for something else."""

from __future__ import annotations

from keyctl.core.text import is_unicode, visible
from keyctl.errors import UsageError

#: Characters; longer ones are mistakes.
MAX_LENGTH = 1000
#: As many characters of a bad name are repeated.
_SHOWN = 40
#: Options, and what selects a key by where it is connected.
_RESERVED = ("-", "usb:", "nfc:", "virtual:")


def checked(name: str) -> str:
    """*name* in composed characters (NFC), the form in which names are kept and compared.

    Raises:
        UsageError: No key can have it (``name_invalid``).
    """
    # Characters may become more by it.
    name = composed(name)
    if reason := fault(name):
        raise UsageError(
            "name_invalid",
            f"no key can be called {visible(name[:_SHOWN]).strip() or 'that'}: the name {reason}",
            "choose another name, for instance blue-5c",
        )
    return name


def fault(name: str) -> str | None:
    """Why no key can be called *name*, in words that follow the name in a sentence; None: it can."""
    if not name or name.isspace():
        return "is empty"
    if len(name) > MAX_LENGTH:
        return f"has more than {MAX_LENGTH} characters"
    if prefix := next((prefix for prefix in _RESERVED if name.startswith(prefix)), None):
        return f"begins with {prefix}"
    if not is_unicode(name):
        return "is not Unicode"
    return None


def composed(text: str) -> str:
    """*text* in the form in which names are compared: composed characters (NFC), as keyboards differ in that.

    What is longer than any name stays as it is: composing takes the square of the time that combining marks are many.
    """
    if text.isascii() or len(text) > MAX_LENGTH:
        return text
    import unicodedata

    return unicodedata.normalize("NFC", text)


def account_label(service: str, account: str | None) -> str:
    """An account in a sentence: ``GitHub (kim)``; not yet made harmless."""
    return service if account is None else f"{service} ({account})"


#: What means nothing to a shell, so that PRIMARY/BACKUP and virtual:NAME stay as they are.
_PLAIN = str.maketrans("", "", "-_./:@+")


def quoted(text: str) -> str:
    """*text* as one word of a command line that is proposed to a person."""
    plain = text.isascii() and text.translate(_PLAIN).isalnum()
    return text if plain else "'" + text.replace("'", "'\"'\"'") + "'"
