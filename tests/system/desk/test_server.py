"""The desk's process: it serves behind signing in, gives up what takes too long, and stops in order."""

import asyncio
import re
import socket
from datetime import timedelta

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.desks import a_desk, a_person, signed_in
from tests.lane_handles import until_true
from tests.system.receiving import some_settings
from tests.virtual_time import Clock
from tillkeeper.desk import problems
from tillkeeper.desk.app import build_app
from tillkeeper.desk.live.feed import Feed
from tillkeeper.desk.live.snapshot import read_snapshot
from tillkeeper.desk.routes import ROUTES
from tillkeeper.desk.server import STATEMENT_S, desk_server
from tillkeeper.store.postgres.pool import open_pool


@pytest.fixture
async def address(database):
    settings = some_settings(database, desk={"port": 0, "metrics_port": 0})
    async with desk_server(settings) as port:
        yield f"http://127.0.0.1:{port}"


async def test_nothing_but_signing_in_is_served_to_who_is_not_signed_in(address):
    async with aiohttp.ClientSession(address) as client:
        for route in ROUTES:
            path = (
                re.sub(r"\{\w*ref:[^}]*\}", "ORD-1", route.path).replace(":[^/]+", "").replace("{", "").replace("}", "")
            )
            async with client.request(route.method, path, allow_redirects=False) as answer:
                text = await answer.text()
            if route.role == "anyone":
                continue
            assert answer.status in {303, 401, 403}, path
            assert "ORD-1" not in text


async def test_where_no_port_is_named_the_first_free_one_is_taken_and_a_named_one_is_that_or_an_error(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        unnamed = some_settings(database, desk={"metrics_port": 0})
        desk = unnamed.desk.model_construct(**unnamed.desk.model_dump() | {"port": port}, _fields_set={"metrics_port"})
        async with desk_server(unnamed.model_copy(update={"desk": desk})) as found:
            assert port < found < port + 10
        with pytest.raises(OSError, match="address already in use"):
            async with desk_server(some_settings(database, desk={"port": port, "metrics_port": 0})):
                pass


async def test_the_server_gives_up_what_takes_too_long(database):
    async with await open_pool(database, max_size=1, statement_timeout_s=STATEMENT_S) as pool:
        assert await pool.fetchval("SHOW statement_timeout") == "5s"


async def test_a_page_that_takes_too_long_is_given_up_and_says_so(pool, monkeypatch):
    monkeypatch.setattr(problems, "ANSWER_S", 0.0)

    async def never(_before):
        await asyncio.Event().wait()

    desk = a_desk(pool)
    app = build_app(a_desk(pool, feed=Feed(never, now=desk.now)), signed_in(a_person()))
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        assert answer.status == 503
        assert "The database cannot be read just now" in await answer.text()


NO_OTHER_TRANSACTION = """
SELECT count(*) = 1 FROM pg_stat_activity  -- the one that has the lock
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""


async def test_the_snapshot_of_a_page_that_is_given_up_is_let_go(pool, monkeypatch):
    """Somebody else holds a table that the second of a page's statements reads."""
    monkeypatch.setattr(problems, "ANSWER_S", 0.3)
    app = build_app(a_desk(pool), signed_in(a_person()))
    async with TestClient(TestServer(app)) as client, pool.acquire() as other, pool.acquire() as looking:
        async with other.transaction():
            await other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            answer = await client.get("/stuck")
            assert answer.status == 503
            await until_true(looking, NO_OTHER_TRANSACTION)
        assert (await client.get("/stuck")).status == 200


async def test_a_live_reading_that_takes_too_long_is_given_up_and_the_last_one_stays(pool, monkeypatch):
    clock = Clock()

    async def read(before):
        if before is None:
            return await read_snapshot(pool, None, broker_waiting=0, now=clock())
        return await asyncio.Event().wait()

    feed = Feed(read, now=clock)
    first = await feed.fresh()
    clock.at += timedelta(minutes=1)
    monkeypatch.setattr("tillkeeper.desk.live.feed.READ_S", 0.0)
    assert await feed.fresh() is first
