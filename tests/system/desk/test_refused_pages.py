"""The pages of refused deliveries: the diagnosis, what to do, and taking them in once a key is put right."""

import pytest

from tests.desk_orders import HOSTILE
from tests.desk_reading import fields_on, page_of, said, shows_text_alone, text_of
from tests.desks import a_desk, a_person, desk_client
from tests.system.receiving import SECRET, a_delivery, some_settings
from tillkeeper import clock
from tillkeeper.desk.person import Role
from tillkeeper.diagnostics.findings import Finding
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused


def at_desk(pool, database, role=Role.OPERATOR, locale="en"):
    """A desk whose settings name the right secret of stripe-main by now."""
    return desk_client(a_desk(pool, settings=some_settings(database)), a_person(role, locale, "mei"))


@pytest.fixture
async def client(pool, database):
    async with at_desk(pool, database) as client:
        yield client


async def refused(pool, finding="old_secret", *, secret=SECRET, account="stripe-main", **fields):
    """Keeps a delivery of Stripe's as refused; returns its number."""
    headers, body = a_delivery("evt_1", secret=secret)
    told = {"step": "signature", "reason": "no secret fits", "detail": "", "query": "", "body": body, **fields}
    kept = RefusedDelivery(
        account=account,
        received_at=clock.now(),
        finding=finding,
        headers=tuple((name.lower(), value) for name, value in headers.items()),
        **told,
    )
    async with pool.acquire() as conn:
        return await keep_refused(conn, kept)


async def test_the_list_says_why_and_what_to_do(client, pool):
    assert "Nothing was refused of late" in await text_of(client, "/refused")
    await refused(pool)
    await refused(pool, "wrong_secret", account="alipay-main")
    await refused(pool, "wrong_secret", account="alipay-main")
    text = await text_of(client, "/refused")
    assert "3 deliveries were refused of late, at 2 accounts; mostly: A wrong secret, or a forgery" in text
    assert "Put the old secret back behind the new one" in text
    page = await page_of(client, "/refused?account=stripe-main&finding=old_secret")
    assert page.count('type="checkbox"') == 1
    await text_of(client, "/refused?before=x", 400)


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_each_finding_says_what_it_means_and_what_to_do(pool, database, locale):
    numbers = [await refused(pool, finding) for finding in Finding]
    async with at_desk(pool, database, Role.VIEWER, locale) as client:
        for number in numbers:
            page = await page_of(client, f"/refused/{number}")
            assert 'code class="plain"' not in page
            assert "stripe-signature" not in page, "who only looks does not see what came"
            assert 'action="/refused' not in page
    async with at_desk(pool, database, Role.SUPPORT, locale) as client:
        assert "stripe-signature" in (await page_of(client, f"/refused/{numbers[0]}")).lower()
        await text_of(client, f"/refused/{numbers[-1] + 1}", 404)


async def test_one_is_taken_in_once_its_key_is_put_right(client, pool):
    good, bad = await refused(pool), await refused(pool, secret="whsec_of_somebody_else")
    page = await page_of(client, f"/refused/retry?id={good}&id={bad}")
    assert "1 verifies now" in said(page)
    assert "Payment succeeded" in said(page)
    assert "1 is refused still" in said(page)
    assert await pool.fetchval("SELECT count(*) FROM spool") == 0, "looking takes nothing in"
    fields = fields_on(page, "/refused/retry")
    bare = await client.post("/refused/retry", data=fields)
    assert (bare.status, "Say why; it is kept." in said(await bare.text())) == (400, True)
    done = await client.post("/refused/retry", data=[*fields, ("id", str(bad)), ("reason", "the secret is back")])
    text = said(await done.text())
    assert "1 is taken in. 1 was not. Workers apply them in a moment." in text
    assert await pool.fetchval("SELECT count(*) FROM spool") == 1
    assert [row["id"] for row in await pool.fetch("SELECT id FROM refused")] == [bad]
    again = said(await (await client.post("/refused/retry", data=[*fields, ("reason", "again")])).text())
    assert "0 are taken in. 1 was not." in again
    assert await pool.fetchval("SELECT count(*) FROM spool") == 1
    (logged,) = await pool.fetch("SELECT what, subject, why FROM access_log WHERE kind = 'act'")
    assert tuple(logged) == ("take a refused delivery in", f"refused {good}", "the secret is back")


async def test_nothing_ticked_and_nothing_verified_are_said(client, pool):
    assert "No delivery is ticked" in await text_of(client, "/refused/retry")
    number = await refused(pool, body=None)
    assert "None of them verifies now" in await text_of(client, f"/refused/retry?id={number}")
    assert "too large to be kept" in await text_of(client, f"/refused/{number}")


async def test_every_text_of_strangers_is_shown_as_text(client, pool):
    told = {"reason": HOSTILE, "detail": HOSTILE, "query": HOSTILE, "body": HOSTILE.encode() * 50}
    number = await refused(pool, **told)
    for path in ("/refused", f"/refused/{number}", f"/refused/retry?id={number}"):
        shows_text_alone(await page_of(client, path))
