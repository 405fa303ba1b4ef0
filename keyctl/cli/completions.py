"""What a shell offers after the tabulator: names from the inventory, never a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.core.text import visible
from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import click
    from click.shell_completion import CompletionItem

#: What `virtual set` takes, beside the quirks; where a number follows, as far as that.
_VIRTUAL_SETTINGS = (
    "touch=now",
    "touch=after:",
    "touch=long",
    "touch=never",
    "touch=refused",
    "delay-ms=",
    "counter=",
    "quirk=none",
    "fault=none",
)
#: Shells other than zsh put what they complete into the line as it is.
_OBEYED = frozenset("\t\n\\\"'`$&;|<>()[]{}*?!#")


def known_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of known keys that begin with *incomplete*."""
    from keyctl.operations import services

    return _offered(context, services.key_names, incomplete)


def keys(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What ``--key`` takes: the names of known keys, and virtual keys by their selector; others are not looked for."""
    from keyctl.operations import services

    selectors = _offered(context, lambda home: [f"virtual:{name}" for name in _virtual_names(home)], incomplete)
    return _offered(context, services.key_names, incomplete) + selectors


def owners(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The owners of known keys that begin with *incomplete*."""
    from keyctl.operations import services

    return _offered(context, services.owners, incomplete)


def virtual_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of virtual keys that begin with *incomplete*."""
    return _offered(context, _virtual_names, incomplete)


def profiles(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The kinds of keys that a virtual key can imitate."""
    from keyctl.operations import virtual_keys

    return _offered(context, lambda _home: virtual_keys.profiles(), incomplete)


def virtual_settings(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What can be set on a virtual key."""
    from keyctl.operations import virtual_keys

    quirks = [f"quirk={name}" for name in virtual_keys.quirks()]
    return _offered(context, lambda _home: [*_VIRTUAL_SETTINGS, *quirks], incomplete)


def service_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of services that begin with *incomplete*."""
    from keyctl.operations import services

    return _offered(context, services.service_names, incomplete)


def pairing_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the pairings are called, as far as it begins with *incomplete*."""
    from keyctl.operations import pair_choice

    return _offered(context, pair_choice.names, incomplete)


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Whatever files the shell itself offers."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def folders(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Whatever folders the shell itself offers."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def pairing_names_or_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the pairings are called, and files where none begins with *incomplete*; bash offers one kind only."""
    return pairing_names(context, parameter, incomplete) or files(context, parameter, incomplete)


def _virtual_names(home: Path) -> list[str]:
    from keyctl.store import paths

    files_of_keys = paths.virtual_keys_folder(home).glob("[!.]*.json")
    return sorted(path.stem for path in files_of_keys if not path.stem.endswith(".settings"))


def _offered(context: click.Context, names: Callable[[Path], Iterable[str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from keyctl.cli import app
    from keyctl.cli.options import settings_of

    try:
        home, _ = app.folders_of(settings_of(context))
        found = names(home)
    except (KeyctlError, OSError, ValueError):
        # While a line is being typed there is no place for an error; running it will tell.
        return []
    return [
        CompletionItem(name)
        for name in found
        if name.startswith(incomplete) and visible(name) == name and not _OBEYED & set(name)
    ]
