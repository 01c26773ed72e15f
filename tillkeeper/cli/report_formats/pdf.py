"""Writes a report as PDF.  Chinese is set in a font that every reader of PDF has (STSong-Light), so none is in it."""

from collections.abc import Iterable
from typing import IO, Any, Final
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Table, TableStyle

from tillkeeper.desk.person import Locale
from tillkeeper.desk.show import report_cells
from tillkeeper.desk.words import say_plainly
from tillkeeper.domain.monthly.advice import Advice
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import TABLES, Column, ReportTable

LATIN: Final = "Helvetica"
CHINESE: Final = "STSong-Light"
INK: Final = HexColor(0x222222)
SOFT: Final = HexColor(0x555555)
HAIR: Final = HexColor(0xCCCCCC)
MARGIN: Final = 14 * mm
WIDTH: Final = landscape(A4)[0] - 2 * MARGIN - 12  # a frame keeps six points on each side
TOGETHER_ROWS: Final = 25  # a longer table may go on on the next page
BAR, GAP, HEIGHT = 7 * mm, 3.4 * mm, 26 * mm


def write_pdf(report: Report, advice: Iterable[Advice], locale: Locale, out: IO[bytes], *, as_of: str) -> None:
    """Writes the whole report on pages of A4, landscape."""
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    title = say_plainly("report.title", locale, month=str(report.month))
    if report.account is not None:
        title += f" · {say_plainly('report.of_account', locale, account=report.account)}"
    word = "report.lead_stale" if report.stale_days else "report.lead"
    lead = say_plainly(word, locale, zone=report.zone, as_of=as_of, count=report.stale_days)
    told = [_paragraph(report_cells.advice_text(each, locale), 9) for each in advice]
    story: list[Any] = [
        _paragraph(title, 17),
        _paragraph(lead, 9, SOFT),
        _heading(say_plainly("report.advice", locale)),
        *(told or [_paragraph(say_plainly("report.no_advice", locale), 9, SOFT)]),
    ]
    for table in TABLES:
        lines = list(table.lines(report))
        if lines:
            story.append(_section(report, table, lines, locale))
    document = SimpleDocTemplate(
        out,
        pagesize=landscape(A4),
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=title,
        creator="Tillkeeper",
    )
    document.build(story)


def _section(report: Report, table: ReportTable, lines: list[Any], locale: Locale) -> Any:
    parts: list[Any] = [_heading(report_cells.title_of(table.key, locale))]
    note = report_cells.note_of(table, locale)
    if note is not None:
        parts.append(_paragraph(note, 8, SOFT))
    if table.key == "hours":
        parts.append(_hours(report_cells.hours_of(report)))
    parts.append(_rows(table.columns, lines, locale))
    return KeepTogether(parts) if len(lines) <= TOGETHER_ROWS else _flow(parts)


def _flow(parts: list[Any]) -> Any:
    return KeepTogether(parts, maxHeight=1)


def _rows(columns: tuple[Column, ...], lines: list[Any], locale: Locale) -> Table:
    head = [report_cells.title_of(column.key, locale) for column in columns]
    texts = [head, *([report_cells.cell(column, line, locale) for column in columns] for line in lines)]
    style: list[Any] = [
        ("FONTSIZE", (0, 0), (-1, -1), 8.5),
        ("TEXTCOLOR", (0, 0), (-1, 0), SOFT),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, HAIR),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
    ]
    style += [("ALIGN", (at, 0), (at, -1), "RIGHT") for at, column in enumerate(columns) if column.is_number]
    style += [
        ("FONTNAME", (at, row), (at, row), _font_of(text))
        for row, line in enumerate(texts)
        for at, text in enumerate(line)
    ]
    table = Table(texts, colWidths=[WIDTH / len(columns)] * len(columns), repeatRows=1)
    table.setStyle(TableStyle(style))
    return table


def _hours(hours: list[tuple[int, int]]) -> Drawing:
    """Payments by the hour: paid ones filled, the others an empty frame, the success in % above."""
    most = max(tried for tried, _ in hours) or 1
    drawing = Drawing(WIDTH, HEIGHT + 10 * mm)
    drawing.add(Line(0, 5 * mm, len(hours) * (BAR + GAP), 5 * mm, strokeColor=HAIR))
    for hour, (tried, succeeded) in enumerate(hours):
        x = hour * (BAR + GAP)
        whole, paid = (HEIGHT * count / most for count in (tried, succeeded))
        drawing.add(Rect(x, 5 * mm, BAR, whole, fillColor=white, strokeColor=INK, strokeWidth=0.5))
        drawing.add(Rect(x, 5 * mm, BAR, paid, fillColor=INK, strokeColor=INK, strokeWidth=0.5))
        drawing.add(_mark(x + BAR / 2, 1 * mm, f"{hour:02d}"))
        if tried:
            drawing.add(_mark(x + BAR / 2, 6 * mm + whole, f"{100 * succeeded / tried:.0f}"))
    return drawing


def _mark(x: float, y: float, text: str) -> String:
    return String(x, y, text, fontName=LATIN, fontSize=7, fillColor=SOFT, textAnchor="middle")


def _heading(text: str) -> Any:
    return _paragraph(text, 11, before=4 * mm)


def _paragraph(text: str, size: float, colour: Color = INK, *, before: float = 0) -> Paragraph:
    style = ParagraphStyle(
        "told", fontName=_font_of(text), fontSize=size, leading=size * 1.35, textColor=colour, spaceBefore=before
    )
    return Paragraph(escape(text), style)


def _font_of(text: str) -> str:
    return LATIN if all(ord(char) < 0x180 for char in text) else CHINESE  # noqa: PLR2004 - Latin, as Helvetica has it
