"""Reads a month for its report: the figures of its days, its cases, and what people did."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.monthly.figures import DayFigure, FigureName, Month
from tillkeeper.domain.monthly.lines import CaseLine, PersonLine
from tillkeeper.domain.monthly.report import Made
from tillkeeper.store.postgres.pool import Conn

NO_ZONE: Final = "UTC"  # before anything was made
MADE = """
SELECT p.zone, p.read_to, (SELECT count(*) FROM report_stale_days WHERE day >= $1 AND day < $2) AS stale
FROM report_progress p
"""
FIGURES = """
SELECT figure, account, currency, method, detail, hour, extract(isodow FROM day)::integer AS weekday,
       sum(count)::bigint AS count, CASE WHEN figure = 'known_last' THEN max(minor) ELSE sum(minor) END AS minor
FROM report_figures
WHERE day >= $1 AND day < $2 AND ($3::text IS NULL OR account = $3)
GROUP BY figure, account, currency, method, detail, hour, extract(isodow FROM day)::integer
"""
CASES = """
SELECT kind, count(*) AS opened, count(*) FILTER (WHERE closed_by = 'system') AS by_system,
       count(*) FILTER (WHERE closed_by <> 'system') AS by_people, max(level) AS highest_level,
       extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY closed_at - opened_at)
                          FILTER (WHERE closed_at IS NOT NULL))::float AS median_s
FROM cases WHERE opened_at >= $1 AND opened_at < $2 AND ($3::text IS NULL OR account = $3)
GROUP BY kind
"""
PEOPLE = """
WITH did AS (
    SELECT by AS name, count(*) AS entries, count(*) FILTER (WHERE what IN ('resolved', 'closed')) AS resolved,
           0 AS acts
    FROM case_entries WHERE at >= $1 AND at < $2 AND by NOT IN ('tillkeeper', 'system') GROUP BY by
    UNION ALL
    SELECT person, 0, 0, count(*) FROM access_log WHERE at >= $1 AND at < $2 AND kind = 'act' GROUP BY person
)
SELECT name, sum(entries)::bigint AS entries, sum(resolved)::bigint AS resolved, sum(acts)::bigint AS acts
FROM did GROUP BY name
"""
MONTHS = "SELECT DISTINCT date_trunc('month', day)::date AS first FROM report_figures ORDER BY first DESC"


class MonthRead(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for a month's report."""

    made: Made
    figures: list[DayFigure]
    before: list[DayFigure]
    cases: list[CaseLine]
    people: list[PersonLine]


async def read_month(conn: Conn, month: Month, *, account: str | None) -> MonthRead:
    """Reads a month and the one before, in the caller's snapshot; `account` None means all."""
    made = await _made(conn, month)
    span = _moments(month, made.zone)
    return MonthRead(
        made=made,
        figures=await _figures(conn, month, account),
        before=await _figures(conn, month.before, account),
        cases=[CaseLine(**dict(row)) for row in await conn.fetch(CASES, *span, account)],
        people=[] if account else [PersonLine(**dict(row)) for row in await conn.fetch(PEOPLE, *span)],
    )


async def months_with_figures(conn: Conn) -> list[Month]:
    """Returns the months that have figures, the latest first."""
    return [Month.of(row["first"]) for row in await conn.fetch(MONTHS)]


async def _made(conn: Conn, month: Month) -> Made:
    row = await conn.fetchrow(MADE, month.first, month.after.first)
    if row is None:
        return Made(zone=NO_ZONE, as_of=None, stale_days=0)
    return Made(zone=row["zone"], as_of=row["read_to"], stale_days=row["stale"])


async def _figures(conn: Conn, month: Month, account: str | None) -> list[DayFigure]:
    rows = await conn.fetch(FIGURES, month.first, month.after.first, account)
    return [
        DayFigure(
            figure=FigureName(row["figure"]),
            account=row["account"],
            currency=row["currency"],
            method=row["method"],
            detail=row["detail"],
            hour=row["hour"],
            weekday=row["weekday"],
            count=row["count"],
            minor=row["minor"],
        )
        for row in rows
        if row["figure"] in KNOWN
    ]


KNOWN: Final = frozenset(FigureName)  # a later version may write more


def _moments(month: Month, zone: str) -> tuple[datetime, datetime]:
    return _midnight(month.first, zone), _midnight(month.after.first, zone)


def _midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
