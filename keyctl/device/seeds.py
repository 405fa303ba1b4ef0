"""Seeds on a backup key by previewSign, version 4: making them, signing by them, and whether they want PIN and touch.

Only what getInfo says decides whether a key has it, never its model.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fido2.ctap import CtapError

from keyctl.core import binding, seed_numbers
from keyctl.device import errors, own_ceremonies
from keyctl.device.assertions import HASH_BYTES
from keyctl.errors import KeyctlError, NotFoundError, TouchError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keyctl.core.binding import Offer
    from keyctl.device.assertions import Assertion
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.own_ceremonies import MadeCredential, OwnAssertion
    from keyctl.device.pins import Token

_ERR = CtapError.ERR
#: Found by its id without the PIN (CTAP 2.2, section 12.1): where it is not, :meth:`SeedCommands.policy` sees nothing.
_PROTECTION = 2
#: Versions have names of their own. What a key says is shown, so only what is fit for that.
_OTHER_VERSION = re.compile(seed_numbers.EXTENSION + r"[0-9A-Za-z_.-]{1,16}", re.ASCII)
#: Longer than any ECDSA signature on P-256 in DER.
_MAX_SIGNATURE_BYTES = 80
#: How keys say that a derived key is none of theirs.
_NOT_ITS_SEED = {_ERR.INVALID_CREDENTIAL, _ERR.NO_CREDENTIALS}
#: How much of a credential id tells it from others.
_SHOWN_ID_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class MadeSeed:
    """A seed that was just made; that the key holds it is not proved yet, where nobody attests it."""

    #: The answer of makeCredential, as evidence: CBOR without the status byte.
    made: bytes = field(repr=False)
    offer: Offer
    credential_id: bytes
    #: 32 random bytes.
    user_id: bytes
    #: For the record that the key keeps, 32 bytes; None: it has no large blobs, or did not hand it over.
    large_blob_key: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature by a derived key, not verified here."""

    #: The answer of getAssertion, as evidence: CBOR without the status byte.
    raw: bytes = field(repr=False)
    #: By the seed's credential; what it signs holds the signature.
    assertion: Assertion
    #: ECDSA in DER.
    signature: bytes


class Enforcement(StrEnum):
    """Whether a seed insists on touch and PIN."""

    ENFORCED = "enforced"
    NOT_ENFORCED = "not_enforced"
    NOT_TESTABLE = "not_testable"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What this computer saw of it; nobody else can check that."""

    enforcement: Enforcement
    #: Why it is not enforced or cannot be tested, to be shown as it is; None where it is enforced.
    reason: str | None = None


class SeedCommands:
    """The seeds of one key.

    A method that sends a command raises, beside what it says:

    * UnsupportedError: the key has no seeds that this program knows;
    * PinError: the PIN is wrong, blocked or missing, which is known before a touch is asked for;
    * TouchError: nobody touched the key in time;
    * UnreachableError: it is gone, silent, busy, answers nonsense or reports an error.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin

    @property
    def supported(self) -> bool:
        """Whether the key makes seeds; nothing is sent."""
        return seed_numbers.EXTENSION in self._pin.info.extensions

    def require(self) -> None:
        """Refuse keys that make none; nothing is sent.

        Raises:
            UnsupportedError: It does not, or in a version of the extension that this program does not know.
        """
        if self.supported:
            return
        others = sorted(name for name in self._pin.info.extensions if _OTHER_VERSION.fullmatch(name))
        if others:
            raise self._unsupported(
                f"makes seeds by {' and '.join(others)}, which this version of keyctl does not know",
                "a newer keyctl may; nothing was changed",
            )
        raise self._unsupported(
            f"makes no seeds: it has no {seed_numbers.EXTENSION}", "`keyctl info` shows what it can do"
        )

    def make(self, nonce: bytes, exclude: Sequence[bytes]) -> MadeSeed:
        """Make a credential with a seed that wants touch and PIN, with a touch.

        A credential whose seed is missing or does not pass the checks is deleted again; the error says whether that
        worked, and has the BindingError as its cause.

        Args:
            nonce: 32 random bytes, drawn for this.
            exclude: Ids of which the key must hold none.

        Raises:
            UnsupportedError: Also: the key made a credential but no seed, or one that cannot be used; there is no room
                (``key_full``), or it holds one of *exclude*.
        """
        self.require()
        inputs = {
            seed_numbers.EXTENSION_ALGORITHM: [seed_numbers.ESP256_SPLIT_ARKG],
            seed_numbers.EXTENSION_FLAGS: seed_numbers.TOUCH_AND_PIN,
        }
        info = self._pin.info
        with errors.reported(self._label):
            made = own_ceremonies.make(
                self._exchange,
                self._pin,
                user=own_ceremonies.fresh_user(),
                client_data_hash=binding.challenge(nonce),
                extensions={
                    seed_numbers.EXTENSION: inputs,
                    **own_ceremonies.protection(info, _PROTECTION),
                    **own_ceremonies.blob_key(info),
                },
                exclude=exclude,
            )
        return MadeSeed(
            made=made.answer,
            offer=self._offer(made, nonce),
            credential_id=made.credential_id,
            user_id=made.user_id,
            large_blob_key=made.large_blob_key,
        )

    def sign(
        self, credential_id: bytes, key_handle: bytes, arguments: bytes, tbs: bytes, client_data_hash: bytes
    ) -> Signed:
        """Sign as a derived key, with the PIN and a touch.

        Args:
            credential_id: Of the seed's credential.
            key_handle: By which the extension finds the seed (:attr:`keyctl.core.binding.Offer.signing_handle`).
            arguments: COSE_Sign_Args in CBOR: which derived key.
            tbs: The SHA-256 to be signed, 32 bytes.
            client_data_hash: What the credential is to sign beside it, 32 bytes.

        Raises:
            NotFoundError: The key does not hold the seed.
        """
        self.require()
        with errors.reported(self._label):
            token = own_ceremonies.token_for_signing(self._pin)
            try:
                signed = self._sign(credential_id, _inputs(key_handle, arguments, tbs), client_data_hash, token)
            except CtapError as error:
                if error.code in _NOT_ITS_SEED:
                    raise self._not_its_seed() from error
                raise
        signature = _signature(signed)
        if signature is None:
            raise self._unsupported(
                "signed, but not as the derived key: it left the extension out", "look for another firmware of it"
            )
        return Signed(raw=signed.answer, assertion=signed.assertion, signature=signature)

    def policy(self, credential_id: bytes, key_handle: bytes, arguments: bytes) -> Policy:
        """Find out whether the seed insists on touch and PIN: without the one, then, with a touch, without the other.

        Args:
            credential_id: As for :meth:`sign`.
            key_handle: As for :meth:`sign`.
            arguments: As for :meth:`sign`; of a key that is used for nothing else.

        Raises:
            NotFoundError: The key does not hold the seed.
        """
        self.require()
        inputs = _inputs(key_handle, arguments, os.urandom(HASH_BYTES))
        with errors.reported(self._label):
            return self._without_touch(credential_id, inputs) or self._without_pin(credential_id, inputs)

    def delete(self, credential_id: bytes) -> None:
        """Delete a credential, and its seed with it.

        Raises:
            NotFoundError: The key has none with this id.
        """
        with errors.reported(self._label):
            from keyctl.device import passkeys

            passkeys.unlocked(self._exchange, self._pin).delete(credential_id)
        self._pin.note_passkeys_changed()

    @property
    def _label(self) -> str:
        return self._exchange.label

    def _offer(self, made: MadeCredential, nonce: bytes) -> Offer:
        """The seed that was made; a credential without a proper one is deleted again."""
        try:
            return binding.read_offer(made.answer, nonce)
        except binding.BindingError as error:
            raise self._unsupported(
                f"cannot be a backup key: {error}; {self._deleted_again(made.credential_id)}",
                "look for another firmware of it, or pair it by another method",
            ) from error

    def _deleted_again(self, credential_id: bytes) -> str:
        try:
            self.delete(credential_id)
        except KeyctlError:
            # Why it could not be used is the news.
            shown = credential_id[:_SHOWN_ID_BYTES].hex()
            return f"the credential {shown} that it made is still on it"
        return "the credential that it made was deleted again"

    def _without_touch(self, credential_id: bytes, inputs: Mapping[int, Any]) -> Policy | None:
        """With a fresh token; None where the key asks for the touch, as it should."""
        token = own_ceremonies.token_for_signing(self._pin)
        try:
            signed = self._sign(credential_id, inputs, os.urandom(HASH_BYTES), token, touch=False)
        except CtapError as error:
            if error.code in _NOT_ITS_SEED:
                raise self._not_its_seed() from error
            return None if error.code == _ERR.UP_REQUIRED else _untold(error)
        return _signed(signed, "it signs without a touch")

    def _without_pin(self, credential_id: bytes, inputs: Mapping[int, Any]) -> Policy:
        """With a touch, which keys look at first."""
        if self._pin.info.options.get("alwaysUv", False):
            return _not_testable("it always asks for the PIN, for anything (alwaysUv)")
        try:
            signed = self._sign(credential_id, inputs, os.urandom(HASH_BYTES), None)
        except CtapError as error:
            if error.code == _ERR.PUAT_REQUIRED:
                return Policy(enforcement=Enforcement.ENFORCED)
            if error.code == _ERR.NO_CREDENTIALS:
                return _not_testable("its credential is not found without the PIN (credProtect 3)")
            if isinstance(told := errors.error_from_ctap(error, self._label), TouchError):
                raise told from error
            return _untold(error)
        return _signed(signed, "it signs without the PIN")

    def _sign(
        self,
        credential_id: bytes,
        inputs: Mapping[int, Any],
        client_data_hash: bytes,
        token: Token | None,
        *,
        touch: bool = True,
    ) -> OwnAssertion:
        extensions = {seed_numbers.EXTENSION: inputs}
        return own_ceremonies.sign(
            self._exchange, credential_id, client_data_hash, extensions, token=token, touch=touch
        )

    def _not_its_seed(self) -> NotFoundError:
        return NotFoundError(
            "passkey_not_found",
            f"{self._label} does not hold the seed of this key",
            "it is another key than the one that was paired, or was reset since",
            key=self._label,
        )

    def _unsupported(self, what: str, hint: str) -> UnsupportedError:
        return UnsupportedError("unsupported", f"{self._label} {what}", hint, key=self._label)


def _inputs(key_handle: bytes, arguments: bytes, tbs: bytes) -> dict[int, Any]:
    return {
        seed_numbers.EXTENSION_KEY_HANDLE: key_handle,
        seed_numbers.EXTENSION_TBS: tbs,
        seed_numbers.EXTENSION_ARGUMENTS: arguments,
    }


def _signature(signed: OwnAssertion) -> bytes | None:
    output = signed.outputs.get(seed_numbers.EXTENSION)
    signature = output.get(seed_numbers.EXTENSION_SIGNATURE) if isinstance(output, dict) else None
    return signature if isinstance(signature, bytes) and 0 < len(signature) <= _MAX_SIGNATURE_BYTES else None


def _signed(signed: OwnAssertion, reason: str) -> Policy:
    if _signature(signed) is None:
        return _not_testable("it left the extension out")
    return Policy(enforcement=Enforcement.NOT_ENFORCED, reason=reason)


def _untold(error: CtapError) -> Policy:
    return _not_testable(f"it refused with the status 0x{int(error.code):02X}")


def _not_testable(reason: str) -> Policy:
    return Policy(enforcement=Enforcement.NOT_TESTABLE, reason=reason)
