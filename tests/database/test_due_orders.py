"""When the sweep looks at an order next stands beside it: a look changes no order, and 0.1.0 sees and is seen."""

import asyncpg
import pytest

from tests.database.factories import NOON, STANDING_OTHERWISE, a_delivery, an_event
from tests.database.sweeps import HOUR, MINUTE, POLICY, registered, told, until
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.due_orders import set_due_by
from tillkeeper.store.orders import acts
from tillkeeper.store.reports.order import show

PLACES = "SELECT order_ref, ctid, xmin FROM orders ORDER BY id"
DUE = "SELECT due_at FROM due_orders"
STANDING = "SELECT due_at, status, phase_since FROM due_orders"
CHANGES_IN_TRANSACTION = """
SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid) FROM pg_class
WHERE oid = 'orders'::regclass
"""
TOO_LATE_FOR_0_1 = """
SELECT count(*) FROM due_orders d JOIN orders o ON o.id = d.order_id
WHERE d.due_at IS NOT NULL AND (o.due_at IS NULL OR o.due_at > d.due_at)
"""


async def test_a_sweep_that_learns_nothing_new_writes_no_order(pool, sweep, clock, gateways):
    for ref in ("A1", "A2"):
        await registered(pool, ref)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    before = await pool.fetch(PLACES)
    await until(sweep, clock, 20 * MINUTE)
    assert len(gateways.moments) == 3
    assert await pool.fetch(PLACES) == before
    assert await pool.fetchval(TOO_LATE_FOR_0_1) == 0


async def test_an_open_order_without_a_next_step_is_listed_and_not_due(pool, sweep, clock):
    await registered(pool)
    assert await pool.fetchval(DUE) == NOON + 3 * MINUTE
    await until(sweep, clock, 4 * MINUTE)
    assert [tuple(row) for row in await pool.fetch(STANDING)] == [(None, "unpaid", NOON)]
    assert (await show(pool, "A1"))["swept_next_at"] is None


async def test_an_order_that_is_neither_open_nor_due_has_no_row(pool):
    await registered(pool, policy=Policy())
    await told(pool, an_event(), policy=Policy())
    assert await pool.fetch(STANDING) == []


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "unpaid"),
        ([Kind.PAYMENT_PENDING], "processing"),
        ([Kind.PAYMENT_PENDING, Kind.PAYMENT_FAILED], "failed"),
        ([Kind.PAYMENT_SUCCEEDED], None),
        ([Kind.PAYMENT_SUCCEEDED, Kind.REFUND_PENDING], "refunding"),
    ],
)
async def test_an_open_order_stands_there_as_in_its_own_row(pool, events, status):
    await registered(pool)
    for kind in events:
        await told(pool, an_event(kind, refund_ref="re_1" if kind is Kind.REFUND_PENDING else None))
    assert await pool.fetchval("SELECT status FROM due_orders") == status
    assert await pool.fetchval(STANDING_OTHERWISE) == 0
    async with pool.acquire() as conn, conn.transaction():
        await acts.close(conn, "A1", by="mei", note="given up", now=NOON, force=True)
    assert await pool.fetchval(STANDING_OTHERWISE) == 0


async def test_events_that_move_an_order_touch_no_index_of_it(pool):
    await registered(pool)
    async with pool.acquire() as conn, conn.transaction():
        for kind in (Kind.PAYMENT_PENDING, Kind.PAYMENT_FAILED, Kind.PAYMENT_SUCCEEDED):
            await apply_deliveries(conn, [a_delivery(an_event(kind))], policy=POLICY, now=NOON)
        assert tuple(await conn.fetchrow(CHANGES_IN_TRANSACTION)) == (3, 3)


async def test_a_sweeper_leaves_alone_what_another_one_took_since_it_looked(pool, sweep, clock):
    await registered(pool)
    clock.at = NOON + 3 * MINUTE
    order_id = await pool.fetchval("SELECT id FROM orders")
    assert len((await sweep.take())[1]) == 1
    assert await sweep._take_one(order_id) == []  # as after a batch that failed


async def test_an_order_that_a_worker_holds_stays_due(pool, sweep, clock):
    for ref in ("A1", "A2"):
        await registered(pool, ref)
    clock.at = NOON + 3 * MINUTE
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute("SELECT FROM orders WHERE order_ref = 'A1' FOR NO KEY UPDATE")
        _, taken = await sweep.take()
        assert [due.order.order.order_ref for due in taken] == ["A2"]
    _, taken = await sweep.take()
    assert [due.order.order.order_ref for due in taken] == ["A1"]


async def test_what_makes_an_order_due_sooner_is_seen_by_0_1_too(pool):
    await registered(pool)
    order_id = await pool.fetchval("SELECT id FROM orders")
    async with pool.acquire() as conn, conn.transaction():
        await set_due_by(conn, {order_id: NOON + HOUR})
        assert await conn.fetchval(DUE) == NOON + 3 * MINUTE
        await set_due_by(conn, {order_id: NOON - HOUR})
    assert await pool.fetchval("SELECT due_at FROM orders") == await pool.fetchval(DUE) == NOON - HOUR


async def test_an_order_due_later_is_looked_at_too_soon_by_0_1_and_never_too_late(pool):
    await registered(pool)
    async with pool.acquire() as conn, conn.transaction():
        await acts.hold(conn, "A1", until=NOON + HOUR, by="mei", note="asked to wait", now=NOON)
    assert await pool.fetchval(DUE) == NOON + HOUR
    assert await pool.fetchval("SELECT due_at FROM orders") == NOON


# --- what 0.1.0 writes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [1, 3, 90, None])
async def test_when_0_1_says_that_an_order_is_due_it_is(pool, minutes):
    await registered(pool)
    said = None if minutes is None else NOON + minutes * MINUTE
    await pool.execute("UPDATE orders SET due_at = $1, version = version + 1", said)
    assert await pool.fetchval(DUE) == said


async def test_an_order_that_0_1_registers_is_due(pool):
    await pool.execute(
        "INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at,"
        " phase_since, due_at) VALUES ('A1', 100, 'CNY', '{a,b}', '{}', $1, $1, $1, $1)",
        NOON,
    )
    assert [tuple(row) for row in await pool.fetch("SELECT due_at, accounts_key FROM due_orders")] == [(NOON, "a b")]
    assert [tuple(row) for row in await pool.fetch(STANDING)] == [(NOON, "unpaid", NOON)]


async def test_an_order_that_0_1_moves_closes_and_finishes_stands_where_0_1_says(pool):
    await registered(pool)
    await pool.execute("UPDATE orders SET status = 'processing', phase_since = $1", NOON + HOUR)
    assert [tuple(row) for row in await pool.fetch(STANDING)] == [(NOON, "processing", NOON + HOUR)]
    await pool.execute("UPDATE orders SET closed_at = $1", NOON + HOUR)
    assert [tuple(row) for row in await pool.fetch(STANDING)] == [(NOON, None, None)]
    await pool.execute("UPDATE orders SET due_at = NULL")
    assert await pool.fetch(STANDING) == []


async def test_a_worker_of_0_1_needs_no_right_that_it_never_had(pool, database):
    await registered(pool)
    await pool.execute("CREATE ROLE till_before LOGIN")
    try:
        await pool.execute("GRANT SELECT, UPDATE ON orders TO till_before")
        worker = await asyncpg.connect(database, user="till_before")
        await worker.execute("CREATE TEMP TABLE due_orders (order_id bigint PRIMARY KEY, due_at timestamptz)")
        await worker.execute("UPDATE orders SET due_at = $1", NOON + HOUR)
        await worker.close()
        assert await pool.fetchval(DUE) == NOON + HOUR
    finally:
        await pool.execute("DROP OWNED BY till_before")
        await pool.execute("DROP ROLE till_before")
