"""From the shared options to what operations need: where, which key, how long to wait, whom to ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.cli import pin_sources, terminal
from keyctl.cli.options import settings_of
from keyctl.errors import UsageError

if TYPE_CHECKING:
    import click

    from keyctl.cli.options import Settings
    from keyctl.operations.asking import Circumstances

#: Seconds, at a terminal: for a touch, for a lock, for a key that is asked for.
_TOUCH_S, _LOCK_S, _TURN_S = 30.0, 5.0, 120.0


def folders_of(settings: Settings) -> tuple[Path, Path]:
    """Home and state folder: ``--home``, else KEYCTL_HOME, else the platform's own places.

    Raises:
        UsageError: The platform does not know one.
    """
    from keyctl.store import paths

    named = settings.home or os.environ.get("KEYCTL_HOME")
    if named:
        return Path(named), paths.own_state(Path(named))
    try:
        return paths.default_home(), paths.default_state()
    except RuntimeError as error:
        # A user without a home folder, as in containers that run under any number.
        raise UsageError(
            "usage", "it is not known where your home folder is", "give a folder with --home DIR or KEYCTL_HOME"
        ) from error


def circumstances(context: click.Context, *, yes: bool | None = None, confirm: str | None = None) -> Circumstances:
    """What the shared options say, in the terms of the operations.

    Args:
        context: Click's context of the command.
        yes: The value of ``--yes``; None for a command that has no such option.
        confirm: The value of ``--confirm``.
    """
    from keyctl.model import Waits
    from keyctl.operations.asking import Circumstances

    settings = settings_of(context)
    is_terminal = terminal.present()
    pin_source = pin_sources.source_from(settings)
    person = terminal.Person(
        present=is_terminal,
        terminal=is_terminal and not settings.no_input,
        pin_source=pin_source,
        yes=yes,
        confirm=confirm,
    )

    def seconds(at_terminal: float) -> float:
        if settings.wait is not None:
            return settings.wait
        return at_terminal if is_terminal else 0.0

    home, state = folders_of(settings)
    return Circumstances(
        home=home,
        state=state,
        wanted=settings.key,
        waits=Waits(touch_s=seconds(_TOUCH_S), plug_s=seconds(0.0), lock_s=seconds(_LOCK_S)),
        turn_s=seconds(_TURN_S),
        asker=person,
        try_pin_again=settings.try_pin_again,
        pins_given=pin_source is not None,
        trace=(lambda line: terminal.say(f"keyctl: {line}")) if settings.verbose else None,
    )
