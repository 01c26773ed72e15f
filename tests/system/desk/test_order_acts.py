"""What people do on an order's pages: each says what it would do, asks why, and shows the effect."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tests.desk_orders import MINUTE, an_order, of_alipay, tell
from tests.desk_reading import fields_on, page_of, said, text_of
from tests.desks import TOKEN, a_desk, desk_client
from tillkeeper.desk.person import Person, Role
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Payer

REF = "ORD-1042"
LATER = NOON + timedelta(hours=3)
PEOPLE = {"mei": 1, "jun": 2}


def at_desk(pool, name="mei", role=Role.OPERATOR, locale="en"):
    person = Person(id=PEOPLE[name], name=name, role=role, locale=locale)
    return desk_client(a_desk(pool, now=lambda: LATER), person)


@pytest.fixture
async def client(pool):
    await an_order(pool, REF, payer=Payer(email="payer@example.com"))
    async with at_desk(pool) as client:
        yield client


async def form_on(client, act, action=None, query=""):
    """The hidden fields of an act's form, as its page has them."""
    page = await page_of(client, f"/orders/{REF}/{act}{query}")
    return dict(fields_on(page, f"/orders/{REF}/{action or act}"))


async def sent(client, act, action=None, **fields):
    """Sends a form as a browser would that opened the page just now; returns what the next page says."""
    action = action or act
    answer = await client.post(f"/orders/{REF}/{action}", data=await form_on(client, act, action) | fields)
    return answer, said(await answer.text())


ANSWERED = """
INSERT INTO steps (order_id, phase, action, at, taken_at, result) SELECT id, phase, 'query', $1, $1, 'x' FROM orders
"""


async def acts_of(pool):
    return [tuple(row) for row in await pool.fetch("SELECT what, by, note FROM acts ORDER BY id")]


async def test_an_order_is_held_released_asked_about_and_closed_and_shows_it(client, pool):
    text = await text_of(client, f"/orders/{REF}")
    for offered in ("Ask the gateways now", "Remind the payer", "open a case", "Hold", "Close"):
        assert offered in text
    page = await text_of(client, f"/orders/{REF}/hold")
    assert f"Leave {REF} alone for a while?" in page
    assert "The sweep passes it over until the time below." in page
    answer, text = await sent(client, "hold", until="2026-11-23T09:00", reason="the bank answers tomorrow")
    assert (answer.url.path, "On hold until 11-23 09:00" in text) == (f"/orders/{REF}", True)
    assert "Put on hold by mei" in text
    assert "It is on hold until 11-23 09:00. Release it first." in await text_of(client, f"/orders/{REF}/ask")
    await sent(client, "release", reason="they answered")
    _, text = await sent(client, "ask")
    assert "The gateways are being asked." in text
    assert "payer: payer.expired" not in text
    page = await text_of(client, f"/orders/{REF}/close")
    assert "No payment is expected for this order any more." in page
    assert "Money that comes in later opens a case that proposes a refund." in page
    _, text = await sent(client, "close", reason="cancelled by phone")
    assert "Closed without a payment" in text
    assert [(what, note) for what, _, note in await acts_of(pool)] == [
        ("hold", "until 2026-11-23 01:00:00Z: the bank answers tomorrow"),
        ("release", "they answered"),
        ("ask", ""),
        ("close", "cancelled by phone"),
    ]
    logged = await pool.fetch("SELECT what, why FROM access_log WHERE subject = $1 ORDER BY id", f"order {REF}")
    assert tuple(logged[-1]) == ("close an order", "cancelled by phone")
    assert "It is closed since" in await text_of(client, f"/orders/{REF}/hold")


async def test_a_payer_is_reminded_once_the_gateways_have_answered(client, pool):
    assert "have not said in the last quarter of an hour" in await text_of(client, f"/orders/{REF}/remind")
    await pool.execute(ANSWERED, LATER - MINUTE)
    assert "Told: payer" in await text_of(client, f"/orders/{REF}/remind")
    _, text = await sent(client, "remind", reason="they lost the link")
    assert "Payer reminded by mei" in text
    assert "was reminded by hand at 23:00 today" in await text_of(client, f"/orders/{REF}/remind")


async def test_who_says_they_paid_has_a_case_and_the_way_leads_back_to_their_page(client, pool):
    assert f"/orders/{REF}/case?from=claim" in await page_of(client, f"/orders/{REF}/claim")
    fields = await form_on(client, "case", query="?from=claim")
    answer = await client.post(f"/orders/{REF}/case", data=fields | {"reason": "129 yuan at noon"})
    assert answer.url.path == f"/orders/{REF}/claim"
    assert await pool.fetchval("SELECT note FROM case_entries WHERE by = 'mei'") == "129 yuan at noon"
    assert "Such a case is open already." in await text_of(client, f"/orders/{REF}/case")
    assert "one operator" not in await text_of(client, f"/cases/{await pool.fetchval('SELECT id FROM cases')}")


async def test_closing_in_doubt_takes_two(client, pool):
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, order_ref=REF, payment_ref="P-1", amount=12_900))
    page = await text_of(client, f"/orders/{REF}/close")
    assert "One thing stands against it Its money may be on its way: pending P-1" in page
    alone = await client.post(
        f"/orders/{REF}/close", data=await form_on(client, "close", "close/propose") | {"reason": "x"}
    )
    assert (alone.status, "more stands against it" in said(await alone.text())) == (409, True)
    _, text = await sent(client, "close", "close/propose", reason="they cancelled")
    assert "mei proposes to close this order: they cancelled" in text
    [number] = [row["id"] for row in await pool.fetch("SELECT id FROM approvals WHERE decision IS NULL")]
    path = f"/orders/{REF}/close/{number}"
    own = await client.post(f"{path}/confirm", data={"csrf": TOKEN})
    assert (own.status, "This is your own proposal." in said(await own.text())) == (409, True)
    async with at_desk(pool, "jun") as jun:
        assert f"Confirm: close {REF}" in await text_of(jun, f"/orders/{REF}")
        closed = await jun.post(f"{path}/confirm", data={"csrf": TOKEN})
        assert (closed.status, "Closed by mei, jun" in said(await closed.text())) == (200, True)
        over = await jun.post(f"{path}/refuse", data={"csrf": TOKEN})
        assert (over.status, "Somebody has decided on this already" in said(await over.text())) == (409, True)


async def test_what_is_new_stops_the_second_person_who_refuses(client, pool):
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, order_ref=REF, payment_ref="P-1", amount=12_900))
    await sent(client, "close", "close/propose", reason="they cancelled")
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, order_ref=REF, payment_ref="P-2", amount=12_900))
    path = f"/orders/{REF}/close/{await pool.fetchval('SELECT id FROM approvals')}"
    async with at_desk(pool, "jun") as jun:
        stopped = await jun.post(f"{path}/confirm", data={"csrf": TOKEN})
        assert (stopped.status, "more stands against it than was proposed" in said(await stopped.text())) == (409, True)
        refused = await jun.post(f"{path}/refuse", data={"csrf": TOKEN})
        assert "proposes to close" not in said(await refused.text())
    assert await pool.fetchval("SELECT closed_at FROM orders") is None


async def test_of_two_who_act_at_once_the_second_is_told_and_loses_nothing(client, pool):
    async with at_desk(pool, "jun") as jun:
        late = await form_on(jun, "hold")
        await sent(client, "hold", until="2026-11-23T09:00", reason="x")
        fields = late | {"until": "2026-11-24T09:00", "reason": "they call back"}
        answer = await jun.post(f"/orders/{REF}/hold", data=fields)
        page = await answer.text()
        assert (answer.status, "Nothing was changed: mei acted first (Put on hold, " in said(page)) == (409, True)
        assert "they call back" in page
    await sent(client, "release", reason="x")
    seen = await form_on(client, "close")
    await tell(pool, of_alipay(Kind.PAYMENT_FAILED, order_ref=REF, payment_ref="P-1"))
    answer = await client.post(f"/orders/{REF}/close", data=seen | {"reason": "x"})
    assert (answer.status, "its money moved meanwhile" in said(await answer.text())) == (409, True)


@pytest.mark.parametrize(
    ("act", "fields", "told"),
    [
        ("hold", {"until": "2026-11-23T09:00"}, "Say why; it is kept."),
        ("hold", {"until": "tomorrow", "reason": "x"}, "Give a day and a time."),
        ("hold", {"until": "2026-11-21T09:00", "reason": "x"}, "within the next 90 days"),
        ("close", {"reason": " "}, "Say why; it is kept."),
    ],
)
async def test_what_an_act_needs_is_asked_for(client, act, fields, told):
    answer, text = await sent(client, act, **fields)
    assert (answer.status, told in text) == (400, True)


async def test_roles_see_what_they_may_do_and_strangers_orders_are_not_found(pool):
    await an_order(pool, REF, payer=Payer(email="payer@example.com"))
    async with at_desk(pool, role=Role.VIEWER, locale="zh") as client:
        assert f"/orders/{REF}/hold" not in await page_of(client, f"/orders/{REF}")
    async with at_desk(pool, role=Role.SUPPORT, locale="zh") as client:
        page = await page_of(client, f"/orders/{REF}")
        assert f"/orders/{REF}/hold" in page
        assert f"/orders/{REF}/close" not in page
        assert "搁置 ORD-1042？" in await text_of(client, f"/orders/{REF}/hold")
        await text_of(client, "/orders/nobody/hold", 404)
        answer = await client.post("/orders/nobody/ask", data={"csrf": TOKEN, "seen": "1-0"})
        assert answer.status == 404
