"""Every route of the desk with every role, method and kind of caller: who may not never reaches what answers."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
import structlog
from aiohttp import web

from tests.browsing import PASSWORD, Browser, Server, add, desk_server
from tests.desks import a_desk
from tests.system.desk.conftest import password_hash
from tests.system.desk.test_sign_in import NEW, call
from tillkeeper.desk import app as desk_app
from tillkeeper.desk.route import Route, methods_of
from tillkeeper.desk.routes import ROUTES
from tillkeeper.domain.people import Role
from tillkeeper.store.people import links, tokens

GUARDED = tuple(route for route in ROUTES if route.role != "anyone")
READS = {"GET", "HEAD", "OPTIONS"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
STANDS_FOR = {"[0-9]+": "7", "[^/]+": "ORD-1042"}


def address_of(route: Route) -> str:
    """An address that the route's pattern takes."""
    return re.sub(r"\{\w+(?::([^}]*))?\}", lambda part: STANDS_FOR[part[1] or "[^/]+"], route.path)


class Reached:
    """Stands where the handlers stand, and notes which was reached."""

    def __init__(self) -> None:
        self.routes: list[str] = []

    def instead_of(self, route: Route) -> Route:
        async def note(_request: web.Request) -> web.Response:
            self.routes.append(f"{route.method} {route.path}")
            return web.Response(text="reached")

        return msgspec.structs.replace(route, handler=note)


@pytest.fixture
def reached(monkeypatch) -> Reached:
    reached = Reached()
    shown = {"/sign-in", "/me"}  # their forms have the token
    routes = tuple(
        route
        if (route.path in shown and route.method == "GET") or route.path == "/sign-in"
        else reached.instead_of(route)
        for route in ROUTES
    )
    monkeypatch.setattr(desk_app, "ROUTES", routes)
    return reached


@pytest.fixture
async def server(desk, reached) -> AsyncIterator[Server]:
    async with desk_server(desk) as serving:
        yield serving


async def ask(browser: Browser, method: str, path: str, **headers: str):
    sent = browser.headers | headers
    async with browser.client.request(method, path, headers=sent, allow_redirects=False) as answer:
        await answer.read()
        return answer


def is_kept_private(answer) -> bool:
    told = answer.headers
    return (
        told["Cache-Control"] == "no-store"
        and told["X-Frame-Options"] == "DENY"
        and "frame-ancestors 'none'" in told["Content-Security-Policy"]
        and told["X-Content-Type-Options"] == "nosniff"
    )


async def test_without_a_session_no_method_reaches_anything(browser, reached):
    for route in GUARDED:
        for method in METHODS:
            answer = await ask(browser, method, address_of(route))
            assert answer.status in {303, 401, 405}, (method, route.path)
            assert is_kept_private(answer), (method, route.path)
    assert reached.routes == []


@pytest.mark.parametrize("role", Role)
async def test_each_role_reaches_what_it_is_enough_for_and_nothing_else(browser, desk, reached, role):
    await add(desk, role=role, password_hash=password_hash())
    await browser.sign_in()
    token = {"X-CSRF-Token": await browser.csrf("/me"), "Sec-Fetch-Site": "same-origin"}
    for route in GUARDED:
        if route.path == "/me" and route.method == "GET":
            continue
        is_enough = role.allows(Role(route.role))
        reached.routes.clear()
        answer = await ask(browser, route.method, address_of(route), **token)
        assert (answer.status == 200) == is_enough, (route.method, route.path)
        assert reached.routes == [f"{route.method} {route.path}"] * is_enough
        assert is_kept_private(answer), route.path
        taken = {method for each in GUARDED if address_of(each) == address_of(route) for method in methods_of(each)}
        for method in {*METHODS} - taken:
            for told in (token, {}):  # also without the token of a form: no method that is not there changes anything
                answer = await ask(browser, method, address_of(route), **told)
                assert answer.status == 405, (method, route.path)
                assert set(answer.headers["Allow"].split(", ")) >= {route.method}, (method, route.path)
        assert reached.routes == [f"{route.method} {route.path}"] * is_enough


async def test_no_act_is_done_for_another_site_or_without_the_token(browser, desk, reached):
    await add(desk, role=Role.ADMIN, password_hash=password_hash())
    await browser.sign_in()
    right = await browser.csrf("/me")
    for route in GUARDED:
        if route.method in READS:
            continue
        for told in (
            {},
            {"X-CSRF-Token": "0" * 64},
            {"X-CSRF-Token": right, "Origin": "https://evil.example"},
            {"X-CSRF-Token": right, "Sec-Fetch-Site": "cross-site"},
            {"X-CSRF-Token": right, "Sec-Fetch-Site": "same-site"},
        ):
            assert (await ask(browser, route.method, address_of(route), **told)).status == 403, (route.path, told)
    assert reached.routes == []


async def test_a_token_that_reads_does_nothing_and_one_of_a_lower_role_reaches_no_more(browser, desk, reached):
    await add(desk, role=Role.ADMIN, password_hash=password_hash())
    made = {"expires_at": desk.now() + timedelta(days=1), "by": "root"}
    reads = await call(desk, tokens.make_token, "mei", name="reads", role=Role.ADMIN, may_act=False, **made)
    low = await call(desk, tokens.make_token, "mei", name="low", role=Role.VIEWER, may_act=True, **made)
    for route in GUARDED:
        address, is_read = address_of(route), route.method in READS
        answer = await ask(browser, route.method, address, Authorization=f"Bearer {reads}")
        assert route.path == "/me" or (answer.status == 200) == is_read, route.path
        answer = await ask(browser, route.method, address, Authorization=f"Bearer {low}")
        assert route.path == "/me" or (answer.status == 200) == (route.role == Role.VIEWER), route.path


async def test_no_token_is_taken_from_an_address(browser, desk, reached):
    await add(desk, role=Role.ADMIN, password_hash=password_hash())
    await browser.sign_in()
    session, made = browser.cookie(), {"expires_at": desk.now() + timedelta(days=1), "by": "root"}
    token = await call(desk, tokens.make_token, "mei", name="wall", role=Role.ADMIN, may_act=True, **made)
    await browser.post("/sign-out", on="/me")
    browser.client.session.cookie_jar.clear()
    reached.routes.clear()
    for query in (f"tk_session={session}", f"token={token}", f"access_token={token}", f"authorization=Bearer+{token}"):
        assert (await browser.get(f"/stuck?{query}")).status == 303
    assert reached.routes == []


# --- what is sent where, and what is written down ---------------------------------------------------------------------


@pytest.fixture
async def real(desk) -> AsyncIterator[Browser]:
    """A browser of a desk with its own handlers."""
    async with desk_server(desk) as serving, serving.browser() as browser:
        yield browser


@pytest.mark.parametrize(
    "wanted",
    [
        *("//evil.example", "/\\evil.example", "/%2f%2fevil.example", "https://evil.example", "javascript:alert(1)"),
        *(
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/.//evil.example",
            "///evil.example",
            "evil.example",
        ),
        *("http:evil.example", "/@evil.example", "data:text/html,x", "\u3002evil.example", "x" * 5_000),
    ],
)
async def test_signing_in_leads_to_no_other_site(real, desk, wanted):
    await add(desk, password_hash=password_hash())
    answer = await real.sign_in(wanted=wanted)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/static/../app.py",
            "/static/%2e%2e%2fapp.py",
            "/static/..%5capp.py",
            "/static/%00",
            "/static/desk.css%00.js",
        ),
        *("/cases/..%2f..%2fetc%2fpasswd", "/cases/1%00", "/cases/-1", "/cases/1e9", "/cases/" + "9" * 40),
        *(
            "/parked/%2e%2e%2fcases",
            "/refused/0x1",
            "/accounts/..%2f..%2fetc%2fpasswd",
            "/accounts/%00",
            "/accounts/%ff",
        ),
        *("/orders/%00", "/orders/%ff", "/orders/%ed%a0%80", "/orders/" + "x" * 300, "/orders/x/raw/../1"),
        *("/orders/x/raw/00000000-0000-0000-0000-000000000000/" + "9" * 30, "/welcome/..%2f..%2fetc%2fpasswd"),
    ],
)
async def test_no_path_leads_out_of_the_desk(real, desk, path):
    await add(desk, role=Role.ADMIN, password_hash=password_hash())
    await real.sign_in()
    answer = await real.client.get(path, allow_redirects=False)
    text = await answer.text()
    assert answer.status in {400, 404, 410}, path
    assert not re.search(r"root:|import |Traceback", text)


async def test_another_host_of_the_request_stands_nowhere(real, desk):
    await add(desk, password_hash=password_hash())
    for host in ("evil.example", "evil.example:80", "127.0.0.1@evil.example"):
        for path in ("/", "/sign-in", "/stuck?x=1", "/nothing"):
            answer = await real.get(path, Host=host, **{"X-Forwarded-Host": host, "Forwarded": f"host={host}"})
            told = f"{dict(answer.headers)} {await answer.text()}"
            assert "evil.example" not in told, path


async def test_no_secret_stands_in_the_log(real, desk):
    await add(desk, "ana", role=Role.VIEWER, password_hash=None)
    link = await call(desk, links.make_link, "ana", by="root")
    with structlog.testing.capture_logs() as logged:
        await real.get(f"/welcome/{link}")
        await real.post(f"/welcome/{link}", csrf="0" * 64, password=NEW, again=NEW)
        await real.post(f"/welcome/{link}", password=NEW, again=NEW)
        session = real.cookie()
        csrf = await real.csrf("/me")
        await real.get("/parked/many?act=replay&id=1")  # takes another role
        await real.post("/me/language", csrf="0" * 64, locale="zh")
        await real.post("/sign-out", on="/me")
        await real.sign_in("ana", PASSWORD)
        await real.sign_in("ana", NEW)
    told = repr(logged)
    assert {"desk_foreign_form_refused", "desk_role_refused", "sign_in_failed"} <= {each["event"] for each in logged}
    assert [secret for secret in (link, session, csrf, NEW, PASSWORD, real.cookie()) if secret in told] == []


async def test_while_every_route_fails_no_trace_is_shown(desk, monkeypatch):
    """Whatever is wrong with a handler of ours, whoever asks is told no more than that."""

    async def fail(_request: web.Request) -> web.Response:
        raise AssertionError("secret of the inside")

    failing = tuple(
        msgspec.structs.replace(route, handler=fail) if route.path not in {"/sign-in", "/me"} else route
        for route in ROUTES
    )
    monkeypatch.setattr(desk_app, "ROUTES", failing)
    await add(desk, role=Role.ADMIN, password_hash=password_hash())
    async with desk_server(a_desk(desk.pool, now=desk.now)) as serving, serving.browser() as browser:
        await browser.sign_in()
        for route in GUARDED:
            if route.method == "GET" and route.path != "/me":
                answer = await browser.get(address_of(route))
                assert answer.status == 500, route.path
                assert "secret of the inside" not in await answer.text()
