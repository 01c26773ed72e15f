"""The pages of parked events: what replaying would do, by a trial; then replaying and discarding, one or many."""

from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery
from tests.desk_orders import ACCOUNT, HOSTILE, an_order, of_alipay
from tests.desk_reading import fields_on, page_of, said, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tillkeeper.desk.person import Role
from tillkeeper.store.deliveries.parked import park_event, park_unreadable


def at_desk(pool, role=Role.OPERATOR, locale="en", name="mei"):
    return desk_client(a_desk(pool), a_person(role, locale, name))


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def parked(pool, order_ref="ORD-1042", *, body=b"buyer_email=mei@example.com", error="refused", **fields):
    """Parks a payment of an order; returns its number."""
    event = of_alipay(
        order_ref=order_ref, payment_ref=f"P-{uuid4().hex}", amount=12_900, event_id=uuid4().hex, **fields
    )
    delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT, body=body)
    async with pool.acquire() as conn:
        await park_event(conn, delivery, event, reason="cannot_be_applied", error=error, now=NOON)
        return await conn.fetchval("SELECT max(id) FROM parked")


async def outcomes(pool):
    rows = await pool.fetch("SELECT outcome, closed_by, note FROM parked ORDER BY id")
    return [tuple(row) for row in rows]


def plan_of(act, *ids):
    return f"/parked/many?act={act}" + "".join(f"&id={each}" for each in ids)


async def test_the_list_says_how_many_for_which_reason(client, pool):
    assert "Nothing is parked Each event that came in is applied" in await text_of(client, "/parked")
    await parked(pool)
    async with pool.acquire() as conn:
        await park_unreadable(conn, b"no envelope", reason="unreadable", error="garbled", now=NOON)
    text = await text_of(client, "/parked")
    assert "2 events could not be applied" in text
    assert "Its data was refused 1" in text
    assert "garbled" not in await text_of(client, "/parked?reason=cannot_be_applied")
    assert "None is like that." in await text_of(client, "/parked?account=other")
    await text_of(client, "/parked?after=x", 400)


async def test_a_long_list_is_read_in_parts(client, pool):
    await pool.execute(
        "INSERT INTO parked (body, readable, reason, error, parked_at)"
        " SELECT '', false, 'unreadable', 'row ' || n || '.', $1 FROM generate_series(1, 60) n",
        NOON,
    )
    assert "row 50." in await text_of(client, "/parked")
    assert "row 51." in (text := await text_of(client, "/parked?after=50"))
    assert "row 50." not in text


async def test_one_says_what_it_means_and_what_it_holds_without_contacts(client, pool):
    number = await parked(pool)
    page = await page_of(client, f"/parked/{number}")
    assert "Not applied: its data was refused" in said(page)
    assert "Amount 129.00 CNY Order ORD-1042" in said(page)
    assert "buyer_email=&lt;masked&gt;" in page
    await text_of(client, f"/parked/{number + 1}", 404)
    async with at_desk(pool, Role.VIEWER) as viewer:
        page = await page_of(viewer, f"/parked/{number}")
        assert "buyer_email" not in page
        assert "/parked/many" not in page
        assert "checkbox" not in await page_of(viewer, "/parked")


async def test_before_replaying_it_is_told_what_would_happen_and_nothing_has(client, pool):
    await an_order(pool)
    good, alone, bad = await parked(pool), await parked(pool, "ORD-9"), await parked(pool, failure_code="\x00")
    text = await text_of(client, plan_of("replay", good, alone, bad))
    assert "2 events would be taken up, of 1 order" in text
    assert "applied 1 notice → shop ORD-1042 Unpaid → Paid" in text
    assert "waiting for its order" in text
    assert "1 would stay as it is" in text
    assert "UntranslatableCharacter" in text
    assert await outcomes(pool) == [(None, None, None)] * 3
    assert await pool.fetchval("SELECT status FROM orders") == "unpaid"
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 0
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_many_are_replayed_with_a_reason_and_the_effect_is_shown(client, pool):
    await an_order(pool)
    good, bad = await parked(pool), await parked(pool, failure_code="\x00")
    page = await page_of(client, plan_of("replay", good, bad))
    fields = fields_on(page, "/parked/many/replay")
    bare = await client.post("/parked/many/replay", data=fields)
    assert (bare.status, "Say why; it is kept." in said(await bare.text())) == (400, True)
    done = await client.post("/parked/many/replay", data=[*fields, ("id", str(bad)), ("reason", "it is mended")])
    text = said(await done.text())
    assert "1 event is taken up. 1 was left as it is." in text
    assert "Stays parked" in text
    assert await outcomes(pool) == [("replayed", "mei", "it is mended"), (None, None, None)]
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    logged = await pool.fetch("SELECT what, subject, why FROM access_log WHERE kind = 'act'")
    assert [tuple(row) for row in logged] == [("replay a parked event", f"parked {good}", "it is mended")]


async def test_of_two_who_act_on_one_the_second_is_told_who_was_first(client, pool):
    number = await parked(pool)
    fields = fields_on(await page_of(client, plan_of("discard", number)), "/parked/many/discard")
    async with at_desk(pool, name="wei") as other:
        await other.post("/parked/many/discard", data=[*fields, ("reason", "a test of the gateway")])
    second = said(await (await client.post("/parked/many/discard", data=[*fields, ("reason", "mine")])).text())
    assert "0 events are discarded. 1 was left as it is." in second
    assert "discarded wei" in second
    assert await outcomes(pool) == [("discarded", "wei", "a test of the gateway")]
    assert "There is nothing to do with these" in await text_of(client, plan_of("replay", number))


async def test_what_is_no_plan_is_refused(client):
    assert "No event is ticked" in await text_of(client, "/parked/many?act=replay")
    await text_of(client, "/parked/many?act=erase&id=1", 400)
    await text_of(client, "/parked/many?act=replay&id=x", 400)


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    number = await parked(
        pool, HOSTILE, body=HOSTILE.encode() * 50, error=HOSTILE * 3, method=HOSTILE, failure_code=HOSTILE
    )
    for path in ("/parked", f"/parked/{number}", plan_of("replay", number), plan_of("discard", number)):
        shows_text_alone(await page_of(client, path))
