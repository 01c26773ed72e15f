"""Reads: what people and the orders API ask for, over years of settled orders: time, and pages touched."""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, timedelta
from typing import Final

import asyncpg
import msgspec

from bench import years
from bench.house import House
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.domain.payment_claim import answer
from tillkeeper.domain.search.parsing import search_for
from tillkeeper.policy import load_policy
from tillkeeper.store.deliveries.parked import list_parked
from tillkeeper.store.jobs.backfill import find_open_orders
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.reports.audit import Audit
from tillkeeper.store.reports.case_files import file_of
from tillkeeper.store.reports.case_list import Filters, known, list_cases
from tillkeeper.store.reports.continued_audit import audit_on
from tillkeeper.store.reports.handover import hand_over
from tillkeeper.store.reports.order import history, show
from tillkeeper.store.reports.stuck import StuckFilter, stuck_orders
from tillkeeper.store.search.claim import read_claim
from tillkeeper.store.search.find import find

TIMES: Final = 5
WANTED_MS: Final = 300.0
PAGES: Final = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
Read = Callable[[asyncpg.Pool], Awaitable[object]]


async def _cases(pool: asyncpg.Pool) -> object:
    async with pool.acquire() as conn:
        return await known(conn), await list_cases(conn, Filters(), limit=50)


async def _handover(pool: asyncpg.Pool) -> object:
    async with pool.acquire() as conn:
        return await hand_over(conn, by=None, now=clock.now())


async def _parked(pool: asyncpg.Pool) -> object:
    async with pool.acquire() as conn:
        return await list_parked(conn, closed_too=False, limit=50)


async def _open_orders(pool: asyncpg.Pool) -> object:
    now = clock.now()
    async with pool.acquire() as conn:
        return await find_open_orders(conn, "stripe-main", now - timedelta(hours=1), now, limit=100, now=now)


async def _stuck(pool: asyncpg.Pool) -> object:
    now = clock.now()
    return await stuck_orders(pool, StuckFilter(until=now), policy=load_policy(), limit=50, now=now)


async def _audit(pool: asyncpg.Pool) -> Audit:
    """Goes on from an audit of the day before, and leaves the mark there."""
    then = clock.now() - timedelta(days=1)
    return await audit_on(pool, settled_until=then, now=clock.now())


def _find(text: str) -> Read:
    """Returns the search for a text, on the day before the latest one of the database."""

    async def read(pool: asyncpg.Pool) -> object:
        now = clock.now()
        days = text.format(day=(now - timedelta(days=1)).date())
        return await find(pool, search_for(days, now=now, zone=UTC))

    return read


async def _claim(pool: asyncpg.Pool) -> object:
    known = await read_claim(pool, "years-150", now=clock.now())
    assert known is not None
    return answer(known)


PASTED: Final = (
    "Payment successful. Merchant order years-150, transaction pi_150, 129.00 CNY, {day} 14:02, mei@example.com, "
    "+86 138 1234 5678. Earlier: years-1501, years-1502, years-1503, years-1504, years-1505, pi_1501, pi_1502, pi_1503"
)

READS: Final[Mapping[str, Read]] = {
    "order show": lambda pool: show(pool, "years-150"),
    "order history": lambda pool: history(pool, "years-150"),
    "stuck": _stuck,
    "cases": _cases,
    "case show": lambda pool: file_of(pool, 40),
    "handover": _handover,
    "parked list": _parked,
    "open orders of an account": _open_orders,
    "audit of a day": _audit,
    "find the last digits of a number": _find("0150"),
    "find a mail address": _find("150@example.com"),
    "find an amount on a day": _find("129.00 {day}"),
    "find what a customer pasted": _find(PASTED),
    "claim": _claim,
}


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What one read took: its median and longest time, and the pages that it touched."""

    median_ms: float
    longest_ms: float
    pages: int


async def measure(house: House, sizes: Sizes) -> Section:
    """Each read TIMES times, on one connection, over a database that was just vacuumed."""
    async with house.database() as dsn, await open_pool(dsn, max_size=1, command_timeout_s=3600) as pool:
        async with pool.acquire() as conn:
            await years.fill(conn, sizes.years_orders)
        await _audit(pool)  # of everything, once
        taken = {name: await _take(pool, read) for name, read in READS.items()}
    return Section(
        name="reads",
        title=f"Reads: {sizes.years_orders:,} orders and {years.EVENTS_AN_ORDER} times as many events, of 700 days",
        rows=[
            {"": name, "median ms": each.median_ms, "longest ms": each.longest_ms, "pages": each.pages}
            for name, each in taken.items()
        ],
        targets=[
            Target(name=f"{name}, ms", measured=each.median_ms, wanted=WANTED_MS, at_least=False)
            for name, each in taken.items()
        ],
        notes=["Pages: of 8 KiB, touched by one read, from memory or disk."],
    )


async def _take(pool: asyncpg.Pool, read: Read) -> Taken:
    took_ms = []
    before = await _pages(pool)
    for _ in range(TIMES):
        began_s = clock.monotonic_s()
        await read(pool)
        took_ms.append((clock.monotonic_s() - began_s) * 1000)
    pages = (await _pages(pool) - before) // TIMES
    return Taken(median_ms=statistics.median(took_ms), longest_ms=max(took_ms), pages=pages)


async def _pages(pool: asyncpg.Pool) -> int:
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
        return int(await conn.fetchval(PAGES))
