"""Reads days out of what people write: 2026-11-28, 28.11.2026, 11月28日, 28 Nov, yesterday, 昨天."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = "|".join(_MONTHS)
# (how it is written, the groups of year, month and day; 0: the year is not said)
_FORMS: Final = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), groups)
    for pattern, groups in (
        (r"(?<![\w.-])(20\d\d)([-/.])(\d{1,2})\2(\d{1,2})(?![\w-])", (1, 3, 4)),
        (r"(?<![\w.-])(\d{1,2})\.(\d{1,2})\.(20\d\d)(?![\w-])", (3, 2, 1)),
        (r"(20\d\d) ?年 ?(\d{1,2}) ?月 ?(\d{1,2}) ?[日号]", (1, 2, 3)),
        (r"(?<!\d)(\d{1,2}) ?月 ?(\d{1,2}) ?[日号]", (0, 1, 2)),
        (rf"(?<!\w)(\d{{1,2}})(?:st|nd|rd|th)? ({_MONTH})[a-z]*\.?,? (20\d\d)(?!\w)", (3, 2, 1)),
        (rf"(?<!\w)({_MONTH})[a-z]*\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (20\d\d)(?!\w)", (3, 1, 2)),
        (rf"(?<!\w)(\d{{1,2}})(?:st|nd|rd|th)? ({_MONTH})(?![a-z])", (0, 2, 1)),
        (rf"(?<!\w)({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?!\w)", (0, 1, 2)),
        (r"(?<![\w./-])(\d{1,2})-(\d{1,2})(?![\w./-])", (0, 1, 2)),
    )
)
_DAYS_AGO: Final[Mapping[str, int]] = MappingProxyType(
    {
        "day before yesterday": 2,
        "前天": 2,
        "yesterday": 1,
        "昨天": 1,
        "昨日": 1,
        "昨晚": 1,
        "today": 0,
        "今天": 0,
        "今日": 0,
    }
)
_RELATIVE: Final = re.compile("|".join(_DAYS_AGO), re.IGNORECASE)
DAYS_MAX: Final = 3  # of one text: more are a list of dates, and none of them is meant


def take_days(text: str, *, today: date) -> tuple[tuple[date, ...], str]:
    """Returns the days that a text names, and the text without them."""
    found: list[date] = []
    for pattern, groups in _FORMS:
        text = pattern.sub(_reading(found, groups, today), text)
    text = _RELATIVE.sub(_ago(found, today), text)
    return tuple(dict.fromkeys(found))[:DAYS_MAX], text


def _reading(found: list[date], groups: tuple[int, int, int], today: date) -> Callable[[re.Match[str]], str]:
    year, month, day = groups

    def take(match: re.Match[str]) -> str:
        told = next(_days(match[year] if year else None, match[month], match[day], today), None)
        if told is None:
            return match[0]
        found.append(told)
        return " "

    return take


def _ago(found: list[date], today: date) -> Callable[[re.Match[str]], str]:
    def take(match: re.Match[str]) -> str:
        found.append(today - timedelta(days=_DAYS_AGO[match[0].lower()]))
        return " "

    return take


def _days(year: str | None, month: str, day: str, today: date) -> Iterator[date]:
    """Yields the day, if the calendar has it; without a year the latest one that is not to come."""
    number = int(month) if month.isdigit() else _MONTHS.index(month.lower()) + 1
    for each in (int(year),) if year else (today.year, today.year - 1):
        try:
            told = date(each, number, int(day))
        except ValueError:
            continue
        if year or told <= today:
            yield told
