"""Whether keyctl's own files are in order, and checks that nobody watches can work: rules from facts to findings."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from keyctl.core import times
from keyctl.core.diagnosis_facts import Check, Facts, Login, Opening, Unknown
from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = "root"
#: No computer with this program was ever set to an earlier time.
_FIRST = "2026-01-01T00:00:00Z"


def inventory(facts: Facts) -> Iterator[Check]:
    """Whether every file of the inventory can be used, and none beside it is overlooked."""
    if facts.keeping is None:
        return
    for problem in facts.keeping.problems:
        yield Check(id="inventory", result=CheckResult.FAIL, message=problem.message, hint=problem.hint)
    for problem in facts.keeping.overlooked:
        yield Check(id="inventory", result=CheckResult.WARN, message=problem.message, hint=problem.hint)
    if not facts.keeping.problems:
        yield Check(id="inventory", result=CheckResult.OK, message="every file of the inventory can be read")


def state(facts: Facts) -> Iterator[Check]:
    """Whether the folder for what concerns this computer only can be used, and is private."""
    keeping = facts.keeping
    if keeping is None:
        return
    for problem in keeping.pin_problems:
        yield Check(id="state", result=CheckResult.FAIL, message=problem.message, hint=problem.hint)
    if keeping.state_problem is not None:
        yield Check(
            id="state",
            result=CheckResult.WARN,
            message=f"{keeping.state}, for what concerns this computer only, cannot be used: {keeping.state_problem}",
            hint="look at whose it is; without it no key is known to be the one of before",
        )
    elif keeping.state_open_to_others:
        yield Check(
            id="state",
            result=CheckResult.WARN,
            message=f"others can look into {keeping.state}, where tokens may lie",
            hint=f"make it yours alone: chmod 700 {shlex.quote(visible(keeping.state))}",
        )
    elif not keeping.pin_problems:
        yield Check(id="state", result=CheckResult.OK, message=f"{keeping.state} is in order")


def clock(facts: Facts) -> Iterator[Check]:
    """Whether the computer's clock can be right: ages and the newest word of two depend on it."""
    keeping = facts.keeping
    if keeping is None:
        return
    from keyctl.core import health_whole

    if keeping.now < _FIRST:
        message = f"the clock of this computer says {keeping.now}, which is long past"
        yield Check(
            id="clock", result=CheckResult.WARN, message=message, hint="set it, for instance with `timedatectl`"
        )
    elif keeping.newest is not None and times.parse(keeping.newest) - times.parse(keeping.now) > times.CLOCK_TOLERANCE:
        yield Check(
            id="clock",
            result=CheckResult.WARN,
            message=f"a file of the inventory is from {keeping.newest}, and the clock says {keeping.now}",
            hint="set the clock of this computer, or of the one that wrote it: the future wins every merge",
        )
    elif health_whole.is_set_back(keeping.noted, keeping.now):
        yield Check(
            id="clock",
            result=CheckResult.WARN,
            message=f"the clock of this computer was set back: keyctl ran at {keeping.noted}, now it is {keeping.now}",
            hint="set the clock; ages cannot be trusted until then",
        )
    else:
        yield Check(id="clock", result=CheckResult.OK, message=f"the clock says {keeping.now}")


def keyring(facts: Facts) -> Iterator[Check]:
    """Whether a check that nobody watches gets at the tokens that are in the system's keyring."""
    keeping = facts.keeping
    if keeping is None or not keeping.in_keyring:
        return
    names = ", ".join(keeping.in_keyring)
    if keeping.keyring_problem is None:
        message = f"the system's keyring, which lets checks read {names}, can be used without asking"
        yield Check(id="keyring", result=CheckResult.OK, message=message)
        return
    yield Check(
        id="keyring",
        result=CheckResult.WARN,
        message=f"checks cannot read {names} without a PIN: {keeping.keyring_problem}",
        hint="over ssh and in cron no keyring is unlocked; keep the token in a private file instead: "
        "`keyctl unattended on --file`",
    )


def timer(facts: Facts) -> Iterator[Check]:
    """Whether the weekly check runs, and gets at keys on USB: it has no seat."""
    keeping = facts.keeping
    if keeping is None or not keeping.timer:
        return
    if keeping.linger is False:
        yield Check(
            id="timer",
            result=CheckResult.WARN,
            message="the weekly check runs only while you are logged in",
            hint='let it run without: loginctl enable-linger "$USER"',
        )
    seatless = _needing_a_seat(facts)
    if seatless:
        yield Check(
            id="timer",
            result=CheckResult.WARN,
            message=f"the weekly check may not get at {', '.join(seatless)}: no group has it, only who sits here",
            hint="a timer and cron have no seat; run `keyctl doctor` over ssh for a rule that gives keys to a group",
        )
    elif keeping.linger is not False:
        yield Check(id="timer", result=CheckResult.OK, message=f"{', '.join(keeping.timer)} is in place")


def _needing_a_seat(facts: Facts) -> list[str]:
    """The keys on USB that can be opened because somebody sits here, and for no other reason."""
    usb = facts.usb
    if usb is None or isinstance(usb.keys, Unknown) or not isinstance(usb.login, Login) or not usb.login.at_seat:
        return []
    return [
        key.selector
        for key in usb.keys
        if key.opening is Opening.OK and not (key.group is not None and key.group.now) and usb.login.user != _ROOT
    ]


#: In the order in which people need them.
RULES: tuple[Callable[[Facts], Iterator[Check]], ...] = (inventory, state, clock, keyring, timer)
