"""Prints the output of commands: JSON for programs, tables for people."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLUMNS_MAX: Final = 100_000  # wider than any table
PIPE_COLUMNS: Final = 200  # where neither a terminal nor COLUMNS says how many


def print_json(content: Any) -> None:
    """Prints one line of JSON in UTF-8, with times as the HTTP API writes them."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(content, default=str, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table under its title, or nothing where it has no rows.  Columns that begin with > hold numbers.

    Where words would be cut into letters to fit the terminal, each row is printed as lines of names and values.
    """
    if not (lines := [[shown(value) for value in row] for row in rows]):
        return
    table, console = _table(columns, lines), _console()
    print(title)
    if _narrowest(table, console) <= console.width:
        console.print(table)
        print()
        return
    for line in lines:
        print_facts({column.removeprefix(">"): value or None for column, value in zip(columns, line, strict=True)})
        print()


def _narrowest(table: "Table", console: "Console") -> int:
    """Returns the columns that a table takes where no word of it is cut."""
    return console.measure(table, options=console.options.update(width=COLUMNS_MAX)).minimum


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), overflow="fold", justify="right" if column[:1] == ">" else "left")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def cells(row: Mapping[str, object], *names: str) -> tuple[object, ...]:
    """Returns the row's values under these names, for a line of a table."""
    return tuple(row[name] for name in names)


def _console() -> "Console":
    """Opens a console that shows text of outsiders as it is, never as markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def print_facts(facts: Mapping[str, object]) -> None:
    """Prints names and values, one a line; values that are None are left out."""
    lines = {name: shown(value) for name, value in facts.items() if value is not None}
    width = max(map(len, lines), default=0)
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")


def lasting(span: timedelta) -> str:
    """Writes a span in its two greatest units: 3d 4h, 5h 12m, 40s."""
    seconds = max(0, int(span.total_seconds()))
    for size, lesser, names in ((86_400, 3_600, "dh"), (3_600, 60, "hm")):
        if seconds >= size:
            return f"{seconds // size}{names[0]} {seconds % size // lesser}{names[1]}"
    return f"{seconds // 60}m" if seconds >= 60 else f"{seconds}s"  # noqa: PLR2004 - a minute


def when(at: datetime, now: datetime) -> str:
    """Writes a time's distance from now: in 3h 0m, or 20m ago."""
    return f"in {lasting(at - now)}" if at > now else f"{lasting(now - at)} ago"


def shown(value: object) -> str:
    """Writes a value for people: times to the second in UTC, nothing for None, and no control characters."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}Z"
        case _:
            return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(value))
