"""Describes the tables of a report, so that every output shows the same: terminal, page, CSV, XLSX, HTML and PDF."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

import msgspec

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.monthly.report import Report


class Sort(StrEnum):
    """What a column holds."""

    TEXT = "text"  # as it is: an account, a way of paying, a person
    WORD = "word"  # a word of ours, which `Column.words` translates
    COUNT = "count"
    MONEY = "money"  # minor units of the line's currency
    RATE = "rate"  # a part of 1
    SECONDS = "seconds"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: its title is the word `report_title.{key}`."""

    key: str
    sort: Sort
    value: Callable[[Any], Any]
    words: str = ""  # the subject of the catalogue

    @property
    def is_number(self) -> bool:
        """Whether its values stand at the right."""
        return self.sort not in {Sort.TEXT, Sort.WORD}


class ReportTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table: its title is the word `report_title.{key}`, and what must be known to read it `report_note.{key}`."""

    key: str
    lines: Callable[[Report], Iterable[Any]]
    columns: tuple[Column, ...]


def _text(key: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.TEXT, value=value)


def _word(key: str, words: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.WORD, value=value, words=words)


def _count(key: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.COUNT, value=value)


def _money(key: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.MONEY, value=value)


def _rate(key: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.RATE, value=value)


def _seconds(key: str, value: Callable[[Any], Any]) -> Column:
    return Column(key=key, sort=Sort.SECONDS, value=value)


ACCOUNT: Final = _text("account", lambda line: line.account)
METHOD: Final = _text("method", lambda line: line.name)
CURRENCY: Final = _text("currency", lambda line: line.currency)
TRIED: Final = _count("tried", lambda line: line.now.tried)
RATE: Final = _rate("rate", lambda line: line.now.rate)
RATE_BEFORE: Final = _rate("rate_before", lambda line: line.before.rate)
PAID_MINOR: Final = _money("paid_minor", lambda line: line.now.paid_minor)
PAID_BEFORE: Final = _money("paid_before", lambda line: line.before.paid_minor)
OF_ATTEMPTS: Final = (
    TRIED,
    RATE,
    RATE_BEFORE,
    _count("paid", lambda line: line.now.paid),
    PAID_MINOR,
    PAID_BEFORE,
    _count("failed", lambda line: line.now.failed),
    _count("cancelled", lambda line: line.now.cancelled),
    _money("reversed_minor", lambda line: line.now.reversed_minor),
)
IN_SHORT: Final = (
    TRIED,
    RATE,
    RATE_BEFORE,
    _count("failed_now", lambda line: line.now.tried - line.now.succeeded),
)

TABLES: Final = (
    ReportTable(key="totals", lines=lambda report: report.totals, columns=(CURRENCY, *OF_ATTEMPTS)),
    ReportTable(key="accounts", lines=lambda report: report.accounts, columns=(ACCOUNT, CURRENCY, *OF_ATTEMPTS)),
    ReportTable(key="methods", lines=lambda report: report.methods, columns=(ACCOUNT, METHOD, *IN_SHORT)),
    ReportTable(
        key="failures",
        lines=lambda report: report.failures,
        columns=(
            ACCOUNT,
            _word("failure", "failure", lambda line: line.failure),
            _count("payments", lambda line: line.count),
            _rate("of_tried", lambda line: line.count / line.of if line.of else None),
            _count("payments_before", lambda line: line.before),
        ),
    ),
    ReportTable(
        key="rescued",
        lines=lambda report: report.rescued,
        columns=(
            CURRENCY,
            _count("orders_failed", lambda line: line.failed),
            _money("orders_failed_minor", lambda line: line.failed_minor),
            _count("by_retry", lambda line: line.by_retry),
            _money("by_retry_minor", lambda line: line.by_retry_minor),
            _count("by_reminder", lambda line: line.by_reminder),
            _money("by_reminder_minor", lambda line: line.by_reminder_minor),
            _money("at_risk", lambda line: line.at_risk_minor),
        ),
    ),
    ReportTable(
        key="hours",
        lines=lambda report: report.hours,
        columns=(_text("hour", lambda line: f"{line.name}:00"), *IN_SHORT),
    ),
    ReportTable(
        key="weekdays",
        lines=lambda report: report.weekdays,
        columns=(_word("weekday", "weekday", lambda line: line.name), *IN_SHORT),
    ),
    ReportTable(
        key="bands",
        lines=lambda report: report.bands,
        columns=(CURRENCY, _word("band", "band", lambda line: line.name), *IN_SHORT),
    ),
    ReportTable(
        key="knowing",
        lines=lambda report: report.knowing,
        columns=(
            ACCOUNT,
            _count("payments", lambda line: line.payments),
            _rate("by_webhook", lambda line: line.share(Evidence.WEBHOOK)),
            _rate("by_query", lambda line: line.share(Evidence.QUERY)),
            _rate("by_statement", lambda line: line.share(Evidence.STATEMENT)),
            _rate("by_operator", lambda line: line.share(Evidence.OPERATOR)),
            _seconds("median", lambda line: line.after.median_s),
            _seconds("p95", lambda line: line.after.p95_s),
            _seconds("longest", lambda line: line.longest_s),
        ),
    ),
    ReportTable(
        key="refunds",
        lines=lambda report: report.refunds,
        columns=(
            ACCOUNT,
            CURRENCY,
            _count("refunds_done", lambda line: line.count),
            _money("amount", lambda line: line.minor),
            _count("refunds_failed", lambda line: line.failed),
            _seconds("median", lambda line: line.took.median_s),
            _seconds("p95", lambda line: line.took.p95_s),
        ),
    ),
    ReportTable(
        key="disputes",
        lines=lambda report: report.disputes,
        columns=(
            ACCOUNT,
            CURRENCY,
            _count("opened", lambda line: line.opened),
            _money("amount", lambda line: line.opened_minor),
            _count("won", lambda line: line.won),
            _count("lost", lambda line: line.lost),
            _money("lost_minor", lambda line: line.lost_minor),
        ),
    ),
    ReportTable(
        key="cases",
        lines=lambda report: report.cases,
        columns=(
            _word("kind", "case", lambda line: line.kind),
            _count("opened", lambda line: line.opened),
            _count("closed_by_system", lambda line: line.by_system),
            _count("closed_by_people", lambda line: line.by_people),
            _count("still_open", lambda line: line.still_open),
            _count("highest_level", lambda line: line.highest_level),
            _seconds("median", lambda line: line.median_s),
        ),
    ),
    ReportTable(
        key="people",
        lines=lambda report: report.people,
        columns=(
            _text("name", lambda line: line.name),
            _count("entries", lambda line: line.entries),
            _count("resolved", lambda line: line.resolved),
            _count("acts", lambda line: line.acts),
        ),
    ),
)
