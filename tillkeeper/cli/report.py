"""Implements `tillkeeper report`: what a month says, for people, programs, spreadsheets and paper."""

import sys
from contextlib import nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from tillkeeper.cli.errors import WRONG, CommandError, reported
from tillkeeper.cli.options import AsJson, Config, exits, settings_from, unicode

if TYPE_CHECKING:
    from tillkeeper.desk.person import Locale
    from tillkeeper.domain.monthly.figures import Month as ReportedMonth
    from tillkeeper.domain.monthly.tables import ReportTable
    from tillkeeper.settings import Settings
    from tillkeeper.store.monthly.report import MonthReport

app = typer.Typer()


class ReportFormat(StrEnum):
    """What a report can be written as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    HTML = "html"
    PDF = "pdf"


class Language(StrEnum):
    """The language of titles and advice."""

    EN = "en"
    ZH = "zh"


BINARY: Final = frozenset({ReportFormat.XLSX, ReportFormat.PDF})

Month = Annotated[
    str | None, typer.Option("--month", metavar="YYYY-MM", parser=unicode, help="This month; else the last that ended.")
]
Account = Annotated[str | None, typer.Option("--account", metavar="A", parser=unicode, help="At this account alone.")]
Only = Annotated[
    str | None,
    typer.Option("--table", metavar="NAME", parser=unicode, help="This table alone: accounts, ..."),
]
As = Annotated[ReportFormat, typer.Option("--format", help="How to write it.")]
To = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it there; else to standard output.")]
In = Annotated[Language, typer.Option("--lang", help="The language of titles and advice.")]


@app.command("report", epilog=exits(example="tillkeeper report --month 2026-10 --format pdf --output october.pdf"))
def report_command(
    month: Month = None,
    account: Account = None,
    only: Only = None,
    form: As = ReportFormat.TABLE,
    output: To = None,
    language: In = Language.EN,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what a month says, beside the month before: how payments went, why they failed, what came after all.

    By account, way of paying, hour, day and amount; how soon outcomes were known and by what; refunds, disputes, cases,
    who did what; and what in it asks for attention, with the figures it rests on.  Currencies are never added up.

    `tillkeeper sweep` makes the figures of each day some minutes behind what is recorded, in the days of
    notify.time_zone.  XLSX and PDF need pip install 'tillkeeper[reports]'.  CSV and XLSX have amounts in major units,
    JSON in minor ones.
    """
    form = ReportFormat.JSON if as_json else form
    with reported(as_json=as_json):
        settings = settings_from(config)
        from tillkeeper.cli.database import ask
        from tillkeeper.cli.filters import refuse_unknown
        from tillkeeper.store.monthly.report import report_of

        wanted, tables = _month(month, settings), _tables(only)
        refuse_unknown("account", account, settings.accounts, found=())
        if form in BINARY and output is None and sys.stdout.isatty():
            raise CommandError(f"{form} is not for a terminal; name a file with --output", code=WRONG)
        found = ask(settings, lambda pool: report_of(pool, wanted, account=account))
        _write(found, tables, form, language.value, output)


def _month(text: str | None, settings: "Settings") -> "ReportedMonth":
    from zoneinfo import ZoneInfo

    from tillkeeper import clock
    from tillkeeper.domain.monthly.figures import Month as ReportedMonth

    if text is None:
        today = clock.now().astimezone(ZoneInfo(settings.notify.time_zone)).date()
        return ReportedMonth.of(today).before
    try:
        return ReportedMonth.read(text)
    except ValueError as error:
        raise CommandError(f"--month: {error}", code=WRONG) from None


def _tables(only: str | None) -> "tuple[ReportTable, ...]":
    from tillkeeper.domain.monthly.tables import TABLES

    if only is None:
        return TABLES
    found = tuple(table for table in TABLES if table.key == only)
    if not found:
        names = ", ".join(table.key for table in TABLES)
        raise CommandError(f"--table: {only!r} is none; there are {names}", code=WRONG)
    return found


def _write(
    found: "MonthReport", tables: "tuple[ReportTable, ...]", form: ReportFormat, locale: "Locale", output: Path | None
) -> None:
    if form is ReportFormat.TABLE and output is None:
        _print(found, tables, locale)
        return
    try:
        with output.open("wb") if output is not None else nullcontext(sys.stdout.buffer) as out:
            _write_to(out, found, tables, form, locale)
            out.flush()
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror or error}", code=WRONG) from None


def _write_to(
    out: IO[bytes], found: "MonthReport", tables: "tuple[ReportTable, ...]", form: ReportFormat, locale: "Locale"
) -> None:
    report, advice = found
    match form:
        case ReportFormat.XLSX:
            _spreadsheet(out, found, locale)
        case ReportFormat.PDF:
            _pdf(out, found, locale)
        case ReportFormat.HTML:
            from tillkeeper.cli.report_formats.print_page import page_of

            out.write(page_of(report, advice, locale, as_of=_as_of(report.as_of)).encode())
        case ReportFormat.CSV | ReportFormat.TABLE:
            from tillkeeper.cli.report_formats.csv_tables import csv_of

            out.write(csv_of(report, tables).encode("utf-8-sig"))  # or spreadsheets take it for another charset
        case ReportFormat.JSON:
            import msgspec

            from tillkeeper.desk.api.reads.reports import as_body

            body = as_body(report, advice)
            wanted = {table.key for table in tables}
            body = msgspec.structs.replace(body, tables=[each for each in body.tables if each.name in wanted])
            out.write(msgspec.json.encode(body) + b"\n")


def _spreadsheet(out: IO[bytes], found: "MonthReport", locale: "Locale") -> None:
    try:
        from tillkeeper.cli.report_formats.spreadsheet import write_spreadsheet
    except ModuleNotFoundError:
        raise _not_installed("XLSX") from None
    write_spreadsheet(*found, locale, out)


def _pdf(out: IO[bytes], found: "MonthReport", locale: "Locale") -> None:
    try:
        from tillkeeper.cli.report_formats.pdf import write_pdf
    except ModuleNotFoundError:
        raise _not_installed("PDF") from None
    write_pdf(*found, locale, out, as_of=_as_of(found.report.as_of))


def _not_installed(form: str) -> CommandError:
    return CommandError(f"{form} needs what is not installed: pip install 'tillkeeper[reports]'", code=WRONG)


def _as_of(at: datetime | None) -> str:
    from tillkeeper.cli.output import zone
    from tillkeeper.desk.show.times import exact

    return "-" if at is None else exact(at, zone())


def _print(found: "MonthReport", tables: "tuple[ReportTable, ...]", locale: "Locale") -> None:
    from tillkeeper.cli.output import print_table
    from tillkeeper.desk.show import report_cells
    from tillkeeper.desk.words import say_plainly

    report, advice = found
    title = say_plainly("report.title", locale, month=str(report.month))
    if report.as_of is None:
        print(f"{title}: {say_plainly('report.lead_none', locale)}")
        return
    word = "report.lead_stale" if report.stale_days else "report.lead"
    lead = say_plainly(word, locale, zone=report.zone, as_of=_as_of(report.as_of), count=report.stale_days)
    print(f"{title}. {lead}")
    for each in advice:
        print(f"- {report_cells.advice_text(each, locale)}")
    if not report.totals:
        print(say_plainly("report.nothing", locale))
    for table in tables:
        columns = [
            (">" if column.is_number else "") + report_cells.title_of(column.key, locale) for column in table.columns
        ]
        rows = ([report_cells.cell(column, line, locale) for column in table.columns] for line in table.lines(report))
        print_table(report_cells.title_of(table.key, locale), columns, rows)
