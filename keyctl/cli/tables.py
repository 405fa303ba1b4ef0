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
#: Cells; what is longer, such as an id, may be broken.
_LONG_WORD = 16
_ANY_HEIGHT = 25
#: Cells between two columns.
_GAP = 2


def table(headers: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    """Columns under headers; on a terminal long cells are folded, never cut. None is shown as ``-``.

    Where the terminal is too narrow for the words in the cells, a block for each row.
    """
    from rich.table import Table

    rows = list(rows)
    available = width()
    if available is not None and _least_width(headers, rows) > available:
        return "\n\n".join(pairs(list(zip(headers, row, strict=True))) for row in rows)
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        grid.add_column(header, overflow="fold")
    return _rendered(grid, rows)


def apart(headers: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    """As :func:`table`; where the terminal is too narrow, the last column stands below, beside the first once more.

    For what is compared and copied, such as fingerprints, and should not be broken.
    """
    rows = list(rows)
    available = width()
    columns = zip(headers, *rows, strict=True)
    wanted = sum(max(width_of(cell or "-") for cell in column) for column in columns) + _GAP * (len(headers) - 1)
    if available is None or wanted <= available:
        return table(headers, rows)
    most = table(headers[:-1], [row[:-1] for row in rows])
    return f"{most}\n\n{table((headers[0], headers[-1]), [(row[0], row[-1]) for row in rows])}"


def _least_width(headers: Sequence[str], rows: Sequence[Sequence[str | None]]) -> int:
    """The cells that columns take in which no word is broken but the very long ones."""
    columns = zip(headers, *rows, strict=True)
    words = [max(width_of(word) for cell in column for word in (cell or "-").split() or ["-"]) for column in columns]
    return sum(min(word, _LONG_WORD) for word in words) + _GAP * (len(words) - 1)


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


def _columns() -> int | None:
    """What the terminal says of its width, or nothing; Rich takes 80 for whatever is called dumb."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns) or None
    except (OSError, ValueError):
        return None


def _console(page: io.StringIO) -> Console:
    from rich.console import Console

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(
        file=page,
        width=_columns() if on_terminal else _UNBOUNDED,
        # A width alone counts for nothing on a dumb terminal.
        height=_ANY_HEIGHT,
        force_terminal=on_terminal,
        # Without colour Rich would still make headers bold.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )
