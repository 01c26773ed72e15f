"""Signing in at the desk with a company's account, at a real provider in a process of its own."""

from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.browsing import desk_server
from tests.company_provider import DESK_URL, company_provider
from tests.desks import a_desk
from tillkeeper import clock as clocks
from tillkeeper.domain.people import Role
from tillkeeper.oidc.provider import open_provider
from tillkeeper.store.people.log import read_log

BEGIN = "/sign-in/company"


@pytest.fixture(scope="module")
async def company(tmp_path_factory):
    async with company_provider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def desk(pool):
    """Its clock is the provider's."""
    return a_desk(pool, now=clocks.now)


@asynccontextmanager
async def serving(desk, settings):
    async with (
        open_provider(settings, DESK_URL, now=desk.now) as provider,
        desk_server(msgspec.structs.replace(desk, provider=provider)) as server,
    ):
        yield server


@pytest.fixture
async def server(desk, company):
    async with serving(desk, company.settings()) as server:
        yield server


@pytest.fixture
async def browser(server):
    async with server.browser() as one:
        yield one


async def begun(browser, wanted="/"):
    answer = await browser.get(f"{BEGIN}?next={wanted}")
    assert answer.status == 303
    return answer.headers["Location"]


def path_of(url):
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == DESK_URL
    return f"{parts.path}?{parts.query}"


async def come_in(browser, company, name="mei", wanted="/"):
    """All the way round, as a browser goes it."""
    return await browser.get(path_of(await company.sign_in(await begun(browser, wanted), name)))


async def who(browser):
    text = await (await browser.get("/me")).text()
    return next((role for role in Role if f"Your role is {role}" in text), None)


async def logged(desk):
    async with desk.pool.acquire() as conn:
        return [(each.person, each.what, each.why) for each in await read_log(conn, limit=100)]


async def test_an_employee_comes_in_to_the_page_that_they_wanted_in_the_role_of_their_groups(browser, company, desk):
    await company.employ("mei", "till-viewers", "till-operators", "cooks")
    answer = await come_in(browser, company, wanted="/stuck")
    assert (answer.status, answer.headers["Location"]) == (303, "/stuck")
    assert await who(browser) == Role.OPERATOR
    assert await logged(desk) == [
        ("mei@shop.example", "signed in with the company's account, as operator", ""),
        ("mei@shop.example", "person added", ""),
    ]
