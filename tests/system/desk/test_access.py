"""Who may do what at the desk, over HTTP: sessions, roles, forms of other sites, programs with tokens."""

from datetime import timedelta

import pytest
from aiohttp import web

from tests.browsing import PASSWORD, add, desk_server, told
from tests.desks import a_desk
from tests.system.desk.conftest import NEEDED, password_hash
from tests.system.desk.test_sign_in import NEW, call, is_signed_in
from tillkeeper.desk.routes import ROUTES
from tillkeeper.domain.people import Role
from tillkeeper.domain.sign_in import FREE_TRIES, SESSION_IDLE, SESSION_LONGEST
from tillkeeper.store.people import people, tokens

DAY = timedelta(days=1)


@pytest.fixture
async def mei(desk):
    return await add(desk, role=Role.OPERATOR, password_hash=password_hash())


@pytest.fixture
async def signed_in(browser, mei):
    await browser.sign_in()
    return browser


def filled(path):
    return path.replace(":[^/]+}", "").replace("{", "").replace("}", "")


# --- without a session ------------------------------------------------------------------------------------------------


async def test_no_page_or_act_without_a_session(browser):
    for route in [each for each in ROUTES if each.role != "anyone"]:
        answer = await browser.client.request(route.method, filled(route.path), allow_redirects=False)
        assert answer.headers["Cache-Control"] == "no-store", route
        if route.path.startswith("/api/") and route.path != "/api/docs":
            assert (answer.status, answer.content_type) == (401, "application/problem+json"), route
        else:
            assert answer.status == 303, route
            assert answer.headers["Location"].startswith("/sign-in"), route


async def test_nobody_learns_without_a_session_which_pages_there_are(browser):
    there, not_there = await browser.get("/me"), await browser.get("/nothing")
    assert (there.status, there.headers["Location"]) == (303, "/sign-in?next=/me")
    assert (not_there.status, not_there.headers["Location"]) == (303, "/sign-in?next=/nothing")


async def test_programs_and_live_parts_are_told_in_their_own_way(browser):
    answer = await browser.get("/me", Accept="application/json")
    assert (answer.status, await answer.json()) == (401, {"error": "sign in, or send a bearer token"})
    assert (await browser.get("/me", Accept="text/event-stream")).status == 401
    answer = await browser.get("/me", **{"HX-Request": "true"})
    assert (answer.status, answer.headers["HX-Redirect"]) == (401, "/sign-in")


@pytest.mark.parametrize("cookie", ["", "x", "made-up", "x" * 5000, '"; DROP TABLE people'])
async def test_a_made_up_cookie_opens_nothing(browser, cookie):
    assert (await browser.get("/me", Cookie=f"tk_session={cookie}")).status == 303


async def test_a_route_that_is_not_in_the_table_is_nobodys(desk):
    reached = []

    async def handler(_):
        reached.append(1)
        return web.Response(text="inside")

    more = lambda app: app.router.add_get("/forgotten", handler)  # noqa: E731 - it is one line
    async with desk_server(desk, more) as server, server.browser() as browser:
        await add(desk, role=Role.ADMIN, password_hash=password_hash())
        assert (await browser.get("/forgotten")).status == 403
        await browser.sign_in()
        assert (await browser.get("/forgotten")).status == 403
    assert not reached


async def test_who_follows_a_link_from_elsewhere_is_not_asked_to_sign_in_again(server, signed_in):
    there = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with server.browser() as without_its_cookie:
        answer = await without_its_cookie.get("/me?from=chat", **there)
        page = await answer.text()
    assert answer.status == 200
    assert '<meta http-equiv="refresh" content="0">' in page  # the same address, and then it is same-origin
    assert "You are signed in" not in page
    again = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    assert "You are signed in" in await (await signed_in.get("/me?from=chat", **again)).text()


async def test_who_is_not_signed_in_is_asked_once_they_came_again(browser):
    there = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await browser.get("/me", **there)).status == 200
    assert (await browser.get("/me", **there | {"Sec-Fetch-Site": "same-origin"})).status == 303
    for other in ({"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Mode": "cors"}):
        assert (await browser.get("/me", **there | other)).status == 303


# --- roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_what_needs_it_or_less_and_nothing_more(browser, desk, role):
    await add(desk, role=role, password_hash=password_hash())
    await browser.sign_in()
    csrf = await browser.csrf("/me")
    for needed, path in NEEDED.items():
        expected = 200 if role.allows(needed) else 403
        assert (await browser.get(path)).status == expected
        assert (await browser.post(path, csrf=csrf)).status == expected


async def test_a_new_role_counts_at_once_for_who_signs_in_again(signed_in, desk):
    await call(desk, people.set_role, "mei", Role.VIEWER, by="root", why="")
    assert not await is_signed_in(signed_in)
    await signed_in.sign_in()
    assert (await signed_in.get(NEEDED[Role.OPERATOR])).status == 403


# --- the end of a session ---------------------------------------------------------------------------------------------


async def test_a_disabled_persons_live_session_is_over(signed_in, desk):
    assert await is_signed_in(signed_in)
    await call(desk, people.disable, "mei", by="root", why="left")
    assert not await is_signed_in(signed_in)
    assert (await signed_in.post(NEEDED[Role.VIEWER], csrf="x")).status == 303


async def test_who_signed_out_is_out_also_with_the_old_cookie(signed_in):
    cookie = signed_in.cookie()
    answer = await signed_in.post("/sign-out", on="/me")
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert signed_in.cookie() is None
    signed_in.set_cookie("tk_session", cookie)
    assert not await is_signed_in(signed_in)


@pytest.mark.parametrize(("after", "is_in"), [(SESSION_IDLE - timedelta(seconds=1), True), (SESSION_IDLE, False)])
async def test_a_session_that_nobody_uses_ends(signed_in, clock, after, is_in):
    clock.at += after
    assert await is_signed_in(signed_in) == is_in


async def test_a_page_that_is_live_by_itself_keeps_no_session_going(signed_in, clock):
    for _ in range(4):
        clock.at += SESSION_IDLE / 4
        answer = await signed_in.get(NEEDED[Role.VIEWER], Accept="text/event-stream")
    assert answer.status == 401


async def test_a_session_ends_after_a_shift_however_busy(signed_in, clock):
    for _ in range(int(SESSION_LONGEST / timedelta(hours=1)) - 1):
        clock.at += timedelta(hours=1)
        assert await is_signed_in(signed_in)
    clock.at += timedelta(hours=1)
    assert not await is_signed_in(signed_in)


async def test_a_person_ends_another_session_of_their_own_and_of_nobody_else(server, signed_in, desk):
    await add(desk, "ana", password_hash=password_hash())
    async with server.browser() as other, server.browser() as anas:
        await other.sign_in()
        await anas.sign_in("ana")
        rows = await desk.pool.fetch("SELECT s.id, p.name FROM sessions s JOIN people p ON p.id = person_id ORDER BY 1")
        [_, others, hers] = [row["id"] for row in rows]
        for number in (others, hers, "0", "9" * 30, "x"):
            await signed_in.post(f"/me/sessions/{number}/end", on="/me")
        assert not await is_signed_in(other)
        assert await is_signed_in(anas)
    assert await is_signed_in(signed_in)


async def test_a_new_password_ends_all_other_sessions(server, signed_in):
    async with server.browser() as other:
        await other.sign_in()
        before = signed_in.cookie()
        answer = await signed_in.post("/me/password", on="/me", old=PASSWORD, password=NEW, again=NEW)
        assert answer.status == 303
        assert not await is_signed_in(other)
        assert await is_signed_in(signed_in)
        assert signed_in.cookie() != before
        assert (await other.sign_in()).status == 401
        assert (await other.sign_in(password=NEW)).status == 303


async def test_who_does_not_know_the_password_does_not_change_it_and_may_not_guess(signed_in):
    for _ in range(FREE_TRIES):
        answer = await signed_in.post("/me/password", on="/me", old="guess", password=NEW, again=NEW)
        text = await answer.text()
        assert (answer.status, told(text)) == (422, "The password that you have now is not right.")
    answer = await signed_in.post("/me/password", on="/me", old=PASSWORD, password=NEW, again=NEW)
    assert answer.status == 429


# --- forms of other sites ---------------------------------------------------------------------------------------------

PROBE = NEEDED[Role.VIEWER]


async def test_an_act_needs_the_token_of_its_own_session(server, signed_in, desk):
    csrf = await signed_in.csrf("/me")
    assert (await signed_in.post(PROBE, csrf=csrf)).status == 200
    for wrong in ("", "0" * 64, csrf[:-1], csrf.upper() + "x", "\u00e9"):
        assert (await signed_in.post(PROBE, csrf=wrong)).status == 403
    await add(desk, "ana", password_hash=password_hash())
    async with server.browser() as other:
        visitors = await other.csrf("/sign-in")
        await other.sign_in("ana")
        assert (await signed_in.post(PROBE, csrf=await other.csrf("/me"))).status == 403
        assert (await signed_in.post(PROBE, csrf=visitors)).status == 403
    await signed_in.sign_in()
    assert (await signed_in.post(PROBE, csrf=csrf)).status == 403  # a new session has its own


async def test_the_token_may_stand_in_a_header(signed_in):
    csrf = await signed_in.csrf("/me")
    assert (await signed_in.client.post(PROBE, headers={"X-CSRF-Token": csrf})).status == 200
    assert (await signed_in.client.post(PROBE, headers={"X-CSRF-Token": "x"}, data={"csrf": csrf})).status == 403
    assert (await signed_in.client.post(PROBE, json={"csrf": csrf})).status == 403
    assert (await signed_in.client.post(PROBE)).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_what_a_browser_says_comes_from_another_site_is_refused_even_with_the_token(signed_in, headers):
    csrf = await signed_in.csrf("/me")
    assert (await signed_in.post(PROBE, csrf=csrf, headers=headers)).status == 403
    assert (await signed_in.post("/sign-in", headers=headers, name="mei", password=PASSWORD)).status == 403


async def test_what_comes_from_the_desk_itself_is_taken(signed_in):
    csrf = await signed_in.csrf("/me")
    origin = str(signed_in.client.make_url("/")).rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert (await signed_in.post(PROBE, csrf=csrf, headers=headers)).status == 200


async def test_nobody_is_signed_in_by_another_site(browser, mei):
    for csrf in ("", "0" * 64):
        answer = await browser.post("/sign-in", csrf=csrf, name="mei", password=PASSWORD)
        assert answer.status == 403
    assert browser.cookie() is None


async def test_a_form_that_is_too_long_is_refused(signed_in):
    csrf = await signed_in.csrf("/me")
    assert (await signed_in.post(PROBE, csrf=csrf, more="x" * 100_000)).status == 413


# --- what browsers keep and frame -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/me", "/sign-in", "/welcome/over", "/nothing", PROBE])
async def test_no_private_page_is_kept_or_framed(signed_in, path):
    answer = await signed_in.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"]
)
async def test_no_file_but_static_ones_is_served(signed_in, path):
    answer = await signed_in.client.get(path, allow_redirects=False)
    assert answer.status == 404
    assert "import" not in await answer.text()


async def test_over_https_cookies_are_bound_to_the_host(browser, mei):
    browser.headers["X-Forwarded-Proto"] = "https"
    answer = await browser.get("/sign-in")
    [cookie] = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("__Host-tk_visitor=")
    assert "Secure" in cookie
    assert "Domain" not in cookie
    visitor = cookie.partition("=")[2].partition(";")[0]
    browser.headers["Cookie"] = f"__Host-tk_visitor={visitor}"
    answer = await browser.sign_in()
    [session] = [each for each in answer.headers.getall("Set-Cookie") if "tk_session" in each]
    value = session.partition("=")[2].partition(";")[0]
    assert session.startswith("__Host-tk_session=")
    assert (await browser.get("/me", Cookie=f"__Host-tk_session={value}")).status == 200
    assert (await browser.get("/me", Cookie=f"tk_session={value}")).status == 303  # a cookie that plain http can set


async def test_who_is_no_trusted_proxy_does_not_say_that_it_is_https(desk, monkeypatch):
    monkeypatch.setattr("tests.browsing.LOOPBACK", ())
    async with desk_server(desk) as server, server.browser() as browser:
        answer = await browser.get("/sign-in", **{"X-Forwarded-Proto": "https"})
        assert answer.headers["Set-Cookie"].startswith("tk_visitor=")


# --- programs ---------------------------------------------------------------------------------------------------------


async def a_token(desk, *, role=Role.ADMIN, may_act=True, lives=DAY):
    expires_at = desk.now() + lives
    return await call(
        desk, tokens.make_token, "mei", name="exports", role=role, may_act=may_act, expires_at=expires_at, by="root"
    )


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_opens_what_it_and_its_person_may_without_a_cookie_or_form(browser, desk, mei):
    headers = bearer(await a_token(desk))
    for needed, path in NEEDED.items():
        expected = 200 if mei.role.allows(needed) else 403
        for send in (browser.client.get, browser.client.post):
            answer = await send(path, headers=headers)
            assert answer.status == expected
            if expected == 200:
                assert await answer.json() == {"person": "mei", "role": "operator"}


async def test_a_token_that_reads_cannot_act(browser, desk, mei):
    headers = bearer(await a_token(desk, may_act=False))
    assert (await browser.client.get(PROBE, headers=headers)).status == 200
    answer = await browser.client.post(PROBE, headers=headers)
    assert (answer.status, "read only" in (await answer.json())["error"]) == (403, True)


async def test_a_token_sees_to_no_session_and_no_password(browser, desk, mei):
    headers = bearer(await a_token(desk))
    assert (await browser.client.get("/me", headers=headers)).status == 200
    for path, fields in {
        "/me/password": {"old": PASSWORD, "password": NEW, "again": NEW},
        "/me/language": {"locale": "zh"},
        "/me/sessions/1/end": {},
    }.items():
        assert (await browser.client.post(path, headers=headers, data=fields)).status == 403
    assert (await browser.client.post("/sign-out", headers=headers, allow_redirects=False)).status == 303


@pytest.mark.parametrize(
    "authorization", ["Bearer", "Bearer tk_made_up", "Basic bWVpOng=", "", "tk_x", "Bearer \u00e9"]
)
async def test_a_made_up_token_is_refused_also_beside_a_session(signed_in, authorization):
    answer = await signed_in.get("/me", Authorization=authorization)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_token_ends_with_its_time_its_person_or_when_somebody_says_so(browser, desk, clock, mei):
    token = await a_token(desk)
    headers = bearer(token)
    await call(desk, people.disable, "mei", by="root", why="left")
    assert (await browser.client.get(PROBE, headers=headers)).status == 401
    await call(desk, people.enable, "mei", by="root", why="back")
    assert (await browser.client.get(PROBE, headers=headers)).status == 200
    clock.at += DAY
    assert (await browser.client.get(PROBE, headers=headers)).status == 401
    clock.at -= DAY
    await call(desk, tokens.end_token, "mei", "exports", by="root")
    assert (await browser.client.get(PROBE, headers=headers)).status == 401


async def test_while_the_database_is_away_nobody_is_let_in_and_no_trace_is_shown(unused_tcp_port, desk):
    from tillkeeper.store.postgres.pool import open_pool

    url = f"postgresql://postgres@127.0.0.1:{unused_tcp_port}/none"
    async with (
        await open_pool(url, max_size=1, min_size=0) as pool,
        desk_server(a_desk(pool)) as server,
        server.browser() as browser,
    ):
        answer = await browser.get("/me", Cookie="tk_session=some-session")
        assert answer.status == 503
        assert "Traceback" not in await answer.text()
