"""Sections of figures: shown as tables with their targets beside, and kept as JSON."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

WIDTH: Final = 118
Figure = str | int | float | None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure should be.  Shown, never asserted."""

    name: str
    measured: float
    wanted: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether it is so."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table.  Rows are by column; all have the columns of the first."""

    name: str
    title: str
    rows: Sequence[Mapping[str, Figure]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()


def show(console: Console, section: Section) -> None:
    """Prints the section."""
    console.print(section.title, style="bold")
    table = Table()
    for column in section.rows[0]:
        is_name = isinstance(section.rows[0][column], str)
        table.add_column(column, justify="left" if is_name else "right")
    for row in section.rows:
        table.add_row(*map(readable, row.values()))
    console.print(table)
    for target in section.targets:
        sign = ">=" if target.at_least else "<="
        verdict = "[green]met   [/green]" if target.met else "[red]missed[/red]"
        console.print(f"  {verdict} {target.name} {sign} {readable(target.wanted)}: {readable(target.measured)}")
    for note in section.notes:
        console.print(f"  {note}", style="dim")
    console.print()


def readable(figure: Figure) -> str:
    """Three digits that count."""
    match figure:
        case None:
            return "-"
        case str():
            return figure
        case int():
            return f"{figure:,}"
        case float():
            decimals = 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2
            return f"{figure:,.{decimals}f}" if abs(figure) >= 1 or figure == 0 else f"{figure:.3f}"


def as_json(sections: Sequence[Section], about: Mapping[str, Figure]) -> bytes:
    """Everything, targets' verdicts included."""
    told = [
        {
            "name": section.name,
            "rows": section.rows,
            "targets": [{**msgspec.structs.asdict(target), "met": target.met} for target in section.targets],
        }
        for section in sections
    ]
    return msgspec.json.format(msgspec.json.encode({**about, "sections": told}), indent=2)
