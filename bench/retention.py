"""`python -m bench.retention`: retention on millions of deliveries, while a worker applies events.

Deliveries of 500 days are filled in, an even share of them each day, with bodies of the usual size; then what
`tillkeeper retention plan` says is held against what `tillkeeper retention run` does, and against the disk.
"""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Annotated, Final

import asyncpg
import msgspec
import typer
import uvloop
from rich.console import Console

from bench.apply import PUTS, _envelopes, _sender
from bench.deliveries import STRIPE_BODY_BYTES, orders_of
from bench.house import PROGRAM, ROOT, Broken, House
from bench.progress import until_written
from bench.report import WIDTH, Section, Target, show
from tillkeeper import clock
from tillkeeper.domain.retention import monday_of
from tillkeeper.loops import start
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.reports.audit import audit

DAYS: Final = 500  # filled in; 400 are kept
MEGABYTE: Final = 1_000_000
LOOK_EVERY_S: Final = 0.05
APPLY_WITHIN_S: Final = 900.0
AUDIT_WITHIN_S: Final = 900.0

MAKE_WEEK: Final = "SELECT make_body_week($1)"
# No events: what brought none is accepted, kept, and balances.
FILL: Final = """
WITH told AS MATERIALIZED (
    SELECT '11111111-1111-4111-8111-111111111111'::uuid AS run, n AS number,
           $3::timestamptz + ($4::timestamptz - $3::timestamptz) * ((n - $1)::float8 / ($2 - $1)) AS received_at
    FROM generate_series($1::bigint, $2::bigint - 1) n
), kept AS (
    INSERT INTO deliveries (run, number, account, received_at, key, headers, events)
    SELECT run, number, 'stripe-main', received_at, 'webhook_secrets.0:4f2a91c0', '[]', 0 FROM told
)
INSERT INTO delivery_bodies (run, number, received_at, proven, headers, query, body)
SELECT run, number, received_at, true, $6::jsonb, '', convert_to(lpad(number::text, $5::int, 'x'), 'UTF8') FROM told
"""
HEADERS: Final = json.dumps(
    [
        ["content-type", "application/json; charset=utf-8"],
        ["stripe-signature", "t=1796068927,v1=7393743a81feec82b26c3e8d1e69d296fb41352d0def38146c79013ed48e1348"],
        ["user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"],
    ]
)
NOTICES: Final = """
INSERT INTO outbox (key, audience, topic, payload, created_at, state, finished_at)
SELECT 'bench/' || n, 'merchant', 'order.status_changed',
       jsonb_build_object('order_ref', 'bench-' || n, 'status', 'paid', 'amount', 12900, 'currency', 'CNY',
                          'note', repeat('x', 250)), $2, 'sent', $2
FROM generate_series(1, $1::int) n
"""
DISK: Final = "SELECT pg_database_size(current_database())"
SIZES: Final = """
SELECT CASE WHEN c.relispartition THEN 'delivery_bodies' ELSE c.relname END AS name,
       sum(pg_table_size(c.oid))::bigint AS heap, sum(pg_indexes_size(c.oid))::bigint AS indexes
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY 1
HAVING sum(pg_total_relation_size(c.oid)) > 1000000 ORDER BY 2 DESC
"""
APPLIED: Final = "SELECT last_value FROM inbox_seq_seq"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What `tillkeeper retention plan|run --json` said."""

    rows: int
    bytes: int
    took_s: float


class Progress(msgspec.Struct, kw_only=True):
    """The worker's progress, as seen from outside: (moment, events)."""

    seen: list[tuple[float, int]] = msgspec.field(default_factory=list)

    def rate(self, since_s: float, until_s: float) -> float | None:
        """Events a second within that time; None where the worker was through before."""
        within = [(at, events) for at, events in self.seen if since_s <= at <= until_s]
        if len(within) < 2:
            return None
        (first_s, first), (last_s, last) = within[0], within[-1]
        return (last - first) / (last_s - first_s)

    def longest_pause_s(self, since_s: float, until_s: float) -> float:
        """The longest time without an event more."""
        longest, changed_s, before = 0.0, since_s, -1
        for at, events in self.seen:
            if not since_s <= at <= until_s:
                continue
            if events != before:
                longest, changed_s, before = max(longest, at - changed_s), at, events
        return longest


def main(
    deliveries: Annotated[int, typer.Option(min=1_000, help="How many are filled in.")] = 5_000_000,
    events: Annotated[int, typer.Option(min=1_000, help="How many a worker applies meanwhile.")] = 200_000,
) -> None:
    """Fills a database of its own, and measures retention there."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        section = runner.run(_measure(deliveries, events))
    show(Console(width=WIDTH, highlight=False), section)


async def _measure(deliveries: int, events: int) -> Section:
    async with House() as house, house.database(orders=orders_of(events)) as dsn:
        connection = await asyncpg.connect(dsn)
        now = clock.now()
        fill_s = await _fill(connection, deliveries, now)
        envelopes = _envelopes(events)
        async with _sender(house, dsn, None) as sender:
            await asyncio.gather(*(_put_all(sender, envelopes[first::PUTS]) for first in range(PUTS)))
        sizes = {row["name"]: (row["heap"], row["indexes"]) for row in await connection.fetch(SIZES)}
        async with house.worker(dsn, queues=None):
            progress = Progress()
            await until_written(connection, events // 20)
            quiet_from_s = clock.monotonic_s()
            watch = start(_watch(dsn, progress, events), name="watch")
            await until_written(connection, events // 5)
            began_s = clock.monotonic_s()
            planned = await _said(dsn, "plan")
            before, removing_s = await connection.fetchval(DISK), clock.monotonic_s()
            removed = await _said(dsn, "run")
            ended_s, after = clock.monotonic_s(), await connection.fetchval(DISK)
            left = await _said(dsn, "plan")
            await watch
        books = await _audit(dsn)
        await connection.close()
    if (planned.rows, planned.bytes) != (removed.rows, removed.bytes) or left.rows:
        raise Broken(f"planned {planned}, removed {removed}, left {left}")
    if not books:
        raise Broken("the books do not balance")
    rows = [
        {"": "filled in, deliveries", "figure": float(deliveries)},
        {"": "filling, s", "figure": fill_s},
        *(
            {"": f"{name}, heap and indexes, B a delivery", "figure": sum(both) / deliveries}
            for name, both in sizes.items()
            if name in {"deliveries", "delivery_bodies"}
        ),
        {"": "planned and removed, rows", "figure": float(removed.rows)},
        {"": "planned and removed, MB", "figure": removed.bytes / MEGABYTE},
        {"": "less on disk, while the worker wrote, MB", "figure": (before - after) / MEGABYTE},
        {"": "plan, s", "figure": planned.took_s},
        {"": "run, s", "figure": removed.took_s},
        {"": "applied before, events/s", "figure": progress.rate(quiet_from_s, began_s)},
        {"": "applied meanwhile, events/s", "figure": progress.rate(removing_s, ended_s)},
        {"": "longest pause before, s", "figure": progress.longest_pause_s(quiet_from_s, began_s)},
        {"": "longest pause meanwhile, s", "figure": progress.longest_pause_s(removing_s, ended_s)},
    ]
    return Section(
        name="retention",
        title="Retention: 500 days of deliveries, of which 400 are kept, while a worker applies events",
        rows=rows,
        targets=[
            Target(
                name="MB freed / MB said",
                measured=removed.bytes / planned.bytes,
                wanted=1.0,
                at_least=True,
            )
        ],
        notes=["The books balance afterwards.  Rates are of a machine that others may share: compare them in one run."],
    )


async def _fill(connection: asyncpg.Connection, deliveries: int, now: datetime) -> float:
    """Each day alike; returns the seconds that it took."""
    began_s = clock.monotonic_s()
    monday, number = monday_of(now - timedelta(days=DAYS)), 1
    weeks = DAYS // 7
    share = deliveries // weeks
    for week in range(weeks):
        first = monday + timedelta(days=7 * week)
        count = share if week < weeks - 1 else deliveries - share * (weeks - 1)
        await connection.execute(MAKE_WEEK, first.date())
        # Or a vacuum between plan and run would change what both say of a week's size by some pages.
        await connection.execute(f"ALTER TABLE delivery_bodies_{first:%Y%m%d} SET (autovacuum_enabled = false)")
        until = first + timedelta(days=7)
        await connection.execute(FILL, number, number + count, first, until, STRIPE_BODY_BYTES, HEADERS, timeout=600)
        number += count
    await connection.execute(NOTICES, max(1_000, deliveries // 50), now - timedelta(days=120), timeout=600)
    await connection.execute("ANALYZE", timeout=1200)
    return clock.monotonic_s() - began_s


async def _put_all(sender: object, envelopes: list[bytes]) -> None:
    for envelope in envelopes:
        await sender.put(envelope)  # type: ignore[attr-defined]


async def _watch(dsn: str, progress: Progress, events: int) -> None:
    """Looks how far the worker is until it is through."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(APPLY_WITHIN_S):
            while True:
                progress.seen.append((clock.monotonic_s(), await connection.fetchval(APPLIED)))
                if progress.seen[-1][1] >= events:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await connection.close()


async def _said(dsn: str, command: str) -> Told:
    """What `tillkeeper retention` said, as a program."""
    began_s = clock.monotonic_s()
    said = json.loads(await _program(dsn, "retention", command, "--json"))
    return Told(rows=said["rows"], bytes=said["bytes"], took_s=clock.monotonic_s() - began_s)


async def _audit(dsn: str) -> bool:
    """Audits as `tillkeeper audit` does, but with more time for a statement: it reads millions of rows."""
    async with await open_pool(dsn, max_size=1, command_timeout_s=AUDIT_WITHIN_S) as pool:
        return (await audit(pool, settled_until=clock.now(), now=clock.now())).balances


async def _program(dsn: str, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *arguments),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TILLKEEPER_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise Broken(f"tillkeeper {' '.join(arguments)}: exit {process.returncode}: {said.decode()}")
    return said


if __name__ == "__main__":
    typer.run(main)
