"""The files by which a computer checks its keys by itself: systemd user units, a udev rule, a line for cron; as text.

A check that finds nothing says nothing. One that finds something ends with 10, and the user is told.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE, TIMER, PLUG_SERVICE = "keyctl-health.service", "keyctl-health.timer", "keyctl-health-plug.service"
#: After 60-fido-id.rules, which says what is a security key.
RULES = "70-keyctl-health.rules"
#: The first line of every file, by which a file is known to be ours.
MARK = "# Written by `keyctl health timer`."
_FOUND = 10
#: Told on the desktop where no other command is given. $1 is not set there.
_NOTIFY = (
    'notify-send --app-name=keyctl "Security keys" '
    '"A check found something, or failed (status $EXIT_STATUS): run keyctl health"'
)
#: Runs $1 as a command line where the check ended by itself, and not with 0.
_WHEN_FOUND = '[ "$EXIT_CODE" != exited ] || [ "$EXIT_STATUS" = 0 ] || exec /bin/sh -c "$1"'


class UnitPlace(StrEnum):
    """Where a file belongs."""

    #: The user's own units of systemd.
    USER_UNITS = "user_units"
    #: The system's udev rules, which only root can write.
    UDEV_RULES = "udev_rules"


@dataclass(frozen=True, kw_only=True)
class UnitFile:
    """One file."""

    name: str
    place: UnitPlace
    content: str


def is_writable(text: str) -> bool:
    """Whether *text* can stand in one line of a unit or a crontab."""
    return text.isprintable()


def units(
    program: Sequence[str], environment: Mapping[str, str], *, on_plug: bool, notify: str | None
) -> tuple[UnitFile, ...]:
    """The service and the timer, and with *on_plug* what checks a key when it is plugged in.

    Args:
        program: How this keyctl is started; the first word is an absolute path.
        environment: What is set for it.
        on_plug: Whether to check when a key is plugged in, too.
        notify: The command line that tells the user; None: a notification on the desktop.
    """
    found = [
        UnitFile(
            name=SERVICE,
            place=UnitPlace.USER_UNITS,
            content=_service("Check of the security keys", program, environment, notify),
        ),
        UnitFile(name=TIMER, place=UnitPlace.USER_UNITS, content=_timer()),
    ]
    if on_plug:
        title = "Check of the security keys after one was plugged in"
        found += [
            UnitFile(
                name=PLUG_SERVICE, place=UnitPlace.USER_UNITS, content=_service(title, program, environment, notify)
            ),
            UnitFile(name=RULES, place=UnitPlace.UDEV_RULES, content=_rule()),
        ]
    return tuple(found)


def crontab(program: Sequence[str], environment: Mapping[str, str], *, notify: str | None) -> str:
    """One line for ``crontab -e``: cron mails what the check prints, which is nothing where all is well."""
    words = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    words += [shlex.quote(word) for word in (*program, "health", "--quiet")]
    command = " ".join(words)
    if notify is not None:
        command += f" || /bin/sh -c {shlex.quote(notify)}"
    # cron takes a percent sign for the end of the line.
    return f"30 12 * * 1 {command}".replace("%", r"\%") + "\n"


def word(text: str, *, first: bool = False) -> str:
    """*text* as one word of a command line in a unit (systemd.service(5), "Command lines").

    In the *first* word, the program, a dollar sign means itself.
    """
    plain = _escaped(text)
    plain = plain if first else plain.replace("$", "$$")
    return plain if plain == text and text and not any(character in text for character in " '\";") else f'"{plain}"'


def _service(title: str, program: Sequence[str], environment: Mapping[str, str], notify: str | None) -> str:
    command = " ".join([word(program[0], first=True), *(word(one) for one in (*program[1:], "health", "--quiet"))])
    tell = " ".join(word(one) for one in ("-c", _WHEN_FOUND, "keyctl-health", notify or _NOTIFY))
    lines = [
        MARK,
        "[Unit]",
        f"Description={title}",
        "",
        "[Service]",
        "Type=oneshot",
        *(f"Environment={_assignment(name, value)}" for name, value in environment.items()),
        f"ExecStart={command}",
        f"# {_FOUND}: it found something, which is no failure of the check.",
        f"SuccessExitStatus={_FOUND}",
        f"ExecStopPost=-/bin/sh {tell}",
    ]
    return "\n".join(lines) + "\n"


def _assignment(name: str, value: str) -> str:
    """In Environment= a dollar sign means itself (systemd.exec(5))."""
    return f'"{name}={_escaped(value)}"'


def _escaped(text: str) -> str:
    """*text* for within quotation marks (systemd.syntax(7)), where a percent sign begins a specifier."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _timer() -> str:
    lines = [
        MARK,
        "[Unit]",
        "Description=Weekly check of the security keys",
        "",
        "[Timer]",
        "OnCalendar=weekly",
        "# When the computer was off at the time, the check is made up for.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def _rule() -> str:
    wants = f'ENV{{SYSTEMD_USER_WANTS}}+="{PLUG_SERVICE}"'
    lines = [
        MARK,
        "# systemd says which devices are security keys (60-fido-id.rules).",
        f'ACTION=="add", SUBSYSTEM=="hidraw", ENV{{ID_FIDO_TOKEN}}=="1", TAG+="systemd", {wants}',
    ]
    return "\n".join(lines) + "\n"
