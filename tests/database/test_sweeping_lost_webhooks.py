"""What a lost webhook would have told is found out."""

from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    SHIPPED,
    a_sweep,
    heard,
    heard_of,
    registered,
    told,
    topics,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.order.registration import ClaimedPayment
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.reports.order import show


async def test_an_order_registered_with_a_payment_is_found_paid_by_another_whose_webhook_was_lost(
    pool, clock, gateways
):
    """The payer gave up the first and paid with a second: nobody knows of it but the gateway."""
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    first = ClaimedPayment(account="stripe-main", payment_ref="pi_1")
    await registered(pool, policy=SHIPPED, payments=(first,), expires_at=NOON + 6 * HOUR)
    paid = Answer(found=True, events=(heard_of("A1", "pi_2"),))
    gateways.says = lambda _, query: paid if query.payment_ref is None else Answer(found=True)
    await until(sweep, clock, 8 * HOUR, step=10 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["closed_at"]) == ("paid", None)
    assert await topics(pool, "payer") == ["payer.paid"]


@pytest.mark.parametrize("first", [Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED])
@pytest.mark.parametrize("other", ["stripe-main", "alipay-main"])
async def test_who_paid_once_more_elsewhere_is_seen_though_that_webhook_was_lost(pool, clock, gateways, first, other):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, accounts=("stripe-main", "alipay-main"))
    await told(pool, an_event(first), policy=SHIPPED)
    again = an_event(account=other, payment_ref="pi_2", event_id="query:pi_2", evidence=Evidence.QUERY)
    gateways.says = lambda account, query: Answer(
        found=True, events=(again,) if (account, query.payment_ref) == (other, None) else ()
    )
    await until(sweep, clock, 25 * HOUR, step=10 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["paid"]) == ("paid", 200 if first is Kind.PAYMENT_SUCCEEDED else 100)
    assert [case["kind"] for case in order["cases"]] == (["paid_twice"] if order["paid"] == 200 else [])


async def test_what_an_account_cannot_be_asked_by_order_hinders_nothing_where_it_answered_by_name(
    pool, clock, gateways
):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    first = ClaimedPayment(account="stripe-main", payment_ref="pi_1")
    await registered(pool, policy=SHIPPED, payments=(first,), expires_at=NOON + 6 * HOUR)
    gateways.says = lambda _, query: Answer(found=True) if query.payment_ref else QueryFailed("cannot_ask")
    await until(sweep, clock, 8 * HOUR, step=10 * MINUTE)
    assert (await show(pool, "A1"))["closed_at"] is not None


async def test_what_was_answered_before_a_further_query_had_no_answer_counts(pool, sweep, clock, gateways):
    await registered(pool)
    gateways.says = lambda *_: QueryFailed("unreachable", events=(heard(),))
    await until(sweep, clock, 3 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_a_closed_order_is_looked_at_as_often_as_the_policy_says_and_nothing_else_is_done(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED, expires_at=NOON + HOUR)
    await until(sweep, clock, 2 * HOUR, step=10 * MINUTE)
    gateways.asked.clear()
    before = await topics(pool, "payer")
    await until(sweep, clock, 240 * HOUR, step=HOUR)
    assert len(gateways.moments) == 3
    assert (await topics(pool, "payer"), (await show(pool, "A1"))["swept_next_at"]) == (before, None)


async def test_a_search_that_lags_does_not_bring_back_what_was_cancelled_since(pool, clock, gateways):
    """What it finds is as of when the object was written, and not as of the answer."""
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED)
    await told(pool, an_event(Kind.PAYMENT_AUTHORIZED), policy=SHIPPED)
    await told(pool, an_event(Kind.PAYMENT_CANCELLED, 60), policy=SHIPPED)
    lagging = heard(kind=Kind.PAYMENT_AUTHORIZED, as_of=NOON + timedelta(seconds=30))
    gateways.says = lambda _, query: Answer(found=True, events=(lagging,) if query.payment_ref is None else ())
    await until(sweep, clock, HOUR, step=5 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "failed"
    assert None in {query.payment_ref for *_, query in gateways.asked}


async def test_an_answer_heals_what_an_earlier_answer_stamped_later_than_the_gateway_dates_its_end(
    pool, clock, gateways
):
    """A payment is pending as of an answer, and failed by the gateway's own clock a moment before that answer."""
    sweep = a_sweep(pool, gateways, clock, SHIPPED)
    await registered(pool, policy=SHIPPED)
    pending = heard(kind=Kind.PAYMENT_PENDING, as_of=NOON + timedelta(seconds=61))
    await told(pool, msgspec.structs.replace(pending, evidence=Evidence.WEBHOOK), policy=SHIPPED)
    await told(pool, an_event(Kind.PAYMENT_FAILED, 60), policy=SHIPPED)
    assert (await show(pool, "A1"))["status"] == "processing"
    gateways.says = lambda *_: Answer(
        found=True,
        events=(an_event(Kind.PAYMENT_FAILED, 60, event_id="query:f", as_of=clock.at, evidence=Evidence.QUERY),),
    )
    await until(sweep, clock, 5 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "failed"
