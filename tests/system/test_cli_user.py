"""`tillkeeper user`: who may use the desk."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from tests.browsing import add, desk_server
from tests.company_provider import desk_toml
from tests.desks import a_desk
from tests.system.commands import tillkeeper as command
from tests.system.commands import toml, written
from tillkeeper.domain.people import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database, desk="port = 8090"))


@pytest.fixture
def user(config):
    async def run(*arguments, code=0, **environ):
        ended = await command("user", *arguments, "--config", config, **environ)
        assert ended.code == code, ended.out + ended.err
        return ended

    return run


async def test_the_first_admin_signs_in_with_the_link_that_is_printed(user, pool):
    told = (await user("add", "Mei", "--role", "admin", "--by", "root")).out
    link = told.splitlines()[-1]
    assert re.fullmatch(r"http://127\.0\.0\.1:8090/welcome/[\w-]{43}", link)
    async with desk_server(a_desk(pool)) as server, server.browser() as browser:
        path = urlsplit(link).path
        assert (await browser.post(path, password=PASSWORD, again=PASSWORD)).status == 303
        assert (await browser.get("/me")).status == 200
        assert (await browser.get(path)).status == 410
    [mei] = (await user("list", "--json")).json["people"]
    assert (mei["name"], mei["role"], mei["locale"], mei["has_password"]) == ("mei", "admin", "zh", True)
    assert mei["last_seen_at"] is not None


async def test_a_link_leads_to_where_browsers_find_the_desk(user):
    for number, (environ, begins) in enumerate(
        (
            ({"TILLKEEPER_DESK__PUBLIC_URL": "https://desk.shop.example"}, "https://desk.shop.example/welcome/"),
            ({"TILLKEEPER_DESK__HOST": "::1", "TILLKEEPER_DESK__PORT": "81"}, "http://[::1]:81/welcome/"),
            ({"TILLKEEPER_DESK__HOST": "0.0.0.0"}, "http://127.0.0.1:8090/welcome/"),
        )
    ):
        made = await user("add", f"mei{number}", "--role", "viewer", "--json", **environ)
        assert made.json["link"].startswith(begins)


@pytest.mark.parametrize("name", ["", "a b", "system", "x" * 65, "<b>"])
async def test_what_is_no_name_is_refused_with_what_would_be_one(user, name):
    assert "name" in (await user("add", name, "--role", "viewer", code=2)).err


@pytest.mark.parametrize(
    "wrong",
    [
        ("add", "mei"),
        ("add", "mei", "--role", "anyone"),
        ("add", "mei", "--role", "viewer", "--locale", "fr"),
        ("add", "mei", "--role", "viewer", "--display-name", "x" * 101),
        ("add", "mei", "--role", "viewer", "--by", "system"),
        ("disable", "mei"),
        ("disable", "mei", "--note", " "),
        ("role", "mei", "god"),
        ("tokens", "add", "mei", "t", "--expires", "400d"),
        ("tokens", "add", "mei", "t", "--expires", "0"),
        ("tokens", "add", "mei", " "),
    ],
)
async def test_wrong_usage_is_said_and_nothing_is_done(user, pool, wrong):
    await user(*wrong, code=2)
    assert await pool.fetchval("SELECT count(*) FROM access_log") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("role", "lin", "viewer"),
        ("disable", "lin", "--note", "x"),
        ("enable", "lin", "--note", "x"),
        ("reset", "lin"),
        ("tokens", "add", "lin", "t"),
        ("tokens", "end", "lin", "t"),
    ],
)
async def test_who_is_not_there_is_named(user, arguments):
    assert "lin" in (await user(*arguments, code=1)).err


async def test_a_name_is_given_once_and_the_way_on_is_told(user):
    await user("add", "mei", "--role", "viewer")
    told = (await user("add", "MEI", "--role", "admin", code=1)).err
    assert "user reset mei" in told


async def test_a_person_gets_a_role_is_disabled_and_comes_back(user, pool):
    await add(a_desk(pool), password_hash="x")
    assert (await user("role", "mei", "operator", "--json")).json == {"person": "mei", "changed": True}
    assert (await user("role", "mei", "operator")).out == "mei had the role operator already\n"
    assert (await user("disable", "MEI", "--note", "left", "--by", "ana")).out == "mei is disabled\n"
    assert (await user("disable", "mei", "--note", "left")).out == "mei was disabled before\n"
    assert "may sign in" in (await user("reset", "mei", code=1)).err
    assert "disabled" in (await user("list")).out
    assert (await user("enable", "mei", "--note", "back")).out == "mei may sign in again\n"
    assert (await user("enable", "mei", "--note", "back", "--json")).json["changed"] is False
    assert "/welcome/" in (await user("reset", "mei")).out
    log = (await user("log", "--about", "mei", "--json")).json["log"]
    assert [(each["what"], each["why"]) for each in log] == [
        ("link made", "password_reset"),
        ("person enabled", "back"),
        ("person disabled", "left"),
        ("role changed", "role operator"),
        ("person added", "role viewer"),
    ]
    assert "person disabled" in (await user("log", "--person", "ana")).out
    assert (await user("log", "--person", "nobody")).out == "There is no such entry.\n"


async def test_a_token_is_printed_once_works_and_ends(user, pool):
    await add(a_desk(pool), role=Role.OPERATOR, password_hash=None)
    token = (await user("tokens", "add", "mei", "exports", "--role", "admin", "--expires", "2h")).out.strip()
    made = (await user("tokens", "add", "mei", "acts", "--may-act", "--json")).json
    assert (made["role"], made["may_act"], made["token"][:3]) == ("viewer", True, "tk_")
    assert "choose another name" in (await user("tokens", "add", "mei", "exports", code=1)).err
    async with desk_server(a_desk(pool)) as server, server.browser() as browser:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await browser.client.get("/me", headers=headers)).status == 200
        listed = await user("tokens", "list", "mei", "--json")
        assert token not in listed.out
        assert [each["name"] for each in listed.json["tokens"] if each["last_used_at"]] == ["exports"]
        assert (await user("tokens", "end", "mei", "exports")).out == "exports of mei is over\n"
        assert (await browser.client.get("/me", headers=headers)).status == 401
    await user("tokens", "end", "mei", "exports", code=1)
    assert (await user("tokens", "end", "mei", "acts", "--json")).json["ended"] is True
    assert "2 in all." in (await user("tokens", "list")).out
    assert (await user("tokens", "list", "lin")).out == "There is none.\n"


async def test_of_two_who_add_a_name_at_once_one_does(config):
    ended = await asyncio.gather(
        *(command("user", "add", "mei", "--role", "viewer", "--config", config, as_program=True) for _ in range(2))
    )
    assert sorted(each.code for each in ended) == [0, 1]


async def test_nobody_yet_is_no_error(user):
    assert (await user("list")).out == "There is nobody: tillkeeper user add NAME --role admin\n"
    assert (await user("tokens", "list")).out == "There is none.\n"


ISSUER = "https://id.shop.example"


async def test_a_person_is_tied_to_their_account_at_the_company_and_untied(tmp_path, database, pool):
    config = written(tmp_path, toml(database, desk=desk_toml(ISSUER)))

    async def user(*arguments, code=0):
        ended = await command("user", *arguments, "--config", config)
        assert ended.code == code, ended.out + ended.err
        return ended.out + ended.err

    for name in ("mei", "lin"):
        await user("add", name, "--role", "viewer")
    assert await user("link", "MEI", "00u1", "--note", "asked") == "mei comes in with that account\n"
    assert await user("link", "mei", "00u1") == "mei had that account already\n"
    assert "mei comes in with that account; `user unlink mei` ends that" in await user("link", "lin", "00u1", code=1)
    assert "nobody named nobody" in await user("link", "nobody", "00u2", code=1)
    assert "printable" in await user("link", "mei", " ", code=2)
    assert await pool.fetch("SELECT name, issuer, subject FROM people ORDER BY id") == [
        ("mei", ISSUER, "00u1"),
        ("lin", None, None),
    ]
    assert await user("unlink", "mei", "--note", "mistaken") == "mei has no account of the company any more\n"
    assert await user("unlink", "mei") == "mei had none\n"
    assert "nobody named nobody" in await user("unlink", "nobody", code=1)
    assert await user("link", "lin", "00u1") == "lin comes in with that account\n"
    log = await user("log", "--about", "mei")
    assert "account linked" in log
    assert "00u1: asked" in log


async def test_where_passwords_are_off_no_link_is_printed(tmp_path, database):
    desk = desk_toml(ISSUER).replace("[desk.oidc.roles]", "passwords = false\n[desk.oidc.roles]")
    config = written(tmp_path, toml(database, desk=desk))
    added = await command("user", "add", "mei", "--role", "viewer", "--config", config)
    assert added.out.endswith("passwords are off, so tie them to their account: tillkeeper user link mei SUBJECT\n")
    assert (await command("user", "add", "lin", "--role", "viewer", "--json", "--config", config)).json["link"] is None
    reset = await command("user", "reset", "mei", "--config", config)
    assert (reset.code, "a link signs nobody in" in reset.err) == (1, True)


async def test_without_a_provider_nobody_is_tied_to_one(user):
    await user("add", "mei", "--role", "viewer")
    assert "[desk.oidc]" in (await user("link", "mei", "00u1", code=1)).err
