"""Months at random, with the figures of their days made: shared by tests of the store, the page and the command."""

from datetime import UTC, datetime
from random import Random

import asyncpg

from tests.report_rows import add_random_events
from tillkeeper.store.monthly.making import advance, make_one_day

ZONE = "Asia/Shanghai"
NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)


async def make_figures(conn: asyncpg.Connection, *, now: datetime = NOW, zone: str = ZONE) -> int:
    """Makes the figures of whatever is stale by then; returns how many days that were."""
    async with conn.transaction():
        while await advance(conn, zone=zone, now=now):
            pass
        days = 0
        while await make_one_day(conn) is not None:
            days += 1
    return days


async def a_random_quarter(conn: asyncpg.Connection, seed: str, *, orders: int) -> None:
    """Adds orders of September to November 2026, and makes the figures of their days."""
    await add_random_events(conn, Random(seed), orders=orders)
    await make_figures(conn)
