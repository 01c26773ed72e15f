"""The first look at the desk, as docs/desk.md has it: a newcomer, a second person, and the three things that `make run`
leaves for them, by real processes from the webhook to the page."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browsing import PASSWORD
from tillkeeper.loops import start

WITHIN_S = 300.0  # for what takes seconds: the machine may be busy
WITHIN_MS = WITHIN_S * 1000
PROGRAM = (sys.executable, "-m", "tillkeeper", "sandbox", "--up", "--broker", "none", "--rate", "5")
LINK = re.compile(r"http://127\.0\.0\.1:\d+/welcome/\S+")
PAYMENT = "2026112222001466881402837156"

expect.set_options(timeout=WITHIN_MS)


class Links(msgspec.Struct, frozen=True):
    """The addresses that a sandbox prints for people."""

    admin: str
    second: str


@asynccontextmanager
async def a_sandbox(place) -> AsyncIterator[Links]:
    """What `make run` starts; asserts that it ends with books that balance, whatever people did."""
    child = await asyncio.create_subprocess_exec(
        *PROGRAM, stdout=PIPE, stderr=STDOUT, env={**os.environ, "TMPDIR": str(place)}
    )
    assert child.stdout is not None
    try:
        said = []
        async with asyncio.timeout(WITHIN_S):
            while len(links := LINK.findall("".join(said))) < 2:
                line = await child.stdout.readline()
                assert line, "".join(said)
                said.append(line.decode())
        draining = start(child.stdout.read(), name="sandbox output")
        yield Links(*links)
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN_S):
            ended = (await draining).decode()
            assert await child.wait() == 0, ended
        assert "the books balance; " in ended
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.fixture
async def links(tmp_path, browser) -> AsyncIterator[Links]:
    async with a_sandbox(tmp_path) as links:
        yield links


@asynccontextmanager
async def somebody(browser: Browser, link: str, **options) -> AsyncIterator[Page]:
    """Signs a newcomer in by their link, as they do it; nothing may complain in their browser."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    context.set_default_timeout(WITHIN_MS)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = await context.new_page()
    await page.goto(link)
    for field in await page.locator("input[type=password]").all():
        await field.fill(PASSWORD)
    await page.click("main button")
    await page.wait_for_selector(".live")
    yield page
    assert complaints == []
    await context.close()


async def find(page: Page, text: str) -> None:
    """Types into the box that every page has."""
    await page.keyboard.press("/")
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/find?*")


@pytest.mark.early
@pytest.mark.timeout(1200)
async def test_two_newcomers_put_three_things_right(browser, links):
    async with somebody(browser, links.admin) as ada, somebody(browser, links.second, locale="zh-CN") as mei:
        await the_truth_arrives_while_they_look_on(ada)
        await money_is_bound_by_two(ada, mei)
        await a_parked_message_is_tried_and_replayed(mei)


async def the_truth_arrives_while_they_look_on(ada: Page) -> None:
    now = ada.locator("h1")
    await expect(ada.locator("main")).to_contain_text("1 order stands for too long")
    watching = await ada.context.new_page()
    await watching.goto(ada.url)
    await find(ada, PAYMENT[-6:])
    await ada.click("a.row")
    await expect(now).to_contain_text("Being paid: 129.00 CNY through Alipay")
    await ada.click("text=They say they paid")
    await expect(now).to_have_text("A payment is under way.")
    await ada.click("text=Ask the gateways about SHOP-1042 now")
    await expect(now).to_have_text("Paid here.")
    await expect(watching.locator("main")).not_to_contain_text("1 order stands for too long")
    await watching.close()
    await ada.click(".crumb >> text=SHOP-1042")
    await expect(now).to_contain_text("Paid, 129.00 CNY of 129.00")


async def money_is_bound_by_two(ada: Page, mei: Page) -> None:
    await ada.click(".brand")
    await ada.click("text=1 event waits for its order")
    await expect(ada.locator("tr:has(a.row)")).to_contain_text("SHOP-1043")
    await ada.click("a.row")
    await ada.click("summary:has-text('to SHOP-1043')")
    await ada.fill("[name=reason] >> visible=true", "The customer sent their receipt; the checkout wrote O for 0.")
    await ada.click("button:text('Propose it') >> visible=true")
    await expect(ada.locator(".proposal")).to_contain_text("the checkout wrote O for 0")
    assert await ada.locator(".proposal button.main").count() == 0, "nobody confirms what they proposed themselves"
    await find(mei, "SHOP-1043")
    await mei.click("tr:has-text('SHOP-1043') >> text=客户说已付款")
    await expect(mei.locator("h1")).to_have_text("款项挂在另一个编号下。")
    await mei.click(".proposal button.main")
    await expect(mei.locator("h1")).to_have_text("已在本系统到账。")
    await find(ada, "SHOP-1043")
    await ada.click("tr:has-text('SHOP-1043') >> text=They say they paid")
    await expect(ada.locator("h1")).to_have_text("Paid here.")


async def a_parked_message_is_tried_and_replayed(mei: Page) -> None:
    await mei.keyboard.press("g")
    await mei.keyboard.press("p")
    await mei.wait_for_url("**/parked")
    await mei.click("a.row")
    await mei.click("button[value=replay]")
    await expect(mei.locator("main table")).to_contain_text("部分退款")
    await mei.fill("[name=reason] >> visible=true", "工作进程已修复")
    await mei.click("main form button.main")
    await expect(mei.locator("h1")).to_contain_text("已重放 1 条")
    await find(mei, "SHOP-1044")
    await mei.click("a.row")
    await expect(mei.locator(".crumb")).to_contain_text("部分退款")
