"""The PostgreSQL lane on the test's own database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.lane_handles import SpoolLane
from tillkeeper.sandbox.servers import Postgres


@pytest.fixture
async def spool_lane(postgres_server: Postgres, pool: asyncpg.Pool, database: str) -> AsyncIterator[SpoolLane]:
    async with SpoolLane(postgres_server, pool, database) as lane:
        yield lane
