"""PIN commands (CTAP 2.2, section 6.5) with python-fido2's arithmetic; loading it costs 50 ms, so only when needed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fido2.ctap2.base import Ctap2, Info
from fido2.ctap2.pin import ClientPin, PinProtocol

from keyctl.device import errors
from keyctl.device.commands import Ctap, PinStep
from keyctl.model import OWN_RP_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from keyctl.device.exchange import Exchange
    from keyctl.model import KeyInfo

#: The draft has no permission for its command; this one is keyctl's own, and its virtual keys know it.
_RECOVERY_SEEDS = 0x80

# It tells commands and PIN handling to whoever configured logging: not to ours, and never to standard error.
logging.getLogger("fido2").addHandler(logging.NullHandler())
logging.getLogger("fido2").propagate = False


class CheckedCtap2(Ctap2):
    """python-fido2's view of a key whose getInfo was read and checked before."""

    def __init__(self, exchange: Exchange, info: KeyInfo) -> None:
        """Nothing is sent."""
        self._exchange = exchange
        self._known = info
        super().__init__(exchange.device)

    def get_info(self) -> Info:
        """What the key said before, as far as PIN and credential management want to know it."""
        known = self._known
        # A false "credMgmt" would hide the preview form, as python-fido2 looks whether the option is there.
        options = {name: value for name, value in known.options.items() if value or name == "clientPin"}
        return Info(
            versions=list(known.versions),
            options=options,
            max_msg_size=known.limits.max_message_size,
            pin_uv_protocols=list(known.pin_protocols),
        )

    def send_cbor(
        self,
        cmd: int,
        data: Mapping[int, Any] | None = None,
        *,
        event: Event | None = None,  # noqa: ARG002  # the guard around the device cancels
        on_keepalive: Callable[[int], None] | None = None,  # noqa: ARG002  # and listens
    ) -> Mapping[int, Any]:
        """Send one command; see :meth:`keyctl.device.exchange.Exchange.send`."""
        return self._exchange.send(cmd, data)


@dataclass(frozen=True, kw_only=True)
class Token:
    """What stands for the PIN in the commands that follow it."""

    #: How messages are authenticated with it.
    protocol: PinProtocol
    value: bytes = field(repr=False)

    def authenticate(self, message: bytes) -> bytes:
        """The MAC of *message*."""
        return self.protocol.authenticate(self.value, message)


class PinCommands:
    """The PIN of one key. Each method sends a PIN once at most.

    All methods raise CtapError when the key refuses, and UnreachableError when it answers nonsense.
    """

    def __init__(self, ctap: CheckedCtap2, exchange: Exchange) -> None:
        """*ctap* and *exchange* are the key."""
        self._exchange = exchange
        self._client = ClientPin(ctap)
        #: How messages are authenticated with a token.
        self.protocol = self._client.protocol

    def set(self, new: str) -> None:
        """Give the key its first PIN."""
        with errors.understanding(self._exchange.label):
            self._client.set_pin(new)

    def change(self, current: str, new: str) -> None:
        """Replace the PIN; a wrong current one costs a try."""
        with errors.understanding(self._exchange.label):
            self._client.change_pin(current, new)

    def token_for_passkeys(self, pin: str) -> bytes:
        """A token that may list, change and delete passkeys; a wrong PIN costs a try."""
        return self._token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT, None)

    def persistent_token(self, pin: str) -> bytes:
        """The token that reads the passkeys until the PIN changes; a wrong PIN costs a try."""
        return self._token(pin, ClientPin.PERMISSION.PERSISTENT_CREDENTIAL_MGMT, None)

    def token_for_making(self, pin: str, rp_id: str) -> Token:
        """A token that may make one credential of *rp_id*; a wrong PIN costs a try."""
        return self._token_of(pin, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp_id)

    def token_for_asserting(self, pin: str, rp_id: str) -> Token:
        """A token that may have credentials of *rp_id* sign; a wrong PIN costs a try."""
        return self._token_of(pin, ClientPin.PERMISSION.GET_ASSERTION, rp_id)

    def token_for_blobs(self, pin: str) -> Token:
        """A token that may write large blobs; a wrong PIN costs a try."""
        return self._token_of(pin, ClientPin.PERMISSION.LARGE_BLOB_WRITE, None)

    def token_for_recovery_seeds(self, pin: str) -> Token:
        """A token that may export and import seeds of the draft extension "recovery"; a wrong PIN costs a try."""
        return self._token_of(pin, ClientPin.PERMISSION(_RECOVERY_SEEDS), None)

    def agree(self) -> tuple[Mapping[int, Any], bytes]:
        """A key for both sides to agree on a secret (CTAP 2.2, section 6.5.4), and the secret; no PIN is sent."""
        answer = self._exchange.send(Ctap.CLIENT_PIN, {1: self.protocol.VERSION, 2: PinStep.GET_KEY_AGREEMENT})
        with errors.understanding(self._exchange.label):
            return self.protocol.encapsulate(answer[0x01])

    def check(self, pin: str, *, listing: bool) -> None:
        """Find out whether *pin* is right, with the least permission there is; a wrong PIN costs a try.

        Args:
            pin: The PIN.
            listing: Whether the key can list passkeys, and so knows the permission to.
        """
        if listing:
            self.token_for_passkeys(pin)
        else:
            self.token_for_asserting(pin, OWN_RP_ID)

    def _token_of(self, pin: str, permission: ClientPin.PERMISSION, rp_id: str | None) -> Token:
        return Token(protocol=self.protocol, value=self._token(pin, permission, rp_id))

    def _token(self, pin: str, permission: ClientPin.PERMISSION, rp_id: str | None) -> bytes:
        with errors.understanding(self._exchange.label):
            return self._client.get_pin_token(pin, permission, rp_id)
