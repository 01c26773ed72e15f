"""Signing in at the desk with a company's account, at a real provider in a process of its own."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from tests.browsing import PASSWORD, add, desk_server, told
from tests.company_provider import DESK_URL, company_provider
from tests.desks import a_desk
from tests.system.desk.conftest import password_hash
from tillkeeper import clock as clocks
from tillkeeper.domain.people import Role
from tillkeeper.domain.sign_in import SESSION_LONGEST
from tillkeeper.oidc.provider import KEYS_AGAIN_S, open_provider
from tillkeeper.store.people import members, people
from tillkeeper.store.people.links import make_link
from tillkeeper.store.people.log import read_log
from tillkeeper.store.postgres.transactions import repeat_on_conflict

BEGIN, BACK = "/sign-in/company", "/sign-in/company/back"


@pytest.fixture(scope="module")
async def company(tmp_path_factory):
    async with company_provider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def desk(pool):
    """Its clock is the provider's."""
    return a_desk(pool, now=clocks.now)


@asynccontextmanager
async def serving(desk, settings, monotonic_s=clocks.monotonic_s):
    async with (
        open_provider(settings, DESK_URL, now=desk.now, monotonic_s=monotonic_s) as provider,
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


async def call(desk, function, *arguments, **named):
    return await repeat_on_conflict(desk.pool, lambda conn: function(conn, *arguments, now=desk.now(), **named))


async def heading(answer):
    text = await answer.text()
    return answer.status, text.partition("<h1>")[2].partition("</h1>")[0]


async def test_who_comes_again_is_the_same_person_under_the_name_they_had(browser, company, desk):
    await company.employ("lin", "till-viewers")
    await come_in(browser, company, "lin")
    await company.employ("lin", "till-viewers", email="lin.chen@shop.example")
    await come_in(browser, company, "lin")
    assert [row["name"] for row in await desk.pool.fetch("SELECT name FROM people")] == ["lin@shop.example"]


async def test_another_role_holds_from_the_next_sign_in_and_ends_what_had_the_one_before(server, company):
    await company.employ("mei", "till-admins")
    async with server.browser() as before, server.browser() as after:
        await come_in(before, company)
        await company.employ("mei", "till-supports")
        assert await who(before) == Role.ADMIN  # what the provider said holds for the session
        await come_in(after, company)
        assert await who(after) == Role.SUPPORT
        assert await who(before) is None


async def test_who_has_no_role_any_more_is_out_and_told_whom_to_ask(server, company, desk):
    await company.employ("mei", "till-admins")
    async with server.browser() as before, server.browser() as after:
        await come_in(before, company)
        await company.employ("mei", "cooks")
        answer = await come_in(after, company)
        assert await heading(answer) == (403, "Your account has no role here")
        text = await answer.text()
        assert "Your account is <bdi>mei@shop.example</bdi>." in text
        assert "Ask: <bdi>the till team, 4711</bdi>" in text
        assert await who(before) is None
        assert await who(after) is None
    assert (await logged(desk))[0] == ("mei@shop.example", "sign-in with the company's account refused", "no_role")


async def test_whom_an_admin_disabled_the_company_does_not_let_in(browser, company, desk):
    await company.employ("mei", "till-admins")
    await come_in(browser, company)
    await call(desk, people.disable, "mei@shop.example", by="root", why="left")
    assert await who(browser) is None
    assert await heading(await come_in(browser, company)) == (403, "You are disabled here")
    assert await who(browser) is None
    assert (await logged(desk))[0] == ("mei@shop.example", "sign-in with the company's account refused", "disabled")
    await call(desk, people.enable, "mei@shop.example", by="root", why="is back")
    await come_in(browser, company)
    assert await who(browser) == Role.ADMIN


async def test_the_same_address_makes_nobody_the_one_who_is_here_already(browser, company, desk):
    """Neither one with a password, nor one who left the company, whose address another got."""
    await add(desk, "mei@shop.example", role=Role.ADMIN, password_hash=password_hash())
    await company.employ("mei", "till-viewers")
    assert await heading(await come_in(browser, company)) == (403, "Somebody here has your name already")
    assert await who(browser) is None
    await call(desk, members.link_account, "mei@shop.example", company.issuer, "mei", by="root", why="")
    await come_in(browser, company)
    assert await who(browser) == Role.VIEWER  # as the company says; by password they are what they were
    await company.employ("mei2", "till-viewers", email="mei@shop.example")
    assert await heading(await come_in(browser, company, "mei2")) == (403, "Somebody here has your name already")
    await browser.sign_in("mei@shop.example")
    assert await who(browser) == Role.ADMIN


async def test_where_nobody_is_added_only_those_come_in_who_are_tied_to_a_person(company, desk):
    await add(desk, password_hash=None)
    await company.employ("mei", "till-operators")
    async with serving(desk, company.settings(adds_people=False)) as server, server.browser() as browser:
        assert await heading(await come_in(browser, company)) == (403, "You are not here yet")
        assert (await logged(desk))[0] == (
            "mei@shop.example",
            "sign-in with the company's account refused",
            "not_added",
        )
        await call(desk, members.link_account, "mei", company.issuer, "mei", by="root", why="")
        await come_in(browser, company)
        assert await who(browser) == Role.OPERATOR
    assert [row["name"] for row in await desk.pool.fetch("SELECT name FROM people")] == ["mei"]


async def test_a_session_of_the_company_ends_with_a_shift_however_busy(company, desk):
    at = clocks.now()
    moving = [at]
    desk = msgspec.structs.replace(desk, now=lambda: moving[0])
    await company.employ("mei", "till-viewers")
    async with serving(desk, company.settings()) as server, server.browser() as browser:
        await come_in(browser, company)
        for hours in range(12):
            moving[0] = at + hours * SESSION_LONGEST / 12
            assert await who(browser) == Role.VIEWER
        moving[0] = at + SESSION_LONGEST
        assert await who(browser) is None


async def test_the_provider_takes_a_code_once_and_from_the_desk_that_asked_alone(server, company):
    await company.employ("mei", "till-viewers")
    async with server.browser() as browser, server.browser() as thief:
        url = await begun(browser)
        back = path_of(await company.sign_in(url, "mei"))
        code = parse_qs(urlsplit(back).query)["code"][0]
        state = parse_qs(urlsplit(await begun(thief)).query)["state"][0]
        stolen = await thief.get(f"{BACK}?code={code}&state={state}")  # a code without its verifier
        assert await heading(stolen) == (400, "That did not sign you in")
        assert await who(thief) is None
        back = path_of(await company.sign_in(await begun(browser), "mei"))
        kept = browser.cookie("tk_flow")
        assert (await browser.get(back)).status == 303
        browser.set_cookie("tk_flow", kept)
        assert await heading(await browser.get(back)) == (400, "That did not sign you in")


async def test_new_keys_of_the_provider_are_found(company, desk):
    later = [0.0]
    await company.employ("mei", "till-viewers")
    async with serving(desk, company.settings(), lambda: later[0]) as server, server.browser() as browser:
        await come_in(browser, company)
        await company.tell("POST", "/api/keys/rotate")
        later[0] += KEYS_AGAIN_S + 1
        assert (await come_in(browser, company)).status == 303


async def test_a_secret_that_is_not_right_is_said_to_whoever_set_it(company, desk):
    await company.employ("mei", "till-viewers")
    wrong = company.settings(client_secret="another secret of the desk")
    async with serving(desk, wrong) as server, server.browser() as browser:
        answer = await come_in(browser, company)
        assert await heading(answer) == (502, "Signing in with the company&#39;s account is not set up right")


async def test_while_the_provider_is_gone_a_page_says_so_and_passwords_work(tmp_path, desk):
    await add(desk, password_hash=password_hash())
    async with company_provider(tmp_path) as own:
        await own.employ("mei", "till-viewers")
        async with serving(desk, own.settings()) as server, server.browser() as browser:
            back = path_of(await own.sign_in(await begun(browser), "mei"))
            await own.stop()
            answer = await browser.get(back)
            assert (await heading(answer))[0] == 503
            assert "<bdi>Shop Ltd</bdi> cannot be reached" in await answer.text()
        async with serving(desk, own.settings()) as server, server.browser() as browser:
            assert (await browser.get(BEGIN)).status == 503
            assert (await browser.sign_in()).status == 303


async def test_with_passwords_off_neither_they_nor_links_sign_anybody_in(company, desk):
    await add(desk, password_hash=password_hash())
    link = f"/welcome/{await call(desk, make_link, 'mei', by='root')}"
    await company.employ("ana", "till-viewers")
    async with serving(desk, company.settings(passwords=False)) as server, server.browser() as browser:
        page = await (await browser.get("/sign-in?next=/stuck")).text()
        assert 'name="password"' not in page
        assert 'href="/sign-in/company?next=/stuck"' in page
        assert (await browser.get(link)).status == 403
        await come_in(browser, company, "ana")
        csrf = await browser.csrf("/me")
        assert 'name="old"' not in await (await browser.get("/me")).text()
        changed = await browser.post("/me/password", csrf=csrf, old=PASSWORD, password=PASSWORD, again=PASSWORD)
        assert changed.status == 403
    async with serving(desk, company.settings()) as server, server.browser() as other:
        visitor = await other.csrf("/sign-in")
        kept = other.cookie("tk_visitor")
    async with serving(desk, company.settings(passwords=False)) as server, server.browser() as browser:
        browser.set_cookie("tk_visitor", kept)
        refused = await browser.post("/sign-in", csrf=visitor, name="mei", password=PASSWORD)
        assert (refused.status, told(await refused.text())) == (403, "Passwords are not used here")
        assert (await browser.post(link, csrf=visitor, password=PASSWORD, again=PASSWORD)).status == 403
        assert await who(browser) is None


async def test_without_a_provider_there_is_no_such_way(desk):
    async with desk_server(desk) as server, server.browser() as browser:
        assert "/sign-in/company" not in await (await browser.get("/sign-in")).text()
        for path in (BEGIN, BACK):
            assert (await browser.get(path)).status == 404


async def test_who_comes_in_by_two_windows_for_the_first_time_is_one_person(server, company, desk):
    await company.employ("mei", "till-viewers")
    async with server.browser() as one, server.browser() as other:
        backs = [path_of(await company.sign_in(await begun(browser), "mei")) for browser in (one, other)]
        answers = await asyncio.gather(one.get(backs[0]), other.get(backs[1]))
    assert [answer.status for answer in answers] == [303, 303]
    assert await desk.pool.fetchval("SELECT count(*) FROM people") == 1
