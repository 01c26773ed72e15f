"""The desk shows rows that a later version wrote, with words that this one does not know."""

import pytest

from tests.desk_api import LATER, ORDER, Program, a_token, serving, something_of_everything
from tests.desk_orders import a_paid_order
from tests.desk_reading import text_of
from tests.desks import a_desk, a_person, desk_client
from tests.newer_rows import IN_TURN, WORD, forget_checks, write_later
from tests.system.commands import tillkeeper, toml, written
from tests.system.desk.test_api_document import READS, path_filled
from tests.system.desk.test_every_page import walk
from tillkeeper.desk.person import Role


@pytest.fixture
async def desk(pool):
    await forget_checks(pool)
    return a_desk(pool, now=lambda: LATER)


@pytest.mark.slow
@pytest.mark.parametrize("columns", IN_TURN, ids=lambda columns: columns[0])
async def test_every_page_and_read_of_the_api_answers(desk, columns):
    await something_of_everything(desk.pool)
    for column in columns:
        await write_later(desk.pool, column)
    async with serving(desk) as client:
        program = Program(client, await a_token(desk))
        for read in READS:
            path = await path_filled(program, read.path)
            answer = await program.get(path, **({"q": "1042"} if read.name == "find" else {}))
            assert answer.status in {200, 404}, (path, await answer.text())
    async with desk_client(desk, a_person(Role.ADMIN, "zh")) as client:
        visited = await walk(client)
    assert {path: status for path, status in visited.items() if status >= 500} == {}
    assert len(visited) > 30


@pytest.mark.parametrize("column", ["orders.status", "inbox.kind", "inbox.evidence", "inbox.outcome", "acts.what"])
async def test_the_page_of_an_order_shows_the_word_as_text(desk, column):
    await a_paid_order(desk.pool)
    await write_later(desk.pool, column)
    async with desk_client(desk, a_person(Role.ADMIN)) as client:
        assert WORD in await text_of(client, f"/orders/{ORDER}")


async def test_the_case_page_and_the_list_of_cases_show_the_kind_as_text(desk):
    await something_of_everything(desk.pool)
    await write_later(desk.pool, "cases.kind")
    number = await desk.pool.fetchval("SELECT id FROM cases WHERE closed_at IS NULL")
    async with desk_client(desk, a_person(Role.ADMIN)) as client:
        for path in ("/cases", f"/cases/{number}", "/handover"):
            assert WORD in await text_of(client, path)


async def test_what_is_known_of_a_moment_leaves_events_of_a_later_version_out_and_says_so(desk, database, tmp_path):
    await a_paid_order(desk.pool)
    paid = "UPDATE inbox SET kind = $1 WHERE kind = 'payment.succeeded'"
    await desk.pool.execute(paid, WORD)
    async with desk_client(desk, a_person(Role.ADMIN)) as client:
        at = LATER.isoformat().replace("+", "%2B")
        said = await text_of(client, f"/orders/{ORDER}/as-of?at={at}")
        assert "Written by a later version and left out" in said
    told = await tillkeeper("explain", ORDER, "--config", written(tmp_path, toml(database)), "--json")
    assert told.json["unread"] > 0
    assert told.json["status"] == "failed"


@pytest.mark.parametrize("column", ["orders.status", "inbox.kind", "cases.kind"])
async def test_commands_show_it_too(desk, database, tmp_path, column):
    await a_paid_order(desk.pool)
    await write_later(desk.pool, column)
    config = written(tmp_path, toml(database))
    for command in (("order", "show", ORDER), ("cases",), ("find", ORDER), ("claim", ORDER), ("explain", ORDER)):
        told = await tillkeeper(*command, "--config", config)
        assert told.code == 0, (command, told.err)
