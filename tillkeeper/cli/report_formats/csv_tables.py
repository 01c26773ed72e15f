"""Writes a report as CSV: each table under its name, with an empty line between two."""

import csv
import io
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import Column, ReportTable, Sort

FORMULA: Final = "=+-@\t\r"  # a spreadsheet would reckon what begins with one of these


def csv_of(report: Report, tables: Iterable[ReportTable]) -> str:
    """Returns the tables that have lines.  Amounts are in major units, rates parts of 1, times seconds."""
    return "\n".join(_one(report, table) for table in tables if list(table.lines(report)))


def _one(report: Report, table: ReportTable) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([table.key])
    writer.writerow([column.key for column in table.columns])
    for line in table.lines(report):
        writer.writerow([_unreckoned(plain(column, line)) for column in table.columns])
    return out.getvalue()


def plain(column: Column, line: Any) -> str | int | float | Decimal | None:
    """Returns a cell for programs: a number as a number, None where there is none."""
    value: str | int | float | None = column.value(line)
    if isinstance(value, float) and math.isinf(value):
        return None
    if column.sort is Sort.MONEY and isinstance(value, int):
        return Decimal(value).scaleb(-EXPONENTS.get(line.currency, 0))
    return value


def _unreckoned(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA and value else value
