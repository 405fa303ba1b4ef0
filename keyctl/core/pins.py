"""What may be sent to a key as a PIN (CTAP 2.2, section 6.5.1): checked here, where it costs no try."""

from __future__ import annotations

import unicodedata

from keyctl.errors import PinError

#: No key takes fewer Unicode code points.
MIN_CODE_POINTS = 4
#: The padded PIN is 64 bytes and ends with a zero byte.
MAX_BYTES = 63


def normalised(pin: str) -> str:
    """*pin* in Unicode form NFC, as every platform sends it, so that any keyboard gives the same PIN.

    Raises:
        PinError: It holds control characters or is not text (``pin_policy``).
    """
    if not pin.isascii():
        pin = unicodedata.normalize("NFC", pin)
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in pin):
        raise PinError("pin_policy", "a PIN is text without control characters", "nothing was sent to the key")
    return pin


def check_current(pin: str) -> None:
    """Refuse what cannot be the PIN of any key.

    Raises:
        PinError: ``pin_policy``; nothing was sent to the key.
    """
    _check(pin, MIN_CODE_POINTS, MAX_BYTES, "the PIN", "nothing was sent to the key; no try was spent")


def check_new(pin: str, *, min_length: int, max_length: int) -> None:
    """Refuse a new PIN that the key would refuse.

    Args:
        pin: The new PIN, normalised.
        min_length: The key's own minimum, Unicode code points.
        max_length: The key's own maximum, Unicode code points.

    Raises:
        PinError: ``pin_policy``; nothing was sent to the key.
    """
    hint = f"this key takes {min_length} to {max_length} characters, and at most {MAX_BYTES} bytes in UTF-8"
    _check(pin, max(min_length, MIN_CODE_POINTS), max_length, "the new PIN", hint)


def _check(pin: str, min_length: int, max_length: int, subject: str, hint: str) -> None:
    length, size = len(pin), len(pin.encode())
    if length < min_length:
        raise PinError("pin_policy", f"{subject} has {length} characters, fewer than {min_length}", hint)
    if length > max_length:
        raise PinError("pin_policy", f"{subject} has {length} characters, more than {max_length}", hint)
    if size > MAX_BYTES:
        raise PinError("pin_policy", f"{subject} has {size} bytes in UTF-8, more than {MAX_BYTES}", hint)
