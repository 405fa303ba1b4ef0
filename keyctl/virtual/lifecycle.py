"""authenticatorReset (CTAP 2.2, section 6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.virtual.quirks import Quirk
from keyctl.virtual.state import new_state

if TYPE_CHECKING:
    from keyctl.virtual.context import Context

#: Seconds after power-up in which a reset is allowed.
RESET_WINDOW_S = 10.0
#: How long the finger has to stay where longTouchForReset is on (CTAP 2.3, section 6.4).
LONG_TOUCH_S = 10.0


def reset(context: Context) -> None:
    """Forget everything but the profile; without the old secret no credential made before works any more.

    Raises:
        CtapError: NOT_ALLOWED when the key was powered up more than 10 s ago, or an error of the touch.
    """
    if not 0 <= context.now - context.powered_at <= RESET_WINDOW_S:
        raise CtapError(CtapError.ERR.NOT_ALLOWED)
    context.presence.touch(hold_s=LONG_TOUCH_S if context.state.configuration.long_touch_for_reset else 0.0)
    fresh = new_state(context.state.profile, context.state.ram.boot)
    # The wrong PINs in a row are of the old PIN; the RAM is as after a power-up.
    fresh.ram.dead = Quirk.DEAD_AFTER_RESET in context.quirks
    context.state = fresh
    context.changed(durable=True)
