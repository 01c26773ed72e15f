"""The page of the hand-over: what is new since the last one, what is open, and what is due next."""

import pytest

from tests.database.factories import NOON
from tests.desk_orders import HOSTILE, MINUTE, a_hostile_order, an_order, of_alipay, tell
from tests.desk_reading import fields_on, page_of, said, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tillkeeper.desk.person import Role
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.postgres.transactions import repeat_on_conflict

LATER = NOON + 240 * MINUTE


def at_desk(pool, role=Role.SUPPORT, locale="en", now=LATER):
    return desk_client(a_desk(pool, now=lambda: now), a_person(role, locale, "mei"))


@pytest.fixture
async def client(pool):
    async with at_desk(pool) as client:
        yield client


async def overpaid(pool, order_ref, at=NOON):
    await an_order(pool, order_ref)
    await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=20_000), at=at)
    return await pool.fetchval("SELECT max(id) FROM cases")


async def test_it_says_what_is_new_open_and_due(client, pool):
    first, _ = await overpaid(pool, "A-1"), await overpaid(pool, "A-2")
    done = {"outcome": "refunded by hand", "text": "", "by": "wei", "now": NOON + MINUTE}
    await repeat_on_conflict(pool, lambda conn: case_acts.resolve(conn, first, **done))
    text = await text_of(client, "/handover")
    assert "The first hand-over: 2 new, 1 solved, 1 open. Nobody has handed over before" in text
    assert "1 of level 1" in text
    assert "Resolved · Paid too much · A-1 · wei refunded by hand" in text
    assert "Paid too much · A-2 · nobody" in text


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_on_a_calm_day_each_part_says_that_there_is_nothing(pool, locale):
    async with at_desk(pool, Role.VIEWER, locale) as client:
        page = await page_of(client, "/handover")
        assert page.count('class="empty"') == 6
        assert 'action="/handover"' not in page, "who only looks hands nothing over"


async def test_a_hand_over_is_written_down_and_the_next_one_begins_there(client, pool):
    await overpaid(pool, "A-1")
    fields = fields_on(await page_of(client, "/handover"), "/handover")
    first = said(await (await client.post("/handover", data=fields)).text())
    assert "The last hand-over was by mei, at 2026-11-23 00:00:00 +08:00" in first
    async with at_desk(pool, now=LATER + 60 * MINUTE) as next_shift:
        text = await text_of(next_shift, "/handover")
        assert "0 new, 0 solved, 1 open. The last hand-over was by mei" in text
        await overpaid(pool, "A-2", at=LATER + 10 * MINUTE)
        fields = fields_on(await page_of(next_shift, "/handover"), "/handover")
        second = await next_shift.post("/handover", data=fields)
        assert second.url.query["since"] == LATER.isoformat()
        page = await second.text()
        assert "1 new, 0 solved, 2 open." in said(page), "what was handed over is still to be printed"
        assert 'action="/handover"' not in page
    assert await pool.fetchval("SELECT count(*) FROM handovers") == 2
    assert await pool.fetchval("SELECT count(*) FROM access_log WHERE what = 'hand over'") == 2
    for since in ("x", "2026-11-22"):
        await text_of(client, f"/handover?since={since}", 400)


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    await a_hostile_order(pool)
    case_id = await pool.fetchval("SELECT min(id) FROM cases")
    done = {"outcome": HOSTILE, "text": HOSTILE, "by": HOSTILE, "now": NOON}
    await repeat_on_conflict(pool, lambda conn: case_acts.resolve(conn, case_id, **done))
    shows_text_alone(await page_of(client, "/handover"))
