"""Money that is implied and not known has its gateways asked at once, on a real database."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.events import Kind
from tillkeeper.policy import load_policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.orders.acts import hold
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import show

POLICY = load_policy()
GIVEN_BACK, PAID = Kind.REFUND_SUCCEEDED, Kind.PAYMENT_SUCCEEDED
LATER = NOON + timedelta(minutes=1)


async def told(pool, *events, now=NOON):
    delivery = a_delivery(*events)
    return await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=now))


async def registered(pool):
    await register(pool, a_registration(), policy=POLICY, now=NOON)


async def asked(pool):
    return tuple(await pool.fetchrow("SELECT o.ask_at, d.due_at FROM orders o JOIN due_orders d ON d.order_id = o.id"))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": GIVEN_BACK, "refund_ref": "re_1", "amount": 30},
        {"kind": GIVEN_BACK, "refund_ref": "re_1", "amount": 30, "payment_ref": None},
        {"kind": GIVEN_BACK, "total": 30},
        {"kind": Kind.REFUND_FAILED, "refund_ref": "re_1", "amount": 30},
        {"kind": Kind.DISPUTE_OPENED, "dispute_ref": "dp_1", "amount": 100},
    ],
)
async def test_what_can_only_be_of_a_payment_that_succeeded_is_asked_about_at_once(pool, fields):
    await registered(pool)
    await told(pool, an_event(**fields), now=LATER)
    assert (await show(pool, "A1"))["status"] == "processing"
    assert await asked(pool) == (LATER, LATER)


async def test_registering_an_order_whose_refund_waited_asks_at_once(pool):
    await told(pool, an_event(GIVEN_BACK, refund_ref="re_1", amount=30))
    await registered(pool)
    assert await asked(pool) == (NOON, NOON)


async def test_it_is_asked_once_and_not_again_by_more_that_implies_the_same(pool):
    await registered(pool)
    await told(pool, an_event(GIVEN_BACK, refund_ref="re_1", amount=30))
    await pool.execute("UPDATE due_orders SET due_at = NULL")
    await pool.execute("UPDATE orders SET ask_at = NULL")  # as a sweep that asked leaves it
    await told(pool, an_event(GIVEN_BACK, refund_ref="re_2", amount=30), now=LATER)
    ask_at, due_at = await asked(pool)
    assert ask_at is None
    assert due_at > LATER


async def test_what_brought_its_payment_is_not_asked_about(pool):
    await registered(pool)
    await told(pool, an_event(PAID), an_event(GIVEN_BACK, second=1, refund_ref="re_1", amount=30))
    assert (await asked(pool))[0] is None


async def test_a_request_outlives_a_movement(pool):
    await registered(pool)
    await pool.execute("UPDATE orders SET ask_at = $1", NOON)
    await pool.execute("UPDATE due_orders SET due_at = $1", NOON)
    await told(pool, an_event(PAID), now=LATER)
    assert await asked(pool) == (NOON, NOON)


async def test_a_held_order_is_asked_about_when_its_hold_ends(pool):
    await registered(pool)
    ends = NOON + timedelta(hours=1)
    await repeat_on_conflict(pool, lambda conn: hold(conn, "A1", until=ends, by="mei", note="x", now=NOON))
    await told(pool, an_event(GIVEN_BACK, total=30), now=LATER)
    ask_at, _ = await asked(pool)
    assert ask_at == LATER
