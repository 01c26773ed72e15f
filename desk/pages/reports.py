"""The page of a month's report."""

from typing import Final

from aiohttp import web

from tillkeeper.desk.context import desk_of
from tillkeeper.desk.form import month_in, query_of
from tillkeeper.desk.render import page, shower_for
from tillkeeper.desk.show import report_cells
from tillkeeper.desk.show.shower import Shower
from tillkeeper.domain.monthly.figures import Month
from tillkeeper.domain.monthly.report import Report
from tillkeeper.domain.monthly.tables import TABLES
from tillkeeper.store.monthly.reading import months_with_figures
from tillkeeper.store.monthly.report import report_of

MONTHS_OFFERED: Final = 36
LINES_SHOWN: Final = 12  # of a table; the others unfold


async def show(request: web.Request) -> web.Response:
    """Answers GET /reports, with ?month= and ?account=."""
    desk, shower, query = desk_of(request), shower_for(request), query_of(request)
    account = query.text("account") or None
    present = Month.of(shower.now.astimezone(shower.zone).date())
    month = month_in(text) if (text := query.text("month")) else present
    async with desk.pool.acquire() as conn:
        months = await months_with_figures(conn)
    report, advice = await report_of(desk.pool, month, account=account)
    return page(
        request,
        "reports.html",
        shower=shower,
        title=_title(shower, report),
        lead=_lead(shower, report),
        tone="look" if advice else "calm",
        report=report,
        advice=[report_cells.advice_text(each, shower.locale) for each in advice],
        tables=[(table, list(table.lines(report))) for table in TABLES],
        hours=report_cells.hours_of(report),
        cells=report_cells,
        lines_shown=LINES_SHOWN,
        months=sorted({*months, month, present}, reverse=True)[:MONTHS_OFFERED],
        account=account,
        accounts=sorted(desk.settings.accounts),
    )


def _title(shower: Shower, report: Report) -> str:
    title = shower.say("report.title", month=str(report.month))
    if report.account is None:
        return title
    return f"{title} · {shower.say('report.of_account', account=shower.cut(report.account))}"


def _lead(shower: Shower, report: Report) -> str:
    if report.as_of is None:
        return shower.say("report.lead_none")
    word = "report.lead_stale" if report.stale_days else "report.lead"
    return shower.say(word, zone=report.zone, as_of=shower.exactly(report.as_of), count=report.stale_days)
