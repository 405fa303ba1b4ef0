"""The fingerprint of a seed public key, for people to compare: four groups such as ``HLU2K-BEAEC-LJXQS-L7BJH``.

Base32 (RFC 4648, section 6) has no 0, 1 and 8. A typed 0 can only be an O and an 8 only a B; a 1 can be I or L, so it
is no part of a group.
"""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from keyctl.core import p256

if TYPE_CHECKING:
    from keyctl.core.arkg import SeedPublicKey

GROUPS = 4
#: 25 bits each.
GROUP_CHARACTERS = 5
_DOMAIN = b"keyctl-seed-fp-v1\0ARKG-P256"
_SEPARATORS = re.compile(r"[\s\u00ad\u2010-\u2015\u2212-]+")
_CONFUSED = str.maketrans({"0": "O", "8": "B"})
_GROUP = re.compile(f"[A-Z2-7]{{{GROUP_CHARACTERS}}}")


def of_seed(seed: SeedPublicKey) -> str:
    """The fingerprint: 100 bits in four groups, joined by dashes."""
    content = _DOMAIN + p256.compressed(seed.pk_bl) + p256.compressed(seed.pk_kem)
    text = base64.b32encode(sha256(content).digest()).decode("ascii")
    return "-".join(text[at : at + GROUP_CHARACTERS] for at in range(0, GROUPS * GROUP_CHARACTERS, GROUP_CHARACTERS))


def groups(fingerprint: str) -> tuple[str, ...]:
    """The groups of what :func:`of_seed` returned."""
    return tuple(fingerprint.split("-"))


def typed_groups(typed: str) -> tuple[str, ...] | None:
    """What a person typed, in groups as they would be shown; None when these cannot be whole groups.

    Case, spaces and dashes do not matter, so several groups may be typed in one go.
    """
    if len(typed) > 8 * GROUPS * GROUP_CHARACTERS:
        return None
    # Before upper(), which makes ASCII letters of some others, such as the long s.
    plain = _SEPARATORS.sub("", typed)
    if not plain.isascii():
        return None
    text = plain.upper().translate(_CONFUSED)
    parts = tuple(text[at : at + GROUP_CHARACTERS] for at in range(0, len(text), GROUP_CHARACTERS))
    return parts if parts and all(_GROUP.fullmatch(part) for part in parts) else None


def matches(fingerprint: str, typed: str) -> bool:
    """Whether *typed* is all of *fingerprint*; the time taken does not say how much of it.

    Args:
        fingerprint: As :func:`of_seed` returns it.
        typed: What a person typed for it.
    """
    expected = "".join(groups(fingerprint))
    given = "".join(typed_groups(typed) or ())
    return hmac.compare_digest(expected.encode(), given.encode())
