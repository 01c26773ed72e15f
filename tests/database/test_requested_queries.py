"""Requests to ask a gateway, on a real database: lost to no event, death or other request."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    a_sweep,
    heard,
    registered,
    take_and_die,
    told,
    until,
)
from tests.database.test_order_acts import act
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import HintPolicy
from tillkeeper.gateways.messages import Answer
from tillkeeper.policy import load_policy
from tillkeeper.store.jobs.backfill import find_open_orders, request_queries
from tillkeeper.store.jobs.hints import take_hint
from tillkeeper.store.orders import acts as order_acts

SHIPPED = load_policy()
PAID_LATER = an_event(second=60)


@pytest.fixture
def sweep(pool, gateways, clock):
    return a_sweep(pool, gateways, clock, SHIPPED)


async def requested(pool, **more):
    await act(pool, order_acts.ask_gateway, **more)


async def test_a_query_that_a_person_wants_is_put_although_an_event_came_before_the_sweep_looked(pool, sweep, gateways):
    await registered(pool, policy=SHIPPED)
    await requested(pool)
    await told(pool, an_event(), policy=SHIPPED)
    await sweep.run_once()
    assert gateways.moments == [timedelta()]
    assert await pool.fetchval("SELECT ask_at FROM orders") is None


async def test_a_query_without_an_answer_is_put_again_although_an_event_came_since(pool, sweep, clock, gateways):
    await registered(pool, policy=SHIPPED)
    await requested(pool)
    gateways.says = lambda *_: QueryFailed("unreachable")
    await sweep.run_once()
    await told(pool, PAID_LATER, policy=SHIPPED)
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, 2 * HOUR, step=10 * MINUTE)
    assert gateways.moments == [timedelta(), 10 * MINUTE]


async def test_a_query_whose_sweeper_died_is_put_again_although_an_event_came_since(pool, sweep, clock, gateways):
    await registered(pool, policy=SHIPPED)
    await requested(pool)
    await take_and_die(pool, clock, SHIPPED)
    await told(pool, PAID_LATER, policy=SHIPPED)
    await until(sweep, clock, 2 * HOUR)
    assert gateways.moments == [MINUTE]


async def test_a_request_that_its_own_answer_fulfils_is_not_asked_twice(pool, sweep, clock, gateways):
    await registered(pool, policy=SHIPPED)
    await requested(pool)
    gateways.says = lambda *_: Answer(found=True, events=(heard(),))
    await until(sweep, clock, 23 * HOUR, step=HOUR)
    assert gateways.moments == [HOUR]
    assert await pool.fetchval("SELECT due_at FROM due_orders") == NOON + HOUR + timedelta(hours=24)


async def test_a_request_that_comes_while_the_gateway_is_asked_is_fulfilled_after_it(pool, sweep, clock, gateways):
    await registered(pool, policy=SHIPPED)
    await requested(pool)
    _, taken = await sweep.take()
    said = [await sweep.ask(each) for each in taken]
    await requested(pool)
    await sweep.apply(said)
    await sweep.settle(list(zip(taken, said, strict=True)))
    assert await sweep.run_once() == 1
    assert len(gateways.asked) == 2


async def test_the_sooner_of_two_requests_stands(pool):
    await registered(pool, policy=SHIPPED)
    order_id = await pool.fetchval("SELECT id FROM orders")
    async with pool.acquire() as conn:
        for at in (NOON + MINUTE, NOON + HOUR):
            assert await request_queries(conn, [order_id], [at]) == {order_id: NOON + MINUTE}


async def test_a_request_that_nobody_will_look_at_blocks_neither_hint_nor_backfill(pool):
    """As an earlier release left them behind."""
    await registered(pool, policy=SHIPPED)
    await told(pool, an_event(Kind.PAYMENT_PENDING), policy=SHIPPED)
    await pool.execute("UPDATE orders SET ask_at = $1", NOON - HOUR)
    await pool.execute("UPDATE due_orders SET due_at = $1", NOON + 24 * HOUR)
    async with pool.acquire() as conn:
        found = await find_open_orders(conn, "stripe-main", NOON - HOUR, NOON, limit=9, now=NOON)
        assert (len(found.ids), found.waiting) == (1, 0)
        hint = {"payment_ref": "pi_1", "order_ref": None, "policy": HintPolicy(), "now": NOON}
        assert await take_hint(conn, "stripe-main", **hint) == "asked"
        assert await pool.fetchval("SELECT due_at <= $1 FROM due_orders", NOON)
