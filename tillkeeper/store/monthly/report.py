"""Reads a month and builds its report, with the advice that follows from it."""

from typing import NamedTuple

import asyncpg

from tillkeeper.domain.monthly.advice import Advice, advise
from tillkeeper.domain.monthly.figures import Month
from tillkeeper.domain.monthly.report import Report, build_report
from tillkeeper.store.monthly.reading import read_month


class MonthReport(NamedTuple):
    """A report, and what asks for attention in it."""

    report: Report
    advice: tuple[Advice, ...]


async def report_of(pool: asyncpg.Pool, month: Month, *, account: str | None = None) -> MonthReport:
    """Returns a month's report, of one account or of all, as of one moment."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        read = await read_month(conn, month, account=account)
    report = build_report(
        month, read.figures, read.before, made=read.made, account=account, cases=read.cases, people=read.people
    )
    return MonthReport(report, advise(report, read.figures))
