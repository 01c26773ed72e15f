"""The pages of money that waits for its order, or counts for nothing."""

import re
from datetime import timedelta
from html import unescape

import pytest

from tests.database.factories import NOON
from tests.desk_orders import HOSTILE, MINUTE, a_hostile_order, an_order, of_alipay, tell
from tests.desk_reading import fields_on, page_of, said, shows_text_alone, text_of
from tests.desks import TOKEN, a_desk, desk_client
from tillkeeper.desk.person import Person, Role
from tillkeeper.domain.events import Kind

LATER = NOON + timedelta(hours=3)
REF, TYPED, PAID = "ORD-77012345", "ORD-770l2345", "2026112222001"
ONE = f"/waiting/payment?account=alipay-main&payment={PAID}"


def at_desk(pool, name="mei", role=Role.OPERATOR, locale="en"):
    person = Person(id={"mei": 1, "jun": 2}[name], name=name, role=role, locale=locale)
    return desk_client(a_desk(pool, now=lambda: LATER), person)


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def waits(pool, order_ref=TYPED, payment_ref=PAID, kind=Kind.PAYMENT_SUCCEEDED, at=NOON + MINUTE, **fields):
    fields = {"amount": 12_900, **fields}
    await tell(pool, of_alipay(kind, order_ref=order_ref, payment_ref=payment_ref, **fields), at=at)


async def test_the_title_says_how_much_waits_and_each_row_whose_it_may_be_and_why(client, pool):
    assert "No money waits for an order." in await text_of(client, "/waiting")
    await an_order(pool, REF)
    await waits(pool)
    text = await text_of(client, "/waiting")
    assert "1 payment waits for its order, for 2 h 58 min." in text
    assert f"{TYPED} 2 h 58 min {REF} Unpaid the reference may have a typing error; the amount is" in text
    await waits(pool, "NOBODY-1", "P-9")
    text = await text_of(client, "/waiting")
    assert "2 payments wait for their order" in text
    assert "no order has a similar reference" in text


async def test_it_is_filtered_and_sorted(client, pool):
    await waits(pool, "NOBODY-1", "P-1")
    await waits(pool, "NOBODY-2", "P-2", Kind.PAYMENT_PENDING, at=NOON + 2 * MINUTE)

    async def listed(query):
        return re.findall(r'class="ref">(P-[0-9])<', await page_of(client, f"/waiting?{query}"))

    assert await listed("") == ["P-2", "P-1"]
    assert await listed("first=longest") == ["P-1", "P-2"]
    assert await listed("show=came") == ["P-1"]
    assert await listed("show=on_its_way") == ["P-2"]
    assert await listed("account=alipay-main") == ["P-2", "P-1"]
    assert "No money waits like that." in await text_of(client, "/waiting?account=other")


@pytest.mark.parametrize("first", ["", "longest"])
async def test_a_long_list_is_read_in_parts_each_payment_once(client, pool, first):
    await tell(pool, *(of_alipay(order_ref=f"N-{n}", payment_ref=f"P-{n}", amount=n + 1) for n in range(60)))
    seen, path = [], f"/waiting?first={first}"
    while path:
        page = await page_of(client, path)
        seen += re.findall(r'class="ref">(P-[0-9]+)<', page)
        found = re.search(r'href="([^"]*after=[^"]*)"', page)
        path = found and unescape(found[1])
    assert len(seen) == len(set(seen)) == 60


async def test_money_that_has_an_order_and_counts_for_nothing_is_listed_with_its_case(client, pool):
    assert "None: whatever came in" in await text_of(client, "/waiting?show=mismatched")
    for ref in ("ORD-1", "ORD-2"):
        await an_order(pool, ref)
        await waits(pool, ref, f"P-{ref}", currency="USD")
    text = await text_of(client, "/waiting?show=mismatched")
    assert "Paid in another currency" in text
    assert "129.00 USD ORD-2 Unpaid 129.00 CNY" in text
    case_id = await pool.fetchval("SELECT max(id) FROM cases")
    assert "ORD-2" not in await text_of(client, f"/waiting?show=mismatched&after={case_id}")


async def test_one_payment_is_bound_to_a_likely_order_by_two(client, pool):
    await an_order(pool, REF)
    await waits(pool)
    page = await page_of(client, ONE)
    assert f"This money may be {REF}'s" in said(page)
    fields = dict(fields_on(page, "/waiting/bind"))
    assert fields["order"] == REF
    answer = await client.post("/waiting/bind", data=fields | {"reason": "they typed an l"})
    text = said(await answer.text())
    assert f"mei proposes to bind it to order {REF} : they typed an l" in text
    assert "This is your own proposal." in text
    again = await client.post("/waiting/bind", data=fields | {"reason": "x"})
    assert (again.status, "Somebody has proposed this already" in said(await again.text())) == (409, True)
    async with at_desk(pool, "jun") as jun:
        path = re.search(r'action="([^"]*/confirm)"', await page_of(jun, ONE))[1]
        assert (await jun.post(path, data={"csrf": TOKEN})).status == 200
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert "This payment does not wait" in await text_of(client, ONE, 404)


async def test_it_is_bound_to_another_order_that_must_be_registered(client, pool):
    await an_order(pool, "OTHER-1")
    await waits(pool, "NOBODY-1")
    form = {"csrf": TOKEN, "account": "alipay-main", "payment": PAID, "reason": "they said so"}
    for order, status, told in (
        ("", 400, "Say which order."),
        ("OTHER-2", 400, "No order OTHER-2 is registered."),
        ("OTHER-1", 200, "mei proposes to bind it to order OTHER-1"),
    ):
        answer = await client.post("/waiting/bind", data=form | {"order": order})
        page = await answer.text()
        assert (answer.status, told in said(page)) == (status, True)
        assert status == 200 or "they said so" in page


async def test_money_that_does_not_wait_is_not_proposed_to_anybody(client, pool):
    await an_order(pool, REF)
    for account, payment_ref in (("alipay-main", "1"), ("nobodys", PAID), ("", "")):
        form = {"csrf": TOKEN, "account": account, "payment": payment_ref, "reason": "why not"}
        answer = await client.post("/waiting/bind", data=form | {"order": REF})
        assert "This payment does not wait" in said(await answer.text())
        answer = await client.post(f"/orders/{REF}/claim/bind", data=form)
        assert (answer.status, "no such payment waits" in said(await answer.text())) == (409, True)
    assert await pool.fetchval("SELECT count(*) FROM approvals") == 0


@pytest.mark.parametrize("query", ["show=x", "after=x", "after=2026-11-22~1", "show=mismatched&after=x"])
async def test_what_no_part_can_be_is_refused(client, query):
    await text_of(client, f"/waiting?{query}", 400)


async def test_who_only_looks_binds_nothing_and_hostile_texts_are_text(pool):
    await a_hostile_order(pool)
    await waits(pool, f"{HOSTILE[:200]}x", "P-1")
    async with at_desk(pool, role=Role.SUPPORT, locale="zh") as client:
        page = await page_of(client, "/waiting")
        shows_text_alone(page)
        assert "笔款项等待认领" in page
        page = await page_of(client, "/waiting/payment?account=alipay-main&payment=P-1")
        shows_text_alone(page)
        assert "<form" not in page.replace('<form class="find"', "").replace('<form method="dialog"', "")
