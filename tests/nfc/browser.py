"""What a browser does with a card, by python-fido2's own client; and what that library sees on it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap2 import ClientPin, CredentialManagement, Ctap2
from fido2.webauthn import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
)

if TYPE_CHECKING:
    from .conftest import InReader


#: Less than any key's maxMsgSize.
_BLOB_PART_BYTES = 900


class _Window(UserInteraction):
    def __init__(self, pin: str) -> None:
        self._pin = pin

    def request_pin(self, _permissions: object, _rp_id: str | None) -> str:
        return self._pin


def sign_up(card: InReader, pin: str, rp_id: str, user: str) -> bytes:
    """Make a passkey; returns its id."""
    kind = PublicKeyCredentialType.PUBLIC_KEY
    options = PublicKeyCredentialCreationOptions(
        rp=PublicKeyCredentialRpEntity(id=rp_id, name=rp_id),
        user=PublicKeyCredentialUserEntity(id=sha256(user.encode()).digest(), name=user, display_name=user.title()),
        challenge=b"challenge",
        pub_key_cred_params=[PublicKeyCredentialParameters(type=kind, alg=-7)],
        authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.REQUIRED),
    )
    with card.open() as device:
        client = Fido2Client(device, DefaultClientDataCollector(f"https://{rp_id}"), _Window(pin))
        return bytes(client.make_credential(options).raw_id)


def credentials(card: InReader, pin: str) -> set[tuple[str, bytes, str]]:
    """What python-fido2's own credential management sees: site, id and user name."""
    with card.open() as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT)
        management = CredentialManagement(ctap, pins.protocol, token)
        return {
            (rp[management.RESULT.RP]["id"], bytes(found[management.RESULT.CREDENTIAL_ID]["id"]), found[6]["name"])
            for rp in management.enumerate_rps()
            for found in management.enumerate_creds(rp[management.RESULT.RP_ID_HASH])
        }


def set_pin(card: InReader, pin: str) -> None:
    """Give the card its first PIN."""
    with card.open() as device:
        ClientPin(Ctap2(device)).set_pin(pin)


def tries_left(card: InReader) -> int:
    """How many wrong PINs the card still takes."""
    with card.open() as device:
        return ClientPin(Ctap2(device)).get_pin_retries()[0]


def put_blobs(card: InReader, pin: str, array: bytes) -> None:
    """Have sites keep *array* on the card, as it is; it fits one message."""
    with card.open() as device:
        ctap = Ctap2(device)
        pins = ClientPin(ctap)
        token = pins.get_pin_token(pin, ClientPin.PERMISSION.LARGE_BLOB_WRITE)
        # What is signed: CTAP 2.2, section 6.10.2.
        message = b"\xff" * 32 + b"\x0c\x00" + bytes(4) + sha256(array).digest()
        ctap.large_blobs(
            0,
            set=array,
            length=len(array),
            pin_uv_param=pins.protocol.authenticate(token, message),
            pin_uv_protocol=pins.protocol.VERSION,
        )


def blobs(card: InReader) -> bytes:
    """The array of large blobs, as it is."""
    with card.open() as device:
        ctap = Ctap2(device)
        found = b""
        while len(part := ctap.large_blobs(len(found), get=_BLOB_PART_BYTES)[1]) == _BLOB_PART_BYTES:
            found += part
        return found + part
