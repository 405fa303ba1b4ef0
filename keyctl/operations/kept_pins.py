"""PINs that are asked for once and kept in memory for some minutes, by somebody's express wish."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from keyctl.operations.asking_through import Through

if TYPE_CHECKING:
    from keyctl.operations.asking import Asker, PinRequest

#: It goes on while the computer sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC) if sys.platform != "win32" else None


class KeptPins(Through):
    """Asks for the PIN of a key and, once it has proved to be right, gives it again until its time is over.

    Args:
        asker: Who is asked.
        keep_s: For how many seconds after it was asked for.
    """

    def __init__(self, asker: Asker, keep_s: float) -> None:
        super().__init__(asker)
        self._keep_s = keep_s
        #: By key, with the end of their time.
        self._kept: dict[str, tuple[str, float]] = {}
        self._on_trial: dict[str, tuple[str, float]] = {}

    def pin(self, request: PinRequest) -> str:
        """The kept one, else what the other asker says."""
        self.forget_old()
        if request.purpose != "current":
            return super().pin(request)
        if request.key in self._kept:
            return self._kept[request.key][0]
        pin = super().pin(request)
        self._on_trial[request.key] = (pin, _now() + self._keep_s)
        return pin

    def right(self) -> None:
        """What was given out last has opened its key: keep it."""
        self._kept |= self._on_trial
        self._on_trial.clear()

    def wrong(self) -> None:
        """A key took none: forget all, so that none is given out a second time."""
        self._kept.clear()
        self._on_trial.clear()

    def unproved(self) -> None:
        """Whether what was given out last is right did not come out: ask anew next time."""
        self._on_trial.clear()

    def forget_old(self) -> None:
        """Forget those whose time is over."""
        now = _now()
        self._kept = {key: (pin, end) for key, (pin, end) in self._kept.items() if end > now}

    @property
    def seconds_left(self) -> float | None:
        """Until :meth:`forget_old` has something to do; None: nothing is kept."""
        return max(0.0, min(end for _, end in self._kept.values()) - _now()) if self._kept else None


def _now() -> float:
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
