"""What a key is, from all that it and the system say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core import catalogue
from keyctl.device.discover import YUBICO_VENDOR_ID
from keyctl.model import Key, Transport
from keyctl.virtual.identity import VIRTUAL_AAGUIDS

if TYPE_CHECKING:
    from keyctl.device.discover import Found
    from keyctl.model import Access, KeyInfo

VIRTUAL_MODEL = "keyctl virtual key"
#: How the names of Yubico's models begin.
_YUBICO_MODELS = (
    "YubiKey ",
    "Security Key by Yubico",
    "Security Key NFC by Yubico",
    "Security Key Series with NFC",
    "Enterprise Security Key Series with NFC",
)


def key_from(
    found: Found,
    info: KeyInfo | None,
    *,
    access: Access | None,
    version: tuple[int, ...] | None = None,
    serial: str | None = None,
) -> Key:
    """The key as ``list`` shows it.

    Args:
        found: How it was found.
        info: What getInfo said, or None when it could not be asked.
        access: Whether it could be opened.
        version: Firmware as the transport tells it.
        serial: Serial number as the key itself tells it.
    """
    aaguid = info.aaguid if info else b""
    virtual = found.transport is Transport.VIRTUAL or aaguid in VIRTUAL_AAGUIDS
    model = VIRTUAL_MODEL if virtual else catalogue.model_name(aaguid) if any(aaguid) else None
    return Key(
        connected=True,
        selector=found.selector,
        transport=found.transport,
        path=found.path,
        paths=(found.path,),
        access=access,
        product=found.product,
        vendor_id=_usb_number(found.vendor_id),
        product_id=_usb_number(found.product_id),
        model=model,
        aaguid=catalogue.aaguid_text(aaguid) if any(aaguid) else None,
        serial=serial or found.serial,
        firmware=_firmware(found, info, model, version) if info else None,
        virtual=virtual,
    )


def _usb_number(number: int | None) -> str | None:
    return None if number is None else f"{number:04x}"


def _firmware(found: Found, info: KeyInfo, model: str | None, version: tuple[int, ...] | None) -> str | None:
    """The version as a person knows it; getInfo's number means something else with every vendor."""
    if version and any(version):
        return ".".join(str(part) for part in version)
    number = info.firmware_version
    if number is None:
        return None
    if found.vendor_id == YUBICO_VENDOR_ID or (model or "").startswith(_YUBICO_MODELS):
        return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"
    return str(number)
