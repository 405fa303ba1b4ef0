"""Text for people: tables and blocks that fit the terminal and keep hostile text harmless."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

#: Off a terminal lines are as long as they are: what is piped is searched, not looked at.
_UNBOUNDED = 10_000


def table(headers: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    """Columns under headers; on a terminal long cells are folded, never cut. None is shown as ``-``."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        grid.add_column(header, overflow="fold")
    return _rendered(grid, rows)


def fixed(headers: Sequence[str], rows: Iterable[Sequence[str | None]], widths: Sequence[int]) -> str:
    """As :func:`table`, in columns of these widths, with two cells between them; what is longer is folded."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header, width in zip(headers, widths, strict=True):
        grid.add_column(Text(visible(header)), width=width, overflow="fold")
    return _rendered(grid, rows)


def width() -> int | None:
    """The cells of a line on the terminal; None off one, where lines are as long as they are."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return _console(io.StringIO()).width


def width_of(text: str) -> int:
    """The cells that *text* takes when it is made visible; some characters take two, some none."""
    from rich.cells import cell_len

    return cell_len(visible(text))


def pairs(rows: Iterable[tuple[str, str | None]]) -> str:
    """A word and what belongs to it, one pair a line."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return _rendered(grid, rows)


def _rendered(grid: object, rows: Iterable[Sequence[str | None]]) -> str:
    from rich.table import Table
    from rich.text import Text

    assert isinstance(grid, Table)
    for row in rows:
        # Text, not str: a str would be read as markup.
        grid.add_row(*(Text(visible(cell) if cell else "-") for cell in row))
    # Rich never sees stdout: it would write to it, and fail, here.
    page = io.StringIO()
    _console(page).print(grid)
    return "\n".join(line.rstrip() for line in page.getvalue().rstrip("\n").split("\n"))


def _console(page: io.StringIO) -> Console:
    from rich.console import Console

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(
        file=page,
        width=None if on_terminal else _UNBOUNDED,
        force_terminal=on_terminal,
        # Without colour Rich would still make headers bold.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
