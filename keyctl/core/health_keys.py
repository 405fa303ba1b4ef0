"""The rules of the health check about one key: each makes one finding of facts, or none where it does not apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.capacity import passkeys_that_fit
from keyctl.core.health_advisories import advisories, firmware
from keyctl.core.health_facts import Finding, days_ago, digest_of
from keyctl.core.names import quoted
from keyctl.core.results import CheckResult
from keyctl.core.text import counted_are, tries
from keyctl.model import KeyState, Recognition, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from keyctl.core.health_facts import Facts, KeyFacts

    _KeyRule: TypeAlias = Callable[[Facts, KeyFacts], Finding | None]

OK, WARN, FAIL, SKIP = CheckResult.OK, CheckResult.WARN, CheckResult.FAIL, CheckResult.SKIP
#: At so many tries left or fewer, only a person at a terminal may spend one.
LAST_TRIES = 2
_REACHED = frozenset({"access_denied", "key_busy", "reader_busy"})
_PROVED = frozenset({Recognition.PROVED, Recognition.COUNTER_BACK})


def of_key(facts: Facts, key: KeyFacts) -> Iterator[Finding]:
    """What all rules say of one key."""
    if key.known is not None and key.known.state is KeyState.LOST:
        yield lost_key(key)
        return
    if key.known is not None and key.known.state is KeyState.RESET:
        yield key_reset(key)
        return
    strange = key.known is None and facts.whole
    for rule in _rules_of_stranger(key) if strange else RULES:
        if (finding := rule(facts, key)) is not None:
            yield finding
    if not strange:
        yield from advisories(key)


def unreachable(facts: Facts) -> Iterator[Finding]:
    """What is plugged in and cannot be spoken to."""
    for device in facts.unreachable:
        result = WARN if device.code in _REACHED else FAIL
        hint = device.hint or "`keyctl doctor` says why"
        yield Finding(id="unreachable", result=result, message=device.message, hint=hint, key=device.selector)


def recognition(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether a connected key answers as the one that it was."""
    reading = key.reading
    if reading is None:
        return _finding("recognition", SKIP, key, key.absence)
    match reading.recognition:
        case Recognition.PROVED | Recognition.COUNTER_BACK:
            return _finding("recognition", OK, key, "proved which key it is")
        case Recognition.CLAIMED:
            return _finding("recognition", SKIP, key, "only knows U2F, and proves which key it is with a touch only")
        case Recognition.LOCKED:
            return _finding("recognition", SKIP, key, "wants its PIN before it says which key it is")
        case Recognition.CHANGED:
            message = "does not have the public key that was first seen on this computer"
            hint = (
                f"if you enrolled it again elsewhere, `keyctl pin verify -k {quoted(key.label)}` asks you to confirm "
                "it; if not, somebody changed the inventory"
            )
            return _finding("recognition", FAIL, key, message, hint)
        case Recognition.PERHAPS_RESET if reading.remark is not None:
            message = "is of the model of a key with a name, and answers to no name"
            return _finding("recognition", WARN, key, message, reading.remark)
        case _:
            return None


def key_reset(key: KeyFacts) -> Finding:
    """A key that was reset and has no name yet."""
    name = quoted(key.label)
    hint = f"`keyctl add {name} --replace` names it again, `keyctl forget {name}` removes it"
    return _finding("key_reset", WARN, key, "was reset, and opens nothing any more", hint)


def counter(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether the signature counter went back."""
    if key.known is None:
        return None
    if key.reading is None or key.reading.recognition not in _PROVED:
        return _unseen("counter", key, "did not show its signature counter")
    if key.reading.recognition is Recognition.COUNTER_BACK:
        hint = (
            "remove it from your accounts; if you know why it went back, enrol it again: "
            f"`keyctl add {quoted(key.label)} --replace`"
        )
        message = "has a signature counter that went back: somebody may have a copy of it"
        # It counts again after a copy, or the key, went on from there and back once more.
        return _finding("counter", FAIL, key, message, hint, token=digest_of(str(key.highest_counter)))
    return _finding("counter", OK, key, "has a signature counter that did not go back")


def pin_set(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether a key that can have a PIN has one."""
    reading = key.reading
    if reading is None:
        return _unseen("pin_set", key)
    if not reading.pin_supported:
        return None
    if reading.pin_set:
        return _finding("pin_set", OK, key, "has a PIN")
    hint = f"`keyctl pin set -k {quoted(key.label)}`"
    return _finding("pin_set", WARN, key, "has no PIN, so whoever finds it can use it", hint)


def pin_tries(_facts: Facts, key: KeyFacts) -> Finding | None:
    """How many wrong PINs a key still takes."""
    reading = key.reading
    if reading is None:
        return _unseen("pin_tries", key)
    left = reading.tries_left
    if left is None:
        return None
    if left == 0:
        hint = (
            f"{_look_first(key)}only `keyctl reset -k {quoted(key.label)}` helps now; it deletes all passkeys and "
            "registrations of the key"
        )
        return _finding("pin_tries", FAIL, key, "takes no PIN any more: no tries are left", hint, severity=2)
    if left <= LAST_TRIES:
        hint = f"be sure of the PIN, then `keyctl pin verify -k {quoted(key.label)}`: the right one sets the tries back"
        return _finding("pin_tries", FAIL, key, f"takes only {tries(left)} at its PIN", hint, severity=1)
    if reading.power_cycle_needed:
        message = "takes no PIN until it was unplugged: three wrong ones were given"
        return _finding("pin_tries", WARN, key, message, "take it out and put it back in; find out who tried")
    return _finding("pin_tries", OK, key, f"takes {tries(left)} at its PIN")


def pin_change(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether a key wants another PIN first."""
    reading = key.reading
    if reading is None:
        return _unseen("pin_change", key)
    if not reading.pin_supported:
        return None
    if reading.change_required:
        message = "wants another PIN before it does anything else"
        return _finding("pin_change", WARN, key, message, f"`keyctl pin change -k {quoted(key.label)}`")
    return _finding("pin_change", OK, key, "wants no other PIN")


def pin_length(facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether a key takes short PINs."""
    reading = key.reading
    wanted = facts.limits.min_pin_length
    if reading is None:
        return _unseen("pin_length", key)
    if not reading.pin_set:
        return None
    if reading.min_pin_length < wanted:
        message = f"takes PINs of {reading.min_pin_length} characters"
        hint = (
            f"only the shortest PIN that the key takes counts here, which keyctl cannot raise yet: have one of "
            f"{wanted} or more"
        )
        if key.known is not None:
            hint += f", then accept this: `keyctl health accept pin_length -k {quoted(key.label)}`"
        return _finding("pin_length", WARN, key, message, hint)
    return _finding("pin_length", OK, key, f"takes no PIN below {reading.min_pin_length} characters")


def passkey_slots(facts: Facts, key: KeyFacts) -> Finding | None:
    """How full a key is."""
    reading, known = key.reading, key.known
    if reading is not None and not reading.listing and reading.remaining is None:
        return None
    remaining = reading.remaining if reading is not None and reading.remaining is not None else None
    if remaining is None and known is not None:
        remaining = known.passkeys_remaining
    # Of a key that was never read nobody knows how many it has.
    read = known is not None and known.passkeys_read_at is not None
    used = sum(passkey.reset_at is None for passkey in known.passkeys) if known is not None and read else None
    if remaining is None and used is not None and known is not None:
        fitting = passkeys_that_fit(known.model, known.firmware)
        remaining = None if fitting is None else max(fitting - used, 0)
    if remaining == 0:
        hint = f"delete those that you do not need: `keyctl passkeys list -k {quoted(key.label)}`; or get another key"
        return _finding("passkey_slots", WARN, key, "has no room for another passkey", hint, severity=1)
    if remaining is None or used is None:
        return _unseen("passkey_slots", key, "does not say how many more passkeys fit, or was never read")
    full = 100 * used // (used + remaining)
    if full >= facts.limits.passkeys_percent:
        hint = f"delete those that you do not need: `keyctl passkeys list -k {quoted(key.label)}`; or get another key"
        return _finding("passkey_slots", WARN, key, f"is nearly full: {remaining} more passkeys fit", hint)
    return _finding("passkey_slots", OK, key, f"has room for {remaining} more passkeys")


def key_drill(facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether a key proved itself with a touch lately."""
    if key.known is None:
        return None
    hint = f"`keyctl health --drill -k {quoted(key.label)}`"
    if key.drill_failure is not None:
        message = f"did not prove itself: {key.drill_failure}"
        return _finding("key_drill", FAIL, key, message, "try again; if it fails again, replace the key")
    enrolled_at = key.known.recognition.enrolled_at
    # Enrolling it was one: it signed, after a touch.
    ages = [facts.age_days(moment) for moment in (key.drilled_at, enrolled_at)]
    age = min((days for days in ages if days is not None), default=None)
    message = "never proved itself with a touch" if age is None else f"last proved itself with a touch {days_ago(age)}"
    if age is None or age >= facts.limits.key_drill_days:
        also = f"; drill not held: {key.drill_omission}" if key.drill_omission is not None else ""
        return _finding("key_drill", WARN, key, f"{message}{also}", hint)
    if key.drill_omission is not None:
        return _finding("key_drill", SKIP, key, f"{message}; drill not held: {key.drill_omission}")
    return _finding("key_drill", OK, key, message)


def scan(facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether the passkeys of a key were read lately."""
    if key.known is None or key.known.recognition.u2f:
        return None
    if key.reading is not None and not key.reading.listing:
        return None
    if key.reading is not None and not key.reading.pin_set:
        return _finding("scan", SKIP, key, "has no PIN, and without one a key does not tell its passkeys")
    age = facts.age_days(key.known.passkeys_read_at)
    message = f"was last read {days_ago(age)}" if age is not None else "was never read, so nobody knows what it opens"
    if age is None or age >= facts.limits.scan_days:
        return _finding("scan", WARN, key, message, f"plug it in, then `keyctl scan -k {quoted(key.label)}`")
    return _finding("scan", OK, key, message)


def enterprise_attestation(_facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether some sites learn the serial number."""
    reading = key.reading
    if reading is None:
        return _unseen("enterprise_attestation", key)
    if reading.enterprise_attestation is None:
        return None
    if reading.enterprise_attestation:
        message = "has enterprise attestation on: some sites may learn its serial number"
        # Of a key without a name nothing can be accepted.
        hint = "only a reset ends it" + ("; accept this where an employer wants it" if key.known is not None else "")
        return _finding("enterprise_attestation", WARN, key, message, hint)
    return _finding("enterprise_attestation", OK, key, "has enterprise attestation off")


def location(facts: Facts, key: KeyFacts) -> Finding | None:
    """Whether it is noted where a backup key lies."""
    if key.known is None:
        return None
    known = key.known
    paired = any(one.backup_id == known.id and one.retired_at is None for one in facts.inventory.pairings)
    if known.role is not Role.BACKUP and not paired:
        return None
    if known.location:
        return _finding("location", OK, key, "has a place that is noted")
    hint = f"`keyctl edit {quoted(known.name)} --location PLACE`"
    return _finding("location", WARN, key, "is a backup key, and nobody noted where it lies", hint)


def lost_key(key: KeyFacts) -> Finding:
    """Whether something is left to do about a lost key: first of all at accounts that still know it."""
    from keyctl.core.loss_steps import StepKind

    if not key.open_steps:
        return _finding("lost_key", OK, key, "is lost, and all that was to do about it is done")
    grave = {StepKind.COMPUTER, StepKind.ORIENT, StepKind.RECOVER, StepKind.REVOKE}
    urgent = any(step.kind in grave for step in key.open_steps)
    message = f"is lost, and {counted_are(len(key.open_steps), 'step')} left to do: {key.open_steps[0].text}"
    if key.ticks_problem is not None:
        message += f" (none counts as ticked off: {key.ticks_problem})"
    hint = f"`keyctl lost {quoted(key.label)}` shows them; `--done STEP` ticks one off"
    return _finding("lost_key", FAIL if urgent else WARN, key, message, hint, severity=len(key.open_steps))


def _unseen(check_id: str, key: KeyFacts, what: str = "did not say it") -> Finding:
    """What could not be seen: *what* says so of a key that is there."""
    return _finding(check_id, SKIP, key, key.absence if key.reading is None else what)


def _rules_of_stranger(key: KeyFacts) -> tuple[_KeyRule, ...]:
    """Whose key it is nobody knows: whether it may be a known one is of interest, and more where it most likely is."""
    locked = key.reading is not None and key.reading.recognition is Recognition.LOCKED
    return (recognition, pin_tries, pin_change) if locked else (recognition,)


def _look_first(key: KeyFacts) -> str:
    """What to do before a key is reset; nothing of one without a name, of which nobody knows what it opens."""
    if key.known is None:
        return ""
    return f"see what would be lost: `keyctl coverage --without {quoted(key.label)}`; then "


def _finding(
    check_id: str,
    result: CheckResult,
    key: KeyFacts,
    message: str,
    hint: str | None = None,
    *,
    severity: int = 0,
    token: str | None = None,
) -> Finding:
    return Finding(
        id=check_id,
        result=result,
        message=f"{key.label} {message}",
        hint=hint,
        key=key.label,
        key_id=key.known.id if key.known is not None else None,
        severity=severity,
        token=token,
    )


RULES: tuple[_KeyRule, ...] = (
    recognition,
    counter,
    pin_set,
    pin_tries,
    pin_change,
    pin_length,
    passkey_slots,
    firmware,
    key_drill,
    scan,
    enterprise_attestation,
    location,
)
