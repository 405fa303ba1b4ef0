"""What is set on a virtual key from outside: plugged or not, touch, delays, quirks and faults.

They live in a small file of their own, so that they can be changed while a command waits for a touch.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyctl.errors import UsageError
from keyctl.virtual.quirks import QUIRKS, Quirk
from keyctl.virtual.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = 1
BOOT_BYTES = 8
MAX_DELAY_MS = 600_000
MAX_COUNTER = 0xFFFFFFFF
_MAX_TOUCH_DELAY_S = 86_400
_MAX_FAULTS = 64
_MAX_FAULT_COUNT = 1_000_000

#: word -> what happens, one line.
FAULT_WORDS = {
    "pulled": "the key is pulled before it does anything",
    "pulled-after": "the key does it and is pulled before it can answer",
    "garbage": "the key answers random bytes",
    "silence": "the key never answers",
    "busy": "the key is busy",
}

_EXPECTED = (
    "give touch=now, touch=after:SECONDS, touch=never, touch=refused, touch=long, delay-ms=N, counter=N, "
    "quirk=NAME, quirk=none, fault=N:CODE or fault=none"
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one key."""

    plugged: bool = True
    #: Changes with every power-up: what the key keeps in RAM belongs to one boot.
    boot: bytes
    #: Seconds since 1970.
    powered_at: float
    #: ``now``, ``after:SECONDS``, ``never``, ``refused``, or ``long``: now, and the finger stays.
    touch: str = "now"
    delay_ms: int = 0
    quirks: frozenset[Quirk] = frozenset()
    #: (how many commands from now, 1 is the next one; status number or a word of FAULT_WORDS)
    faults: tuple[tuple[int, str], ...] = ()

    def powered_up(self, now: float) -> Settings:
        """The same after the key got power at *now*."""
        return replace(self, plugged=True, boot=os.urandom(BOOT_BYTES), powered_at=now)

    @property
    def touched_at_once(self) -> bool:
        """Whether a finger is there already."""
        return self.touch in {"now", "long"}

    @property
    def touch_delay_s(self) -> float | None:
        """Seconds until a touch that comes late, or None for every other kind."""
        return float(self.touch.removeprefix("after:")) if self.touch.startswith("after:") else None

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "schema": SCHEMA,
            "plugged": self.plugged,
            "boot": self.boot.hex(),
            "powered_at": self.powered_at,
            "touch": self.touch,
            "delay_ms": self.delay_ms,
            "quirks": sorted(quirk.value for quirk in self.quirks),
            "faults": [f"{count}:{code}" for count, code in self.faults],
        }


def settings_from_json(path: Path, value: dict[str, Any]) -> Settings:
    """The settings in the file *path* with the content *value*.

    Raises:
        StoreError: It was written by a newer keyctl, or makes no sense.
    """
    record = Record(path, value)
    record.schema(SCHEMA)
    plugged = record.flag("plugged")
    boot = record.octets("boot", BOOT_BYTES, BOOT_BYTES)
    powered_at = record.seconds("powered_at")
    touch = record.text("touch", 64)
    delay_ms = record.integer("delay_ms", 0, MAX_DELAY_MS)
    quirks = record.texts("quirks", len(QUIRKS), 64)
    faults = record.texts("faults", _MAX_FAULTS, 64)
    record.finish()
    try:
        return Settings(
            plugged=plugged,
            boot=boot,
            powered_at=powered_at,
            touch=_touch(touch),
            delay_ms=delay_ms,
            quirks=frozenset(Quirk(_quirk(name)) for name in quirks),
            faults=tuple(_fault(text) for text in faults),
        )
    except UsageError as error:
        raise record.bad(error.message) from error


def change(settings: Settings, assignments: Sequence[str]) -> tuple[Settings, int | None]:
    """Apply assignments like ``touch=never`` in the order given.

    Returns:
        The new settings, and the signature counter to set, or None.

    Raises:
        UsageError: One of them is wrong; the message names it and the hint says what there is.
    """
    counter: int | None = None
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise UsageError("usage", f"{assignment!r} is no setting", _EXPECTED)
        match name:
            case "touch":
                settings = replace(settings, touch=_touch(value))
            case "delay-ms":
                settings = replace(settings, delay_ms=_number(assignment, value, MAX_DELAY_MS))
            case "counter":
                counter = _number(assignment, value, MAX_COUNTER)
            case "quirk" if value == "none":
                settings = replace(settings, quirks=frozenset())
            case "quirk":
                settings = replace(settings, quirks=settings.quirks | {Quirk(_quirk(value))})
            case "fault" if value == "none":
                settings = replace(settings, faults=())
            case "fault" if len(settings.faults) >= _MAX_FAULTS:
                raise UsageError("usage", "too many faults are set already", "clear them with fault=none")
            case "fault":
                settings = replace(settings, faults=(*settings.faults, _fault(value)))
            case _:
                raise UsageError("usage", f"there is no setting {name!r}", _EXPECTED)
    return settings, counter


def count_down(settings: Settings) -> tuple[Settings, str | None]:
    """Count one command; returns the settings afterwards and the code of the fault that is due, or None."""
    due = next((code for count, code in settings.faults if count == 1), None)
    left = tuple((count - 1, code) for count, code in settings.faults if count > 1)
    return replace(settings, faults=left), due


def _number(assignment: str, value: str, highest: int) -> int:
    # isdecimal alone would let through digits of other scripts, and int() a string of any length.
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(highest))) or int(value) > highest:
        raise UsageError("usage", f"{assignment!r} wants a number from 0 to {highest}", _EXPECTED)
    return int(value)


def _touch(value: str) -> str:
    if value in {"now", "never", "refused", "long"}:
        return value
    if value.startswith("after:"):
        try:
            delay_s = float(value.removeprefix("after:"))
        except ValueError:
            delay_s = math.nan
        if 0 <= delay_s <= _MAX_TOUCH_DELAY_S:
            return f"after:{delay_s:g}"
    raise UsageError(
        "usage", f"{value!r} is no kind of touch", "there are now, after:SECONDS (up to 86400), never, refused and long"
    )


def _quirk(name: str) -> str:
    if name not in QUIRKS:
        raise UsageError("usage", f"there is no quirk {name!r}", "there are " + ", ".join(sorted(QUIRKS)))
    return name


def _fault(value: str) -> tuple[int, str]:
    count, _, code = value.partition(":")
    if not (count.isascii() and count.isdecimal() and len(count) <= len(str(_MAX_FAULT_COUNT))):
        count = "0"
    if 1 <= int(count) <= _MAX_FAULT_COUNT and (code in FAULT_WORDS or fault_status(code) is not None):
        return int(count), code
    raise UsageError(
        "usage",
        f"{value!r} is no fault",
        "give N:CODE: which command from now, 1 is the next; and a CTAP status from 1 to 255 (0x hexadecimal) or "
        + ", ".join(FAULT_WORDS),
    )


def fault_status(code: str) -> int | None:
    """The CTAP status number that *code* writes, in decimal or 0x hexadecimal, or None when it is none."""
    if not code.isascii() or not code.isalnum() or len(code) > len("0xff"):
        return None
    try:
        status = int(code, 16) if code[:2] in {"0x", "0X"} else int(code)
    except ValueError:
        return None
    return status if 1 <= status <= 0xFF else None
