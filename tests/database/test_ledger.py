"""The ledger out of the database: what a month shows, what waited before, and what an audit of the money finds."""

from datetime import date, timedelta

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import POLICY
from tillkeeper.domain.books.ledger import Book, LedgerAccount
from tillkeeper.domain.events import Kind
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books import ledger
from tillkeeper.store.books.ledger import Period, is_registered, read_journal
from tillkeeper.store.books.money_audit import audit_money

DAY = timedelta(days=1)
CLEARING = LedgerAccount(Book.CLEARING, "stripe-main")
PAYERS, WAITING = LedgerAccount(Book.PAYERS), LedgerAccount(Book.WAITING)


def days(first, last=None):
    return Period(first=date(2026, 11, first), last=date(2026, 11, last or first), zone="UTC")


async def received(pool, *events, at=NOON):
    async with pool.acquire() as conn, conn.transaction():
        deliveries = [a_delivery(event, received_at=at) for event in events]
        await apply_deliveries(conn, deliveries, policy=POLICY, now=at)


async def registered(pool, order_ref="A1", at=NOON):
    await register(pool, a_registration(order_ref), policy=POLICY, now=at)


async def journal(pool, period, **of):
    return [
        (each.booked_at, each.order_ref, {posting.account: posting.minor for posting in each.postings})
        async for each in read_journal(pool, period, **of)
    ]


async def test_a_day_has_the_transactions_that_were_recorded_in_it(pool):
    await registered(pool)
    await received(pool, an_event(amount=60))
    await received(pool, an_event(Kind.REFUND_SUCCEEDED, 1, refund_ref="r1", amount=20), at=NOON + DAY)
    paid = (NOON, "A1", {CLEARING: 60, PAYERS: -60})
    back = (NOON + DAY, "A1", {CLEARING: -20, LedgerAccount(Book.REFUNDS): 20})
    assert await journal(pool, days(22)) == [paid]
    assert await journal(pool, days(23)) == [back]
    assert await journal(pool, days(22, 23)) == [paid, back]
    assert await journal(pool, days(22, 23), order_ref="A1") == [paid, back]
    assert await journal(pool, days(1, 21)) == []
    assert await journal(pool, days(22, 23), order_ref="nobody's") == []


async def test_a_month_that_has_ended_still_shows_what_waited_in_it(pool):
    await received(pool, an_event(amount=100))
    waits = (NOON, None, {CLEARING: 100, WAITING: -100})
    assert await journal(pool, days(22)) == [waits]
    await registered(pool, at=NOON + 3 * DAY)
    assert await journal(pool, days(22)) == [waits]
    assert await journal(pool, days(25)) == [(NOON + 3 * DAY, "A1", {WAITING: 100, PAYERS: -100})]
    assert (await audit_money(pool)).balances == ((CLEARING, "CNY", 100), (PAYERS, "CNY", -100))


async def test_what_waits_for_different_orders_is_added_up(pool):
    await received(pool, *(an_event(order_ref=f"A{n}", payment_ref=f"p{n}", amount=n) for n in range(1, 4)))
    found = await audit_money(pool)
    assert (found.waiting, found.orders, found.balances) == (3, 0, ((CLEARING, "CNY", 6), (WAITING, "CNY", -6)))
    assert found.holds
    assert found.sums == {"CNY": 0}


async def test_pages_of_orders_are_read_to_the_end(pool, monkeypatch):
    monkeypatch.setattr(ledger, "ORDERS_AT_ONCE", 2)
    for number in range(5):
        await registered(pool, f"B{number}")
        await received(pool, an_event(order_ref=f"B{number}", payment_ref=f"p{number}", amount=1))
    assert len(await journal(pool, days(22))) == 5
    assert (await audit_money(pool)).orders == 5
    assert await is_registered(pool, "B4")
    assert not await is_registered(pool, "B5")


@pytest.mark.parametrize(
    ("tampering", "account", "events_say", "facts_say"),
    [
        ("UPDATE orders SET captured_minor = 200", PAYERS, -100, -200),
        ("UPDATE orders SET refunded_minor = 7", LedgerAccount(Book.REFUNDS), 0, 7),
        ("DELETE FROM payments", CLEARING, 100, 0),
        ("DELETE FROM inbox", CLEARING, 0, 100),
        ("UPDATE inbox SET amount_minor = 1", CLEARING, 1, 100),
    ],
)
async def test_money_that_events_and_facts_do_not_agree_on_is_named(pool, tampering, account, events_say, facts_say):
    await registered(pool)
    await received(pool, an_event(amount=100))
    assert (await audit_money(pool)).holds
    await pool.execute(tampering)
    found = await audit_money(pool)
    assert not found.holds
    assert found.faulty == 1
    faults = {fault.account: (fault.events_say, fault.facts_say) for fault in found.faults}
    assert faults[account] == (events_say, facts_say)
    assert found.faults[0].order_ref == "A1"
