"""Cases that say whether money counts: one operator proposes how to resolve them, and another one confirms."""

import re
from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tests.desk_orders import an_order, of_alipay, tell
from tests.desk_reading import fields_on, page_of, said, text_of
from tests.desks import TOKEN, a_desk, desk_client
from tillkeeper.desk.person import Person, Role

LATER = NOON + timedelta(hours=3)
PEOPLE = {"mei": 1, "jun": 2, "sam": 3}


def at_desk(pool, name="mei", role=Role.OPERATOR):
    person = Person(id=PEOPLE[name], name=name, role=role, locale="en")
    return desk_client(a_desk(pool, now=lambda: LATER), person)


@pytest.fixture
async def case_id(pool):
    """Has money come in another currency than its order's; returns the number of its case."""
    await an_order(pool, "ORD-1042")
    await tell(pool, of_alipay(order_ref="ORD-1042", payment_ref="P-1", amount=12_900, currency="USD"))
    return await pool.fetchval("SELECT id FROM cases WHERE kind = 'wrong_currency'")


async def sent(client, case_id, act, **fields):
    """Sends a form as a browser would that opened the page just now."""
    hidden = dict(fields_on(await page_of(client, f"/cases/{case_id}"), f"/cases/{case_id}/resolve/{act}"))
    return await client.post(f"/cases/{case_id}/resolve/{act}", data=hidden | fields)


async def proposed(client, case_id):
    answer = await sent(client, case_id, "propose", outcome="it went back", reason="ticket 4711")
    page = await answer.text()
    assert answer.status == 200, page
    return re.search(r'action="[^"]*/resolve/([0-9]+)/refuse"', page)[1]


async def test_one_operator_proposes_and_another_resolves(pool, case_id):
    async with at_desk(pool) as mei, at_desk(pool, "jun") as jun:
        number = await proposed(mei, case_id)
        page = await page_of(mei, f"/cases/{case_id}")
        assert "This is your own proposal. Another operator must confirm it." in said(page)
        assert f"/resolve/{number}/confirm" not in page
        text = await text_of(jun, f"/cases/{case_id}")
        assert "mei proposes to resolve it so: it went back: ticket 4711" in text
        assert "An operator other than mei must confirm it." in text
        answer = await sent(jun, case_id, f"{number}/confirm")
        text = said(await answer.text())
        assert "Paid in another currency: closed by mei" in text
        assert "Confirmed the proposal by jun" in text
    logged = await pool.fetch("SELECT person, what FROM access_log WHERE subject = $1 ORDER BY id", f"case {case_id}")
    assert [tuple(row) for row in logged] == [
        ("mei", "resolve a case about money proposed"),
        ("mei", "propose to resolve a case"),
        ("jun", "resolve a case about money confirmed"),
        ("jun", "confirm resolving a case"),
    ]


async def test_the_same_person_cannot_confirm_and_of_two_the_second_is_told(pool, case_id):
    async with at_desk(pool) as mei, at_desk(pool, "jun") as jun:
        fields = dict(fields_on(await page_of(mei, f"/cases/{case_id}"), f"/cases/{case_id}/resolve/propose"))
        number = await proposed(mei, case_id)
        late = await jun.post(f"/cases/{case_id}/resolve/propose", data=fields | {"outcome": "it is ours"})
        assert (late.status, "mei acted first" in said(await late.text())) == (409, True)
        seen = dict(fields_on(await page_of(jun, f"/cases/{case_id}"), f"/cases/{case_id}/resolve/{number}/confirm"))
        own = await mei.post(f"/cases/{case_id}/resolve/{number}/confirm", data=seen)
        assert (own.status, "This is your own proposal." in said(await own.text())) == (409, True)
        refused = await sent(jun, case_id, f"{number}/refuse")
        assert "Refused the proposal, or withdrew it by jun" in said(await refused.text())
        over = await jun.post(f"/cases/{case_id}/resolve/{number}/refuse", data={"csrf": TOKEN})
        assert "Somebody has decided on this already" in said(await over.text())
        empty = await sent(mei, case_id, "propose", outcome=" ")
        assert (empty.status, "Say how it ended." in said(await empty.text())) == (400, True)
    assert await pool.fetchval("SELECT closed_at FROM cases WHERE id = $1", case_id) is None


async def test_support_is_told_whose_it_is_and_nobody_resolves_it_alone(pool, case_id):
    async with at_desk(pool, "sam", Role.SUPPORT) as sam:
        page = await page_of(sam, f"/cases/{case_id}")
        assert "one operator proposes how to resolve it, and another one confirms" in said(page)
        assert "/resolve" not in page
        seen = re.search(r'name="seen" value="([0-9]+)"', page)[1]
        alone = {"csrf": TOKEN, "seen": seen, "outcome": "x"}
        answer = await sam.post(f"/cases/{case_id}/resolve", data=alone)
        assert (answer.status, "another one confirms" in said(await answer.text())) == (409, True)
        many = await text_of(sam, f"/cases/many?act=resolve&id={case_id}")
        assert "resolved on their own pages, by two operators" in many
        data = {"csrf": TOKEN, "case": f"{case_id}-{seen}", "outcome": "x"}
        assert (await sam.post("/cases/many/resolve", data=data)).status == 200
    assert await pool.fetchval("SELECT closed_at FROM cases WHERE id = $1", case_id) is None


@pytest.mark.parametrize(
    ("locale", "words"),
    [("en", "Subject payment P-1 alipay-main Details"), ("zh", "支付 P-1 alipay-main")],
)
async def test_what_it_is_about_and_where_that_stands_are_in_words_and_major_units(pool, case_id, locale, words):
    await tell(pool, of_alipay(order_ref="ORD-1042", payment_ref="P-1", amount=1_000, currency="USD", capture_ref="c2"))
    person = Person(id=1, name="mei", role=Role.VIEWER, locale=locale)
    async with desk_client(a_desk(pool, now=lambda: LATER), person) as client:
        text = await text_of(client, f"/cases/{case_id}")
    assert words in text
    assert f"{'成功' if locale == 'zh' else 'succeeded'} 139.00 USD" in text
    for raw in ("payment:", "13900", "now succeeded"):
        assert raw not in text, raw


ANOTHER = """
INSERT INTO approvals (act, subject, content, reason, proposed_by, proposed_at, expires_at)
VALUES ('another', 's', '{}', 'x', 'wei', $1, $1::timestamptz + interval '1 day')
"""


OF_GUARD = """
INSERT INTO approvals (act, subject, content, reason, proposed_by, proposed_at, expires_at)
VALUES ('decide about a paused account', 'account alipay-main', '{"account": "alipay-main"}', 'x', 'wei', $1,
        $1::timestamptz + interval '1 day')
"""


async def test_what_waits_for_a_second_person_is_found_from_the_first_page(pool, case_id):
    async with at_desk(pool) as mei, at_desk(pool, "jun") as jun:
        assert "Nothing waits for a second person" in await text_of(jun, "/proposals")
        await proposed(mei, case_id)
        page = await page_of(jun, "/")
        assert "1 proposal waits for a second person" in said(page)
        assert 'href="/proposals"' in page
        page = await page_of(jun, "/proposals")
        assert "1 proposal waits for you or another operator" in said(page)
        assert f"resolve a case about money case {case_id} mei" in said(page)
        assert f'href="/cases/{case_id}"' in page
        assert "1 proposal of yours waits for somebody else" in await text_of(mei, "/proposals")
        await pool.execute(ANOTHER, NOON)
        await pool.execute(OF_GUARD, NOON)
        page = await page_of(jun, "/proposals")
        assert "another s wei" in said(page)
        assert 'href="/accounts/alipay-main/pause"' in page
