"""The memory of this process, in which a PIN or a seed is for a while."""

from __future__ import annotations

import sys

_PR_SET_DUMPABLE = 4


def shield() -> bool:
    """Have no core dump hold it, and no other program of this user look into it; only Linux has that.

    Returns:
        False: the system refuses.
    """
    if sys.platform != "linux":
        return True
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
