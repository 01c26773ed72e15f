"""What people do to an order, on a real database with a sweep at work."""

import asyncio

import pytest

from tests.database.factories import NOON, an_event
from tests.database.sweeps import (
    HOUR,
    MINUTE,
    heard,
    registered,
    steps,
    told,
    topics,
    until,
)
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.acts import ActRefused
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import history, show
from tillkeeper.store.reports.overdue import stale


async def act(pool, what, order_ref="A1", *, now=NOON, by="mei", note="because", **more):
    await repeat_on_conflict(pool, lambda conn: what(conn, order_ref, by=by, note=note, now=now, **more))


async def hold(pool, until=NOON + 24 * HOUR, **more):
    await act(pool, order_acts.hold, until=until, **more)


async def close(pool, *, force=False, **more):
    await act(pool, order_acts.close, force=force, **more)


async def test_a_held_order_is_left_alone_and_goes_on_when_its_time_is_over(pool, sweep, clock, gateways):
    await registered(pool)
    await hold(pool, NOON + 2 * HOUR)
    await until(sweep, clock, 119 * MINUTE)
    assert gateways.asked == []
    await until(sweep, clock, 2 * HOUR)
    assert [at for at, _, _ in gateways.asked] == [2 * HOUR]


async def test_a_released_order_goes_on_at_once(pool, sweep, clock, gateways):
    await registered(pool)
    await hold(pool)
    await until(sweep, clock, HOUR)
    await act(pool, order_acts.release, now=clock.at)
    await until(sweep, clock, 61 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [61 * MINUTE]
    assert (await show(pool, "A1"))["held_until"] is None


async def test_money_that_comes_in_while_an_order_is_held_counts_and_the_hold_stays(pool, sweep, clock, gateways):
    await registered(pool)
    await hold(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING), now=NOON + MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], order["swept_next_at"]) == ("processing", NOON + 24 * HOUR)


async def test_only_a_held_order_can_be_released(pool):
    await registered(pool)
    with pytest.raises(ActRefused, match="not held"):
        await act(pool, order_acts.release)
    await hold(pool, NOON + HOUR)
    with pytest.raises(ActRefused, match="not held"):
        await act(pool, order_acts.release, now=NOON + HOUR)


async def test_asking_has_the_sweep_ask_next_and_the_ladder_goes_on(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    await act(pool, order_acts.ask_gateway, note="")
    await until(sweep, clock, 3 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [MINUTE, 2 * MINUTE]
    await hold(pool)
    with pytest.raises(ActRefused, match="release it first"):
        await act(pool, order_acts.ask_gateway)


async def test_an_unpaid_order_is_closed_and_everybody_is_told(pool, sweep, clock, gateways):
    await registered(pool)
    await close(pool)
    order = await show(pool, "A1")
    assert (order["closed_at"], order["swept_next_at"], order["version"]) == (NOON, NOON, 2)  # when to ask once more
    assert await topics(pool, "merchant") == ["order.closed"]
    assert await topics(pool, "payer") == ["payer.expired"]
    await until(sweep, clock, HOUR)
    assert gateways.asked == []


async def test_the_payer_of_a_closed_order_is_told_of_late_money_and_of_its_way_back(pool):
    await registered(pool)
    await close(pool)
    refund = {"refund_ref": "re_1", "amount": 100}
    for second, event in enumerate(
        (
            an_event(),
            an_event(Kind.REFUND_PENDING, 1, **refund),
            an_event(Kind.REFUND_FAILED, 2, **refund),
            an_event(Kind.REFUND_SUCCEEDED, 3, **refund),
            an_event(payment_ref="pi_2", amount=40),
        )
    ):
        await told(pool, event, now=NOON + (second + 1) * MINUTE)
    assert await topics(pool, "payer") == [
        "payer.expired",
        "payer.paid_after_closing",
        "payer.refunding",
        "payer.refund_failed",
        "payer.refunded",
        "payer.paid_after_closing",
    ]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([an_event(Kind.PAYMENT_PENDING)], "pi_1 at stripe-main is pending: its money may be on its way"),
        ([an_event(Kind.PAYMENT_AUTHORIZED)], "pi_1 at stripe-main is authorized"),
        ([an_event(amount=40)], "0.40 CNY was paid"),
        ([an_event()], "1.00 CNY was paid"),
        ([an_event(), an_event(Kind.PAYMENT_PENDING, payment_ref="pi_2")], "pi_2 at stripe-main is pending"),
        ([an_event(Kind.PAYMENT_PENDING, account="elsewhere")], "pi_1 at elsewhere is pending"),
        ([an_event(), an_event(Kind.REFUND_PENDING, refund_ref="re_1", amount=100)], "1.00 CNY was paid"),
    ],
)
async def test_an_order_is_not_closed_while_money_is_there_or_on_its_way_unless_forced(pool, events, reason):
    await registered(pool)
    await told(pool, *events)
    with pytest.raises(ActRefused, match=reason):
        await close(pool)
    order = await show(pool, "A1")
    assert order["closed_at"] is None
    await close(pool, force=True)
    assert (await show(pool, "A1"))["closed_at"] == NOON


@pytest.mark.parametrize(
    "events",
    [
        [an_event(Kind.PAYMENT_FAILED)],
        [an_event(), an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="re_1", amount=100)],
    ],
)
async def test_an_order_with_nothing_there_can_be_closed(pool, events):
    await registered(pool)
    await told(pool, *events)
    await close(pool)
    assert (await show(pool, "A1"))["closed_at"] == NOON


async def test_money_after_a_person_closed_an_order_follows_the_policy(pool):
    await registered(pool)
    await close(pool)
    await told(pool, an_event(), now=NOON + HOUR)
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["kind"], case["details"]["proposed_refund"]) == ("paid_after_closing", 100)


async def test_the_case_of_a_stuck_payment_stays_open_though_somebody_closed_its_order(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    await until(sweep, clock, 31 * MINUTE)
    await close(pool, force=True, now=clock.at)
    (case,) = (await show(pool, "A1"))["cases"]
    assert (case["kind"], case["closed_by"]) == ("stuck", None)
    async with pool.acquire() as conn:
        assert await stale(conn, limit=10) == []
    await told(pool, an_event(Kind.PAYMENT_FAILED, 60), now=clock.at)
    (case,) = (await show(pool, "A1"))["cases"]
    assert case["closed_by"] == "system"


async def test_nothing_is_done_to_a_closed_or_unknown_order(pool):
    await registered(pool)
    await close(pool)
    acts = {
        order_acts.hold: {"until": NOON + HOUR},
        order_acts.release: {},
        order_acts.close: {"force": True},
    }
    for what, more in acts.items():
        with pytest.raises(ActRefused, match="closed since 2026-11-22 12:00:00Z"):
            await act(pool, what, **more)
        with pytest.raises(NoSuchOrder):
            await act(pool, what, "A2", **more)
    with pytest.raises(NoSuchOrder):
        await act(pool, order_acts.ask_gateway, "A2")
    assert [each["kind"] for each in await history(pool, "A1")] == ["order.close"]


async def test_a_customer_who_paid_a_closed_order_is_found_by_asking(pool, sweep, clock, gateways):
    await registered(pool)
    await close(pool)
    await act(pool, order_acts.ask_gateway, note="the customer shows paid")
    gateways.says = lambda *_: Answer(found=True, events=(heard(),))
    await until(sweep, clock, 5 * MINUTE)
    order = await show(pool, "A1")
    assert (order["status"], [case["kind"] for case in order["cases"]]) == ("paid", ["paid_after_closing"])
    assert [at for at, _, _ in gateways.asked] == [MINUTE]


async def test_a_payment_under_way_is_followed_to_its_end_though_somebody_closed_its_order(
    pool, sweep, clock, gateways
):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING))
    await close(pool, force=True)
    await until(sweep, clock, 3 * MINUTE)
    assert [at for at, _, _ in gateways.asked] == [2 * MINUTE]


async def test_who_when_and_why_stand_in_the_history_beside_events_and_steps(pool, sweep, clock, gateways):
    await registered(pool)
    await told(pool, an_event(Kind.PAYMENT_PENDING, event_id="evt"), now=NOON)
    await until(sweep, clock, 3 * MINUTE)
    await hold(pool, NOON + HOUR, now=clock.at, note="they call back")
    entries = await history(pool, "A1")
    assert [(entry["what"], entry["kind"], entry["evidence"], entry["outcome"], entry["by"]) for entry in entries] == [
        ("event", "payment.pending", "webhook", "applied", None),
        ("step", "sweep.query", None, "not found", None),
        ("act", "order.hold", "operator", "done", "mei"),
    ]
    assert [entry["recorded_at"] - NOON for entry in entries] == [0 * MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert entries[2]["note"] == "until 2026-11-22 13:00:00Z: they call back"
    assert {tuple(entry) for entry in entries} == {tuple(entries[0])}


async def test_a_hold_and_a_webhook_at_once_both_count(pool):
    await registered(pool)
    await asyncio.gather(hold(pool), told(pool, an_event(Kind.PAYMENT_PENDING)))
    order = await show(pool, "A1")
    assert (order["status"], order["swept_next_at"]) == ("processing", NOON + 24 * HOUR)


async def test_a_sweeper_that_holds_an_order_changes_nothing_about_a_hold(pool, sweep, clock, gateways):
    await registered(pool, expires_at=NOON + HOUR)
    clock.at = NOON + 70 * MINUTE

    async def meanwhile(account, query):
        if await steps(pool) != [] and (await show(pool, "A1"))["held_until"] is None:
            await hold(pool, NOON + 24 * HOUR, now=clock.at)
        return await said(account, query)

    said, gateways.query = gateways.query, meanwhile
    while await sweep.run_once():
        pass
    order = await show(pool, "A1")
    assert (order["closed_at"], order["swept_next_at"]) == (None, NOON + 24 * HOUR)
