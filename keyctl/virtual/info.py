"""authenticatorGetInfo (CTAP 2.2, section 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyctl.virtual.profiles import Listing
from keyctl.virtual.quirks import Quirk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.profiles import Profile

_ZERO_AAGUID = bytes(16)


def get_info(context: Context) -> Mapping[int, Any]:
    """What the key says of itself; optional members that it does not know are left out."""
    profile = context.profile
    members: dict[int, Any] = {
        0x01: list(profile.versions),
        0x02: list(profile.extensions) or None,
        0x03: aaguid(context),
        0x04: options(context),
        0x05: profile.max_message_bytes,
        0x06: list(profile.pin_protocols),
        0x07: profile.max_ids_in_list,
        0x08: profile.max_id_bytes,
    }
    if profile.tells_algorithms:
        members[0x09] = ["nfc", "usb"]
        members[0x0A] = [{"alg": algorithm, "type": "public-key"} for algorithm in profile.algorithms]
    if profile.permissions:
        members[0x0D] = profile.min_pin_length
    members[0x0E] = profile.firmware_version
    if profile.tells_remaining and Quirk.REMAINING_ABSENT not in context.quirks:
        wrong = Quirk.REMAINING_WRONG in context.quirks
        members[0x14] = profile.capacity if wrong else room(context)
    return {number: member for number, member in members.items() if member is not None}


def options(context: Context) -> dict[str, bool]:
    """The options of now."""
    profile = context.profile
    told: dict[str, bool] = {
        "rk": True,
        "up": Quirk.NO_TOUCH not in context.quirks,
        "plat": False,
        "clientPin": context.state.pin is not None,
    }
    if has_permissions(profile, context.quirks):
        told["pinUvAuthToken"] = True
    if profile.listing is Listing.FINAL:
        told["credMgmt"] = True
    if profile.listing is Listing.PREVIEW:
        told["credentialMgmtPreview"] = True
    if profile.make_without_pin:
        told["makeCredUvNotRqd"] = True
    if profile.permissions:
        told["alwaysUv"] = False
    return told


def has_permissions(profile: Profile, quirks: frozenset[Quirk]) -> bool:
    """Whether tokens carry permissions."""
    return profile.permissions and Quirk.LEGACY_TOKEN not in quirks


def aaguid(context: Context) -> bytes:
    """The AAGUID that the key says it has, 16 bytes."""
    return _ZERO_AAGUID if Quirk.AAGUID_ZERO in context.quirks else context.profile.aaguid


def room(context: Context) -> int:
    """How many more discoverable credentials fit."""
    return max(0, context.profile.capacity - len(context.state.credentials))
