"""The credentials by which a primary key keeps what belongs to a pairing: made, listed, read.

The record of the pairing is a large blob; the credential has the key to it, and pins the record's hash where the key
can store that (credBlob).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyctl.device import errors, own_ceremonies
from keyctl.device.assertions import HASH_BYTES
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.device.assertions import Assertion
    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.own_ceremonies import MadeCredential, User
    from keyctl.model import Passkey

_CRED_BLOB = "credBlob"
#: Without the PIN the credential is not even found (CTAP 2.2, section 12.1, userVerificationRequired).
_PROTECTION = 3


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One of keyctl's own passkeys, as credential management tells it."""

    passkey: Passkey
    #: 32 bytes; None: it has none, or the key leaves it out and :meth:`OwnCredentials.read` gets it with a touch.
    large_blob_key: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a credential says of the record that belongs to it."""

    #: 32 bytes; None: the credential has none.
    large_blob_key: bytes | None = field(repr=False)
    #: Empty where nothing was stored with it, None where the key does not say.
    cred_blob: bytes | None
    #: Its signature is over the credBlob too; not verified here.
    assertion: Assertion


class OwnCredentials:
    """Credentials of one key at ``keyctl.invalid``.

    A method that sends a command raises, beside what it says:

    * PinError: the PIN is wrong, blocked or missing;
    * TouchError: nobody touched the key in time;
    * UnreachableError: it is gone, silent, busy, answers nonsense or reports an error;
    * UnsupportedError: it has no PIN function, or does not know the command.

    Args:
        exchange: The key.
        pin: Its PIN, and what it said of itself.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin

    @property
    def pins_records(self) -> bool:
        """Whether the key can store a hash with a credential; nothing is sent."""
        info = self._pin.info
        # Keys before maxCredBlobLength have room for 32 bytes at least.
        return _CRED_BLOB in info.extensions and (info.limits.max_cred_blob or HASH_BYTES) >= HASH_BYTES

    def list(self) -> tuple[Listed, ...]:
        """All of them that can be read, with one token; UnsupportedError where the key cannot list passkeys."""
        with errors.reported(self._exchange.label):
            from keyctl.device import passkeys

            pairs = passkeys.unlocked(self._exchange, self._pin).read_with_blob_keys(OWN_RP_ID)
        return tuple(Listed(passkey=passkey, large_blob_key=key) for passkey, key in pairs)

    def make(
        self, exclude: Sequence[bytes], *, record_hash: bytes | None = None, user: User | None = None
    ) -> MadeCredential:
        """Make one that keeps a pairing, with a touch.

        Args:
            exclude: Ids of which the key must hold none.
            record_hash: SHA-256 of the record, 32 bytes, to be stored where :attr:`pins_records`.
            user: What is kept in its place on a key without large blobs; by default a fresh one, with nothing in it.

        Raises:
            UnsupportedError: Also: there is no room (``key_full``), or the key holds one of *exclude*.
        """
        info = self._pin.info
        extensions = own_ceremonies.protection(info, _PROTECTION) | own_ceremonies.blob_key(info)
        if record_hash is not None and self.pins_records:
            extensions[_CRED_BLOB] = record_hash
        with errors.reported(self._exchange.label):
            return own_ceremonies.make(
                self._exchange,
                self._pin,
                user=user or own_ceremonies.fresh_user(),
                client_data_hash=os.urandom(HASH_BYTES),
                extensions=extensions,
                exclude=exclude,
            )

    def read(self, credential_id: bytes, client_data_hash: bytes | None = None) -> Stored:
        """What is stored with one of them, by an assertion with a touch.

        Args:
            credential_id: Which one.
            client_data_hash: What it is to sign, 32 bytes; by default anything.

        Raises:
            NotFoundError: The key does not have it.
        """
        info = self._pin.info
        extensions = own_ceremonies.blob_key(info)
        if _CRED_BLOB in info.extensions:
            extensions[_CRED_BLOB] = True
        with errors.reported(self._exchange.label):
            token = own_ceremonies.token_for_signing(self._pin)
            signed = own_ceremonies.sign(
                self._exchange, credential_id, client_data_hash or os.urandom(HASH_BYTES), extensions, token=token
            )
        cred_blob = signed.outputs.get(_CRED_BLOB)
        return Stored(
            large_blob_key=signed.large_blob_key,
            cred_blob=cred_blob if isinstance(cred_blob, bytes) else None,
            assertion=signed.assertion,
        )
