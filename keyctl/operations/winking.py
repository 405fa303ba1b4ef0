"""Having a key blink, so that a person sees which one it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.operations import opening
from keyctl.operations.pins import KeyChange

if TYPE_CHECKING:
    from keyctl.operations.asking import Circumstances


def wink(circumstances: Circumstances) -> KeyChange:
    """Have the key blink; nothing on it changes.

    Raises:
        KeyChoiceError: No key fits, or several do: nothing is asked for where keys are to be told apart.
        UnsupportedError: It cannot blink when it is told to.
        UnreachableError: It cannot be opened or does not answer.
    """
    with opening.opened(circumstances, by_touch=False) as session:
        session.wink()
        return KeyChange(key=session.key, changed=False)
