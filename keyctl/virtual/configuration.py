"""What authenticatorConfig sets on a key until the next reset (CTAP 2.3, section 6.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyctl.virtual.record import Record

#: Code points: no PIN can be longer, as its 63 bytes hold no more.
LONGEST_MIN_PIN = 63
#: maxRPIDsForSetMinPINLength.
MAX_MIN_PIN_RP_IDS = 8
_MAX_RP_ID = 4096


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The settings that a client with the permission acfg changes."""

    always_uv: bool = False
    #: Whether enterprise attestation is switched on.
    enterprise: bool = False
    long_touch_for_reset: bool = False
    #: Unicode code points; None: what the profile has.
    min_pin_length: int | None = None
    #: The RPs that may learn the minimum PIN length.
    min_pin_rp_ids: tuple[str, ...] = ()
    #: Whether the PIN has to be changed before it is good for anything else.
    force_pin_change: bool = False

    def to_json(self) -> dict[str, Any]:
        """A part of the key's file."""
        return {
            "always_uv": self.always_uv,
            "enterprise": self.enterprise,
            "long_touch_for_reset": self.long_touch_for_reset,
            "min_pin_length": self.min_pin_length,
            "min_pin_rp_ids": list(self.min_pin_rp_ids),
            "force_pin_change": self.force_pin_change,
        }


def configuration_from(record: Record) -> Configuration:
    """The configuration in a part of the key's file.

    Raises:
        StoreError: It makes no sense.
    """
    configuration = Configuration(
        always_uv=record.flag("always_uv"),
        enterprise=record.flag("enterprise"),
        long_touch_for_reset=record.flag("long_touch_for_reset"),
        min_pin_length=record.optional_integer("min_pin_length", 1, LONGEST_MIN_PIN),
        min_pin_rp_ids=tuple(record.texts("min_pin_rp_ids", MAX_MIN_PIN_RP_IDS, _MAX_RP_ID)),
        force_pin_change=record.flag("force_pin_change"),
    )
    record.finish()
    return configuration
