"""Endpoints that sign nothing: anybody can post anything."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON, an_event
from tests.database.fetching import (
    ACCOUNT,
    PAYMENT,
    SECOND,
    Gateways,
    a_loop,
    books,
    paid,
    registered,
    requested,
    rows,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.fetching import UNPROVEN_REST, Fetch
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.queries import unsigned_limits as unproven
from tillkeeper.store.queries.unsigned_limits import UNKNOWN_OPEN_MAX
from tillkeeper.store.reports.order import show

UNSIGNED = Fetch(about="payment", payment_ref="tr_1", proven=False)


@pytest.fixture
def gateways(clock):
    return Gateways(clock)


@pytest.fixture
def loop(pool, gateways, clock):
    return a_loop(pool, gateways, clock)


# Unsigned endpoints: anybody can post anything.


def made_up(count, first=0):
    return [Fetch(about="payment", payment_ref=f"tr_x{number}", proven=False) for number in range(first, first + count)]


def known(*refs, order_ref="A1"):
    return lambda _, query: paid(query.payment_ref, order_ref) if query.payment_ref in refs else Answer(found=False)


@pytest.mark.parametrize("count", [300, 30_000])
async def test_a_genuine_reference_behind_a_flood_of_made_up_ones_is_asked_about_first(pool, loop, gateways, count):
    await registered(pool)
    gateways.says = known("tr_1")
    await requested(pool, *made_up(count))
    await requested(pool, UNSIGNED, now=NOON + SECOND)
    gateways.clock.at = NOON + SECOND
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"
    assert (await books(pool)).balances


async def test_of_those_that_the_gateway_does_not_know_old_ones_fall_out_for_new_ones(pool, loop, gateways, clock):
    await requested(pool, *made_up(UNKNOWN_OPEN_MAX))
    while await loop.run_once():
        pass
    clock.at += SECOND
    tally = await requested(pool, *made_up(50, first=1000), now=clock.at)
    assert tally.dropped == {}
    while await loop.run_once():
        pass
    await requested(pool, *made_up(1, first=2000), now=clock.at)
    told = await books(pool, clock.at)
    assert (told.fetches["open"], told.fetches["not_found"], told.balances) == (UNKNOWN_OPEN_MAX + 1, 50, True)
    still_open = {row["payment_ref"] for row in await rows(pool) if row["due_at"]}
    assert {f"tr_x{number}" for number in range(1000, 1050)} < still_open
    await until(loop, clock, timedelta(hours=2))
    told = await books(pool, clock.at)
    assert (told.fetches["open"], told.fetches["not_found"], told.balances) == (0, UNKNOWN_OPEN_MAX + 51, True)


async def test_what_was_never_answered_falls_out_last_and_is_told(pool, loop, gateways, clock, monkeypatch):
    monkeypatch.setattr(unproven, "UNANSWERED_OPEN_MAX", 100)
    gateways.says = lambda *_: QueryFailed("away", "the gateway is away")
    await requested(pool, *made_up(100))
    await loop.run_once()
    clock.at += SECOND
    tally = await requested(pool, *made_up(30, first=1000), now=clock.at)
    assert tally.dropped == {ACCOUNT: 30}
    told = await books(pool, clock.at)
    assert (told.fetches["open"], told.fetches["given_up"], told.balances) == (100, 30, True)
    assert {f"tr_x{number}" for number in range(1000, 1030)} < {
        each["payment_ref"] for each in await rows(pool) if each["due_at"]
    }


async def test_what_is_signed_or_known_never_falls_out(pool, loop, gateways, clock, monkeypatch):
    monkeypatch.setattr(unproven, "UNKNOWN_OPEN_MAX", 10)
    monkeypatch.setattr(unproven, "UNANSWERED_OPEN_MAX", 10)
    await registered(pool)
    await requested(pool, events=[an_event(Kind.PAYMENT_PENDING, payment_ref="tr_known")])
    known_payment = Fetch(about="payment", payment_ref="tr_known", proven=False)
    gateways.says = known("tr_found", order_ref="B1")
    found_before = Fetch(about="payment", payment_ref="tr_found", proven=False)
    await requested(pool, found_before)
    await loop.run_once()
    await requested(pool, PAYMENT, known_payment, found_before)
    await requested(pool, *made_up(50), now=NOON + SECOND)
    refs = {row["payment_ref"] for row in await rows(pool) if row["due_at"]}
    assert {"tr_1", "tr_known", "tr_found"} <= refs
    assert len(refs) == 3 + 10


async def test_what_is_signed_or_was_found_before_is_asked_about_before_all_else(pool, loop, gateways, clock):
    gateways.says = known("tr_found")
    found_before = Fetch(about="payment", payment_ref="tr_found", proven=False)
    await requested(pool, found_before)
    await loop.run_once()
    clock.at += UNPROVEN_REST
    await requested(pool, PAYMENT, found_before, now=clock.at - SECOND)
    await requested(pool, *made_up(100), now=clock.at)
    del gateways.asked[:]
    await loop.run_once()
    assert {"tr_1", "tr_found"} < {query.payment_ref for *_, query in gateways.asked}


async def test_a_flood_at_one_account_takes_no_room_from_another(pool, loop, gateways, monkeypatch):
    monkeypatch.setattr(unproven, "UNANSWERED_OPEN_MAX", 10)
    await requested(pool, *made_up(50))
    assert (await requested(pool, *made_up(10), account="mollie-main")).dropped == {}


async def test_an_unsigned_reference_is_asked_about_once_in_a_while_and_a_signed_one_at_once(
    pool, loop, gateways, clock
):
    gateways.says = lambda *_: paid()
    await requested(pool, UNSIGNED)
    await loop.run_once()
    clock.at += SECOND
    await requested(pool, UNSIGNED, now=clock.at)
    assert await loop.run_once() == 0
    await requested(pool, PAYMENT, now=clock.at)
    assert await loop.run_once() == 1
    await requested(pool, UNSIGNED, now=clock.at)
    assert await loop.run_once() == 0
    clock.at += UNPROVEN_REST
    assert await loop.run_once() == 1


async def test_a_flood_about_one_known_reference_has_it_asked_about_once_in_a_while(pool, loop, gateways, clock):
    gateways.says = lambda *_: paid()
    for _ in range(300):
        await requested(pool, UNSIGNED, now=clock.at)
        await loop.run_once()
        clock.at += SECOND
    assert len(gateways.asked) == 300 * SECOND // UNPROVEN_REST


async def test_the_audit_sees_a_query_that_vanished(pool):
    await requested(pool, PAYMENT)
    await pool.execute("DELETE FROM fetches")
    told = await books(pool)
    assert told.unfetched == [{"account": ACCOUNT, "wanted": 1, "accounted": 0}]
    assert not told.balances


async def test_the_audit_tells_what_should_have_been_asked_by_now(pool):
    await requested(pool, PAYMENT)
    told = await books(pool, NOON + timedelta(hours=2))
    assert (told.overdue_fetches.count, told.overdue_fetches.oldest, told.balances) == (1, NOON, True)
