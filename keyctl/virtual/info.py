"""authenticatorGetInfo (CTAP 2.2, section 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyctl.virtual.configuration import MAX_MIN_PIN_RP_IDS
from keyctl.virtual.profiles import U2F_VERSION, Listing
from keyctl.virtual.quirks import Quirk
from keyctl.virtual.state import MAX_BLOB_BYTES
from keyctl.virtual.wrapped_ids import LONG_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.virtual.context import Context
    from keyctl.virtual.profiles import Profile
    from keyctl.virtual.state import State

_ZERO_AAGUID = bytes(16)
#: The subcommands of authenticatorConfig.
_CONFIG_COMMANDS = (1, 2, 3, 4)


def get_info(context: Context) -> Mapping[int, Any]:
    """What the key says of itself; optional members that it does not know are left out."""
    profile = context.profile
    members: dict[int, Any] = {
        0x01: versions(context),
        0x02: list(profile.extensions) or None,
        0x03: aaguid(context),
        0x04: options(context),
        0x05: profile.max_message_bytes,
        0x06: list(profile.pin_protocols),
        0x07: profile.max_ids_in_list,
        0x08: LONG_ID_BYTES if Quirk.LONG_IDS in context.quirks else profile.max_id_bytes,
    }
    if profile.tells_algorithms:
        members[0x09] = ["nfc", "usb"]
        members[0x0A] = [{"alg": algorithm, "type": "public-key"} for algorithm in profile.algorithms]
    if profile.permissions:
        members[0x0D] = min_pin_length(context)
    members[0x0E] = profile.firmware_version
    if profile.large_blobs_bytes:
        members[0x0B] = profile.large_blobs_bytes
    if "credBlob" in profile.extensions:
        members[0x0F] = MAX_BLOB_BYTES
    if profile.configurable:
        configuration = context.state.configuration
        members[0x0C] = configuration.force_pin_change
        members[0x10] = MAX_MIN_PIN_RP_IDS
        members[0x18] = configuration.long_touch_for_reset
        members[0x1F] = list(_CONFIG_COMMANDS)
    if context.state.persistent_token is not None:
        members |= _for_the_holder(context.state, context.state.persistent_token)
    if profile.tells_remaining and Quirk.REMAINING_ABSENT not in context.quirks:
        wrong = Quirk.REMAINING_WRONG in context.quirks
        members[0x14] = profile.capacity if wrong else room(context)
    return {number: member for number, member in members.items() if member is not None}


def _for_the_holder(state: State, token: bytes) -> Mapping[int, Any]:
    """EncIdentifier and encCredStoreState; only keys with a persistent *token* load cryptography for getInfo."""
    from keyctl.virtual.sealed_info import sealed

    return {
        0x19: sealed(token, b"encIdentifier", state.identifier),
        0x1E: sealed(token, b"encCredStoreState", state.store_state),
    }


def versions(context: Context) -> list[str]:
    """The protocols of now: U2F has no users to verify, so alwaysUv switches it off (CTAP 2.2, section 7.2.4)."""
    without = U2F_VERSION if context.state.configuration.always_uv else None
    return [version for version in context.profile.versions if version != without]


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
        told |= _of_permissions(context)
    if profile.listing is Listing.FINAL:
        told["credMgmt"] = True
    if profile.listing is not Listing.NONE:
        told["credentialMgmtPreview"] = True
    always_uv = context.state.configuration.always_uv
    if profile.make_without_pin:
        told["makeCredUvNotRqd"] = not always_uv
    if profile.permissions:
        told["alwaysUv"] = always_uv
    return told


def _of_permissions(context: Context) -> dict[str, bool]:
    """Options for which a token needs a permission of its own."""
    profile = context.profile
    told: dict[str, bool] = {}
    if profile.large_blobs_bytes:
        told["largeBlobs"] = True
    if profile.persistent_token:
        told["perCredMgmtRO"] = True
    if profile.configurable:
        told |= {"authnrCfg": True, "setMinPINLength": True, "ep": context.state.configuration.enterprise}
    return told


def min_pin_length(context: Context) -> int:
    """The fewest Unicode code points that a new PIN may have now."""
    return context.state.configuration.min_pin_length or context.profile.min_pin_length


def has_permissions(profile: Profile, quirks: frozenset[Quirk]) -> bool:
    """Whether tokens carry permissions."""
    return profile.permissions and Quirk.LEGACY_TOKEN not in quirks


def aaguid(context: Context) -> bytes:
    """The AAGUID that the key says it has, 16 bytes."""
    return _ZERO_AAGUID if Quirk.AAGUID_ZERO in context.quirks else context.profile.aaguid


def room(context: Context) -> int:
    """How many more discoverable credentials fit."""
    return max(0, context.profile.capacity - len(context.state.credentials))
