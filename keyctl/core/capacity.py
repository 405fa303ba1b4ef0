"""How many passkeys fit on a key that does not say it itself, by what makers write of their models."""

from __future__ import annotations

import re

#: Model, the first firmware to which it applies, and how many; the first that fits counts.
_CAPACITIES = (
    (re.compile(r"^(YubiKey|Security Key|Enterprise Security Key)"), (5, 7), 100),
    (re.compile(r"^(YubiKey|Security Key|Enterprise Security Key)"), (5, 0), 25),
    (re.compile(r"^Solo "), (0, 0), 50),
)


def passkeys_that_fit(model: str | None, firmware: str | None) -> int | None:
    """How many passkeys fit on a key in all; None: nobody knows.

    Args:
        model: What its AAGUID stands for.
        firmware: The dotted version that it told.
    """
    if model is None or firmware is None or not re.fullmatch(r"\d{1,9}\.\d{1,9}(\.\d{1,9})*", firmware):
        return None
    major, minor = (int(part) for part in firmware.split(".")[:2])
    return next((count for named, first, count in _CAPACITIES if named.match(model) and (major, minor) >= first), None)
