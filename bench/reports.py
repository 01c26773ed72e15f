"""Reports: making the figures of years of days, reading a month's report, and the same figures found by DuckDB."""

import statistics
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from bench import years
from bench.house import Broken, House
from bench.report import Section, Target
from bench.sizes import Sizes
from tests.independent_report import independent_figures
from tillkeeper import clock
from tillkeeper.store.monthly.making import EVERY, advance, make_one_day
from tillkeeper.store.monthly.reading import months_with_figures
from tillkeeper.store.monthly.report import report_of
from tillkeeper.store.postgres.pool import open_pool

ZONE: Final = "Asia/Shanghai"
WANTED_S: Final = 1.0  # until a month's report is there, for any month
FIGURES: Final = "SELECT day, figure, account, currency, method, detail, hour, count, minor FROM report_figures"


async def measure(house: House, sizes: Sizes) -> Section:
    """Makes every day once, then reads every month's report, and compares the figures with DuckDB's."""
    async with house.database() as dsn, await open_pool(dsn, max_size=2, command_timeout_s=3600) as pool:
        async with pool.acquire() as conn:
            await years.fill(conn, sizes.years_orders)
            made_s, slowest_s, days = await _make_all(conn, now=clock.now())
            again_s = await _make_again(conn)
            figures = {tuple(row)[:7]: (row["count"], int(row["minor"])) for row in await conn.fetch(FIGURES)}
            with tempfile.TemporaryDirectory() as folder:
                theirs = await independent_figures(conn, Path(folder), zone=ZONE)
            if figures != theirs:
                raise Broken(f"{len(figures.items() ^ theirs.items())} figures differ from DuckDB's")
            months = await months_with_figures(conn)
        took_s = []
        for month in months:
            began_s = clock.monotonic_s()
            await report_of(pool, month)
            took_s.append(clock.monotonic_s() - began_s)
    return Section(
        name="reports",
        title=f"Reports: {sizes.years_orders:,} orders and {years.EVENTS_AN_ORDER} times as many events",
        rows=[
            {"": "the figures of all days, once", "s": made_s, "of": days},
            {"": "the slowest day", "s": slowest_s, "of": 1},
            {"": "a look when something was recorded, with its days", "s": again_s, "of": 1},
            {"": "a month's report, median", "s": statistics.median(took_s), "of": len(months)},
            {"": "a month's report, longest", "s": max(took_s), "of": len(months)},
        ],
        targets=[Target(name="a month's report, longest, s", measured=max(took_s), wanted=WANTED_S, at_least=False)],
        notes=[f"DuckDB finds the same {len(figures):,} figures over all events, another way."],
    )


async def _make_all(conn: asyncpg.Connection, *, now: datetime) -> tuple[float, float, int]:
    began_s, slowest_s, days = clock.monotonic_s(), 0.0, 0
    while await _in_transaction(conn, now):
        pass
    while True:
        day_began_s = clock.monotonic_s()
        async with conn.transaction():
            if await make_one_day(conn) is None:
                return clock.monotonic_s() - began_s, slowest_s, days
        days += 1
        slowest_s = max(slowest_s, clock.monotonic_s() - day_began_s)


async def _make_again(conn: asyncpg.Connection) -> float:
    """The time that the sweep's process takes every ten minutes while events come."""
    return (await _make_all(conn, now=clock.now() + EVERY))[0]


async def _in_transaction(conn: asyncpg.Connection, now: datetime) -> bool:
    async with conn.transaction():
        return await advance(conn, zone=ZONE, now=now)
