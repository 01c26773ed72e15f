"""Defines what the API answers about months."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import AccountFilter, Moment


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which month is wanted."""

    month: Annotated[
        Annotated[str, Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None,
        Meta(description="The month, such as 2026-10; null: the last that ended."),
    ] = None
    account: AccountFilter = None


class ReportAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that asks for attention: so many of so many here, against so many of so many there."""

    kind: Annotated[str, Meta(description="hours_fail, method_fails, worse, better or asked.")]
    account: Annotated[str, Meta(description="The configured account.")]
    method: Annotated[str, Meta(description="The way of paying; empty where it is not about one.")]
    from_hour: Annotated[int, Meta(description="Of the hours of the day that it is about, the first.")]
    until_hour: Annotated[int, Meta(description="And the one before which they end.")]
    here_part: Annotated[int, Meta(description="How many of them.")]
    here_whole: Annotated[int, Meta(description="Of how many.")]
    there_part: Annotated[int, Meta(description="How many of those that they are compared with.")]
    there_whole: Annotated[int, Meta(description="Of how many.")]
    text: Annotated[str, Meta(description="The same in words.")]


class ReportRows(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the report."""

    name: Annotated[
        str, Meta(description="totals, accounts, methods, failures, rescued, hours, ... as in docs/reports.md.")
    ]
    rows: Annotated[
        list[dict[str, str | int | float | None]],
        Meta(description="By column.  Amounts are minor units of the row's currency, rates parts of 1, times seconds."),
    ]


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a month says."""

    month: Annotated[str, Meta(description="The month.")]
    zone: Annotated[str, Meta(description="Whose days it counts.")]
    account: Annotated[str | None, Meta(description="Whose it is alone; null: all accounts'.")]
    as_of: Annotated[Moment | None, Meta(description="It knows what was recorded before then; null: nothing yet.")]
    stale_days: Annotated[int, Meta(description="How many of its days are still to be added up.")]
    advice: Annotated[list[ReportAdvice], Meta(description="What asks for attention, the surest first.")]
    tables: Annotated[list[ReportRows], Meta(description="Its tables.")]
