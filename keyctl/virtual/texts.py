"""Names that are too long: how keys shorten them, the usual ways and the odd ones."""

from __future__ import annotations

from fido2.ctap import CtapError

from keyctl.virtual.answers import CutText
from keyctl.virtual.quirks import Quirk

#: A key keeps at least 64 bytes of a name (CTAP 2.2, section 6.1.2; WebAuthn level 2, section 5.4.1).
NAME_BYTES = 64
_ODD_NAME_BYTES = 63
_RP_ID_BYTES = 32
_LONG_RP_ID_BYTES = 48
_ELLIPSIS = "…"


def cut(text: str, size: int) -> str:
    """The beginning of *text*, at most *size* bytes in UTF-8 and no half character."""
    return text.encode()[:size].decode(errors="ignore")


def cut_tail(text: str, size: int) -> str:
    """The end of *text*, at most *size* bytes in UTF-8 and no half character."""
    return text.encode()[-size:].decode(errors="ignore")


def stored_user_name(name: str | None, quirks: frozenset[Quirk]) -> str | None:
    """What the key keeps of a user's name.

    Raises:
        CtapError: INVALID_LENGTH, because a quirk refuses it.
    """
    if name is None or len(name.encode()) <= NAME_BYTES:
        return name
    if Quirk.LONG_NAME_REFUSED in quirks:
        raise CtapError(CtapError.ERR.INVALID_LENGTH)
    if Quirk.LONG_NAME_DROPPED in quirks:
        return None
    if Quirk.LONG_NAME_63 in quirks:
        return cut(name, _ODD_NAME_BYTES)
    if Quirk.LONG_NAME_64 in quirks:
        return name.encode()[:NAME_BYTES].decode(errors="surrogateescape")
    return cut(name, NAME_BYTES)


def listed_rp_id(rp_id: str, quirks: frozenset[Quirk]) -> str:
    """What the listing tells of an RP id."""
    size = len(rp_id.encode())
    if Quirk.RP_ID_TAIL in quirks and size > _RP_ID_BYTES:
        return _ELLIPSIS + cut_tail(rp_id, _RP_ID_BYTES - len(_ELLIPSIS.encode()))
    if Quirk.RP_ID_HEAD in quirks:
        return cut(rp_id, _RP_ID_BYTES)
    return cut(rp_id, _LONG_RP_ID_BYTES) if Quirk.RP_ID_48 in quirks else rp_id


def told(text: str) -> str:
    """*text* as an answer can carry it."""
    return text if text.isascii() else CutText(text)
