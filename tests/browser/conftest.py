"""A desk on an evening with something of everything, and one browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.browsing import PASSWORD
from tests.database.factories import NOON
from tests.databases import Databases
from tests.desk_orders import MINUTE, a_busy_till, a_hostile_order, a_paid_order, a_refunded_order
from tests.desks import a_desk, reading
from tests.monthly import a_random_quarter
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.access.passwords import hashed
from tillkeeper.desk.app import build_app
from tillkeeper.desk.person import Locale, Role
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.settings import DeskSettings
from tillkeeper.store.people.links import make_link
from tillkeeper.store.people.people import add_person, set_password
from tillkeeper.store.postgres.pool import open_pool

NOW = NOON + 24 * MINUTE
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb")


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Where the desk is, its database, and what the browsers of two people keep once they signed in."""

    url: str
    pool: asyncpg.Pool
    states: dict[str, Any]
    welcome: str  # the path of a newcomer's one-time link


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        why_not = "no Chromium is installed (`make tools` installs Debian's)"
        if os.environ.get("CI") == "true":
            pytest.fail(why_not)
        pytest.skip(why_not)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def house(postgres_server: Postgres, databases: Databases, browser: Browser) -> AsyncIterator[House]:
    name = await databases.take()
    async with await open_pool(postgres_server.dsn(name), max_size=10) as pool:
        for story in (a_paid_order, a_refunded_order, a_hostile_order, a_busy_till):
            await story(pool)
        async with pool.acquire() as conn:
            await a_random_quarter(conn, "a browser", orders=1000)
        welcome = await add_people(pool)
        desk = a_desk(pool, now=lambda: NOW)
        app = build_app(desk, access(DeskSettings().trusted_proxies))
        async with TestServer(app) as server, reading(desk):
            url = str(server.make_url("")).rstrip("/")
            states = {locale: await signed_in(browser, url, name) for locale, name in (("en", "ada"), ("zh", "mei"))}
            yield House(url=url, pool=pool, states=states, welcome=welcome)
    await databases.give_back(name)


async def add_people(pool: asyncpg.Pool) -> str:
    """Adds one who reads English, one who reads Chinese, and one who has never been here; returns their link."""
    password_hash = await hashed(PASSWORD)
    people: tuple[tuple[str, Locale], ...] = (("ada", "en"), ("mei", "zh"), ("new", "en"))
    async with pool.acquire() as conn, conn.transaction():
        for name, locale in people:
            person = await add_person(
                conn, name=name, display_name=name.title(), role=Role.OPERATOR, locale=locale, by="root", now=NOW
            )
            if name != "new":
                await set_password(conn, person.id, password_hash)
        return f"/welcome/{await make_link(conn, 'new', by='root', now=NOW)}"


async def signed_in(browser: Browser, url: str, name: str) -> Any:
    """What a browser keeps of somebody who signs in as a person does."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/sign-in")
    await page.fill("input[name=name]", name)
    await page.fill("input[name=password]", PASSWORD)
    await page.click("main button")
    await page.wait_for_selector(".live")
    state = await context.storage_state()
    await context.close()
    return state


Visit = Callable[..., Awaitable[Page]]


@pytest.fixture
async def visit(browser: Browser, house: House) -> AsyncIterator[Visit]:
    """Opens a path as somebody who is signed in.  No page may complain, nor open a dialog of the browser's."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    async def open_page(
        path: str, *, locale: str = "en", width: int = 1440, may_complain=False, **options: Any
    ) -> Page:
        fields = {"storage_state": house.states[locale], "viewport": {"width": width, "height": 900}, **options}
        context = await browser.new_context(**fields)
        contexts.append(context)
        page = await context.new_page()
        if not may_complain:
            page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(f"{house.url}{path}", wait_until="load")
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []
