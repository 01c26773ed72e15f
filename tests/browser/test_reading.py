"""What people see: every page fits, in both languages, light and dark, on a phone, with scripts off; none is a trap."""

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.desk_orders import HOSTILE
from tillkeeper.desk.paths import order_path

PAGES = {
    "now": "/",
    "stuck": "/stuck",
    "order": order_path("ORD-1042"),
    "refunded": order_path("ORD-1043"),
    "hostile": order_path(HOSTILE),
    "cases": "/cases",
    "case": "/cases/1",
    "parked": "/parked",
    "refused": "/refused",
    "outbox": "/outbox?state=pending",
    "accounts": "/accounts",
    "account": "/accounts/alipay-main",
    "handover": "/handover",
    "books": "/books",
    "reports": "/reports?month=2026-10",
    "find": "/find?q=02837156",
    "code": "/find?q=ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "claim": "/orders/ORD-1043/claim",
    "me": "/me",
    "waiting": "/waiting",
    "closing": "/orders/ORD-1042/close",
    "missing": "/no-such-page",
}
PRESENT = tuple(name for name in PAGES if name != "missing")
WIDTHS = (1440, 1000, 820, 700, 390)
BROAD = "document.documentElement.scrollWidth - innerWidth"
LOADED = "performance.getEntriesByType('resource').map(each => new URL(each.name).origin)"


async def each_page(visit, url, names, **options):
    """Opens these pages one after the other in one window, for a window of its own takes more than the page."""
    page = await visit(PAGES[names[0]], **options)
    yield names[0], page
    for name in names[1:]:
        await page.goto(f"{url}{PAGES[name]}", wait_until="load")
        yield name, page


@pytest.mark.parametrize("names", [PRESENT, ("missing",)], ids=["present", "missing"])
@pytest.mark.parametrize(("locale", "lang"), [("en", "en"), ("zh", "zh-Hans")])
async def test_no_page_is_broader_than_its_window(visit, house, names, locale, lang):
    broad = []
    async for name, page in each_page(visit, house.url, names, locale=locale, may_complain="missing" in names):
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            broad += [(name, width)] if await page.evaluate(BROAD) > 0 else []
        assert await page.get_attribute("html", "lang") == lang, name
    assert broad == []


@pytest.mark.parametrize(
    "names",
    [tuple(name for name in PRESENT if name not in ("refunded", "hostile")), ("missing",)],
    ids=["present", "missing"],
)
async def test_the_rules_of_accessibility_find_nothing(visit, house, names):
    found = []
    async for name, page in each_page(visit, house.url, names, may_complain="missing" in names):
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            await page.emulate_media(color_scheme=scheme)
            result = await Axe().run(page, options={"resultTypes": ["violations"], **rules})
            broken = result.response["violations"]
            found += [(name, scheme, rule["id"], rule["nodes"][0]["target"]) for rule in broken]
    assert found == []


async def test_nothing_is_loaded_from_elsewhere(visit, house):
    page = await visit("/")
    assert set(await page.evaluate(LOADED)) == {house.url}


async def test_what_strangers_wrote_is_text_and_runs_nothing(visit):
    page = await visit(PAGES["hostile"], width=390)
    assert await page.locator("script").count() == 3, "our own"
    assert await page.locator("main bdi bdi, main bdi > :not(time)").count() == 0
    assert "<script>alert(1)</script>" in await page.inner_text("main")
    await page.locator("a:text-is('raw')").last.click()
    await page.wait_for_selector("pre.raw")
    assert await page.evaluate(BROAD) <= 0
    assert "<script>alert(1)</script>" in await page.inner_text("pre.raw")


async def test_every_page_reads_with_scripts_off(visit):
    page = await visit("/", java_script_enabled=False)
    await page.click("text=7 orders stand for too long")
    assert "7 orders have waited longer than they should" in await page.inner_text("h1")
    await page.click("a.row >> text=ORD-2006")
    assert "Being paid: 99.06 CNY through Alipay" in await page.inner_text("h1")
    assert not await page.locator("[data-help]").is_visible()
