"""The pages of the outbox: notices that were given up, those that are to be sent, and trying dead ones again."""

import json

import pytest

from tests.database.factories import NOON
from tests.desk_orders import HOSTILE, MINUTE, an_order, of_alipay, tell
from tests.desk_reading import fields_on, page_of, said, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tillkeeper.desk.person import Role

LATER = NOON + 90 * MINUTE


def at_desk(pool, role=Role.OPERATOR, name="mei"):
    return desk_client(a_desk(pool, now=lambda: LATER), a_person(role, name=name))


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def a_notice(pool, order_ref="ORD-1042"):
    """Has a paid order, which tells the shop; returns the notice's key."""
    await an_order(pool, order_ref)
    await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=12_900))
    return await pool.fetchval("SELECT key FROM outbox WHERE audience = 'merchant' ORDER BY id DESC LIMIT 1")


async def a_dead_notice(pool, order_ref="ORD-1042", error="connection refused"):
    """Has one that a channel took, and that another gave up."""
    key = await a_notice(pool, order_ref)
    channels = {"exchange": {"outcome": "sent", "at": "x"}, "webhook": {"outcome": "dead", "at": "x", "why": error}}
    await pool.execute(
        "UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = $2, attempts = 9, channels = $3,"
        " last_error = $4 WHERE key = $1",
        *(key, NOON + 60 * MINUTE, json.dumps(channels), error),
    )
    return key


async def test_the_title_says_the_worst_first(client, pool):
    assert "All notices are sent" in await text_of(client, "/outbox")
    key = await a_notice(pool)
    assert "1 notice is on its way, and none fails" in await text_of(client, "/outbox")
    await pool.execute("UPDATE outbox SET last_error = 'refused', attempts = 2 WHERE key = $1", key)
    assert "1 notice fails, and is tried again" in await text_of(client, "/outbox")
    pending = await text_of(client, "/outbox?state=pending")
    assert "shop ORD-1042 refused 2" in pending
    assert "Nothing waits to be sent." in await text_of(client, "/outbox?state=pending&audience=payer")
    await a_dead_notice(pool, "ORD-2")
    text = await text_of(client, "/outbox")
    assert "1 notice was given up: whom it was for does not know" in text
    assert "shop ORD-2 connection refused 9 given up 30 min ago" in text
    for query in ("audience=nobody", "after=x", "after=2026-11-22~order/1"):
        await text_of(client, f"/outbox?{query}", 400)


@pytest.mark.parametrize("state", ["dead", "pending"])
async def test_a_long_list_is_read_in_parts_each_notice_once(client, pool, state):
    await pool.execute(
        "INSERT INTO outbox (key, audience, topic, payload, created_at, due_at, finished_at, state)"
        " SELECT 'x/' || n, 'ops', 'case.opened', '{}', $1, CASE WHEN $2 = 'pending' THEN $1::timestamptz END,"
        " CASE WHEN $2 = 'dead' THEN $1::timestamptz END, $2 FROM generate_series(1, 120) n",
        *(NOON, state),
    )
    seen, path = [], f"/outbox?state={state}"
    while path:
        page = await page_of(client, path)
        seen += [part.partition('"')[0] for part in page.split('data-copy="')[1:]]
        rest = page.partition("after=")[2]
        path = rest and f"/outbox?state={state}&after={rest.partition(chr(34))[0]}"
    assert len(seen) == len(set(seen)) == 120


async def test_a_dead_notice_is_tried_again_on_the_channel_that_gave_up(client, pool):
    key = await a_dead_notice(pool)
    page = await page_of(client, f"/outbox/retry?key={key}")
    assert "1 notice would be tried again" in said(page)
    fields = fields_on(page, "/outbox/retry")
    bare = await client.post("/outbox/retry", data=fields)
    assert (bare.status, "Say why; it is kept." in said(await bare.text())) == (400, True)
    done = await client.post("/outbox/retry", data=[*fields, ("reason", "the shop is back")])
    assert "1 notice is tried again." in said(await done.text())
    row = await pool.fetchrow("SELECT state, due_at, finished_at, channels FROM outbox WHERE key = $1", key)
    assert (row["state"], row["due_at"], row["finished_at"]) == ("pending", LATER, None)
    assert list(json.loads(row["channels"])) == ["exchange"], "what took it is done"
    again = said(await (await client.post("/outbox/retry", data=[*fields, ("reason", "again")])).text())
    assert "0 notices are tried again. 1 was left as it is." in again
    (logged,) = await pool.fetch("SELECT what, subject, why FROM access_log WHERE kind = 'act'")
    assert tuple(logged) == ("retry a notice", key, "the shop is back")
    assert "There is nothing to try again" in await text_of(client, f"/outbox/retry?key={key}")
    assert "No notice is ticked" in await text_of(client, "/outbox/retry")


async def test_who_only_looks_is_offered_no_act(pool):
    await a_dead_notice(pool)
    async with at_desk(pool, Role.SUPPORT) as client:
        assert "checkbox" not in await page_of(client, "/outbox")


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    key = await a_dead_notice(pool, HOSTILE, error=HOSTILE * 3)
    for path in ("/outbox", f"/outbox/retry?key={key}", f"/outbox/retried?left={key}"):
        shows_text_alone(await page_of(client, path))
