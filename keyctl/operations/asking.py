"""What an operation may ask of people, and the circumstances it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keyctl.model import Waits


@dataclass(frozen=True, kw_only=True)
class PinRequest:
    """A PIN that is needed now."""

    #: The key's name or selector.
    key: str
    #: ``current`` or ``new``.
    purpose: str
    #: Wrong tries left, for ``current``.
    tries_left: int | None = None
    #: Unicode code points, for ``new``.
    min_length: int | None = None
    max_length: int | None = None


class Asker(Protocol):
    """The person, or the options that stand in for one."""

    @property
    def attended(self) -> bool:
        """Whether PINs are typed in by a person at a terminal."""

    @property
    def can_choose(self) -> bool:
        """Whether a person is there who can touch the one of several keys that is meant.

        Not where PINs come from elsewhere: those go to no key but one that was named.
        """

    def pin(self, request: PinRequest) -> str:
        """The PIN, as it was given.

        Raises:
            PinError: There is none (``pin_required``).
        """

    def passphrase(self, file: str) -> str | None:
        """The passphrase of a key file, as it was typed; None: nobody is there, or it is to be left locked."""

    def check_confirmable(self, typed: str | None = None, warning: str = "") -> None:
        """Refuse before anything else is asked where nobody can confirm.

        Args:
            typed: The text that will have to be typed back; None: a yes will do.
            warning: Why that is so, told where it is refused.

        Raises:
            UsageError: Neither a person nor an option does (``confirm_required``).
        """

    def check_pins_for(self, keys: int) -> None:
        """Refuse before anything is asked where PINs cannot come for so many keys.

        Raises:
            UsageError: They come from stdin or a file, which say not whose they are.
        """

    def confirm(self, question: str, text: str | None = None) -> None:
        """Have a person say yes, or ``--yes``.

        Args:
            question: What is to be confirmed.
            text: What may be given as ``--confirm`` instead; None: nothing.

        Raises:
            DeclinedError: The answer is no.
            UsageError: There is nobody to ask (``confirm_required``).
        """

    def confirm_by_typing(self, warning: str, text: str) -> None:
        """Have *text* typed back, or given as ``--confirm``.

        Raises:
            DeclinedError: Something else was typed.
            UsageError: There is nobody to ask (``confirm_required``).
        """

    def check_given(self, text: str, *, typed: bool) -> None:
        """Refuse in a dry run, where nothing is asked, what a ``--confirm`` is refused for otherwise.

        Args:
            text: What is to be given.
            typed: Whether a yes will not do.

        Raises:
            DeclinedError: Something else was given.
        """

    def can_compare(self, fingerprint: str) -> bool:
        """Whether a person is there to compare *fingerprint*, or ``--confirm`` is the same; nobody is asked.

        Raises:
            UsageError: There is nobody to ask (``confirm_required``).
        """

    def fingerprint(self, question: str, fingerprint: str) -> None:
        """Have a seed's fingerprint typed that another screen or sheet shows, or given as ``--confirm``.

        Args:
            question: Where the person reads them; must not tell any of it.
            fingerprint: As :func:`keyctl.core.fingerprints.of_seed` returns it.

        Raises:
            DeclinedError: Something else was typed, or given.
            UsageError: There is nobody to ask (``confirm_required``).
        """

    def tell(self, text: str) -> None:
        """Say something at once, before a wait for instance."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the command line says about every operation."""

    #: The inventory and the virtual keys; people may sync it between computers.
    home: Path
    #: What concerns this computer only.
    state: Path
    #: The text of ``--key``, or None.
    wanted: str | None
    waits: Waits
    #: Seconds to wait for a key that is to be taken out and put back.
    turn_s: float
    asker: Asker
    #: ``--try-pin-again``: a PIN may be spent unattended although the last one was wrong.
    try_pin_again: bool = False
    #: Whether an option says where PINs come from, so that none is missing.
    pins_given: bool = False
    #: Takes a line per CTAP command, for ``--verbose``.
    trace: Callable[[str], None] | None = None
