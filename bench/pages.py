"""Pages: what the desk takes for each of its pages, over years of orders and with a worker at half load beside it."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import aiohttp
import asyncpg
import msgspec

from bench import years
from bench.end_to_end import Line, line_on
from bench.house import Broken, House, add_orders
from bench.load import Drive, Prepare
from bench.progress import events_written
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.domain.people import Role
from tillkeeper.loops import start
from tillkeeper.store.people.people import add_person
from tillkeeper.store.people.tokens import make_token

CONNECTIONS: Final = 32
WANTED_P95_MS: Final = 200.0
WITHIN_S: Final = 60.0  # for one page; beyond it something hangs
# "{day}" is the day before: orders of an amount on a day are looked for in years of them.
PAGES: Final[Mapping[str, str]] = {
    "now": "/",
    "find the last digits of a number": "/find?q=0150",
    "find a mail address": "/find?q=150%40example.com",
    "find an amount on a day": "/find?q=129.00+{day}",
    "order": "/orders/years-150",
    "they say they paid": "/orders/years-150/claim",
    "stuck": "/stuck",
    "cases": "/cases",
    "case": "/cases/40",
    "parked": "/parked",
    "refused": "/refused",
    "outbox": "/outbox",
    "accounts": "/accounts",
    "hand-over": "/handover",
}


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """What one page took, from the request to the last byte of the answer."""

    median_ms: float
    p95_ms: float
    longest_ms: float


async def measure(house: House, sizes: Sizes) -> Section:
    """Each page `page_rounds` times, all of them in turn, while deliveries are posted and applied at half load."""
    async with house.database() as dsn:
        token = await _fill(dsn, sizes)
        async with (
            line_on(house, dsn) as running,
            house.desk(dsn) as desk,
            _half_load(running, sizes) as events_a_second,
        ):
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(f"http://127.0.0.1:{desk.port}", headers=headers) as client:
                took = await _visit(client, sizes.page_rounds)
            rate = await events_a_second()
    return Section(
        name="pages",
        title=f"Pages of the desk: {sizes.years_orders:,} orders and {years.EVENTS_AN_ORDER} times as many events",
        rows=[
            {"": name, "median ms": each.median_ms, "p95 ms": each.p95_ms, "longest ms": each.longest_ms}
            for name, each in took.items()
        ],
        targets=[
            Target(name=f"{name}: p95, ms", measured=each.p95_ms, wanted=WANTED_P95_MS, at_least=False)
            for name, each in took.items()
        ],
        notes=[f"Beside it {rate:,.0f} events a second were posted, verified and applied; all on the same cores."],
    )


async def _fill(dsn: str, sizes: Sizes) -> str:
    """Fills the database, and returns the token of somebody who may read every page."""
    now = clock.now()
    conn = await asyncpg.connect(dsn)
    try:
        await years.fill(conn, sizes.years_orders)
        await add_orders(conn, sizes.page_orders)
        await conn.execute("ANALYZE orders, due_orders")
        async with conn.transaction():
            await add_person(
                conn, name="mei", display_name="Mei", role=Role.ADMIN, locale="en", by="the bench", now=now
            )
            until = now + timedelta(days=1)
            return await make_token(
                conn, "mei", name="bench", role=Role.ADMIN, may_act=False, expires_at=until, by="the bench", now=now
            )
    finally:
        await conn.close()


async def _visit(client: aiohttp.ClientSession, rounds: int) -> dict[str, Took]:
    day = str((clock.now() - timedelta(days=1)).date())
    paths = {name: path.format(day=day) for name, path in PAGES.items()}
    for path in paths.values():  # templates, statements and connections
        await _get(client, path)
    took_ms: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            took_ms[name].append(await _get(client, path))
    return {name: _took(each) for name, each in took_ms.items()}


async def _get(client: aiohttp.ClientSession, path: str) -> float:
    began_s = clock.monotonic_s()
    async with asyncio.timeout(WITHIN_S), client.get(path, allow_redirects=False) as answer:
        await answer.read()
        if answer.status != 200:
            raise Broken(f"{path} answers {answer.status}")
    return (clock.monotonic_s() - began_s) * 1000


def _took(took_ms: list[float]) -> Took:
    p95_ms = statistics.quantiles(took_ms, n=20, method="inclusive")[-1]
    return Took(median_ms=statistics.median(took_ms), p95_ms=p95_ms, longest_ms=max(took_ms))


@asynccontextmanager
async def _half_load(running: Line, sizes: Sizes) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """Posts second after second until the block ends; yields what tells how many events a second were written."""
    await running.posting.prepare(Prepare(what="fresh"))
    written, began_s = await events_written(running.connection), clock.monotonic_s()

    async def events_a_second() -> float:
        return (await events_written(running.connection) - written) / (clock.monotonic_s() - began_s)

    stop = asyncio.Event()
    posting = start(_keep_posting(running, sizes.page_events_a_second, stop), name="posting")
    try:
        yield events_a_second
    finally:
        stop.set()
        await posting


async def _keep_posting(running: Line, rate: int, stop: asyncio.Event) -> None:
    second = Drive(port=running.port, connections=CONNECTIONS, rate=rate, requests=rate)
    while not stop.is_set():
        driven = await running.posting.drive(second)
        if driven.refused:
            raise Broken(f"answers by status: {driven.answers}")
