"""Reads the report of a month."""

import math
from typing import Any

from tillkeeper.desk.api.call import CheckedCall
from tillkeeper.desk.api.types import reports as types
from tillkeeper.desk.show.report_cells import advice_text
from tillkeeper.domain.monthly.advice import Advice
from tillkeeper.domain.monthly.figures import Month
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import TABLES
from tillkeeper.store.monthly.report import report_of


async def report(call: CheckedCall) -> types.MonthReport:
    """Answers GET /api/reports."""
    present = Month.of(call.desk.now().astimezone(call.desk.zone).date())
    month = Month.read(call.query.month) if call.query.month else present.before
    found, advice = await report_of(call.desk.pool, month, account=call.query.account)
    return as_body(found, advice)


def as_body(report: Report, advice: tuple[Advice, ...]) -> types.MonthReport:
    """Returns a report as programs read it."""
    return types.MonthReport(
        month=str(report.month),
        zone=report.zone,
        account=report.account,
        as_of=report.as_of,
        stale_days=report.stale_days,
        advice=[_advice(each) for each in advice],
        tables=[
            types.ReportRows(
                name=table.key,
                rows=[
                    {column.key: _plain(column.value(line)) for column in table.columns} for line in table.lines(report)
                ],
            )
            for table in TABLES
        ],
    )


def _advice(advice: Advice) -> types.ReportAdvice:
    return types.ReportAdvice(
        kind=advice.kind,
        account=advice.account,
        method=advice.method,
        from_hour=advice.from_hour,
        until_hour=advice.until_hour,
        here_part=advice.here.part,
        here_whole=advice.here.whole,
        there_part=advice.there.part,
        there_whole=advice.there.whole,
        text=advice_text(advice, "en"),
    )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isinf(value) else value
