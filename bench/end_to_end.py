"""End to end: load, receiver, broker, one worker and PostgreSQL together, and what each of them costs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
import msgspec

from bench import cost
from bench.deliveries import orders_of, posted_with_duplicates
from bench.house import Broken, House, Load, load
from bench.load import Drive, Driven, Prepare
from bench.progress import insist_applied, until_delivered, until_written
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock

WARM_UP_REQUESTS: Final = 1_100  # the first 1,000 events
WARM_UP_EVENTS: Final = 1_000
CONNECTIONS: Final = 64
CPU_WANTED: Final = 0.5
CELERY_CPU: Final = 3.62
# The same job on this kind of machine (2 cores, everything and the load on them, bodies of 2.25 KB, 10 % duplicates,
# 32 connections), measured before this was built: end-to-end events/s, and CPU s per 1,000 events of all but the load.
PEERS: Final[Mapping[str, tuple[float, float]]] = {
    "FastAPI + Celery + psycopg": (526, CELERY_CPU),
    "FastStream + asyncpg": (438, 2.79),
    "dramatiq": (648, 2.38),
    "stripe-sync-engine (does less)": (1_385, 0.92),
    "dj-stripe (does less)": (193, 9.8),
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The processes from the load to the database, running."""

    pids: Mapping[str, int]
    port: int
    posting: Load
    connection: asyncpg.Connection


@asynccontextmanager
async def line(house: House, *, orders: int) -> AsyncIterator[Line]:
    """All of it on a fresh database."""
    async with house.database(orders=orders) as dsn, line_on(house, dsn) as running:
        yield running


@asynccontextmanager
async def line_on(house: House, dsn: str) -> AsyncIterator[Line]:
    """All of it on a database that is there."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        queues = await enter(house.queues()) if house.broker is not None else None
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        worker = await enter(house.worker(dsn, queues=queues))
        receiver = await enter(house.receiver(dsn, queues=queues))
        posting = await enter(load())
        pids = {"receiver": receiver.pid, "worker": worker.pid, "PostgreSQL": house.postgres_pid}
        if queues is not None:
            pids["RabbitMQ"] = house.broker_pid
        yield Line(pids={**pids, "load": posting.pid}, port=receiver.port, posting=posting, connection=connection)


async def measure(house: House, sizes: Sizes) -> Section:
    """From the first post to the last event applied."""
    async with line(house, orders=orders_of(sizes.events)) as running:
        await running.posting.prepare(Prepare(what="duplicates", requests=sizes.events))
        await post(running, requests=WARM_UP_REQUESTS)
        await until_delivered(running.connection, WARM_UP_REQUESTS)
        before = _cpu(running)
        posted = await post(running, requests=posted_with_duplicates(sizes.events) - WARM_UP_REQUESTS)
        await until_written(running.connection, sizes.events)
        await until_delivered(running.connection, posted_with_duplicates(sizes.events))
        ended_s = clock.monotonic_s()
        spent = {name: cpu_s - before[name] for name, cpu_s in _cpu(running).items()}
        await insist_applied(running.connection, sizes.events)
    events = sizes.events - WARM_UP_EVENTS
    whole = sum(cpu_s for name, cpu_s in spent.items() if name != "load") * 1000 / events
    rate = events / (ended_s - posted.began_s)
    return Section(
        name="end_to_end",
        title=f"End to end: {events:,} events and 10 % duplicates, {CONNECTIONS} connections, one receiver, one worker",
        rows=[*_ours(spent, events, posted, rate, whole), *_peers()],
        targets=[
            Target(name="CPU s per 1,000 events, all but the load", measured=whole, wanted=CPU_WANTED, at_least=False)
        ],
        notes=[
            f"Last applied {ended_s - posted.ended_s:.2f} s after the last answer.  Duplicates do not count as events.",
            "CPU: s per 1,000 events.  Peers' figures are of an earlier run: their CPU compares, their rates less so.",
        ],
    )


async def post(running: Line, *, requests: int) -> Driven:
    """Posts so many, and insists on success for each."""
    driven = await running.posting.drive(Drive(port=running.port, connections=CONNECTIONS, requests=requests))
    if driven.refused:
        raise Broken(f"answers by status: {driven.answers}")
    return driven


def _cpu(running: Line) -> dict[str, float]:
    return {name: cost.cpu_s(pid) for name, pid in running.pids.items()}


def _ours(
    spent: Mapping[str, float], events: int, posted: Driven, rate: float, whole: float
) -> list[dict[str, str | float | None]]:
    parts = [_row(f"  {name}", cpu=cpu_s * 1000 / events) for name, cpu_s in spent.items()]
    return [
        _row("Tillkeeper, whole system", rate=rate, accepted=posted.rate, p99_ms=posted.p99_ms, cpu=whole),
        *parts,
    ]


def _peers() -> list[dict[str, str | float | None]]:
    return [_row(name, rate=rate, cpu=cpu) for name, (rate, cpu) in PEERS.items()]


def _row(
    name: str,
    *,
    cpu: float,
    rate: float | None = None,
    accepted: float | None = None,
    p99_ms: float | None = None,
) -> dict[str, str | float | None]:
    return {
        "": name,
        "events/s": rate,
        "accepted/s": accepted,
        "accept p99 ms": p99_ms,
        "CPU": cpu,
        "Celery's CPU / this": CELERY_CPU / cpu if cpu else None,
    }
