"""What stands behind the ? of an address is understood, or answered 400 and named; HEAD answers where GET does."""

import re
from urllib.parse import unquote

import pytest

from tests.desk_api import LATER, Program, a_token, problem_of, serving, something_of_everything
from tests.desk_reading import text_of
from tests.desks import a_desk, a_person, desk_client
from tests.system.desk.test_api_document import READS, path_filled
from tests.system.desk.test_walk import address_of
from tillkeeper.desk.address import Parameter, taken_by
from tillkeeper.desk.api.table import OPERATIONS
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import methods_of
from tillkeeper.desk.routes import ROUTES

PAGES = [
    route
    for route in ROUTES
    if route.method == "GET" and route.role != "anyone" and re.match(r"/(?!api/(?!docs))", route.path)
]
CHECKED = [(route, name) for route in PAGES for name, wanted in taken_by(route.path).items() if wanted.word != "text"]


def of(route):
    return route.path


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool), a_person(Role.ADMIN)) as client:
        yield client


async def test_a_name_that_a_page_does_not_know_says_nothing_to_it(client):
    for path in ("/", "/cases", "/stuck", "/me", "/handover"):  # as WeChat adds to links that are sent
        assert (await client.get(f"{path}?from=singlemessage&isappinstalled=0")).status == 200


async def test_no_page_takes_a_value_that_its_parameter_cannot_be(client):
    assert len(CHECKED) > 15
    for route, name in CHECKED:
        said = await text_of(client, f"{address_of(route)}?{name}=garb%3Cage", 400)
        assert f"{name} is garb<age" in said, (route.path, name)


async def test_no_page_takes_a_parameter_twice_or_one_that_nobody_can_keep(client):
    for route in PAGES:
        for name, wanted in taken_by(route.path).items():
            address = address_of(route)
            if not wanted.is_many:
                assert "more than once" in await text_of(client, f"{address}?{name}=1&{name}=1", 400), address
            if not wanted.is_free:
                assert "too long" in await text_of(client, f"{address}?{name}={'1' * 2_001}", 400), address
                assert "too long" in await text_of(client, f"{address}?{name}=%00", 400), address


@pytest.mark.parametrize(
    "path",
    [
        *("/stuck?after=garbage", "/cases?after=garbage", "/cases?after=0~x~y~z", "/waiting?after=garbage"),
        *("/outbox?after=garbage", "/stuck?after=99999999999999999999-1", "/cases?level=10"),
    ],
)
async def test_a_place_that_no_list_has_is_said_too(client, path):
    assert "This address cannot be read" in await text_of(client, path, 400)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T23:00:00Z"])
async def test_a_moment_that_no_database_holds_is_no_outage(client, moment):
    assert f"since is {unquote(moment)}" in await text_of(client, f"/handover?since={moment}", 400)
    assert "This address cannot be read" in await text_of(client, f"/outbox?after={moment}", 400)
    assert "at is " in await text_of(client, f"/orders/ORD-1042/as-of?at={moment}", 400)


async def test_it_is_said_in_the_language_of_who_reads_it(pool):
    async with desk_client(a_desk(pool), a_person(Role.ADMIN, "zh")) as client:
        said = await text_of(client, "/orders/ORD-1042?before=x", 400)
        assert "这个地址无法理解" in said
        assert "before 的值是 x ，应为整数。" in said


async def test_what_is_empty_is_as_if_it_was_not_there(client):
    for path in ("/cases?kind=&level=&account=&closed=", "/waiting?first=", "/outbox?state=", "/handover?since="):
        assert (await client.get(path)).status == 200


async def test_each_parameter_is_of_a_page():
    assert Parameter().word == "text"
    known = {route.path for route in PAGES}
    assert sum(bool(taken_by(path)) for path in known) >= 14


async def test_no_read_and_no_act_of_the_api_takes_what_it_does_not_know(pool):
    desk = a_desk(pool, now=lambda: LATER)
    await something_of_everything(pool)
    async with serving(desk) as client:
        program = Program(client, await a_token(desk))
        for read in READS:
            answer = await program.get(await path_filled(program, read.path), garbage="1")
            assert (await problem_of(answer, 400))["remedy"].startswith("It takes "), read.path
        for act in OPERATIONS:
            if act.is_act:
                path = address_of(next(route for route in ROUTES if (route.method, route.path) == place_of(act)))
                await problem_of(await program.post(f"{path}?garbage=1", {"reason": "why"}), 400)


def place_of(act):
    return act.method, re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", act.path)


async def test_head_answers_where_get_does_and_without_a_body(client):
    for route in PAGES:
        if "HEAD" not in methods_of(route):
            continue
        read, told = await client.get(address_of(route)), await client.head(address_of(route))
        assert (told.status, await told.read()) == (read.status, b""), route.path
        assert told.headers["Content-Type"] == read.headers["Content-Type"]


async def test_head_answers_programs_too(pool):
    desk = a_desk(pool)
    async with serving(desk) as client:
        headers = {"Authorization": f"Bearer {await a_token(desk)}"}
        for path in ("/api/now", "/api/cases", "/api/accounts/health", "/api/openapi.json"):
            answer = await client.head(path, headers=headers)
            assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_method_that_a_path_does_not_take_is_said_as_such_also_without_a_token_of_forms(pool, method):
    desk = a_desk(pool)
    async with serving(desk) as client:
        reads = await a_token(desk, may_act=False)
        for path, allowed in (("/api/cases", {"GET", "HEAD"}), ("/api/handover", {"GET", "HEAD", "POST"})):
            answer = await client.request(method, path, headers={"Authorization": f"Bearer {reads}"})
            assert set(answer.headers["Allow"].split(", ")) == allowed
            await problem_of(answer, 405)
