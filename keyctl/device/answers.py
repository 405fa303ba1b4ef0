"""Answers of a key, checked before anything believes them: types, lengths, counts (CTAP 2.2, sections 6.4 to 6.8)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from keyctl.device import errors
from keyctl.device.exchange import MIN_MESSAGE_BYTES
from keyctl.model import OWN_RP_ID, KeyInfo, Limits, Passkey, PasskeyCount, PinRetries, Protection, Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyctl.errors import UnreachableError

AAGUID_BYTES = 16
HASH_BYTES = 32
LARGE_BLOB_KEY_BYTES = 32
#: An initialization vector and 16 bytes, encrypted (CTAP 2.3, section 6.4).
_SEALED_BYTES = 32
_OWN_RP_ID_HASH = sha256(OWN_RP_ID.encode()).digest()
#: CTAP 2.2, section 6.5.1: a PIN has 4 code points at least, and 63 bytes at most.
_PIN_LENGTHS = range(4, 64)
#: Larger counts are nobody's: python-fido2's integers go up to 2**64.
_MAX_COUNT = 0xFFFFFFFF
_MAX_RETRIES = 255
_MAX_CREDENTIAL_ID_BYTES = 4096
_PROTECTIONS = {1: Protection.OPTIONAL, 2: Protection.OPTIONAL_WITH_LIST, 3: Protection.REQUIRED}


def key_info_from_ctap(answer: Mapping[Any, Any], label: str) -> KeyInfo:
    """What getInfo said (CTAP 2.2, section 6.4).

    Fields that keyctl does not use are not looked at, whatever they hold.

    Raises:
        UnreachableError: A field has the wrong type or length, or a required one is missing (``key_nonsense``).
    """
    fields = _Fields(answer, label)
    versions = fields.texts(0x01)
    aaguid = fields.octets(0x03)
    if not versions or aaguid is None or len(aaguid) != AAGUID_BYTES:
        raise fields.nonsense("no version or no model number")
    min_pin_length = fields.integer(0x0D) or _PIN_LENGTHS[0]
    max_pin_length = fields.integer(0x1D) or _PIN_LENGTHS[-1]
    min_pin_length = min(max(min_pin_length, _PIN_LENGTHS[0]), _PIN_LENGTHS[-1])
    return KeyInfo(
        versions=versions,
        extensions=fields.texts(0x02),
        aaguid=aaguid,
        options=fields.options(0x04),
        algorithms=fields.algorithms(0x0A),
        transports=fields.texts(0x09),
        limits=Limits(
            max_message_size=max(fields.integer(0x05) or 0, MIN_MESSAGE_BYTES),
            max_credentials_in_list=fields.integer(0x07) or None,
            max_credential_id_length=fields.integer(0x08) or None,
            max_large_blob_array=fields.integer(0x0B) or None,
            max_cred_blob=fields.integer(0x0F) or None,
            max_min_pin_rp_ids=fields.integer(0x10),
        ),
        pin_protocols=fields.integers(0x06),
        force_pin_change=fields.flag(0x0C),
        min_pin_length=min_pin_length,
        max_pin_length=min(max(max_pin_length, min_pin_length), _PIN_LENGTHS[-1]),
        firmware_version=fields.integer(0x0E),
        remaining_passkeys=fields.integer(0x14),
        long_touch_for_reset=fields.flag(0x18),
        transports_for_reset=fields.texts(0x1A),
        sealed_store_state=_sealed(answer.get(0x1E)),
    )


def u2f_info() -> KeyInfo:
    """What there is to say of a key that knows U2F only: it has no getInfo."""
    return KeyInfo(versions=("U2F_V2",), limits=Limits(max_message_size=MIN_MESSAGE_BYTES))


def pin_retries_from_ctap(answer: Mapping[Any, Any], label: str) -> PinRetries:
    """What getPINRetries said (CTAP 2.2, section 6.5.5.2).

    Raises:
        UnreachableError: It makes no sense (``key_nonsense``).
    """
    fields = _Fields(answer, label)
    left = fields.integer(0x03, _MAX_RETRIES)
    if left is None:
        raise fields.nonsense("no number of tries")
    return PinRetries(left=left, power_cycle_needed=answer.get(0x04) is True)


def uv_retries_from_ctap(answer: Mapping[Any, Any], label: str) -> int | None:
    """What getUVRetries said (CTAP 2.2, section 6.5.5.3): tries of the fingerprint reader.

    Raises:
        UnreachableError: It makes no sense (``key_nonsense``).
    """
    return _Fields(answer, label).integer(0x05, _MAX_RETRIES)


def passkey_count_from_ctap(answer: Mapping[Any, Any], label: str) -> PasskeyCount:
    """What getCredsMetadata said (CTAP 2.2, section 6.8.2).

    Raises:
        UnreachableError: It makes no sense (``key_nonsense``).
    """
    fields = _Fields(answer, label)
    return PasskeyCount(used=fields.integer(0x01), remaining=fields.integer(0x02))


@dataclass(frozen=True, kw_only=True)
class Site:
    """One RP of the listing; the hash decides, the id is a text that some keys cut."""

    #: SHA-256 of the RP id, 32 bytes.
    rp_id_hash: bytes
    rp_id: str | None = None


def site_from_ctap(answer: Mapping[Any, Any], label: str) -> Site:
    """One RP as enumerateRPs tells it (CTAP 2.2, section 6.8.3).

    Raises:
        UnreachableError: It has no hash of the right length (``key_nonsense``).
    """
    fields = _Fields(answer, label)
    rp_id_hash = fields.octets(0x04)
    if rp_id_hash is None or len(rp_id_hash) != HASH_BYTES:
        raise fields.nonsense("a site without its hash")
    return Site(rp_id_hash=rp_id_hash, rp_id=_text(_mapping(answer.get(0x03)).get("id")))


def total_from_ctap(answer: Mapping[Any, Any], field: int, most: int) -> int | None:
    """The count in *field* of the first answer of an enumeration; None when it is absent, no number or above *most*."""
    value = answer.get(field)
    return value if type(value) is int and 0 <= value <= most else None


def passkey_from_ctap(answer: Mapping[Any, Any], site: Site, label: str, *, has_large_blobs: bool) -> Passkey:
    """One credential as enumerateCredentials tells it (CTAP 2.2, section 6.8.4).

    What can be missing may also be malformed: a passkey that cannot be seen could not be deleted.

    Args:
        answer: The key's answer.
        site: The RP that was asked for.
        label: The word people know the key by.
        has_large_blobs: Whether the key has large blobs at all.

    Raises:
        UnreachableError: It has no credential id (``key_nonsense``).
    """
    fields = _Fields(answer, label)
    credential_id = _octets(_mapping(answer.get(0x07)).get("id"))
    if not credential_id or len(credential_id) > _MAX_CREDENTIAL_ID_BYTES:
        raise fields.nonsense("a passkey without an id")
    user = _mapping(answer.get(0x06))
    algorithm = _mapping(answer.get(0x08)).get(3)
    protection = answer.get(0x0A)
    exact = site.rp_id is not None and _hash(site.rp_id) == site.rp_id_hash
    # Some keys leave the large-blob key out of the listing, so that only its presence says something.
    large_blob = (True if 0x0B in answer else None) if has_large_blobs else False
    return Passkey(
        rp_id=site.rp_id,
        rp_id_hash=site.rp_id_hash,
        rp_id_exact=exact,
        user_id=_octets(user.get("id")),
        user_name=_text(user.get("name")),
        display_name=_text(user.get("displayName")),
        credential_id=credential_id,
        algorithm=algorithm if type(algorithm) is int else None,
        protection=_PROTECTIONS.get(protection) if type(protection) is int else None,
        large_blob=large_blob,
        purpose=Purpose.PAIRING if site.rp_id_hash == _OWN_RP_ID_HASH else Purpose.PASSKEY,
    )


def large_blob_key_from_ctap(answer: Mapping[Any, Any], field: int = 0x0B) -> bytes | None:
    """The largeBlobKey in *field* of an answer (CTAP 2.2, section 12.3), 32 bytes; None: it is not there.

    Args:
        answer: By default one of enumerateCredentials.
        field: Where it is in others.
    """
    value = _octets(answer.get(field))
    return value if value is not None and len(value) == LARGE_BLOB_KEY_BYTES else None


def yubikey_serial_from_config(answer: bytes) -> str | None:
    """The serial number in a YubiKey's configuration: a length byte, then tag, length, value; tag 2 is the serial."""
    fields = answer[1 : 1 + answer[0]] if answer else b""
    while len(fields) >= 2:
        tag, length = fields[0], fields[1]
        value, fields = fields[2 : 2 + length], fields[2 + length :]
        if tag == 0x02 and len(value) == 4:
            return str(int.from_bytes(value, "big"))
    return None


class _Fields:
    """The fields of one answer by number; None or empty when absent, ``key_nonsense`` when of the wrong type."""

    def __init__(self, answer: Mapping[Any, Any], label: str) -> None:
        self._answer = answer
        self._label = label

    def nonsense(self, what: str) -> UnreachableError:
        return errors.nonsense(self._label, what)

    def _typed(self, field: int, expected: type) -> Any:
        value = self._answer.get(field)
        # Exactly: True is an integer for isinstance.
        if value is not None and type(value) is not expected:
            raise self.nonsense(f"a wrong type in field 0x{field:02X}")
        return value

    def integer(self, field: int, most: int = _MAX_COUNT) -> int | None:
        value: int | None = self._typed(field, int)
        if value is not None and not 0 <= value <= most:
            raise self.nonsense(f"an impossible number in field 0x{field:02X}")
        return value

    def flag(self, field: int) -> bool:
        return bool(self._typed(field, bool))

    def octets(self, field: int) -> bytes | None:
        value: bytes | None = self._typed(field, bytes)
        return value

    def _list(self, field: int) -> list[Any]:
        return self._typed(field, list) or []

    def texts(self, field: int) -> tuple[str, ...]:
        return tuple(item for item in self._list(field) if isinstance(item, str))

    def integers(self, field: int) -> tuple[int, ...]:
        return tuple(item for item in self._list(field) if type(item) is int)

    def options(self, field: int) -> dict[str, bool]:
        value = self._typed(field, dict) or {}
        return {name: flag for name, flag in value.items() if isinstance(name, str) and isinstance(flag, bool)}

    def algorithms(self, field: int) -> tuple[int, ...]:
        entries = (_mapping(item).get("alg") for item in self._list(field))
        return tuple(number for number in entries if type(number) is int)


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _octets(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _sealed(value: object) -> bytes | None:
    """A member that only the holder of the persistent token can read; without it a key is as good as any."""
    octets = _octets(value)
    return octets if octets is not None and len(octets) == _SEALED_BYTES else None


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()
