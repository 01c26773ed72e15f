"""What people do: by keyboard, with a click on a reference, and by looking on while something happens."""

from tests.browser.conftest import NOW
from tests.browsing import PASSWORD

STREAM = "**/now/stream"
PARKED = "INSERT INTO parked (body, readable, reason, error, parked_at) VALUES ('', true, 'x', 'x', $1)"


async def test_everything_is_reached_by_keyboard(visit):
    page = await visit("/")
    await page.keyboard.press("g")
    await page.keyboard.press("s")
    await page.wait_for_url("**/stuck")
    for key in ("j", "j", "k", "j"):
        await page.keyboard.press(key)
    assert await page.evaluate("document.activeElement.textContent") == "ORD-2005"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/orders/ORD-2005")
    await page.keyboard.press("?")
    assert await page.locator("dialog").is_visible()
    await page.keyboard.press("Escape")
    assert not await page.locator("dialog").is_visible()
    await page.keyboard.press("g")
    await page.keyboard.press("n")
    await page.wait_for_selector(".live")


async def test_a_key_begins_what_the_page_is_for_and_sends_nothing(visit, house):
    page = await visit("/cases/1")
    await page.keyboard.press("e")
    field = "document.activeElement.name + ' ' + document.activeElement.closest('details').open"
    assert await page.evaluate(field) == "outcome true"
    assert await house.pool.fetchval("SELECT count(*) FROM approvals") == 0
    await page.keyboard.press("Escape")
    await page.goto(f"{house.url}/stuck")
    await page.keyboard.press("e")
    assert "waited longer" in await page.inner_text("h1"), "where there is nothing to do the key does nothing"


async def test_a_reference_in_a_link_leads_to_its_order(visit):
    page = await visit("/orders/ORD-1042/claim", permissions=["clipboard-read", "clipboard-write"])
    await page.click(".crumb >> text=ORD-1042")
    await page.wait_for_url("**/orders/ORD-1042")


async def test_a_row_is_a_link_wherever_it_is_clicked(visit):
    page = await visit("/stuck")
    box = await page.locator("tr:has-text('ORD-2003') td:nth-child(2)").bounding_box()
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.wait_for_url("**/orders/ORD-2003")


async def test_a_click_on_a_reference_copies_all_of_it(visit):
    page = await visit("/orders/ORD-1042", permissions=["clipboard-read", "clipboard-write"])
    await page.click("text=2026112222…02837156 >> nth=0")
    await page.wait_for_selector(".copied")
    assert await page.evaluate("navigator.clipboard.readText()") == "2026112222001466881402837156"


async def test_what_happens_is_seen_without_loading_the_page_again(visit, house):
    page = await visit("/")
    await page.wait_for_selector("text=9 orders are overdue for the sweep")
    await house.pool.execute(PARKED, NOW)
    try:
        await page.wait_for_selector("text=1 event could not be applied")
        assert "The till is not whole" in await page.inner_text("h1")
    finally:
        await house.pool.execute("DELETE FROM parked")
    await page.wait_for_selector("text=1 event could not be applied", state="detached")


async def test_a_stream_that_breaks_is_said_and_greys_out_what_is_old(visit):
    page = await visit("/stuck", may_complain=True)
    await page.route(STREAM, lambda route: route.abort())
    await page.click("nav >> text=Now")
    await page.wait_for_selector(".live.old .stale")
    assert "the connection is interrupted" in await page.inner_text(".stale")
    await page.unroute(STREAM)
    await page.wait_for_selector(".live:not(.old)")


async def test_a_newcomer_comes_in_by_a_link_once(visit, house):
    page = await visit(house.welcome, storage_state=None)
    for field in await page.locator("input[type=password]").all():
        await field.fill(PASSWORD)
    await page.click("main button")
    await page.wait_for_selector(".live")
    again = await visit(house.welcome, storage_state=None, may_complain=True)
    assert await again.locator("input[type=password]").count() == 0


async def test_who_is_not_signed_in_comes_back_to_the_page_that_they_wanted(visit):
    page = await visit("/stuck?status=failed", storage_state=None)
    await page.fill("input[name=name]", "ada")
    await page.fill("input[name=password]", PASSWORD)
    await page.click("main button")
    await page.wait_for_url("**/stuck?status=failed")
    assert "2 orders have waited" in await page.inner_text("h1")
