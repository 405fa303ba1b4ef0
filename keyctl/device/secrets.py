"""hmac-secret (CTAP 2.2, section 12.5): secrets that one credential gives for salts, only to whoever has PIN and touch.

From two of them a private seed is calculated. So this belongs into a process that lives no longer than that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from keyctl.device import errors, own_ceremonies
from keyctl.device.assertions import HASH_BYTES
from keyctl.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.own_ceremonies import MadeCredential

SECRET_BYTES = 32
_EXTENSION = "hmac-secret"
_PROTECTION = 3
#: What is meant when the input does not say it.
_DEFAULT_PROTOCOL = 1


class SecretCommands:
    """Secrets of one key's credentials at ``keyctl.invalid``.

    A method that sends a command raises, beside what it says:

    * PinError: the PIN is wrong, blocked or missing;
    * TouchError: nobody touched the key in time;
    * UnreachableError: it is gone, silent, busy, answers nonsense or reports an error;
    * UnsupportedError: it has no hmac-secret.

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
        """Whether the key has hmac-secret; nothing is sent."""
        return _EXTENSION in self._pin.info.extensions

    def make(self, exclude: Sequence[bytes]) -> MadeCredential:
        """Make a discoverable credential for it, with a touch; it has a large-blob key where the key has large blobs.

        Args:
            exclude: Ids of which the key must hold none.

        Raises:
            UnsupportedError: Also: there is no room (``key_full``), or the key holds one of *exclude*.
        """
        self._require()
        info = self._pin.info
        with errors.reported(self._exchange.label):
            return own_ceremonies.make(
                self._exchange,
                self._pin,
                user=own_ceremonies.fresh_user(),
                client_data_hash=os.urandom(HASH_BYTES),
                extensions={
                    _EXTENSION: True,
                    **own_ceremonies.protection(info, _PROTECTION),
                    **own_ceremonies.blob_key(info),
                },
                exclude=exclude,
            )

    def two(self, credential_id: bytes, salt1: bytes, salt2: bytes) -> tuple[bytes, bytes]:
        """The secrets for two salts, by one assertion with the PIN and a touch.

        They are others without the PIN, so the key has to say in what it signs that it was there.

        Args:
            credential_id: Of a credential that :meth:`make` made.
            salt1: 32 bytes.
            salt2: 32 bytes, others.

        Returns:
            Two times 32 bytes.

        Raises:
            NotFoundError: The key does not have the credential.
        """
        self._require()
        label = self._exchange.label
        with errors.reported(label):
            token = own_ceremonies.token_for_signing(self._pin)
            pins = self._pin.commands()[1]
            key_agreement, shared = pins.agree()
            sealed = token.protocol.encrypt(shared, salt1 + salt2)
            inputs: dict[int, Any] = {1: key_agreement, 2: sealed, 3: token.protocol.authenticate(shared, sealed)}
            if token.protocol.VERSION != _DEFAULT_PROTOCOL:
                # Keys that know only one protocol do not know the number either.
                inputs[4] = token.protocol.VERSION
            signed = own_ceremonies.sign(
                self._exchange, credential_id, os.urandom(HASH_BYTES), {_EXTENSION: inputs}, token=token
            )
        if not (signed.assertion.user_present and signed.assertion.user_verified):
            raise errors.nonsense(label, "without the PIN or the touch that it was asked for")
        with errors.understanding(label):
            secrets = token.protocol.decrypt(shared, signed.outputs[_EXTENSION])
            if len(secrets) != 2 * SECRET_BYTES:
                raise ValueError("not two secrets")
        return secrets[:SECRET_BYTES], secrets[SECRET_BYTES:]

    def _require(self) -> None:
        if not self.supported:
            label = self._exchange.label
            raise UnsupportedError(
                "unsupported", f"{label} has no hmac-secret", "`keyctl info` shows what it can do", key=label
            )
