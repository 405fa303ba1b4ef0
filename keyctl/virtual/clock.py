"""Time as a virtual key sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event


class Clock:
    """The computer's clock."""

    def wall(self) -> float:
        """Seconds since 1970: what several processes agree on."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment: for waits, which must not jump."""
        return time.monotonic()

    def pause(self, event: Event, duration_s: float) -> None:
        """Wait for *event*, but no longer than *duration_s*."""
        event.wait(duration_s)
