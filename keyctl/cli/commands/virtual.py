"""``keyctl virtual``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keyctl.cli.completions import profiles as kinds_of_keys
from keyctl.cli.completions import virtual_names, virtual_settings
from keyctl.cli.frame import Group, Outcome

if TYPE_CHECKING:
    from keyctl.operations.virtual_keys import VirtualChange, VirtualList

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
_NEW_NAME = click.argument("name", help="The name of a virtual key.")
_NAME = click.argument("name", shell_complete=virtual_names, help="The name of a virtual key.")
_WARNING = "virtual keys are for trying out: their secrets lie in files, so never register one for a real account"


class _HexNumber(click.ParamType[int]):
    """A USB id as it is always written: four hex digits."""

    name = "hex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Take 0000 to ffff, with or without 0x."""
        try:
            number = value if isinstance(value, int) else int(value, 16)
        except ValueError:
            number = -1
        if not 0 <= number <= 0xFFFF:
            self.fail(f"{value!r} is not a number of four hex digits.", param, ctx)
        return number


@click.group(name="virtual", cls=Group, short_help="Make and change software keys for trying things out.")
def COMMAND() -> None:  # noqa: N802  # as in the catalogue
    """Make and change software keys for trying things out.

    A virtual key computes as a real one does, and every command works on it: --key virtual:NAME. Its secrets lie in
    files of this computer, so it protects nothing: never register one for a real account.
    """


@COMMAND.command(name="new", short_help="Make a virtual key, plugged in and touched at once.")
@_NEW_NAME
@click.option(
    "--profile",
    default="full",
    show_default=True,
    metavar="PROFILE",
    shell_complete=kinds_of_keys,
    help="Which kind of key it imitates; `virtual profiles` lists them.",
)
@_DRY_RUN
@click.pass_context
def new(context: click.Context, *, name: str, profile: str, dry_run: bool) -> Outcome:
    """Make a virtual key, plugged in and touched at once."""
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    result = virtual_keys.new(app.circumstances(context), name, profile, dry_run=dry_run)
    said = f"virtual key {name} {'would be made' if dry_run else 'is plugged in'}: --key virtual:{name}"
    return Outcome(data=result, text=lambda: said, notes=[_WARNING])


@COMMAND.command(name="list", short_help="Show all virtual keys and how they are set.")
@click.pass_context
def list_virtual(context: click.Context) -> Outcome:
    """Show all virtual keys and how they are set."""
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    result = virtual_keys.list_virtual(app.circumstances(context))
    notes = () if result.virtual_keys else ("no virtual keys; make one with `keyctl virtual new NAME`",)
    return Outcome(
        data={"virtual_keys": result.virtual_keys}, text=lambda: _table(result), notes=notes, errors=result.errors
    )


@COMMAND.command(name="profiles", short_help="Show what kinds of keys and what quirks can be imitated.")
def profiles() -> Outcome:
    """Show what kinds of keys and what quirks can be imitated.

    Profiles are for `virtual new`; quirks, seen on real firmware, for `virtual set NAME quirk=QUIRK`.
    """
    from keyctl.cli import tables
    from keyctl.operations import virtual_keys

    kinds, quirks = virtual_keys.profiles(), virtual_keys.quirks()
    return Outcome(
        data={"profiles": kinds, "quirks": quirks},
        text=lambda: "\n\n".join(
            (
                tables.table(("PROFILE", "KIND OF KEY"), kinds.items()),
                tables.table(("QUIRK", "WHAT IT DOES"), quirks.items()),
            )
        ),
    )


@COMMAND.command(name="remove", short_help="Delete a virtual key and all that is on it.")
@_NAME
@click.option("--yes", is_flag=True, help="Do not ask.")
@_DRY_RUN
@click.pass_context
def remove(context: click.Context, *, name: str, yes: bool, dry_run: bool) -> Outcome:
    """Delete a virtual key and all that is on it."""
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    result = virtual_keys.remove(app.circumstances(context, yes=yes), name, dry_run=dry_run)
    return _outcome(name, result, "is gone", "would be gone")


@COMMAND.command(name="plug", short_help="Plug a virtual key in.")
@_NAME
@_DRY_RUN
@click.pass_context
def plug(context: click.Context, *, name: str, dry_run: bool) -> Outcome:
    """Plug a virtual key in. From then on it accepts a reset for ten seconds, as real ones do."""
    return _plugged(context, name, plugged=True, dry_run=dry_run)


@COMMAND.command(name="unplug", short_help="Unplug a virtual key.")
@_NAME
@_DRY_RUN
@click.pass_context
def unplug(context: click.Context, *, name: str, dry_run: bool) -> Outcome:
    """Unplug a virtual key, even while another program is talking to it."""
    return _plugged(context, name, plugged=False, dry_run=dry_run)


@COMMAND.command(name="set", short_help="Set how a virtual key behaves.")
@_NAME
@click.argument(
    "settings",
    metavar="SETTING...",
    nargs=-1,
    required=True,
    shell_complete=virtual_settings,
    help="What to set, as listed above.",
)
@_DRY_RUN
@click.pass_context
def configure(context: click.Context, *, name: str, settings: tuple[str, ...], dry_run: bool) -> Outcome:
    """Set how a virtual key behaves: all settings or none.

    \b
    touch=now, touch=after:SECONDS, touch=long, touch=never, touch=refused
                  whether, when and how somebody touches it
    delay-ms=N    wait N milliseconds before every answer
    counter=N     the signature counter
    quirk=QUIRK   misbehave as some real firmware does; may be given more than
                  once; quirk=none ends it; `virtual profiles` lists them
    fault=N:CODE  the Nth command from now fails once: with the CTAP status
                  CODE, or pulled, pulled-after, garbage, silence or busy;
                  fault=none ends it
    """  # noqa: D301  # Click wants the control character
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    result = virtual_keys.configure(app.circumstances(context), name, settings, dry_run=dry_run)
    return _outcome(name, result, "is set", "would be set" if dry_run else "is set like that already")


@COMMAND.command(name="attach", short_help="Put a virtual key on a card reader or on USB until Ctrl-C.")
@_NAME
@click.option("--nfc", is_flag=True, help="As a contactless card behind vsmartcard's vpcd reader.")
@click.option("--hid", is_flag=True, help="As a HID device made by the kernel's uhid driver.")
@click.option("--usb", is_flag=True, help="As a USB device behind the kernel's dummy_hcd.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help="With --nfc: vpcd's TCP port, 35963 by default."
)
@click.option("--serial", metavar="TEXT", default="", help="With --hid and --usb: the serial number.")
@click.option("--product", metavar="TEXT", default="keyctl virtual key", help="With --hid and --usb: the product.")
@click.option("--vendor-id", type=_HexNumber(), default="1209", help="With --hid and --usb: four hex digits.")
@click.option("--product-id", type=_HexNumber(), default="0001", help="With --hid and --usb: four hex digits.")
@click.pass_context
def attach(
    context: click.Context,
    *,
    name: str,
    nfc: bool,
    hid: bool,
    usb: bool,
    port: int | None,
    serial: str,
    product: str,
    vendor_id: int,
    product_id: int,
) -> Outcome:
    """Put a virtual key on a card reader or on USB until Ctrl-C.

    There every program finds it as it finds a real key, and keyctl finds it there only. --nfc needs pcscd with the vpcd
    driver (Debian: pcscd and vsmartcard-vpcd); --hid and --usb need root and the kernel's drivers.
    """
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    buses = [bus for bus, given in (("nfc", nfc), ("hid", hid), ("usb", usb)) if given]
    if len(buses) != 1:
        raise click.UsageError("Give one of --nfc, --hid and --usb.", context)
    result = virtual_keys.attach(
        app.circumstances(context),
        name,
        buses[0],
        port=port,
        product=product,
        serial=serial,
        vendor_id=vendor_id,
        product_id=product_id,
    )
    return Outcome(data=result, text=lambda: f"virtual key {name} was taken off")


def _plugged(context: click.Context, name: str, *, plugged: bool, dry_run: bool) -> Outcome:
    from keyctl.cli import app
    from keyctl.operations import virtual_keys

    result = virtual_keys.plug(app.circumstances(context), name, plugged=plugged, dry_run=dry_run)
    state = "plugged in" if plugged else "unplugged"
    return _outcome(name, result, f"is {state}", f"is {state} already" if not dry_run else f"would be {state}")


def _outcome(name: str, result: VirtualChange, done: str, otherwise: str) -> Outcome:
    said = f"virtual key {name} {done if result.changed else otherwise}"
    return Outcome(data=result, text=lambda: said)


def _table(result: VirtualList) -> str:
    from keyctl.cli import tables

    if not result.virtual_keys:
        return ""
    rows = [
        (
            key.name,
            key.profile,
            f"on {key.attached}" if key.attached else "plugged in" if key.plugged else "unplugged",
            key.touch,
            ", ".join((*key.quirks, *key.faults)),
        )
        for key in result.virtual_keys
    ]
    return tables.table(("NAME", "PROFILE", "STATE", "TOUCH", "QUIRKS AND FAULTS"), rows)
