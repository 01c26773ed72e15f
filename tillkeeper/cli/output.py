"""Prints the output of commands: JSON for programs, tables for people.

People read times in the zone of `notify.time_zone`, and what is urgent in colour, where standard output is a terminal
and NO_COLOR is not set.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLUMNS_MAX: Final = 100_000  # wider than any table
PIPE_COLUMNS: Final = 200  # where neither a terminal nor COLUMNS says how many


_zone: tzinfo = UTC


class TextStyle(StrEnum):
    """How urgent something is, and the style that a terminal shows it in."""

    PLAIN = ""
    FAINT = "dim"
    LOOK = "yellow"  # somebody should look at it
    ALARM = "bold red"  # somebody must act


class Toned(NamedTuple):
    """A value of a table that is shown in a tone."""

    value: object
    tone: TextStyle


def use_zone(name: str) -> None:
    """Has all times be shown in this zone from now on."""
    global _zone  # noqa: PLW0603 - a command's own, as its standard output is
    _zone = ZoneInfo(name)


def zone() -> tzinfo:
    """Returns the zone that times are shown in."""
    return _zone


def tone_of_level(level: int) -> TextStyle:
    """Returns how urgent a case of this level is: each escalation makes it more so."""
    return TextStyle.PLAIN if level <= 1 else TextStyle.LOOK if level == 2 else TextStyle.ALARM  # noqa: PLR2004 - the second level


def print_toned(text: str, tone: TextStyle) -> None:
    """Prints a line of our own in a tone."""
    from rich.text import Text

    _console().print(Text(text, style=tone), soft_wrap=True)


def print_json(content: Any) -> None:
    """Prints one line of JSON in UTF-8, with times as the HTTP API writes them."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(content, default=str, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table under its title, or nothing where it has no rows.  Columns that begin with > hold numbers.

    Where words would be cut into letters to fit the terminal, each row is printed as lines of names and values.
    """
    if not (lines := [[_toned(value) for value in row] for row in rows]):
        return
    table, console = _table(columns, lines), _console()
    print(title)
    if _narrowest(table, console) <= console.width:
        console.print(table)
        print()
        return
    for line in lines:
        named = zip(columns, line, strict=True)
        print_facts({column.removeprefix(">"): each if shown(each.value) else None for column, each in named})
        print()


def _toned(value: object) -> Toned:
    return value if isinstance(value, Toned) else Toned(value, TextStyle.PLAIN)


def _narrowest(table: "Table", console: "Console") -> int:
    """Returns the columns that a table takes where no word of it is cut."""
    return console.measure(table, options=console.options.update(width=COLUMNS_MAX)).minimum


def _table(columns: Sequence[str], lines: Iterable[Sequence[Toned]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), overflow="fold", justify="right" if column[:1] == ">" else "left")
    for line in lines:
        table.add_row(*(Text(shown(value), style=tone) for value, tone in line))
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
    lines = {name: _toned(value) for name, value in facts.items() if value is not None}
    width = max(map(len, lines), default=0)
    for name, (value, tone) in lines.items():
        line = f"{name:<{width}}  {shown(value)}"
        if tone is TextStyle.PLAIN:
            print(line)
        else:
            print_toned(line, tone)


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
    """Writes a value for people: times to the second in the configured zone, nothing for None, no control
    characters."""
    match value:
        case None:
            return ""
        case datetime():
            return _time(value)
        case _:
            return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(value))


def _time(at: datetime) -> str:
    """Writes 2026-11-22 20:00:00+08, or Z behind it for UTC."""
    local = at.astimezone(_zone)
    offset = f"{local:%z}".removesuffix("00") or "+00"
    return f"{local:%Y-%m-%d %H:%M:%S}{'Z' if not local.utcoffset() else offset}"
