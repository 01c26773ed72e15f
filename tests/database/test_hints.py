"""Hints on a real database: what a delivery that proved nothing may cause, and how little that is."""

import asyncio
from datetime import timedelta

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.virtual_time import Clock
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import HintPolicy, Policy
from tillkeeper.gateways.messages import ClaimedReferences, Request
from tillkeeper.ingest.hints import BODY_BYTES_MAX, Hints
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.hints import take_hint
from tillkeeper.store.postgres.transactions import repeat_on_conflict

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
POLICY = Policy(hints=HintPolicy(per_minute=10, again_after=10 * MINUTE))
REQUEST = Request(headers={}, body=b"whatever")


class Gateway:
    """Names what a test has it name, and counts how often it was asked to."""

    account = "stripe-main"

    def __init__(self):
        self.says = ClaimedReferences(order_ref="A1")
        self.read = 0

    def claimed_references(self, request):
        self.read += 1
        return self.says


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def hints(pool, clock):
    return a_hints(pool, clock)


def a_hints(pool, clock, policy=POLICY):
    return Hints(pool, policy=lambda: policy, now=clock, monotonic_s=clock.monotonic_s)


async def registered(pool, order_ref="A1", **fields):
    await register(pool, a_registration(order_ref, accounts=("stripe-main",), **fields), policy=Policy(), now=NOON)


async def hinted(hints, gateway, **named):
    if named:
        gateway.says = ClaimedReferences(**named)
    hints.consider(gateway, REQUEST)
    await hints.close()


async def asked(pool):
    rows = await pool.fetch("SELECT order_ref FROM orders WHERE ask_at IS NOT NULL ORDER BY id")
    return [row["order_ref"] for row in rows]


async def test_an_open_order_is_asked_about_at_once(pool, hints, gateway, clock):
    await registered(pool)
    clock.at += MINUTE
    await hinted(hints, gateway)
    row = await pool.fetchrow("SELECT o.ask_at, d.due_at FROM orders o JOIN due_orders d ON d.order_id = o.id")
    assert tuple(row) == (clock.at, clock.at)


async def test_a_payment_leads_to_its_order_at_its_own_account_alone(pool, hints, gateway):
    await registered(pool)
    event = an_event(Kind.PAYMENT_PENDING, payment_ref="pi_9")
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [a_delivery(event)], policy=Policy(), now=NOON))
    gateway.account = "alipay-main"
    await hinted(hints, gateway, payment_ref="pi_9", order_ref="A1")
    assert await asked(pool) == []
    gateway.account = "stripe-main"
    await hinted(hints, gateway, payment_ref="pi_9")
    assert await asked(pool) == ["A1"]


async def test_nothing_is_asked_about_what_is_unknown_settled_closed_held_or_waiting(pool, hints, gateway):
    for ref in ("paid", "closed", "held", "waiting"):
        await registered(pool, ref)
    event = an_event(order_ref="paid")
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [a_delivery(event)], policy=Policy(), now=NOON))
    await pool.execute("UPDATE orders SET closed_at = $1 WHERE order_ref = 'closed'", NOON)
    await pool.execute("UPDATE orders SET held_until = $1 WHERE order_ref = 'held'", NOON + MINUTE)
    await pool.execute("UPDATE orders SET ask_at = $1 WHERE order_ref = 'waiting'", NOON)
    await pool.execute(
        "UPDATE due_orders SET due_at = $1 FROM orders o WHERE o.id = order_id AND o.order_ref = 'waiting'", NOON
    )
    for ref in ("paid", "closed", "held", "waiting", "unknown"):
        await hinted(hints, gateway, order_ref=ref)
    assert await asked(pool) == ["waiting"]
    assert await pool.fetchval("SELECT count(*) FROM hints") == 0


async def test_it_leaves_no_event_and_no_case(pool, hints, gateway):
    await registered(pool)
    await hinted(hints, gateway)
    for table in ("inbox", "cases", "payments", "outbox", "deliveries"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_the_same_order_is_asked_about_once_in_a_while(pool, hints, gateway, clock):
    await registered(pool)
    moments = []
    for minute in range(25):
        clock.at = NOON + minute * MINUTE
        await pool.execute("UPDATE orders SET ask_at = NULL")  # as if asked
        await hinted(hints, gateway)
        if await asked(pool):
            moments.append(minute)
    assert moments == [0, 10, 20]


async def test_a_flood_over_many_receivers_gets_no_more_queries_than_the_limit(pool, clock):
    for number in range(100):
        await registered(pool, f"A{number}")
    receivers = [(a_hints(pool, clock), Gateway()) for _ in range(4)]
    for second in range(60):
        clock.at = NOON + second * SECOND
        for number in range(100):
            for place, (hints, gateway) in enumerate(receivers):
                gateway.says = ClaimedReferences(order_ref=f"A{(number + 7 * second + 13 * place) % 100}")
                hints.consider(gateway, REQUEST)
        await asyncio.gather(*(hints.close() for hints, _ in receivers))
    assert len(await asked(pool)) == POLICY.hints.per_minute
    # 24,000 were posted: each receiver looked into its own 10, and one more each six seconds.
    assert all(gateway.read <= 20 for _, gateway in receivers)


async def test_a_flood_of_what_is_unknown_costs_no_more_than_the_limit(pool, hints, gateway):
    for number in range(10_000):
        gateway.says = ClaimedReferences(order_ref=f"unknown-{number}")
        hints.consider(gateway, REQUEST)
        if number % 100 == 0:
            await hints.close()
    assert gateway.read == POLICY.hints.per_minute


async def test_a_body_greater_than_any_real_one_is_not_looked_into(pool, hints, gateway):
    hints.consider(gateway, Request(headers={}, body=b"x" * (BODY_BYTES_MAX + 1)))
    assert gateway.read == 0


async def test_a_policy_without_hints_has_none(pool, clock, gateway):
    await registered(pool)
    await hinted(a_hints(pool, clock, Policy(hints=HintPolicy(per_minute=0))), gateway)
    assert (await asked(pool), gateway.read) == ([], 0)


async def test_without_a_database_nothing_happens(pool, hints, gateway, postgres_server):
    await registered(pool)
    await postgres_server.stop()
    await hinted(hints, gateway)
    await postgres_server.start()
    assert await asked(pool) == []
    await hinted(hints, gateway)
    assert await asked(pool) == ["A1"]


async def test_what_was_hinted_is_forgotten_after_a_day(pool, clock, gateway):
    await registered(pool)
    await registered(pool, "A2")
    hints = a_hints(pool, clock)
    await hinted(hints, gateway, order_ref="A1")
    clock.at += timedelta(days=2)
    await hinted(hints, gateway, order_ref="A2")
    assert await pool.fetchval("SELECT count(*) FROM hints") == 1


async def test_two_receivers_at_once_never_pass_the_limit_together(pool):
    for number in range(40):
        await registered(pool, f"A{number}")

    async def one(number):
        return await repeat_on_conflict(
            pool,
            lambda conn: take_hint(
                conn,
                "stripe-main",
                payment_ref=None,
                order_ref=f"A{number}",
                policy=POLICY.hints,
                now=NOON + timedelta(milliseconds=number),
            ),
        )

    for _ in range(5):
        await asyncio.gather(*(one(number) for number in range(40)))
    assert 0 < len(await asked(pool)) <= POLICY.hints.per_minute
    for number in range(40):
        await one(number)
    assert len(await asked(pool)) == POLICY.hints.per_minute
