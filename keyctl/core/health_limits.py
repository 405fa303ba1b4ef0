"""How old, how short and how full things may be before a health check says so, and where people may change it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits, with their defaults."""

    key_drill_days: int = 90
    pairing_drill_days: int = 90
    scan_days: int = 90
    record_days: int = 90
    min_pin_length: int = 6
    passkeys_percent: int = 90


class LimitField(NamedTuple):
    """What one limit may be and what it means, for the manual page."""

    lowest: int
    highest: int
    meaning: str


#: Field of :class:`Limits` and of ``health.toml`` -> what it is.
LIMIT_FIELDS: Mapping[str, LimitField] = {
    "key_drill_days": LimitField(1, 3650, "days since a key last proved itself with a touch"),
    "pairing_drill_days": LimitField(
        1, 3650, "days since the backup key of a pairing last proved that it can take over"
    ),
    "scan_days": LimitField(1, 3650, "days since the passkeys of a key were last read"),
    "record_days": LimitField(1, 3650, "days since the pairing's record on a key was last seen to be the right one"),
    "min_pin_length": LimitField(4, 63, "characters that a key has to want of a PIN"),
    "passkeys_percent": LimitField(1, 100, "how full a key may be, in percent of the passkeys that fit"),
}


class LimitError(ValueError):
    """A field that is not what it has to be."""

    def __init__(self, name: str, what: str) -> None:
        """*name* is the field, *what* is wrong with it, in words that follow the name."""
        super().__init__(f"{name} {what}")
        self.name = name


def limits_from(content: Mapping[str, Any]) -> Limits:
    """The limits that *content* sets, and the defaults for the others.

    Raises:
        LimitError: A field is unknown or not what it has to be.
    """
    limits = Limits()
    for name, value in content.items():
        field = LIMIT_FIELDS.get(name)
        if field is None:
            raise LimitError(name, f"is no field of it; there are {', '.join(one.name for one in fields(Limits))}")
        if type(value) is not int or not field.lowest <= value <= field.highest:
            raise LimitError(name, f"is not a whole number from {field.lowest} to {field.highest}")
        limits = replace(limits, **{name: value})
    return limits
