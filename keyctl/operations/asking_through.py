"""An asker in front of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyctl.operations.asking import Asker, PinRequest


class Through:
    """Asks *asker* everything; who inherits from it answers some of it in another way.

    Args:
        asker: The person, or who stands in for one.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    @property
    def attended(self) -> bool:
        """As the other one says."""
        return self._asker.attended

    @property
    def can_choose(self) -> bool:
        """As the other one says."""
        return self._asker.can_choose

    def pin(self, request: PinRequest) -> str:
        """Ask the other one."""
        return self._asker.pin(request)

    def passphrase(self, file: str) -> str | None:
        """Ask the other one."""
        return self._asker.passphrase(file)

    def check_confirmable(self, typed: str | None = None, warning: str = "") -> None:
        """Ask the other one."""
        self._asker.check_confirmable(typed, warning)

    def check_pins_for(self, keys: int) -> None:
        """Ask the other one."""
        self._asker.check_pins_for(keys)

    def confirm(self, question: str, text: str | None = None) -> None:
        """Ask the other one."""
        self._asker.confirm(question, text)

    def confirm_by_typing(self, warning: str, text: str) -> None:
        """Ask the other one."""
        self._asker.confirm_by_typing(warning, text)

    def check_given(self, text: str, *, typed: bool) -> None:
        """Ask the other one."""
        self._asker.check_given(text, typed=typed)

    def can_compare(self, fingerprint: str) -> bool:
        """Ask the other one."""
        return self._asker.can_compare(fingerprint)

    def fingerprint(self, question: str, fingerprint: str) -> None:
        """Ask the other one."""
        self._asker.fingerprint(question, fingerprint)

    def tell(self, text: str) -> None:
        """Tell the other one."""
        self._asker.tell(text)
