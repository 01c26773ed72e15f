"""What the first page reads: rates, statuses, the last steps of stuck orders, and how accounts talk."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import HOUR, MINUTE, registered, told
from tillkeeper.domain.events import Kind
from tillkeeper.domain.statuses import Status
from tillkeeper.store.reports import flow

SECOND = timedelta(seconds=1)


async def test_the_flow_is_of_the_last_minute(pool):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING), now=NOON + SECOND)
    await told(pool, an_event(), an_event(order_ref="A2", payment_ref="pi_2"), now=NOON + 5 * SECOND)
    async with pool.acquire() as conn:
        now = await flow.read_flow(conn, NOON + 30 * SECOND)
        later = await flow.read_flow(conn, NOON + 5 * MINUTE)
    assert now.received == {"stripe-main": flow.Recent(count=2, last_at=NOON)}
    assert {outcome: recent.count for outcome, recent in now.applied.items()} == {"applied": 2, "waiting": 1}
    assert now.lag == 5 * SECOND
    assert (later.received, later.applied, later.told, later.lag) == ({}, {}, {}, None)


@pytest.mark.parametrize("limit", [50_000, 100])
async def test_orders_are_counted_and_estimated_where_they_are_many(pool, monkeypatch, limit):
    monkeypatch.setattr(flow, "EXACT_UP_TO", limit)
    await pool.execute("""
        INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, status, captured_minor, registered_at,
                            changed_at, phase_since)
        SELECT 'B' || n, 1, 'CNY', '{a}', '{}', CASE WHEN n % 4 = 0 THEN 'failed' ELSE 'paid' END, 1, now(), now(),
               now()
        FROM generate_series(1, 400) n
    """)
    await pool.execute("ANALYZE orders")
    async with pool.acquire() as conn:
        orders = await flow.read_orders_by_status(conn)
    assert orders.counts == {Status.PAID: 300, Status.FAILED: 100}
    assert orders.is_estimate is (limit == 100)


async def test_stuck_orders_are_counted_by_the_last_step_that_was_taken(pool, sweep, clock):
    for order_ref in ("A1", "A2", "A3"):
        await registered(pool, order_ref)
        of = {"order_ref": order_ref, "payment_ref": f"pi_{order_ref}"}
        await told(pool, an_event(Kind.PAYMENT_PENDING, **of), now=NOON if order_ref != "A3" else NOON + 30 * MINUTE)
    clock.at = NOON + 31 * MINUTE
    while await sweep.run_once():
        pass
    await pool.execute("DELETE FROM steps WHERE order_id = (SELECT id FROM orders WHERE order_ref = 'A2')")
    async with pool.acquire() as conn:
        found = await flow.read_stuck_by_step(conn, NOON + 10 * MINUTE)
    assert sorted((step, count) for step, count, _ in found) == [("case", 1), ("none", 1)]
    assert {oldest for *_, oldest in found} == {NOON}


async def test_accounts_have_their_day_by_hour_and_what_is_wrong_with_them(pool):
    active = "INSERT INTO activity VALUES ($1, $2, $3, 1, $4, $2)"
    for backend, (hour, deliveries) in enumerate([(NOON, 3), (NOON, 4), (NOON - 2 * HOUR, 5), (NOON - 30 * HOUR, 9)]):
        await pool.execute(active, "stripe-main", hour, backend, deliveries)
    await pool.execute("INSERT INTO account_health VALUES ('alipay-main', $1, $1, $1, $1, 'timeout')", NOON)
    await pool.execute(
        "INSERT INTO silences (account, kind, since, noticed_at, asked_at) VALUES ($2, 'silent', $1, $1, $1)",
        NOON,
        "stripe-main",
    )
    async with pool.acquire() as conn:
        accounts = await flow.read_accounts(conn, NOON + 10 * MINUTE)
    assert accounts["stripe-main"].hours == (0,) * 21 + (5, 0, 7)
    assert accounts["stripe-main"].silent_since == NOON
    assert (accounts["alipay-main"].failing_since, accounts["alipay-main"].reason) == (NOON, "timeout")
