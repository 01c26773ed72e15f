"""Writes the cells, titles and advice of a month's report as plain text, in a language."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from tillkeeper.desk.person import Locale
from tillkeeper.desk.show import money, numbers, texts, times
from tillkeeper.desk.words import catalogue, say_plainly
from tillkeeper.domain.monthly.advice import Advice
from tillkeeper.domain.monthly.lines import AttemptsLine
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import Column, ReportTable, Sort

NOTHING: Final = "-"
HOURS_OF_DAY: Final = 24


def title_of(key: str, locale: Locale) -> str:
    """Returns the title of a table or column."""
    return say_plainly(f"report_title.{key}", locale)


def note_of(table: ReportTable, locale: Locale) -> str | None:
    """Returns what must be known to read a table; None where nothing must."""
    key = f"report_note.{table.key}"
    return say_plainly(key, locale) if key in catalogue() else None


def cell(column: Column, line: Any, locale: Locale) -> str:
    """Writes one cell."""
    value = column.value(line)
    return NOTHING if value is None else _WRITTEN[column.sort](value, column, line, locale)


def _text(value: str, _column: Column, _line: Any, locale: Locale) -> str:
    return texts.visible(texts.cut(value)) if value else say_plainly("report.unnamed", locale)


_WRITTEN: Final[Mapping[Sort, Callable[[Any, Column, Any, Locale], str]]] = {
    Sort.TEXT: _text,
    Sort.WORD: lambda value, column, _, locale: word(column.words, value, locale),
    Sort.COUNT: lambda value, *_: numbers.whole(value),
    Sort.MONEY: lambda value, _column, line, _locale: money.written(value, line.currency).figure,
    Sort.RATE: lambda value, *_: percent(value),
    Sort.SECONDS: lambda value, _column, _line, locale: span(value, locale),
}


def word(subject: str, value: str, locale: Locale) -> str:
    """Writes a word of ours; one of a later version as it stands."""
    key = f"{subject}.{value}"
    return say_plainly(key, locale) if key in catalogue() else texts.visible(value)


def percent(part: float) -> str:
    """Writes a part of 1."""
    return f"{100 * part:.1f} %"


def span(seconds: float, locale: Locale) -> str:
    """Writes a span of time; one without an end by what it is longer than."""
    if math.isinf(seconds):
        return say_plainly("report.over", locale)
    return times.lasting(timedelta(seconds=seconds), locale)


def advice_text(advice: Advice, locale: Locale) -> str:
    """Writes one piece of advice with its figures."""
    return say_plainly(
        f"report_advice.{advice.kind}",
        locale,
        account=advice.account,
        method=texts.visible(advice.method) or say_plainly("report.unnamed", locale),
        from_hour=f"{advice.from_hour:02d}",
        until_hour=f"{advice.until_hour:02d}",
        here=numbers.whole(advice.here.part),
        here_whole=numbers.whole(advice.here.whole),
        here_rate=percent(advice.here.rate),
        there=numbers.whole(advice.there.part),
        there_whole=numbers.whole(advice.there.whole),
        there_rate=percent(advice.there.rate),
    )


def hours_of(report: Report) -> list[tuple[int, int]]:
    """Returns, for each hour of the day, how many payments were tried and how many of them were paid, over all
    currencies: what a chart shows."""
    found = [(0, 0)] * HOURS_OF_DAY
    for hour, tried, succeeded in _by_hour(report.hours):
        found[hour] = found[hour][0] + tried, found[hour][1] + succeeded
    return found


def _by_hour(lines: tuple[AttemptsLine, ...]) -> Iterator[tuple[int, int, int]]:
    for line in lines:
        yield int(line.name), line.now.tried, line.now.succeeded
