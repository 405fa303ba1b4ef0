"""U2F (FIDO U2F Raw Message Formats 1.2): keys without CTAP2, which sign nothing without a touch."""

from __future__ import annotations

import os
import struct
from hashlib import sha256
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.core import public_keys
from keyctl.device import errors
from keyctl.device.assertions import HASH_BYTES, Assertion
from keyctl.device.commands import Hid, U2fStep
from keyctl.device.enrolling import USER_ID_BYTES, Enrolment, known
from keyctl.errors import UnreachableError
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.guard import GuardedDevice

#: Class, instruction, two parameters, length of the data; in the extended form that all transports take.
_HEADER = struct.Struct(">BBBBxH")
_ANY_LENGTH_OF_ANSWER = b"\0\0"

# Section 5, control byte.
CHECK_ONLY = 0x07
_ENFORCE_TOUCH = 0x03

# Status words (section 3).
DONE = 0x9000
UNTOUCHED = 0x6985
_UNKNOWN_HANDLE = 0x6A80

#: Its length has one byte.
_MAX_HANDLE_BYTES = 255
_DECOY_BYTES = 64
_RESERVED = 0x05
_POINT_BYTES = 65
_TOUCHED = 0x01
#: Presence and counter (section 5).
_PRESENCE = struct.Struct(">BI")


def message(step: U2fStep, control: int, data: bytes) -> bytes:
    """One command, with its length in the extended form (section 3)."""
    return _HEADER.pack(0, step, control, 0, len(data)) + data + _ANY_LENGTH_OF_ANSWER


def status(answer: bytes) -> int:
    """The status word of an answer; 0 when there is none."""
    return int.from_bytes(answer[-2:], "big") if len(answer) >= 2 else 0


def refused(
    label: str, answer: bytes, hint: str = "unplug it, plug it in again and repeat the command"
) -> UnreachableError:
    """The key *label* reported an error that nothing can be concluded from."""
    return UnreachableError(
        "key_error",
        f"{label} reported an error: U2F status 0x{status(answer):04X}",
        hint,
        key=label,
    )


class U2fCommands:
    """What a key without CTAP2 can be asked.

    All methods raise CtapError when the transport refuses, and KeyctlError when the key is gone or answers nonsense.
    """

    def __init__(self, device: GuardedDevice) -> None:
        """*device* is the key."""
        self._device = device
        #: Whether it says no to a handle that nobody made; None: not asked yet.
        self._refuses_decoys: bool | None = None

    def claimed(self, rp_id: str, handles: Sequence[bytes]) -> bytes | None:
        """The first of *handles* that the key says is its own; nothing is proved by that.

        Returns:
            None where none is, or where the key takes any handle for its own.
        """
        if self._refuses_decoys is None:
            self._refuses_decoys = self._check(rp_id, os.urandom(_DECOY_BYTES)) == _UNKNOWN_HANDLE
        if not self._refuses_decoys:
            return None
        usable = (handle for handle in handles if 0 < len(handle) <= _MAX_HANDLE_BYTES)
        return next((handle for handle in usable if self._check(rp_id, handle) == UNTOUCHED), None)

    def touched(self, rp_id: str, handle: bytes, challenge: bytes | None = None) -> Assertion:
        """A signature with a touch; what it is over has the form of authenticator data (CTAP 2.2, section 10).

        Args:
            rp_id: Of the registration.
            handle: Of the registration.
            challenge: What is signed beside it, 32 bytes; None: random ones.

        Raises:
            CtapError: NO_CREDENTIALS: the handle is not of this key.
            TouchError: Nobody touched it in time.
        """
        if not 0 < len(handle) <= _MAX_HANDLE_BYTES:
            raise CtapError(CtapError.ERR.NO_CREDENTIALS)
        application = sha256(rp_id.encode()).digest()
        challenge = os.urandom(HASH_BYTES) if challenge is None else challenge
        data = challenge + application + bytes([len(handle)]) + handle
        answer = self._with_touch(message(U2fStep.AUTHENTICATE, _ENFORCE_TOUCH, data))
        if status(answer) == _UNKNOWN_HANDLE:
            raise CtapError(CtapError.ERR.NO_CREDENTIALS)
        content = self._content(answer)
        signature = content[_PRESENCE.size :]
        if not signature or not content[0] & _TOUCHED:
            raise errors.nonsense(self._device.label, "without a signature, or without the touch that it was asked for")
        presence, counter = _PRESENCE.unpack_from(content)
        return Assertion(
            credential_id=handle,
            auth_data=application + content[: _PRESENCE.size],
            client_data_hash=challenge,
            signature=signature,
            counter=counter,
            user_present=bool(presence & _TOUCHED),
            user_verified=False,
        )

    def enrol(self, exclude: Sequence[bytes]) -> Enrolment:
        """Register keyctl, with a touch, and check that the key claims the new handle.

        Raises:
            NotFoundError: It claims one of *exclude* (``key_known``).
            TouchError: Nobody touched it in time.
        """
        if self.claimed(OWN_RP_ID, exclude) is not None:
            raise known(self._device.label)
        data = os.urandom(HASH_BYTES) + sha256(OWN_RP_ID.encode()).digest()
        content = self._content(self._with_touch(message(U2fStep.REGISTER, 0, data)))
        with errors.understanding(self._device.label):
            handle, public_key = _registered(content)
        if self.claimed(OWN_RP_ID, [handle]) is None:
            raise errors.nonsense(
                self._device.label, "that it does not know what it just registered, or knows anything"
            )
        # U2F has no users: this one is never sent, and serves the record only.
        user_id = os.urandom(USER_ID_BYTES)
        return Enrolment(credential_id=handle, public_key=public_key, user_id=user_id, u2f=True, counter=0)

    def _check(self, rp_id: str, handle: bytes) -> int:
        application = sha256(rp_id.encode()).digest()
        data = os.urandom(HASH_BYTES) + application + bytes([len(handle)]) + handle
        return status(self._device.call(Hid.MSG, message(U2fStep.AUTHENTICATE, CHECK_ONLY, data)))

    def _with_touch(self, request: bytes) -> bytes:
        return self._device.call_until_touched(Hid.MSG, request, lambda answer: status(answer) == UNTOUCHED)

    def _content(self, answer: bytes) -> bytes:
        if status(answer) != DONE:
            raise refused(self._device.label, answer)
        return answer[:-2]


def _registered(content: bytes) -> tuple[bytes, bytes]:
    """Key handle and public key of a registration (section 4); the attestation after them is not looked at.

    Raises:
        ValueError: It is none.
        IndexError: It is cut.
    """
    point, rest = content[1 : 1 + _POINT_BYTES], content[1 + _POINT_BYTES :]
    length = rest[0]
    handle, attestation = rest[1 : 1 + length], rest[1 + length :]
    if content[0] != _RESERVED or not handle or not attestation:
        raise ValueError("no registration")
    return handle, public_keys.es256(point)
