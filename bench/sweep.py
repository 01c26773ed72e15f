"""Sweep: what it costs to find, take and settle orders that are due, with few and with many others open."""

import statistics
from datetime import timedelta
from typing import Final

import asyncpg
import msgspec

from bench import cost
from bench.house import CURRENCY, Broken, House
from bench.report import Section, Target
from bench.sizes import Sizes
from tillkeeper import clock
from tillkeeper.domain.order.answers import QueryOutcome
from tillkeeper.domain.policy import Policy
from tillkeeper.policy import load_policy
from tillkeeper.store.jobs.sweeping import CLAIM, settle, take_due
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict

LEASE: Final = timedelta(minutes=1)
CLAIM_WANTED_MS: Final = 15.0  # "in the order of 10 ms"
GROWTH_WANTED: Final = 1.5  # of a whole pass, from the fewest to the most open orders

# Everything is open and processing for a while; what is due is spread over all of it.
INSERT_OPEN: Final = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, registered_at, changed_at, phase_since,
                    due_at)
SELECT 'open-' || n, 12900, $2, '{stripe-main}',
       '{"order_ref": "open", "amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}', 'processing',
       now() - interval '3 minutes', now() - interval '3 minutes', now() - interval '3 minutes',
       now() + CASE WHEN n % ($1 / $3) = 0 THEN interval '-1 minute' ELSE interval '1 hour' * (1 + n % 240) END
FROM generate_series(1, $1::bigint) AS n
"""
INSERT_DUE: Final = """
INSERT INTO due_orders (order_id, due_at, accounts_key, status, phase_since)
SELECT id, due_at, 'stripe-main', status, phase_since FROM orders ORDER BY id
"""
INSERT_PAYMENTS: Final = """
INSERT INTO payments (account, payment_ref, order_id, status, facts, amount_minor, currency, captured_minor)
SELECT 'stripe-main', 'pi_open' || id, id, 'pending',
       '{"standing":{"at":"2026-11-22T12:00:00Z","rank":1,"step":"pending"}}', 12900, $1, 0
FROM orders JOIN due_orders d ON d.order_id = id WHERE d.due_at <= now()
"""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What it took, in milliseconds."""

    claim_ms: float  # the claiming statement alone
    pass_ms: float  # claim, read, decide, write steps, commit; then the results, commit
    all_s: float
    empty_ms: float
    postgres_cpu: float  # seconds per 1,000 orders


async def measure(house: House, sizes: Sizes) -> Section:
    """The same work on databases of each size."""
    found = {size: await _measure(house, size, sizes) for size in sizes.open_orders}
    fewest, most = found[sizes.open_orders[0]], found[sizes.open_orders[-1]]
    return Section(
        name="sweep",
        title=f"Sweep: {sizes.due_orders:,} due orders in passes of {sizes.claimed_orders}, each with a step that asks",
        rows=[
            {
                "open orders": f"{size:,}",
                "claim ms": timed.claim_ms,
                "pass ms": timed.pass_ms,
                f"all {sizes.due_orders:,} s": timed.all_s,
                "empty poll ms": timed.empty_ms,
                "PostgreSQL CPU": timed.postgres_cpu,
            }
            for size, timed in found.items()
        ],
        targets=[
            Target(
                name=f"claim of {sizes.claimed_orders}, ms",
                measured=most.claim_ms,
                wanted=CLAIM_WANTED_MS,
                at_least=False,
            ),
            Target(
                name="a pass at the most to one at the fewest",
                measured=most.pass_ms / fewest.pass_ms,
                wanted=GROWTH_WANTED,
                at_least=False,
            ),
        ],
        notes=[
            "Medians.  Claim: the statement that finds and locks.  Pass: claim, facts, steps and their results, in two",
            "transactions, without the gateway's own time: the more orders there are, the more pages the due ones lie",
            "on.  CPU: s per 1,000 orders.",
        ],
    )


async def _measure(house: House, open_orders: int, sizes: Sizes) -> Swept:
    async with house.database() as dsn, await open_pool(dsn, max_size=2, command_timeout_s=600) as pool:
        async with pool.acquire() as conn:
            await conn.execute("SET session_replication_role = replica")  # triggers would take most of the time
            await conn.execute(INSERT_OPEN, open_orders, CURRENCY, sizes.due_orders)
            await conn.execute(INSERT_DUE)
            await conn.execute("RESET session_replication_role")
            await conn.execute(INSERT_PAYMENTS, CURRENCY)
            await conn.execute("VACUUM ANALYZE")
            await conn.execute("CHECKPOINT")
        policy, limit = load_policy(), sizes.claimed_orders
        claim_ms = await _claims(pool, limit, times=sizes.due_orders // limit)
        before_s, began_s = cost.cpu_s(house.postgres_pid), clock.monotonic_s()
        passes_ms = []
        while (took_ms := await _pass(pool, policy, limit)) is not None:
            passes_ms.append(took_ms)
        all_s, postgres_s = clock.monotonic_s() - began_s, cost.cpu_s(house.postgres_pid) - before_s
        polls_ms = [await _poll(pool, policy, limit) for _ in range(sizes.empty_polls)]
        return Swept(
            claim_ms=claim_ms,
            pass_ms=statistics.median(passes_ms),
            all_s=all_s,
            empty_ms=statistics.median(polls_ms),
            postgres_cpu=postgres_s * 1000 / sizes.due_orders,
        )


async def _claims(pool: asyncpg.Pool, limit: int, *, times: int) -> float:
    """Each claim is rolled back, so that the passes find all of it."""
    took_ms = []
    for _ in range(times):
        async with pool.acquire() as conn:
            transaction = conn.transaction()
            await transaction.start()
            began_s = clock.monotonic_s()
            claimed = await conn.fetch(CLAIM, clock.now(), limit, [])
            took_ms.append((clock.monotonic_s() - began_s) * 1000)
            if len(claimed) != limit:
                raise Broken(f"{len(claimed)} orders were claimed where {limit} of those due were asked for")
            await transaction.rollback()
    return statistics.median(took_ms)


async def _pass(pool: asyncpg.Pool, policy: Policy, limit: int) -> float | None:
    """One pass whose gateways know nothing new; None when nothing was due."""
    began_s = clock.monotonic_s()
    count, queries = await repeat_on_conflict(
        pool, lambda conn: take_due(conn, policy=policy, limit=limit, lease=LEASE, now=clock.now())
    )
    if not count:
        return None
    settled = [QueryOutcome(query=query, result="nothing new", answered=True) for query in queries]
    await repeat_on_conflict(pool, lambda conn: settle(conn, settled, policy=policy, now=clock.now()))
    return (clock.monotonic_s() - began_s) * 1000


async def _poll(pool: asyncpg.Pool, policy: Policy, limit: int) -> float:
    began_s = clock.monotonic_s()
    await repeat_on_conflict(
        pool, lambda conn: take_due(conn, policy=policy, limit=limit, lease=LEASE, now=clock.now())
    )
    return (clock.monotonic_s() - began_s) * 1000
