"""Shadow mode: nobody is told anything, and about its orders nobody is ever told."""

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.notice_factories import row_of, some_settings, to_ops, told
from tillkeeper.clock import now
from tillkeeper.domain.order.registration import Contradiction
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register


async def paid(pool, order_ref, *, shadow):
    """An order that turns paid, of which the merchant is to be told; returns the notice's key."""
    order = a_registration(order_ref, accounts=("stripe-main",))
    await register(pool, order, policy=Policy(), now=NOON, shadow=shadow)
    async with pool.acquire() as conn, conn.transaction():
        event = an_event(order_ref=order_ref, payment_ref=f"pi-{order_ref}", amount=100)
        await apply_deliveries(conn, [a_delivery(event)], policy=Policy(), now=NOON)
    return await pool.fetchval(
        "SELECT n.key FROM outbox n JOIN orders o ON o.id = n.order_id "
        "WHERE o.order_ref = $1 AND n.topic = 'order.status_changed'",
        order_ref,
    )


async def test_in_shadow_mode_everything_is_decided_and_nobody_is_told(pool, looping, receiver):
    key = await paid(pool, "A1", shadow=True)
    await told(pool, to_ops(key="ops"))
    async with looping(some_settings(receiver=receiver), shadow=True) as loop:
        await loop.run_once()
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    for each in (key, "ops"):
        row = await row_of(pool, each)
        assert (row["state"], row["last_error"]) == ("dropped", "shadow mode")
    assert receiver.got == []


async def test_afterwards_its_orders_stay_silent_and_later_ones_are_told(pool, looping, clock, receiver):
    clock.at = now()  # the receiver takes no old signature
    before, after = await paid(pool, "A1", shadow=True), await paid(pool, "A2", shadow=False)
    async with looping(some_settings(receiver=receiver)) as loop:
        await loop.run_once()
    assert (await row_of(pool, before))["last_error"] == "shadow mode"
    assert (await row_of(pool, after))["state"] == "sent"
    assert len(receiver.got) == 1


async def test_an_order_of_shadow_mode_is_registered_again_as_any_other(pool):
    order = a_registration("A1")
    assert await register(pool, order, policy=Policy(), now=NOON, shadow=True) == "created"
    assert await register(pool, order, policy=Policy(), now=NOON) == "unchanged"
    with pytest.raises(Contradiction):
        await register(pool, a_registration("A1", amount=7), policy=Policy(), now=NOON)
