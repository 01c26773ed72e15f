"""Sweepers that die, hang or work at once: nothing is done twice, and no order holds up another."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    POLICY,
    a_sweep,
    action_steps,
    heard,
    heard_of,
    registered,
    steps,
    take_and_die,
    told,
    topics,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.ladder import Action, Ladder
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.reports.order import show

LEASE = MINUTE


async def test_the_query_of_a_sweeper_that_died_is_put_by_another_when_its_lease_ran_out(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    clock.at = NOON + 2 * MINUTE
    await take_and_die(pool, clock)
    assert await sweep.run_once() == 0  # the dead one's lease holds
    await until(sweep, clock, 16 * MINUTE)
    assert gateways.moments == [2 * MINUTE + LEASE, 15 * MINUTE]
    assert [(row["at"] - NOON, row["tries"]) for row in await pool.fetch("SELECT at, tries FROM steps ORDER BY at")][
        :2
    ] == [(2 * MINUTE, 2), (15 * MINUTE, 1)]


GRACE_OF_TEN = msgspec.structs.replace(
    POLICY,
    ladders={
        Status.FAILED: Ladder(
            actions=(action_steps(Action.QUERY, 2 * MINUTE, 10 * MINUTE), action_steps(Action.GRACE, 10 * MINUTE))
        )
    },
)


async def test_no_failure_is_told_on_a_query_whose_sweeper_died_for_the_payer_may_have_paid(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, GRACE_OF_TEN)
    await registered(pool, policy=GRACE_OF_TEN)
    await told(pool, an_event(Kind.PAYMENT_FAILED), policy=GRACE_OF_TEN)
    await until(sweep, clock, 9 * MINUTE)
    clock.at = NOON + 10 * MINUTE
    await take_and_die(pool, clock, GRACE_OF_TEN)
    gateways.says = lambda *_: Answer(found=True, events=(heard(second=300),))  # paid since, and the webhook was lost
    await until(sweep, clock, HOUR)
    assert await topics(pool, "payer") == ["payer.paid"]


async def test_a_sweeper_that_dies_in_a_retry_neither_loses_the_query_nor_has_the_failure_told(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, GRACE_OF_TEN)
    await registered(pool, policy=GRACE_OF_TEN)
    await told(pool, an_event(Kind.PAYMENT_FAILED), policy=GRACE_OF_TEN)
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 11 * MINUTE, step=timedelta(seconds=5))
    clock.at = await pool.fetchval("SELECT due_at FROM due_orders")  # the next retry
    await take_and_die(pool, clock, GRACE_OF_TEN)
    died_at = clock.at - NOON
    await until(sweep, clock, died_at + LEASE, step=LEASE)
    assert {at for at, *_ in gateways.asked if at >= died_at} == {died_at + LEASE}
    assert await topics(pool, "payer") == []
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, HOUR)
    assert await topics(pool, "payer") == ["payer.failed"]


async def test_many_sweepers_take_each_step_once(pool, clock, gateways):
    for number in range(60):
        await registered(pool, f"A{number}")
        await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref=f"A{number}", payment_ref=f"pi_{number}"))
    sweeps = [a_sweep(pool, gateways, clock) for _ in range(4)]
    for moment in (2, 15, 31, 76, 140):
        clock.at = NOON + moment * MINUTE
        while any(await asyncio.gather(*(sweep.run_once() for sweep in sweeps))):
            pass
    counts = await pool.fetch("SELECT action, count(*), count(DISTINCT (order_id, at)) AS once FROM steps GROUP BY 1")
    assert {row["action"]: (row["count"], row["once"]) for row in counts} == {
        "query": (240, 240),
        "remind": (60, 60),
        "case": (60, 60),
        "escalate": (60, 60),
    }
    assert len([query for *_, query in gateways.asked if query.payment_ref]) == 240
    assert len(await topics(pool, "payer")) == 60


async def test_an_order_that_no_sweep_can_climb_with_is_postponed_and_holds_up_no_other(pool, sweep, clock, gateways):
    await registered(pool, "A1")
    await registered(pool, "A2")
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A1"))
    await pool.execute("UPDATE payments SET facts = '{\"standing\": 7}'")  # as no program of ours writes them
    await until(sweep, clock, 3 * MINUTE)
    assert [query.order_ref for _, _, query in gateways.asked] == ["A2"]
    assert (await show(pool, "A1"))["swept_next_at"] == NOON + 2 * MINUTE + HOUR


async def test_an_answer_that_cannot_be_applied_closes_nothing_and_asks_nobody_to_pay(pool, sweep, clock, gateways):
    await registered(pool, expires_at=NOON + 2 * HOUR)
    unfit = heard(failure_code="a\0b")  # paid, and PostgreSQL takes no NUL
    gateways.says = lambda *_: Answer(found=True, events=(unfit,))
    clock.at = NOON + 2 * HOUR + 10 * MINUTE
    while await sweep.run_once():
        pass
    order = await show(pool, "A1")
    assert (order["status"], order["closed_at"]) == ("unpaid", None)
    cases = {case["kind"]: case["details"] for case in order["cases"]}
    assert cases["answer_not_applied"] == {"answers": ["payment.succeeded"]}
    assert cases["close_in_doubt"]["why"] == "cannot be applied: payment.succeeded"
    assert await topics(pool, "payer") == []
    gateways.says = lambda *_: Answer(found=True, events=(heard(),))
    await until(sweep, clock, 2 * HOUR + 12 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], {case["closed_by"] for case in order["cases"]}) == ("paid", {"system"})


async def test_an_answer_that_cannot_be_applied_holds_up_no_other(pool, sweep, clock, gateways):
    await registered(pool, "A1")
    await registered(pool, "A2")
    said = {
        "A1": heard(failure_code="a\0b"),
        "A2": an_event(evidence=Evidence.QUERY, order_ref="A2", payment_ref="pi_2"),
    }
    gateways.says = lambda _account, query: Answer(found=True, events=(said[query.order_ref],))
    await until(sweep, clock, 4 * MINUTE)
    assert [(await show(pool, ref))["status"] for ref in said] == ["unpaid", "paid"]


async def test_a_reminder_that_a_changed_policy_has_at_another_moment_is_not_told_again(pool, clock, gateways):
    before, after = (
        Policy(ladders={Status.PROCESSING: Ladder(actions=(action_steps(Action.REMIND, *moments),))})
        for moments in ([15 * MINUTE], [25 * MINUTE, 40 * MINUTE])
    )
    await registered(pool, policy=before)
    await told(pool, an_event(Kind.PAYMENT_PENDING), policy=before)
    await until(a_sweep(pool, gateways, clock, before), clock, 20 * MINUTE)
    await pool.execute("UPDATE due_orders SET due_at = $1", clock.at)
    await until(a_sweep(pool, gateways, clock, after), clock, 30 * MINUTE)
    assert await topics(pool, "payer") == ["payer.processing"]
    await until(a_sweep(pool, gateways, clock, after), clock, HOUR)
    assert await topics(pool, "payer") == ["payer.processing"] * 2


async def test_a_query_that_hangs_holds_back_the_answers_of_no_other_order(pool, sweep, clock, gateways):
    for ref in ("A1", "A2", "A3"):
        await registered(pool, ref)
    goes_on, others = asyncio.Event(), iter(range(2, 9))

    async def query(_account, query):
        if query.order_ref == "A1":
            await goes_on.wait()
        ref = f"pi_{next(others)}"
        return Answer(found=True, events=(heard_of(query.order_ref, ref),))

    gateways.query = query
    clock.at += 3 * MINUTE
    settle, settled, two_are_settled = sweep.settle, [], asyncio.Event()

    async def counting(answered):
        await settle(answered)
        settled.extend(answered)
        if len(settled) == 2:
            two_are_settled.set()

    sweep.settle = counting
    running = asyncio.ensure_future(sweep.run_once())
    await two_are_settled.wait()
    assert [(await show(pool, ref))["status"] for ref in ("A2", "A3")] == ["paid", "paid"]
    assert (await show(pool, "A1"))["status"] == "unpaid"
    goes_on.set()
    assert await running == 3
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_an_account_that_hangs_holds_back_the_orders_of_no_other_account(pool, clock, gateways):
    for number in range(9):
        await registered(pool, f"H{number}", accounts=("hung",))
    for number in range(9):
        await registered(pool, f"G{number}", accounts=("good",))
    answered, all_good = [], asyncio.Event()

    async def query(account, query):
        if account == "hung":
            await asyncio.Event().wait()
        answered.append(query.order_ref)
        if len(answered) == 9:
            all_good.set()
        return Answer(found=False)

    gateways.query = query
    clock.at += 3 * MINUTE
    sweep, stop = a_sweep(pool, gateways, clock, orders_at_once=2), asyncio.Event()
    running = asyncio.ensure_future(sweep.keep_running(stop, idle_s=0.01))
    async with asyncio.timeout(100):
        await all_good.wait()
    running.cancel()
    await asyncio.wait({running})
    assert sorted(answered) == [f"G{number}" for number in range(9)]


async def test_a_fault_of_ours_in_asking_about_one_order_keeps_no_other(pool, sweep, clock, gateways):
    for ref in ("A1", "A2"):
        await registered(pool, ref)

    def says(_account, query):
        return ZeroDivisionError() if query.order_ref == "A1" else Answer(found=True)

    gateways.says = says
    await until(sweep, clock, 3 * MINUTE)
    assert sorted(result for *_, result in await steps(pool)) == ["no answer: fault", "nothing new"]


@pytest.mark.parametrize("moment", [3 * MINUTE, 2 * HOUR + 10 * MINUTE])  # of a query, of closing
async def test_what_is_settled_twice_is_as_if_it_was_settled_once(pool, sweep, clock, moment):
    await registered(pool, expires_at=NOON + 2 * HOUR)
    clock.at = NOON + moment
    _, taken = await sweep.take()
    said = [await sweep.ask(each) for each in taken]
    seen = []
    for _ in range(3):
        await sweep.apply(said)
        await sweep.settle(list(zip(taken, said, strict=True)))
        seen.append((await show(pool, "A1"), await steps(pool), await topics(pool, "payer")))
    assert seen[0] == seen[1] == seen[2]
