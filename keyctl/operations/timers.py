"""Having the computer check its keys by itself: the units and rules for that, as text or put in their places."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from keyctl.core import timer_units
from keyctl.core.timer_units import UnitPlace
from keyctl.errors import UsageError
from keyctl.store import files as files_store
from keyctl.store import unit_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from keyctl.core.timer_units import UnitFile
    from keyctl.operations.asking import Circumstances


class Writing(Enum):
    """What becomes of the units."""

    #: They are text only.
    NOT = auto()
    #: Everything is looked at as for writing.
    DRY = auto()
    DONE = auto()


@dataclass(frozen=True, kw_only=True)
class TimerFiles:
    """What makes a computer check its keys by itself."""

    #: All of it as one text, each file under its name.
    content: str
    #: None of them with ``--cron``.
    files: tuple[UnitFile, ...]
    #: The files that were written, or would be in a dry run, whether or not they were there already.
    written: tuple[str, ...]
    #: Whether a file was written that was not there, or said something else.
    changed: bool
    #: What to run next, one command line each.
    commands: tuple[str, ...]


def cron(program: Sequence[str], environment: Mapping[str, str], *, notify: str | None) -> TimerFiles:
    """One line for the user's crontab.

    Raises:
        UsageError: A path or the command does not fit into one line.
    """
    _require_writable(program, environment, notify)
    line = timer_units.crontab(program, environment, notify=notify)
    return TimerFiles(content=line.rstrip("\n"), files=(), written=(), changed=False, commands=("crontab -e",))


def systemd(
    circumstances: Circumstances,
    program: Sequence[str],
    environment: Mapping[str, str],
    *,
    on_plug: bool,
    notify: str | None,
    writing: Writing,
) -> TimerFiles:
    """The units of systemd, and where they are written those of the user in their place.

    The udev rule, which only root can put in its place, is written beside this computer's state.

    Args:
        circumstances: Where the state folder is.
        program: How this keyctl is started.
        environment: What is set for it.
        on_plug: Whether a key is checked when it is plugged in, too.
        notify: The command line that tells the user; None: a notification on the desktop.
        writing: Whether to write the files.

    Raises:
        UsageError: A path or the command does not fit into one line, or a file is there that keyctl did not write.
        StoreError: A file cannot be written.
    """
    _require_writable(program, environment, notify)
    files = timer_units.units(program, environment, on_plug=on_plug, notify=notify)
    content = "\n".join(f"# {one.name}\n{one.content}" for one in files).rstrip("\n")
    if writing is Writing.NOT:
        return TimerFiles(content=content, files=files, written=(), changed=False, commands=())
    folders = {
        UnitPlace.USER_UNITS: unit_files.user_units_folder(),
        UnitPlace.UDEV_RULES: circumstances.state.absolute(),
    }
    paths = {one.name: folders[one.place] / one.name for one in files}
    for path in paths.values():
        # All or none, as far as that can be known before.
        unit_files.current(path)
    changed = [] if writing is Writing.DRY else _written(files, paths)
    commands = [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {timer_units.TIMER}",
        # Else the check is made up for at the next login.
        'loginctl enable-linger "$USER"',
    ]
    if on_plug:
        rule = shlex.quote(str(paths[timer_units.RULES]))
        commands += [f"sudo install -m 644 {rule} /etc/udev/rules.d/", "sudo udevadm control --reload"]
    return TimerFiles(
        content=content,
        files=files,
        written=tuple(str(path) for path in paths.values()),
        changed=any(changed),
        commands=tuple(commands),
    )


def _written(files: Sequence[UnitFile], paths: Mapping[str, Path]) -> list[bool]:
    """Write the files; whether each held something else before."""
    # The rule first: where the state folder cannot be written, no unit is left behind that nobody heard of.
    ordered = sorted(files, key=lambda one: one.place is not UnitPlace.UDEV_RULES)
    for one in ordered:
        if one.place is UnitPlace.UDEV_RULES:
            files_store.make_private_folder(paths[one.name].parent)
    return [unit_files.write(paths[one.name], one.content) for one in ordered]


def _require_writable(program: Sequence[str], environment: Mapping[str, str], notify: str | None) -> None:
    for text in (*program, *environment.values(), *([notify] if notify is not None else [])):
        if not timer_units.is_writable(text):
            raise UsageError(
                "usage",
                "a path or command holds a character that fits into no unit and no crontab",
                "put the command into a script, and give its path",
            )
