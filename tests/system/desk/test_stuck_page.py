"""The page of stuck orders: what they wait for, what comes next, in parts."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.database.factories import NOON
from tests.desk_orders import ACCOUNT, MINUTE, a_busy_till, an_order, of_alipay, tell
from tests.desks import a_desk, desk_client
from tests.system.desk.test_order_page import page_of, said
from tillkeeper.desk.pages import stuck
from tillkeeper.desk.pages.stuck import place_in, waits_for, written_place
from tillkeeper.domain.events import Kind
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.stuck import STUCK, StuckPlace

NOW = NOON + 24 * MINUTE


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool, now=lambda: NOW)) as client:
        yield client


def refs_in(page):
    return re.findall(r'<a class="row" href="/orders/([^"]+)"', page)


async def test_where_nothing_is_stuck_the_page_says_what_would_be(client):
    text = said(await page_of(client, "/stuck"))
    assert "Nothing to do Nothing is stuck." in text
    assert "An order stands here once its money has not moved for 30 min although it should." in text


async def test_the_longest_stands_first_with_what_it_waits_for_and_what_comes_next(client, pool):
    await a_busy_till(pool)
    page = await page_of(client, "/stuck")
    text = said(page)
    assert "7 orders have waited longer than they should; the oldest 1 h 40 min." in text
    assert refs_in(page) == [f"ORD-200{number}" for number in range(6, -1, -1)]
    assert "Failed the payer to pay again 1 h 29 min 99.05 CNY never the gateway is asked due for 29 min" in text


async def test_a_list_may_be_of_one_status_and_of_one_account(client, pool):
    await a_busy_till(pool)
    assert refs_in(await page_of(client, "/stuck?status=failed")) == ["ORD-2005", "ORD-2002"]
    assert "2 orders have waited" in said(await page_of(client, f"/stuck?status=failed&account={ACCOUNT}"))
    assert "Nothing is stuck." in said(await page_of(client, "/stuck?account=stripe-main"))
    assert "Nothing is stuck." in said(await page_of(client, "/stuck?account=%27%3B--"))


async def test_a_long_list_is_read_in_parts_each_order_once(client, pool, monkeypatch):
    monkeypatch.setattr(stuck, "ROWS", 3)
    await a_busy_till(pool, stuck=6)
    for ref in ("SAME-1", "SAME-2"):  # at the same moment as others
        await an_order(pool, ref)
        at = NOW - 57 * MINUTE
        second = int((at - NOON).total_seconds())
        await tell(pool, of_alipay(Kind.PAYMENT_PENDING, second, order_ref=ref, payment_ref=f"P-{ref}"), at=at)
    path, seen = "/stuck", []
    while path:
        page = await page_of(client, path)
        seen += refs_in(page)
        found = re.search(r'href="(/stuck\?[^"]*after=[^"]*)"', page)
        path = found and found[1].replace("&amp;", "&")
    assert len(seen) == 8
    assert len(set(seen)) == 8


@pytest.mark.parametrize(
    "query",
    [
        "status=paid",
        "status=x",
        "after=x",
        "after=1",
        "after=-1",
        "after=1-x",
        "after=9999999999999999999-1",
        "after=1-99999999999999999999",
    ],
)
async def test_what_is_no_filter_and_no_place_is_refused(client, query):
    await page_of(client, f"/stuck?{query}", 400)


async def test_a_held_order_waits_for_the_end_of_its_hold(client, pool):
    await a_busy_till(pool, stuck=1)
    until = NOW + timedelta(hours=1)
    hold = {"until": until, "by": "mei", "note": "waits", "now": NOW}
    await repeat_on_conflict(pool, lambda conn: order_acts.hold(conn, "ORD-2000", **hold))
    assert "the end of its hold" in said(await page_of(client, "/stuck"))


@given(st.sampled_from(STUCK), st.booleans(), st.booleans())
def test_what_an_order_waits_for(status, is_held, has_case):
    order = {"status": status, "held_until": NOW + MINUTE if is_held else NOW, "cases": [1] if has_case else []}
    expected = "for_hold" if is_held else "for_person" if has_case else stuck.WAITS_FOR[status]
    assert waits_for(order, now=NOW) == expected


@given(st.integers(0, 10**16), st.integers(0, 2**63 - 1))
def test_a_place_is_read_as_it_was_written(microseconds, order_id):
    place = StuckPlace(since=stuck._EPOCH + timedelta(microseconds=microseconds), order_id=order_id)
    assert place_in(written_place(place)) == place
