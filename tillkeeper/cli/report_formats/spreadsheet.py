"""Writes a report as a spreadsheet (XLSX): a sheet for each table, numbers as numbers, and no text as a formula."""

from collections.abc import Iterable
from typing import IO, Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from tillkeeper.cli.report_formats.csv_tables import plain
from tillkeeper.desk.person import Locale
from tillkeeper.desk.show import report_cells
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.monthly.advice import Advice
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import TABLES, Column, ReportTable, Sort

FORMATS: Final = {Sort.COUNT: "#,##0", Sort.RATE: "0.0 %", Sort.SECONDS: "#,##0"}
WIDTH: Final = 18
BOLD: Final = Font(bold=True)


def write_spreadsheet(report: Report, advice: Iterable[Advice], locale: Locale, out: IO[bytes]) -> None:
    """Writes all tables that have lines, and the advice on the first sheet."""
    book = Workbook(write_only=True)
    first = book.create_sheet(report_cells.title_of("totals", locale))
    first.append([_text(first, f"{report.month} · {report.zone}", bold=True)])
    for each in advice:
        first.append([_text(first, report_cells.advice_text(each, locale))])
    first.append([])
    _fill(first, report, TABLES[0], locale)
    for table in TABLES[1:]:
        if list(table.lines(report)):
            sheet = book.create_sheet(report_cells.title_of(table.key, locale)[:31])
            for number in range(len(table.columns)):
                sheet.column_dimensions[get_column_letter(number + 1)].width = WIDTH
            _fill(sheet, report, table, locale)
    book.save(out)


def _fill(sheet: Any, report: Report, table: ReportTable, locale: Locale) -> None:
    sheet.append([_text(sheet, report_cells.title_of(column.key, locale), bold=True) for column in table.columns])
    for line in table.lines(report):
        sheet.append([_cell(sheet, column, line, locale) for column in table.columns])


def _cell(sheet: Any, column: Column, line: Any, locale: Locale) -> Any:
    if not column.is_number:
        return _text(sheet, report_cells.cell(column, line, locale))
    cell = WriteOnlyCell(sheet, plain(column, line))
    cell.number_format = FORMATS.get(column.sort) or _of_money(line.currency)
    return cell


def _of_money(currency: str) -> str:
    decimals = EXPONENTS.get(currency, 0)
    return "#,##0" + ("." + "0" * decimals if decimals else "")


def _text(sheet: Any, text: str, *, bold: bool = False) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"  # also where it begins with =
    if bold:
        cell.font = BOLD
    return cell
