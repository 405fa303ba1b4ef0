"""The PIN of one connection: remembered, sent where it is needed, and never again after the key refused it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from fido2.ctap import CtapError

from keyctl.device import answers, errors
from keyctl.device.commands import Ctap, PinStep
from keyctl.errors import KeyctlError, PinError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keyctl.device.exchange import Exchange
    from keyctl.device.pins import CheckedCtap2, PinCommands
    from keyctl.model import KeyInfo, PinRetries

_T = TypeVar("_T")
_PIN_PROTOCOLS = (2, 1)
_ERR = CtapError.ERR
#: How a key refuses a PIN; the last two also stand for a wrong one, where it was the third in a row or the last.
_REFUSED = {_ERR.PIN_INVALID, _ERR.PIN_AUTH_BLOCKED, _ERR.PIN_BLOCKED}


class KeyPin:
    """The PIN of one key.

    Args:
        exchange: The key.
        info: What it said of itself.
    """

    def __init__(self, exchange: Exchange, info: KeyInfo) -> None:
        """See the class."""
        self._exchange = exchange
        self._pin: str | None = None
        self._commands: tuple[CheckedCtap2, PinCommands] | None = None
        #: What getInfo said; kept up to date by what is done here.
        self.info = info
        #: Whether the PIN given last was right; None: the key has not seen it.
        self.verdict: bool | None = None

    def remember(self, pin: str) -> None:
        """Keep the PIN; nothing is sent."""
        self._pin = pin
        self.verdict = None

    @property
    def remembered(self) -> bool:
        """Whether there is one; after the key refused it there is none."""
        return self._pin is not None

    def forget(self) -> None:
        """Keep neither the PIN nor what was made with it."""
        self._pin = None
        self._commands = None

    def require_support(self) -> None:
        """Refuse keys without a PIN function.

        Raises:
            UnsupportedError: It has none.
        """
        if not self.info.pin_supported or not set(_PIN_PROTOCOLS) & set(self.info.pin_protocols):
            label = self._exchange.label
            raise UnsupportedError(
                "unsupported", f"{label} has no PIN function", "`keyctl info` shows what it can do", key=label
            )

    def _require(self, *, changing: bool) -> str:
        """The remembered PIN, after every check that costs nothing."""
        self.require_support()
        label = self._exchange.label
        if not self.info.pin_set:
            raise PinError("pin_not_set", f"{label} has no PIN yet", "give it one with `keyctl pin set`", key=label)
        if self.info.force_pin_change and not changing:
            raise PinError(
                "pin_policy",
                f"{label} wants a new PIN before it does anything else",
                "change it with `keyctl pin change`",
                key=label,
            )
        if self._pin is None:
            raise PinError("pin_required", f"{label} wants its PIN for this", "run it again with the PIN", key=label)
        return self._pin

    @contextmanager
    def _refusal_remembered(self) -> Iterator[None]:
        """Around the one command that carries a PIN: after a failure that PIN is never sent again by itself."""
        try:
            yield
        except CtapError as error:
            self._pin = None
            if error.code in _REFUSED:
                self.verdict = False
            if error.code not in {_ERR.PIN_INVALID, _ERR.PIN_AUTH_BLOCKED}:
                raise errors.error_from_ctap(error, self._exchange.label) from error
            raise errors.wrong_pin(error, self._exchange.label, self._tries_left()) from error
        except KeyctlError:
            self._pin = None
            raise
        self.verdict = True

    def commands(self) -> tuple[CheckedCtap2, PinCommands]:
        """What PIN and passkeys need; loading it takes longer than all of getInfo."""
        if self._commands is None:
            from keyctl.device.pins import CheckedCtap2, PinCommands

            ctap = CheckedCtap2(self._exchange, self.info)
            self._commands = ctap, PinCommands(ctap, self._exchange)
        return self._commands

    def unlocked(self, use: Callable[[PinCommands, str], _T], *, changing: bool = False) -> _T:
        """What *use* makes of the remembered PIN, sending it once.

        Args:
            use: Is given the PIN commands and the PIN.
            changing: Whether it changes the PIN, which is allowed where nothing else is.

        Raises:
            UnsupportedError: The key has no PIN function.
            PinError: It has no PIN, wants another one first, or the PIN is wrong, blocked or missing.
        """
        pin = self._require(changing=changing)
        commands = self.commands()[1]
        with self._refusal_remembered():
            return use(commands, pin)

    def note_new(self, new: str) -> None:
        """The key has the PIN *new* now."""
        self._pin = new
        self.verdict = True
        self._commands = None
        self.info = replace(self.info, options={**self.info.options, "clientPin": True}, force_pin_change=False)

    def note_needed_for_making(self) -> None:
        """The key wanted its PIN for a credential, whatever getInfo said."""
        self.info = replace(self.info, options={**self.info.options, "makeCredUvNotRqd": False})

    def note_passkeys_changed(self) -> None:
        """How many more passkeys fit is not what getInfo said any more."""
        self.info = replace(self.info, remaining_passkeys=None)

    def note_reset(self) -> None:
        """The key has no PIN any more, and is empty."""
        self.forget()
        self.verdict = None
        options = self.info.options
        options = {**options, "clientPin": False} if "clientPin" in options else options
        self.info = replace(self.info, options=options, force_pin_change=False, remaining_passkeys=None)

    def retries(self) -> PinRetries:
        """How many wrong PINs the key still takes; raises CtapError."""
        return answers.pin_retries_from_ctap(self.ask(PinStep.GET_RETRIES), self._exchange.label)

    def ask(self, step: PinStep) -> Mapping[Any, Any]:
        """One question of clientPin that carries no PIN; raises CtapError."""
        self.require_support()
        protocol = next(number for number in _PIN_PROTOCOLS if number in self.info.pin_protocols)
        return self._exchange.send(Ctap.CLIENT_PIN, {1: protocol, 2: step})

    def _tries_left(self) -> int | None:
        try:
            return self.retries().left
        except (CtapError, KeyctlError):
            # The wrong PIN is the news, not that the key does not count for us.
            return None
