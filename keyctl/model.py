"""The data that crosses layers: frozen, and named as it appears in the JSON output.

Field names are the JSON names of ``keyctl-json(5)``; bytes become lower-case hex there and enums their value, so a
result is rendered without a second description of its shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


#: The RP id of keyctl's own credentials: ``.invalid`` (RFC 2606), so that no web page can ask for it.
OWN_RP_ID = "keyctl.invalid"


class Transport(StrEnum):
    """How a key is reached."""

    USB = "usb"
    #: A card reader, contactless.
    NFC = "nfc"
    #: A card reader, with contacts.
    CONTACT = "contact"
    #: A software key of this computer.
    VIRTUAL = "virtual"


class Access(StrEnum):
    """Whether the key could be opened."""

    OK = "ok"
    #: The operating system does not permit it.
    DENIED = "denied"
    #: Another program uses it.
    BUSY = "busy"


class KeyState(StrEnum):
    """What the inventory says of a key."""

    ACTIVE = "active"
    LOST = "lost"
    RESET = "reset"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a person keeps a key for."""

    PRIMARY = "primary"
    BACKUP = "backup"
    SPARE = "spare"


class Recognition(StrEnum):
    """Which known key a connected one proved to be, and how surely."""

    #: A signature of this connection verified under the public key on file.
    PROVED = "proved"
    #: As PROVED, but its signature counter is lower than the last one seen here: perhaps a copy.
    COUNTER_BACK = "counter_back"
    #: As PROVED, but the public key on file is not the one first seen on this computer.
    CHANGED = "changed"
    #: It says that it is this one; a U2F key proves it with a touch only.
    CLAIMED = "claimed"
    #: It asks for its PIN before it answers anything, so it may be any known key of its model.
    LOCKED = "locked"
    #: A key of a known model that answers to no name: perhaps one that was reset.
    PERHAPS_RESET = "perhaps_reset"
    #: It answers to no name.
    UNKNOWN = "unknown"


class Protection(StrEnum):
    """The credProtect policy of a passkey (CTAP 2.2, section 12.1)."""

    OPTIONAL = "optional"
    OPTIONAL_WITH_LIST = "optional_with_list"
    REQUIRED = "required"


class Purpose(StrEnum):
    """What a discoverable credential is for."""

    PASSKEY = "passkey"
    PAIRING = "pairing"
    RECOGNITION = "recognition"


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key, as ``list`` shows it. None: not known, or does not apply."""

    id: str | None = None
    name: str | None = None
    role: Role | None = None
    owner: str | None = None
    location: str | None = None
    note: str | None = None
    state: KeyState = KeyState.UNKNOWN
    connected: bool
    #: The exact text that ``--key`` takes: ``usb:PATH``, ``nfc:READER`` or ``virtual:NAME``.
    selector: str | None
    transport: Transport | None
    path: str | None
    paths: tuple[str, ...] = ()
    access: Access | None = None
    #: What the device calls itself (USB product string). Hostile text.
    product: str | None = None
    #: USB vendor and product number, four hex digits each.
    vendor_id: str | None = None
    product_id: str | None = None
    #: What the AAGUID stands for.
    model: str | None = None
    #: 16 bytes as a UUID text, or None when the key was not opened or has none.
    aaguid: str | None = None
    serial: str | None = None
    #: Dotted version, or None when the key does not say.
    firmware: str | None = None
    virtual: bool = False
    #: When it last answered on this computer, RFC 3339.
    last_seen: str | None = None
    #: None: not asked, as it is not connected or no key is known.
    recognition: Recognition | None = None

    @property
    def label(self) -> str:
        """The word people know it by: its name, else its selector."""
        return self.name or self.selector or self.id or "?"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes and counts from getInfo; None: the key does not say."""

    #: Bytes of one request.
    max_message_size: int
    max_credentials_in_list: int | None = None
    #: Bytes.
    max_credential_id_length: int | None = None
    #: Bytes of the shared large-blob array.
    max_large_blob_array: int | None = None
    #: Bytes of a credential's own blob.
    max_cred_blob: int | None = None
    max_min_pin_rp_ids: int | None = None


@dataclass(frozen=True, kw_only=True)
class KeyInfo:
    """What getInfo says (CTAP 2.2, section 6.4), validated: types are right, lists have been bounded."""

    versions: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    #: 16 bytes.
    aaguid: bytes = bytes(16)
    options: Mapping[str, bool] = field(default_factory=dict)
    #: COSE algorithm numbers.
    algorithms: tuple[int, ...] = ()
    transports: tuple[str, ...] = ()
    limits: Limits
    pin_protocols: tuple[int, ...] = ()
    force_pin_change: bool = False
    #: Unicode code points.
    min_pin_length: int = 4
    #: Unicode code points; at most 63 bytes in UTF-8 in any case.
    max_pin_length: int = 63
    #: The vendor's number; its meaning differs by vendor.
    firmware_version: int | None = None
    remaining_passkeys: int | None = None
    long_touch_for_reset: bool = False
    transports_for_reset: tuple[str, ...] = ()
    #: encCredStoreState: what changes with every passkey, encrypted for the holder of the persistent token.
    sealed_store_state: bytes | None = None

    @property
    def pin_supported(self) -> bool:
        """Whether the key can have a PIN."""
        return "clientPin" in self.options and bool(self.pin_protocols)

    @property
    def pin_set(self) -> bool:
        """Whether the key has a PIN."""
        return self.pin_supported and self.options["clientPin"]

    @property
    def permissions(self) -> bool:
        """Whether PIN tokens carry permissions (CTAP 2.1, pinUvAuthToken)."""
        return self.options.get("pinUvAuthToken", False)

    @property
    def listing(self) -> bool:
        """Whether the key can list its passkeys, in the final or the preview form."""
        return self.options.get("credMgmt", False) or self.listing_preview

    @property
    def persistent_token(self) -> bool:
        """Whether the key gives a token that reads its passkeys without the PIN until that changes (CTAP 2.2)."""
        return self.permissions and self.options.get("perCredMgmtRO", False) and self.options.get("credMgmt", False)

    @property
    def listing_preview(self) -> bool:
        """Whether the key lists its passkeys only as CTAP 2.1 previews did."""
        preview = "FIDO_2_1_PRE" in self.versions and self.options.get("credentialMgmtPreview", False)
        return preview and not self.options.get("credMgmt", False)


@dataclass(frozen=True, kw_only=True)
class PinRetries:
    """How many wrong PINs the key still takes."""

    left: int
    power_cycle_needed: bool = False


@dataclass(frozen=True, kw_only=True)
class PasskeyCount:
    """How many passkeys are on the key; None: the key does not say."""

    used: int | None
    remaining: int | None


@dataclass(frozen=True, kw_only=True)
class Passkey:
    """One discoverable credential. Every text in it is hostile."""

    #: As the key tells it; some keys cut it.
    rp_id: str | None
    #: SHA-256 of the RP id, 32 bytes: this decides, not the text.
    rp_id_hash: bytes
    #: Whether the text is the RP id, by its hash.
    rp_id_exact: bool
    user_id: bytes | None
    user_name: str | None
    display_name: str | None
    credential_id: bytes
    #: COSE number.
    algorithm: int | None
    protection: Protection | None
    large_blob: bool | None
    purpose: Purpose
    known_as: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All passkeys that could be read.

    ``complete`` is False when the key stopped half-way or sent one that cannot be understood.
    """

    passkeys: tuple[Passkey, ...]
    count: PasskeyCount
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long to wait for what, in seconds; 0: not at all."""

    touch_s: float
    #: For a key to be plugged in.
    plug_s: float
    #: For another program that uses the key.
    lock_s: float
