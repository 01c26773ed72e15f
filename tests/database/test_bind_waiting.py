"""A person binds waiting money to an order: once, for good, and by the rules that hold for all money."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import HOUR, POLICY
from tillkeeper.domain.events import Kind
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.bind_waiting import Binding, BindingRefused, bind_waiting
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.follow_up import open_unmatched
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import history, show
from tillkeeper.store.reports.whole_order import read_whole_order

TYPED = "A-l001"  # what the payer made of A-1001
PAID = {"order_ref": TYPED, "payment_ref": "pi_typed", "event_id": "evt_typed"}


def a_binding(order_ref="A-1001", **fields):
    defaults = {"account": "stripe-main", "payment_ref": "pi_typed", "by": "mei", "note": "typed an l for a 1"}
    return Binding(order_ref=order_ref, **{**defaults, **fields})


async def registered(pool, order_ref="A-1001", **fields):
    await register(pool, a_registration(order_ref, **fields), policy=POLICY, now=NOON)


async def received(pool, *events):
    delivery = a_delivery(*events, run=uuid4(), number=1)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=NOON))


async def bound(pool, *arguments, **fields):
    return await bind_waiting(pool, a_binding(*arguments, **fields), policy=POLICY, now=NOON + HOUR)


async def balances(pool):
    found = await audit(pool, settled_until=NOON + HOUR, now=NOON + HOUR)
    return found.balances and not found.misjudged


async def outcomes(pool):
    return [tuple(row) for row in await pool.fetch("SELECT event_id, outcome FROM inbox ORDER BY seq")]


async def test_what_waited_pays_the_order_and_stands_in_its_history(pool):
    await registered(pool)
    await received(pool, an_event(**PAID))
    tally = await bound(pool, confirmed_by="jun")
    assert tally.outcomes == {"applied": 1}
    order = await show(pool, "A-1001")
    assert (order["status"], order["paid"]) == ("paid", 100)
    entries = [(each["kind"], each["payment_ref"], each["by"], each["note"]) for each in await history(pool, "A-1001")]
    assert ("order.bind", "pi_typed", "mei, confirmed by jun", "typed an l for a 1") in entries
    shown = await read_whole_order(pool, "A-1001", limit=10)
    assert "bind" in [entry.kind for entry in shown.timeline]
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'order.status_changed'") == 1
    assert await balances(pool)


async def test_the_case_of_money_that_waits_is_closed(pool):
    await registered(pool)
    await received(pool, an_event(**PAID))
    async with pool.acquire() as conn, conn.transaction():
        await open_unmatched(conn, since=None, until=NOON + HOUR, policy=POLICY, limit=10, now=NOON + HOUR)
    await bound(pool)
    assert await pool.fetchval("SELECT closed_at IS NOT NULL FROM cases WHERE kind = 'unmatched_payment'")


async def test_a_redelivery_changes_nothing_and_later_events_follow_whatever_they_name(pool):
    await registered(pool)
    await received(pool, an_event(**PAID))
    await bound(pool)
    await received(pool, an_event(**PAID))
    await received(pool, an_event(second=5, order_ref=TYPED, payment_ref="pi_typed", event_id="evt_again"))
    refund = {"order_ref": TYPED, "payment_ref": "pi_typed", "refund_ref": "re_1", "amount": 40}
    await received(pool, an_event(Kind.REFUND_SUCCEEDED, second=9, event_id="evt_refund", **refund))
    order = await show(pool, "A-1001")
    assert (order["status"], order["paid"], order["refunded"]) == ("partially_refunded", 100, 40)
    assert "waiting" not in dict(await outcomes(pool)).values()
    assert await balances(pool)


async def test_the_order_that_was_named_may_be_registered_later_and_gets_nothing(pool):
    await registered(pool)
    await received(pool, an_event(**PAID))
    await bound(pool)
    await registered(pool, TYPED)
    await received(pool, an_event(second=5, order_ref=TYPED, payment_ref="pi_typed", event_id="evt_again"))
    assert (await show(pool, "A-1001"))["status"] == "paid"
    assert (await show(pool, TYPED))["status"] == "unpaid"
    assert dict(await outcomes(pool)) == {"evt_typed": "applied", "evt_again": "applied"}
    assert (
        await pool.fetchval("SELECT count(*) FROM cases WHERE kind = 'reference_conflict' AND closed_at IS NULL") == 1
    )
    assert await balances(pool)


@pytest.mark.parametrize(
    ("fields", "kind"), [({"currency": "USD"}, "wrong_currency"), ({"account": "paypal-main"}, "unexpected_account")]
)
async def test_money_that_does_not_fit_opens_a_case_and_pays_nothing(pool, fields, kind):
    await registered(pool)
    await received(pool, an_event(**{**PAID, **fields}))
    tally = await bound(pool, account=fields.get("account", "stripe-main"))
    assert tally.outcomes == {"mismatched": 1}
    order = await show(pool, "A-1001")
    assert (order["status"], order["paid"]) == ("unpaid", 0)
    assert [case["kind"] for case in order["cases"]] == [kind]
    assert await balances(pool)


async def test_only_what_waits_can_be_bound_and_only_to_an_order(pool):
    await registered(pool)
    await registered(pool, "B-2002")
    with pytest.raises(BindingRefused, match="no such payment waits"):
        await bound(pool)
    await received(pool, an_event(**PAID))
    with pytest.raises(NoSuchOrder):
        await bound(pool, "nobody")
    await bound(pool)
    with pytest.raises(BindingRefused, match="mei bound it to order 'A-1001' already"):
        await bound(pool, "B-2002")
    await received(pool, an_event(order_ref="B-2002", payment_ref="pi_b"))
    with pytest.raises(BindingRefused, match="it belongs to order 'B-2002'"):
        await bound(pool, payment_ref="pi_b")


async def test_nobody_confirms_their_own_act(pool):
    await registered(pool)
    await received(pool, an_event(**PAID))
    with pytest.raises(asyncpg.CheckViolationError):
        await bound(pool, confirmed_by="mei")
    assert await outcomes(pool) == [("evt_typed", "waiting")]


async def test_of_many_who_bind_at_once_one_wins_and_the_others_are_told(pool):
    for number in range(8):
        await registered(pool, f"R-{number}")
    await received(pool, an_event(**PAID))
    ended = await asyncio.gather(*(bound(pool, f"R-{number}") for number in range(8)), return_exceptions=True)
    refused = [each for each in ended if isinstance(each, BindingRefused)]
    assert len(refused) == 7
    assert all("mei bound it to order 'R-" in str(each) for each in refused)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == 1
    assert await balances(pool)


async def test_binding_and_registering_the_order_that_was_named_at_once_ends_in_one_of_the_two_ways(pool):
    for number in range(6):
        named, target = f"N-{number}", f"T-{number}"
        await registered(pool, target)
        await received(pool, an_event(order_ref=named, payment_ref=f"pi_{number}"))
        later = bind_waiting(pool, a_binding(target, payment_ref=f"pi_{number}"), policy=POLICY, now=NOON + HOUR)
        bind, _ = await asyncio.gather(later, registered(pool, named), return_exceptions=True)
        paid = {ref: (await show(pool, ref))["status"] for ref in (named, target)}
        winner, loser = (named, target) if isinstance(bind, BindingRefused) else (target, named)
        assert paid == {winner: "paid", loser: "unpaid"}
    assert await balances(pool)


async def test_a_bound_payment_pays_what_was_closed_as_any_late_payment_does(pool):
    await registered(pool)
    await pool.execute("UPDATE orders SET closed_at = $1", NOON)
    await received(pool, an_event(**PAID))
    await bound(pool)
    order = await show(pool, "A-1001")
    assert order["status"] == "paid"
    assert order["closed_at"] is None or [case["kind"] for case in order["cases"]] == ["paid_after_closing"]
    assert order["changed_at"] == NOON + timedelta(hours=1)
