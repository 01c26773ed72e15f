"""Refunds that the merchant told of, on a real database: known from then, asked about, and settled by the gateway."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, an_event
from tests.database.sweeps import HOUR, MINUTE, Gateways, a_sweep, action_steps, registered, told, until
from tests.virtual_time import Clock
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.ladder import Action, Ladder
from tillkeeper.domain.order.refund_registration import AskedRefund
from tillkeeper.domain.order.registration import Contradiction
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.refunds import register_refund, withdraw_refund
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show

POLICY = Policy(ladders={Status.REFUNDING: Ladder(actions=(action_steps(Action.QUERY, 10 * MINUTE, every=HOUR),))})


async def asked(pool, *, now=NOON, **fields):
    fields = {"order_ref": "A1", "account": "stripe-main", "refund_ref": "re_1", "amount": 30, **fields}
    return await register_refund(pool, AskedRefund(**fields), policy=POLICY, now=now)


def a_refund(kind, second=0, **fields):
    return an_event(kind, second, **{"refund_ref": "re_1", "amount": 30, **fields})


async def test_a_refund_that_never_finishes_is_asked_about_until_it_does(pool):
    clock = Clock()
    gateways = Gateways(clock)
    await registered(pool)
    await told(pool, an_event())
    await asked(pool)
    sweep = a_sweep(pool, gateways, clock, POLICY)
    await until(sweep, clock, 71 * MINUTE)
    query = Query(about="refund", order_ref="A1", payment_ref="pi_1", refund_ref="re_1")
    assert gateways.asked == [(10 * MINUTE, "stripe-main", query), (70 * MINUTE, "stripe-main", query)]
    done = a_refund(Kind.REFUND_SUCCEEDED, 1, evidence=Evidence.QUERY, event_id="query:re_1")
    gateways.says = lambda *_: Answer(found=True, events=(done,))
    await until(sweep, clock, 131 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["refunded"], order["swept_next_at"]) == ("partially_refunded", 30, None)


@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.REFUND_SUCCEEDED, "partially_refunded"), (Kind.REFUND_FAILED, "paid")]
)
@pytest.mark.parametrize("days", [-400, 0])
@pytest.mark.parametrize("merchant_first", [True, False])
async def test_every_word_of_the_gateway_is_later_than_the_merchants(pool, kind, status, days, merchant_first):
    await registered(pool)
    await told(pool, an_event())
    words = [lambda: asked(pool), lambda: told(pool, a_refund(kind, days * 86400))]
    for say in words if merchant_first else words[::-1]:
        await say()
    assert (await show(pool, "A1"))["status"] == status


async def test_the_merchants_word_may_come_after_the_gateways_if_it_says_the_same(pool):
    await registered(pool)
    await told(pool, an_event(), a_refund(Kind.REFUND_PENDING, 1))
    with pytest.raises(Contradiction, match="amount"):
        await asked(pool, amount=31)
    with pytest.raises(Contradiction, match="payment_ref"):
        await asked(pool, payment_ref="pi_2")
    assert await asked(pool, payment_ref="pi_1") == "created"
    assert (await show(pool, "A1"))["refunding"] == 30


async def test_a_refund_at_an_account_where_the_order_is_not_expected_is_a_contradiction(pool):
    await registered(pool)
    with pytest.raises(Contradiction, match="account"):
        await asked(pool, account="elsewhere")
    assert (await show(pool, "A1"))["cases"] == ()


async def test_the_gateways_amount_stands_and_the_merchants_word_stays_the_same(pool):
    await registered(pool)
    await told(pool, an_event())
    await asked(pool)
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, amount=20))
    assert (await show(pool, "A1"))["refunded"] == 20
    assert await asked(pool) == "unchanged"


async def test_the_same_refund_told_many_times_at_once_is_one(pool):
    await registered(pool)
    outcomes = await asyncio.gather(*(asked(pool) for _ in range(8)))
    assert sorted(outcomes) == ["created"] + ["unchanged"] * 7
    assert (await show(pool, "A1"))["refunding"] == 30


async def test_a_refund_that_was_taken_back_may_be_asked_for_once_more_under_its_number(pool):
    await registered(pool)
    await told(pool, an_event())
    for _ in range(3):
        assert [await asked(pool), await asked(pool)] == ["created", "unchanged"]
        assert (await show(pool, "A1"))["status"] == "refunding"
        undone = [await withdraw_refund(pool, "A1", "re_1", policy=POLICY, now=NOON) for _ in range(2)]
        assert undone == ["withdrawn", "unchanged"]
        assert (await show(pool, "A1"))["status"] == "paid"
    await asked(pool)
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, -400 * 86400))
    assert (await show(pool, "A1"))["status"] == "partially_refunded"
    assert await asked(pool) == "unchanged"


async def test_a_refund_that_names_no_payment_is_in_the_running_total_of_the_only_one(pool):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_FAILED, payment_ref="pi_0"), an_event())
    await asked(pool)
    await told(pool, an_event(Kind.REFUND_SUCCEEDED, 2, total=30))
    order = await show(pool, "A1")
    assert (order["status"], order["refunding"], order["refunded"]) == ("refunding", 30, 0)


async def test_words_that_no_delivery_brought_do_not_disturb_the_books(pool):
    await registered(pool)
    delivery = a_delivery(an_event(), run=uuid4(), number=1)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))
    await asked(pool)
    books = await audit(pool, settled_until=NOON, now=NOON + timedelta(hours=1))
    assert (books.balances, books.accepted, books.outcomes) == (True, 1, {"applied": 1})


# --- refunds that fail ------------------------------------------------------------------------------------------------


async def letters(pool, topic="payer.refund_failed"):
    return await pool.fetch("SELECT payload FROM outbox WHERE topic = $1 ORDER BY id", topic)


@pytest.mark.parametrize("before", [Kind.REFUND_PENDING, Kind.REFUND_SUCCEEDED])
async def test_a_refund_that_fails_opens_a_case_and_its_payer_is_told_once(pool, before):
    await registered(pool)
    await told(pool, an_event())
    await told(pool, a_refund(before, 1))
    failed = a_refund(Kind.REFUND_FAILED, 2, failure="account_frozen", failure_code="lost_or_stolen_card")
    await told(pool, failed)
    await told(pool, failed, a_refund(Kind.REFUND_FAILED, 3))
    order = await show(pool, "A1")
    (case,) = order["cases"]
    assert (order["status"], case["kind"], case["subject"]) == ("paid", "refund_failed", "refund:stripe-main/re_1")
    assert case["details"] == {
        "amount": 30,
        "currency": "CNY",
        "payment_ref": "pi_1",
        "failure": "account_frozen",
        "failure_code": "lost_or_stolen_card",
    }
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'case.opened'") == 1
    (letter,) = await letters(pool)
    assert msgspec.json.decode(letter["payload"])["refund_amount"] == 30


async def test_the_case_of_a_failed_refund_closes_when_another_one_makes_it_good(pool):
    await registered(pool)
    await told(pool, an_event())
    await told(pool, a_refund(Kind.REFUND_FAILED, 1))
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, 2, refund_ref="re_2"))
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["kind"], case["closed_by"]) == ("refund_failed", "system")
    assert (await audit(pool, settled_until=NOON, now=NOON)).stale == []


async def test_a_refund_that_the_merchant_took_back_has_not_failed(pool):
    await registered(pool)
    await told(pool, an_event())
    await asked(pool)
    assert await withdraw_refund(pool, "A1", "re_1", policy=POLICY, now=NOON) == "withdrawn"
    order = await show(pool, "A1")
    assert (order["status"], order["cases"], await letters(pool)) == ("paid", (), [])


async def test_asking_again_about_refunds_opens_and_closes_nothing(pool):
    """One that another made good stays so, and one that nothing made good stays owed, whatever is told of the other."""
    await registered(pool)
    await told(pool, an_event())
    await told(pool, a_refund(Kind.REFUND_FAILED, 1))
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, 2, refund_ref="re_2"))
    await told(pool, a_refund(Kind.REFUND_FAILED, 90), a_refund(Kind.REFUND_SUCCEEDED, 90, refund_ref="re_2"))
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["closed_by"], len(await letters(pool))) == ("system", 1)
    await registered(pool, "A2")
    other = {"order_ref": "A2", "payment_ref": "pi_2"}
    await told(pool, an_event(**other))
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, 1, refund_ref="re_4", **other))
    await told(pool, a_refund(Kind.REFUND_FAILED, 2, refund_ref="re_3", **other))
    await told(pool, a_refund(Kind.REFUND_SUCCEEDED, 90, refund_ref="re_4", **other))
    (case,) = (await show(pool, "A2"))["cases"]
    assert (case["kind"], case["closed_at"]) == ("refund_failed", None)
