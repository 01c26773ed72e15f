"""What people do about what waits for them: take and resolve cases, replay what is parked; also with scripts off."""

from uuid import uuid4

from tests.database.factories import a_delivery
from tests.desk_orders import ACCOUNT, NOON, an_order, of_alipay, tell
from tillkeeper.store.deliveries.parked import park_event


async def overpaid(pool, order_ref):
    """Has an order paid too much; returns the number of its case."""
    await an_order(pool, order_ref)
    await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=20_000))
    return await pool.fetchval("SELECT max(id) FROM cases")


async def parked(pool, order_ref):
    """Parks the payment of an order; returns its number."""
    await an_order(pool, order_ref)
    event = of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=12_900, event_id=uuid4().hex)
    delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT)
    async with pool.acquire() as conn:
        await park_event(conn, delivery, event, reason="cannot_be_applied", error="refused", now=NOON)
        return await conn.fetchval("SELECT max(id) FROM parked")


async def test_a_case_is_taken_and_resolved_with_scripts_off(visit, house):
    case_id = await overpaid(house.pool, "BROWSER-1")
    page = await visit(f"/cases/{case_id}", java_script_enabled=False)
    await page.click(f"text=Take case {case_id}")
    assert "with ada" in await page.inner_text("h1")
    await page.click("summary:text('Resolve')")
    await page.fill("input[name=outcome]", "refunded by hand")
    await page.click(f"button:text('Resolve case {case_id}')")
    assert "closed by ada" in await page.inner_text("h1")


async def test_of_two_people_the_second_is_told_and_loses_nothing(visit, house):
    case_id = await overpaid(house.pool, "BROWSER-2")
    first, second = await visit(f"/cases/{case_id}", locale="zh"), await visit(f"/cases/{case_id}", may_complain=True)
    await first.click(f"text=由我负责工单 {case_id}")
    await second.click("summary:text('Resolve')")
    await second.fill("input[name=outcome]", "refunded by hand")
    await second.click(f"button:text('Resolve case {case_id}')")
    assert "Nothing was changed: mei acted first" in await second.inner_text("[role=alert]")
    assert await second.input_value("input[name=outcome]") == "refunded by hand"
    await second.click(f"button:text('Resolve case {case_id}')")
    assert "closed by ada" in await second.inner_text("h1"), "now that they know of it"


async def test_many_cases_are_ticked_and_taken_by_keyboard(visit, house):
    ids = [await overpaid(house.pool, f"BROWSER-{number}") for number in (3, 4)]
    page = await visit("/cases?kind=overpaid&owner=-")
    for case_id in ids:
        await page.focus(f"input[value='{case_id}']")
        await page.keyboard.press("Space")
    await page.click("text=Take them …")
    assert "2 cases become yours" in await page.inner_text("h1")
    await page.click("text=Take these 2 cases")
    assert "2 cases are yours now." in await page.inner_text("h1")


async def test_what_is_parked_is_replayed_after_a_look_at_what_it_would_do(visit, house):
    number = await parked(house.pool, "BROWSER-5")
    page = await visit(f"/parked/{number}")
    await page.click("text=See what replaying would do")
    assert "1 event would be taken up, of 1 order" in await page.inner_text("h1")
    assert "Paid" in await page.inner_text("tr:has-text('BROWSER-5')")
    await page.fill("textarea[name=reason]", "the database is mended")
    await page.click("text=Replay this event")
    assert "1 event is taken up." in await page.inner_text("h1")
    await page.goto(f"{house.url}/orders/BROWSER-5")
    assert "Paid, 129.00 CNY of 129.00" in await page.inner_text("h1")
