"""Acting as a browser at a site: making a passkey and signing in with it, on a virtual key only.

The demonstration fills its keys with this; it is python-fido2's own client, so the key meets nothing made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Site:
    """An account at an imagined site."""

    rp_id: str
    user_name: str
    display_name: str


def register(folder: Path, name: str, site: Site, pin: str) -> bytes:
    """Make a passkey for *site* on the virtual key *name*, as a browser would.

    Args:
        folder: The folder of virtual keys.
        name: Which of them.
        site: Where the account is.
        pin: The PIN of the key.

    Returns:
        The credential id.
    """
    from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
    from fido2.webauthn import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialCreationOptions,
        PublicKeyCredentialParameters,
        PublicKeyCredentialRpEntity,
        PublicKeyCredentialType,
        PublicKeyCredentialUserEntity,
        ResidentKeyRequirement,
    )

    from keyctl.virtual.device import VirtualDevice

    class Browser(UserInteraction):
        def request_pin(self, permissions: object, rp_id: str | None) -> str:  # noqa: ARG002  # the library's signature
            return pin

    with VirtualDevice(folder, name) as device:
        client = Fido2Client(device, DefaultClientDataCollector(f"https://{site.rp_id}"), Browser())
        kind = PublicKeyCredentialType.PUBLIC_KEY
        result = client.make_credential(
            PublicKeyCredentialCreationOptions(
                rp=PublicKeyCredentialRpEntity(id=site.rp_id, name=site.rp_id),
                user=PublicKeyCredentialUserEntity(
                    id=sha256(f"{site.rp_id}/{site.user_name}".encode()).digest(),
                    name=site.user_name,
                    display_name=site.display_name,
                ),
                challenge=b"keyctl demonstration",
                pub_key_cred_params=[PublicKeyCredentialParameters(type=kind, alg=alg) for alg in (-7, -8)],
                authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.REQUIRED),
            )
        )
    return bytes(result.raw_id)
