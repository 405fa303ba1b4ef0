"""The PIN: asked for once per key and command, and never spent where a person should decide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import pins
from keyctl.core.names import quoted
from keyctl.core.text import tries, visible
from keyctl.errors import Details, PinError, StoreError, UnsupportedError
from keyctl.model import Recognition
from keyctl.operations import recognising
from keyctl.operations.asking import PinRequest
from keyctl.store import state

if TYPE_CHECKING:
    from keyctl.device.session import Session
    from keyctl.model import PinRetries
    from keyctl.operations.asking import Circumstances

#: At so many tries left or fewer, only a person at a terminal may spend one.
LAST_TRIES = 2


def unlock(session: Session, circumstances: Circumstances) -> str:
    """Ask for the current PIN and hand it to the session; the key itself sees it at the next step that needs it.

    Returns:
        The PIN, which a process of its own may need as well.

    Raises:
        UnsupportedError: The key has no PINs.
        PinError: It has no PIN, none may be tried now, or none was given.
    """
    pin = ask(session, circumstances)
    hand_over(session, circumstances, pin)
    return pin


def ask(session: Session, circumstances: Circumstances) -> str:
    """The current PIN, asked for after everything that can be said before.

    Raises:
        UnsupportedError: The key has no PINs.
        PinError: It has no PIN, none may be tried now, or none was given.
    """
    retries = check_unlockable(session, circumstances)
    request = PinRequest(key=session.key.label, purpose="current", tries_left=retries.left)
    pin = pins.normalised(circumstances.asker.pin(request))
    pins.check_current(pin)
    return pin


def hand_over(session: Session, circumstances: Circumstances, pin: str) -> None:
    """Hand the current PIN to the session; only a key that says without it not which one it is sees it at once.

    Raises:
        PinError: Such a key refuses it.
    """
    session.use_pin(pin)
    # A key that wants another PIN first answers nothing with this one either.
    if session.key.recognition is Recognition.LOCKED and not session.info.force_pin_change:
        # Only now can it say which key it is.
        recognising.recognise(session, recognising.known(circumstances), verified=True)
        require_trust(session, circumstances)


def check_unlockable(session: Session, circumstances: Circumstances) -> PinRetries:
    """Everything that can be said before a PIN is asked for.

    Raises:
        UnsupportedError: The key has no PINs.
        PinError: It has no PIN, or none may be tried now.
    """
    require_pin(session)
    require_trust(session, circumstances)
    retries = session.pin_retries()
    _require_unblocked(session.key.label, retries)
    _require_no_failure_before(session, circumstances)
    _require_more_than_last(session.key.label, retries, attended=circumstances.asker.attended)
    return retries


def require_pin(session: Session) -> None:
    """Refuse keys without a PIN.

    Raises:
        UnsupportedError: It cannot have one.
        PinError: It has none yet (``pin_not_set``).
    """
    require_pin_support(session)
    if not session.info.pin_set:
        label = session.key.label
        raise PinError(
            "pin_not_set",
            f"{label} has no PIN yet",
            "give it one with `keyctl pin set`; without a PIN a key does not tell what it holds",
            key=label,
        )


def require_pin_support(session: Session) -> None:
    """Refuse keys that cannot have a PIN.

    Raises:
        UnsupportedError: It is one of those.
    """
    if not session.info.pin_supported:
        label = session.key.label
        raise UnsupportedError(
            "unsupported",
            f"{label} has no PIN function",
            "`keyctl info` shows what it can do",
            key=label,
        )


def require_current_pin_usable(session: Session) -> None:
    """Refuse where the key accepts nothing but a PIN change (forcePINChange, CTAP 2.2, section 6.5.5.7.1).

    Raises:
        PinError: ``pin_policy``; no try was spent.
    """
    if session.info.force_pin_change:
        label = session.key.label
        raise PinError(
            "pin_policy",
            f"{label} wants a new PIN before it does anything else",
            "change it with `keyctl pin change`",
            key=label,
        )


def require_trust(session: Session, circumstances: Circumstances) -> None:
    """Refuse a PIN to a key that has not proved to be the one that is meant.

    Unattended, a key that keyctl does not know gets one only when its path was named.

    Raises:
        PinError: It was not named (``pin_required``).
        StoreError: The inventory has another public key for it than the one first seen here, and nobody confirms it.
        DeclinedError: The person does not.
    """
    key = session.key
    if key.recognition is Recognition.CHANGED:
        _confirm_changed(session, circumstances)
    if circumstances.asker.attended or circumstances.wanted == key.selector:
        return
    if key.recognition not in recognising.PROVEN:
        raise PinError(
            "pin_required",
            f"{key.label} is not known here, so without a person it gets no PIN unless it is named",
            f"add --key {quoted(key.selector or '')}",
            key=key.label,
        )


def _confirm_changed(session: Session, circumstances: Circumstances) -> None:
    """Have a person say that the inventory's public key of this key is the right one, and pin it."""
    label = session.key.label
    changed = StoreError(
        "recognition_changed",
        f"the inventory's public key of {label} is not the one first seen on this computer",
        f"if you enrolled it again elsewhere, run `keyctl pin verify -k {quoted(label)}` at a terminal "
        "and confirm it; if not, somebody changed the inventory",
        key=label,
    )
    if not circumstances.asker.attended:
        raise changed
    circumstances.asker.confirm_by_typing(
        f"The inventory's public key of {visible(label)} is not the one first seen on this computer.\n"
        "That is right only if you enrolled or renamed it, here or on another computer that shares the inventory.\n"
        "If you did not, somebody changed the inventory so that their key passes for yours.",
        label,
    )
    # The inventory may be another by now: what is trusted from here on is what this key proves.
    known = recognising.prove_again(session, recognising.known(circumstances))
    if known is None or known.name != label:
        raise changed
    state.write_pin(circumstances.state, known.id, known.recognition.public_key)
    state.write_name_pin(circumstances.state, known.name, known.id)
    session.identify(replace(session.key, recognition=Recognition.PROVED))


def _require_no_failure_before(session: Session, circumstances: Circumstances) -> None:
    """After a wrong PIN that no person typed, none is spent unattended until a person typed a right one."""
    key = session.key
    if key.id is None or circumstances.asker.attended or circumstances.try_pin_again:
        return
    failed_at = state.read_memory(circumstances.state, key.id).pin_failed_at
    if failed_at is not None:
        raise PinError(
            "pin_failed_before",
            f"the last PIN given to {key.label} without a person was wrong ({failed_at}), so none is tried",
            f"run `keyctl pin verify -k {quoted(key.label)}` at a terminal, or mend the script and give "
            "--try-pin-again once",
            key=key.label,
        )


def _require_unblocked(label: str, retries: PinRetries) -> None:
    details = Details(tries_left=retries.left, power_cycle_needed=retries.power_cycle_needed)
    if retries.left == 0:
        raise PinError(
            "pin_blocked",
            f"{label} takes no PIN any more: no tries are left",
            "only `keyctl reset` helps now; it deletes all passkeys and registrations of the key",
            key=label,
            details=details,
        )
    if retries.power_cycle_needed:
        raise PinError(
            "pin_auth_blocked",
            f"{label} takes no PIN until it was unplugged ({tries(retries.left)} left)",
            "take it out, put it back in, and be sure of the PIN",
            key=label,
            details=details,
        )


def _require_more_than_last(label: str, retries: PinRetries, *, attended: bool) -> None:
    if retries.left <= LAST_TRIES and not attended:
        raise PinError(
            "pin_last_tries",
            f"{label} has only {tries(retries.left)} left, so none is spent without a person",
            "run the command at a terminal without --pin-stdin, --pin-file and --pin-command",
            key=label,
            details=Details(tries_left=retries.left, power_cycle_needed=retries.power_cycle_needed),
        )
