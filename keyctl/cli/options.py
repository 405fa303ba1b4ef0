"""The options that every command takes, anywhere before ``--``: one list, one place where their values end up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from keyctl.cli.completions import files, folders, keys, pairing_names
from keyctl.core.text import is_unicode

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_WAIT_S = 3600.0


@dataclass
class Settings:
    """What the shared options say, and how far the command line has been recognised."""

    key: str | None = None
    #: All that were given at once; a few commands take more than one.
    keys: tuple[str, ...] = ()
    json: bool = False
    no_input: bool = False
    #: Seconds, or None when not given.
    wait: float | None = None
    pin_stdin: bool = False
    pin_file: str | None = None
    pin_command: str | None = None
    try_pin_again: bool = False
    home: str | None = None
    verbose: bool = False
    quiet: bool = False
    #: The command without the program's name, for instance ``passkeys list``; None when there is none yet.
    command: str | None = None


class _Seconds(click.ParamType[float]):
    """A length of time; unlike Click's FloatRange it keeps the help line free of interval notation."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Take 0 to 3600, whole or with a fraction."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= _MAX_WAIT_S:
            self.fail(f"{value!r} is no number of seconds from 0 to {_MAX_WAIT_S:g}.", param, ctx)
        return seconds


def unicode_text(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """*value*, which can only be compared, kept or sent to a key if it is Unicode: arguments are bytes of any kind."""
    if value is not None and not is_unicode(value):
        raise click.BadParameter("The text is not valid UTF-8.")
    return value


def unicode_texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """As :func:`unicode_text`, for each of them."""
    for value in values:
        unicode_text(context, parameter, value)
    return values


#: Which pairing is meant.
pairing_argument = click.argument(
    "pairing",
    required=False,
    metavar="[PAIRING]",
    callback=unicode_text,
    shell_complete=pairing_names,
    help="The backup key's name, or PRIMARY/BACKUP; needed where there are several.",
)


def settings_of(context: click.Context) -> Settings:
    """The one :class:`Settings` of this run."""
    return context.find_root().ensure_object(Settings)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """The value nearest the end that was really given wins; a default never replaces one."""
    name = str(parameter.name)
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        setattr(settings_of(context), name.removeprefix("shared_"), value)


def _keep_keys(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """As :func:`_keep`; most commands are about one key, and that is the last one."""
    if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
        settings = settings_of(context)
        settings.keys, settings.key = value, value[-1]


def _option(*names: str, callback: Callable[..., None] = _keep, **facts: Any) -> click.Option:
    # The name carries a prefix so that no command's own parameter can collide with it.
    own = f"shared_{names[-1].lstrip('-').replace('-', '_')}"
    return click.Option([*names, own], expose_value=False, callback=callback, **facts)


SHARED_OPTIONS: tuple[click.Option, ...] = (
    _option(
        "-k",
        "--key",
        metavar="KEY",
        multiple=True,
        callback=_keep_keys,
        shell_complete=keys,
        help="The key to use: its name, a serial number, usb:PATH, nfc:READER or virtual:NAME, as `list` prints them.",
    ),
    _option("--json", is_flag=True, help="Print one JSON document on stdout, also for errors."),
    _option("--no-input", is_flag=True, help="Never ask for a PIN or an answer; touches are still waited for."),
    _option(
        "--wait",
        metavar="SECONDS",
        type=_Seconds(),
        help="How long each wait may take: for a touch (30 at a terminal), a key to be plugged in (0), "
        "another program (5). Without a terminal all are 0.",
    ),
    _option("--pin-stdin", is_flag=True, help="Read PINs from stdin, one a line: the current one, then the new one."),
    _option(
        "--pin-file", metavar="FILE", shell_complete=files, help="Read PINs from FILE, which nobody else may read."
    ),
    _option(
        "--pin-command",
        metavar="CMD",
        help="Run CMD, without a shell, and take its first line as PIN. It sees KEYCTL_KEY and KEYCTL_PIN_PURPOSE "
        "(current or new).",
    ),
    _option(
        "--try-pin-again",
        is_flag=True,
        help="Spend a PIN without a person although the last one given to this key that way was wrong.",
    ),
    _option(
        "--home", metavar="DIR", shell_complete=folders, help="Where keyctl keeps its files; KEYCTL_HOME says the same."
    ),
    _option("-v", "--verbose", is_flag=True, help="Say on stderr what is sent to the key, without PINs."),
    _option("-q", "--quiet", is_flag=True, help="Print no text but errors; JSON is printed all the same."),
)
