"""``keyctl list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keyctl.cli.completions import owners
from keyctl.cli.frame import Command, Outcome
from keyctl.core import advice
from keyctl.core.text import visible
from keyctl.model import KeyState, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyctl.model import Key

#: Columns of ``--csv``, in this order.
CSV_COLUMNS = (
    "name", "role", "owner", "location", "state", "connected", "selector", "transport", "access", "product", "model",
    "vendor_id", "product_id", "aaguid", "serial", "firmware", "virtual", "note", "last_seen",
)  # fmt: skip


#: Columns that are shown where there is something in them.
_WHERE_TOLD = frozenset({"OWNER", "FIRMWARE", "SERIAL", "LOCATION"})


@click.command(name="list", cls=Command, short_help="Show every security key that is connected or known.")
@click.option("--connected", is_flag=True, help="Only keys that are plugged in or on a reader.")
@click.option("--known", is_flag=True, help="Only keys that have a name.")
@click.option("--owner", shell_complete=owners, help="Only keys of this owner; '' for none.")
@click.option("--role", type=click.Choice(["primary", "backup", "spare"]), help="Only keys with this role.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header.")
@click.pass_context
def COMMAND(  # noqa: N802  # the name by which the catalogue finds it
    context: click.Context, *, connected: bool, known: bool, owner: str | None, role: str | None, as_csv: bool
) -> Outcome:
    """Show every key that is connected, over USB, on card readers, and virtual ones, and all that have a name.

    A name or a selector is what --key takes. A key that cannot be opened is shown with the reason; it never hides the
    others.
    """
    from keyctl.cli import app
    from keyctl.operations import listing

    condition = listing.Filter(connected=connected, known=known, owner=owner, role=Role(role) if role else None)
    found = listing.list_keys(app.circumstances(context), condition)
    keys = found.keys
    if found.others and (known or owner is not None or role is not None):
        notes: tuple[str, ...] = ("no key meets these conditions; `keyctl list` shows all",)
    else:
        notes = (f"no security key found: {advice.NO_KEY}", *found.obstacles)
    return Outcome(
        data={"keys": keys},
        text=lambda: _csv(keys) if as_csv else _table(keys),
        notes=(*found.remarks, *notes) if not keys else found.remarks,
        errors=found.errors,
        errors_count=False,
    )


def _table(keys: Sequence[Key]) -> str:
    from keyctl.cli import tables

    if not keys:
        return ""
    columns: list[tuple[str, list[str | None]]] = [
        ("NAME", [key.name for key in keys]),
        ("ROLE", [key.role for key in keys]),
        ("OWNER", [key.owner for key in keys]),
        ("SELECTOR", [key.selector for key in keys]),
        ("MODEL", [_model(key) for key in keys]),
        ("FIRMWARE", [key.firmware for key in keys]),
        ("SERIAL", [key.serial for key in keys]),
        ("LOCATION", [key.location for key in keys]),
        ("STATE", [_state(key) for key in keys]),
    ]
    shown = [column for column in columns if column[0] not in _WHERE_TOLD or any(column[1])]
    return tables.table([header for header, _ in shown], list(zip(*(cells for _, cells in shown), strict=True)))


def _state(key: Key) -> str | None:
    """Whether the key is there and can be used, in a word or two."""
    from keyctl.core import times

    words = [key.state.value] if key.state in {KeyState.LOST, KeyState.RESET} else []
    if key.connected:
        words.append(key.access or "?")
    else:
        words.append(f"last seen {times.day(key.last_seen)}" if key.last_seen else "not connected")
    return ", ".join(words)


def _model(key: Key) -> str | None:
    name = key.model or key.product
    return f"{name or 'security key'} (for trying out)" if key.virtual else name


def _csv(keys: Sequence[Key]) -> str:
    import csv
    import io

    from keyctl.cli.document import jsonable

    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for key in keys:
        values = jsonable(key)
        writer.writerow([_cell(values[column]) for column in CSV_COLUMNS])
    return lines.getvalue().rstrip("\n")


def _cell(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(value or "")
