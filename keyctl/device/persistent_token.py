"""The persistent token: it reads the passkeys without the PIN, until that changes (CTAP 2.2, permission ``pcmr``).

It is sent to nobody, but each of its MACs is the same every time: who records one can send it again. So only a key that
has proved which one it is may see any.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.device import errors
from keyctl.errors import Details, UnreachableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyctl.device.exchange import Exchange
    from keyctl.device.key_pin import KeyPin
    from keyctl.device.passkeys import PasskeyCommands
    from keyctl.model import Listing


class PersistentTokenCommands:
    """The persistent token of one key. A method that sends a command raises UnreachableError when the key is gone.

    Args:
        exchange: The key.
        pin: Its PIN.
    """

    def __init__(self, exchange: Exchange, pin: KeyPin) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin = pin

    def issue(self) -> bytes:
        """The token, 16 or 32 bytes, for the remembered PIN; a wrong PIN costs a try.

        Raises:
            UnsupportedError: The key has none.
            PinError: The PIN is wrong, blocked or missing, or must be changed first.
            UnreachableError: The key does not take the token that it has just given (``token_refused``).
        """
        self.require_support()
        with errors.reported(self._exchange.label):
            token = self._pin.unlocked(lambda pins, pin: pins.persistent_token(pin))
        self._try(token)
        return token

    def works(self, token: bytes) -> bool:
        """Whether the key still takes *token*, by asking it how many passkeys there are."""
        try:
            self._try(token)
        except UnreachableError as error:
            if error.code != "token_refused":
                raise
            return False
        return True

    def list_passkeys(self, token: bytes) -> Listing:
        """Every passkey that can be read.

        Raises:
            UnreachableError: The key does not take the token any more (``token_refused``).
        """
        with self._accepted():
            return self._passkeys(token).read_all(self._pin.info.remaining_passkeys)

    def store_state(self, token: bytes) -> bytes | None:
        """What changes with every change of the passkeys, as getInfo told it when the connection began; 16 bytes.

        Nothing is sent. With a token that the key takes no more it is any 16 bytes.

        Returns:
            None: The key does not tell.
        """
        sealed = self._pin.info.sealed_store_state
        if sealed is None:
            return None
        from fido2.ctap2.base import Info

        with errors.understanding(self._exchange.label):
            return Info(versions=[], enc_cred_store_state=sealed).get_cred_store_state(token)

    def require_support(self) -> None:
        """Refuse keys that have no such token.

        Raises:
            UnsupportedError: It has none.
        """
        if not self._pin.info.persistent_token:
            label = self._exchange.label
            raise UnsupportedError(
                "unsupported",
                f"{label} cannot be read without its PIN: it has no persistent token (CTAP 2.2)",
                "give its PIN with --pin-file or --pin-command where checks need it",
                key=label,
            )

    def _try(self, token: bytes) -> None:
        """See whether the key takes *token*; one that cannot count its passkeys may list them all the same."""
        try:
            with self._accepted():
                self._passkeys(token).count()
        except UnreachableError as error:
            if error.code != "key_error":
                raise

    def _passkeys(self, token: bytes) -> PasskeyCommands:
        from keyctl.device.passkeys import PasskeyCommands

        self.require_support()
        ctap, pins = self._pin.commands()
        return PasskeyCommands(ctap, pins, token, self._pin.info, self._exchange.label)

    @contextlib.contextmanager
    def _accepted(self) -> Iterator[None]:
        """Around commands with the token; that the key refuses it is a failure of its own, and costs no try."""
        from keyctl.device.passkeys import REFUSALS

        label = self._exchange.label
        try:
            with errors.understanding(label):
                yield
        except CtapError as error:
            if error.code not in REFUSALS | {CtapError.ERR.PIN_NOT_SET}:
                raise errors.error_from_ctap(error, label) from error
            raise UnreachableError(
                "token_refused",
                f"{label} takes its unattended token no more: its PIN was changed, or it was reset",
                "make a new one with `keyctl unattended on`",
                key=label,
                details=Details(ctap_status=int(error.code)),
            ) from error
