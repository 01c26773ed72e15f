"""In doubt nobody is asked to pay, and nothing is closed."""

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    SHIPPED,
    a_sweep,
    heard,
    registered,
    told,
    topics,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.domain.order.registration import Instalment
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.deliveries.parked import close_parked, park_event
from tillkeeper.store.orders.acts import close
from tillkeeper.store.outbox.sending import Audience, claim, lock_order
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import show


async def test_a_payer_who_paid_and_whose_webhook_was_lost_is_not_asked_to_pay(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + 24 * HOUR)
    await until(sweep, clock, 20 * HOUR, step=HOUR)
    gateways.says = lambda *_: Answer(found=True, events=(heard(second=72_000),))
    await until(sweep, clock, 25 * HOUR, step=10 * MINUTE)
    assert await topics(pool, "payer") == ["payer.paid"]


async def test_a_reminder_to_pay_has_the_gateway_asked_at_its_moment_and_once(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + 20 * HOUR)
    await until(sweep, clock, 18 * HOUR, step=HOUR)
    gateways.asked.clear()
    await until(sweep, clock, 19 * HOUR + 30 * MINUTE, step=10 * MINUTE)
    assert await topics(pool, "payer") == ["payer.reminder"]
    assert [at for at, *_ in gateways.asked] == [19 * HOUR]


async def test_where_the_gateway_cannot_be_asked_a_failure_is_told_but_nobody_is_asked_to_pay(
    pool, sweep, clock, gateways
):
    gateways.says = lambda *_: QueryFailed("cannot_ask")
    await registered(pool, "A1", expires_at=NOON + 2 * HOUR)
    await registered(pool, "A2")
    await told(pool, an_event(Kind.PAYMENT_FAILED, order_ref="A2", payment_ref="pi_2"))
    await until(sweep, clock, 90 * MINUTE)
    assert await topics(pool, "payer") == ["payer.failed"]


async def test_who_is_paying_an_instalment_is_told_that_it_is_under_way_and_not_to_pay_it(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    plan = (Instalment(amount=50, due_at=NOON), Instalment(amount=50, due_at=NOON + 48 * HOUR))
    await registered(pool, policy=SHIPPED, instalments=plan, pay_url="https://shop.example/pay")
    await told(pool, an_event(amount=50), an_event(Kind.PAYMENT_PENDING, payment_ref="pi_2"), policy=SHIPPED)
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, 50 * HOUR, step=HOUR)
    assert set(await topics(pool, "payer")) == {"payer.partially_paid", "payer.processing"}
    await told(pool, an_event(Kind.PAYMENT_FAILED, 60, payment_ref="pi_2"), policy=SHIPPED, now=clock.at)
    await until(sweep, clock, 73 * HOUR, step=HOUR)
    assert (await topics(pool, "payer"))[-1] == "payer.instalment_due"


@pytest.mark.parametrize("strange", [{"currency": "USD"}, {"account": "alipay-main"}])
async def test_while_it_is_not_clear_whose_money_came_nobody_is_asked_to_pay_and_nothing_is_closed(
    pool, clock, gateways, strange
):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + 2 * HOUR)
    await told(pool, an_event(**strange), policy=SHIPPED)
    await until(sweep, clock, 3 * HOUR, step=5 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["closed_at"]) == ("unpaid", None)
    assert "close_in_doubt" in {case["kind"] for case in order["cases"]}
    assert await topics(pool, "payer") == []
    await pool.execute(
        "UPDATE cases SET closed_at = $1, closed_by = 'mei', outcome = 'given back', follow_up_at = NULL "
        "WHERE kind <> 'close_in_doubt'",
        clock.at,
    )
    await until(sweep, clock, 5 * HOUR, step=5 * MINUTE)
    assert (await show(pool, "A1"))["closed_at"] is not None


async def test_an_account_that_cannot_be_asked_is_one_case_and_its_expired_orders_wait_without_a_trace(
    pool, sweep, clock, gateways
):
    gateways.says = lambda *_: QueryFailed("cannot_ask")
    for number in range(3):
        await registered(pool, f"A{number}", expires_at=NOON + HOUR)
    await until(sweep, clock, 72 * HOUR, step=HOUR)
    assert [row["subject"] for row in await pool.fetch("SELECT subject FROM cases")] == ["account:stripe-main"]
    closings = await pool.fetch(
        "SELECT count(*) AS rows, max(tries) AS tries FROM steps WHERE action = 'close' GROUP BY order_id"
    )
    assert [(row["rows"], row["tries"]) for row in closings] == [(1, 3)] * 3
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE closed_at IS NOT NULL") == 0
    gateways.says = lambda *_: Answer(found=False)  # somebody gave it keys
    await until(sweep, clock, 97 * HOUR, step=HOUR)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE closed_at IS NOT NULL") == 3
    assert [row["closed_by"] for row in await pool.fetch("SELECT closed_by FROM cases")] == ["system"]


async def parked(pool, event, now=NOON):
    """As a worker parks what it cannot apply; returns the row's number."""
    await repeat_on_conflict(
        pool, lambda conn: park_event(conn, a_delivery(event), event, reason="poison", error="it kills", now=now)
    )
    return await pool.fetchval("SELECT max(id) FROM parked")


@pytest.mark.parametrize("names", [{"order_ref": None}, {"payment_ref": "pi_9"}])
async def test_while_an_event_of_it_is_parked_nobody_is_asked_to_pay_and_nothing_is_closed(
    pool, clock, gateways, names
):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + 2 * HOUR)
    await told(pool, an_event(Kind.PAYMENT_FAILED), policy=SHIPPED)
    number = await parked(pool, an_event(second=60, **names))  # it was paid
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, 3 * HOUR, step=5 * MINUTE)
    order = await show(pool, "A1")
    assert (await topics(pool, "payer"), order["closed_at"]) == ([], None)
    assert [case["details"]["why"] for case in order["cases"]] == ["an event of it is parked"]
    with pytest.raises(ActRefused, match="replay or discard it first"):
        await repeat_on_conflict(pool, lambda conn: close(conn, "A1", force=False, by="mei", note="", now=clock.at))
    await repeat_on_conflict(
        pool, lambda conn: close_parked(conn, number, "discarded", by="mei", note="a test", now=clock.at)
    )
    await sweep.run_once()
    assert await topics(pool, "payer") == ["payer.failed", "payer.reminder"]
    await until(sweep, clock, 4 * HOUR, step=5 * MINUTE)
    assert (await show(pool, "A1"))["closed_at"] is not None


async def test_a_mail_that_asks_to_pay_waits_while_an_event_of_its_order_is_parked(pool, sweep, clock):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_FAILED))
    await until(sweep, clock, 11 * MINUTE)
    await parked(pool, an_event(second=60))
    async with pool.acquire() as conn, conn.transaction():
        [mail] = await claim(conn, audiences=[Audience.PAYER], limit=9, leased_until=clock.at + MINUTE, now=clock.at)
        assert mail.order.unclear
        assert (await lock_order(conn, mail, now=clock.at)).unclear


@pytest.mark.parametrize("after_close", ["case", "reopen"])
async def test_an_order_that_was_paid_the_moment_after_it_was_closed_is_found_though_the_webhook_was_lost(
    pool, clock, gateways, after_close
):
    policy = msgspec.structs.replace(SHIPPED, after_close=after_close)
    sweep = a_sweep(pool, gateways, clock, policy)
    await registered(pool, policy=policy, expires_at=NOON + HOUR)
    await until(sweep, clock, 71 * MINUTE)
    assert (await show(pool, "A1"))["closed_at"] == NOON + 70 * MINUTE
    gateways.asked.clear()
    paid = Answer(found=True, events=(heard(second=4201),))
    gateways.says = lambda *_: paid if clock.at > NOON + 4 * HOUR else Answer(found=False)
    await until(sweep, clock, 26 * HOUR, step=10 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["closed_at"] is None) == ("paid", after_close == "reopen")
    assert [case["kind"] for case in order["cases"]] == (["paid_after_closing"] if after_close == "case" else [])
    assert gateways.moments == [131 * MINUTE, 71 * MINUTE + 24 * HOUR]
