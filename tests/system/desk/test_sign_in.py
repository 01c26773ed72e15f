"""Signing in at the desk over HTTP: passwords, one-time links, and what guessing comes to."""

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from tests.browsing import PASSWORD, add, told
from tests.system.desk.conftest import LIGHT, password_hash
from tillkeeper.desk.access import passwords
from tillkeeper.desk.access.cookies import KNOWN_COOKIE
from tillkeeper.domain.people import Role
from tillkeeper.domain.sign_in import FREE_TRIES, LINK_LIVES, SESSIONS_MAX, WAIT_MAX
from tillkeeper.store.people import links, people
from tillkeeper.store.people.log import read_log
from tillkeeper.store.postgres.transactions import repeat_on_conflict

NEW = "another fine password"


async def call(desk, function, *arguments, **named):
    return await repeat_on_conflict(desk.pool, lambda conn: function(conn, *arguments, now=desk.now(), **named))


@pytest.fixture
async def mei(desk):
    return await add(desk, password_hash=password_hash())


async def a_link(desk, name="mei"):
    return await call(desk, links.make_link, name, by="root")


async def is_signed_in(browser):
    return (await browser.get("/me")).status == 200


async def test_whoever_signs_in_goes_to_the_page_that_they_wanted(browser, mei):
    asked = await browser.get("/me?from=chat")
    assert (asked.status, asked.headers["Location"]) == (303, "/sign-in?next=/me?from%3Dchat")
    page = await (await browser.get(asked.headers["Location"])).text()
    assert 'name="next" value="/me?from=chat"' in page
    answer = await browser.sign_in(" MEI ", wanted="/me?from=chat")
    assert (answer.status, answer.headers["Location"]) == (303, "/me?from=chat")
    assert "You are signed in as" in await (await browser.get("/me")).text()


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "/%2f%2fevil.example", "https://evil.example"])
async def test_nobody_is_sent_to_another_site(browser, mei, wanted):
    page = await (await browser.get("/sign-in?next=" + wanted.replace("%", "%25"))).text()
    assert 'name="next" value="/"' in page
    assert (await browser.sign_in(wanted=wanted)).headers["Location"] == "/"


async def test_the_page_speaks_the_browsers_language_and_then_the_persons(browser, desk):
    assert "登录" in await (await browser.get("/sign-in", **{"Accept-Language": "zh-CN,en"})).text()
    await add(desk, password_hash=password_hash())
    await browser.sign_in()
    assert "登录" not in await (await browser.get("/me", **{"Accept-Language": "zh-CN"})).text()
    await browser.post("/me/language", on="/me", locale="zh")
    assert "您以" in await (await browser.get("/me")).text()
    assert (await browser.post("/me/language", on="/me", locale="fr")).status == 400


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("mei", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("", ""),
        ("mei", ""),
        ("mei\0", PASSWORD),
        ("x" * 9999, "x"),
    ],
)
async def test_what_is_wrong_is_not_said_more_exactly(browser, mei, name, password):
    answer = await browser.sign_in(name, password)
    text = await answer.text()
    assert (answer.status, told(text)) == (401, "The name or the password is not right.")
    assert not await is_signed_in(browser)


async def test_a_disabled_person_is_told_as_little(browser, desk, mei):
    await call(desk, people.disable, "mei", by="root", why="left")
    answer = await browser.sign_in()
    assert (answer.status, told(await answer.text())) == (401, "The name or the password is not right.")


class Counted(PasswordHasher):
    checked = ()

    def verify(self, hash, password):  # noqa: A002 - as argon2 calls it
        self.checked += (hash,)
        return super().verify(hash, password)


async def test_a_name_that_nobody_has_costs_the_same_work_as_one_that_somebody_has(browser, desk, mei, monkeypatch):
    await add(desk, "new", password_hash=None)
    counted = Counted(**LIGHT)
    monkeypatch.setattr(passwords, "_hasher", counted)
    for name in ("mei", "nobody", "new"):
        await browser.sign_in(name, "wrong horse battery")
    known, unknown, without = counted.checked
    assert known == password_hash()
    assert unknown == without
    assert known.split("$")[1:4] == unknown.split("$")[1:4]  # the kind, the version, and what it costs


async def test_a_password_that_was_hashed_more_weakly_is_hashed_anew(browser, desk):
    weak = PasswordHasher(**LIGHT | {"time_cost": 1})
    await add(desk, password_hash=weak.hash(PASSWORD))
    assert (await browser.sign_in()).status == 303
    now = await desk.pool.fetchval("SELECT password_hash FROM people")
    assert now.split("$")[3] == password_hash().split("$")[3]
    assert (await browser.sign_in()).status == 303


async def test_a_session_that_was_there_before_is_never_the_one_that_is_signed_in(server, browser, mei):
    async with server.browser() as attacker:
        await attacker.sign_in()
        planted = attacker.cookie()
        await attacker.post("/sign-out", on="/me")
    browser.set_cookie("tk_session", planted)
    await browser.sign_in()
    assert browser.cookie() != planted
    first = browser.cookie()
    await browser.sign_in()
    assert browser.cookie() != first
    async with server.browser() as attacker:
        attacker.set_cookie("tk_session", planted)
        assert not await is_signed_in(attacker)


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(browser, mei):
    for answer in (await browser.get("/sign-in"), await browser.sign_in()):
        for cookie in answer.headers.getall("Set-Cookie"):
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert "Path=/" in cookie


async def test_after_a_few_wrong_passwords_even_the_right_one_waits_and_then_it_is_taken(browser, clock, mei):
    for _ in range(FREE_TRIES):
        await browser.sign_in(password="wrong horse battery")
    answer = await browser.sign_in()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
    assert told(await answer.text()) == "Too many wrong ones; try again in 2 s."
    clock.at += timedelta(seconds=1)
    assert (await browser.sign_in()).status == 303


async def test_whoever_guesses_keeps_nobody_out_where_they_signed_in_before_nor_from_their_link(
    server, browser, desk, clock, mei
):
    await browser.sign_in()
    await browser.post("/sign-out", on="/me")
    async with server.browser() as attacker:
        for _ in range(20):
            await attacker.sign_in(password="wrong horse battery")
            clock.at += WAIT_MAX
        await attacker.sign_in(password="wrong horse battery")
        assert (await attacker.sign_in(password="wrong horse battery")).status == 429
        assert (await browser.sign_in()).status == 303
        link = await a_link(desk)
        answer = await attacker.post(f"/welcome/{link}", password=NEW, again=NEW)  # as the owner would elsewhere
        assert answer.status == 303
        assert (await attacker.sign_in(password=NEW)).status == 303


async def test_a_made_up_cookie_makes_no_known_browser(browser, mei):
    browser.set_cookie(KNOWN_COOKIE, "nonce." + "0" * 64)
    for _ in range(FREE_TRIES):
        await browser.sign_in(password="wrong horse battery")
    assert (await browser.sign_in()).status == 429


async def test_a_known_browser_is_slowed_down_too_and_is_known_until_the_password_changes(browser, desk, clock, mei):
    await browser.sign_in()
    for _ in range(FREE_TRIES):
        assert (await browser.sign_in(password="wrong horse battery")).status == 401
    assert (await browser.sign_in()).status == 429
    clock.at += timedelta(seconds=1)
    await browser.sign_in()
    assert await desk.pool.fetchval("SELECT count(*) FROM sign_in_attempts WHERE bucket > 4096") == 1
    await repeat_on_conflict(
        desk.pool, lambda conn: people.set_password(conn, mei.id, PasswordHasher(**LIGHT).hash(NEW))
    )
    await browser.sign_in(password=NEW)
    assert await desk.pool.fetchval("SELECT count(*) FROM sign_in_attempts WHERE bucket BETWEEN 1 AND 4096") == 1


async def test_who_comes_when_too_many_wait_is_told_to_come_again(browser, mei, monkeypatch):
    monkeypatch.setattr(passwords, "WAITING_MAX", 0)
    answer = await browser.sign_in()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")


async def test_many_sign_ins_at_once_leave_a_bounded_number_of_sessions(server, browser, desk, mei):
    await browser.sign_in()  # known from now on, and not held to the total
    await asyncio.gather(*(browser.sign_in() for _ in range(4)))
    assert await desk.pool.fetchval("SELECT count(*) FROM sessions") <= min(SESSIONS_MAX, 5)


# --- one-time links ---------------------------------------------------------------------------------------------------


async def test_a_link_speaks_the_language_of_its_person(browser, desk):
    await add(desk, "ana", password_hash=None)
    await desk.pool.execute("UPDATE people SET locale = 'zh'")
    assert 'lang="zh' in await (await browser.get(f"/welcome/{await a_link(desk, 'ana')}")).text()


async def test_a_link_sets_a_password_and_signs_in_once(server, browser, desk):
    await add(desk, "ana", role=Role.ADMIN, password_hash=None)
    link = f"/welcome/{await a_link(desk, 'ana')}"
    for _ in range(2):
        assert "ana" in await (await browser.get(link)).text()  # looking uses nothing up
    answer = await browser.post(link, password=NEW, again=NEW)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert await is_signed_in(browser)
    async with server.browser() as other:
        assert (await other.get(link)).status == 410
        assert (await other.post(link, on="/sign-in", password=NEW, again=NEW)).status == 410
        assert (await other.sign_in("ana", NEW)).status == 303


@pytest.mark.parametrize(
    ("password", "again", "problem"),
    [
        ("short", "short", "The password is too short: it takes 12 characters or more."),
        ("z" * 12, "z" * 12, "The password is one character repeated; take another."),
        ("z" * 1025, "z" * 1025, "The password is too long: it has 1024 characters at most."),
        ("margaretemuller", "margaretemuller", "The password is your name; take another."),
        (NEW, NEW + "!", "The two passwords are not the same."),
    ],
)
async def test_a_bad_password_leaves_the_link_to_be_used(browser, desk, password, again, problem):
    await add(desk, "margaretemuller", password_hash=None)
    link = f"/welcome/{await a_link(desk, 'margaretemuller')}"
    answer = await browser.post(link, password=password, again=again)
    assert (answer.status, told(await answer.text())) == (422, problem)
    assert (await browser.post(link, password=NEW, again=NEW)).status == 303


async def test_a_link_that_is_too_old_or_made_up_is_over(browser, desk, clock, mei):
    old = f"/welcome/{await a_link(desk)}"
    clock.at += LINK_LIVES
    for link in (old, "/welcome/made-up", "/welcome/%00"):
        assert (await browser.get(link)).status == 410
        assert (await browser.post(link, on="/sign-in", password=NEW, again=NEW)).status == 410
    assert (await browser.sign_in()).status == 303


async def test_of_many_who_use_a_link_at_once_one_is_signed_in(browser, desk, mei):
    link = f"/welcome/{await a_link(desk)}"
    csrf = await browser.csrf(link)
    answers = await asyncio.gather(
        *(browser.post(link, csrf=csrf, password=f"{NEW} {number}", again=f"{NEW} {number}") for number in range(6))
    )
    assert sorted(answer.status for answer in answers) == [303] + [410] * 5
    assert await desk.pool.fetchval("SELECT count(*) FROM sessions") == 1


async def test_a_link_ends_the_sessions_that_there_were(server, browser, desk, mei):
    await browser.sign_in()
    async with server.browser() as other:
        await other.post(f"/welcome/{await a_link(desk)}", password=NEW, again=NEW)
        assert await is_signed_in(other)
    assert not await is_signed_in(browser)


async def test_who_came_and_went_stands_in_the_log_without_address_or_password(browser, desk, mei):
    await browser.sign_in()
    await browser.post("/sign-out", on="/me")
    await browser.post(f"/welcome/{await a_link(desk)}", password=NEW, again=NEW)
    async with desk.pool.acquire() as conn:
        entries = await read_log(conn, limit=20)
    assert [(each.person, each.what) for each in entries[:4]] == [
        ("mei", "password set with a link"),
        ("root", "link made"),
        ("mei", "signed out"),
        ("mei", "signed in"),
    ]
    assert not {NEW, PASSWORD, "127.0.0.1"} & {part for each in entries for part in (each.why, each.subject, each.what)}
