"""A stuck order takes the steps of its ladder, each once and on time."""

from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    POLICY,
    a_sweep,
    heard,
    registered,
    steps,
    told,
    topics,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Instalment
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.reports.order import history, show


async def test_nothing_is_due_before_its_time(pool, sweep, clock, gateways):
    await registered(pool)
    clock.at = NOON + 3 * MINUTE - timedelta(seconds=1)
    assert await sweep.run_once() == 0
    clock.at = NOON + 3 * MINUTE
    assert await sweep.run_once() == 1
    assert [query.order_ref for _, _, query in gateways.asked] == ["A1"]


async def test_what_the_gateway_answers_is_applied_with_its_evidence(pool, sweep, clock, gateways):
    await registered(pool)
    gateways.says = lambda *_: Answer(found=True, events=(heard(),))
    await until(sweep, clock, 5 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["swept_next_at"]) == ("paid", None)
    assert [(entry["what"], entry["evidence"], entry["outcome"]) for entry in await history(pool, "A1")] == [
        ("step", None, "payment.succeeded"),
        ("event", "query", "applied"),
    ]
    assert await steps(pool) == [("query", 3 * MINUTE, "payment.succeeded")]
    assert len(gateways.asked) == 1


async def test_a_stuck_payment_climbs_its_ladder_each_step_once_and_on_time(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, 5 * HOUR)
    assert gateways.moments == [2 * MINUTE, 15 * MINUTE, *(15 * MINUTE + n * HOUR for n in range(1, 5))]
    assert [(action, at) for action, at, _ in await steps(pool) if action != "query"] == [
        ("remind", 15 * MINUTE),
        ("case", 30 * MINUTE),
        ("escalate", 2 * HOUR),
        ("escalate", 4 * HOUR),
    ]
    assert await topics(pool, "payer") == ["payer.processing"]
    assert await topics(pool, "ops") == ["case.opened", "case.escalated", "case.escalated"]
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["kind"], case["level"], case["closed_at"]) == ("stuck", 3, None)


async def test_the_case_closes_itself_when_the_truth_arrives(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    await until(sweep, clock, 40 * MINUTE)
    await told(pool, an_event(second=5), now=clock.at)
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["closed_by"], case["follow_up_at"]) == ("system", None)
    entries = await pool.fetch("SELECT what FROM case_entries ORDER BY id")
    assert [row["what"] for row in entries] == ["opened", "closed"]


async def test_not_found_and_no_answer_change_nothing(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 4 * MINUTE)
    gateways.says = lambda *_: Answer(found=False)
    await until(sweep, clock, 20 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "processing"


async def test_a_query_without_an_answer_is_put_again_with_growing_pauses_until_there_is_one(
    pool, sweep, clock, gateways
):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 8 * MINUTE, step=timedelta(seconds=5))
    pauses = [later - earlier for (earlier, *_), (later, *_) in zip(gateways.asked, gateways.asked[1:], strict=False)]
    assert pauses == [timedelta(seconds=s) for s in (15, 30, 60, 120)]
    gateways.says = lambda *_: Answer(found=True, events=(heard(second=9),))
    await until(sweep, clock, 12 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "paid"
    assert [(action, result) for action, _, result in await steps(pool)] == [("query", "payment.succeeded")]


async def test_an_order_is_closed_only_once_its_gateway_knows_of_no_payment(pool, sweep, clock, gateways):
    await registered(pool, expires_at=NOON + 2 * HOUR)
    gateways.says = lambda *_: QueryFailed("busy")
    await until(sweep, clock, 2 * HOUR + 20 * MINUTE)
    order = await show(pool, "A1")
    assert order["closed_at"] is None
    assert [case["kind"] for case in order["cases"]] == ["close_in_doubt"]
    gateways.says = lambda *_: Answer(found=False)
    await until(sweep, clock, 4 * HOUR)
    order = await show(pool, "A1")
    assert (order["status"], order["swept_next_at"], order["closed_at"] is not None) == ("unpaid", None, True)
    assert order["cases"][0]["closed_by"] == "system"
    assert await topics(pool, "merchant") == ["order.closed"]
    assert await topics(pool, "payer") == ["payer.expired"]  # nobody is asked to pay what may be paid


async def test_a_payer_is_asked_to_pay_only_once_the_gateway_could_say_that_they_did_not(pool, sweep, clock, gateways):
    await registered(pool, expires_at=NOON + 2 * HOUR)
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 75 * MINUTE)
    assert await topics(pool, "payer") == []
    gateways.says = lambda *_: Answer(found=False)
    await until(sweep, clock, 95 * MINUTE)
    assert await topics(pool, "payer") == ["payer.reminder"]
    assert [(action, result) for action, _, result in await steps(pool)] == [("query", "not found"), ("remind", "done")]
    assert gateways.asked[-1][0] > 75 * MINUTE


async def test_a_payer_is_told_of_a_failure_only_once_the_gateway_could_say_that_it_stands(
    pool, sweep, clock, gateways
):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_FAILED))
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 30 * MINUTE)
    assert await topics(pool, "payer") == []
    gateways.says = lambda *_: Answer(found=False)
    await until(sweep, clock, 50 * MINUTE)
    assert await topics(pool, "payer") == ["payer.failed"]


async def test_an_order_whose_payment_is_under_way_is_not_closed(pool, sweep, clock, gateways):
    await registered(pool, expires_at=NOON + 2 * HOUR)
    gateways.says = lambda *_: Answer(found=True, events=(heard(kind=Kind.PAYMENT_PENDING, second=8000),))
    clock.at = NOON + 2 * HOUR + 11 * MINUTE
    await until(sweep, clock, 2 * HOUR + 12 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["closed_at"]) == ("processing", None)


@pytest.mark.parametrize("after_close", ["case", "reopen"])
async def test_money_that_comes_in_after_closing_follows_the_policy(pool, clock, gateways, after_close):
    policy = msgspec.structs.replace(POLICY, after_close=after_close)
    await registered(pool, policy=policy, expires_at=NOON + 2 * HOUR)
    await until(a_sweep(pool, gateways, clock, policy), clock, 3 * HOUR)
    await told(pool, an_event(), policy=policy, now=clock.at)
    order = await show(pool, "A1")
    assert order["status"] == "paid"
    if after_close == "case":
        (case,) = order["cases"]
        assert (case["kind"], case["details"]["proposed_refund"]) == ("paid_after_closing", 100)
        assert order["closed_at"] is not None
        assert "payer.paid" not in await topics(pool, "payer")
    else:
        assert (order["closed_at"], order["cases"]) == (None, ())
        assert "order.reopened" in await topics(pool, "merchant")


async def test_a_failure_is_told_to_the_payer_only_after_its_grace(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_FAILED))
    await until(sweep, clock, 9 * MINUTE)
    assert await topics(pool, "payer") == []
    assert (await show(pool, "A1"))["status"] == "failed"
    await until(sweep, clock, 11 * MINUTE)
    assert await topics(pool, "payer") == ["payer.failed"]


async def test_a_failure_that_became_a_success_within_its_grace_is_never_told(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_FAILED))
    await until(sweep, clock, 5 * MINUTE)
    await told(pool, an_event(second=60), now=clock.at)
    await until(sweep, clock, HOUR)
    assert await topics(pool, "payer") == ["payer.paid"]


async def test_an_instalment_is_reminded_of_when_it_is_due(pool, sweep, clock):
    plan = (Instalment(amount=40, due_at=NOON + HOUR), Instalment(amount=60, due_at=NOON + 48 * HOUR))
    await registered(pool, instalments=plan)
    await told(pool, an_event(amount=50))
    await until(sweep, clock, 50 * HOUR, step=HOUR)
    row = await pool.fetchrow("SELECT payload FROM outbox WHERE topic = 'payer.instalment_due'")
    payload = msgspec.json.decode(row["payload"])
    assert (payload["due_amount"], payload["remaining"]) == (50, 50)


async def test_a_held_order_is_left_alone_until_its_time(pool, sweep, clock, gateways):
    await registered(pool)
    await pool.execute("UPDATE orders SET held_until = $1", NOON + HOUR)
    await until(sweep, clock, 59 * MINUTE)
    assert gateways.asked == []
    await until(sweep, clock, HOUR)
    assert len(gateways.asked) == 1


async def test_somebody_who_wants_the_gateway_asked_gets_one_query(pool, sweep, clock, gateways):
    await registered(pool)
    await pool.execute("UPDATE orders SET ask_at = $1", NOON)
    await pool.execute("UPDATE due_orders SET due_at = $1", NOON)
    await until(sweep, clock, 2 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [MINUTE]
    await until(sweep, clock, 5 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [MINUTE, 3 * MINUTE]
