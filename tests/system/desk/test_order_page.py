"""The page of an order: its answer, its history, what gateways sent; and what strangers write is shown as text."""

import re
from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tests.desk_orders import (
    HOSTILE,
    MINUTE,
    a_hostile_order,
    a_paid_order,
    a_refunded_order,
    an_order,
    of_alipay,
    tell,
)
from tests.desks import a_desk, a_person, desk_client
from tillkeeper.desk.paths import order_path
from tillkeeper.desk.person import Role


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool, now=lambda: NOON + 24 * MINUTE), a_person(Role.SUPPORT)) as client:
        yield client


async def page_of(client, path, status=200):
    answer = await client.get(path)
    assert answer.status == status
    return await answer.text()


def said(page):
    """What a person reads of a page, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace(" .", ".").replace(" ,", ",")


async def test_the_title_is_the_answer_and_below_it_stands_why(client, pool):
    await a_paid_order(pool)
    text = said(await page_of(client, order_path("ORD-1042")))
    assert "Paid, 129.00 CNY of 129.00, through Alipay at 20:02. Because what was captured covers what is due." in text
    assert "Act now: Paid in another currency" in text


async def test_the_history_says_why_an_event_did_or_did_not_change_something(client, pool):
    await a_paid_order(pool)
    text = said(await page_of(client, order_path("ORD-1042")))
    assert "The same was told before, at 20:02." in text
    assert "The payment had succeeded before; what is heard later does not undo a success." in text
    assert "Its currency is not that of the order, so it counts for nothing." in text
    assert "at the gateway 20:02:10 · received 20:02:11 · applied 20:02:12" in text
    assert "Put on hold by mei until 11-23 20:00" in text  # the reader's own zone
    assert "The customer calls back tomorrow." in text


async def test_what_goes_back_is_contested_and_due_by_a_plan_is_shown(client, pool):
    await a_refunded_order(pool)
    text = said(await page_of(client, order_path("ORD-1043")))
    assert "Refund under way: 9.00 CNY of 86.00 CNY, for 20 min so far." in text
    for row in ("R-1 P-1043-1 alipay-main succeeded 10.00 CNY", "D-1 P-1043-1 alipay-main open 43.00 CNY"):
        assert row in text
    assert text.count("Covered 43.00 CNY") == 2
    assert text.count("Not covered 43.00 CNY") == 1


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_an_order_of_which_nothing_was_heard(pool, locale):
    await an_order(pool)
    async with desk_client(a_desk(pool, now=lambda: NOON), a_person(locale=locale)) as client:
        text = said(await page_of(client, order_path("ORD-1042")))
    assert {"en": "Not paid: 129.00 CNY is due.", "zh": "未支付：应付 129.00 CNY。"}[locale] in text


REFERENCES = ["a/b", "..", ".", "%2F", "A B+C?x=1#y", "订单 1", "a\\b", "{ref}", "'\"<>&", "\u202e\u0007", "x" * 255]


@pytest.mark.parametrize("order_ref", REFERENCES)
async def test_an_order_is_found_whatever_its_reference_holds(client, pool, order_ref):
    await an_order(pool, order_ref)
    page = await page_of(client, order_path(order_ref))
    assert "129.00" in page


@pytest.mark.parametrize(
    "path", ["/orders/none", "/orders", "/orders?ref=", "/orders/%ff", "/orders/%00", "/orders/a%00"]
)
async def test_an_order_that_is_not_there_is_said_to_be_so(client, path):
    assert "There is no such" in await page_of(client, path, 404)


@pytest.mark.parametrize("before", ["x", "-1", "1e3", "٣", "9" * 40])
async def test_what_is_no_place_in_the_history_is_refused(client, pool, before):
    await an_order(pool)
    await page_of(client, f"{order_path('ORD-1042')}?before={before}", 400)


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    await a_hostile_order(pool)
    page = await page_of(client, order_path(HOSTILE))
    raw = re.findall(r'href="(/orders/[^"]*/raw/[^"]*)"', page)
    assert len(raw) == 4
    for content in (page, await page_of(client, raw[-1])):
        assert "<script>alert" not in content
        assert "\u202e" not in content
        assert "\u0007" not in content
        assert "{{7*7}}" in content
        assert content.count("<bdi") == content.count("</bdi>")


async def test_what_a_gateway_sent_is_shown_without_contacts(client, pool):
    await a_paid_order(pool)
    page = await page_of(client, order_path("ORD-1042"))
    shown = [await page_of(client, path) for path in re.findall(r'href="(/orders/[^"]*/raw/[^"]*)"', page)]
    paid = next(raw for raw in shown if "TRADE_SUCCESS" in raw)
    assert "buyer_email=&lt;masked&gt;&amp;buyer_phone=&lt;masked&gt;" in paid
    assert "mei@example.com" not in paid
    assert "13812345678" not in paid
    looks = await pool.fetch("SELECT person, what, subject FROM access_log WHERE kind = 'look'")
    assert [tuple(look) for look in looks] == [("Ada", "raw delivery", "ORD-1042")] * len(shown)


async def test_a_delivery_is_shown_with_its_own_order_alone(client, pool):
    await a_paid_order(pool)
    await an_order(pool, "ORD-1")
    page = await page_of(client, order_path("ORD-1042"))
    (path, *_) = re.findall(r'href="(/orders/[^"]*/raw/[^"]*)"', page)
    await page_of(client, path.replace("ORD-1042", "ORD-1"), 404)
    await page_of(client, f"{order_path('ORD-1042')}/raw/no-run/1", 404)
    await page_of(client, re.sub(r"[0-9]+$", "9" * 30, path), 404)


async def test_viewers_are_not_offered_what_gateways_sent(pool):
    await a_paid_order(pool)
    async with desk_client(a_desk(pool), a_person(Role.VIEWER)) as client:
        assert "/raw/" not in await page_of(client, order_path("ORD-1042"))


async def test_a_long_history_is_read_in_parts_each_event_once(client, pool):
    await an_order(pool)
    for number in range(6):
        at = NOON + timedelta(minutes=number)
        await tell(
            pool, *[of_alipay(second=60 * number, payment_ref=f"P-{number}-{each}") for each in range(20)], at=at
        )
    path, seen = order_path("ORD-1042"), []
    for _ in range(3):
        page = await page_of(client, path)
        seen += re.findall(r'<p class="details">\s*webhook.*?data-copy="(P-[^"]+)"', page, re.DOTALL)
        found = re.search(r'href="([^"]*before=[0-9]+)"', page)
        path = found[1] if found else path
    assert found is None
    assert len(seen) == 120
    assert len(set(seen)) == 120
