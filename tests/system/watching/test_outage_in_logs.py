"""PostgreSQL goes away and comes back: each process says so once when it begins and once when it ends."""

import asyncio

import pytest

from tests.system.receiving import PATH, a_delivery, until
from tests.system.watching.stack import ROLES, Stack
from tillkeeper.sandbox.servers import Postgres

RETRIES = 6  # of each process that retries, so that the outage lasts
WAITS = "tillkeeper_database_waits_total"
AT_START = {"body_weeks_made"}  # a sweep's own, which may come as late as the outage
LINES = {"ingest": 6, "work": 6, "sweep": 2, "notify": 2}  # the most that an outage may cost


@pytest.fixture
async def stack(tmp_path, database):
    async with Stack.running(tmp_path, database=database, shop_url="http://127.0.0.1:1/") as running:
        yield running


async def test_an_outage_of_the_database_is_told_once_by_each_process(stack: Stack, postgres_server: Postgres):
    assert await stack.post(PATH, *a_delivery("evt_before")) == 200
    await stack.processes["sweep"].saw("sweep_started")
    before = {role: len(process.lines) for role, process in stack.processes.items()}
    await postgres_server.stop()
    await asyncio.gather(*(process.saw("database_unavailable") for process in stack.processes.values()))
    for number in range(5):
        assert await stack.post(PATH, *a_delivery(f"evt_{number}")) == 503
        assert await stack.register(f"A-{number}") == 503
    for role in ("sweep", "notify"):  # a worker without a batch in hand only finds its lane unavailable
        await stack.reads(role, WAITS, lambda waits: waits >= RETRIES)
    for role in ROLES:
        await stack.reads(role, "tillkeeper_database_unavailable", lambda processes: processes == 1)
    await stack.processes["work"].saw("lane_unavailable")
    await postgres_server.start()
    for process in stack.processes.values():
        assert (await process.saw("database_available"))["after_s"] > 0

    async def is_taken() -> bool:
        return await stack.post(PATH, *a_delivery("evt_after")) == 200

    await until(is_taken)
    await stack.processes["ingest"].saw("some_lane_available")
    await stack.processes["work"].saw("lane_available")
    for role in ROLES:
        await stack.reads(role, "tillkeeper_database_unavailable", lambda processes: processes == 0)
        told = [event for event in stack.processes[role].events()[before[role] :] if event not in AT_START]
        assert len(told) == len(set(told)) <= LINES[role], told
        assert stack.processes[role].other == []
