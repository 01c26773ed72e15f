"""Ladders climbed on a real database: each step once, on time, however many sweepers there are and whoever dies."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.ladder import Action, ActionSteps, Anchor, Ladder, StepTime
from tillkeeper.domain.order.acts import Refused
from tillkeeper.domain.order.registration import ClaimedPayment, Instalment, Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Answer
from tillkeeper.policy import load_policy
from tillkeeper.settings import SweepSettings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import close_parked, park_event
from tillkeeper.store.jobs.sweeping import take_due
from tillkeeper.store.orders.acts import close
from tillkeeper.store.outbox.sending import Audience, claim, lock_order
from tillkeeper.store.postgres.transactions import repeat_when_raced
from tillkeeper.store.reports.order import history, show
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.sweep import Sweep

MINUTE = timedelta(minutes=1)
LEASE = MINUTE
HOUR = timedelta(hours=1)


def climb(action, *steps, every=None, anchor=Anchor.START):
    return ActionSteps(action=action, times=tuple(StepTime(offset=step, anchor=anchor) for step in steps), every=every)


POLICY = Policy(
    ladders={
        Status.UNPAID: Ladder(
            actions=(
                climb(Action.QUERY, 3 * MINUTE),
                climb(Action.REMIND, -HOUR, anchor=Anchor.EXPIRY),
                climb(Action.CLOSE, 10 * MINUTE, every=HOUR, anchor=Anchor.EXPIRY),
            )
        ),
        Status.PROCESSING: Ladder(
            actions=(
                climb(Action.QUERY, 2 * MINUTE, 15 * MINUTE, every=HOUR),
                climb(Action.REMIND, 15 * MINUTE),
                climb(Action.CASE, 30 * MINUTE),
                climb(Action.ESCALATE, 2 * HOUR, 4 * HOUR),
            )
        ),
        Status.FAILED: Ladder(actions=(climb(Action.QUERY, MINUTE), climb(Action.GRACE, 10 * MINUTE))),
        Status.PARTIALLY_PAID: Ladder(actions=(climb(Action.REMIND, timedelta(0), anchor=Anchor.DUE),)),
    }
)


class Gateways:
    """Stands for tillkeeper/api_client: says what a test has it say, and keeps what it was asked when."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = []
        self.says = lambda _account, _question: Answer(found=False)

    @property
    def moments(self):
        """When anything was asked; several questions at once are one moment."""
        return list(dict.fromkeys(at for at, *_ in self.asked))

    async def query(self, account, query):
        self.asked.append((self.clock.at - NOON, account, query))
        said = self.says(account, query)
        if isinstance(said, Exception):
            raise said
        return said


class Clock:
    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gateways(clock):
    return Gateways(clock)


@pytest.fixture
def sweep(pool, gateways, clock):
    return a_sweep(pool, gateways, clock)


def a_sweep(pool, gateways, clock, policy=POLICY, **settings):
    return Sweep(
        pool=pool,
        api_client=gateways,
        retry=DatabaseRetry(asyncio.Event()),
        policy=lambda: policy,
        now=clock,
        settings=SweepSettings(**settings),
    )


async def registered(pool, order_ref="A1", policy=POLICY, **fields):
    fields = {"accounts": ("stripe-main",), "payer": Payer(email="mei@example.com", locale="zh"), **fields}
    return await register(pool, a_registration(order_ref, **fields), policy=policy, now=NOON)


async def told(pool, *events, now=NOON, policy=POLICY):
    await repeat_when_raced(pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=policy, now=now))


async def until(sweep, clock, moment, step=MINUTE):
    """Lets time pass in steps, sweeping at each."""
    while clock.at < NOON + moment:
        clock.at += step
        while await sweep.run_once():
            pass


async def steps(pool):
    rows = await pool.fetch("SELECT action, at, result FROM steps ORDER BY at, action")
    return [(row["action"], row["at"] - NOON, row["result"]) for row in rows]


async def topics(pool, audience):
    rows = await pool.fetch("SELECT topic FROM outbox WHERE audience = $1 ORDER BY id", audience)
    return [row["topic"] for row in rows]


def heard(**fields):
    return an_event(evidence=Evidence.QUERY, event_id="query:pi_1", **fields)


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
    assert [(it["what"], it["evidence"], it["outcome"]) for it in await history(pool, "A1")] == [
        ("step", None, "payment.succeeded"),
        ("event", "query", "applied"),
    ]
    assert await steps(pool) == [("query", 3 * MINUTE, "payment.succeeded")]
    assert len(gateways.asked) == 1


async def test_a_stuck_payment_climbs_its_ladder_each_rung_once_and_on_time(pool, sweep, clock, gateways):
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


async def test_a_question_without_an_answer_is_put_again_with_growing_pauses_until_there_is_one(
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
        assert (order["closed_at"], order["cases"]) == (None, [])
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


async def test_somebody_who_wants_the_gateway_asked_gets_one_question(pool, sweep, clock, gateways):
    await registered(pool)
    await pool.execute("UPDATE orders SET ask_at = $1, due_at = $1", NOON)
    await until(sweep, clock, 2 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [MINUTE]
    await until(sweep, clock, 5 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [MINUTE, 3 * MINUTE]


async def take_and_die(pool, clock, policy=POLICY):
    """A sweeper that takes what is due, and is killed before it asks."""
    await repeat_when_raced(pool, lambda conn: take_due(conn, policy=policy, limit=10, lease=LEASE, now=clock.at))


async def test_the_question_of_a_sweeper_that_died_is_put_by_another_when_its_lease_ran_out(
    pool, sweep, clock, gateways
):
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
        Status.FAILED: Ladder(actions=(climb(Action.QUERY, 2 * MINUTE, 10 * MINUTE), climb(Action.GRACE, 10 * MINUTE)))
    },
)


async def test_no_failure_is_told_on_a_question_whose_sweeper_died_for_the_payer_may_have_paid(pool, clock, gateways):
    sweep = a_sweep(pool, gateways, clock, GRACE_OF_TEN)
    await registered(pool, policy=GRACE_OF_TEN)
    await told(pool, an_event(Kind.PAYMENT_FAILED), policy=GRACE_OF_TEN)
    await until(sweep, clock, 9 * MINUTE)
    clock.at = NOON + 10 * MINUTE
    await take_and_die(pool, clock, GRACE_OF_TEN)
    gateways.says = lambda *_: Answer(found=True, events=(heard(second=300),))  # paid since, and the webhook was lost
    await until(sweep, clock, HOUR)
    assert await topics(pool, "payer") == ["payer.paid"]


async def test_a_sweeper_that_dies_in_a_retry_neither_loses_the_question_nor_has_the_failure_told(
    pool, clock, gateways
):
    sweep = a_sweep(pool, gateways, clock, GRACE_OF_TEN)
    await registered(pool, policy=GRACE_OF_TEN)
    await told(pool, an_event(Kind.PAYMENT_FAILED), policy=GRACE_OF_TEN)
    gateways.says = lambda *_: QueryFailed("unreachable")
    await until(sweep, clock, 11 * MINUTE, step=timedelta(seconds=5))
    clock.at = await pool.fetchval("SELECT due_at FROM orders")  # the next retry
    await take_and_die(pool, clock, GRACE_OF_TEN)
    died_at = clock.at - NOON
    await until(sweep, clock, died_at + LEASE, step=LEASE)
    assert {at for at, *_ in gateways.asked if at >= died_at} == {died_at + LEASE}
    assert await topics(pool, "payer") == []
    gateways.says = lambda *_: Answer(found=True)
    await until(sweep, clock, HOUR)
    assert await topics(pool, "payer") == ["payer.failed"]


async def test_many_sweepers_take_each_rung_once(pool, clock, gateways):
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


async def test_an_order_that_no_sweep_can_climb_with_is_set_aside_and_holds_up_no_other(pool, sweep, clock, gateways):
    await registered(pool, "A1")
    await registered(pool, "A2")
    await told(pool, an_event(Kind.PAYMENT_PENDING, order_ref="A1"))
    await pool.execute("UPDATE payments SET facts = '{\"standing\": 7}'")  # as no program of ours writes them
    await until(sweep, clock, 3 * MINUTE)
    assert [query.order_ref for _, _, query in gateways.asked] == ["A2"]
    aside = await pool.fetchval("SELECT due_at FROM orders WHERE order_ref = 'A1'")
    assert aside == NOON + 2 * MINUTE + HOUR


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


SHIPPED = load_policy()


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


async def test_a_reminder_that_a_changed_policy_has_at_another_moment_is_not_told_again(pool, clock, gateways):
    before, after = (
        Policy(ladders={Status.PROCESSING: Ladder(actions=(climb(Action.REMIND, *moments),))})
        for moments in ([15 * MINUTE], [25 * MINUTE, 40 * MINUTE])
    )
    await registered(pool, policy=before)
    await told(pool, an_event(Kind.PAYMENT_PENDING), policy=before)
    await until(a_sweep(pool, gateways, clock, before), clock, 20 * MINUTE)
    await pool.execute("UPDATE orders SET due_at = $1", clock.at)  # as a change of policy does
    await until(a_sweep(pool, gateways, clock, after), clock, 30 * MINUTE)
    assert await topics(pool, "payer") == ["payer.processing"]
    await until(a_sweep(pool, gateways, clock, after), clock, HOUR)
    assert await topics(pool, "payer") == ["payer.processing"] * 2


async def test_a_question_that_hangs_holds_back_the_answers_of_no_other_order(pool, sweep, clock, gateways):
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


def heard_of(order_ref, payment_ref):
    return an_event(
        evidence=Evidence.QUERY, event_id=f"query:{payment_ref}", order_ref=order_ref, payment_ref=payment_ref
    )


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
    said = [await sweep.ask(it) for it in taken]
    seen = []
    for _ in range(3):
        await sweep.apply(said)
        await sweep.settle(list(zip(taken, said, strict=True)))
        seen.append((await show(pool, "A1"), await steps(pool), await topics(pool, "payer")))
    assert seen[0] == seen[1] == seen[2]


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


async def test_what_was_answered_before_a_further_question_had_no_answer_counts(pool, sweep, clock, gateways):
    await registered(pool)
    gateways.says = lambda *_: QueryFailed("unreachable", events=(heard(),))
    await until(sweep, clock, 3 * MINUTE)
    assert (await show(pool, "A1"))["status"] == "paid"


async def parked(pool, event, now=NOON):
    """As a worker parks what it cannot apply; returns the row's number."""
    await repeat_when_raced(
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
    with pytest.raises(Refused, match="replay or discard it first"):
        await repeat_when_raced(pool, lambda conn: close(conn, "A1", force=False, by="mei", note="", now=clock.at))
    await repeat_when_raced(
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
