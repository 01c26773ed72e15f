"""The PostgreSQL lane and a sweep on the test's own database; tests of fetches have gateways of their own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.database.sweeps import Gateways, a_sweep
from tests.lane_handles import SpoolLane
from tests.virtual_time import Clock
from tillkeeper.sandbox.servers import Postgres


@pytest.fixture
async def spool_lane(postgres_server: Postgres, pool: asyncpg.Pool, database: str) -> AsyncIterator[SpoolLane]:
    async with SpoolLane(postgres_server, pool, database) as lane:
        yield lane


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gateways(clock):
    return Gateways(clock)


@pytest.fixture
def sweep(pool, gateways, clock):
    return a_sweep(pool, gateways, clock)
