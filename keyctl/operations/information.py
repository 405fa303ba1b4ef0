"""What a key is and can do, without a PIN and without a touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import advisories, catalogue
from keyctl.core.advisories import Identity
from keyctl.model import PasskeyCount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.core.advisories import Advisory
    from keyctl.device.session import Session
    from keyctl.model import Key, Limits


@dataclass(frozen=True, kw_only=True)
class PinState:
    """The PIN of a key; lengths in Unicode code points, ``retries`` is None without a PIN."""

    set: bool
    retries: int | None
    min_length: int
    max_length: int
    change_required: bool
    uv_retries: int | None
    power_cycle_needed: bool | None


@dataclass(frozen=True, kw_only=True)
class Information:
    """What getInfo says, and what follows from it; ``pin`` is None where the key has no PIN function."""

    key: Key
    versions: tuple[str, ...]
    extensions: tuple[str, ...]
    options: Mapping[str, bool]
    #: COSE numbers.
    algorithms: tuple[int, ...]
    transports: tuple[str, ...]
    limits: Limits
    pin: PinState | None
    #: None where the key cannot list passkeys.
    passkeys: PasskeyCount | None
    advisories: tuple[Advisory, ...]


def information(session: Session) -> Information:
    """Read a key's state; two short commands at most beside getInfo.

    Raises:
        UnreachableError: The key does not answer as it should.
    """
    key, info = session.key, session.info
    return Information(
        key=key,
        versions=info.versions,
        extensions=info.extensions,
        options=info.options,
        algorithms=info.algorithms,
        transports=info.transports,
        limits=info.limits,
        pin=_pin_state(session),
        # How many are used needs the PIN; this command never asks for it.
        passkeys=PasskeyCount(used=None, remaining=info.remaining_passkeys) if info.listing else None,
        advisories=advisories.advisories_for(identity(session)),
    )


def identity(session: Session) -> Identity:
    """What advisories know the key by; nothing is sent."""
    key = session.key
    return Identity(
        model=key.model,
        product=key.product,
        vendor_id=key.vendor_id,
        product_id=key.product_id,
        aaguid=key.aaguid,
        firmware=key.firmware,
        generation=catalogue.metadata_firmware(session.info.aaguid),
    )


def _pin_state(session: Session) -> PinState | None:
    info = session.info
    if not info.pin_supported:
        return None
    retries = session.pin_retries() if info.pin_set else None
    return PinState(
        set=info.pin_set,
        retries=retries.left if retries else None,
        min_length=info.min_pin_length,
        max_length=info.max_pin_length,
        change_required=info.force_pin_change,
        uv_retries=session.uv_retries() if info.options.get("uv") else None,
        power_cycle_needed=retries.power_cycle_needed if retries else None,
    )
