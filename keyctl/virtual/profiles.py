"""What kinds of keys a virtual key can imitate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from keyctl.core import recovery, seed_numbers
from keyctl.virtual.identity import AAGUIDS

if TYPE_CHECKING:
    from collections.abc import Mapping

ES256 = -7
EDDSA = -8
U2F_VERSION = "U2F_V2"
LARGE_BLOB_KEY = "largeBlobKey"
PREVIEW_SIGN = seed_numbers.EXTENSION
RECOVERY = recovery.EXTENSION


class Listing(Enum):
    """How a key lets its discoverable credentials be managed."""

    NONE = "none"
    #: authenticatorCredentialManagement of CTAP 2.1 drafts, command 0x41.
    PREVIEW = "preview"
    #: CTAP 2.2, section 6.8, command 0x0A. Also by 0x41, as most keys do for programs that know the drafts only.
    FINAL = "final"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of key: everything that its firmware fixes for ever."""

    name: str
    #: One line for people.
    description: str
    #: 16 bytes; zeros without CTAP2.
    aaguid: bytes
    versions: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    #: COSE algorithm numbers, the preferred one first.
    algorithms: tuple[int, ...] = (ES256, EDDSA)
    #: PIN/UV auth protocols, the preferred one first.
    pin_protocols: tuple[int, ...]
    #: Whether tokens carry permissions (option pinUvAuthToken).
    permissions: bool
    listing: Listing
    #: Whether authenticatorSelection is there.
    selection: bool
    #: Whether non-discoverable credentials are made without the PIN (option makeCredUvNotRqd).
    make_without_pin: bool
    #: How many discoverable credentials fit.
    capacity: int
    #: Bytes of one request, the command byte included.
    max_message_bytes: int = 2048
    #: How deep maps and arrays of a request may be nested (CTAP 2.2, section 8).
    max_cbor_depth: int = 4
    #: None: getInfo does not say, and there is no limit but the message.
    max_ids_in_list: int | None = 8
    #: Bytes; None: getInfo does not say.
    max_id_bytes: int | None = 128
    #: Unicode code points.
    min_pin_length: int = 4
    firmware_version: int | None = None
    #: Whether getInfo says how many discoverable credentials still fit.
    tells_remaining: bool = False
    #: Whether getInfo lists algorithms and transports, which CTAP 2.1 added.
    tells_algorithms: bool = True
    #: Bytes of the serialized large-blob array; 0: authenticatorLargeBlobs is not there.
    large_blobs_bytes: int = 0
    #: Whether authenticatorConfig is there, with all subcommands.
    configurable: bool = False
    #: Whether there is a persistent token for reading the list of passkeys (option perCredMgmtRO).
    persistent_token: bool = False
    #: Whether it speaks CTAP2 at all.
    ctap2: bool = True

    @property
    def u2f(self) -> bool:
        """Whether it speaks U2F."""
        return U2F_VERSION in self.versions

    @property
    def recovery(self) -> bool:
        """Whether it knows the draft extension "recovery", with its command and its permission."""
        return RECOVERY in self.extensions

    def without_large_blobs(self) -> Profile:
        """The same kind of key without anything of large blobs."""
        extensions = tuple(name for name in self.extensions if name != LARGE_BLOB_KEY)
        return replace(self, extensions=extensions, large_blobs_bytes=0)


_FULL = Profile(
    name="full",
    description="a present-day key: CTAP 2.2 and U2F, 128 passkeys, both PIN protocols",
    aaguid=AAGUIDS["full"],
    versions=("FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1", "FIDO_2_2", U2F_VERSION),
    extensions=("credBlob", "credProtect", "hmac-secret", "hmac-secret-mc", LARGE_BLOB_KEY, "minPinLength"),
    pin_protocols=(2, 1),
    permissions=True,
    listing=Listing.FINAL,
    selection=True,
    make_without_pin=True,
    capacity=128,
    firmware_version=1,
    tells_remaining=True,
    large_blobs_bytes=2048,
    configurable=True,
    persistent_token=True,
)

_SMALL = replace(
    _FULL,
    name="small",
    description="like full, with room for 3 passkeys only",
    aaguid=AAGUIDS["small"],
    capacity=3,
    large_blobs_bytes=1024,
)

_ARKG = replace(
    _FULL,
    name="arkg",
    description="like full, with previewSign: it can be a backup key, and has 4096 bytes for large blobs",
    aaguid=AAGUIDS["arkg"],
    extensions=(*_FULL.extensions, PREVIEW_SIGN),
    large_blobs_bytes=4096,
)

_DRAFT = replace(
    _FULL,
    name="draft",
    description="like full, with the WebAuthn draft extension recovery, which no real key has",
    aaguid=AAGUIDS["draft"],
    extensions=(*_FULL.extensions, RECOVERY),
    # The draft's list of credentials in makeCredential is one deeper than CTAP permits.
    max_cbor_depth=5,
)

_FIDO_2_0 = Profile(
    name="fido2.0",
    description="a first-generation key: CTAP 2.0, passkeys cannot be listed",
    aaguid=AAGUIDS["fido2.0"],
    versions=("FIDO_2_0",),
    extensions=("hmac-secret",),
    pin_protocols=(1,),
    permissions=False,
    listing=Listing.NONE,
    selection=False,
    make_without_pin=False,
    capacity=25,
    max_message_bytes=1200,
    max_ids_in_list=None,
    max_id_bytes=None,
    tells_algorithms=False,
)

_FIDO_2_1_PRE = Profile(
    name="fido2.1-pre",
    description="a key from between: lists passkeys by the preview command, cannot rename them",
    aaguid=AAGUIDS["fido2.1-pre"],
    versions=("FIDO_2_0", "FIDO_2_1_PRE"),
    extensions=("credProtect",),
    pin_protocols=(1,),
    permissions=False,
    listing=Listing.PREVIEW,
    selection=False,
    make_without_pin=False,
    capacity=25,
    max_message_bytes=1200,
)

_U2F = Profile(
    name="u2f",
    description="a key from before FIDO2: U2F only, no PIN, no passkeys",
    aaguid=bytes(16),
    versions=(U2F_VERSION,),
    algorithms=(ES256,),
    pin_protocols=(),
    permissions=False,
    listing=Listing.NONE,
    selection=False,
    make_without_pin=False,
    capacity=0,
    ctap2=False,
)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (_FULL, _FIDO_2_0, _FIDO_2_1_PRE, _SMALL, _U2F, _ARKG, _DRAFT)
}
