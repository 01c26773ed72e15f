"""Signing in with the company's account, in a browser that keeps to its own rules about cookies of other sites."""

import pytest
from aiohttp.test_utils import TestServer

from tests.company_provider import PASSWORD, client_of, company_provider
from tests.desks import a_desk, reading
from tillkeeper import clock
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.app import build_app
from tillkeeper.oidc.provider import open_provider
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import DeskSettings

CLIENT = "the-browsers-desk"


@pytest.fixture
async def desk_and_company(pool, tmp_path):
    """A desk on 127.0.0.1, and on localhost, which is another site, the provider that it sends people to."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    async with company_provider(tmp_path) as company:
        await company.employ("mei", "till-operators")
        await company.tell("POST", "/api/runtime/clients", client_of(url, CLIENT))
        async with open_provider(company.settings(client_id=CLIENT), url) as provider:
            desk = a_desk(pool, now=clock.now, provider=provider)
            app = build_app(desk, access(DeskSettings().trusted_proxies))
            async with TestServer(app, host="127.0.0.1", port=port), reading(desk):
                yield url, company.issuer


async def test_a_person_comes_in_by_the_company_to_the_page_that_they_wanted_and_goes(browser, desk_and_company):
    url, issuer = desk_and_company
    context = await browser.new_context()
    await context.route(lambda address: not address.startswith((url, issuer)), lambda route: route.abort())
    page = await context.new_page()
    await page.goto(f"{url}/stuck?status=failed")
    await page.click("text=Sign in with Shop Ltd")
    await page.fill("#username", "mei")
    await page.fill("#password", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_selector("nav >> text=Stuck")
    assert page.url == f"{url}/stuck?status=failed"
    kept = {cookie["name"]: cookie["sameSite"] for cookie in await context.cookies(url)}
    assert kept == {"tk_session": "Strict", "tk_visitor": "Strict"}
    await page.goto(f"{url}/me")
    assert "operator" in await page.inner_text("main")
    await page.click("text=Sign out")
    await page.wait_for_url(f"{url}/sign-in")
    await context.close()
