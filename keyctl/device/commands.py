"""What a message to a key is, read from its own first bytes: its name for ``--verbose``, and whether it only reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from keyctl.core.decoding import decode_map


class Hid(IntEnum):
    """Commands of the USB framing, which every transport takes (CTAP 2.2, section 11.2.9)."""

    MSG = 0x03
    INIT = 0x06
    WINK = 0x08
    CBOR = 0x10
    CANCEL = 0x11
    KEEPALIVE = 0x3B
    ERROR = 0x3F
    #: Yubico's own: which serial number and applications a YubiKey has.
    YUBIKEY_CONFIG = 0x42


class Ctap(IntEnum):
    """Command bytes of CTAP2 (CTAP 2.2, section 6)."""

    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02
    GET_INFO = 0x04
    CLIENT_PIN = 0x06
    RESET = 0x07
    CREDENTIAL_MANAGEMENT = 0x0A
    SELECTION = 0x0B
    LARGE_BLOBS = 0x0C
    CREDENTIAL_MANAGEMENT_PREVIEW = 0x41


class U2fStep(IntEnum):
    """Instruction bytes of U2F (FIDO U2F Raw Message Formats 1.2)."""

    REGISTER = 0x01
    AUTHENTICATE = 0x02


class PinStep(IntEnum):
    """Subcommands of clientPin (CTAP 2.2, section 6.5.5)."""

    GET_RETRIES = 0x01
    GET_KEY_AGREEMENT = 0x02
    SET_PIN = 0x03
    CHANGE_PIN = 0x04
    GET_TOKEN = 0x05
    GET_UV_RETRIES = 0x07
    GET_TOKEN_WITH_PERMISSIONS = 0x09


#: Flags of :attr:`fido2.ctap.CtapDevice.capabilities`: can blink, and speaks CTAP2 (CTAP 2.2, section 11.2.9.1.3).
CAPABILITY_WINK = 0x01
CAPABILITY_CBOR = 0x04

_CBOR_MAP = 0xA0
_PIN_STEPS = {
    PinStep.GET_RETRIES: "getPINRetries",
    PinStep.GET_KEY_AGREEMENT: "getKeyAgreement",
    PinStep.SET_PIN: "setPIN",
    PinStep.CHANGE_PIN: "changePIN",
    PinStep.GET_TOKEN: "getPinToken",
    PinStep.GET_UV_RETRIES: "getUVRetries",
    PinStep.GET_TOKEN_WITH_PERMISSIONS: "getPinUvAuthTokenUsingPinWithPermissions",
}
_PIN_READS = {PinStep.GET_RETRIES, PinStep.GET_KEY_AGREEMENT, PinStep.GET_UV_RETRIES}
_CREDENTIAL_STEPS = {
    1: "getCredsMetadata",
    2: "enumerateRPsBegin",
    3: "enumerateRPsGetNextRP",
    4: "enumerateCredentialsBegin",
    5: "enumerateCredentialsGetNextCredential",
    6: "deleteCredential",
    7: "updateUserInformation",
}
_CREDENTIAL_READS = {1, 2, 3, 4, 5}
# Parameters of largeBlobs.
_GET, _SET = 0x01, 0x02


@dataclass(frozen=True, kw_only=True)
class Command:
    """One message to a key."""

    #: In the words of the specification; never anything of its content.
    name: str
    #: Sending it again after "busy" can change nothing on the key.
    read: bool


def describe(hid_command: int, data: bytes) -> Command:
    """What the message *data*, sent with *hid_command*, is."""
    if hid_command == Hid.YUBIKEY_CONFIG:
        return Command(name="YubiKey configuration", read=True)
    if hid_command == Hid.WINK:
        return Command(name="wink", read=True)
    if hid_command == Hid.MSG:
        return _u2f(data)
    if hid_command != Hid.CBOR or not data:
        return Command(name=f"CTAPHID 0x{hid_command:02X}", read=False)
    match data[0]:
        case Ctap.GET_INFO:
            return Command(name="getInfo", read=True)
        case Ctap.CLIENT_PIN:
            step = _small_integer(data[1:], key=2)
            return Command(name=f"clientPin {_PIN_STEPS.get(step, step)}", read=step in _PIN_READS)  # type: ignore[call-overload]  # any number may be looked up
        case Ctap.MAKE_CREDENTIAL:
            return Command(name="makeCredential", read=False)
        case Ctap.GET_ASSERTION:
            silent = _is_silent(data[1:])
            return Command(name="getAssertion (silent)" if silent else "getAssertion", read=silent)
        case Ctap.SELECTION:
            return Command(name="authenticatorSelection", read=False)
        case Ctap.LARGE_BLOBS:
            return _large_blobs(data[1:])
        case Ctap.RESET:
            return Command(name="reset", read=False)
        case Ctap.CREDENTIAL_MANAGEMENT | Ctap.CREDENTIAL_MANAGEMENT_PREVIEW:
            step = _small_integer(data[1:], key=1)
            name = _CREDENTIAL_STEPS.get(step, step)  # type: ignore[arg-type]  # any number may be looked up
            return Command(name=f"credentialManagement {name}", read=step in _CREDENTIAL_READS)
        case other:
            return Command(name=f"command 0x{other:02X}", read=False)


def _u2f(apdu: bytes) -> Command:
    """A U2F message; the check whether a key handle is the key's own is the only one that neither signs nor waits."""
    match tuple(apdu[1:3]):
        case (U2fStep.AUTHENTICATE, 0x07):
            return Command(name="U2F check", read=True)
        case (U2fStep.AUTHENTICATE, _):
            return Command(name="U2F authenticate", read=False)
        case (U2fStep.REGISTER, _):
            return Command(name="U2F register", read=False)
        case _:
            return Command(name="U2F message", read=False)


def _large_blobs(parameters: bytes) -> Command:
    """A part of the large-blob array, read or written (CTAP 2.2, section 6.10)."""
    try:
        entries = decode_map(parameters)
    except ValueError:
        entries = {}
    reading = _GET in entries and _SET not in entries
    return Command(name=f"largeBlobs {'get' if reading else 'set'}", read=reading)


def _is_silent(parameters: bytes) -> bool:
    """Whether an assertion asks for nobody's touch (CTAP 2.2, section 6.2.2): option up false, and no empty MAC."""
    try:
        entries = decode_map(parameters)
    except ValueError:
        return False
    options = entries.get(5)
    alone = isinstance(options, dict) and len(options) == 1 and options.get("up") is False
    return alone and entries.get(6) != b""


def _small_integer(parameters: bytes, key: int) -> int | None:
    """The value of *key* in a canonical CBOR map whose first entries are integers below 24, else None."""
    if not parameters or parameters[0] & 0xE0 != _CBOR_MAP:
        return None
    entries = parameters[1:]
    for name, value in zip(entries[::2], entries[1::2], strict=False):
        if name == key:
            return value if value < 24 else None
        if name > key:
            return None
    return None
