"""Times as the inventory holds them: RFC 3339 in UTC with whole seconds, so that they sort as they are."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import lru_cache

#: A clock that is fast or slow by less is none that somebody set, and disturbs nothing.
CLOCK_TOLERANCE = timedelta(days=1)
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_LENGTH = len("2026-01-31T08:00:00Z")
_DAY_LENGTH = len("2026-01-31")


def now() -> str:
    """The time of the computer's clock, for instance ``2026-01-31T08:00:00Z``."""
    return time.strftime(_FORM, time.gmtime())


@lru_cache(maxsize=4096)
def parse(text: str) -> datetime:
    """The moment that *text* means, in UTC.

    Raises:
        ValueError: It is not written exactly so, or there is no such moment.
    """
    # What Python takes for ISO 8601 is wider: dates alone, fractions, other offsets, other digits.
    if len(text) != _LENGTH or not text.isascii() or text[10] != "T" or text[19] != "Z":
        raise ValueError("no time")
    moment = datetime.fromisoformat(text)
    if moment.strftime(_FORM) != text:
        raise ValueError("no time")
    return moment


def shifted(moment: str, by: timedelta) -> str:
    """The time that is *by* after *moment*."""
    return (parse(moment) + by).strftime(_FORM)


def day(moment: str) -> str:
    """The day of *moment* in UTC, for instance ``2026-01-31``."""
    return moment[:_DAY_LENGTH]
