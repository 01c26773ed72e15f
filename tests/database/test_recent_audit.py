"""An audit of what came lately sees the faults of that time, and reads nothing of the years before it."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from bench import years
from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import HOUR, POLICY, registered
from tillkeeper import clock
from tillkeeper.domain.events import Kind
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.recent_audit import audit_since
from tillkeeper.workers.apply_or_park import park_delivery

LATER = NOON + 10 * HOUR
RUN = uuid4()


async def delivered(pool, number, *events, at=LATER):
    delivery = a_delivery(*events, run=RUN, number=number, received_at=at)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=at))


@pytest.fixture
async def recent(pool):
    """What came in the last two hours, after a fault of the morning at which it does not look."""
    await registered(pool)
    await delivered(pool, 1, an_event(Kind.PAYMENT_PENDING), at=NOON)
    await pool.execute("DELETE FROM inbox")
    await delivered(pool, 2, an_event(event_id="evt-2"))
    await delivered(pool, 3, an_event(Kind.REFUND_SUCCEEDED, event_id="evt-3", refund_ref="re_1", amount=10))

    async def books():
        return await audit_since(pool, LATER - 2 * HOUR, settled_until=LATER, now=LATER)

    return books


async def test_what_came_lately_balances_whatever_was_before(recent):
    books = await recent()
    assert books.balances
    assert (books.deliveries, books.accepted, books.orders) == (2, 2, 1)


async def test_an_event_that_vanished_is_seen(pool, recent):
    await pool.execute("DELETE FROM inbox WHERE event_id = 'evt-3'")
    books = await recent()
    assert [each["number"] for each in books.unbalanced] == [3]
    assert not books.balances


async def test_a_number_that_is_missing_is_seen(pool, recent):
    await delivered(pool, 6, an_event(event_id="evt-6"))
    assert [(row["last_number"], row["missing"]) for row in (await recent()).missing] == [(6, 2)]


async def test_a_number_that_is_parked_is_not_missing(pool, recent):
    await delivered(pool, 5, an_event(event_id="evt-5"))
    parked = a_delivery(an_event(event_id="evt-4"), run=RUN, number=4, received_at=LATER)
    await park_delivery(pool, parked, reason="bad_data", error="a test", now=LATER)
    books = await recent()
    assert (books.missing, books.parked, books.balances) == ([], 1, True)


async def test_a_status_that_does_not_follow_from_the_facts_is_seen(pool, recent):
    await pool.execute("UPDATE orders SET status = 'failed'")
    assert [order["facts_say"] for order in (await recent()).misjudged] == ["partially_refunded"]


@pytest.mark.parametrize("column", ["order_id", "number"])
async def test_an_event_of_what_does_not_exist_is_seen(pool, recent, column):
    await pool.execute(f"UPDATE inbox SET {column} = 4711 WHERE event_id = 'evt-3'")
    for books in (await recent(), await audit(pool, settled_until=LATER, now=LATER)):
        assert [event["event_id"] for event in books.stray] == ["evt-3"]
        assert not books.balances


@pytest.mark.parametrize("table", ["orders", "deliveries"])
async def test_nobody_removes_what_events_refer_to(pool, recent, table):
    with pytest.raises(asyncpg.RestrictViolationError, match=f"rows of {table} are never removed"):
        await pool.execute(f"DELETE FROM {table} WHERE false")
    assert (await recent()).balances


PAGES_READ = "SELECT relname, heap_blks_hit + heap_blks_read FROM pg_statio_user_tables"
PAGES = "SELECT relname, relpages FROM pg_class WHERE relkind = 'r'"


async def test_it_reads_little_of_two_years(pool):
    async with pool.acquire() as conn:
        await years.fill(conn, 20_000)
        await conn.execute("SELECT pg_stat_force_next_flush()")
        before, pages = dict(await conn.fetch(PAGES_READ)), dict(await conn.fetch(PAGES))
    now = clock.now()
    books = await audit_since(pool, now - timedelta(days=2), settled_until=now, now=now)
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
        after = dict(await conn.fetch(PAGES_READ))
    assert 0 < books.deliveries < 300
    read = {table: (after[table] - before[table]) / pages[table] for table in ("inbox", "deliveries", "orders")}
    assert max(read.values()) < 1, read
