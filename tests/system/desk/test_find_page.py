"""The pages that find whatever is in hand, and that answer who says they paid."""

import re
from html import unescape

import pytest
from aiohttp import FormData
from yarl import URL

from tests.database.factories import NOON
from tests.desk_orders import HOSTILE, MINUTE, a_hostile_order, an_order, of_alipay, tell
from tests.desks import TOKEN, a_desk, desk_client
from tillkeeper.desk.paths import order_path
from tillkeeper.desk.person import Person, Role
from tillkeeper.domain.order.registration import Payer

LATER = NOON + 5 * MINUTE
REF, TYPED = "ORD-77012345", "ORD-770l2345"
PEOPLE = {"mei": 1, "jun": 2}


def at_desk(pool, role=Role.OPERATOR, name="mei", locale="en"):
    person = Person(id=PEOPLE[name], name=name, role=role, locale=locale)
    return desk_client(a_desk(pool, now=lambda: LATER), person)


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def text_of(client, path, status=200, **query):
    answer = await client.get(path, params=query)
    assert answer.status == status
    return said(await answer.text())


def said(page):
    """What a person reads of a page, on one line."""
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


async def sent(client, path, **fields):
    return await client.post(path, data={"csrf": TOKEN} | fields)


async def money_that_waits(pool):
    await an_order(pool, REF)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref="2026112222001", amount=12_900), at=NOON + MINUTE)


# --- finding ----------------------------------------------------------------------------------------------------------


async def test_the_page_asks_what_there_is_and_says_what_it_found(client, pool):
    assert "What do you have?" in await text_of(client, "/find")
    await money_that_waits(pool)
    text = await text_of(client, "/find", q="2345")
    assert "2 things were found." in text
    for part in ("Orders", "the number ends so", "Waiting for an order", "129.00", "They say they paid"):
        assert part in text
    assert "Nothing was found." in await text_of(client, "/find", q="8888")


async def test_it_answers_in_the_readers_language(pool):
    await money_that_waits(pool)
    async with at_desk(pool, locale="zh") as client:
        text = await text_of(client, "/find", q=REF)
        assert "编号完全一致" in text
        assert "款项挂在另一个编号下。" in await text_of(client, f"/orders/{REF}/claim")


async def test_a_gateways_code_says_what_to_tell_the_buyer(client):
    text = await text_of(client, "/find", q="ACQ.PAYMENT_REQUEST_HAS_RISK")
    assert "What ACQ.PAYMENT_REQUEST_HAS_RISK means" in text
    assert "Pay in another way." in text


async def test_who_looks_somebody_up_by_contact_needs_a_role_and_is_written_down(pool):
    await an_order(pool, REF, payer=Payer(email="mei@example.com"))
    async with at_desk(pool, Role.VIEWER) as client:
        text = said(await (await sent(client, "/find", q="mei@example.com")).text())
        assert "Your role does not look people up" in text
        assert REF not in text
    assert await pool.fetchval("SELECT count(*) FROM access_log") == 0
    async with at_desk(pool, Role.SUPPORT) as client:
        assert REF in (await (await sent(client, "/find", q="mei@example.com")).text())
    row = await pool.fetchrow("SELECT * FROM access_log")
    assert "mei@example.com" not in str(dict(row))
    assert row["what"] == "orders by contact"


async def test_no_contact_stands_in_an_address(pool):
    """Addresses stand in histories of browsers and in logs of proxies."""
    await an_order(pool, REF, payer=Payer(email="mei@example.com", phone="+8613800138000"))
    async with at_desk(pool, Role.SUPPORT) as client:
        for contact in ("mei@example.com", "138 0013 8000"):
            answer = await client.post("/find", data={"csrf": TOKEN, "q": contact}, allow_redirects=False)
            assert answer.status == 200
            assert REF in await answer.text()
            assert await pool.fetchval("DELETE FROM access_log RETURNING what") == "orders by contact"
            text = await text_of(client, "/find", q=f"{contact} {REF[-4:]}")
            assert "the button looks for it" in text
            assert "the number ends so" in text
            assert "Press Find to look for a contact." in await text_of(client, "/find", q=contact)
            assert await pool.fetchval("SELECT count(*) FROM access_log") == 0
        assert re.search(r'<form[^>]*action="/find" method="get"', await (await client.get("/find")).text()) is None


async def test_a_number_has_an_address_to_go_back_to(client, pool):
    await money_that_waits(pool)
    answer = await client.post("/find", data={"csrf": TOKEN, "q": "订单 " + REF}, allow_redirects=False)
    assert answer.status == 303
    found = await client.get(URL(answer.headers["Location"], encoded=True))
    assert "the whole number" in said(await found.text())


async def test_hostile_texts_are_shown_as_text(client, pool):
    await a_hostile_order(pool)
    page = await (await client.get("/find", params={"q": HOSTILE})).text()
    assert "<script" not in page.replace("<script src=", "")
    ref = await pool.fetchval("SELECT order_ref FROM orders")
    answer = await client.get(order_path(ref, "claim"))
    assert answer.status == 200
    assert "<script" not in (await answer.text()).replace("<script src=", "")
    assert (await client.get("/find", params={"q": "\u202e\x01" * 400})).status == 200


async def test_a_long_text_is_pasted_into_a_form(client, pool):
    await money_that_waits(pool)
    pasted = "您好，我昨天已经付款了。" * 800 + f"订单号 {REF}"
    form = FormData({"csrf": TOKEN, "q": pasted}, default_to_multipart=True)
    answer = await client.post("/find", data=form)
    assert answer.status == 200
    assert "the whole number" in said(await answer.text())
    assert (await sent(client, "/find", q="")).status == 200


# --- they say they paid -----------------------------------------------------------------------------------------------


async def test_an_order_that_nobody_registered_has_no_answer(client):
    await text_of(client, "/orders/nobody/claim", status=404)


async def test_the_answer_stands_first_with_evidence_and_words_to_send(client, pool):
    await money_that_waits(pool)
    text = await text_of(client, f"/orders/{REF}/claim")
    for part in (
        "Money waits under another reference.",
        "the reference may have a typing error",
        TYPED,
        "129.00",
        "do not pay again",
        "请不要再次付款",
        "Propose to bind 2026112222001 to ORD-77012345",
    ):
        assert part in text
    page = await (await client.get(f"/orders/{REF}/claim")).text()
    assert f'data-copy="您好，我们看到一笔可能属于订单 {REF}' in page


async def test_the_gateways_are_asked_and_the_page_follows(client, pool):
    await an_order(pool, REF)
    assert "It is not known yet." in await text_of(client, f"/orders/{REF}/claim")
    answer = await sent(client, f"/orders/{REF}/claim/ask")
    page = await answer.text()
    assert "The gateways are being asked." in page
    assert 'hx-trigger="every 2s"' in page
    still = await client.get(f"/orders/{REF}/claim", headers={"HX-Request": "true"})
    assert "HX-Refresh" not in still.headers
    await pool.execute("UPDATE orders SET ask_at = NULL")  # as the sweep does once it has the answers
    over = await client.get(f"/orders/{REF}/claim", headers={"HX-Request": "true"})
    assert over.headers["HX-Refresh"] == "true"
    assert [row["what"] for row in await pool.fetch("SELECT what FROM acts")] == ["ask"]


async def test_one_person_proposes_a_binding_and_another_confirms_it(pool):
    await money_that_waits(pool)
    claim, fields = f"/orders/{REF}/claim", {"account": "alipay-main", "payment": "2026112222001"}
    async with at_desk(pool, name="mei") as mei, at_desk(pool, name="jun") as jun:
        assert "Say why." in said(await (await sent(mei, f"{claim}/bind", **fields)).text())
        proposed = said(await (await sent(mei, f"{claim}/bind", reason="typed an l", **fields)).text())
        assert "Another operator must confirm it." in proposed
        again = await sent(jun, f"{claim}/bind", reason="me too", **fields)
        assert again.status == 409
        assert "Somebody has proposed this already" in said(await again.text())
        number = await pool.fetchval("SELECT id FROM approvals")
        own = await sent(mei, f"{claim}/bind/{number}/confirm")
        assert own.status == 409
        assert await pool.fetchval("SELECT status FROM orders") == "unpaid"
        elsewhere = await sent(jun, f"/orders/other/claim/bind/{number}/confirm")
        assert elsewhere.status == 404
        done = said(await (await sent(jun, f"{claim}/bind/{number}/confirm")).text())
        assert "Paid here." in done
        late = await sent(jun, f"{claim}/bind/{number}/confirm")
        assert late.status == 409
        assert "Somebody has decided on this already" in said(await late.text())
    bound = await pool.fetchrow("SELECT by, confirmed_by, note, named FROM bound_payments")
    assert tuple(bound) == ("mei", "jun", "typed an l", TYPED)


async def test_a_proposal_is_refused_or_withdrawn(client, pool):
    await money_that_waits(pool)
    claim = f"/orders/{REF}/claim"
    await sent(client, f"{claim}/bind", reason="typed", account="alipay-main", payment="2026112222001")
    number = await pool.fetchval("SELECT id FROM approvals")
    assert "Another operator must confirm it." not in said(
        await (await sent(client, f"{claim}/bind/{number}/refuse")).text()
    )
    assert (await sent(client, f"{claim}/bind/{number}/refuse")).status == 409
    assert await pool.fetchval("SELECT count(*) FROM bound_payments") == 0


async def test_what_does_not_wait_any_more_is_not_bound_and_the_proposal_stays(pool):
    await money_that_waits(pool)
    claim = f"/orders/{REF}/claim"
    async with at_desk(pool, name="mei") as mei, at_desk(pool, name="jun") as jun:
        await sent(mei, f"{claim}/bind", reason="typed", account="alipay-main", payment="2026112222001")
        await an_order(pool, TYPED)
        number = await pool.fetchval("SELECT id FROM approvals")
        refused = await sent(jun, f"{claim}/bind/{number}/confirm")
        assert refused.status == 409
        assert "It was not bound: it belongs to order" in said(await refused.text())


async def test_who_may_only_read_is_offered_nothing(pool):
    await money_that_waits(pool)
    async with at_desk(pool, Role.VIEWER) as client:
        text = await text_of(client, f"/orders/{REF}/claim")
        assert "Propose to bind" not in text
        assert "Ask the gateways" not in text
