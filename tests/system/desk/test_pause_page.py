"""The page of a paused account: why, what is held, what would happen; and what becomes of it is decided by two."""

from uuid import uuid4

import pytest

from tests.browsing import add
from tests.database.factories import NOON, a_delivery
from tests.database.test_guard_sweeping import paused
from tests.desk_orders import ACCOUNT, MINUTE, an_order, of_alipay
from tests.desk_reading import fields_on, page_of, said, text_of
from tests.desks import TOKEN
from tests.system.desk.conftest import password_hash
from tests.system.desk.test_order_acts import at_desk
from tillkeeper.desk.pages.accounts import one_pause
from tillkeeper.desk.person import Role
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.store.guard.deciding import decide
from tillkeeper.store.guard.holding import hold
from tillkeeper.store.guard.releasing import claim_decided, end
from tillkeeper.store.postgres.transactions import repeat_on_conflict

PAGE = f"/accounts/{ACCOUNT}/pause"
HELD = 3


async def a_pause(pool):
    """Payments of three orders are held."""
    await paused(pool, ACCOUNT)
    pause_id, run, deliveries = await pool.fetchval("SELECT id FROM account_pauses"), uuid4(), []
    for number in range(HELD):
        await an_order(pool, f"O-{number}")
        event = of_alipay(order_ref=f"O-{number}", payment_ref=f"P-{number}", amount=12_900)
        deliveries.append(a_delivery(event, run=run, number=number + 1, account=ACCOUNT, received_at=NOON))
    await in_one(pool, hold, deliveries, {ACCOUNT: pause_id}, EnvelopeKeys(), now=NOON)


async def in_one(pool, work, *arguments, **named):
    return await repeat_on_conflict(pool, lambda conn: work(conn, *arguments, **named))


@pytest.fixture
async def mei(pool):
    await a_pause(pool)
    async with at_desk(pool) as client:
        yield client


@pytest.fixture
async def jun(pool):
    async with at_desk(pool, "jun") as client:
        yield client


async def sent(client, action, page=None, **fields):
    """Sends a form of the page as it is now, or was; returns the status and what the next page says."""
    hidden = dict(fields_on(page or await page_of(client, PAGE), f"{PAGE}/{action}"))
    answer = await client.post(f"{PAGE}/{action}", data=hidden | fields)
    return answer.status, said(await answer.text())


async def decided(pool):
    return tuple(await pool.fetchrow("SELECT decision, decided_by, note, deaf_s FROM account_pauses ORDER BY id DESC"))


async def test_a_paused_account_is_urgent_on_the_first_page_and_each_place_that_names_it_leads_to_why(mei, pool):
    page = await page_of(mei, "/")
    assert "Act now The till is behind" in said(page)
    assert "1 account is paused; deliveries held: 3" in said(page)
    assert "paused since 20:00, 3 held" in said(page)
    assert page.count(f'href="{PAGE}"') == 2
    page = await page_of(mei, "/accounts")
    assert "Alipay is paused: 3 deliveries are held since 20:00" in said(page)
    assert f'href="{PAGE}"' in page
    for path in (f"/accounts/{ACCOUNT}", f"/cases/{await pool.fetchval('SELECT id FROM cases')}"):
        assert f'href="{PAGE}"' in await page_of(mei, path), path
    await paused(pool, "stripe-main")
    async with at_desk(pool) as another:
        assert "2 accounts are paused; deliveries held: 3" in await text_of(another, "/")


async def test_the_page_says_why_and_what_would_happen_and_changes_nothing(mei, pool):
    text = await text_of(mei, PAGE)
    assert f"{ACCOUNT} is paused: {HELD} deliveries are held since 20:00" in text
    assert "Within 5 minutes 50 orders failed, and 0 were paid. That is 100 % of both;" in text
    assert "the most in such a time was 0 before, and from 20 on the account is paused. It had 80 open orders." in text
    assert "tried with all of them, and undone" in text
    assert "Unpaid Paid 3" in text
    assert "387.00 CNY" in text
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'unpaid'") == HELD
    async with at_desk(pool, locale="zh") as client:
        text = await text_of(client, PAGE)
        assert f"{ACCOUNT} 已暂停入账： 20:00 起暂存 {HELD} 条回调" in text
        assert "5 分钟内 50 个订单首次支付失败，0 个付款成功。" in text


async def test_where_the_orders_are_busy_the_page_says_so_and_people_decide_all_the_same(mei, pool, monkeypatch):
    monkeypatch.setattr(one_pause, "TRIAL_S", 0.05)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM orders FOR UPDATE")
        page = await page_of(mei, PAGE)
        assert "It cannot be tried now" in said(page)
        assert (await sent(mei, "park", page, reason="x"))[0] == 200


async def test_one_proposes_to_let_it_go_on_and_another_confirms_and_who_comes_late_is_told(mei, jun, pool):
    late = await page_of(jun, PAGE)
    status, text = await sent(mei, "go", reason="the console says the same", deaf_min="30")
    assert (status, "mei proposes to let it go on" in text, "for 30 minutes" in text) == (200, True, True)
    status, text = await sent(jun, "park", late, reason="forged")
    assert (status, "Somebody has proposed this already" in text) == (409, True)
    number = await pool.fetchval("SELECT id FROM approvals")
    own = await mei.post(f"{PAGE}/{number}/confirm", data={"csrf": TOKEN})
    assert (own.status, "This is your own proposal." in said(await own.text())) == (409, True)
    assert await decided(pool) == (None, None, None, None)
    page = await page_of(jun, "/proposals")
    assert f'href="{PAGE}"' in page
    status, text = await sent(jun, f"{number}/confirm")
    assert (status, f"{ACCOUNT} goes on: {HELD} deliveries are still to be applied" in text) == (200, True)
    assert await decided(pool) == ("go", "mei, jun", "the console says the same", 1800)
    for action in ("confirm", "refuse"):
        over = await mei.post(f"{PAGE}/{number}/{action}", data={"csrf": TOKEN})
        assert (over.status, "Somebody has decided on this already" in said(await over.text())) == (409, True)
    status, text = await sent(jun, "park", late, reason="forged")
    assert (status, "Nothing was changed: somebody has decided about this pause already" in text) == (409, True)
    async with at_desk(pool) as another:
        assert "account is paused" not in await text_of(another, "/")
    logged = {row["what"] for row in await pool.fetch("SELECT what FROM access_log")}
    assert {"propose about a paused account", "confirm what becomes of a paused account"} <= logged


async def test_what_is_held_is_parked_as_two_say_and_one_may_refuse(mei, jun, pool):
    await sent(mei, "park", reason="forged with a key that leaked")
    number = await pool.fetchval("SELECT id FROM approvals")
    elsewhere = await jun.post(f"/accounts/stripe-main/pause/{number}/refuse", data={"csrf": TOKEN})
    assert elsewhere.status == 409
    status, text = await sent(jun, f"{number}/refuse")
    assert (status, "proposes to park" in text, await decided(pool)) == (200, False, (None, None, None, None))
    await sent(jun, "park", reason="forged after all")
    number = await pool.fetchval("SELECT max(id) FROM approvals")
    status, text = await sent(mei, f"{number}/confirm")
    assert (status, f"What was held of {ACCOUNT} is being parked" in text) == (200, True)
    assert await decided(pool) == ("park", "jun, mei", "forged after all", 0)


async def test_about_a_pause_that_nobody_has_looked_at_nothing_is_proposed(mei, pool):
    stale = await page_of(mei, PAGE)
    await pool.execute("DELETE FROM held_deliveries")
    await in_one(pool, decide, ACCOUNT, "park", by="mona", note="x", now=NOON)

    async def carried_out(conn):
        await end(conn, await claim_decided(conn), now=NOON)

    await in_one(pool, carried_out)
    text = await text_of(mei, PAGE)
    assert f"{ACCOUNT} is not paused" in text
    assert "mona had what was held parked at 20:00" in text
    await paused(pool, ACCOUNT, NOON + 2 * MINUTE)
    status, text = await sent(mei, "go", stale, reason="x")
    assert (status, "or the account was paused anew" in text) == (409, True)
    assert await pool.fetchval("SELECT count(*) FROM approvals") == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": " "}, "Say why; it is kept."),
        ({"reason": "they answered", "deaf_min": "soon"}, "Give whole minutes, from 0 to 10080."),
        ({"reason": "they answered", "deaf_min": "10081"}, "Give whole minutes, from 0 to 10080."),
    ],
)
async def test_what_a_proposal_needs_is_asked_for_and_what_was_written_stays(mei, fields, told):
    page = await page_of(mei, PAGE)
    hidden = dict(fields_on(page, f"{PAGE}/go"))
    answer = await mei.post(f"{PAGE}/go", data=hidden | fields)
    page = await answer.text()
    assert (answer.status, told in said(page)) == (400, True)
    assert fields["reason"].strip() in page


async def test_an_account_that_is_not_paused_says_so_and_one_that_nobody_knows_is_not_found(jun):
    assert f"{ACCOUNT} is not paused" in await text_of(jun, PAGE)
    await text_of(jun, "/accounts/none/pause", 404)
    await text_of(jun, "/accounts/%00/pause", 404)


async def test_a_viewer_sees_why_and_can_do_nothing(pool, desk, browser):
    await add(desk, "ana", role=Role.VIEWER, password_hash=password_hash())
    await a_pause(pool)
    async with at_desk(pool, role=Role.VIEWER) as client:
        page = await page_of(client, PAGE)
        assert "50 orders failed" in said(page)
        assert "What would happen" not in said(page)
        assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    await browser.sign_in("ana")
    for action in ("go", "park", "1/confirm", "1/refuse"):
        token = await browser.csrf("/me")
        answer = await browser.post(f"{PAGE}/{action}", csrf=token, reason="x", seen="1")
        assert answer.status == 403, action
    assert await decided(pool) == (None, None, None, None)
