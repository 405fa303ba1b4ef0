"""Which of the connected keys a command is about."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from keyctl.core import advice
from keyctl.core.names import quoted
from keyctl.device.discover import YUBICO_VENDOR_ID, discover, is_selector
from keyctl.errors import Details, KeyChoiceError, KeyctlError
from keyctl.model import Access, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from keyctl.device.discover import Discovery, Found
    from keyctl.model import Key

_POLL_S = 0.2
#: Shorter product names are in too many readers' names to say that reader and key are one device.
_TELLING_PRODUCT_LENGTH = 6


def wait_for_keys(home: Path, wanted: str | None, wait_s: float, on_wait: Callable[[float], None]) -> tuple[Found, ...]:
    """The keys that a command may be about, one or more, as soon as there is one.

    Args:
        home: The home folder, for the virtual keys.
        wanted: What the user said after ``--key``, or None.
        wait_s: How many seconds to wait for it to be plugged in; 0: not at all.
        on_wait: Called once with *wait_s* before waiting.

    Raises:
        KeyChoiceError: There is none (``no_key``).
    """
    deadline = time.monotonic() + wait_s
    waiting = False
    while True:
        try:
            return fitting(discover(home, wanted), wanted)
        except KeyChoiceError:
            if time.monotonic() >= deadline:
                raise
        if not waiting:
            waiting = True
            on_wait(wait_s)
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


def choose(discovery: Discovery, wanted: str | None) -> Found:
    """The one key that fits, see :func:`fitting`.

    Raises:
        KeyChoiceError: None fits (``no_key``), or more than one (``several_keys``).
    """
    return only(fitting(discovery, wanted))


def only(candidates: Sequence[Found]) -> Found:
    """The one candidate.

    Raises:
        KeyChoiceError: There are more (``several_keys``).
    """
    if len(candidates) > 1:
        raise several(candidates)
    return candidates[0]


def several(candidates: Sequence[Found]) -> KeyChoiceError:
    """More than one key fits."""
    selectors = tuple(found.selector for found in candidates)
    return KeyChoiceError(
        "several_keys",
        f"more than one security key fits: {', '.join(selectors)}",
        f"choose one with -k, like `-k {quoted(selectors[0])}`",
        details=Details(candidates=selectors),
    )


def fitting(discovery: Discovery, wanted: str | None) -> tuple[Found, ...]:
    """The keys that fit, one at least.

    Without *wanted*: the physical keys, or the virtual ones where no physical key is connected.

    Args:
        discovery: What is connected.
        wanted: A selector as :attr:`Found.selector`, or a serial number; None: whatever is there.

    Raises:
        KeyChoiceError: None fits (``no_key``).
    """
    if wanted is None:
        found = _unnamed(discovery)
    elif is_selector(wanted):
        found = [candidate for candidate in discovery.found if candidate.selector == wanted]
    else:
        found = _by_serial(discovery, wanted)
    if not found:
        raise no_key(discovery, wanted)
    return tuple(found)


def _unnamed(discovery: Discovery) -> list[Found]:
    usb = [found for found in discovery.found if found.transport is Transport.USB]
    physical: list[Found] = []
    virtual: list[Found] = []
    unknown: list[Found] = []
    for found in discovery.found:
        if found.transport is Transport.USB:
            physical.append(found)
        elif found.transport is Transport.VIRTUAL:
            virtual.append(found)
        elif not _is_own_reader(found, usb):
            key, error = _probed(found)
            if error is None:
                (virtual if key.virtual else physical).append(found)
            elif error.code != "no_card":
                unknown.append(found)
    # A reader that cannot be asked is the answer only where there is no better one: opening it then says why.
    return physical or virtual or unknown


def _is_own_reader(found: Found, usb: list[Found]) -> bool:
    """Whether the "card" is the smart card part of a key that is there as USB key too: readers carry the USB name."""
    names = [key.product.strip() for key in usb if key.product]
    return found.transport is Transport.CONTACT and any(
        len(name) >= _TELLING_PRODUCT_LENGTH and name in found.path for name in names
    )


def _by_serial(discovery: Discovery, serial: str) -> list[Found]:
    told = [found for found in discovery.found if found.serial == serial]
    if told:
        return told
    # YubiKeys tell their serial number only when they are asked.
    silent = [
        found
        for found in discovery.found
        if found.transport is Transport.USB
        and found.vendor_id == YUBICO_VENDOR_ID
        and found.access is not Access.DENIED
    ]
    return [found for found in silent if _probed(found)[0].serial == serial]


def _probed(found: Found) -> tuple[Key, KeyctlError | None]:
    from pathlib import Path

    from keyctl.device.connecting import probe
    from keyctl.model import Waits

    # Of no use for what is not virtual.
    nowhere = Path()
    return probe(found, nowhere, Waits(touch_s=0, plug_s=0, lock_s=0))


def no_key(discovery: Discovery, wanted: str | None = None) -> KeyChoiceError:
    """No key fits; the hint says what was in the way."""
    hint = advice.NO_KEY
    message = "no security key found"
    if wanted is not None:
        message = f"no key {wanted} is connected"
        hint = "see what is there with `keyctl list`"
        if wanted.startswith("virtual:"):
            hint = "see `keyctl virtual list`; one that is unplugged is plugged in with `keyctl virtual plug NAME`"
    hints = [hint, *(_as_hint(problem) for problem in discovery.problems)]
    return KeyChoiceError("no_key", message, "; ".join(hints))


def _as_hint(problem: KeyctlError) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
