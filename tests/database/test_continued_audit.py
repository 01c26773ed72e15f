"""An audit goes on from the last that balanced: nothing falls between them, and no fault is forgotten."""

import secrets
from datetime import timedelta
from uuid import uuid4

import pytest

from bench import years
from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import HOUR, MINUTE, POLICY, registered
from tests.database.test_recent_audit import PAGES, PAGES_READ
from tillkeeper import clock
from tillkeeper.domain.events import Kind
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import explain_missing
from tillkeeper.store.reports.continued_audit import audit_on
from tillkeeper.workers.apply_or_park import park_delivery

RUN, OTHER = uuid4(), uuid4()
LATER = NOON + 10 * HOUR
GRACE = MINUTE


async def delivered(pool, number, *events, run=RUN, at=LATER, recorded=None):
    delivery = a_delivery(*events, run=run, number=number, received_at=at)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=recorded or at))


async def audited(pool, at, **how):
    return await audit_on(pool, settled_until=at - GRACE, now=at, **how)


@pytest.fixture
async def proven(pool):
    """An order and its payment, which an audit of everything has proven."""
    await registered(pool)
    await delivered(pool, 1, an_event(Kind.PAYMENT_PENDING), at=NOON)
    books = await audited(pool, NOON + HOUR)
    assert (books.balances, books.is_whole, books.whole_at, books.deliveries) == (True, True, NOON + HOUR, 1)
    return books


async def test_the_next_audit_reads_what_came_since(pool, proven):
    await delivered(pool, 2, an_event(event_id="evt-2"))
    books = await audited(pool, LATER + HOUR)
    assert (books.balances, books.is_whole, books.continues, books.whole_at) == (
        True,
        False,
        proven.whole_at,
        NOON + HOUR,
    )
    assert (books.deliveries, books.accepted, books.outcomes, books.orders) == (1, 1, {"applied": 1}, 1)
    again = await audited(pool, LATER + 2 * HOUR)
    assert (again.balances, again.continues, again.deliveries) == (True, LATER + HOUR, 0)


@pytest.mark.usefixtures("proven")
async def test_a_delivery_that_was_received_before_the_last_audit_and_stored_after_it_is_read(pool):
    await delivered(pool, 1, an_event(event_id="evt-late"), run=OTHER, at=NOON, recorded=LATER)
    await delivered(pool, 3, an_event(event_id="evt-3"), run=OTHER, at=NOON, recorded=LATER)
    await pool.execute("DELETE FROM inbox WHERE event_id = 'evt-late'")
    books = await audited(pool, LATER + HOUR)
    assert (books.deliveries, books.balances) == (2, False)
    assert [each["number"] for each in books.unbalanced] == [1]
    assert [(each["run"], each["missing"]) for each in books.missing] == [(OTHER, 1)]


@pytest.mark.usefixtures("proven")
async def test_a_fault_is_told_until_it_is_mended(pool):
    await delivered(pool, 2, an_event(event_id="evt-2"))
    await delivered(pool, 4, an_event(event_id="evt-4"))
    for hours in (1, 2):
        books = await audited(pool, LATER + hours * HOUR)
        assert (books.balances, [each["missing"] for each in books.missing]) == (False, [1])
    await explain_missing(pool, RUN, by="mei", note="a test", now=LATER)
    assert (await audited(pool, LATER + 3 * HOUR)).balances


@pytest.mark.usefixtures("proven")
async def test_what_was_on_its_way_at_one_audit_is_read_by_the_next(pool):
    await delivered(pool, 3, an_event(event_id="evt-3"))
    books = await audited(pool, LATER)
    assert (books.balances, books.in_flight, books.missing) == (True, 1, [])
    books = await audited(pool, LATER + 2 * MINUTE)
    assert (books.balances, [each["missing"] for each in books.missing]) == (False, [1])
    await delivered(pool, 2, an_event(event_id="evt-2"))
    books = await audited(pool, LATER + 3 * MINUTE)
    assert (books.balances, books.deliveries) == (True, 2)


@pytest.mark.usefixtures("proven")
async def test_what_was_changed_behind_the_mark_an_audit_of_everything_sees_and_none_after_it_forgets(pool):
    await pool.execute("DELETE FROM inbox")
    assert (await audited(pool, LATER)).balances
    seen = await audited(pool, LATER + HOUR, everything=True)
    assert (seen.balances, seen.is_whole, seen.whole_at) == (False, True, NOON + HOUR)
    again = await audited(pool, LATER + 2 * HOUR)
    assert (again.balances, again.is_whole) == (False, True)
    await pool.execute("UPDATE deliveries SET events = 0")
    await pool.execute("DELETE FROM payments")
    await pool.execute("UPDATE orders SET status = 'unpaid'")
    assert (await audited(pool, LATER + 3 * HOUR)).is_whole
    assert not (await audited(pool, LATER + 4 * HOUR)).is_whole


@pytest.mark.usefixtures("proven")
async def test_an_order_that_was_registered_since_is_read_though_its_event_is_older(pool):
    waiting = an_event(order_ref="A2", payment_ref="pi_2", event_id="evt-2")
    await delivered(pool, 2, waiting, at=NOON + HOUR)
    assert (await audited(pool, NOON + 2 * HOUR)).outcomes == {"waiting": 1}
    await register(pool, a_registration("A2"), policy=POLICY, now=LATER)
    await pool.execute("UPDATE orders SET status = 'failed' WHERE order_ref = 'A2'")
    assert [each["order_ref"] for each in (await audited(pool, LATER + HOUR)).misjudged] == ["A2"]


@pytest.mark.usefixtures("proven")
async def test_a_parked_delivery_is_accounted_for_and_marks_its_run(pool):
    parked = a_delivery(an_event(event_id="evt-2"), run=RUN, number=2, received_at=LATER)
    await park_delivery(pool, parked, reason="bad_data", error="a test", now=LATER)
    books = await audited(pool, LATER + HOUR)
    assert (books.balances, books.parked, books.missing) == (True, 1, [])
    assert await pool.fetchval("SELECT number FROM audited_runs WHERE run = $1", RUN) == 2


async def test_without_the_right_to_write_it_says_that_it_is_not_remembered(pool, database):
    name = f"reads_{secrets.token_hex(4)}"
    await pool.execute(f"CREATE ROLE {name}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        async with await open_pool(f"{database}?role={name}", max_size=1) as reading:
            books = await audited(reading, LATER)
    finally:
        await pool.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert books.balances
    assert books.not_remembered == "this role may not write it; `tillkeeper db roles` prints the rights"
    assert await pool.fetchval("SELECT count(*) FROM audits") == 0


async def test_it_reads_little_of_two_years(pool):
    now = clock.now()
    async with pool.acquire() as conn:
        await years.fill(conn, 20_000)
        ends = "SELECT run, max(number) FROM deliveries WHERE received_at < $1 GROUP BY run"
        await conn.execute(f"INSERT INTO audited_runs {ends}", now - timedelta(days=1))
        await conn.execute(
            "INSERT INTO audits (at, settled_until, balances, deliveries, accepted, orders, last_order) "
            "SELECT $1, $1, true, 0, 0, 0, max(id) FROM orders",
            now - timedelta(days=1),
        )
        await conn.execute("SELECT pg_stat_force_next_flush()")
        before, pages = dict(await conn.fetch(PAGES_READ)), dict(await conn.fetch(PAGES))
    books = await audited(pool, now)
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_stat_force_next_flush()")
        after = dict(await conn.fetch(PAGES_READ))
    assert 0 < books.deliveries < 150
    read = {table: (after[table] - before[table]) / pages[table] for table in ("inbox", "deliveries", "orders")}
    assert max(read.values()) < 1, read
