"""The two lanes, each on its own names or database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.lane_handles import RabbitLane, SpoolLane
from tillkeeper.sandbox.servers import Postgres, RabbitMQ


@pytest.fixture
async def rabbit_lane(rabbitmq: RabbitMQ, broker_url: str, broker_prefix: str) -> AsyncIterator[RabbitLane]:
    async with RabbitLane(rabbitmq, broker_prefix) as lane:
        yield lane


@pytest.fixture
async def spool_lane(postgres_server: Postgres, pool: asyncpg.Pool, database: str) -> AsyncIterator[SpoolLane]:
    async with SpoolLane(postgres_server, pool, database) as lane:
        yield lane
