"""Every page of the table of routes, over a till in which every text is hostile: it is text, the layout holds at three
widths, nothing runs, and nothing is asked of anybody else."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import quote, urljoin, urlsplit

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from tests.databases import Databases
from tests.desks import a_desk, reading
from tests.hostile_till import DIGITS, EVIL, NOW, a_hostile_till
from tillkeeper.desk.access.cookies import SESSION_COOKIE
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.app import build_app
from tillkeeper.desk.routes import ROUTES
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.settings import DeskSettings
from tillkeeper.store.postgres.pool import open_pool

WIDTHS = (390, 820, 1440)
OF_ONE_ROUTE = 3  # pages of one route: others of its kind are as these
# What no link leads to: forms lead there, or a reference that no path can hold.
ALSO = (
    f"/find?q={quote(EVIL[:200])}",
    f"/find?q={DIGITS[:700]}",
    "/orders?ref=..",
    f"/orders/{quote(EVIL[:200], safe='')}",
    "/orders/LIKE-1000/claim",
    "/orders/LIKE-1000/remind",
    "/cases/many?act=resolve&id=1&id=2&id=3",
    "/parked/many?act=replay&id=1&id=2",
    "/parked/many?act=discard&id=1&id=2",
    *("/refused/retry?id=1", "/refused/retried?id=1", "/outbox/retry?id=2&id=4", "/outbox/retried?id=2"),
    "/proposals",
    "/waiting?show=mismatched",
    *("/cases?closed=too", "/parked?closed=too", "/outbox?state=pending"),
)
PAGES = {
    route.path
    for route in ROUTES
    if route.method == "GET" and route.role != "anyone" and not route.is_stream and not route.path.startswith("/api/")
}
PATTERNS = [
    (route, re.compile(re.sub(r"\{\w+(?::([^}]*))?\}", lambda part: part[1] or "[^/]+", route.path)))
    for route in ROUTES
    if route.method == "GET"
]
# Texts that lie over one another, or reach out of the window; those in a box that scrolls have their own place.
AMISS = """() => {
  const scrolls = "pre, textarea, .rail nav", sticks = "thead, form > .acts";
  const unseen = `script, style, select, .hidden, .skip, dialog, ${scrolls}, ${sticks}`;
  const texts = [], found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest(unseen)) continue;
    if (!parent.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width < 2 || box.height < 2) continue;
      const said = parent.tagName + "." + parent.className + " " + node.textContent.trim().slice(0, 40);
      if (box.right > innerWidth + 1 || box.left < -1) found.push("out of the window: " + said);
      texts.push({ node, said, left: box.left, right: box.right, top: box.top, bottom: box.bottom });
    }
  }
  texts.sort((a, b) => a.top - b.top);
  texts.forEach((one, at) => {
    for (const other of texts.slice(at + 1)) {
      if (other.top > one.bottom - 8) break;
      if (other.node === one.node || other.left > one.right - 3 || other.right < one.left + 3) continue;
      found.push("over one another: " + one.said + " | " + other.said);
    }
  });
  return [...new Set(found)].slice(0, 5);
}"""


@pytest.fixture(scope="module")
async def address(postgres_server: Postgres, databases: Databases) -> AsyncIterator[tuple[str, str]]:
    """Where the desk is, and the token of somebody's session."""
    name = await databases.take()
    async with await open_pool(postgres_server.dsn(name), max_size=5) as pool:
        token = await a_hostile_till(pool)
        desk = a_desk(pool, now=lambda: NOW)
        app = build_app(desk, access(DeskSettings().trusted_proxies))
        async with TestServer(app) as server, reading(desk):
            yield str(server.make_url("")).rstrip("/"), token
    await databases.give_back(name)


class Walk:
    """Visits what links lead to, and some of what only forms lead to; notes what is amiss."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.of_route: Counter[str] = Counter()
        self.amiss: dict[str, list[str]] = {}

    async def go(self, ahead: list[str]) -> None:
        seen = set()
        while ahead:
            path = ahead.pop(0)
            route = route_of(path)
            if path in seen or self.of_route[route] == OF_ONE_ROUTE:
                continue
            seen.add(path)
            self.of_route[route] += 1
            ahead += await self.look_at(path)

    async def look_at(self, path: str) -> list[str]:
        """Returns where its links lead."""
        answer = await self.page.goto(f"{self.url}{path}", wait_until="load")
        assert answer is not None
        if answer.status >= 500:
            self.amiss[path] = [f"answered {answer.status}"]
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 900})
            broad = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            found = await self.page.evaluate(AMISS)
            if broad > 0 or found:
                self.amiss[f"{path[:80]} at {width}"] = [f"{broad} px too broad"] * (broad > 0) + found
        hrefs = await self.page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
        return [inside for href in hrefs if (inside := inside_of(path, href))]


def inside_of(path: str, href: str) -> str | None:
    target = urlsplit(urljoin(path, href))
    if target.scheme or target.netloc or target.path.startswith(("/static/", "/api/")):
        return None
    return target.path + ("?" + target.query if target.query else "")


def route_of(path: str) -> str:
    """Returns the route that a path belongs to, the path itself where it belongs to none."""
    return next((route.path for route, pattern in PATTERNS if pattern.fullmatch(urlsplit(path).path)), path)


async def test_no_text_of_a_stranger_is_more_than_text_on_any_page(browser: Browser, address):
    url, token = address
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": url}])
    page = await context.new_page()
    asked, said = set(), []
    context.on("request", lambda request: asked.add("{0.scheme}://{0.netloc}".format(urlsplit(request.url))))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    walk = Walk(page, url)
    await walk.go(["/", "/stuck", *ALSO])
    await context.close()
    assert asked == {url}, "nothing is asked of anybody else"
    assert said == [], "nothing runs"
    assert walk.amiss == {}
    assert PAGES - set(walk.of_route) == set(), "each page has an address here, or a link leads to it"


async def test_what_is_amiss_is_seen(browser: Browser):
    page = await browser.new_page(viewport={"width": 800, "height": 600})
    await page.set_content("<p id=a>one line</p><p>another</p>")
    assert await page.evaluate(AMISS) == []
    await page.set_content("<p style='margin: 0'>one line</p><p style='margin: -18px 0 40px'>another</p><b>below</b>")
    assert [said.partition(":")[0] for said in await page.evaluate(AMISS)] == ["over one another"]
    await page.set_content("<p style='width: 900px; text-align: right'>far</p>")
    assert [said.partition(":")[0] for said in await page.evaluate(AMISS)] == ["out of the window"]
    await page.close()
