"""Setting, changing and trying the PIN of a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyctl.core import pins
from keyctl.errors import PinError
from keyctl.operations import unlocking
from keyctl.operations.asking import PinRequest

if TYPE_CHECKING:
    from keyctl.device.session import Session
    from keyctl.model import Key
    from keyctl.operations.asking import Circumstances


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """The key, and whether it is another than before."""

    key: Key
    changed: bool


def set_first(session: Session, circumstances: Circumstances, *, dry_run: bool) -> KeyChange:
    """Give a key its first PIN.

    Raises:
        PinError: It has one already, or the new one is not allowed.
    """
    label = session.key.label
    unlocking.require_pin_support(session)
    if session.info.pin_set:
        raise PinError("pin_already_set", f"{label} has a PIN already", "use `keyctl pin change`", key=label)
    unlocking.require_trust(session, circumstances)
    if not dry_run:
        session.set_pin(_new_pin(session, circumstances))
    return KeyChange(key=session.key, changed=not dry_run)


def change(session: Session, circumstances: Circumstances, *, dry_run: bool) -> KeyChange:
    """Replace the PIN of a key; a wrong current PIN costs one try.

    Raises:
        PinError: There is none, the current one is wrong or may not be tried, or the new one is not allowed.
    """
    if dry_run:
        unlocking.check_unlockable(session, circumstances)
    else:
        unlocking.unlock(session, circumstances)
        session.change_pin(_new_pin(session, circumstances))
    return KeyChange(key=session.key, changed=not dry_run)


def verify(session: Session, circumstances: Circumstances) -> KeyChange:
    """Try the PIN; a right one gives back all tries, a wrong one costs one.

    Raises:
        PinError: It is wrong, or may not be tried.
    """
    unlocking.require_current_pin_usable(session)
    unlocking.unlock(session, circumstances)
    session.verify_pin()
    return KeyChange(key=session.key, changed=False)


def _new_pin(session: Session, circumstances: Circumstances) -> str:
    info = session.info
    request = PinRequest(
        key=session.key.label, purpose="new", min_length=info.min_pin_length, max_length=info.max_pin_length
    )
    pin = pins.normalised(circumstances.asker.pin(request))
    pins.check_new(pin, min_length=info.min_pin_length, max_length=info.max_pin_length)
    return pin
